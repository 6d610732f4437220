//! What happens around a daemon must not end it, make it deaf, or make it busy.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Home, wait_until};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_daemon_whose_log_cannot_be_written_serves_on() {
    let home = Home::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = home.command();
    command.args(["daemon", "--until-idle=1s"]);
    let mut daemon = command.stderr(full).stdout(Stdio::null()).spawn().unwrap();
    wait_until("it serves", LONG, || {
        home.retrier(["daemon", "status"]).output().code == 0
    });
    let id = home.run(["--no-daemon-start", "--", "true"]);
    assert_eq!(home.wait(id), 0);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}
