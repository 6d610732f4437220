//! Where the cursor stands: which verb, which options were given, what the next word is.

use std::path::PathBuf;

use clap::{Arg, Command, Id};

/// What the words before the cursor come to.
pub struct Place<'a> {
    /// The verb, or the program where none was typed yet.
    pub verb: &'a Command,
    /// The options and arguments that were given.
    pub given: Vec<Id>,
    /// The words that are no options and no verbs.
    pub words: Vec<String>,
    /// Did `--` say that no more options follow?
    pub literal: bool,
    /// The option whose value comes next.
    pub value_of: Option<&'a Arg>,
    /// The number of the word with which somebody else's command begins, from 0.
    pub command_at: Option<usize>,
    /// The database that was named.
    pub database: Option<PathBuf>,
    /// The words are those of `help`.
    is_help: bool,
}

impl<'a> Place<'a> {
    /// The place behind `words`, the first of which is the name of the `program`.
    pub fn after(program: &'a Command, words: &[String]) -> Self {
        let mut place = Self {
            verb: program,
            given: Vec::new(),
            words: Vec::new(),
            literal: false,
            value_of: None,
            command_at: None,
            database: None,
            is_help: false,
        };
        for (number, word) in words.iter().enumerate().skip(1) {
            place.step(number, word);
            if place.command_at.is_some() {
                break;
            }
        }
        place
    }

    fn step(&mut self, number: usize, word: &str) {
        if let Some(option) = self.value_of.take() {
            self.take(option, word);
        } else if self.literal {
            self.word(number, word);
        } else if word == "--" {
            self.literal = true;
            if self.positional().is_some_and(Arg::is_trailing_var_arg_set) {
                self.command_at = Some(number + 1);
            }
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let Some(option) = self.option(name) else {
                return;
            };
            self.given.push(option.get_id().clone());
            match value {
                Some(value) => self.take(option, value),
                None if takes_word(option) => self.value_of = Some(option),
                None => {}
            }
        } else if word.len() > 1 && word.starts_with('-') {
            self.letters(&word[1..]);
        } else {
            self.word(number, word);
        }
    }

    /// Options of one letter, of which the last may have a value.
    fn letters(&mut self, letters: &str) {
        for (at, letter) in letters.char_indices() {
            let mut options = self.verb.get_arguments();
            let Some(option) = options.find(|one| one.get_short() == Some(letter)) else {
                return;
            };
            self.given.push(option.get_id().clone());
            if takes_word(option) {
                let is_last = at + letter.len_utf8() == letters.len();
                self.value_of = is_last.then_some(option);
                return;
            }
        }
    }

    fn word(&mut self, number: usize, word: &str) {
        let verb = self.verbs().find(|verb| verb.get_name() == word);
        if let Some(verb) = verb.filter(|_| !self.literal && self.words.is_empty()) {
            if verb.get_name() == "help" {
                self.is_help = true;
            } else {
                self.verb = verb;
            }
            return;
        }
        match self.positional() {
            Some(command) if command.is_trailing_var_arg_set() => self.command_at = Some(number),
            Some(positional) => {
                self.given.push(positional.get_id().clone());
                self.words.push(word.to_owned());
            }
            None => self.words.push(word.to_owned()),
        }
    }

    fn take(&mut self, option: &Arg, value: &str) {
        if option.get_id() == "db" && !value.is_empty() {
            let home = value.strip_prefix("~/").zip(std::env::home_dir());
            let expanded = home.map(|(rest, home)| home.join(rest));
            self.database = Some(expanded.unwrap_or_else(|| value.into()));
        }
    }

    /// The option of this name.
    pub fn option(&self, name: &str) -> Option<&'a Arg> {
        let mut options = self.verb.get_arguments();
        options.find(|option| {
            let aliases = option.get_all_aliases().unwrap_or_default();
            option.get_long() == Some(name) || aliases.contains(&name)
        })
    }

    /// The argument that the next word is.
    pub fn positional(&self) -> Option<&'a Arg> {
        if self.is_help {
            return None;
        }
        let mut positionals = self.verb.get_positionals();
        let next = positionals.nth(self.words.len());
        let next = next.or_else(|| self.verb.get_positionals().last().filter(|it| is_many(it)));
        let excluded = self.excluded();
        next.filter(|next| !excluded.iter().any(|one| one.get_id() == next.get_id()))
    }

    /// The verbs that can come next.
    pub fn verbs(&self) -> impl Iterator<Item = &'a Command> {
        let begun = !self.words.is_empty();
        self.verb.get_subcommands().filter(move |_| !begun)
    }

    /// The options that cannot be used with those that were given.
    pub fn excluded(&self) -> Vec<&'a Arg> {
        let is_given = |one: &Arg| self.given.contains(one.get_id());
        let instead: Vec<&Arg> = self
            .given
            .iter()
            .flat_map(|id| self.instead_of(id))
            .collect();
        let is_excluded = |one: &Arg| {
            let is_one = |other: &&Arg| other.get_id() == one.get_id();
            // One of the two says it.
            let given = self.verb.get_arguments().filter(|other| is_given(other));
            instead.iter().any(is_one)
                || self
                    .verb
                    .get_arg_conflicts_with(one)
                    .iter()
                    .any(|other| is_given(other))
                || given
                    .flat_map(|other| self.verb.get_arg_conflicts_with(other))
                    .any(|other| is_one(&other))
        };
        let open = self.verb.get_arguments().filter(|one| !is_given(one));
        open.filter(|one| is_excluded(one)).collect()
    }

    /// The options of which only this one, or another, can be given.
    fn instead_of(&self, given: &Id) -> Vec<&'a Arg> {
        let groups = self.verb.get_groups().filter(|group| {
            let mut group = (*group).clone();
            !group.is_multiple() && group.get_args().any(|one| one == given)
        });
        let others: Vec<&Id> = groups.flat_map(|group| group.get_args()).collect();
        let options = self.verb.get_arguments();
        options
            .filter(|one| others.contains(&one.get_id()))
            .collect()
    }

    /// The name of the verb, without those that it belongs to.
    pub fn name(&self) -> &'a str {
        self.verb.get_name()
    }
}

/// Is the word behind this option its value?
fn takes_word(option: &Arg) -> bool {
    option.get_action().takes_values() && !option.is_require_equals_set()
}

fn is_many(positional: &Arg) -> bool {
    matches!(positional.get_action(), clap::ArgAction::Append)
        || positional
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1)
}
