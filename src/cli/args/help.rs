//! The help: the verbs in groups, `-h` on a screen, `--help` with all that there is to say.

use std::ffi::OsString;
use std::fmt::Write;

use clap::{Arg, Command};

use crate::cli::manual::{ENVIRONMENT, EXIT_CODES, FILES, OPTIONS};

/// The verbs by what they are for. One that is not named here stands in the last group.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Run", &["run", "wait"]),
    (
        "Look",
        &["status", "list", "logs", "events", "explain", "stats"],
    ),
    ("Act", &["retry", "cancel", "cleanup"]),
    (
        "Manage",
        &["pool", "daemon", "doctor", "completions", "man"],
    ),
];

/// A verb with more options shows those in `-h` alone that people use every day.
const OPTIONS_MAX: usize = 20;

/// Those.
const COMMON: &[&str] = &[
    "batch",
    "breaker",
    "command",
    "constant",
    "deadline",
    "delay",
    "forever",
    "help",
    "id",
    "key",
    "lock",
    "max_failures",
    "name",
    "on_complete",
    "parallel",
    "pool",
    "quiet",
    "rate",
    "shell",
    "stop_on",
    "timeout",
    "wait",
];

/// The program's help shows its verbs in groups.
pub fn grouped(program: Command) -> Command {
    let verbs = groups(&program);
    program
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{verbs}{{after-help}}"
        ))
        .override_usage("retrier VERB [OPTIONS]")
        .after_help("`retrier VERB -h` shows the options of a verb, `retrier help VERB` tells all.")
        .after_long_help(more())
}

/// What stands below the options of a verb fits any terminal: the lines of its source are no lines of it, but
/// those that are set in.
pub fn flowing(verb: Command) -> Command {
    let text = verb.get_after_help().map(ToString::to_string);
    let verb = verb.mut_subcommands(flowing);
    match text {
        Some(text) => verb.after_help(joined(&text)),
        None => verb,
    }
}

fn joined(text: &str) -> String {
    let mut joined = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        joined.push_str(line);
        let follows = |next: &&str| {
            !next.is_empty() && !next.starts_with(' ') && !line.is_empty() && !line.starts_with(' ')
        };
        match lines.peek() {
            Some(next) if follows(next) => joined.push(' '),
            Some(_) => joined.push('\n'),
            None => {}
        }
    }
    joined
}

/// What stands below the verbs in the long help.
fn more() -> String {
    let mut text = String::new();
    for (title, entries) in [
        ("Options of all verbs", OPTIONS),
        ("Exit codes", EXIT_CODES),
        ("Environment", ENVIRONMENT),
        ("Files", FILES),
    ] {
        let longest = entries.iter().map(|(name, _)| name.len()).max();
        let width = longest.unwrap_or_default() + 2;
        let _ = writeln!(text, "{title}:");
        for (name, what) in entries {
            let _ = writeln!(text, "  {name:<width$}{what}");
        }
        text.push('\n');
    }
    text + "`retrier help VERB` tells all of a verb, `man retrier-VERB` the same."
}

fn groups(program: &Command) -> String {
    let verbs = || program.get_subcommands().filter(|verb| !verb.is_hide_set());
    let is_named = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let mut text = String::new();
    for (number, (title, names)) in GROUPS.iter().enumerate() {
        let named = names
            .iter()
            .filter_map(|name| verbs().find(|verb| verb.get_name() == *name));
        let is_last = number + 1 == GROUPS.len();
        let rest = verbs().filter(|verb| is_last && !is_named(verb.get_name()));
        for (at, verb) in named.chain(rest).enumerate() {
            let title = if at == 0 { title } else { "" };
            let about = verb.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            let _ = writeln!(text, "{title:<8}{:<13}{about}", verb.get_name());
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// What was asked for: `help` alone is the short help.
pub fn asked(arguments: Vec<OsString>) -> Vec<OsString> {
    match arguments.as_slice() {
        [program, help] if help == "help" => vec![program.clone(), "-h".into()],
        _ => arguments,
    }
}

/// Do `arguments` ask for help on one screen?
pub fn is_short(arguments: &[OsString]) -> bool {
    let mut options = arguments.iter().take_while(|word| *word != "--");
    options.any(|word| word == "-h")
}

/// The description of the verbs as their short help shows it: without headings, and with the examples alone.
pub fn short(program: Command) -> Command {
    program.mut_subcommands(|verb| one_screen(verb, "retrier"))
}

fn one_screen(verb: Command, above: &str) -> Command {
    let name = format!("{above} {}", verb.get_name());
    let text = verb.get_after_help().map(ToString::to_string);
    let text = text.unwrap_or_default();
    let examples = text.split("\n\n").find(|one| one.starts_with("Examples:"));
    let more = format!("`{} --help` tells more.", name);
    let after = match examples {
        Some(examples) => format!("{examples}\n\n{more}"),
        None => more,
    };
    let is_long = verb.get_arguments().count() > OPTIONS_MAX;
    let is_rare = |option: &Arg| !COMMON.contains(&option.get_id().as_str());
    verb.mut_args(|option| {
        let option = option.help_heading(None);
        let is_hidden = is_long && is_rare(&option);
        option.hide_short_help(is_hidden)
    })
    .mut_subcommands(|sub| one_screen(sub, &name))
    .after_help(after)
}
