//! The index of the write-ahead log, `FILE-shm`, made ready for SQLite.
//!
//! A database's first connection cuts this file off and lets it grow again, one byte a page. On a
//! full disk that fails, and then not even reading works; and where a block is smaller than a page
//! it leaves holes, and a process that writes into one through its memory when there is no room is
//! ended with SIGBUS. So this does before it what the first connection would, under the same lock:
//! the room is reserved once, and from then on overwritten and never given back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::sys::files::{FileIdentity, file_identity, identity_of, is_full, open_private, reserve};
use crate::sys::{failpoint, lock};

/// The byte on which every connection holds a shared lock; who gets it alone is the first one
/// (`UNIX_SHM_DMS` in SQLite's os_unix.c).
const DEADMAN: i64 = 128;

/// Two regions, enough for a log of 33 MB. SQLite lets the file grow for a longer one.
const SIZE: usize = 64 * 1024;

/// The indexes that this process has open, for the rest of its life: closing one would take away
/// the locks that SQLite has on the same file (fcntl_locking(2)).
static OPEN: Mutex<Vec<(FileIdentity, &'static File)>> = Mutex::new(Vec::new());

/// Keeps an index in use until SQLite has its own lock on it.
#[derive(Debug)]
pub(super) struct InUse(&'static File);

/// Makes the index at `path` ready, if nobody has it in use. Errors: there is no room for it; any
/// other trouble is left for SQLite to name.
pub(super) fn prepare(path: &Path) -> io::Result<Option<InUse>> {
    match hold(path) {
        Ok(held) => Ok(held),
        Err(error) if is_full(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

fn hold(path: &Path) -> io::Result<Option<InUse>> {
    if failpoint::has_bug("index_not_reserved") {
        return Ok(None);
    }
    let index = open(path)?;
    // Whoever has a lock on it has emptied it or is about to; if he dies before he has, the next one
    // must find nobody there. So nothing is locked here that was not emptied here.
    if !lock::try_exclusive_byte(index, DEADMAN)? {
        return Ok(None);
    }
    let held = InUse(index);
    failpoint::reach("index_held")?;
    empty(index)?;
    lock::try_shared_byte(index, DEADMAN)?;
    failpoint::reach("index_emptied")?;
    Ok(Some(held))
}

fn open(path: &Path) -> io::Result<&'static File> {
    let mut all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let there = file_identity(path);
    if let Some((_, index)) = all.iter().find(|(identity, _)| Some(*identity) == there) {
        return Ok(index);
    }
    let index: &File = Box::leak(Box::new(open_private(path)?));
    all.push((identity_of(index)?, index));
    Ok(index)
}

/// What is in it may be older than the log: all zeros make SQLite read the log anew.
fn empty(index: &File) -> io::Result<()> {
    if index.metadata()?.len() > SIZE as u64 {
        index.set_len(SIZE as u64)?;
    }
    reserve(index, SIZE as i64)?;
    index.write_all_at(&[0; SIZE], 0)
}

impl Drop for InUse {
    fn drop(&mut self) {
        // The lock of a file that is open cannot fail to be given back.
        let _ = lock::release_byte(self.0, DEADMAN);
    }
}
