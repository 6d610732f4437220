//! The service manager: telling it how this process does (sd_notify(3)), asking it through
//! `systemctl`, and finding out of which service a process is a part.
//!
//! The protocol of the first is a line of text to a socket that the environment names, so that it needs
//! no library. Nobody is ever waited for longer than was said: a manager that hangs must not hang
//! its daemon.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::clock;

use super::files::own_uid;
use super::poll::wait_readable;

/// Where a service is to tell how it does.
const SOCKET: &str = "NOTIFY_SOCKET";

/// What a service manager tells one process of its service, and nobody else: a program that has it from
/// somebody else takes that one's part.
pub const VARIABLES: [&str; 10] = [
    SOCKET,
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
];

/// The service manager that has started this process, if one has that wants to be told.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Manager {
    /// The one that the environment names: a path, or with `@` in front an abstract name. Other
    /// addresses are nobody's.
    pub fn of_environment() -> Self {
        let address = env::var_os(SOCKET).and_then(|name| address(&name));
        let connected = address.and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        Self { socket: connected }
    }

    /// Tells it `state`, such as `READY=1`; several are lines. Whether it hears it is its own matter.
    pub fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

fn address(name: &OsStr) -> Option<SocketAddr> {
    let bytes = name.as_bytes();
    match bytes.first()? {
        b'/' => SocketAddr::from_pathname(Path::new(name)).ok(),
        b'@' => SocketAddr::from_abstract_name(&bytes[1..]).ok(),
        _ => None,
    }
}

/// Calls `systemctl` with these arguments, and gives what it has printed. Errors: it could not be
/// called, did not end within `limit`, or failed, and what it said of that.
pub fn systemctl(arguments: &[&str], limit: Duration) -> Result<String, String> {
    let trouble = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "there is no systemctl".to_owned(),
        io::ErrorKind::TimedOut => format!("systemctl did not answer within {} s", limit.as_secs()),
        _ => format!("systemctl: {error}"),
    };
    let (reader, mut child) = call(arguments).map_err(trouble)?;
    let heard = listen(reader, &child, limit);
    if heard.is_err() {
        // One that has ended by itself meanwhile is as good.
        let _ = child.kill();
    }
    let status = child.wait().map_err(trouble)?;
    let said = heard.map_err(trouble)?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    match said.lines().next() {
        _ if status.success() => Ok(said),
        Some(line) => Err(line.to_owned()),
        None => Err(format!("systemctl: {status}")),
    }
}

fn call(arguments: &[&str]) -> io::Result<(PipeReader, Child)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new("systemctl");
    command.args(arguments).stdin(Stdio::null());
    command.stdout(writer.try_clone()?).stderr(writer);
    if let Some(folder) = runtime_folder() {
        command.env("XDG_RUNTIME_DIR", folder);
    }
    Ok((reader, command.spawn()?))
}

/// Where a user's manager listens, if the environment does not say it: cron's and su's do not.
fn runtime_folder() -> Option<PathBuf> {
    if env::var_os("XDG_RUNTIME_DIR").is_some_and(|value| !value.is_empty()) {
        return None;
    }
    let folder = PathBuf::from(format!("/run/user/{}", own_uid()));
    folder.is_dir().then_some(folder)
}

/// What `child` prints until it has ended; what it has left may hold the pipe for longer.
fn listen(mut reader: PipeReader, child: &Child, limit: Duration) -> io::Result<Vec<u8>> {
    let ended = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let until = clock::monotonic().checked_add(limit);
    let mut all = Vec::new();
    let mut bytes = [0; 4096];
    let mut is_open = true;
    loop {
        let left = until.map(|until| until.saturating_duration_since(clock::monotonic()));
        let mut fds = vec![ended.as_fd()];
        fds.extend(is_open.then(|| reader.as_fd()));
        let ready = wait_readable(&fds, left)?;
        if ready.get(1) == Some(&true) {
            match reader.read(&mut bytes)? {
                0 => is_open = false,
                count => all.extend_from_slice(&bytes[..count]),
            }
        } else if ready[0] {
            return Ok(all);
        } else if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// A service of the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The name of its unit.
    pub name: String,
    /// Whether it is one of a user's manager, and not the system's.
    pub of_user: bool,
}

/// The service that process `pid`, or this one, is a part of; `None` for a session of somebody who
/// has logged in, and where there are no services.
pub fn service_of(pid: Option<i32>) -> Option<Service> {
    let of = pid.map_or("self".to_owned(), |pid| pid.to_string());
    parse(&fs::read_to_string(cgroup_file(&of)).ok()?)
}

#[cfg(not(feature = "failpoints"))]
fn cgroup_file(of: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{of}/cgroup"))
}

/// In test builds a test says what stands there.
#[cfg(feature = "failpoints")]
fn cgroup_file(of: &str) -> PathBuf {
    let fake = env::var_os("RETRIER_FAKE_CGROUP").map(PathBuf::from);
    fake.unwrap_or_else(|| PathBuf::from(format!("/proc/{of}/cgroup")))
}

/// The innermost unit of the line of systemd's own hierarchy, or of the only one (cgroups(7)).
fn parse(text: &str) -> Option<Service> {
    let path = |prefix: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.split_once(prefix).map(|(_, path)| path))
    };
    let path = path(":name=systemd:").or_else(|| path("0::"))?;
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    let unit = path.split('/').rfind(is_unit)?;
    let is_manager = unit.starts_with("user@");
    (unit.ends_with(".service") && !is_manager).then(|| Service {
        name: unit.to_owned(),
        of_user: path.split('/').any(|part| part.starts_with("user@")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_unit_tells_whose_part_a_process_is() {
        let service = |name: &str, of_user| {
            let name = name.to_owned();
            Some(Service { name, of_user })
        };
        let user = "/user.slice/user-1000.slice/user@1000.service/app.slice";
        for (text, expected) in [
            (
                "0::/system.slice/cron.service\n".to_owned(),
                service("cron.service", false),
            ),
            (
                "0::/system.slice/a.service/payload\n".to_owned(),
                service("a.service", false),
            ),
            (
                "4:memory:/x\n1:name=systemd:/system.slice/a.service\n0::/\n".to_owned(),
                service("a.service", false),
            ),
            (format!("0::{user}/b.service\n"), service("b.service", true)),
            (format!("0::{user}/vte-spawn-1.scope\n"), None),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n".to_owned(),
                None,
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service\n".to_owned(),
                None,
            ),
            (
                "0::/user.slice/user-1000.slice/session-3.scope\n".to_owned(),
                None,
            ),
            ("0::/\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(parse(&text), expected, "{text}");
        }
    }
}
