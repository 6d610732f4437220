//! Values of options: durations, factors, times, variables.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use crate::model::{RunId, Status, Timestamp};

/// No duration may be longer: a hundred years of 365 days.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A duration: a bare number is seconds, else numbers with units as in `250ms` or `1h 30m`.
/// Errors: negative, not finite, too long, or with the units month and year, of which nobody
/// knows how long they are and one is a typing error away from a minute.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let bare = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let parsed = match text.parse::<f64>() {
        Ok(seconds) if bare => Duration::try_from_secs_f64(seconds).ok(),
        Ok(_) => return Err("it must be a positive number, or one with a unit".to_owned()),
        Err(_) => Some(with_units(text)?),
    };
    match parsed {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) | None => Err("longer than 100 years".to_owned()),
    }
}

fn with_units(text: &str) -> Result<Duration, String> {
    let units = text.split(|c: char| !c.is_alphabetic());
    for unit in units {
        if matches!(
            unit,
            "M" | "month" | "months" | "y" | "yr" | "year" | "years"
        ) {
            return Err(format!(
                "the unit {unit} is not exact; m is minutes, and longer times are given in d or w"
            ));
        }
    }
    humantime::parse_duration(text).map_err(|_| {
        "it must be a number of seconds, or one with a unit such as 250ms, 90s or 1h 30m".to_owned()
    })
}

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

/// A time as RFC 3339 has it, with its offset from UTC.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed
        .map(|at| Timestamp::from_millis(at.as_millisecond()))
        .map_err(|_| "it must be a time such as 2026-01-31T23:59:59+01:00".to_owned())
}

/// A variable of the environment.
pub fn variable(text: OsString) -> Result<(Vec<u8>, Vec<u8>), String> {
    let bytes = text.into_vec();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(0) | None => Err("it must be KEY=VALUE".to_owned()),
        Some(at) => Ok((bytes[..at].to_vec(), bytes[at + 1..].to_vec())),
    }
}

/// The number of a run.
pub fn run_id(text: &str) -> Result<RunId, String> {
    match text.parse::<i64>() {
        Ok(id) if id > 0 => Ok(RunId(id)),
        Ok(_) | Err(_) => Err("a run's id is a positive number".to_owned()),
    }
}

/// A state of a run.
pub fn status(text: &str) -> Result<Status, String> {
    let found = Status::ALL.into_iter().find(|status| status.word() == text);
    found.ok_or_else(|| {
        let words = Status::ALL.map(Status::word);
        format!("it must be one of {}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds_and_units_are_exact() {
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("1e9"), Ok(Duration::from_secs(1_000_000_000)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in [
            "-1", "nan", "inf", "1M", "2 months", "1y", "1e999", "", "x", "5e9", "-5s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
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

    #[test]
    fn a_time_needs_its_offset() {
        let at = time("2026-01-31T23:59:59+01:00").unwrap();
        assert_eq!(at, time("2026-01-31T22:59:59Z").unwrap());
        assert!(time("2026-01-31T23:59:59").is_err());
        assert!(time("tomorrow").is_err());
    }
}
