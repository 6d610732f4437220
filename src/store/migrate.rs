//! The layout of a database: what it is, and how it is brought up to date.
//!
//! One process does that at a time, in one transaction, so that a crash leaves the old layout whole
//! or the new one. What was there before is copied first, under the same transaction: nobody can have
//! written anything that the copy lacks.

use std::ffi::c_int;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, ffi};

use crate::sys::poll::wait_readable;
use crate::sys::{failpoint, files, lock};

use super::confine;
use super::copy::{Draft, Publish, not_copied};
use super::error::StoreError;
use super::folder::Folder;
use super::index;
use super::open::PATIENCE;
use super::schema::{APPLICATION_ID, objects, steps_after, version};

/// How often who waits for the layout to be made looks again.
const GATE_AGAIN: Duration = Duration::from_millis(5);

/// So many copies of one layout are kept beside each other: each is of another state.
const KEPT_MAX: u32 = 100;

/// The number of the layout.
pub(super) fn layout(connection: &Connection) -> rusqlite::Result<i64> {
    let mut version = connection.prepare_cached("PRAGMA user_version")?;
    version.query_row([], |row| row.get(0))
}

/// The layout of the file: 0 when it is empty. Errors: it is not ours, damaged, or newer.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let sqlite = |error| StoreError::from_sqlite(path, error);
    // One moment: another process may be making the layout.
    let _moment = connection.unchecked_transaction().map_err(sqlite)?;
    let found = layout(connection).map_err(sqlite)?;
    let application: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(sqlite)?;
    let reached = failpoint::reach("store_identifying");
    reached.map_err(|error| StoreError::from_io(path, error))?;
    let known = version();
    if (application, found) == (APPLICATION_ID, known) {
        confine::check(connection, path)?;
        return Ok(found);
    }
    let count: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(sqlite)?;
    let path = path.to_owned();
    // A layout and its version are committed together, the program's number before them.
    let whole = objects(found).map_or(found > known && count > 0, |expected| expected == count);
    match application {
        APPLICATION_ID if whole => {}
        APPLICATION_ID => {
            let cause = format!("it has {count} tables and indexes and layout version {found}");
            return Err(StoreError::Damaged { path, cause });
        }
        0 if (found, count) == (0, 0) => {}
        _ if failpoint::has_bug("takes_any_database") => {}
        _ => return Err(StoreError::NotOurs { path }),
    }
    if found > known {
        return Err(StoreError::Newer { path, found, known });
    }
    confine::check(connection, &path)?;
    Ok(found)
}

/// Brings the layout up to date. One process does it at a time, and nobody sees the new layout
/// before the log and its name in the folder are durable. Gives the copy of what was there before, if
/// this process has changed an earlier layout. Errors: it could not, and nothing is changed.
pub(super) fn migrate(
    connection: &mut Connection,
    folder: &Folder,
) -> Result<Option<PathBuf>, StoreError> {
    let path = folder.database();
    let io = |error| StoreError::from_io(path, error);
    let gate = files::open_private(&folder.path().join("migration")).map_err(io)?;
    let mut waited = Duration::ZERO;
    while !lock::try_exclusive(&gate).map_err(io)? {
        if waited > PATIENCE {
            let path = path.to_owned();
            return Err(StoreError::Busy { path });
        }
        waited += GATE_AGAIN;
        wait_readable(&[], Some(GATE_AGAIN)).map_err(io)?;
    }
    let found = identify(connection, path)?;
    let is_newest = found == version();
    if is_newest && has_log(folder) {
        return Ok(None);
    }
    let _until_connected = index::prepare(&folder.shm()).map_err(io)?;
    begin_log(connection, folder, found)?;
    if is_newest {
        return Ok(None);
    }
    failpoint::reach("store_migrating").map_err(io)?;
    confine::unconfined(connection, path, |connection| {
        take_steps(connection, folder, found)
    })
}

/// Takes the steps after layout `found`, all or none; gives the copy of what was there before.
fn take_steps(
    connection: &mut Connection,
    folder: &Folder,
    found: i64,
) -> Result<Option<PathBuf>, StoreError> {
    let path = folder.database();
    let sqlite = |error| StoreError::from_sqlite(path, error);
    let io = |error| StoreError::from_io(path, error);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sqlite)?;
    let kept = (found > 0).then(|| keep_copy(folder)).transpose();
    let kept = kept.map_err(|error| StoreError::NotKept {
        path: path.to_owned(),
        cause: error.to_string(),
    })?;
    failpoint::reach("store_copied").map_err(io)?;
    go_on_from(found, &transaction, path)?;
    failpoint::reach("store_migrated").map_err(io)?;
    transaction.commit().map_err(sqlite)?;
    failpoint::reach("store_layout_committed").map_err(io)?;
    Ok(kept)
}

/// Does the database have a log? One that is opened for reading gets it, unless it is not in WAL mode: then
/// somebody has copied it in another one, or the disk has failed when it was made, and SQLite did not say so.
pub(super) fn has_log(folder: &Folder) -> bool {
    folder.wal().exists()
}

/// Makes the log, and it and its name durable.
fn begin_log(connection: &Connection, folder: &Folder, found: i64) -> Result<(), StoreError> {
    let path = folder.database();
    let sqlite = |error| StoreError::from_sqlite(path, error);
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .map_err(sqlite)?;
    if mode != "wal" {
        let cause = format!("it cannot be put into WAL mode (it is in {mode} mode)");
        let path = path.to_owned();
        return Err(StoreError::Damaged { path, cause });
    }
    keep_wal(connection);
    // FULL syncs the log at each commit.
    let full = connection.execute_batch("PRAGMA synchronous = FULL;");
    full.map_err(sqlite)?;
    if found == 0 {
        // The first write makes the log, of a database that has something in it the first look.
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(sqlite)?;
    } else {
        layout(connection).map_err(sqlite)?;
    }
    if !has_log(folder) {
        let error = io::Error::other("it could not be made");
        return Err(StoreError::from_io(&folder.wal(), error));
    }
    for dir in [path.parent(), Some(folder.path())] {
        files::sync_dir(dir.unwrap_or(Path::new("/")))
            .map_err(|error| StoreError::from_io(path, error))?;
    }
    Ok(())
}

/// Takes the steps after layout `found`.
fn go_on_from(found: i64, transaction: &Transaction<'_>, path: &Path) -> Result<(), StoreError> {
    let sqlite = |error| StoreError::from_sqlite(path, error);
    for step in steps_after(found) {
        transaction.execute_batch(step).map_err(sqlite)?;
        failpoint::reach("store_step").map_err(|error| StoreError::from_io(path, error))?;
    }
    if found == 0 {
        transaction
            .execute(
                "INSERT INTO identity (only, name) VALUES (1, lower(hex(randomblob(8))))",
                [],
            )
            .map_err(sqlite)?;
    }
    transaction
        .pragma_update(None, "user_version", version())
        .map_err(sqlite)
}

/// Keeps a copy of an earlier layout in the folder, until somebody removes it. One that an earlier,
/// killed attempt has left is taken if it is of the same state, and never replaced.
fn keep_copy(folder: &Folder) -> Result<PathBuf, StoreError> {
    let path = folder.database();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Another connection: SQLite copies nothing while its own one writes.
    let source = Connection::open_with_flags(path, flags)
        .map_err(|error| StoreError::from_sqlite(path, error))?;
    let draft = Draft::begin(&folder.before_layout(version(), 1))?;
    draft.fill(&source, folder)?;
    for number in 1..=KEPT_MAX {
        let kept = folder.before_layout(version(), number);
        if draft.publish(&kept, Publish::New)? || draft.is_like(&kept) {
            return Ok(kept);
        }
    }
    let cause = format!("there are {KEPT_MAX} already");
    let first = folder.before_layout(version(), 1);
    Err(not_copied(&first, &cause, "remove some of them"))
}

/// Keeps the write-ahead log when the last connection closes: its name in the folder, once
/// durable, stays.
pub(super) fn keep_wal(connection: &Connection) {
    let mut on: c_int = 1;
    // SAFETY: the handle is open for the whole call, "main" is a C string, and the argument of
    // SQLITE_FCNTL_PERSIST_WAL is an int that SQLite only uses during the call.
    let code = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_PERSIST_WAL,
            (&raw mut on).cast(),
        )
    };
    debug_assert_eq!(code, ffi::SQLITE_OK);
}
