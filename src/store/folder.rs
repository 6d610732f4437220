//! Where everything lives: the database `FILE`, and beside it the folder `FILE.d`.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::{AttemptNumber, RunId};

/// The paths of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    database: PathBuf,
    folder: PathBuf,
}

/// One of the two streams that are kept of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

impl Stream {
    fn extension(self) -> &'static str {
        match self {
            Self::Stdout => "out",
            Self::Stderr => "err",
        }
    }
}

/// The path of what belongs to a file, and is named after it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

impl Folder {
    /// The paths that belong to the database at `database`, an absolute path.
    pub fn of(database: &Path) -> Self {
        Self {
            database: database.to_owned(),
            folder: beside(database, ".d"),
        }
    }

    /// The database that is meant when nobody names one: `$XDG_STATE_HOME/retrier/retrier.db`, by default
    /// below the home folder. `None`: there is no home folder.
    pub fn standard() -> Option<PathBuf> {
        base("XDG_STATE_HOME", ".local/state").map(|state| state.join("retrier/retrier.db"))
    }

    /// The database file.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// SQLite's write-ahead log.
    pub fn wal(&self) -> PathBuf {
        beside(&self.database, "-wal")
    }

    /// The index of that log.
    pub fn shm(&self) -> PathBuf {
        beside(&self.database, "-shm")
    }

    /// The journal that SQLite would play back if it found one.
    pub fn journal(&self) -> PathBuf {
        beside(&self.database, "-journal")
    }

    /// The folder that holds all the rest.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The folder, opened, for addresses that must be short. Errors: see open(2).
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.folder)
    }

    /// The file whose lock the daemon holds.
    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// The file whose lock is held by whoever restarts the daemon.
    pub fn restart(&self) -> PathBuf {
        self.folder.join("restart")
    }

    /// The name of the doorbell's socket in the folder.
    pub const DOORBELL: &'static str = "doorbell";

    /// The doorbell's socket.
    pub fn doorbell(&self) -> PathBuf {
        self.folder.join(Self::DOORBELL)
    }

    /// What a daemon that nobody looks at has to say.
    pub fn daemon_log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// Where the database is kept as it was before it got this layout; the copies of different states
    /// are counted from 1.
    pub fn before_layout(&self, layout: i64, number: u32) -> PathBuf {
        let count = if number > 1 {
            format!(".{number}")
        } else {
            String::new()
        };
        self.folder
            .join(format!("before-layout-{layout}{count}.db"))
    }

    /// The one before it, which became too long.
    pub fn old_daemon_log(&self) -> PathBuf {
        self.folder.join("daemon.log.1")
    }

    /// The folder of what attempts wrote.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// The folder of shims' files.
    pub fn shims(&self) -> PathBuf {
        self.folder.join("shims")
    }

    /// The file of a captured input, by the digest of its content in hexadecimal.
    pub fn input(&self, digest: &str) -> PathBuf {
        self.folder.join(Self::input_name(digest))
    }

    /// The name of that file within the folder.
    pub fn input_name(digest: &str) -> String {
        format!("input/{digest}")
    }

    /// What an attempt wrote to one of its streams; an empty stream has no file.
    pub fn output(&self, run: RunId, attempt: AttemptNumber, stream: Stream) -> PathBuf {
        self.folder.join(Self::output_name(run, attempt, stream))
    }

    /// The name of that file within the folder.
    pub fn output_name(run: RunId, attempt: AttemptNumber, stream: Stream) -> String {
        let thousand = run.0 / 1000;
        format!("logs/{thousand}/{run}.{attempt}.{}", stream.extension())
    }

    /// The file into which an attempt may write its decision.
    pub fn decision(&self, run: RunId, attempt: AttemptNumber) -> PathBuf {
        self.folder.join(Self::decision_name(run, attempt))
    }

    /// The name of that file within the folder.
    pub fn decision_name(run: RunId, attempt: AttemptNumber) -> String {
        let thousand = run.0 / 1000;
        format!("logs/{thousand}/{run}.{attempt}.decision")
    }

    /// Is it the name of such a file within the folder?
    pub fn is_decision(name: &str) -> bool {
        name.starts_with("logs/") && name.ends_with(".decision")
    }
}

/// The folder that `variable` names, by default `below` the home folder, which is looked up in the user
/// database when HOME is not set. Relative values are ignored, as the XDG specification demands. `None`:
/// there is no home folder.
pub fn base(variable: &str, below: &str) -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let named = env::var_os(variable).map(PathBuf::from).and_then(absolute);
    let home = || env::home_dir().and_then(absolute);
    named.or_else(|| home().map(|home| home.join(below)))
}
