//! The options of the verbs that act on stored runs.

use std::time::Duration;

use clap::{ArgGroup, Args};

use crate::model::{RunId, Status};

use crate::text::duration;

use super::named::RunsArgs;
use super::values::{age, pool, run_id, status};

/// Wait until runs have ended
///
/// Of one run, prints the last attempt's output and exits with its code. Of several, or of all,
/// prints a line for each as it ends.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier wait [OPTIONS] ID...\n       \
                      retrier wait [OPTIONS] --key TEXT\n       \
                      retrier wait [OPTIONS] --all [--pool POOL]",
    after_help = "Examples:\n  retrier wait 17\n  \
    retrier wait --timeout 5m 17 18 19\n  \
    retrier wait --all --pool mail\n\n\
    Exit codes of one run: the command's own, 128+N when signal N ended it, 124 timed out or\n\
    past the deadline, 125 retrier itself failed or there is no such run, 130 canceled. Of\n\
    several, or of all: 0 all succeeded, 1 not all. 124 is the timeout of this wait as well.\n\
    Ctrl-C ends the waiting alone.",
    group = ArgGroup::new("awaited").required(true).args(["ids", "key", "all"])
)]
pub struct WaitArgs {
    /// Which runs
    #[command(flatten)]
    pub runs: RunsArgs,

    /// All runs that are unfinished now, but for hooks
    #[arg(long)]
    pub all: bool,

    /// With --all: those of POOL alone
    #[arg(long, value_name = "POOL", value_parser = pool, requires = "all",
          conflicts_with_all = ["ids", "key"])]
    pub pool: Option<String>,

    /// Give up waiting after D; the runs are left alone
    #[arg(long, value_name = "D", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// Pass the output of all attempts on while they run
    #[arg(long)]
    pub stream: bool,

    /// Print no notes and no progress
    #[arg(short, long)]
    pub quiet: bool,

    /// Print each run as `status --json` does when it has ended, instead of its output
    #[arg(long, conflicts_with = "stream")]
    pub json: bool,
}

/// Cancel runs, and end what is running of them
///
/// Once it exits with 0, the runs stay canceled, whatever their processes still do. An attempt
/// that runs gets SIGTERM, and SIGKILL after its grace. To cancel twice is no error.
///
/// With --all it goes through the runs that were stored when it began, by their ids, 1000 at a
/// time: after Ctrl-C those before stay canceled and the others go on.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier cancel ID...\n       \
                      retrier cancel --key TEXT\n       \
                      retrier cancel --all [--pool POOL] [--state STATE] [--name TEXT] [--dry-run]",
    after_help = "Examples:\n  retrier cancel 17\n  \
    retrier cancel --all --pool mail --state scheduled --dry-run\n\n\
    Exit codes: 3 no such run, 4 a run had ended before; with --all 0 also when there is none,\n\
    130 after Ctrl-C.",
    group = ArgGroup::new("canceled").required(true).args(["ids", "key", "all"])
)]
pub struct CancelArgs {
    /// Which runs
    #[command(flatten)]
    pub runs: RunsArgs,

    /// All unfinished runs, but for hooks
    #[arg(long)]
    pub all: bool,

    /// With --all: those of POOL alone
    #[arg(long, value_name = "POOL", value_parser = pool, requires = "all",
          conflicts_with_all = ["ids", "key"])]
    pub pool: Option<String>,

    /// With --all: those in this state alone
    #[arg(long, value_name = "STATE", value_parser = status(&Status::UNFINISHED), requires = "all",
          conflicts_with_all = ["ids", "key"])]
    pub state: Option<Status>,

    /// With --all: those of this name alone
    #[arg(long, value_name = "TEXT", requires = "all", conflicts_with_all = ["ids", "key"])]
    pub name: Option<String>,

    /// With --all: print the ids of these runs, and leave them alone
    #[arg(long, requires = "all", conflicts_with_all = ["ids", "key"])]
    pub dry_run: bool,
}

/// Run failed or canceled runs once more
///
/// Budget and deadline begin anew, the attempts go on counting and the history is kept. A run that
/// waits for its next attempt is due now. The attempt of a canceled run that is still being ended
/// is waited for.
///
/// With --all-failed it goes through the runs that were stored when it began, by their ids, 1000
/// at a time: after Ctrl-C those before are retried and the others stay as they are.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier retry [--delay D] ID...\n       \
                      retrier retry [--delay D] --key TEXT\n       \
                      retrier retry [--delay D] --all-failed [--pool POOL] [--name TEXT] [--dry-run]",
    after_help = "Examples:\n  retrier retry 17\n  \
        retrier retry --all-failed --name nightly --delay 10m\n\n\
        Exit codes: 3 no such run, 4 a run is queued, runs or has succeeded, its key is held by\n\
        another run, its pool is gone, or it would start after its deadline; 130 after Ctrl-C.",
    group = ArgGroup::new("retried").required(true).args(["ids", "key", "all_failed"])
)]
pub struct RetryArgs {
    /// Which runs
    #[command(flatten)]
    pub runs: RunsArgs,

    /// All runs that have failed, but for hooks
    #[arg(long)]
    pub all_failed: bool,

    /// With --all-failed: those of POOL alone
    #[arg(long, value_name = "POOL", value_parser = pool, requires = "all_failed",
          conflicts_with_all = ["ids", "key"])]
    pub pool: Option<String>,

    /// With --all-failed: those of this name alone
    #[arg(long, value_name = "TEXT", requires = "all_failed",
          conflicts_with_all = ["ids", "key"])]
    pub name: Option<String>,

    /// With --all-failed: print the ids of these runs, and leave them alone
    #[arg(long, requires = "all_failed", conflicts_with_all = ["ids", "key"])]
    pub dry_run: bool,

    /// Start them after D
    #[arg(long, value_name = "D", value_parser = duration, default_value = "0",
          hide_default_value = true)]
    pub delay: Duration,
}

/// Forget finished runs, with their output
///
/// The daemon forgets runs by itself when its retention has passed.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier cleanup ID...\n       \
                      retrier cleanup --older-than D [--state STATE] [--dry-run]",
    after_help = "Examples:\n  retrier cleanup 17\n  \
        retrier cleanup --older-than 7d --state succeeded --dry-run\n\n\
        Exit codes: 3 no such run, 4 a run, its last attempt or its hook has not ended.",
    group = ArgGroup::new("which").required(true).args(["ids", "older_than"])
)]
pub struct CleanupArgs {
    /// The runs
    #[arg(value_name = "ID", value_parser = run_id)]
    pub ids: Vec<RunId>,

    /// All runs that ended longer than D ago (7d, 12h; 0 is all that have ended)
    #[arg(long, value_name = "D", value_parser = age)]
    pub older_than: Option<Duration>,

    /// With --older-than: those in this state alone
    #[arg(long, value_name = "STATE", value_parser = status(&Status::FINISHED), requires = "older_than",
          conflicts_with = "ids")]
    pub state: Option<Status>,

    /// With --older-than: print the ids of these runs, and leave them alone
    #[arg(long, requires = "older_than", conflicts_with = "ids")]
    pub dry_run: bool,
}
