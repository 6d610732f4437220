//! The options of `retrier daemon`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::text::duration;

use super::values::positive;

/// Serve the database: start what is due, settle what ended
///
/// Runs in the foreground and logs to stderr. The verbs that need a daemon start one by
/// themselves, which ends after a minute without an unfinished run. Stopping the daemon leaves
/// running attempts alive; the next one collects them. One that a verb has started makes room for
/// this one.
///
/// `daemon install` has systemd keep one for this database, also after a reboot. Where none may stay, a
/// line in a crontab does: `* * * * * retrier daemon --tick`, with RETRIER_NO_DAEMON_START=1 for the
/// verbs.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  retrier daemon --parallel 4\n  \
        retrier daemon --detach --until-idle\n  retrier daemon stop --drain\n\n\
        RETRIER_LOG_LEVEL is ERROR, WARN, INFO (default) or DEBUG, RETRIER_LOG_FORMAT text (default)\n\
        or json. With RETRIER_NO_DAEMON_START=1 no verb starts a daemon.\n\n\
        Exit codes: 4 a daemon that a person started holds the database."
)]
pub struct DaemonArgs {
    /// What to do with the daemon that runs
    #[command(subcommand)]
    pub verb: Option<DaemonVerb>,

    /// What it is to keep to
    #[command(flatten)]
    pub serve: ServeArgs,

    /// Exit when no run is unfinished, or has been for D
    #[arg(long, value_name = "D", value_parser = duration, num_args = 0..=1,
          require_equals = true, default_missing_value = "0")]
    pub until_idle: Option<Duration>,

    /// Do what is due now, and exit; after D (50s) let what runs go on for the next to collect
    ///
    /// It starts what is due, as the pools allow, and exits when nothing is due any more and what it
    /// has started has ended; waits and delays come due at a later tick. Attempts that take longer than
    /// D outlive it, with their timeouts. With --tick=0 all do. When a daemon serves, there is nothing
    /// to do. It logs to FILE.d/daemon.log, at a terminal to stderr.
    #[arg(long, value_name = "D", value_parser = duration, num_args = 0..=1,
          require_equals = true, default_missing_value = "50s",
          conflicts_with_all = ["until_idle", "stats_interval", "detach"])]
    pub tick: Option<Duration>,

    /// Go into the background, and log to FILE.d/daemon.log
    #[arg(long)]
    pub detach: bool,

    /// This process is the one in the background
    #[arg(long, hide = true)]
    pub detached: bool,

    /// A client has started it
    #[arg(long, hide = true)]
    pub automatic: bool,

    /// It is the service of this unit
    #[arg(long, hide = true)]
    pub unit: Option<String>,
}

impl DaemonArgs {
    /// Is this process to serve itself?
    pub fn serves(&self) -> bool {
        self.verb.is_none() && !self.detach
    }
}

/// What a daemon keeps to, however it is started.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Run at most N attempts at once in all pools, hooks not counted [default: what the pools allow]
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub parallel: Option<u32>,

    /// Forget runs that ended longer than D ago; 0 keeps them for ever
    #[arg(long, value_name = "D", value_parser = duration, default_value = "7d")]
    pub retention: Duration,

    /// Log what `retrier stats --json` prints every D, at least 1s, as a line of its own
    ///
    /// It reaches back 5 minutes, or D if that is longer. Not given, nothing is logged.
    #[arg(long, value_name = "D", value_parser = interval)]
    pub stats_interval: Option<Duration>,

    /// How a line of the log looks [default: RETRIER_LOG_FORMAT, else text]
    ///
    /// As JSON each line is an object with time, level and message, and where they are known run,
    /// attempt, reason and due.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Time, level and a message
    Text,
    /// A JSON object
    Json,
}

/// What to do with the daemon that runs.
#[derive(Debug, Subcommand)]
pub enum DaemonVerb {
    /// Stop it; running attempts live on, and the next daemon collects them
    Stop(StopArgs),
    /// Stop it and start it anew, as it was started; running attempts live on
    ///
    /// Where none runs one is started, also with RETRIER_NO_DAEMON_START=1, which is about the other verbs.
    /// Of several at once each waits for the one before.
    #[command(after_help = "Examples:\n  retrier daemon restart\n  \
        cargo install --path . --locked && retrier daemon restart\n\n\
        Exit codes: 4 it runs in a terminal of somebody, who has to restart it there.")]
    Restart,
    /// Say whether one runs; exit 1 when none does
    #[command(after_help = "Examples:\n  retrier daemon status\n  \
        retrier daemon status >/dev/null || retrier daemon --detach\n\n\
        Exit codes: 1 none runs.")]
    Status,
    // What these two are for stands at their options, where clap takes it from.
    #[expect(
        missing_docs,
        reason = "a text here would hide the longer one of the options"
    )]
    Install(InstallArgs),
    #[expect(
        missing_docs,
        reason = "a text here would hide the longer one of the options"
    )]
    Uninstall(UninstallArgs),
}

/// Have systemd keep a daemon for this database, as a service of this user
///
/// Writes a user unit to $XDG_CONFIG_HOME/systemd/user (~/.config), enables it and starts it. That of
/// the default database is retrier.service; each other one has a unit of its own, of which the name is
/// printed. From then on the verbs start that service instead of a daemon of their own. A daemon that a
/// verb has started makes room. To install it again writes it anew.
///
/// Services of a user end when that user logs out, unless `loginctl enable-linger` was called.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  retrier daemon install\n  \
        retrier --db /srv/mail.db daemon install --parallel 4\n  \
        retrier daemon install --print | less")]
pub struct InstallArgs {
    /// What it is to keep to
    #[command(flatten)]
    pub serve: ServeArgs,

    /// Print the unit, and change nothing
    #[arg(long)]
    pub print: bool,
}

/// Stop the service of this database, and remove its unit
///
/// Running attempts live on. That there is none is no error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  retrier daemon uninstall\n  \
        retrier --db /srv/mail.db daemon uninstall --print")]
pub struct UninstallArgs {
    /// Print the unit that would be removed, and change nothing
    #[arg(long)]
    pub print: bool,
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
