//! The options of `retrier run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{
    ArgGroup, Args, ValueEnum, ValueHint, builder::OsStringValueParser, builder::TypedValueParser,
};

use crate::model::pool;
use crate::text::{When, duration, when};

use super::policy::PolicyArgs;
use super::values::{Names, key, lock, name, names, pool, priority, variable};

/// Store a command and have it run until it succeeds
///
/// Prints the run's id once it is on stable storage, and returns. A daemon, started when there is
/// none, runs the command in this folder with this environment and umask, and retries it after a
/// backoff until it succeeds, has failed too often, or its rules say so.
#[derive(Clone, Debug, Args)]
#[command(
    override_usage = "retrier run [OPTIONS] -- COMMAND [ARG]...\n       \
                      retrier run [OPTIONS] --shell 'LINE'\n       \
                      retrier run [OPTIONS] --batch FILE [--template 'COMMAND {}']",
    after_help = "Examples:\n  \
        retrier run -- curl -fsS https://example.com/hook\n  \
        retrier run --wait --timeout 10m -- pg_dump -Fc -f shop.dump shop\n  \
        retrier run --wait --batch urls.txt --template 'curl -fsSO {}'\n  \
        retrier run --wait --quiet-success --key backup -- ./backup   (in a crontab)\n\n\
        Exit codes: 126 the command is not executable, 127 it was not found (nothing is stored);\n\
        4 its key is taken, with --if-exists fail; 5 the run may have been stored, as the message\n\
        says. With --wait the command's own, 128+N when signal N ended it, 124 timed out or past\n\
        the deadline, 125 retrier itself failed, 130 canceled. With --batch and --wait: 0 all runs\n\
        succeeded, 1 not all.",
    group = ArgGroup::new("what").required(true).args(["command", "shell", "batch"]),
    group = ArgGroup::new("keyed").multiple(true).args(["key", "batch"])
)]
pub struct RunArgs {
    /// The program and its arguments, run without a shell
    #[arg(value_name = "COMMAND", trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,

    /// Have /bin/sh run LINE; of a pipeline it knows the last command's exit code alone
    #[arg(long, value_name = "LINE", help_heading = "Command")]
    pub shell: Option<OsString>,

    /// Store a run for each line of FILE (- is standard input), all of them or none; print their ids
    /// in order
    ///
    /// A line is a command, split into words as a shell does it; blank lines and those that begin
    /// with # are skipped. A line that begins with { is a JSON object with command (an array of
    /// words) or shell, and options of its own: the long ones, with _ for -, such as
    /// {"command": ["curl", "-O", "example.com"], "key": "a", "max_failures": 8, "env": {"A": "1"}}.
    /// They count before those of the command line, which are for all lines.
    #[arg(long, value_name = "FILE", help_heading = "Command", value_hint = ValueHint::FilePath,
          conflicts_with = "stream")]
    pub batch: Option<PathBuf>,

    /// With --batch: run this COMMAND for each line, which is put in the place of {}, or behind
    ///
    /// COMMAND is split into words once. The line is text, whatever is in it: it is not split, and
    /// no shell sees it. Blank lines are skipped.
    #[arg(
        long,
        value_name = "COMMAND",
        help_heading = "Command",
        requires = "batch",
        // With one of these clap forgets what is required.
        conflicts_with_all = ["command", "shell"]
    )]
    pub template: Option<OsString>,

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

    /// Give it these variables of the caller alone, with HOME, USER, SHELL and PATH, and what --env
    /// says; may be given again
    ///
    /// Names have commas between them; a * at the end of one stands for any rest, as in AWS_*. What
    /// is not set is left out. No name at all leaves the four.
    #[arg(long, value_name = "NAME,...", help_heading = "Command", conflicts_with = "no_env",
          value_parser = OsStringValueParser::new().try_map(names))]
    pub env_only: Vec<Names>,

    /// Keep FILE (- is standard input, at most 16 MiB) and give it to every attempt as its stdin,
    /// which is empty otherwise
    #[arg(long, value_name = "FILE", help_heading = "Command", value_hint = ValueHint::FilePath)]
    pub stdin: Option<PathBuf>,

    /// A name for people and for `list --name`
    #[arg(long, value_name = "TEXT", value_parser = name, help_heading = "Command")]
    pub name: Option<String>,

    /// Have /bin/sh run LINE when the run has ended, with the result as JSON on its stdin
    #[arg(long, value_name = "LINE", help_heading = "Command")]
    pub on_complete: Option<OsString>,

    /// Store it although the command cannot be found now
    #[arg(long, help_heading = "Command")]
    pub no_check: bool,

    /// When and how often it is retried
    #[command(flatten)]
    pub retries: PolicyArgs,

    /// Start it after D
    #[arg(long, value_name = "D", value_parser = duration, conflicts_with = "at",
          help_heading = "Time")]
    pub delay: Option<Duration>,

    /// Start it at a time such as 23:30, 2026-01-31 23:30 or 2026-01-31T23:30:00+01:00
    ///
    /// Without an offset it is a time on the local clock; without a day the next such time.
    #[arg(long, value_name = "TIME", value_parser = when, help_heading = "Time")]
    pub at: Option<When>,

    /// Store it only if no run with this key is unfinished; else print that run's id
    ///
    /// A run has its key until it has ended and nothing of its last attempt is left. With --wait
    /// that run is waited for, and Ctrl-C leaves it alone.
    #[arg(long, value_name = "TEXT", value_parser = key, help_heading = "Key")]
    pub key: Option<String>,

    /// With --key: store it only if no run with this key is stored, ended ones included
    #[arg(long, requires = "keyed", help_heading = "Key")]
    pub once: bool,

    /// With --key: what to do when the key is taken
    #[arg(
        long,
        value_name = "WHAT",
        requires = "keyed",
        default_value = "skip",
        help_heading = "Key"
    )]
    pub if_exists: IfExists,

    /// Start it in POOL, with the retry options that were set for that pool as its defaults
    #[arg(long, value_name = "POOL", value_parser = pool, default_value = pool::DEFAULT,
          help_heading = "Order")]
    pub pool: String,

    /// Start it as if it had been due N minutes earlier; N can be negative
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true, value_parser = priority,
        help_heading = "Order"
    )]
    pub priority: i32,

    /// Run it only while no other run with this lock runs, in whatever pool
    #[arg(long, value_name = "TEXT", value_parser = lock, help_heading = "Order")]
    pub lock: Option<String>,

    /// Wait until it has ended; print the last attempt's output, exit with its code. Ctrl-C
    /// cancels the run
    ///
    /// With --batch the ids are printed at once, and those of the runs that did not succeed on
    /// stderr when all have ended. Ctrl-C cancels the runs that this call has stored.
    #[arg(short, long, help_heading = "Afterwards")]
    pub wait: bool,

    /// With --wait, for cron: print nothing unless the run fails for good, then all about it on stderr
    ///
    /// That is what `status` shows, with the last 50 lines of the last attempt's stdout and stderr. The
    /// exit code is that of --wait: 0, or the last attempt's. A run that is canceled is told of, too. Where
    /// --key is taken nothing is stored, waited for or told, with 0: the call that stored that run tells.
    #[arg(long, requires = "wait", conflicts_with_all = ["batch", "json", "quiet", "stream"],
          help_heading = "Afterwards")]
    pub quiet_success: bool,

    /// With --wait: pass the output of all attempts on while they run
    #[arg(long, requires = "wait", help_heading = "Afterwards")]
    pub stream: bool,

    /// Do not start a daemon when there is none; RETRIER_NO_DAEMON_START=1 says so to every verb
    #[arg(long, help_heading = "Afterwards")]
    pub no_daemon_start: bool,

    /// Print no notes and no progress
    #[arg(short, long, help_heading = "Afterwards")]
    pub quiet: bool,

    /// Print JSON: the id, or with --wait the run as `status --json` does, of a batch each as it
    /// ends
    #[arg(long, help_heading = "Afterwards", conflicts_with = "stream")]
    pub json: bool,
}

/// What to do when the key is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IfExists {
    /// Say whose it is, and succeed
    Skip,
    /// Fail with exit code 4
    Fail,
}
