//! The options of `retrier daemon`.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::text::duration;

use super::values::positive;

/// Serve the database: start what is due, settle what ended
///
/// Runs in the foreground and logs to stderr. The verbs that need a daemon start one by
/// themselves, which ends after a minute without an unfinished run. Stopping the daemon leaves
/// running attempts alive; the next one collects them. One that a verb has started makes room for
/// this one.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  retrier daemon --parallel 4\n  \
        retrier daemon --detach --until-idle\n  retrier daemon stop --drain\n\n\
        RETRIER_LOG_LEVEL is ERROR, WARN, INFO (default) or DEBUG.\n\n\
        Exit codes: 4 a daemon that a person started holds the database."
)]
pub struct DaemonArgs {
    /// What to do with the daemon that runs
    #[command(subcommand)]
    pub verb: Option<DaemonVerb>,

    /// Run at most N attempts at once in all pools, hooks not counted [default: what the pools allow]
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub parallel: Option<u32>,

    /// Forget runs that ended longer than D ago; 0 keeps them for ever
    #[arg(long, value_name = "D", value_parser = duration, default_value = "7d")]
    pub retention: Duration,

    /// Exit when no run is unfinished, or has been for D
    #[arg(long, value_name = "D", value_parser = duration, num_args = 0..=1,
          require_equals = true, default_missing_value = "0")]
    pub until_idle: Option<Duration>,

    /// Log what `retrier stats --json` prints every D, at least 1s, as a line of its own
    ///
    /// It reaches back 5 minutes, or D if that is longer. Not given, nothing is logged.
    #[arg(long, value_name = "D", value_parser = interval)]
    pub stats_interval: Option<Duration>,

    /// Go into the background, and log to FILE.d/daemon.log
    #[arg(long)]
    pub detach: bool,

    /// This process is the one in the background
    #[arg(long, hide = true)]
    pub detached: bool,

    /// A client has started it
    #[arg(long, hide = true)]
    pub automatic: bool,
}

/// What to do with the daemon that runs.
#[derive(Debug, Subcommand)]
pub enum DaemonVerb {
    /// Stop it; running attempts live on, and the next daemon collects them
    Stop(StopArgs),
    /// Say whether one runs; exit 1 when none does
    #[command(after_help = "Examples:\n  retrier daemon status\n  \
        retrier daemon status >/dev/null || retrier daemon --detach\n\n\
        Exit codes: 1 none runs.")]
    Status,
}

/// Stop the daemon
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  retrier daemon stop\n  retrier daemon stop --drain")]
pub struct StopArgs {
    /// Start nothing more and wait until the running attempts have ended
    #[arg(long, conflicts_with = "kill")]
    pub drain: bool,

    /// End the running attempts first; they are interrupted, not charged, and run again later
    #[arg(long)]
    pub kill: bool,
}

/// The time between two lines in the log.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_secs(1) {
        return Err("it must be at least 1s".to_owned());
    }
    Ok(interval)
}
