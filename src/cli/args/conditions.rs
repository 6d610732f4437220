//! Lists of outcomes as text: `1,64-78,SIGSEGV,timeout`. Parses, and looks at no outcome.

use crate::model::policy::{Condition, Conditions};
use crate::sys::signal;

/// What [`conditions`] takes, in words.
const EXPECTED: &str =
    "it must be an exit code, a range such as 64-78, a signal, timeout, spawn or lost";

/// A list for `--retry-on` and `--stop-on`: exit codes, ranges of them, signals, and the words
/// `timeout`, `spawn` and `lost`, with commas between them.
pub fn conditions(text: &str) -> Result<Conditions, String> {
    let parsed = text.split(',').map(|one| condition(one.trim()));
    parsed.collect::<Result<_, _>>().map(Conditions)
}

/// A list for `--success-codes`: ways in which a command can end by itself, so without the words.
pub fn successes(text: &str) -> Result<Conditions, String> {
    let parsed = conditions(text)?;
    for one in &parsed.0 {
        let word = match one {
            Condition::Exit { .. } | Condition::Signal(_) => continue,
            Condition::Timeout => "timeout",
            Condition::Spawn => "spawn",
            Condition::Lost => "lost",
        };
        return Err(format!(
            "{word} is never a success; it must be an exit code, a range such as 64-78 or a signal"
        ));
    }
    Ok(parsed)
}

fn condition(text: &str) -> Result<Condition, String> {
    if text.is_empty() {
        return Err("an element of it is empty".to_owned());
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return range(text);
    }
    match text.to_ascii_lowercase().as_str() {
        "timeout" => Ok(Condition::Timeout),
        "spawn" => Ok(Condition::Spawn),
        "lost" => Ok(Condition::Lost),
        _ => match signal::number(text) {
            Some(number) => Ok(Condition::Signal(number)),
            None => Err(format!("'{text}': {EXPECTED}")),
        },
    }
}

fn range(text: &str) -> Result<Condition, String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (exit_code(from.trim())?, exit_code(to.trim())?);
    if from > to {
        return Err(format!("'{text}': the lower end of a range comes first"));
    }
    Ok(Condition::Exit { from, to })
}

fn exit_code(text: &str) -> Result<u8, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(code) if digits => Ok(code),
        Err(_) if digits => Err(format!("'{text}': an exit code is at most 255")),
        Ok(_) | Err(_) => Err(format!("'{text}': {EXPECTED}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exit(from: u8, to: u8) -> Condition {
        Condition::Exit { from, to }
    }

    #[test]
    fn a_list_mixes_codes_ranges_signals_and_words() {
        let parsed = conditions("1, 7,64-78,SIGSEGV,kill,TimeOut,spawn,lost,0-255,RTMIN+1");
        let expected = vec![
            exit(1, 1),
            exit(7, 7),
            exit(64, 78),
            Condition::Signal(11),
            Condition::Signal(9),
            Condition::Timeout,
            Condition::Spawn,
            Condition::Lost,
            exit(0, 255),
            Condition::Signal(35),
        ];
        assert_eq!(parsed, Ok(Conditions(expected)));
        assert_eq!(conditions("5-5"), Ok(Conditions(vec![exit(5, 5)])));
    }

    #[test]
    fn what_is_no_list_says_where_it_is_wrong() {
        for (wrong, words) in [
            ("", "is empty"),
            ("1,", "is empty"),
            (",1", "is empty"),
            ("256", "'256': an exit code is at most 255"),
            ("99999999999", "at most 255"),
            ("78-64", "'78-64': the lower end"),
            ("1-", "'': it must be"),
            ("-1", "'-1': it must be"),
            ("1-+2", "'+2': it must be"),
            ("1.5", "'1.5': it must be"),
            ("SIGFOO", "'SIGFOO': it must be"),
            ("signal", "a signal"),
            ("0x10", "it must be"),
        ] {
            let error = conditions(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_success_is_no_word() {
        let both = Conditions(vec![exit(0, 0), Condition::Signal(15)]);
        assert_eq!(successes("0,TERM"), Ok(both));
        for word in ["timeout", "spawn", "lost"] {
            let error = successes(&format!("0,{word}")).unwrap_err();
            assert!(error.starts_with(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_a_list_of_what_can_happen(
            text in prop_oneof![
                any::<String>(),
                "((-?[0-9]{1,4}(-[0-9]{0,4})?|SIG[A-Z]{0,5}|RTM(IN|AX)[+-][0-9]{0,11}|timeout|spawn|lost| ),?){0,6}",
            ],
        ) {
            match conditions(&text) {
                Ok(Conditions(list)) => for one in list {
                    match one {
                        Condition::Exit { from, to } => prop_assert!(from <= to),
                        Condition::Signal(number) => prop_assert!((1..=64).contains(&number)),
                        Condition::Timeout | Condition::Spawn | Condition::Lost => {}
                    }
                },
                Err(why) => prop_assert!(!why.is_empty()),
            }
        }
    }
}
