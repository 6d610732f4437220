//! Opening the database: create it privately, refuse what is not ours, bring the layout up to
//! date, and make commits durable.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use crate::sys::failpoint;
use crate::sys::files::{self, FileIdentity};

use super::confine;
use super::error::StoreError;
use super::folder::Folder;
use super::index;
use super::look;
use super::migrate::{has_log, identify, keep_wal, layout, migrate};
use super::pass::Pass;
use super::place;
use super::read::Reader;
use super::schema::version;

/// A write-ahead log of so many bytes is long enough.
const WAL_MAX: u64 = 1 << 20;

/// What a database is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To write; it is created when it is not there.
    Create,
    /// To read or change what is there; a missing one is an empty one.
    Existing,
    /// To read what is there, and to leave nothing beside a copy that nobody uses; a missing one is an empty
    /// one.
    Look,
}

/// How long a writer waits for the others.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A commit of a client writes the log into the database once it has so many pages: a daemon does it
/// earlier, and nobody who waits for an id has to. The index has room for them, see `index`.
const LOG_PAGES: c_int = 8000;

/// An open database.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    folder: Folder,
    /// The write-ahead log, for syncing. SQLite keeps no lock on this file, so that closing it
    /// releases none. `None`: nobody can make one, so nothing is committed.
    wal: Option<File>,
    /// Which file it is, whatever stands at its path by now.
    file: Option<FileIdentity>,
    /// The copy of what was there before, if this has changed an earlier layout.
    kept: Option<PathBuf>,
}

impl Store {
    /// Opens the database of `folder`. `Ok(None)`: it is not there, and [`Access::Create`] was not
    /// asked for. One that cannot be written to can be read. Errors: it must not be used (see
    /// `place`), is another program's, a newer retrier's, damaged, or the disk is full; in none of
    /// these cases is anything changed.
    pub fn open(folder: &Folder, access: Access) -> Result<Option<Self>, StoreError> {
        let path = folder.database();
        let there = place::check(folder)?;
        if !there && access != Access::Create {
            return Ok(None);
        }
        if !there {
            check_parent(folder)?;
            make_folders(folder)?;
            match files::create_private(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => drop(other.map_err(|error| StoreError::from_io(path, error))?),
            }
        }
        let wal = folder.wal();
        let had_wal = wal.exists();
        let (connection, kept) = connect(folder, access, had_wal)?;
        let io = |error| StoreError::from_io(&wal, error);
        let read_only = connection.is_readonly("main");
        let read_only = read_only.map_err(|error| StoreError::from_sqlite(path, error))?;
        if access == Access::Create && read_only {
            let path = path.to_owned();
            return Err(StoreError::ReadOnly { path });
        }
        // Not before it is known to be ours: one that somebody has put there may be open to others.
        for file in [path, &wal, &folder.shm()] {
            match files::hide_from_others(file) {
                Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {}
                other => other.map_err(io)?,
            }
        }
        if !had_wal {
            // Made by this connection or another a moment ago: its name must be as durable as
            // what is going to be committed into it.
            files::sync_dir(path.parent().unwrap_or(Path::new("/"))).map_err(io)?;
        }
        let wal = match File::open(&wal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && access == Access::Look => None,
            other => Some(other.map_err(io)?),
        };
        failpoint::reach("store_opened").map_err(|error| StoreError::from_io(path, error))?;
        Ok(Some(Self {
            connection,
            folder: folder.clone(),
            wal,
            file: files::file_identity(path),
            kept,
        }))
    }

    /// Looks whether the path of the database still leads to the file that was opened. Errors: it
    /// does not.
    pub fn check_place(&self) -> Result<(), StoreError> {
        let path = self.folder.database();
        if files::file_identity(path) == self.file {
            return Ok(());
        }
        Err(StoreError::Replaced {
            path: path.to_owned(),
        })
    }

    /// Waits no longer than `limit` for other writers, instead of a minute. Errors: none that are
    /// known.
    pub fn wait_at_most(&self, limit: Duration) -> Result<(), StoreError> {
        let set = self.connection.busy_timeout(limit);
        set.map_err(|error| StoreError::from_sqlite(self.folder.database(), error))
    }

    /// Leaves the database to the others who have it open, as the end of the process does: what they
    /// have to do when they close it, and the memory, is not looked after.
    pub fn leave(self) {
        let _ = ManuallyDrop::new(self);
    }

    /// Has a commit write the log into the database once it has `pages` pages.
    /// Errors: none that are known.
    pub fn checkpoint_after(&self, pages: u32) -> Result<(), StoreError> {
        let set = self
            .connection
            .pragma_update(None, "wal_autocheckpoint", pages);
        set.map_err(|error| StoreError::from_sqlite(self.folder.database(), error))
    }

    /// The copy of the database as it was, if opening it has brought an earlier layout up to date.
    pub fn kept(&self) -> Option<&Path> {
        self.kept.as_deref()
    }

    /// Its paths.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Makes all that was committed so far durable: what somebody is told of survives a power
    /// cut. Errors: the disk failed, and what it holds is unknown.
    pub fn sync(&self) -> Result<(), StoreError> {
        if failpoint::has_bug("no_sync") {
            return Ok(());
        }
        let synced = failpoint::reach("store_sync")
            .and_then(|()| self.wal.as_ref().map_or(Ok(()), File::sync_data));
        if failpoint::has_bug("hides_failed_syncs") {
            return Ok(());
        }
        synced.map_err(|error| StoreError::Unknown {
            path: self.folder.database().to_owned(),
            cause: error.to_string(),
        })
    }

    /// Begins a transaction that may write: waits for other writers first.
    pub fn begin(&mut self) -> Result<Pass<'_>, StoreError> {
        let path = self.folder.database().to_owned();
        let begin = if failpoint::has_bug("begins_deferred") {
            "BEGIN DEFERRED"
        } else {
            "BEGIN IMMEDIATE"
        };
        let pass = Pass::begin(&self.connection, begin, path.clone())?;
        // A newer program may have changed the layout since this one has opened the database.
        let found = layout(&self.connection);
        let found = found.map_err(|error| StoreError::from_sqlite(&path, error))?;
        let known = version();
        if found != known {
            return Err(StoreError::Newer { path, found, known });
        }
        Ok(pass)
    }

    /// Lets `look` see one moment: nothing changes between its reads. It may do nothing but read,
    /// because the log cannot be reset meanwhile.
    pub fn at_once<T>(
        &self,
        look: impl FnOnce(Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if failpoint::has_bug("keeps_reading") {
            let _ = self.connection.execute_batch("BEGIN");
            return look(self.read());
        }
        let begun = self.connection.unchecked_transaction();
        let path = self.folder.database();
        let _moment = begun.map_err(|error| StoreError::from_sqlite(path, error))?;
        look(self.read())
    }

    /// The version of the SQLite library in this program.
    pub fn sqlite_version() -> &'static str {
        rusqlite::version()
    }
}

/// Sets SQLite up for this process: it does not count the memory that it uses, which costs a lock for
/// each piece, and what undoes one statement alone is kept in memory, and in a file beyond a megabyte.
/// To be called before a database is opened.
pub fn set_up() {
    let options: [(_, c_int); 2] = [
        (ffi::SQLITE_CONFIG_MEMSTATUS, 0),
        (ffi::SQLITE_CONFIG_STMTJRNL_SPILL, 1 << 20),
    ];
    for (option, value) in options {
        // SAFETY: each of them takes one int. Were SQLite in use already, it would refuse this and
        // go on as it was.
        let code = unsafe { ffi::sqlite3_config(option, value) };
        debug_assert_eq!(code, ffi::SQLITE_OK);
    }
}

/// Only the folder of the default database is made: the name of another may be mistyped.
fn check_parent(folder: &Folder) -> Result<(), StoreError> {
    let path = folder.database();
    match path.parent() {
        Some(parent) if !parent.exists() && Folder::standard().as_deref() != Some(path) => {
            Err(StoreError::NoFolder {
                path: path.to_owned(),
                folder: parent.to_owned(),
            })
        }
        Some(_) | None => Ok(()),
    }
}

fn make_folders(folder: &Folder) -> Result<(), StoreError> {
    let make = |path: &Path| {
        files::make_private_dirs(path).map_err(|error| StoreError::from_io(path, error))
    };
    make(folder.path())?;
    make(&folder.shims())
}

/// A connection, and the copy that was kept if it has changed an earlier layout.
fn connect(
    folder: &Folder,
    access: Access,
    had_wal: bool,
) -> Result<(Connection, Option<PathBuf>), StoreError> {
    let path = folder.database();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite = |error| StoreError::from_sqlite(path, error);
    let index = had_wal.then(|| index::prepare(&folder.shm())).transpose();
    let _until_connected = index.map_err(|error| StoreError::from_io(path, error))?;
    let lies_still = access == Access::Look && look::lies_still(folder);
    let opened = match access {
        Access::Look => look::connect(folder, flags),
        Access::Create | Access::Existing => Connection::open_with_flags(path, flags),
    };
    let mut connection = opened.map_err(sqlite)?;
    connection.busy_timeout(PATIENCE).map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(128);
    // Without it, each new value for a parameter that a partial index could depend on has its
    // statement prepared again.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .and_then(|_| confine::confine(&connection))
        .map_err(sqlite)?;
    let found = identify(&connection, path)?;
    let is_older = found < version();
    let is_writable = connection
        .is_readonly("main")
        .is_ok_and(|read_only| !read_only);
    // One in another mode than that of the log is put into it, as by every verb.
    if !is_older && (!is_writable && access == Access::Look || lies_still && has_log(folder)) {
        return Ok((connection, None));
    }
    if is_older || !folder.shims().exists() {
        make_folders(folder)?;
    }
    let kept = if is_older || (is_writable && !has_log(folder)) {
        migrate(&mut connection, folder)?
    } else {
        None
    };
    // The daemon's connection keeps the log small; the sync after COMMIT is Store::sync's.
    connection
        .execute_batch("PRAGMA synchronous = NORMAL")
        .map_err(sqlite)?;
    // SAFETY: the handle is open for the whole call.
    unsafe { ffi::sqlite3_wal_autocheckpoint(connection.handle(), LOG_PAGES) };
    keep_wal(&connection);
    limit_wal(&connection, folder).map_err(sqlite)?;
    Ok((connection, kept))
}

/// A log that is kept goes on where it ended, and who opens it alone reads all of it: one that has
/// grown is cut when the last connection closes, after its content is in the database.
fn limit_wal(connection: &Connection, folder: &Folder) -> rusqlite::Result<()> {
    let length = folder.wal().metadata().map_or(0, |found| found.len());
    if length <= WAL_MAX {
        return Ok(());
    }
    connection.execute_batch(&format!("PRAGMA journal_size_limit = {WAL_MAX};"))
}
