//! Values that come as text, from the command line or from a decision: durations, times, patterns;
//! and text that goes to people, made safe.

mod escape;
mod local;

use std::time::Duration;

use regex::bytes::{RegexSet, RegexSetBuilder};

use crate::model::Timestamp;

pub use escape::{Escaper, escape_printed, escape_text};
pub use local::{When, when, zone};

/// No duration may be longer: a hundred years of 365 days.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The one of `known` that `text` is a typing error away from: one letter that is missing, too many, wrong
/// or swapped with the next, for each three that it has, but not all that it has.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a String>) -> Option<&'a str> {
    let length = text.chars().count();
    let far = length.div_ceil(3).min(length.saturating_sub(1));
    let distances = known
        .into_iter()
        .map(|one| (strsim::osa_distance(text, one), one.as_str()));
    let near = distances.filter(|(distance, _)| *distance <= far);
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, one)| one)
}

/// Compiled patterns may take this much memory together, in bytes. The time of a look is their size
/// times that of the output, and the daemon itself looks at the output of a lost attempt.
const PATTERNS_MAX: usize = 64 * 1024;

/// A duration in whole milliseconds, rounded up so that what is not zero never becomes it: a bare
/// number is seconds, else numbers with units as in `250ms` or `1h 30m`.
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
        Some(duration) if duration <= LONGEST => {
            let ms = duration.as_nanos().div_ceil(1_000_000);
            Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)))
        }
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

/// A size in bytes: a bare number, or one with a unit as in `512K`, `10M` or `1GiB`. K, M, G and T
/// are powers of 1024, in either case, with or without B or iB. Errors: another form, a fraction, or
/// more than a file can have.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')) {
        Some("") if unit == "ib" => None,
        bare => ["", "k", "m", "g", "t"]
            .iter()
            .position(|one| *one == bare.unwrap_or(&unit)),
    };
    let (false, Some(power)) = (number.is_empty(), power) else {
        return Err(
            "it must be a whole number of bytes, or one with a unit such as 512K, 10M or 1GiB"
                .to_owned(),
        );
    };
    let number = number.parse::<u64>().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << (10 * power)));
    let bytes = bytes.filter(|bytes| i64::try_from(*bytes).is_ok());
    bytes.ok_or_else(|| "longer than any file".to_owned())
}

/// A time as RFC 3339 has it, with its offset from UTC.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed
        .map(|at| Timestamp::from_millis(at.as_millisecond()))
        .map_err(|_| "it must be a time such as 2026-01-31T23:59:59+01:00".to_owned())
}

/// Regular expressions over bytes, of which one has to match: `^` and `$` match at line ends too, `.`
/// is any byte but a line end. Errors: one is none, or they take too much memory together; in words.
pub fn patterns<T: AsRef<str>>(texts: &[T]) -> Result<RegexSet, String> {
    RegexSetBuilder::new(texts)
        .unicode(false)
        .multi_line(true)
        // HTTP ends its lines with both.
        .crlf(true)
        .size_limit(PATTERNS_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it takes too much memory".to_owned(),
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            }
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bare_number_is_seconds_and_units_are_exact() {
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("1e9"), Ok(Duration::from_secs(1_000_000_000)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("0.1"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("1us"), Ok(Duration::from_millis(1)));
        for wrong in [
            "-1", "nan", "inf", "1M", "2 months", "1y", "1e999", "", "x", "5e9", "-5s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_size_has_units_of_1024() {
        for (text, expected) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("512k", 512 << 10),
            ("512 KiB", 512 << 10),
            ("10M", 10 << 20),
            ("10mb", 10 << 20),
            (" 1GiB ", 1 << 30),
            ("3T", 3 << 40),
            ("007K", 7 << 10),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for wrong in [
            "", "M", "-1", "+1", "1.5M", "1e6", "1ib", "1Mi", "1bb", "1P", "M1", "1 M B", "0x10",
            "1M2K", "\u{662}M",
        ] {
            assert!(size(wrong).unwrap_err().contains("512K"), "{wrong}");
        }
        for long in ["9223372036854775808", "8388608T", "99999999999999999999999"] {
            assert!(size(long).unwrap_err().contains("any file"), "{long}");
        }
    }

    proptest! {
        #[test]
        fn a_size_is_its_number_times_its_unit(number: u64, power in 0usize..5, form in 0usize..4) {
            let letter = ["", "K", "M", "G", "T"][power];
            let unit = match (power, form) {
                (0, _) => ["", "B", "b", " B"][form].to_owned(),
                (_, 0) => letter.to_owned(),
                (_, 1) => format!("{letter}B"),
                (_, 2) => format!(" {}iB", letter.to_lowercase()),
                (_, _) => letter.to_lowercase(),
            };
            let exact = u128::from(number) << (10 * power);
            let expected = i64::try_from(exact).ok().map(i64::unsigned_abs);
            prop_assert_eq!(size(&format!("{number}{unit}")).ok(), expected);
        }

        #[test]
        fn no_text_is_a_size_by_accident(text in "\\PC{0,8}") {
            if let Ok(bytes) = size(&text) {
                let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic());
                let number: u64 = digits.trim().parse().expect("a size begins with its number");
                prop_assert!(number == 0 && bytes == 0 || bytes % number == 0);
            }
        }
    }

    #[test]
    fn a_time_needs_its_offset() {
        let at = time("2026-01-31T23:59:59+01:00").unwrap();
        assert_eq!(at, time("2026-01-31T22:59:59Z").unwrap());
        assert!(time("2026-01-31T23:59:59").is_err());
        assert!(time("tomorrow").is_err());
    }

    #[test]
    fn a_pattern_looks_at_bytes_and_lines() {
        let found = |text: &str, bytes: &[u8]| patterns(&[text]).unwrap().is_match(bytes);
        assert!(found("^fatal:.*disk", b"a\xff\nfatal: \xfe disk\n"));
        assert!(found("(?i)grün", "grün".as_bytes()));
        assert!(!found("^disk", b"a disk"));
        assert!(found("^HTTP/1.. 404$", b"a\r\nHTTP/1.1 404\r\nb"));
        assert!(patterns(&["("]).unwrap_err().contains("unclosed"));
        assert!(patterns(&["a{1000}{1000}{1000}"]).is_err());
        assert!(patterns(&["(?s:[ab]*a.{10000}c)"]).is_err());
        let ordinary = ["(?i)(deadline|timeout|timed out|connection (reset|refused))"; 10];
        assert!(patterns(&ordinary).is_ok());
        assert!(patterns(&[&"ordinary ".repeat(100); 40]).is_err());
    }

    #[test]
    fn the_nearest_name_is_a_typing_error_away() {
        let known = ["mail", "default", "a", "backup:nightly"].map(str::to_owned);
        for (text, near) in [
            ("mial", Some("mail")),
            ("mai", Some("mail")),
            ("Mail", Some("mail")),
            ("defalut", Some("default")),
            ("bakcup:nihgtly", Some("backup:nightly")),
            ("b", None),
            ("gpu", None),
            ("main-queue", None),
        ] {
            assert_eq!(nearest(text, &known), near, "{text}");
        }
    }
}
