//! A line of a batch that is a JSON object: its fields are the long options of `run`, and are
//! parsed by these. What it says counts before what the command line says.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Value};

use crate::cli::usage::first_line;

use super::hidden;
use super::run::RunArgs;

/// Options of the call, and not of a run. `command` is the field of that name.
const OF_THE_CALL: &[&str] = &[
    "batch",
    "if-exists",
    "json",
    "no-daemon-start",
    "quiet",
    "quiet-success",
    "stream",
    "template",
    "wait",
];

/// Options whose value is a list with commas: it may be an array here.
const LISTS: &[&str] = &["delays", "success-codes", "retry-on", "stop-on"];

/// Reads lines as `run` reads its arguments.
pub struct LineParser {
    /// Built once: that takes longer than to parse a line.
    options: Command,
}

impl LineParser {
    /// One that knows the options of `run`.
    pub fn of_run() -> Self {
        let bare = Command::new("run").no_binary_name(true);
        let bare = bare.disable_help_flag(true).disable_version_flag(true);
        let mut options = RunArgs::augment_args(bare);
        options.build();
        Self { options }
    }

    /// What `line`, a JSON object, asks for, and `base`, the command line, where it says nothing.
    /// Errors: what is wrong with it, in words.
    pub fn parse(&mut self, line: &[u8], base: &RunArgs) -> Result<RunArgs, String> {
        let object: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| json_error(&error))?;
        let words = self.words(&object)?;
        let matches = self.options.try_get_matches_from_mut(words);
        let matches = matches.map_err(|error| first_line(&hidden(error)))?;
        let own = RunArgs::from_arg_matches(&matches).map_err(|error| first_line(&error))?;
        if own
            .stdin
            .as_deref()
            .is_some_and(|path| path.as_os_str() == "-")
        {
            return Err("stdin: it must be a file".to_owned());
        }
        let no = |name: &str| object.get(name) == Some(&Value::Bool(false));
        Ok(own.over(base, &matches, no))
    }

    /// The words of a command line that says the same.
    fn words(&self, object: &Map<String, Value>) -> Result<Vec<OsString>, String> {
        let mut words = Vec::new();
        let mut command = None;
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            if name.contains('-') {
                return Err(format!(
                    "{name}: a field is written with _ in the place of -"
                ));
            }
            let option = name.replace('_', "-");
            if OF_THE_CALL.contains(&option.as_str()) {
                return Err(format!(
                    "{name}: it is for the whole batch: give --{option}"
                ));
            }
            let value = match (option.as_str(), value) {
                ("command", Value::Array(parts)) if !parts.is_empty() => {
                    let parts = parts.iter().map(bytes);
                    command = Some(parts.collect::<Option<Vec<OsString>>>().ok_or(WORDS)?);
                    continue;
                }
                ("command", _) => return Err(WORDS.to_owned()),
                ("env", Value::Object(variables)) => {
                    for (key, value) in variables {
                        let value = bytes(value).ok_or("env: a value must be a string")?;
                        if key.is_empty() || key.contains('=') {
                            return Err(format!("env: '{key}' cannot be the name of a variable"));
                        }
                        push(&mut words, "env", Some(&joined(key, "=", &value)));
                    }
                    continue;
                }
                (_, value) => value,
            };
            let arg = self.option(&option);
            let arg = arg.ok_or_else(|| format!("{name}: `run` has no such option"))?;
            let long = arg.get_long().unwrap_or_default();
            add(&mut words, arg, value).map_err(|error| format!("{long}: {error}"))?;
        }
        if command.is_none() && object.get("shell").is_none_or(Value::is_null) {
            return Err("it needs command, an array of words, or shell".to_owned());
        }
        if object.get("once") == Some(&Value::Bool(true)) && !object.contains_key("key") {
            return Err("once: it needs a key".to_owned());
        }
        if let Some(command) = command {
            words.push("--".into());
            words.extend(command);
        }
        match words
            .iter()
            .any(|word| word.as_encoded_bytes().contains(&0))
        {
            true => Err("it holds a NUL character".to_owned()),
            false => Ok(words),
        }
    }

    /// The option with this name, or alias.
    fn option(&self, long: &str) -> Option<&Arg> {
        let is_named = |arg: &&Arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long() == Some(long) || aliases.contains(&long)
        };
        self.options.get_arguments().find(is_named)
    }
}

/// What `command` must be.
const WORDS: &str = "command: it must be an array of words, at least one";

/// Adds an option with this value.
fn add(words: &mut Vec<OsString>, arg: &Arg, value: &Value) -> Result<(), String> {
    let long = arg.get_long().unwrap_or_default();
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Bool(true)) => push(words, long, None),
        (ArgAction::SetTrue, Value::Bool(false)) => {}
        (ArgAction::SetTrue, _) => return Err("it must be true or false".to_owned()),
        // None is something else than nothing said.
        (ArgAction::Append, Value::Array(values)) if long == "env-only" && values.is_empty() => {
            push(words, long, Some(&OsString::new()));
        }
        (ArgAction::Append, Value::Array(values)) => {
            for value in values {
                push(words, long, Some(&text(value)?));
            }
        }
        (_, Value::Array(values)) if LISTS.contains(&long) => {
            let values = values.iter().map(text).collect::<Result<Vec<_>, _>>()?;
            push(words, long, Some(&values.join(",".as_ref())));
        }
        (_, Value::Array(_) | Value::Null) => return Err("it takes one value".to_owned()),
        (_, value) => push(words, long, Some(&text(value)?)),
    }
    Ok(())
}

fn push(words: &mut Vec<OsString>, long: &str, value: Option<&OsString>) {
    let word = match value {
        Some(value) => joined(&format!("--{long}"), "=", value),
        None => format!("--{long}").into(),
    };
    words.push(word);
}

fn joined(before: &str, between: &str, after: &OsString) -> OsString {
    let mut joined = OsString::from(format!("{before}{between}"));
    joined.push(after);
    joined
}

/// The text of a value as it would be typed.
fn text(value: &Value) -> Result<OsString, String> {
    match value {
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(yes) => Ok(yes.to_string().into()),
        value => bytes(value).ok_or_else(|| "it must be a string or a number".to_owned()),
    }
}

/// A string, or bytes as [`crate::json::bytes`] writes them.
fn bytes(value: &Value) -> Option<OsString> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Object(object) if object.len() == 1 => {
            let encoded = object.get("base64")?.as_str()?;
            Some(OsString::from_vec(STANDARD.decode(encoded).ok()?))
        }
        _ => None,
    }
}

/// What is wrong with the JSON; that it is on line 1 helps nobody.
fn json_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("not a JSON object: {what} at column {}", error.column())
}

impl RunArgs {
    /// These options of a line, and those of the command line where they say nothing. `no` tells
    /// which switches the line has turned off.
    fn over(self, base: &RunArgs, matches: &ArgMatches, no: impl Fn(&str) -> bool) -> Self {
        let given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        let base = base.clone();
        let timed = given("delay") || given("at");
        let (delay, at) = if timed {
            (self.delay, self.at)
        } else {
            (base.delay, base.at)
        };
        let (no_env, env_only) = if self.no_env || given("env_only") {
            (self.no_env, self.env_only)
        } else {
            (base.no_env && !no("no_env"), base.env_only)
        };
        Self {
            command: self.command,
            shell: self.shell,
            batch: base.batch,
            template: base.template,
            cwd: self.cwd.or(base.cwd),
            env: base.env.into_iter().chain(self.env).collect(),
            no_env,
            env_only,
            stdin: self.stdin.or(base.stdin),
            name: self.name.or(base.name),
            on_complete: self.on_complete.or(base.on_complete),
            no_check: (self.no_check || base.no_check) && !no("no_check"),
            retries: self.retries.or(base.retries),
            delay,
            at,
            key: self.key,
            once: (self.once || base.once) && !no("once"),
            if_exists: base.if_exists,
            pool: if given("pool") { self.pool } else { base.pool },
            priority: if given("priority") {
                self.priority
            } else {
                base.priority
            },
            lock: self.lock.or(base.lock),
            wait: base.wait,
            quiet_success: base.quiet_success,
            stream: base.stream,
            no_daemon_start: base.no_daemon_start,
            quiet: base.quiet,
            json: base.json,
        }
    }
}
