//! What a daemon tells its service manager, and that nobody else hears of it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::LONG;
use crate::support::{Home, wait_until};

/// A manager's socket, and what has come there.
struct Socket {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Socket {
    fn bind(address: &SocketAddr) -> Socket {
        let socket = UnixDatagram::bind_addr(address).expect("the address is free");
        socket.set_nonblocking(true).expect("it is a socket");
        Socket {
            socket,
            heard: Vec::new(),
        }
    }

    /// Everything that has come until now.
    fn heard(&mut self) -> &[String] {
        let mut bytes = [0; 4096];
        while let Ok(count) = self.socket.recv(&mut bytes) {
            self.heard
                .push(String::from_utf8_lossy(&bytes[..count]).into());
        }
        &self.heard
    }

    fn hears(&mut self, line: &str) -> bool {
        self.heard()
            .iter()
            .any(|said| said.lines().any(|other| other.starts_with(line)))
    }
}

#[test]
fn a_daemon_tells_its_manager_when_it_is_ready_and_when_it_leaves() {
    let home = Home::new();
    let path = home.path("notify");
    let name = format!("retrier-test-{}", std::process::id());
    for (address, variable) in [
        (SocketAddr::from_pathname(&path), path.display().to_string()),
        (SocketAddr::from_abstract_name(&name), format!("@{name}")),
    ] {
        let mut socket = Socket::bind(&address.expect("it is an address"));
        let mut daemon = home.daemon_with(&[], &[("NOTIFY_SOCKET", &variable)]);
        wait_until("it is ready", LONG, || socket.hears("READY=1"));
        assert!(socket.hears(&format!("STATUS=serving {}", home.db().display())));
        assert!(!socket.hears("STOPPING=1"));
        assert_eq!(daemon.stop(), 0);
        assert!(socket.hears("STOPPING=1"));
    }
}

#[test]
fn trouble_is_its_status_until_it_is_over() {
    let home = Home::new();
    let path = home.path("notify");
    let address = SocketAddr::from_pathname(&path).expect("it is an address");
    let mut socket = Socket::bind(&address);
    let envs = [
        ("NOTIFY_SOCKET", path.to_str().expect("it is UTF-8")),
        ("RETRIER_CRASH", "pass_before_commit:2:err=ENOSPC"),
    ];
    let _daemon = home.daemon_with(&[], &envs);
    let id = home.run(["--no-daemon-start", "--", "true"]);
    wait_until("it has told of trouble", LONG, || {
        socket
            .heard()
            .iter()
            .any(|said| said.starts_with("STATUS=") && said.contains("full"))
    });
    assert_eq!(home.wait(id), 0);
    wait_until("it has told that it is over", LONG, || {
        socket
            .heard()
            .last()
            .is_some_and(|said| said == "STATUS=serving")
    });
}

/// One that says READY=1 from somewhere below would end the start of a service too early.
#[test]
fn neither_commands_nor_daemons_that_verbs_start_take_a_services_part() {
    let home = Home::new();
    let path = home.path("notify");
    let address = SocketAddr::from_pathname(&path).expect("it is an address");
    let mut socket = Socket::bind(&address);
    let names = [
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "WATCHDOG_USEC",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
    ];
    let mut call = home.retrier(["run", "--wait", "--env", "LISTEN_PID=own", "--", "env"]);
    for name in names {
        call = call.env(name, &path);
    }
    let seen = call.env("KEPT", "yes").output().ok().text();
    assert!(seen.lines().any(|line| line == "KEPT=yes"), "{seen}");
    for name in names {
        let mut lines = seen
            .lines()
            .filter(|line| line.starts_with(&format!("{name}=")));
        // What is asked for by name is given.
        let expected = (name == "LISTEN_PID").then_some("LISTEN_PID=own");
        assert_eq!(lines.next(), expected, "{seen}");
    }
    let services = home.processes();
    assert!(services.len() >= 2, "a daemon and its shim: {services:?}");
    for service in services {
        let environ = std::fs::read(format!("/proc/{}/environ", service.pid)).unwrap_or_default();
        let text = String::from_utf8_lossy(&environ);
        assert!(!text.contains("INVOCATION_ID="), "{service:?}: {text}");
    }
    home.retrier(["daemon", "stop"])
        .limit(Duration::from_secs(20))
        .output()
        .ok();
    assert_eq!(socket.heard(), [""; 0]);
}
