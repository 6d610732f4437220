//! The files beside a database: nobody else's, and none that nobody knows of.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::Finding;
use crate::store::error::StoreError;
use crate::store::folder::Folder;
use crate::store::read::Reader;

use super::LINES_MAX;

/// Which of the paths that hold what was stored can be looked into by others, or hold something else. What
/// stands there is not opened: nobody would write into a pipe.
pub(super) fn private(folder: &Folder) -> Result<Vec<Finding>, StoreError> {
    let mut found = Vec::new();
    for (path, is_folder) in [
        (folder.database(), false),
        (&folder.wal(), false),
        (&folder.shm(), false),
        (folder.path(), true),
        (&folder.lock(), false),
        (&folder.logs(), true),
        (&folder.shims(), true),
        (&folder.daemon_log(), false),
    ] {
        let there = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(|error| StoreError::from_io(path, error))?,
        };
        let mode = there.mode();
        let expected = match is_folder {
            true if !there.is_dir() => Some("folder"),
            false if !there.is_file() => Some("regular file"),
            true | false => None,
        };
        if let Some(expected) = expected {
            found.push(Finding::error(
                "files",
                format!("{} is no {expected}", path.display()),
                "move it away: what belongs there is made when it is needed",
            ));
        } else if mode & 0o077 != 0 {
            found.push(Finding::error(
                "modes",
                format!(
                    "{} is open to others (mode {:04o})",
                    path.display(),
                    mode & 0o7777
                ),
                format!("chmod go= {}", path.display()),
            ));
        }
    }
    Ok(found)
}

/// A file of what an attempt wrote.
#[derive(Debug)]
pub(super) struct Written {
    /// Its name within the folder.
    name: String,
    /// The run that its name tells of.
    run: Option<i64>,
    /// The attempt that its name tells of.
    attempt: Option<i64>,
}

/// All files of what attempts wrote.
pub(super) fn written(folder: &Folder) -> Result<Vec<Written>, StoreError> {
    let mut found = Vec::new();
    for thousand in entries(&folder.logs())? {
        for path in entries(&thousand)? {
            let Ok(name) = path.strip_prefix(folder.path()) else {
                continue;
            };
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let mut parts = file.split('.').map(|part| part.parse().ok());
            found.push(Written {
                run: parts.next().flatten(),
                attempt: parts.next().flatten(),
                name: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(found)
}

/// The paths in the folder `path`; none when it is not there, or is no folder.
fn entries(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = match fs::read_dir(path) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        other => other.map_err(|error| StoreError::from_io(path, error))?,
    };
    let paths = read.map(|entry| entry.map(|entry| entry.path()));
    let paths = paths.collect::<io::Result<Vec<_>>>();
    paths.map_err(|error| StoreError::from_io(path, error))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Which of the files `written`, listed before the moment that `read` sees, belong to no attempt that is
/// stored and are not about to be removed. One that is there by then, whose attempt is not, was forgotten
/// in between: then its name is in the list, or it is gone by now.
pub(super) fn unknown(
    folder: &Folder,
    read: Reader<'_>,
    written: &[Written],
) -> Result<Vec<Finding>, StoreError> {
    let mut unknown = Vec::new();
    for file in written {
        if !is_known(read, file)? && folder.path().join(&file.name).symlink_metadata().is_ok() {
            unknown.push(folder.path().join(&file.name));
        }
    }
    let more = unknown.len().saturating_sub(LINES_MAX);
    let first = unknown.iter().take(LINES_MAX);
    let mut found: Vec<Finding> = first
        .map(|path| {
            Finding::warning(
                "files",
                format!("{} belongs to no attempt that is stored", path.display()),
                "remove it, if nobody needs it",
            )
        })
        .collect();
    if let (1.., Some(last)) = (more, found.last_mut()) {
        last.what.push_str(&format!(", nor do {more} more"));
    }
    Ok(found)
}

/// A run of which nobody was told can have started, and a power cut takes it: the next one with its number
/// writes these files anew.
fn is_known(read: Reader<'_>, file: &Written) -> Result<bool, StoreError> {
    let known = read.rows(
        "SELECT EXISTS (SELECT 1 FROM attempt WHERE run_id = ?1 AND number = ?2) \
         OR EXISTS (SELECT 1 FROM trash WHERE name = ?3) \
         OR ?1 > (SELECT seq FROM sqlite_sequence WHERE name = 'run') IS TRUE",
        (file.run, file.attempt, &file.name),
        |row| row.get::<_, bool>(0),
    )?;
    Ok(known.first() == Some(&true))
}
