//! The command line, as clap derives it: every value is parsed here, and nowhere else.

mod act;
mod daemon;
mod look;
mod run;
mod values;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use act::{CancelArgs, CleanupArgs, WaitArgs};
pub use daemon::{DaemonArgs, DaemonVerb, StopArgs};
pub use look::{ListArgs, LogsArgs, StatusArgs};
pub use run::RunArgs;

/// Run a command so that it is not lost: stored, retried with backoff, its result kept.
#[derive(Debug, Parser)]
#[command(
    name = "retrier",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 retrier could not do it, 2 wrong usage, 3 no such run, \
                  4 the run's state forbids it.\n`retrier help VERB` tells more of a verb."
)]
pub struct Cli {
    /// The database; everything else lives beside it in FILE.d
    ///
    /// Default: $XDG_STATE_HOME/retrier/retrier.db, or ~/.local/state/retrier/retrier.db.
    #[arg(
        long,
        value_name = "FILE",
        env = "RETRIER_DB",
        global = true,
        hide_env_values = true
    )]
    pub db: Option<PathBuf>,

    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Store a command and have it run until it succeeds
    Run(Box<RunArgs>),
    /// Wait until runs have ended
    Wait(WaitArgs),
    /// Show runs: state, attempts, result
    Status(StatusArgs),
    /// List runs, the newest first
    List(ListArgs),
    /// Print what a run's command wrote
    Logs(LogsArgs),
    /// Cancel runs, and end what is running of them
    Cancel(CancelArgs),
    /// Forget finished runs, with their output
    Cleanup(CleanupArgs),
    /// Serve the database: start what is due, settle what has ended
    Daemon(DaemonArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        dir: PathBuf,
    },
}
