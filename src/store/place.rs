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
    // One that is to be made will be private, whatever is above it.
    if path.parent() == Some(above) {
        check_above(above, "the database")?;
    }
    // Before the file itself: who makes a database makes the file before there is a log.
    let logged = length(&folder.wal()).is_some();
    let there = private(path)?;
    for path in [
        folder.path(),
        &folder.wal(),
        &folder.shm(),
        &folder.journal(),
    ] {
        private(path)?;
    }
    if folder.path().exists() && !folder.path().is_dir() {
        return Err(not_private(folder.path(), "is no folder", "move it away"));
    }
    if there {
        is_plain_file(path)?;
    }
    let cause = match length(path) {
        // SQLite would begin a new database there, with what the log holds of the old one.
        None if length(&folder.wal()).is_some_and(|length| length > 0) => {
            "it is gone, and its log (-wal) is there: without it a new one could begin"
        }
        Some(0) if logged => "it is empty, and it has a log",
        _ => return Ok(there),
    };
    Err(StoreError::Damaged {
        path: path.to_owned(),
        cause: cause.to_owned(),
    })
}

/// Looks at the folder `above` of `what`. Errors: others could replace that.
pub(super) fn check_above(above: &Path, what: &str) -> Result<(), StoreError> {
    let found = files::look_at_folder(above);
    let found = found.map_err(|error| StoreError::from_io(above, error))?;
    let (who, hint) = match found {
        Owned::Foreign(uid) => (
            format!("belongs to user {uid}"),
            "make a folder of your own",
        ),
        Owned::Writable => ("can be written to by other users".to_owned(), MODES),
        Owned::Ours | Owned::Absent | Owned::Link => return Ok(()),
    };
    let fault = format!("{who}, who could replace {what}");
    Err(not_private(above, &fault, hint))
}

/// One name is all that a database may have: beside another one SQLite would look for another log.
fn is_plain_file(path: &Path) -> Result<(), StoreError> {
    let links = files::links(path).map_err(|error| StoreError::from_io(path, error))?;
    if !path.is_file() {
        let hint = "name a file, which is made if it is not there";
        return Err(not_private(path, "is no regular file", hint));
    }
    if links > 1 {
        let fault = "has more than one name (hard links), and each would have a log of its own";
        return Err(not_private(path, fault, "copy the file instead"));
    }
    Ok(())
}

fn length(path: &Path) -> Option<u64> {
    path.symlink_metadata().ok().map(|found| found.len())
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
    let (fault, hint) = match found {
        Owned::Absent => return Ok(false),
        Owned::Ours => return Ok(true),
        Owned::Foreign(uid) => {
            let own = files::own_uid();
            let fault = format!("belongs to user {uid}, and this is user {own}");
            return Err(not_private(
                path,
                &fault,
                "only its user can use a database",
            ));
        }
        Owned::Link => ("is a symbolic link", "name the file that it points to"),
        Owned::Writable => ("can be written to by other users", MODES),
    };
    Err(not_private(path, fault, hint))
}

const MODES: &str = "a database belongs to one user: mode 0600 in a folder of mode 0700";

fn not_private(path: &Path, fault: &str, hint: &'static str) -> StoreError {
    StoreError::NotPrivate {
        path: path.to_owned(),
        fault: fault.to_owned(),
        hint,
    }
}
