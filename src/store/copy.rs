//! A whole copy of a database, made while others use it: under a name of its own first, so that
//! nobody ever sees half of one.
//!
//! The pages are copied as they are. That takes no longer than the disk does, writers go on meanwhile,
//! and the log cannot begin anew as long as it takes, so a copy that is too slow for that is given up.
//! SQLite locks nothing beside the copy: it may lie on a filesystem whose locks cannot be trusted.

use std::cell::Cell;
use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::sys::files::{self, create_private, file_identity, identity_of, remove_if_there};
use crate::sys::{failpoint, lock};

use super::error::StoreError;
use super::folder::{Folder, beside};
use super::migrate::layout;

/// So many pages are copied at a time.
const PAGES: c_int = 256;

/// By so many bytes the log may grow while a copy is made.
const LOG_GROWTH_MAX: u64 = 256 << 20;

/// The runs that a copy is told to store begin so far behind the last one that is in it: the database
/// that it was copied from goes on giving numbers away, and a number stands for one run.
const IDS_AHEAD: i64 = 1_000_000;

/// Whoever makes a copy holds a lock on this byte of it.
const MAKER: i64 = 0;

/// How often the place of a copy is looked at: others may clear it away at that moment.
const TRIES: usize = 5;

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its length.
    pub bytes: u64,
    /// Its runs.
    pub runs: u64,
    /// Its layout.
    pub layout: i64,
}

/// What becomes of a file that stands where a copy is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publish {
    /// It stays, and the copy gets no name.
    New,
    /// The copy takes its place.
    Replace,
}

/// A copy that is being made. Without a name of its own in the end it is removed.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    /// What it is to become, for messages.
    target: PathBuf,
    file: File,
    named: Cell<bool>,
}

impl Draft {
    /// Begins a copy that is to become `target`. What somebody has left there who was killed is
    /// removed. Errors: another one is being made there; no room; see open(2).
    pub fn begin(target: &Path) -> Result<Self, StoreError> {
        let path = draft_of(target);
        let io = |error| StoreError::from_io(target, error);
        for _ in 0..TRIES {
            let file = match create_private(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !clear_away(&path).map_err(io)? {
                        break;
                    }
                    continue;
                }
                other => other.map_err(io)?,
            };
            // Before the lock it may be taken for one that was left.
            if lock::try_exclusive_byte(&file, MAKER).map_err(io)?
                && file_identity(&path) == Some(identity_of(&file).map_err(io)?)
            {
                let draft = Self {
                    path,
                    target: target.to_owned(),
                    file,
                    named: Cell::new(false),
                };
                failpoint::reach("copy_begun").map_err(io)?;
                return Ok(draft);
            }
        }
        let hint = "wait until it is made, or name another file";
        Err(not_copied(target, "another copy is being made there", hint))
    }

    /// Fills it with what the database of `folder` holds at one moment, as the connection `source`
    /// sees it, and looks whether that is whole. Errors: the database is damaged, its log grows too
    /// long meanwhile, no room.
    pub fn fill(&self, source: &Connection, folder: &Folder) -> Result<Copied, StoreError> {
        let from = |error| StoreError::from_sqlite(folder.database(), error);
        let _moment = source.unchecked_transaction().map_err(from)?;
        // The moment begins with the first thing that is read.
        let layout = layout(source).map_err(from)?;
        let growth_max = if failpoint::has_bug("log_must_not_grow") {
            0
        } else {
            LOG_GROWTH_MAX
        };
        self.copy_pages(source, folder, growth_max)?;
        let runs = self.look_into(folder)?;
        let io = |error| StoreError::from_io(&self.target, error);
        self.file.sync_all().map_err(io)?;
        let bytes = self.file.metadata().map_err(io)?.len();
        failpoint::reach("copy_filled").map_err(io)?;
        Ok(Copied {
            bytes,
            runs,
            layout,
        })
    }

    fn copy_pages(
        &self,
        source: &Connection,
        folder: &Folder,
        growth_max: u64,
    ) -> Result<(), StoreError> {
        let sqlite = |error| self.error(folder, error);
        let log = || folder.wal().metadata().map_or(0, |found| found.len());
        let log_max = log().saturating_add(growth_max);
        let mut copy = self.open().map_err(sqlite)?;
        // One that is killed half-way is no copy, so nothing has to be undone.
        copy.execute_batch("PRAGMA journal_mode = OFF;")
            .map_err(sqlite)?;
        let backup = Backup::new(source, &mut copy).map_err(sqlite)?;
        loop {
            let step = failpoint::reach("copy_step");
            step.map_err(|error| StoreError::from_io(&self.target, error))?;
            match backup.step(PAGES).map_err(sqlite)? {
                StepResult::Done => return Ok(()),
                StepResult::More if log() > log_max => {
                    let cause = "it takes too long: meanwhile the log of the database has grown by \
                                 more than it may";
                    let hint = "name a file on a faster disk, or copy when less is stored";
                    return Err(not_copied(&self.target, cause, hint));
                }
                StepResult::More => {}
                // It is locked by nobody for long.
                _ => {
                    let path = folder.database().to_owned();
                    return Err(StoreError::Busy { path });
                }
            }
        }
    }

    /// Looks whether the copy is whole, and has its numbers go on further ahead. Gives how many runs it
    /// has.
    fn look_into(&self, folder: &Folder) -> Result<u64, StoreError> {
        let sqlite = |error| self.error(folder, error);
        let copy = self.open().map_err(sqlite)?;
        let found: String = copy
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(sqlite)?;
        if found != "ok" {
            let path = folder.database().to_owned();
            return Err(StoreError::Damaged { path, cause: found });
        }
        let moved = copy.execute(
            "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'run'",
            [IDS_AHEAD],
        );
        if moved.map_err(sqlite)? == 0 {
            let begin = "INSERT INTO sqlite_sequence (name, seq) VALUES ('run', ?1)";
            copy.execute(begin, [IDS_AHEAD]).map_err(sqlite)?;
        }
        let runs: i64 = copy
            .query_row("SELECT count(*) FROM run", [], |row| row.get(0))
            .map_err(sqlite)?;
        copy.close().map_err(|(_, error)| sqlite(error))?;
        Ok(runs.unsigned_abs())
    }

    /// A connection to it that nobody shares, and that syncs nothing: that is done once, at the end.
    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let copy = Connection::open_with_flags_and_vfs(&self.path, flags, c"unix-none")?;
        copy.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF;")?;
        Ok(copy)
    }

    /// SQLite does not say which of the two it means; what is damaged can only be the older one.
    fn error(&self, folder: &Folder, error: rusqlite::Error) -> StoreError {
        let damaged = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::DatabaseBusy)
        );
        let path = if damaged {
            folder.database()
        } else {
            &self.target
        };
        StoreError::from_sqlite(path, error)
    }

    /// Gives it the name `to`, in the same folder, and makes that durable. `false`: something stands
    /// there, and is to stay.
    pub fn publish(&self, to: &Path, how: Publish) -> Result<bool, StoreError> {
        let io = |error| StoreError::from_io(to, error);
        match how {
            Publish::New if !files::rename_new(&self.path, to).map_err(io)? => return Ok(false),
            Publish::New => {}
            Publish::Replace => std::fs::rename(&self.path, to).map_err(io)?,
        }
        self.named.set(true);
        failpoint::reach("copy_named").map_err(io)?;
        files::sync_dir(to.parent().unwrap_or(Path::new("/"))).map_err(io)?;
        Ok(true)
    }

    /// Does the file at `path` hold the same?
    pub fn is_like(&self, path: &Path) -> bool {
        let compared = File::open(path).and_then(|other| {
            let own = File::open(&self.path)?;
            Ok(own.metadata()?.len() == other.metadata()?.len() && same(own, other)?)
        });
        compared.unwrap_or(false)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.named.get() {
            // The next one removes what cannot be removed now.
            let _ = remove(&self.path);
        }
    }
}

/// Where a copy that is to become `target` is made.
fn draft_of(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".retrier-copy");
    target.with_file_name(name)
}

/// Removes what somebody has left who was killed. `false`: he is alive.
fn clear_away(path: &Path) -> io::Result<bool> {
    let left = match files::open_left(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    if !lock::try_exclusive_byte(&left, MAKER)? {
        return Ok(false);
    }
    // Another one may have done so, and begun: that one stays. Whoever removes it holds this lock.
    if file_identity(path) == Some(identity_of(&left)?) {
        remove(path)?;
    }
    Ok(true)
}

/// Removes a copy under its first name, with what SQLite makes beside it.
fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal"] {
        remove_if_there(&beside(path, suffix))?;
    }
    remove_if_there(path)
}

fn same(one: File, other: File) -> io::Result<bool> {
    let (mut one, mut other) = (io::BufReader::new(one), io::BufReader::new(other));
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let length = one.read(&mut left)?;
        if length == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        other.read_exact(&mut right[..length])?;
        if left[..length] != right[..length] {
            return Ok(false);
        }
    }
}

pub(super) fn not_copied(target: &Path, cause: &str, hint: &'static str) -> StoreError {
    StoreError::NotCopied {
        path: target.to_owned(),
        cause: cause.to_owned(),
        hint,
    }
}
