//! The options of `retrier run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueHint, builder::OsStringValueParser, builder::TypedValueParser};

use crate::model::{Backoff, Budget, Policy, Rules, Timestamp};

use crate::text::{duration, time};

use super::values::{base, count, jitter, positive, variable};

/// Store a command and have it run until it succeeds
///
/// Prints the run's id once it is on stable storage, and returns. A daemon, started when there is
/// none, runs the command in this folder with this environment and umask, and retries it after a
/// backoff until it exits with 0 or has failed too often.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier run [OPTIONS] -- COMMAND [ARG]...\n       \
                      retrier run [OPTIONS] --shell 'LINE'",
    after_help = "Examples:\n  \
        retrier run -- curl -fsS https://example.com/hook\n  \
        retrier run --wait --max-failures 8 --timeout 10m --shell 'pg_dump shop | gzip > shop.gz'\n\n\
        Exit codes: 126 the command is not executable, 127 it was not found (nothing is stored);\n\
        5 the run may have been stored, as the message says. With --wait the command's own, 128+N when\n\
        signal N ended it, 124 timed out, 125 retrier itself failed, 130 canceled.",
    group = ArgGroup::new("what").required(true).args(["command", "shell"])
)]
pub struct RunArgs {
    /// The program and its arguments, run without a shell
    #[arg(value_name = "COMMAND", trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,

    /// Have /bin/sh run LINE
    #[arg(long, value_name = "LINE", help_heading = "Command")]
    pub shell: Option<OsString>,

    /// Run it in DIR instead of the current folder
    #[arg(long, value_name = "DIR", help_heading = "Command", value_hint = ValueHint::DirPath)]
    pub cwd: Option<PathBuf>,

    /// Set a variable of its environment; may be given again
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Command",
          value_parser = OsStringValueParser::new().try_map(variable))]
    pub env: Vec<(Vec<u8>, Vec<u8>)>,

    /// Give it HOME, USER, SHELL and PATH alone, and what --env says
    #[arg(long, help_heading = "Command")]
    pub no_env: bool,

    /// Keep FILE (- is standard input, at most 16 MiB) and give it to every attempt as its stdin,
    /// which is empty otherwise
    #[arg(long, value_name = "FILE", help_heading = "Command", value_hint = ValueHint::FilePath)]
    pub stdin: Option<PathBuf>,

    /// A name for people and for `list --name`
    #[arg(long, value_name = "TEXT", help_heading = "Command")]
    pub name: Option<String>,

    /// Have /bin/sh run LINE when the run has ended, with the result as JSON on its stdin
    #[arg(long, value_name = "LINE", help_heading = "Command")]
    pub on_complete: Option<OsString>,

    /// Store it although the command cannot be found now
    #[arg(long, help_heading = "Command")]
    pub no_check: bool,

    /// When and how often it is retried
    #[command(flatten)]
    pub retries: RetryArgs,

    /// Start it after D
    #[arg(long, value_name = "D", value_parser = duration, conflicts_with = "at",
          help_heading = "Time")]
    pub delay: Option<Duration>,

    /// Start it at a time such as 2026-01-31T23:59:59+01:00
    #[arg(long, value_name = "RFC3339", value_parser = time, help_heading = "Time")]
    pub at: Option<Timestamp>,

    /// Wait until it has ended; print the last attempt's output, exit with its code. Ctrl-C
    /// cancels the run
    #[arg(short, long, help_heading = "Afterwards")]
    pub wait: bool,

    /// With --wait: pass the output of all attempts on while they run
    #[arg(long, requires = "wait", help_heading = "Afterwards")]
    pub stream: bool,

    /// Do not start a daemon when there is none
    #[arg(long, help_heading = "Afterwards")]
    pub no_daemon_start: bool,

    /// Print no notes and no progress
    #[arg(short, long, help_heading = "Afterwards")]
    pub quiet: bool,

    /// Print JSON: the id, or with --wait the run as `status --json` does
    #[arg(long, help_heading = "Afterwards", conflicts_with = "stream")]
    pub json: bool,
}

/// When and how often it is retried, and how long an attempt may take.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// Retry it N times, so that it is attempted N+1 times at the most [default: 4]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, visible_alias = "retries", help_heading = "Retries",
          conflicts_with_all = ["max_attempts", "forever"])]
    pub max_failures: Option<u32>,

    /// Attempt it N times in all at the most
    #[arg(long, value_name = "N", visible_alias = "attempts", help_heading = "Retries",
          value_parser = positive, allow_negative_numbers = true, conflicts_with = "forever")]
    pub max_attempts: Option<u32>,

    /// Retry it until it succeeds
    #[arg(long, help_heading = "Retries")]
    pub forever: bool,

    /// The exponential term before the first retry [default: 250ms; 0 with --constant or --linear]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Retries")]
    pub initial_backoff: Option<Duration>,

    /// The factor of the exponential term from one retry to the next
    #[arg(long, value_name = "F", value_parser = base, default_value = "2",
          help_heading = "Retries")]
    pub base: f64,

    /// Wait D more before every retry
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Retries")]
    pub constant: Option<Duration>,

    /// Wait n times D more before retry n
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Retries")]
    pub linear: Option<Duration>,

    /// Wait no longer than D
    #[arg(long, value_name = "D", value_parser = duration, default_value = "24h",
          help_heading = "Retries")]
    pub max_backoff: Duration,

    /// Multiply each wait by a random factor from 1-F to 1+F
    #[arg(long, value_name = "F", value_parser = jitter, default_value = "0.5",
          help_heading = "Retries")]
    pub jitter: f64,

    /// End an attempt that runs longer than D; 0 is no limit
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Time")]
    pub timeout: Option<Duration>,

    /// The time between SIGTERM and SIGKILL when an attempt is ended
    #[arg(long, value_name = "D", value_parser = duration, default_value = "10s",
          help_heading = "Time")]
    pub grace: Duration,
}

impl RetryArgs {
    /// The policy that these options mean.
    pub fn policy(&self) -> Policy {
        let attempts = self.max_attempts.map(|attempts| attempts - 1);
        let failures = self.max_failures.or(attempts);
        let other_terms = self.constant.is_some() || self.linear.is_some();
        let defaults = Backoff::default();
        let initial = if other_terms {
            Duration::ZERO
        } else {
            defaults.initial
        };
        Policy {
            budget: match failures {
                _ if self.forever => Budget::Forever,
                Some(failures) => Budget::Failures(failures),
                None => Budget::Failures(Policy::MAX_FAILURES),
            },
            backoff: Backoff {
                constant: self.constant.unwrap_or_default(),
                linear: self.linear.unwrap_or_default(),
                initial: self.initial_backoff.unwrap_or(initial),
                base: self.base,
                max: self.max_backoff,
                jitter: self.jitter,
                delays: Vec::new(),
            },
            timeout: self.timeout.filter(|limit| !limit.is_zero()),
            grace: self.grace,
            deadline: None,
            rules: Rules::default(),
        }
    }
}
