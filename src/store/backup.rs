//! `retrier backup`: a copy of the database for the day when it is lost.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::files::{self, FileIdentity, Owned, file_identity};

use super::copy::{Copied, Draft, Publish, not_copied};
use super::error::StoreError;
use super::folder::{Folder, beside};
use super::look;
use super::open::Store;
use super::place;

impl Store {
    /// Makes `target` a copy of what is stored at this moment, durable and whole, or not at all.
    /// Others go on meanwhile. With `replace` it takes the place of a file that stands there. Errors:
    /// it may not be there, or something stands there; the database is damaged; no room.
    pub fn copy_to(&self, target: &Path, replace: bool) -> Result<Copied, StoreError> {
        let target = resolved(target)?;
        check(self.folder(), &target, replace)?;
        let draft = Draft::begin(&target)?;
        let copied = draft.fill(&self.connection, self.folder())?;
        let how = if replace {
            // What stands there may be another one by now.
            check(self.folder(), &target, replace)?;
            Publish::Replace
        } else {
            Publish::New
        };
        if draft.publish(&target, how)? {
            Ok(copied)
        } else {
            Err(there_already(&target))
        }
    }
}

/// `target` with the real path of its folder, so that it can be compared. Errors: it is a folder, or its
/// folder is not there.
fn resolved(target: &Path) -> Result<PathBuf, StoreError> {
    let is_folder = target.is_dir() || target.as_os_str().as_encoded_bytes().ends_with(b"/");
    let name = target.file_name().filter(|_| !is_folder);
    let name = name.ok_or_else(|| {
        let hint = "name the file that is to be made, in this folder or another";
        not_copied(target, "it is a folder, and no file", hint)
    })?;
    let above = target.parent().unwrap_or(Path::new("/"));
    let above = std::fs::canonicalize(above).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let hint = "make the folder first (mkdir -p), or name a file in one that is there";
            not_copied(target, "its folder is not there", hint)
        }
        _ => StoreError::from_io(above, error),
    })?;
    Ok(above.join(name))
}

/// Looks whether a copy may be put there. What a look has left beside one that is to be replaced is
/// removed. Errors: why not.
fn check(folder: &Folder, target: &Path, replace: bool) -> Result<(), StoreError> {
    place::check_above(target.parent().unwrap_or(Path::new("/")), "the copy")?;
    let wal = folder.wal();
    let (shm, journal) = (folder.shm(), folder.journal());
    let own = [folder.database(), &wal, &shm, &journal, folder.path()];
    if own.iter().any(|own| is_same(own, target)) {
        let hint = "a copy needs a name of its own; --db names what is copied";
        return Err(not_copied(target, "it is the database itself", hint));
    }
    let inside = identity(folder.path());
    if inside.is_some() && target.ancestors().any(|above| identity(above) == inside) {
        let cause = "it is in the folder of the database, which is lost with it";
        let hint = "name a file elsewhere, at best on another disk";
        return Err(not_copied(target, cause, hint));
    }
    if replace {
        look::clear(target);
    }
    for suffix in ["-wal", "-journal", ".d"] {
        if beside(target, suffix).symlink_metadata().is_ok() {
            let name = beside(Path::new(target.file_name().unwrap_or_default()), suffix);
            let cause = format!(
                "a database lives there, because {} is beside it",
                name.display()
            );
            let hint = "name another file; this one can be replaced once nothing is beside it";
            return Err(not_copied(target, &cause, hint));
        }
    }
    let found = files::look_at(target).map_err(|error| StoreError::from_io(target, error))?;
    match found {
        Owned::Absent => Ok(()),
        Owned::Link => {
            let hint = "name the file that it points to";
            Err(not_copied(target, "it is a symbolic link", hint))
        }
        _ if !replace => Err(there_already(target)),
        _ if !target.is_file() => {
            let hint = "name another file, or one that is not there yet";
            Err(not_copied(target, "it is no regular file", hint))
        }
        Owned::Ours | Owned::Foreign(_) | Owned::Writable => Ok(()),
    }
}

fn there_already(target: &Path) -> StoreError {
    StoreError::There {
        path: target.to_owned(),
    }
}

/// Are both the same file, by whatever names, or would they be?
fn is_same(own: &Path, target: &Path) -> bool {
    let there = identity(own);
    let name = own.file_name() == target.file_name();
    let (above, target_above) = (own.parent(), target.parent());
    let in_one_folder = above.and_then(identity) == target_above.and_then(identity);
    (name && in_one_folder) || (there.is_some() && there == file_identity(target))
}

/// Which file or folder a path leads to, links followed.
fn identity(path: &Path) -> Option<FileIdentity> {
    file_identity(&std::fs::canonicalize(path).ok()?)
}
