//! Wrong usage, in the form of every other error: what is wrong, and what to type next. clap finds out what
//! it is; the words are here, and what they mean that people know from other tools in `elsewhere`.

mod elsewhere;

use std::borrow::Cow;
use std::error::Error;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, error};

use crate::text::{escape_text, nearest};

use super::args;
use super::failure::{Failure, code};

/// What clap's `error` about `arguments`, the program's name first, means for a person.
pub fn failure(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let program = args::command();
    let said = Said(error);
    let called = Called::by(&program, arguments, &said.text(ContextKind::InvalidArg));
    let (message, hint) = match error.kind() {
        ErrorKind::InvalidSubcommand => called.no_verb(&said),
        ErrorKind::UnknownArgument => called.no_option(&said),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => called.value(&said),
        ErrorKind::MissingRequiredArgument => called.missing(&said),
        ErrorKind::ArgumentConflict => conflict(&said),
        ErrorKind::TooManyValues => {
            let option = said.text(ContextKind::InvalidArg);
            let value = said.text(ContextKind::InvalidValue);
            let message = format!("{} takes no value, and got '{value}'", bare(&option));
            (message, None)
        }
        ErrorKind::NoEquals => {
            let option = said.text(ContextKind::InvalidArg);
            let name = bare(&option);
            let hint = format!("write it as {name}=VALUE");
            (format!("the value of {name} stands behind ="), Some(hint))
        }
        ErrorKind::InvalidUtf8 => ("an argument is not UTF-8".to_owned(), None),
        _ => (first_line(error), None),
    };
    let is_db = |name: &String| bare(name) == "--db";
    let named_db = said.all(ContextKind::InvalidArg).iter().any(is_db)
        && std::env::var_os("RETRIER_DB").is_some();
    let variable = "RETRIER_DB is set, and stands for --db where that is not given";
    let hint = match hint {
        _ if named_db => variable.to_owned(),
        Some(hint) => hint,
        None => format!("`{}` tells more", called.help()),
    };
    Failure::new(code::USAGE, message).hint(hint)
}

/// What clap says, without its advice on how to call the program.
pub fn first_line(error: &error::Error) -> String {
    let text = error.to_string();
    let what = text.split("\n\n").next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    what.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The verb that was called.
struct Called<'a> {
    verb: &'a Command,
    /// Its name, with those of the verbs that it belongs to; empty for the program.
    path: Vec<&'a str>,
    /// What stands behind the program's name.
    arguments: Vec<Cow<'a, str>>,
}

impl<'a> Called<'a> {
    /// The verb that `arguments` name before what is `wrong`.
    fn by(program: &'a Command, arguments: &'a [OsString], wrong: &str) -> Self {
        let mut called = Self {
            verb: program,
            path: Vec::new(),
            arguments: arguments
                .iter()
                .skip(1)
                .map(|word| word.to_string_lossy())
                .collect(),
        };
        let mut words = arguments.iter().skip(1).map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            match called.verb.find_subcommand(&*word) {
                Some(verb) => {
                    called.verb = verb;
                    called.path.push(verb.get_name());
                }
                None if word == "--db" => drop(words.next()),
                // What is asked for stands behind it.
                None if word == "help" && called.path.is_empty() => {}
                None if word.starts_with('-') && word != wrong => {}
                None => break,
            }
        }
        called
    }

    /// How it is called.
    fn name(&self) -> String {
        [&["retrier"], self.path.as_slice()].concat().join(" ")
    }

    /// What shows all that can be typed.
    fn help(&self) -> String {
        [&["retrier", "help"], self.path.as_slice()]
            .concat()
            .join(" ")
    }

    fn no_verb(&self, said: &Said) -> (String, Option<String>) {
        let word = said.text(ContextKind::InvalidSubcommand);
        let verbs = self
            .verb
            .get_subcommands()
            .filter(|verb| !verb.is_hide_set());
        let verbs: Vec<String> = verbs.map(|verb| verb.get_name().to_owned()).collect();
        let near = || {
            // For `help` clap has no suggestion.
            let near = said.first(ContextKind::SuggestedSubcommand);
            near.or_else(|| nearest(&word, &verbs).map(str::to_owned))
        };
        let hint = match elsewhere::verb(&self.path, &word) {
            Some(hint) => hint.to_owned(),
            None => match near() {
                Some(near) => format!("did you mean `{} {near}`?", self.name()),
                None => format!("`{}` shows the verbs", self.help()),
            },
        };
        (
            format!("`{}` has no verb '{word}'", self.name()),
            Some(hint),
        )
    }

    fn no_option(&self, said: &Said) -> (String, Option<String>) {
        let word = said.text(ContextKind::InvalidArg);
        let kind = if word.starts_with('-') {
            "has no option"
        } else {
            "takes no argument"
        };
        let message = format!("`{}` {kind} '{word}'", self.name());
        let near = said.first(ContextKind::SuggestedArg);
        let sub = said.first(ContextKind::SuggestedSubcommand);
        let hint = match (elsewhere::option(&self.path.join(" "), &word), near, sub) {
            (Some(hint), ..) => hint.to_owned(),
            (None, Some(near), _) => format!("did you mean {near}?"),
            (None, None, Some(verb)) => format!("did you mean `{} {verb}`?", self.name()),
            (None, None, None) if self.path.is_empty() => {
                "an option stands behind its verb; `retrier help` shows the verbs".to_owned()
            }
            (None, None, None) => format!("`{}` shows what it takes", self.help()),
        };
        (message, Some(hint))
    }

    fn missing(&self, said: &Said) -> (String, Option<String>) {
        let missing: Vec<String> = said
            .all(ContextKind::InvalidArg)
            .iter()
            .map(|one| alternatives(one))
            .collect();
        let message = format!("`{}` needs {}", self.name(), missing.join(" and "));
        if missing.iter().all(|one| one.starts_with("--")) {
            let hint = "add it, or leave out the option that needs it";
            return (message, Some(hint.to_owned()));
        }
        if let Some(hint) = self.all_of_them(&missing) {
            return (message, Some(hint));
        }
        let example = self.verb.get_after_help().map(ToString::to_string);
        let example = example.and_then(|text| {
            let first = text.strip_prefix("Examples:\n")?.lines().next()?;
            Some(format!("for example `{}`", first.trim()))
        });
        (message, example)
    }

    /// Who says which runs, and not that all of these are meant.
    fn all_of_them(&self, missing: &[String]) -> Option<String> {
        const CHOICES: &[&str] = &["--name", "--pool", "--state", "--dry-run"];
        let all = missing.iter().flat_map(|one| one.split(" or "));
        let all = all
            .filter(|one| ["--all", "--all-failed"].contains(one))
            .last()?;
        let is_choice = |word: &Cow<'_, str>| {
            let option = word.split('=').next().unwrap_or_default();
            CHOICES.contains(&option)
        };
        let from = self.arguments.iter().position(is_choice)?;
        let rest = shlex::try_join(self.arguments[from..].iter().map(|word| &**word)).ok()?;
        let rest = escape_text(&rest);
        Some(format!("`{} {all} {rest}` takes all of them", self.name()))
    }

    fn value(&self, said: &Said) -> (String, Option<String>) {
        let (message, hint) = value(said);
        let is_id = bare(&said.text(ContextKind::InvalidArg)) == "ID";
        let text = said.text(ContextKind::InvalidValue);
        let takes_key = self
            .verb
            .get_arguments()
            .any(|option| option.get_id() == "key");
        let is_word = text.contains(char::is_alphabetic) && !text.contains(char::is_control);
        match shlex::try_quote(&text) {
            Ok(word) if hint.is_none() && is_id && takes_key && is_word => {
                let keyed = format!("`{} --key {word}` takes the run with that key", self.name());
                let named = format!("`retrier list --name {word}` finds those of that name");
                (message, Some(format!("{keyed}, {named}")))
            }
            Ok(_) | Err(_) => (message, hint),
        }
    }
}

/// `<COMMAND|--shell <LINE>>`, where one of the two is needed, in words.
fn alternatives(needed: &str) -> String {
    needed.replace(['<', '>'], "").replace('|', " or ")
}

/// The name of an option or argument, without what belongs to it: `--forever` of `--forever[=<BOOL>]`.
fn bare(shown: &str) -> &str {
    if shown.starts_with('-') {
        return shown.split(['=', '[', ' ']).next().unwrap_or_default();
    }
    let name = shown.trim_start_matches(['[', '<']);
    name.split([']', '>']).next().unwrap_or_default()
}

fn value(said: &Said) -> (String, Option<String>) {
    let option = said.text(ContextKind::InvalidArg);
    let option = bare(&option);
    let value = said.text(ContextKind::InvalidValue);
    let possible = said.all(ContextKind::ValidValue);
    if value.is_empty() && said.0.source().is_none() {
        let among = match possible.is_empty() {
            true => String::new(),
            false => format!(": {}", possible.join(", ")),
        };
        return (format!("{option} needs a value{among}"), None);
    }
    let why = match said.0.source() {
        Some(why) => why.to_string(),
        None => format!("it must be one of {}", possible.join(", ")),
    };
    let near = said.first(ContextKind::SuggestedValue);
    (
        format!("invalid value '{value}' for {option}: {why}"),
        near.map(|near| format!("did you mean {near}?")),
    )
}

fn conflict(said: &Said) -> (String, Option<String>) {
    let option = match said.first(ContextKind::InvalidSubcommand) {
        Some(verb) => format!("'{verb}'"),
        None => bare(&said.text(ContextKind::InvalidArg)).to_owned(),
    };
    let others = said.all(ContextKind::PriorArg);
    let others: Vec<String> = others.iter().map(|one| bare(one).to_owned()).collect();
    if others.contains(&option) || others.is_empty() {
        let message = format!("{option} was given more than once");
        return (message, Some("give it once".to_owned()));
    }
    (
        format!("{option} cannot be used with {}", others.join(", ")),
        Some("leave one of them out".to_owned()),
    )
}

/// What clap knows of an error.
struct Said<'a>(&'a clap::Error);

impl Said<'_> {
    fn all(&self, kind: ContextKind) -> Vec<String> {
        match self.0.get(kind) {
            Some(ContextValue::String(text)) => vec![text.clone()],
            Some(ContextValue::Strings(texts)) => texts.clone(),
            _ => Vec::new(),
        }
    }

    fn first(&self, kind: ContextKind) -> Option<String> {
        self.all(kind).into_iter().next()
    }

    fn text(&self, kind: ContextKind) -> String {
        self.first(kind).unwrap_or_default()
    }
}
