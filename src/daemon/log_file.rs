//! The file that a detached daemon logs to, and how it is kept short.
//!
//! It is renamed once it is long, and a new one begun; one old one is kept. The daemon's stderr is the
//! file that it writes to and all that it holds of it, so nothing is lost in between: until the new
//! file is there, lines go to the old one, whatever it is called. Shims write to the one that they were
//! started with. Nothing here may end a daemon: a log that cannot be renamed grows.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::Folder;
use crate::sys::files::{append_private, file_identity};
use crate::sys::process::{replace_stderr, stderr_file};

/// A log that is longer, in bytes, is put away.
const LENGTH_MAX: u64 = 10 << 20;

/// After so many bytes more it is looked at again, when it could not be put away.
const AGAIN: u64 = 64 << 10;

/// The log of this process, if it has one of its own.
static LOG: OnceLock<LogFile> = OnceLock::new();

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    old: PathBuf,
    /// So many bytes more this process writes before it looks at the file: that costs no system call.
    left: AtomicU64,
}

/// Says that the stderr of this process is the log of the daemon of `folder`, to be kept short. This process
/// must hold the daemon's lock: two would put away each other's.
pub fn keep_short(folder: &Folder) {
    let log = LogFile {
        path: folder.daemon_log(),
        old: folder.old_daemon_log(),
        left: AtomicU64::new(0),
    };
    log.look();
    // There is one daemon in a process.
    let _ = LOG.set(log);
}

/// Has this process leave the log alone from now on: another daemon may hold the lock.
pub fn leave_alone() {
    if let Some(log) = LOG.get() {
        log.left.store(u64::MAX, Ordering::Relaxed);
    }
}

/// Writes to stderr, whole lines at a time.
#[derive(Debug)]
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = io::stderr().write(bytes)?;
        if let Some(log) = LOG.get() {
            log.note(written as u64);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl LogFile {
    /// So many bytes were written.
    fn note(&self, bytes: u64) {
        let left = self.left.load(Ordering::Relaxed);
        if bytes < left {
            self.left.store(left - bytes, Ordering::Relaxed);
        } else {
            self.look();
        }
    }

    /// Puts the log away if it is too long, and finds out how much more may be written.
    fn look(&self) {
        // What it cannot do now it tries again later. There is nobody to tell but the log.
        let left = self.turn().unwrap_or(AGAIN);
        self.left.store(left, Ordering::Relaxed);
    }

    /// Gives how many bytes more may be written. Errors: the log cannot be put away.
    fn turn(&self) -> io::Result<u64> {
        let (own, length) = stderr_file()?;
        if file_identity(&self.path) == Some(own) {
            if length <= LENGTH_MAX {
                return Ok(LENGTH_MAX - length);
            }
            std::fs::rename(&self.path, &self.old)?;
        } else if file_identity(&self.old) != Some(own) {
            // Somebody has removed it, or sent what is logged elsewhere.
            return Ok(LENGTH_MAX);
        }
        // What is written goes to the old one: a moment ago it was put away, or another daemon has done
        // so, or there was no room for a new one.
        let new = append_private(&self.path, false)?;
        let length = new.metadata()?.len();
        replace_stderr(&new)?;
        Ok(LENGTH_MAX.saturating_sub(length))
    }
}
