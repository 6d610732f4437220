//! The options of `retrier backup`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

/// Copy the database, while it is used
///
/// FILE becomes a whole copy of what is stored at one moment, in one file of mode 0600: runs, their
/// history, environments and captured inputs, pools. A daemon and clients go on meanwhile. It has its
/// name only when it is complete and on stable storage.
///
/// It does not hold what attempts wrote, which is in FILE.d/logs beside the database, nor what an
/// attempt that runs at that moment will come to.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  retrier backup /srv/backup/retrier.db\n  \
        retrier backup --force --json ~/retrier-copy.db\n\n\
        To restore a copy: stop the daemon, move FILE, FILE-wal, FILE-shm and FILE.d of the lost\n\
        database away, and put the copy in the place of FILE. Attempts that ran when it was made\n\
        are waited for as long as they are alive on this machine, and are lost then: charged, and\n\
        retried as their runs say. Never have both served. New runs get ids that are a million\n\
        further on, so that none is given twice.")]
pub struct BackupArgs {
    /// The copy; its folder must belong to this user
    #[arg(value_name = "FILE",
          value_parser = OsStringValueParser::new().try_map(file))]
    pub file: PathBuf,

    /// Replace FILE if it is there
    #[arg(long)]
    pub force: bool,

    /// Print what was copied as JSON
    #[arg(long)]
    pub json: bool,
}

/// A copy is a file with a name: it is made beside that, and checked, before it gets it.
fn file(text: OsString) -> Result<PathBuf, String> {
    match text.to_str() {
        Some("") => Err("it must be the name of a file".to_owned()),
        Some("-") => Err("a copy must be a file, not standard output".to_owned()),
        Some(_) | None => Ok(text.into()),
    }
}
