//! The options of the verbs that only look.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::model::Status;
use crate::text::duration;

use super::named::{OneRunArgs, RunsArgs};
use super::values::{SinceArg, count, pool, positive, since, status};

/// Show runs: state, why, attempts, last output
///
/// Of a run that has not succeeded it shows the last lines of its last attempt's stderr, or of its
/// stdout where there is none, and says what to type next.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier status [OPTIONS] ID...\n       \
                      retrier status [OPTIONS] --key TEXT",
    after_help = "Examples:\n  retrier status 17\n  \
    retrier status --watch 17 18\n  \
    retrier status --json 17 18 | jq -r .state\n\nExit codes: 3 no such run.",
    group = ArgGroup::new("shown").required(true).args(["ids", "key"])
)]
pub struct StatusArgs {
    /// Which runs
    #[command(flatten)]
    pub runs: RunsArgs,

    /// Print one JSON object per run
    #[arg(long)]
    pub json: bool,

    /// Stay and redraw every D (1s) until Ctrl-C; needs a terminal
    #[arg(long, value_name = "D", value_parser = duration, num_args = 0..=1,
          default_missing_value = "1s", require_equals = true, conflicts_with = "json")]
    pub watch: Option<Duration>,
}

/// List runs, the newest first
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  retrier list --state failed --since 1h\n  \
    retrier list --watch --pool mail\n  \
    retrier list --json --limit 1000 | jq -r 'select(.failures > 2) | .id'\n\n\
    WHEN is how long it has run, when it goes on, since when it waits for its turn, or when it ended.\n\n\
    In a pipe the fields are separated by tabs: id, state, attempts, due, name, command.")]
pub struct ListArgs {
    /// Those in these states alone, with commas between them
    #[arg(long, value_name = "STATE", value_parser = status(&Status::ALL), value_delimiter = ',')]
    pub state: Vec<Status>,

    /// Those of this name alone
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,

    /// Those in POOL alone; also those that have ended in one that was deleted
    #[arg(long, value_name = "POOL", value_parser = pool)]
    pub pool: Option<String>,

    /// Those alone that were stored in the last D (2h), or since a time (08:00, 2026-01-31 08:00)
    #[arg(long, value_name = "D|TIME", value_parser = since)]
    pub since: Option<SinceArg>,

    /// At most N; 0 is all of them [default: 50]
    #[arg(long, short = 'n', value_name = "N", value_parser = count)]
    pub limit: Option<u32>,

    /// On a terminal: cut nothing, however long the lines become
    #[arg(long)]
    pub wide: bool,

    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,

    /// Stay and redraw every D (1s) until Ctrl-C, what runs first; needs a terminal
    #[arg(long, value_name = "D", value_parser = duration, num_args = 0..=1,
          default_missing_value = "1s", require_equals = true, conflicts_with = "json")]
    pub watch: Option<Duration>,
}

/// Show what happened to a run, and why
///
/// One line per event, oldest first: when it was stored, each start and end of an attempt, how long
/// it waits then and who decided that, its ending, its hook, what was canceled or retried by hand.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier events [OPTIONS] ID\n       retrier events [OPTIONS] --key TEXT",
    after_help = "Examples:\n  retrier events 17\n  \
    retrier events --json 17 | jq -r 'select(.kind == \"attempt_failed\") | .outcome.code'\n\n\
    In a pipe the fields are separated by tabs: time, event, attempt, outcome, due, wait in\n\
    milliseconds, who decided, who set the wait, hook, detail.\n\nExit codes: 3 no such run.",
    group = ArgGroup::new("shown").required(true).args(["id", "key"])
)]
pub struct EventsArgs {
    /// Which run
    #[command(flatten)]
    pub run: OneRunArgs,

    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
}

/// Print what a run's command wrote
///
/// Its stdout goes to stdout and its stderr to stderr, byte by byte; on a terminal control
/// characters are escaped. Without --attempt it is the last attempt's. What --max-output has left
/// out is told of by a line in its place, `[retrier: N bytes left out]`.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier logs [OPTIONS] ID\n       retrier logs [OPTIONS] --key TEXT",
    after_help = "Examples:\n  retrier logs --tail 20 --stderr 17\n  \
    retrier logs -f 17\n\nExit codes: 3 no such run.",
    group = ArgGroup::new("shown").required(true).args(["id", "key"])
)]
pub struct LogsArgs {
    /// Which run
    #[command(flatten)]
    pub run: OneRunArgs,

    /// Of attempt N
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true,
          conflicts_with = "follow")]
    pub attempt: Option<u32>,

    /// What it wrote to stdout alone
    #[arg(long, conflicts_with = "stderr")]
    pub stdout: bool,

    /// What it wrote to stderr alone, on stdout
    #[arg(long)]
    pub stderr: bool,

    /// Go on over retries until the run has ended
    ///
    /// At a terminal stderr gets a line for each attempt after which it goes on, and how it ended.
    #[arg(short, long)]
    pub follow: bool,

    /// The last N lines of each stream alone; with -f those of the attempt that runs, and all that follows
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub tail: Option<u32>,
}

/// Print the completion script of a shell
///
/// It completes verbs, options, states, and what is stored: runs, with what they are where the shell
/// shows that, pools, keys, names and locks. The script asks `retrier` whenever TAB is pressed, so it
/// need not be made anew with a new version. zsh looks for a file _retrier in a folder of its fpath.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  retrier completions bash > \
    ~/.local/share/bash-completion/completions/retrier\n  \
    retrier completions zsh > ~/.zfunc/_retrier\n  \
    retrier completions fish > ~/.config/fish/completions/retrier.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// Write the manual pages into a folder
///
/// The folder is made when it is not there. `man` finds what is in ~/.local/share/man/man1; the page of
/// section 7, about the JSON, goes to man7 beside a folder of this name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  retrier man ~/.local/share/man/man1\n  \
    retrier man pages && man ./pages/retrier-run.1")]
pub struct ManArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}
