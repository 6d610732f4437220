//! Parsing with the options of one verb alone: to describe all of them takes longer than most verbs
//! do. Whatever is wrong or asks for help is left to the whole description, which words it.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, Command, FromArgMatches};

use super::act::{CancelArgs, CleanupArgs, RetryArgs, WaitArgs};
use super::backup::BackupArgs;
use super::daemon::DaemonArgs;
use super::doctor::DoctorArgs;
use super::explain::ExplainArgs;
use super::look::{EventsArgs, ListArgs, LogsArgs, StatusArgs};
use super::pool::PoolArgs;
use super::run::RunArgs;
use super::stats::StatsArgs;
use super::{Cli, CommonArgs};

/// Parses `arguments`, the program's own name first, if its first word says enough. `None`: the whole
/// description is needed. Errors: the version was asked for.
pub fn parse(arguments: &[OsString]) -> Option<Result<Cli, clap::Error>> {
    let first = arguments.get(1)?.to_str()?;
    let verb = match (first, arguments.len()) {
        ("--version" | "-V", 2) => None,
        _ => Some(verb(verb_of(first, arguments)?)?),
    };
    let program = Command::new("retrier").version(env!("CARGO_PKG_VERSION"));
    let program = CommonArgs::augment_args(program).subcommands(verb);
    match program.try_get_matches_from(arguments) {
        Ok(matches) => Cli::from_arg_matches(&matches).ok().map(Ok),
        Err(error) if error.kind() == ErrorKind::DisplayVersion => Some(Err(error)),
        Err(_) => None,
    }
}

/// The word where the verb stands, of which `first` is the first.
fn verb_of<'a>(first: &'a str, arguments: &'a [OsString]) -> Option<&'a str> {
    let mut at = 1;
    let mut word = first;
    while ["--db", "--color"].iter().any(|option| {
        word.strip_prefix(option)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    }) {
        at += if word.contains('=') { 1 } else { 2 };
        word = arguments.get(at)?.to_str()?;
    }
    Some(word)
}

fn verb(name: &str) -> Option<Command> {
    let (name, options): (_, fn(Command) -> Command) = match name {
        "run" => ("run", RunArgs::augment_args),
        "wait" => ("wait", WaitArgs::augment_args),
        "status" => ("status", StatusArgs::augment_args),
        "explain" => ("explain", ExplainArgs::augment_args),
        "list" => ("list", ListArgs::augment_args),
        "events" => ("events", EventsArgs::augment_args),
        "logs" => ("logs", LogsArgs::augment_args),
        "stats" => ("stats", StatsArgs::augment_args),
        "retry" => ("retry", RetryArgs::augment_args),
        "cancel" => ("cancel", CancelArgs::augment_args),
        "cleanup" => ("cleanup", CleanupArgs::augment_args),
        "backup" => ("backup", BackupArgs::augment_args),
        "pool" => ("pool", PoolArgs::augment_args),
        "daemon" => ("daemon", DaemonArgs::augment_args),
        "doctor" => ("doctor", DoctorArgs::augment_args),
        _ => return None,
    };
    Some(options(Command::new(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_verb_has_the_same_options_alone() {
        let whole = Cli::command();
        let left = ["completions", "man"];
        for described in whole.get_subcommands() {
            let name = described.get_name();
            let alone = verb(name);
            assert_eq!(alone.is_none(), left.contains(&name), "{name}");
            if let Some(alone) = alone {
                // Its place among the others means nothing alone.
                let text = |verb: Command| format!("{:?}", verb.display_order(0));
                assert!(text(alone) == text(described.clone()), "{name}");
            }
        }
    }

    #[test]
    fn what_is_wrong_or_asks_for_help_is_left_alone() {
        let quick = |line| parse(&words(line));
        for right in [
            "retrier --db /a run -- true",
            "retrier --db=/a status 1",
            "retrier list --db /a",
            "retrier --color never --db=/a list",
            "retrier --color=always --db /a status 1",
        ] {
            let cli = quick(right)
                .expect("the verb is known")
                .expect("it is right");
            assert!(cli.common.db.is_some_and(|db| db.as_os_str() == "/a"));
        }
        for wrong in [
            "retrier run",
            "retrier run --help",
            "retrier rum -- true",
            "retrier -V -V",
        ] {
            assert!(quick(wrong).is_none(), "{wrong}");
        }
        let asked = quick("retrier --version").expect("it is known");
        let text = asked.expect_err("nothing is to be done").to_string();
        assert_eq!(text, Cli::command().render_version());
    }
}
