//! The options of `retrier doctor`.

use clap::Args;

/// Look whether database, daemon and machine are well
///
/// Changes nothing, and works while a daemon serves. The database: whether every open attempt is known,
/// every lock and pool is somebody's, how long its log is, who may look into it. The daemon: whether it
/// lives, looks at what is due, and ends what has to end. The machine: its filesystem, room and clock, and
/// the limits that the daemon was started with. One line for each thing found: how bad it is, what was
/// looked at, what is wrong, what to do about it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  retrier doctor\n  retrier doctor --deep --json | jq '.findings[]'\n\n\
    In a pipe the fields are separated by tabs: error or warning, what was looked at, what is wrong, what\n\
    to do.\n\nExit codes: 0 nothing is wrong (warnings are no error), 1 something is."
)]
pub struct DoctorArgs {
    /// Read all that is stored, too: SQLite's own check, and whether every history, attempt, ending,
    /// hook, count and file fits the others
    #[arg(long)]
    pub deep: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
