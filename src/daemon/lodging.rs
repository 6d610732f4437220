//! Where a daemon lives: as part of a service of somebody else it ends with that one, and all attempts
//! with it.

use std::time::Duration;

use crate::sys::manager::{Service, service_of, systemctl};

/// How long the service manager may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// The name of the service that process `pid`, or this one, is a part of, if the stop of that service
/// ends every process of it. `None` as well for those that leave alone what they have started, as cron
/// does (`KillMode=process`), and outside of services.
pub fn doomed(pid: Option<i32>) -> Option<String> {
    let service = service_of(pid)?;
    (!spares(&service)).then_some(service.name)
}

/// Does its stop leave alone what it has started? Nobody who can tell: no, which is systemd's default.
fn spares(service: &Service) -> bool {
    let show = ["show", "--property=KillMode", service.name.as_str()];
    let whose: &[&str] = if service.of_user { &["--user"] } else { &[] };
    let said = systemctl(&[whose, &show].concat(), ANSWERS_WITHIN);
    said.is_ok_and(|said| {
        let mut lines = said.lines();
        lines.any(|line| matches!(line, "KillMode=process" | "KillMode=none"))
    })
}
