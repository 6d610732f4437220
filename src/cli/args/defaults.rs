//! The defaults that people keep in their environment: `RETRIER_DEFAULT_<OPTION>` for each option
//! of a policy. Which there are is read off the options themselves.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::cli::failure::{Failure, code};
use crate::text::nearest;

use super::policy::PolicyArgs;

/// How the variables begin.
const PREFIX: &str = "RETRIER_DEFAULT_";

/// The variable that holds the default of an option.
fn variable(option: &Arg) -> Option<String> {
    let name = option.get_long()?.replace('-', "_").to_uppercase();
    Some(format!("{PREFIX}{name}"))
}

/// The options of a policy alone.
fn options() -> Command {
    let bare = Command::new("policy").no_binary_name(true);
    PolicyArgs::augment_args(bare.disable_help_flag(true))
}

/// Names its variable in the long help of each option of a policy, if `verb` takes them.
pub fn shown(verb: Command) -> Command {
    let group = PolicyArgs::group_id();
    let is_group = |id| Some(id) == group.as_ref();
    if !verb.get_groups().any(|one| is_group(one.get_id())) {
        return verb;
    }
    let policy = options();
    verb.mut_args(|option| {
        let mut ours = policy.get_arguments();
        let is_ours = ours.any(|one| one.get_id() == option.get_id());
        match (variable(&option), option.get_help()) {
            (Some(variable), Some(help)) if is_ours => {
                // On a line of its own, so that it can be searched for.
                let help = format!("{help}\n[env: {variable}]");
                option.long_help(help)
            }
            (Some(_), Some(_) | None) | (None, _) => option,
        }
    })
}

/// What the variables say, read once: a batch asks for each of its lines. Errors: a wrong value, or
/// two that contradict each other.
pub fn layer() -> Result<PolicyArgs, Failure> {
    static LAYER: OnceLock<PolicyArgs> = OnceLock::new();
    if let Some(layer) = LAYER.get() {
        return Ok(layer.clone());
    }
    let layer = read()?;
    Ok(LAYER.get_or_init(|| layer).clone())
}

/// The variables that begin as these do and are none of them, each with the one that was meant, as far as
/// that can be told.
pub fn unknown() -> Vec<(String, Option<String>)> {
    let set = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let mut set = set.filter(|name| name.starts_with(PREFIX)).peekable();
    if set.peek().is_none() {
        return Vec::new();
    }
    let options = options();
    let known: Vec<String> = options.get_arguments().filter_map(variable).collect();
    let unknown = set.filter(|name| !known.contains(name));
    let near = |name: &String| nearest(name, &known).map(str::to_owned);
    unknown.map(|name| (name.clone(), near(&name))).collect()
}

fn read() -> Result<PolicyArgs, Failure> {
    let mut layer = PolicyArgs::default();
    // Before all options are described.
    if !env::vars_os().any(|(name, _)| name.as_bytes().starts_with(PREFIX.as_bytes())) {
        return Ok(layer);
    }
    let options = options();
    let mut given: Vec<(&Arg, String)> = Vec::new();
    for option in options.get_arguments() {
        let Some(name) = variable(option) else {
            continue;
        };
        // Set to nothing is not set.
        let Some(value) = env::var_os(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let matches =
            parse(&options, option, &value).map_err(|error| wrong(&name, &value, &error))?;
        let taken = layer.update_from_arg_matches(&matches);
        taken.map_err(|error| wrong(&name, &value, &error))?;
        if is_off(option, &matches) {
            continue;
        }
        if let Some((_, other)) = given
            .iter()
            .find(|(other, _)| contradict(&options, option, other))
        {
            let message = format!("{other} and {name} cannot be used together");
            return Err(Failure::new(code::USAGE, message).hint("unset one of the two variables"));
        }
        given.push((option, name));
    }
    Ok(layer)
}

/// Reads `value` as the value of `option`, and of nothing else.
fn parse(options: &Command, option: &Arg, value: &OsString) -> Result<ArgMatches, clap::Error> {
    let mut word = OsString::from("--");
    word.push(option.get_long().unwrap_or_default());
    word.push("=");
    word.push(value);
    options.clone().try_get_matches_from([word])
}

/// Does the variable switch off what is off without it? That contradicts nothing.
fn is_off(option: &Arg, matches: &ArgMatches) -> bool {
    let switched = matches.try_get_one::<bool>(option.get_id().as_str());
    matches!(switched, Ok(Some(false)))
}

fn contradict(options: &Command, one: &Arg, other: &Arg) -> bool {
    let excludes = |one: &Arg, other: &Arg| {
        let conflicts = options.get_arg_conflicts_with(one);
        conflicts.iter().any(|arg| arg.get_id() == other.get_id())
    };
    excludes(one, other) || excludes(other, one)
}

fn wrong(name: &str, value: &OsString, error: &clap::Error) -> Failure {
    let why = match (error.kind(), error.source()) {
        (_, Some(why)) => why.to_string(),
        (ErrorKind::InvalidUtf8, None) => "it must be UTF-8".to_owned(),
        (kind, None) => kind.to_string(),
    };
    let value = value.to_string_lossy();
    let message = format!("{name}: invalid value '{value}': {why}");
    Failure::new(code::USAGE, message).hint(format!("`unset {name}` goes back to the default"))
}
