//! The command line, as clap derives it: every value is parsed here, and nowhere else.

mod act;
mod backup;
mod batch;
mod conditions;
mod daemon;
mod defaults;
mod doctor;
mod explain;
mod help;
mod look;
mod named;
mod policy;
mod pool;
mod quick;
mod run;
mod stats;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use act::{CancelArgs, CleanupArgs, RetryArgs, WaitArgs};
pub use backup::BackupArgs;
pub use batch::LineParser;
pub use daemon::{
    DaemonArgs, DaemonVerb, InstallArgs, LogFormat, ServeArgs, StopArgs, UninstallArgs,
};
pub use defaults::unknown as unknown_variables;
pub use doctor::DoctorArgs;
pub use explain::ExplainArgs;
pub use look::{CompletionsArgs, EventsArgs, ListArgs, LogsArgs, ManArgs, Shell, StatusArgs};
pub use named::{OneRunArgs, RunsArgs};
pub use policy::PolicyArgs;
pub use pool::{DeleteArgs, NamesArgs, PoolArgs, PoolListArgs, PoolVerb, RateArg, SetArgs};
pub use run::{IfExists, RunArgs};
pub use stats::StatsArgs;

/// Run a command so that it is not lost: stored, retried, its result kept.
#[derive(Debug, Parser)]
#[command(
    name = "retrier",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    subcommand_value_name = "VERB"
)]
pub struct Cli {
    /// What comes with every verb.
    #[command(flatten)]
    pub common: CommonArgs,

    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What comes with every verb.
#[derive(Debug, Args)]
pub struct CommonArgs {
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

    /// Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub color: ColourArg,
}

/// When there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColourArg {
    /// At a terminal
    Auto,
    /// Also in a pipe
    Always,
    /// Nowhere
    Never,
}

/// The verbs. What each is for stands at its options, where clap takes it from.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "a text here would hide the longer one of the options"
)]
pub enum Verb {
    Run(Box<RunArgs>),
    Wait(WaitArgs),
    Status(StatusArgs),
    Explain(Box<ExplainArgs>),
    List(ListArgs),
    Events(EventsArgs),
    Logs(LogsArgs),
    Stats(StatsArgs),
    Retry(RetryArgs),
    Cancel(CancelArgs),
    Cleanup(CleanupArgs),
    Backup(BackupArgs),
    Pool(PoolArgs),
    Daemon(DaemonArgs),
    Doctor(DoctorArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// The command line as it is parsed, completed and described.
pub fn command() -> Command {
    let verbs = |verb| help::flowing(defaults::shown(verb));
    help::grouped(Cli::command().mut_subcommands(verbs))
}

/// The short help of the verb that `arguments` name.
pub fn short_help(arguments: &[OsString]) -> Option<String> {
    let asked = arguments.iter().cloned().chain(["-h".into()]);
    let help = help::short(command()).try_get_matches_from(asked);
    help.err().map(|help| help.to_string())
}

/// The error without what was given for a variable: without a name before it, it may be a value.
fn hidden(mut error: clap::Error) -> clap::Error {
    let of_variable = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => option.starts_with("--env"),
        Some(_) | None => false,
    };
    if of_variable && error.get(ContextKind::InvalidValue).is_some() {
        let value = ContextValue::String("…".to_owned());
        error.insert(ContextKind::InvalidValue, value);
    }
    error
}

/// Parses `arguments`, the program's own name first. Errors: wrong usage; or that help was asked
/// for, which is printed the same way.
pub fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    if let Some(parsed) = quick::parse(arguments) {
        return parsed;
    }
    let arguments = help::asked(arguments.to_vec());
    let program = match help::is_short(&arguments) {
        true => help::short(command()),
        false => command(),
    };
    let matches = program.try_get_matches_from(arguments).map_err(hidden)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))
}
