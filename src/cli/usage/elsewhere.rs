//! Words of other tools: who has typed `kill`, `ps` or `--detach` for years means something, and is told how
//! that is said here.

mod options;
mod verbs;

use options::OPTIONS;
use verbs::VERBS;

/// How `retrier` says what others call `word`; `path` are the verbs before it.
pub fn verb(path: &[&str], word: &str) -> Option<&'static str> {
    let mut known = VERBS.iter();
    let found = known.find(|(of, words, _)| *of == path && words.contains(&word));
    found.map(|(_, _, hint)| *hint)
}

/// How `retrier` says what others call the option `word` of the verb `of`.
pub fn option(of: &str, word: &str) -> Option<&'static str> {
    let word = word.split('=').next().unwrap_or_default();
    let mut known = OPTIONS.iter();
    let found = known.find(|(verb, words, _)| *verb == of && words.contains(&word));
    found.map(|(_, _, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args;

    #[test]
    fn no_word_of_others_is_one_of_ours_and_each_is_there_once() {
        let mut program = args::command();
        program.build();
        let mut seen = Vec::new();
        for (path, words, _) in VERBS {
            let under = path.iter().fold(&program, |verb, name| {
                verb.find_subcommand(name).expect("it is a verb")
            });
            for word in *words {
                assert!(under.find_subcommand(word).is_none(), "{word}");
                assert!(!seen.contains(&(path.join(" "), *word)), "{word}");
                seen.push((path.join(" "), *word));
            }
        }
        for (name, words, _) in OPTIONS {
            let verb = name.split(' ').fold(&program, |verb, name| {
                verb.find_subcommand(name).expect("it is a verb")
            });
            for word in *words {
                let is_ours = verb.get_arguments().any(|option| {
                    let long = option.get_long().map(|long| format!("--{long}"));
                    let short = option.get_short().map(|short| format!("-{short}"));
                    let aliases = option.get_all_aliases().unwrap_or_default();
                    long.as_deref() == Some(*word)
                        || short.as_deref() == Some(*word)
                        || aliases.iter().any(|alias| format!("--{alias}") == **word)
                });
                assert!(!is_ours, "{name} {word}");
                assert!(!seen.contains(&((*name).to_owned(), *word)), "{word}");
                seen.push(((*name).to_owned(), *word));
            }
        }
    }

    #[test]
    fn what_is_hinted_at_can_be_typed() {
        let mut program = args::command();
        program.build();
        let hints = VERBS.iter().map(|(_, _, hint)| *hint);
        for hint in hints.chain(OPTIONS.iter().map(|(_, _, hint)| *hint)) {
            for call in hint.split('`').skip(1).step_by(2) {
                let words = call.split_whitespace().skip(1);
                let mut verb = &program;
                for word in words.take_while(|word| *word != "|" && *word != "--") {
                    if let Some(option) = word.strip_prefix("--") {
                        let mut options = verb.get_arguments();
                        let is_there = option == "version"
                            || options.any(|one| one.get_long() == Some(option));
                        assert!(is_there, "{call}");
                    } else if let Some(sub) = verb.find_subcommand(word) {
                        verb = sub;
                    } else {
                        // A value, such as ID; the first word is always a verb.
                        assert_ne!(verb.get_name(), "retrier", "{call}");
                    }
                }
            }
        }
    }
}
