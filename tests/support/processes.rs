//! Who belongs to a test's folder, read from /proc; and how to end them without hitting anybody else.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A living process of a test's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its pid, which may be another process's by now.
    pub pid: i32,
    /// Its arguments, with spaces between them.
    pub cmdline: String,
}

impl Process {
    /// Whether it is a `retrier daemon`.
    pub fn is_daemon(&self) -> bool {
        let mut words = self.cmdline.split(' ');
        words
            .next()
            .is_some_and(|program| program.ends_with("retrier"))
            && words.any(|word| word == "daemon")
    }

    /// Whether it is a shim.
    pub fn is_shim(&self) -> bool {
        self.cmdline.split(' ').any(|word| word == "__shim")
    }

    /// Ends it with SIGKILL, if the pid still is a process of this folder.
    pub(super) fn end(&self, folder: &Path, db: &Path) {
        if let Some(pidfd) = open(self.pid, folder, db) {
            // It may have ended by itself.
            pidfd_send_signal(&pidfd, Signal::KILL).ok();
        }
    }
}

/// The process of this pid, if it is one of this folder.
fn open(pid: i32, folder: &Path, db: &Path) -> Option<OwnedFd> {
    // The order matters: the pidfd first, then the look, so that both are about one process.
    let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    belongs(pid, folder, db).then_some(pidfd)
}

/// The process of this pid, if it is a daemon of this folder.
pub(super) fn open_daemon(pid: i32, folder: &Path, db: &Path) -> Option<OwnedFd> {
    let pidfd = open(pid, folder, db)?;
    let cmdline = cmdline(pid);
    Process { pid, cmdline }.is_daemon().then_some(pidfd)
}

/// Every living process that has the database in its environment or arguments, or a file of the folder open.
///
/// Not this process, and no zombie: neither has anything to leave behind.
pub(super) fn belonging_to(folder: &Path, db: &Path) -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| belongs(*pid, folder, db))
        .map(|pid| Process {
            pid,
            cmdline: cmdline(pid),
        })
        .collect()
}

/// A process that cannot be read is another user's or gone, and then not ours.
fn belongs(pid: i32, folder: &Path, db: &Path) -> bool {
    !is_test_program(pid) && (names_database(pid, db) || has_open_file(pid, folder))
}

/// Whether it is this process, or a child of it that is not its own program yet: that still has all our files open.
fn is_test_program(pid: i32) -> bool {
    let own = fs::read_link("/proc/self/exe").ok();
    own.is_some() && fs::read_link(format!("/proc/{pid}/exe")).ok() == own
}

fn names_database(pid: i32, db: &Path) -> bool {
    let db = db.as_os_str().as_bytes();
    let variable = [b"RETRIER_DB=", db].concat();
    has_word(pid, "environ", |word| word == variable)
        || has_word(pid, "cmdline", |word| {
            word == db || word.ends_with(&[b"=", db].concat())
        })
}

fn has_word(pid: i32, file: &str, wanted: impl Fn(&[u8]) -> bool) -> bool {
    let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    text.split(|byte| *byte == 0).any(wanted)
}

fn has_open_file(pid: i32, folder: &Path) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    open.flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|file| file.starts_with(folder))
}

fn cmdline(pid: i32) -> String {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = text.split(|byte| *byte == 0);
    let words: Vec<_> = words
        .map(|word| OsStr::from_bytes(word).to_string_lossy())
        .collect();
    words.join(" ").trim_end().to_owned()
}
