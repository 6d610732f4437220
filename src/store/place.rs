//! Where a database may be: a file of this user alone, in a folder that nobody else can change, on
//! a disk of this machine. Looked at before anything is made or opened.

use std::path::Path;

use crate::sys::files::{self, Owned};
use crate::sys::filesystem::{self, Reach};

use super::error::StoreError;
use super::folder::Folder;

/// Looks at the database and all around it. `false`: it is not there yet. Errors: it must not be
/// used, and why.
pub fn check(folder: &Folder) -> Result<bool, StoreError> {
    let path = folder.database();
    let io = |error| StoreError::from_io(path, error);
    let above = nearest(path);
    if let Reach::Network(name) = filesystem::reach(above).map_err(io)? {
        return Err(StoreError::Network {
            path: path.to_owned(),
            name,
        });
    }
    if files::is_open_to_others(above).map_err(io)? {
        return Err(not_private(
            above,
            "can be written to by other users, who could replace the database".to_owned(),
        ));
    }
    let there = private(path)?;
    for path in [folder.path(), &folder.wal(), &folder.shm()] {
        private(path)?;
    }
    if folder.path().exists() && !folder.path().is_dir() {
        return Err(not_private(folder.path(), "is no folder".to_owned()));
    }
    if there && !path.is_file() {
        return Err(not_private(path, "is no regular file".to_owned()));
    }
    refuse_truncated(folder)?;
    Ok(there)
}

/// Whether the database lies on a filesystem that nobody can vouch for.
pub fn is_doubtful(folder: &Folder) -> bool {
    let reach = filesystem::reach(nearest(folder.database()));
    reach.is_ok_and(|reach| reach == Reach::Unknown)
}

/// The folder of the database, or the nearest one above it that is there already; what is made
/// below it will be private.
fn nearest(database: &Path) -> &Path {
    let mut above = database.ancestors().skip(1);
    above.find(|above| above.exists()).unwrap_or(Path::new("/"))
}

/// Is it there? Errors: it is not this user's alone.
fn private(path: &Path) -> Result<bool, StoreError> {
    let found = files::look_at(path).map_err(|error| StoreError::from_io(path, error))?;
    let fault = match found {
        Owned::Absent => return Ok(false),
        Owned::Ours => return Ok(true),
        Owned::Foreign(uid) => {
            let own = files::own_uid();
            format!("belongs to user {uid}, and this is user {own}")
        }
        Owned::Link => "is a symbolic link".to_owned(),
        Owned::Writable => "can be written to by other users".to_owned(),
    };
    Err(not_private(path, fault))
}

/// An empty file that has a log was a database once; SQLite would begin a new one there. The log is
/// looked at first: who makes a database writes to the file before there is a log.
fn refuse_truncated(folder: &Folder) -> Result<(), StoreError> {
    let is_empty = |path: &Path| path.metadata().is_ok_and(|found| found.len() == 0);
    if folder.wal().exists() && is_empty(folder.database()) {
        return Err(StoreError::Damaged {
            path: folder.database().to_owned(),
            cause: "it is empty, and it has a log".to_owned(),
        });
    }
    Ok(())
}

fn not_private(path: &Path, fault: String) -> StoreError {
    StoreError::NotPrivate {
        path: path.to_owned(),
        fault,
    }
}
