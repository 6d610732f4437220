//! Which process is meant: a pid alone is reused, so it is never trusted by its number.
//!
//! A process is the boot it lives in, the pid namespace that its number counts in, its pid, and
//! its start time: field 22 of `/proc/PID/stat`, in clock ticks since boot (proc_pid_stat(5)).

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::failpoint::has_bug;
use super::process::is_shortage;

/// The identity of one process, over all boots of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The inode of `/proc/self/ns/pid`.
    pub pid_ns: u64,
    /// Its number in that namespace.
    pub pid: i32,
    /// Its start time in clock ticks since boot.
    pub start: u64,
}

/// The boot and the pid namespace of this process: the world in which a pid means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// See [`ProcessIdentity::boot_id`].
    pub boot_id: String,
    /// See [`ProcessIdentity::pid_ns`].
    pub pid_ns: u64,
}

/// What is known of a process that was recorded earlier.
#[derive(Debug)]
pub enum Liveness {
    /// It is there; the descriptor becomes readable when it ends, and stands for it and no other.
    Alive(OwnedFd),
    /// It is gone.
    Dead,
    /// It belongs to another boot, so it is gone, and what it did may not have reached the disk.
    OtherBoot,
    /// It belongs to another pid namespace: nothing can be said, and nothing may be signaled.
    Foreign,
    /// There is no descriptor or memory left to look it up with: nothing can be said now.
    Unknown,
}

impl World {
    /// The world of this process. Errors: /proc is not readable.
    pub fn current() -> io::Result<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let pid_ns = fs::metadata("/proc/self/ns/pid")?.ino();
        Ok(Self {
            boot_id: boot_id.trim().to_owned(),
            pid_ns,
        })
    }

    /// The identity of the living process `pid`. Errors: there is none, or /proc is not readable.
    pub fn identify(&self, pid: i32) -> io::Result<ProcessIdentity> {
        Ok(ProcessIdentity {
            boot_id: self.boot_id.clone(),
            pid_ns: self.pid_ns,
            pid,
            start: ProcessStat::of(pid)?.start,
        })
    }

    /// Looks whether the recorded process is still there.
    pub fn look_up(&self, process: &ProcessIdentity) -> Liveness {
        if process.boot_id != self.boot_id && !has_bug("ignores_boot_id") {
            return Liveness::OtherBoot;
        }
        if process.pid_ns != self.pid_ns && !has_bug("ignores_pid_namespaces") {
            return Liveness::Foreign;
        }
        match find_verified(process.pid, process.start) {
            Ok(Some(pidfd)) => Liveness::Alive(pidfd),
            Err(error) if is_shortage(&error) && !has_bug("shortage_is_death") => Liveness::Unknown,
            Ok(None) | Err(_) => Liveness::Dead,
        }
    }
}

/// A descriptor for process `pid` if it started at `start`; none as well when it cannot be opened.
pub fn open_verified(pid: i32, start: u64) -> Option<OwnedFd> {
    find_verified(pid, start).ok().flatten()
}

/// A descriptor for process `pid` if it started at `start`. The descriptor is opened first and the
/// start time read after it, so the number cannot change hands in between.
fn find_verified(pid: i32, start: u64) -> io::Result<Option<OwnedFd>> {
    let Some(number) = Pid::from_raw(pid).filter(|_| pid > 1) else {
        return Ok(None);
    };
    let pidfd = pidfd_open(number, PidfdFlags::empty())?;
    let found = ProcessStat::of(pid)?;
    Ok((found.start == start || has_bug("trusts_bare_pids")).then_some(pidfd))
}

/// A descriptor for this process's own child `pid`. Errors: see pidfd_open(2).
pub fn open_child(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends SIGTERM to the process of `pidfd`; one that has ended is no error.
pub fn terminate(pidfd: &OwnedFd) {
    send(pidfd, Signal::TERM);
}

/// Sends the signal with this number through `pidfd`; a process that has ended is no error.
pub fn signal(pidfd: &OwnedFd, number: i32) {
    if let Some(signal) = Signal::from_named_raw(number) {
        send(pidfd, signal);
    }
}

fn send(pidfd: &OwnedFd, signal: Signal) {
    // The only failures are that it has ended, or that it became another user's (setuid), and
    // then there is nothing that could be done.
    let _ = pidfd_send_signal(pidfd, signal);
}

/// The name that a daemon gives itself, as `ps` and /proc show it.
pub const DAEMON_NAME: &CStr = c"retrier-daemon";

/// The name that a shim gives itself.
pub const SHIM_NAME: &CStr = c"retrier-shim";

/// A part of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Whether it has ended and only waits for its parent.
    pub zombie: bool,
    /// Whether its first thread has ended and others have not.
    pub headless: bool,
    /// Whether a signal or a debugger has stopped it.
    pub stopped: bool,
    /// The parent's pid.
    pub parent: i32,
    /// The process group.
    pub group: i32,
    /// The session.
    pub session: i32,
    /// The start time in clock ticks since boot.
    pub start: u64,
    /// Whether it is a daemon or a shim: leads a session and bears one of their names.
    pub service: bool,
}

impl ProcessStat {
    /// Reads it. Errors: no such process, or a line that no known kernel writes.
    pub fn of(pid: i32) -> io::Result<Self> {
        let text = fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is malformed")))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        // The name in field 2 may hold anything, parentheses and spaces too.
        let name_end = text.iter().rposition(|byte| *byte == b')')?;
        let after_name = name_end + 1;
        let (pid, name) = text[..name_end].split_at(text.iter().position(|byte| *byte == b'(')?);
        let pid: i32 = std::str::from_utf8(pid).ok()?.trim().parse().ok()?;
        let named = |service: &CStr| name.strip_prefix(b"(") == Some(service.to_bytes());
        let rest = std::str::from_utf8(&text[after_name..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
        let session = number(6)? as i32;
        // The state is that of the first thread; field 20 counts those that are left.
        let ended = matches!(*fields.first()?, "Z" | "X");
        let threads = number(20)?;
        Some(Self {
            zombie: ended && threads <= 1,
            headless: ended && threads > 1,
            stopped: matches!(*fields.first()?, "T" | "t"),
            parent: number(4)? as i32,
            group: number(5)? as i32,
            session,
            start: fields.get(22 - 3)?.parse().ok()?,
            service: session == pid && [DAEMON_NAME, SHIM_NAME].into_iter().any(named),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = b"42 (a) b (c) S 7 42 40 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9876 0 0";
        let stat = ProcessStat::parse(line).unwrap();
        assert_eq!((stat.parent, stat.group, stat.session), (7, 42, 40));
        assert_eq!(stat.start, 9876);
        assert!(!stat.zombie && !stat.service);
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_lives_on() {
        let stat = |threads| {
            let line = format!("42 (a) Z 7 42 40 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 9876 0");
            ProcessStat::parse(line.as_bytes()).unwrap()
        };
        assert!(stat(1).zombie && !stat(1).headless);
        assert!(!stat(2).zombie && stat(2).headless);
    }

    #[test]
    fn a_service_leads_a_session_and_bears_a_name_of_ours() {
        let service = |line: &[u8]| ProcessStat::parse(line).unwrap().service;
        let rest = "0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9876 0 0";
        let line = |name: &str, session| format!("42 ({name}) S 7 42 {session} {rest}");
        assert!(service(line("retrier-daemon", 42).as_bytes()));
        assert!(service(line("retrier-shim", 42).as_bytes()));
        assert!(!service(line("retrier-daemon", 40).as_bytes()));
        assert!(!service(line("retrier", 42).as_bytes()));
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let world = World::current().unwrap();
        let me = world.identify(std::process::id() as i32).unwrap();
        assert!(matches!(world.look_up(&me), Liveness::Alive(_)));
        let other = ProcessIdentity {
            start: me.start + 1,
            ..me.clone()
        };
        assert!(matches!(world.look_up(&other), Liveness::Dead));
        let rebooted = ProcessIdentity {
            boot_id: "another".into(),
            ..me.clone()
        };
        assert!(matches!(world.look_up(&rebooted), Liveness::OtherBoot));
        let container = ProcessIdentity { pid_ns: 1, ..me };
        assert!(matches!(world.look_up(&container), Liveness::Foreign));
    }
}
