//! What can go wrong with a database, named for the person who has to mend it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use crate::model::RunId;
use crate::model::pool::DEFAULT;
use crate::sys::files::{Use, is_full, may};

/// Why the store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such run.
    #[error("no run {id} in {path}")]
    NoRun {
        /// The number that was asked for.
        id: RunId,
        /// The database that was looked into.
        path: PathBuf,
    },
    /// No run has this key.
    #[error("no run with the key \"{key}\" in {path}")]
    NoKey {
        /// The key that was asked for.
        key: String,
        /// The database that was looked into.
        path: PathBuf,
        /// Keys that there are.
        others: Vec<String>,
    },
    /// There is no such pool.
    #[error("there is no pool {pool}; there {known}")]
    NoPool {
        /// The name that was asked for.
        pool: String,
        /// Which there are, in words.
        known: String,
        /// The names of those that there are.
        others: Vec<String>,
    },
    /// A pool takes no more runs.
    #[error("the pool {pool} has as many unfinished runs as it may have (--max-pending)")]
    PoolFull {
        /// Its name.
        pool: String,
    },
    /// The database is not there, nor is the folder that it would be in.
    #[error("there is no folder {folder} for {path}")]
    NoFolder {
        /// The file that was named.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The file holds something else.
    #[error("{path} is not a database of retrier")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// A newer retrier has changed the layout.
    #[error("{path} was written by a newer retrier (layout {found}, this one knows {known})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its `user_version`.
        found: i64,
        /// The newest layout of this program.
        known: i64,
    },
    /// An older retrier has made the layout.
    #[error("{path} was written by an older retrier (layout {found}, this one has {known})")]
    Older {
        /// The file.
        path: PathBuf,
        /// Its `user_version`.
        found: i64,
        /// The layout of this program.
        known: i64,
    },
    /// The file is damaged.
    #[error("{path} is damaged: {cause}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        cause: String,
    },
    /// A path is not this user's own.
    #[error("{path} {fault}")]
    NotPrivate {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// No room.
    #[error("the disk of {path} is full")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another program has held the database for too long.
    #[error("{path} is busy: another program does not let go of it")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Another file, or none, stands at the path by now.
    #[error("{path} was removed or replaced while it was in use")]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// The lock of a daemon is no more where another one would look for it.
    #[error("{path} was removed or replaced, so another daemon may hold the database")]
    Displaced {
        /// The lock's file.
        path: PathBuf,
    },
    /// The file would lie where other machines can write to it too.
    #[error("{path} is on a network filesystem ({name}), whose locks cannot be trusted")]
    Network {
        /// The file.
        path: PathBuf,
        /// The kind of filesystem.
        name: &'static str,
    },
    /// A copy cannot be made there.
    #[error("cannot copy to {path}: {cause}")]
    NotCopied {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        cause: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A file stands where a copy is to be.
    #[error("{path} is there already")]
    There {
        /// The file.
        path: PathBuf,
    },
    /// An earlier layout cannot be kept, and so is not changed.
    #[error("{path} has an earlier layout, and a copy of it cannot be kept: {cause}")]
    NotKept {
        /// The database.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// It cannot be written to.
    #[error("{path} is read-only")]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The transaction may or may not be on the disk.
    #[error("{path}: the commit failed half-way: {cause}")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What failed.
        cause: String,
    },
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Anything else that SQLite says.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// There is no pool `name` while nothing was ever stored.
    pub fn no_pool_yet(name: &str) -> Self {
        Self::NoPool {
            pool: name.to_owned(),
            known: format!("is {DEFAULT}"),
            others: vec![DEFAULT.to_owned()],
        }
    }

    /// The error that SQLite's `source` means for the database at `path`.
    pub(super) fn from_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotOurs { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path,
                cause: source.to_string(),
            },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            // The index of the log cannot grow.
            Some(ErrorCode::SystemIoFailure) if extended(&source) == ffi::SQLITE_IOERR_SHMSIZE => {
                Self::Full { path }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            // SQLite does not say why. It must not be opened here: closing it would take away the
            // locks that SQLite has on it.
            Some(ErrorCode::CannotOpen) => match may(&path, Use::Read) {
                Err(error) => Self::from_io(&path, error),
                Ok(())
                    if path
                        .parent()
                        .is_some_and(|above| may(above, Use::Write).is_err()) =>
                {
                    Self::ReadOnly { path }
                }
                Ok(()) => Self::Sqlite { path, source },
            },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            _ => Self::Sqlite { path, source },
        }
    }

    /// An error of a file operation on `path`.
    pub(super) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            _ if is_full(&source) => Self::Full { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io { path, source },
        }
    }

    /// What to do next, for the person who reads the message.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRun { .. } | Self::NoKey { .. } => {
                Some("`retrier list` shows the runs that are stored")
            }
            Self::NoPool { .. } => Some("`retrier pool set NAME` makes one"),
            Self::PoolFull { .. } => {
                Some("nothing was stored; `retrier list --pool POOL` shows what is in it")
            }
            Self::NoFolder { .. } => Some(
                "make it with mkdir if the name is right: only that of the default database is made",
            ),
            Self::NotOurs { .. } => {
                Some("name another file with --db or RETRIER_DB; this one was not touched")
            }
            Self::Older { .. } => {
                Some("any verb that opens it brings it up to date: `retrier list`")
            }
            Self::Newer { .. } => Some("upgrade retrier; the database was not touched"),
            Self::Damaged { .. } => {
                Some("keep a copy, then restore a backup; nothing was replaced")
            }
            Self::NotPrivate { hint, .. } => Some(hint),
            Self::Full { .. } => {
                Some("free some room and try again; what attempts wrote is in FILE.d/logs")
            }
            Self::Busy { .. } => Some("something holds a transaction open; is a daemon stopped?"),
            Self::Unknown { .. } => Some("look with `retrier list` before you submit it again"),
            Self::Network { .. } => {
                Some("name a file on a disk of this machine, with --db or RETRIER_DB")
            }
            Self::ReadOnly { .. } => Some("to change it, make the file and its folder writable"),
            Self::NotCopied { hint, .. } => Some(hint),
            Self::There { .. } => Some("`--force` replaces it"),
            Self::NotKept { .. } => {
                Some("free as much room as the database takes and try again; it was not changed")
            }
            Self::Replaced { .. } => Some("the next call opens what is there now"),
            Self::Displaced { .. } => Some("`retrier daemon status` says who holds it"),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("`ls -ld` shows whose it is; --db or RETRIER_DB name another file")
            }
            Self::Io { .. } => Some("--db or RETRIER_DB name another file"),
            Self::Sqlite { .. } => Some("`retrier doctor` looks what is wrong"),
        }
    }
}

fn extended(error: &rusqlite::Error) -> i32 {
    error
        .sqlite_error()
        .map_or(ffi::SQLITE_OK, |error| error.extended_code)
}
