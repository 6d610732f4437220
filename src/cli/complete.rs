//! What a shell offers when somebody presses TAB: `retrier __complete SHELL …`, which the scripts in
//! `completions/` call. All that can be typed is read off the description of the command line, and what is
//! stored off the database, so the scripts know nothing and cannot be older than the program.
//!
//! It answers within milliseconds, changes nothing, starts nothing, and never says that it could not: who
//! presses TAB has asked for no message. Start reading at [`main`]; `place` finds out where the cursor
//! stands, `stored` looks into the database, `answer` writes for the shells.

mod answer;
mod place;
mod stored;

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use crate::store;

use super::args;
use super::out;
use answer::{Candidate, Offer, Shell};
use place::Place;
use stored::Stored;

/// The first argument of a call by a shell.
pub const ARGUMENT: &str = "__complete";

/// Answers a shell: `arguments` are its name and the words up to the cursor, the program's name first.
/// bash hands over its line and the part of the last word that it takes for all of it.
pub fn main(arguments: &[OsString]) {
    // Nobody has asked for a message.
    std::panic::set_hook(Box::new(|_| {}));
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    let mut arguments = arguments.iter().map(text);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let Some((shell, words)) = Shell::of_call(&name, &rest) else {
        return;
    };
    store::set_up();
    let mut program = args::command();
    program.build();
    let offer = offer(&program, words.texts());
    // A shell that has gone away needs no answer.
    let _ = out::bytes(shell.answer(&offer, &words).as_bytes());
}

/// What may stand in the place of the last one of `words`.
fn offer(program: &Command, words: &[String]) -> Offer {
    let Some((typed, before)) = words.split_last() else {
        return Offer::none();
    };
    let place = Place::after(program, before);
    if let Some(at) = place.command_at {
        return Offer::Command(at);
    }
    if let Some(option) = place.value_of {
        return value(&place, option, typed);
    }
    if let Some((name, value_typed)) = typed.strip_prefix("--").and_then(|it| it.split_once('='))
        && !place.literal
    {
        let option = place.option(name);
        let offer = option.map(|option| value(&place, option, value_typed));
        return offer
            .unwrap_or_else(Offer::none)
            .behind(&format!("--{name}="));
    }
    if typed.starts_with('-') && !place.literal {
        return options(&place, typed);
    }
    let verbs = place.verbs().filter(|verb| !verb.is_hide_set());
    let verbs: Vec<Candidate> = verbs
        .map(|verb| Candidate::new(verb.get_name(), verb.get_about()))
        .collect();
    match place.positional() {
        _ if !verbs.is_empty() => Offer::matching(verbs, typed),
        // The command of `run` can begin without `--`.
        Some(of_run) if of_run.is_trailing_var_arg_set() => Offer::Command(before.len()),
        Some(positional) => value(&place, positional, typed),
        None => Offer::none(),
    }
}

/// The options that can still be given.
fn options(place: &Place, typed: &str) -> Offer {
    let excluded: Vec<&Arg> = place.excluded();
    let open = place.verb.get_arguments().filter(|option| {
        let again = matches!(option.get_action(), ArgAction::Append);
        !option.is_hide_set()
            && (again || !place.given.contains(option.get_id()))
            && !excluded.iter().any(|one| one.get_id() == option.get_id())
    });
    let mut found = Vec::new();
    for option in open {
        let names = option.get_long_and_visible_aliases().unwrap_or_default();
        // An alias alone where its option's own name is not what is being typed.
        let name = names
            .iter()
            .map(|name| format!("--{name}"))
            .find(|name| name.starts_with(typed));
        found.extend(name.map(|name| Candidate::new(name, option.get_help())));
    }
    Offer::Candidates(found)
}

/// What can be the value of `arg`.
fn value(place: &Place, arg: &Arg, typed: &str) -> Offer {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let possible = possible.iter().filter(|one| !one.is_hide_set());
        let candidates = possible.map(|one| Candidate::new(one.get_name(), one.get_help()));
        return Offer::matching(candidates.collect(), typed);
    }
    let names = arg.get_value_names().unwrap_or_default();
    let kind = names.first().map_or("", |name| name.as_str());
    let stored = || Stored::at(place.database.as_deref());
    let labels = |found: Option<Vec<String>>| {
        let found = found.unwrap_or_default().into_iter();
        Offer::matching(found.map(Candidate::bare).collect(), typed)
    };
    match (kind, arg.get_id().as_str()) {
        ("FILE", _) => Offer::Files,
        ("DIR", _) => Offer::Folders,
        ("BOOL", _) => labels(Some(vec!["true".to_owned(), "false".to_owned()])),
        ("ID", _) => {
            let runs = stored().and_then(|stored| stored.runs(place.name(), typed));
            let mut runs = runs.unwrap_or_default();
            runs.retain(|run| !place.words.contains(&run.value));
            Offer::matching(runs, typed)
        }
        ("POOL" | "NAME", _) => labels(stored().and_then(|stored| stored.pools(place.name()))),
        ("TEXT", id @ ("key" | "name" | "lock")) => {
            labels(stored().and_then(|stored| stored.labels(id, typed)))
        }
        _ => Offer::none(),
    }
}
