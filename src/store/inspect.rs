//! Looking at a database with the eyes of a stranger: is what is stored what may be stored?
//!
//! Nothing is written or mended here, and nothing is believed because the other rooms would have it so.
//! What costs the same however long the history is stands here; what reads all of it in [`rules`] and
//! [`counted`], and the files in [`files`].

mod counted;
mod files;
mod rules;

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::model::{Finding, RunId, Timestamp};

use super::confine;
use super::error::StoreError;
use super::folder::Folder;
use super::index;
use super::look;
use super::migrate::identify;
use super::pass::OpenAttempt;
use super::place;
use super::queue::Outlook;
use super::read::Reader;
use super::schema::version;

/// A writer that makes the layout, or a daemon that writes the log back, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A write-ahead log of more bytes is kept by somebody who reads and does not end.
const WAL_MAX: u64 = 64 << 20;

/// So many lines of one kind are enough to know.
const LINES_MAX: usize = 5;

/// A database that is open for reading alone.
#[derive(Debug)]
pub struct Inspection {
    connection: Connection,
    folder: Folder,
}

/// An attempt that occupies a slot, with the times that tell whether it does so for too long.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenSince {
    /// The attempt.
    pub open: OpenAttempt,
    /// When it was started.
    pub started_at: Timestamp,
    /// When its run was canceled.
    pub canceled_at: Option<Timestamp>,
    /// The deadline of its run.
    pub deadline_at: Option<Timestamp>,
}

/// What there is, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Census {
    /// How many runs have not ended.
    pub unfinished: u64,
    /// The latest time that is stored of something that has happened.
    pub latest: Option<Timestamp>,
    /// What there is to do.
    pub outlook: Outlook,
    /// The attempts that occupy a slot.
    pub open: Vec<OpenSince>,
}

impl Inspection {
    /// Opens the database of `folder` without changing it. `None`: there is none yet. Errors: it must not
    /// be used, or cannot be read; which is a finding too.
    pub fn open(folder: &Folder) -> Result<Option<Self>, StoreError> {
        Self::within(folder, PATIENCE)
    }

    /// The same, with so much patience for who is in the way.
    pub fn within(folder: &Folder, patience: Duration) -> Result<Option<Self>, StoreError> {
        if !place::check(folder)? {
            return Ok(None);
        }
        let path = folder.database();
        let sqlite = |error| StoreError::from_sqlite(path, error);
        // As every first connection does, see `index`.
        let index = folder.wal().exists();
        let index = index.then(|| index::prepare(&folder.shm())).transpose();
        let _until_connected = index.map_err(|error| StoreError::from_io(path, error))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = look::connect(folder, flags).map_err(sqlite)?;
        connection.busy_timeout(patience).map_err(sqlite)?;
        confine::confine(&connection).map_err(sqlite)?;
        let found = identify(&connection, path)?;
        if found == 0 {
            // It is empty, or being made at this moment.
            return Ok(None);
        }
        let known = version();
        if found < known {
            let path = path.to_owned();
            return Err(StoreError::Older { path, found, known });
        }
        Ok(Some(Self {
            connection,
            folder: folder.clone(),
        }))
    }

    /// What there is now.
    pub fn census(&self) -> Result<Census, StoreError> {
        self.at_once(census)
    }

    /// Whether what is stored may be stored. `deep` reads all of it, and the folder.
    pub fn findings(&self, deep: bool) -> Result<Vec<Finding>, StoreError> {
        let mut found = files::private(&self.folder)?;
        found.extend(self.log_length());
        // Before the moment at which the database is read: what is in it then is known to it.
        let written = deep.then(|| files::written(&self.folder)).transpose()?;
        self.at_once(|read| {
            for rule in rules::shallow() {
                found.extend(rule.broken(read)?);
            }
            found.extend(rules::pools_readable(read)?);
            if let Some(written) = &written {
                found.extend(rules::integrity(read)?);
                for rule in rules::deep() {
                    found.extend(rule.broken(read)?);
                }
                found.extend(rules::readable(read)?);
                found.extend(counted::counted(read)?);
                found.extend(files::unknown(&self.folder, read, written)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn log_length(&self) -> Option<Finding> {
        let length = self.folder.wal().metadata().map_or(0, |found| found.len());
        (length > WAL_MAX).then(|| {
            Finding::warning(
                "log",
                format!("the write-ahead log has {} MiB", length >> 20),
                format!(
                    "somebody reads and does not end: `fuser -v {}`",
                    self.folder.shm().display()
                ),
            )
        })
    }

    /// Lets `look` see one moment.
    pub fn at_once<T>(
        &self,
        look: impl FnOnce(Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = self.folder.database();
        let begun = self.connection.unchecked_transaction();
        let _moment = begun.map_err(|error| StoreError::from_sqlite(path, error))?;
        look(Reader::new(&self.connection, path, None))
    }
}

/// The ids are in the order of the runs' times, so the last one stored is the one with the highest id.
const LATEST: &str = "SELECT max((SELECT max(finished_at) FROM run INDEXED BY run_finished \
     WHERE finished_at IS NOT NULL), (SELECT created_at FROM run ORDER BY id DESC LIMIT 1))";

fn census(read: Reader<'_>) -> Result<Census, StoreError> {
    let open = read.open_attempts()?.into_iter();
    let open = open.map(|open| open_since(read, open));
    Ok(Census {
        unfinished: read.one(
            "SELECT count(*) FROM run INDEXED BY run_pending WHERE finished_at IS NULL",
            |row| row.get::<_, i64>(0).map(|count| count as u64),
        )?,
        latest: read.one(LATEST, |row| super::row::time(row, 0))?,
        outlook: read.outlook()?,
        open: open.collect::<Result<_, _>>()?,
    })
}

fn open_since(read: Reader<'_>, open: OpenAttempt) -> Result<OpenSince, StoreError> {
    let RunId(id) = open.run;
    let sql = "SELECT started_at, finished_at, deadline_at FROM attempt JOIN run ON run.id = run_id \
               WHERE run_id = ?1 AND number = ?2";
    let times = read.rows(sql, [id, i64::from(open.attempt.0)], |row| {
        let started_at = Timestamp::from_millis(row.get(0)?);
        Ok((
            started_at,
            super::row::time(row, 1)?,
            super::row::time(row, 2)?,
        ))
    })?;
    // It was found a moment ago in the same transaction.
    let (started_at, canceled_at, deadline_at) =
        times
            .first()
            .copied()
            .unwrap_or((Timestamp::from_millis(0), None, None));
    Ok(OpenSince {
        open,
        started_at,
        canceled_at,
        deadline_at,
    })
}
