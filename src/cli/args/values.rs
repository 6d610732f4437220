//! Values of options: numbers, factors, variables; what else is text is parsed by [`crate::text`].

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, Serialize};

use crate::model::spec::LOCK_MAX;
use crate::model::time::as_millis_list;
use crate::model::{Key, OutputLimit, RunId, Status, Timestamp, pool};
use crate::text::{self, When, duration, size};

/// The waits of a list, one for each retry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delays(#[serde(with = "as_millis_list")] pub Vec<Duration>);

/// A whole number, 0 included.
pub fn count(text: &str) -> Result<u32, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("it must be a whole number from 0 to {}", u32::MAX))
}

/// A whole number of at least 1.
pub fn positive(text: &str) -> Result<u32, String> {
    match count(text) {
        Ok(number) if number > 0 => Ok(number),
        Ok(_) | Err(_) => Err(format!("it must be a whole number from 1 to {}", u32::MAX)),
    }
}

/// A factor of at least 1.
pub fn base(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(base) if base.is_finite() && base >= 1.0 => Ok(base),
        Ok(_) | Err(_) => Err("it must be a number of at least 1".to_owned()),
    }
}

/// A fraction from 0 to 1.
pub fn jitter(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(jitter) if (0.0..=1.0).contains(&jitter) => Ok(jitter),
        Ok(_) | Err(_) => Err("it must be a number from 0 to 1".to_owned()),
    }
}

/// Yes or no, in the words that people use for them.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" => Ok(true),
        "false" | "no" | "off" | "n" | "f" | "0" => Ok(false),
        _ => Err("it must be true or false".to_owned()),
    }
}

/// Durations with commas between them, at least one.
pub fn delays(text: &str) -> Result<Delays, String> {
    let parsed = text.split(',').map(|one| match one.trim() {
        "" => Err("an element of it is empty".to_owned()),
        one => duration(one).map_err(|error| format!("'{one}': {error}")),
    });
    parsed.collect::<Result<_, _>>().map(Delays)
}

/// How much of an output is kept, in bytes; 0 is all.
pub fn max_output(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes == 0 || OutputLimit::new(bytes).is_some() => Ok(bytes),
        _ => {
            let min = OutputLimit::MIN / 1024;
            Err(format!("it must be at least {min}K, or 0 for no limit"))
        }
    }
}

/// A regular expression that [`text::patterns`] takes, as text.
pub fn pattern(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty one is found in everything".to_owned());
    }
    text::patterns(&[text]).map(|_| text.to_owned())
}

/// A line for a shell that does something.
pub fn line(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it must be a command".to_owned());
    }
    Ok(text.to_owned())
}

/// A variable of the environment.
pub fn variable(text: OsString) -> Result<(Vec<u8>, Vec<u8>), String> {
    let bytes = text.into_vec();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(0) | None => Err("it must be KEY=VALUE".to_owned()),
        Some(at) => Ok((bytes[..at].to_vec(), bytes[at + 1..].to_vec())),
    }
}

/// Names of variables, of which the last character may stand for any rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Vec<Vec<u8>>);

impl Names {
    /// Is this variable one of them?
    pub fn name(&self, key: &[u8]) -> bool {
        self.0.iter().any(|name| match name.split_last() {
            Some((b'*', start)) => key.starts_with(start),
            Some(_) | None => name == key,
        })
    }
}

/// Names of variables with commas between them, or nothing.
pub fn names(text: OsString) -> Result<Names, String> {
    let bytes = text.into_vec();
    if bytes.is_empty() {
        return Ok(Names(Vec::new()));
    }
    let names = bytes.split(|byte| *byte == b',').map(|name| match name {
        [] => Err("an element of it is empty".to_owned()),
        _ if name.contains(&b'=') => Err("it must be names, without values".to_owned()),
        [start @ .., _] if start.contains(&b'*') => {
            Err("a * can stand at the end of a name alone".to_owned())
        }
        name => Ok(name.to_vec()),
    });
    names.collect::<Result<_, _>>().map(Names)
}

/// The longest name of a run, in bytes.
const NAME_MAX: usize = 1000;

/// The name of a run.
pub fn name(text: &str) -> Result<String, String> {
    if text.len() > NAME_MAX {
        return Err(format!("it must have at most {NAME_MAX} bytes"));
    }
    Ok(text.to_owned())
}

/// The key of a run.
pub fn key(text: &str) -> Result<String, String> {
    if is_label(text, Key::BYTES_MAX) {
        return Ok(text.to_owned());
    }
    let max = Key::BYTES_MAX;
    Err(format!(
        "it must have 1 to {max} bytes, and no control character"
    ))
}

/// A priority.
pub fn priority(text: &str) -> Result<i32, String> {
    let parsed = text.parse();
    parsed.map_err(|_| {
        format!(
            "it must be a whole number from {} to {}",
            i32::MIN,
            i32::MAX
        )
    })
}

/// The lock of a run.
pub fn lock(text: &str) -> Result<String, String> {
    if is_label(text, LOCK_MAX) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "it must have 1 to {LOCK_MAX} bytes, and no control character"
    ))
}

/// Can it be shown on a line, and is it not empty or longer than `max` bytes?
fn is_label(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && !text.contains(char::is_control)
}

/// The name of a pool.
pub fn pool(text: &str) -> Result<String, String> {
    if pool::is_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "it must have 1 to {} letters, digits, '.', '_' or '-', and begin with a letter or digit",
        pool::NAME_MAX
    ))
}

/// An age in a unit of its own: who asks for the age of what is to be forgotten means days more often than
/// seconds.
pub fn age(text: &str) -> Result<Duration, String> {
    let age = duration(text)?;
    if !age.is_zero() && text.trim().parse::<f64>().is_ok() {
        return Err(format!("it needs a unit: {text}d is days, {text}s seconds"));
    }
    Ok(age)
}

/// Since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinceArg {
    /// So long ago.
    Ago(Duration),
    /// This time, or the last such one.
    At(When),
}

impl SinceArg {
    /// The time that is meant at `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.minus(ago),
            Self::At(when) => when.last(now),
        }
    }
}

/// A duration, or a time.
pub fn since(text: &str) -> Result<SinceArg, String> {
    let ago = duration(text).map(SinceArg::Ago);
    ago.or_else(|_| text::when(text).map(SinceArg::At))
        .map_err(|_| {
            "it must be a duration such as 90s or 2h, or a time such as 08:00, 2026-01-31 08:00 \
             or 2026-01-31T08:00:00+01:00"
                .to_owned()
        })
}

/// The number of a run.
pub fn run_id(text: &str) -> Result<RunId, String> {
    match text.parse::<i64>() {
        Ok(id) if id > 0 => Ok(RunId(id)),
        Ok(_) | Err(_) => Err("a run's id is a positive number".to_owned()),
    }
}

/// One of the states `of` runs, which clap can name and suggest.
pub fn status(of: &'static [Status]) -> impl TypedValueParser<Value = Status> {
    let words = of.iter().map(|status| status.word());
    PossibleValuesParser::new(words).map(move |word| {
        let found = of.iter().find(|status| status.word() == word);
        *found.expect("clap lets no other word through")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_can_be_printed() {
        assert_eq!(key("a b/ü"), Ok("a b/ü".to_owned()));
        assert!(key(&"x".repeat(200)).is_ok());
        for wrong in ["", "a\nb", "a\u{9b}b", &"x".repeat(201), &"ü".repeat(101)] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_exact_or_ends_in_a_star() {
        let some = names("A,LC_*".into()).unwrap();
        for (key, is_named) in [
            ("A", true),
            ("AB", false),
            ("LC_", true),
            ("LC_ALL", true),
            ("LC", false),
        ] {
            assert_eq!(some.name(key.as_bytes()), is_named, "{key}");
        }
        assert!(names("*".into()).unwrap().name(b"X"));
        assert!(!names("".into()).unwrap().name(b""));
        for wrong in [",", "A,", ",A", "A=1", "A*B", "*A", "**"] {
            assert!(names(wrong.into()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn factors_are_finite_and_in_range() {
        assert_eq!(base("1"), Ok(1.0));
        assert_eq!(base("1e9"), Ok(1e9));
        for wrong in ["0.99", "-2", "nan", "inf", "two"] {
            assert!(base(wrong).is_err(), "{wrong}");
        }
        assert_eq!(jitter("0"), Ok(0.0));
        assert_eq!(jitter("1"), Ok(1.0));
        for wrong in ["-0.1", "1.1", "nan", "inf", ""] {
            assert!(jitter(wrong).is_err(), "{wrong}");
        }
    }
}
