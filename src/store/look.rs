//! Opening a database for a look alone. A copy that lies still, which nobody has used since it was made, lies
//! there afterwards as it did before: SQLite makes a log to read with, and takes it away again.
//!
//! That is left to SQLite, whose last connection removes the log under its own locks. So it is safe when
//! somebody else begins to use the copy meanwhile.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::sys::files::{self, Owned, Use, may};

use super::confine;
use super::folder::Folder;
use super::migrate::layout;

/// Has nobody used it who would miss what is beside it? The log that somebody has left who looked is empty.
pub(super) fn lies_still(folder: &Folder) -> bool {
    let is_absent = |path: &Path| path.symlink_metadata().is_err();
    let logged = folder.wal().symlink_metadata();
    is_absent(folder.path())
        && is_absent(&folder.journal())
        && logged.map_or(true, |log| log.len() == 0)
}

/// Can nobody make a log, and is there none? Then nobody can change the database, and SQLite reads it
/// without one.
fn is_fixed(folder: &Folder) -> bool {
    let made = [folder.wal(), folder.journal()];
    let is_bare = made.iter().all(|path| path.symlink_metadata().is_err());
    let above = folder.database().parent().unwrap_or(Path::new("/"));
    is_bare && may(above, Use::Write).is_err()
}

/// A connection to look with. `as_is` are the flags for a database that is used.
pub(super) fn connect(folder: &Folder, as_is: OpenFlags) -> rusqlite::Result<Connection> {
    let path = folder.database();
    if is_fixed(folder) {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        return Connection::open_with_flags(immutable(path), flags);
    }
    // Without leave to write nobody can take away the log that he has made.
    let flags = if lies_still(folder) {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
    } else {
        as_is
    };
    Connection::open_with_flags(path, flags)
}

/// Takes away what is left beside the copy at `path` of whoever looked at it, an empty log and its index, if it
/// lies still and nobody has it open.
pub(super) fn clear(path: &Path) {
    let folder = Folder::of(path);
    let is_ours = files::look_at(path).is_ok_and(|found| found == Owned::Ours) && path.is_file();
    if !is_ours || !lies_still(&folder) || !folder.wal().exists() {
        return;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // What cannot be cleared stays, and is told of by whoever is kept from something by it.
    let _ = Connection::open_with_flags(path, flags).and_then(|copy| {
        copy.busy_timeout(Duration::ZERO)?;
        confine::confine(&copy)?;
        layout(&copy)
    });
}

/// The name by which SQLite takes the file at `path` for one that nobody changes (sqlite.org/uri.html).
fn immutable(path: &Path) -> PathBuf {
    let mut name = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => name.extend(format!("%{byte:02X}").bytes()),
            other => name.push(*other),
        }
    }
    name.extend(b"?immutable=1");
    OsString::from_vec(name).into()
}
