//! The small pieces: commands, outcomes, durations, times.

use std::fmt::Write;
use std::time::Duration;

use crate::model::{Outcome, Timestamp};
use crate::text::{escape_text, zone};

/// A command as it can be pasted into a shell, on one line; words that cannot be shown as they are
/// stand as `$'…'`.
pub fn command(words: &[Vec<u8>]) -> String {
    words
        .iter()
        .map(|word| quoted(word))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &[u8]) -> String {
    let plain = std::str::from_utf8(word)
        .ok()
        .filter(|text| escape_text(text) == *text);
    let quoted = plain.and_then(|text| shlex::try_quote(text).ok());
    if let Some(quoted) = quoted {
        return quoted.into_owned();
    }
    let mut shown = String::from("$'");
    for chunk in word.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => shown.push_str("\\n"),
                '\t' => shown.push_str("\\t"),
                '\'' | '\\' => shown.extend(['\\', c]),
                c if c.is_ascii_control() => {
                    let _ = write!(shown, "\\x{:02x}", c as u32);
                }
                c if escape_text(&c.to_string()) == c.to_string() => shown.push(c),
                c => {
                    let _ = write!(shown, "\\U{:08x}", c as u32);
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown.push('\'');
    shown
}

/// An outcome in words, a signal with its name.
pub fn outcome(ended: &Outcome) -> String {
    match ended {
        Outcome::Signal { signal, .. } => match crate::sys::signal::name(*signal) {
            Some(name) => format!("{ended} ({name})"),
            None => ended.to_string(),
        },
        Outcome::Lost => "lost: nobody saw how it ended".to_owned(),
        other => other.to_string(),
    }
}

/// An outcome as what the attempt did, such as `exited 22`.
pub fn deed(ended: &Outcome) -> String {
    match ended {
        Outcome::Exit { code } => format!("exited {code}"),
        Outcome::Signal { signal, .. } => match crate::sys::signal::name(*signal) {
            Some(name) => format!("was ended by {name}"),
            None => format!("was ended by signal {signal}"),
        },
        Outcome::Timeout => "timed out".to_owned(),
        Outcome::Deadline => "ran into the deadline".to_owned(),
        Outcome::Canceled => "was ended".to_owned(),
        Outcome::Spawn { error, .. } => format!("could not be executed: {}", escape_text(error)),
        Outcome::Lost => "was lost".to_owned(),
        Outcome::Interrupted => "was interrupted".to_owned(),
    }
}

/// A number of bytes as options take it, exactly: in the greatest unit of which it is a whole
/// number.
pub fn size(bytes: u64) -> String {
    let power = match bytes {
        0 => 0,
        _ => (bytes.trailing_zeros() / 10).min(4),
    };
    let letter = ["", "K", "M", "G", "T"][power as usize];
    format!("{}{letter}", bytes >> (10 * power))
}

/// A duration in at most two units, such as `1m 30s`.
pub fn span(duration: Duration) -> String {
    let ms = duration.as_millis();
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |first: u64, unit: &str, second: u64, lesser: &str| match second {
        0 => format!("{first}{unit}"),
        _ => format!("{first}{unit} {second}{lesser}"),
    };
    match seconds {
        0 => format!("{ms}ms"),
        1..10 => two(seconds, "s", u64::from(duration.subsec_millis()), "ms"),
        10..60 => format!("{seconds}s"),
        60..3600 => two(minutes, "m", seconds % 60, "s"),
        3600..86_400 => two(hours, "h", minutes, "m"),
        _ => two(days, "d", hours, "h"),
    }
}

/// A time on the local clock, and how long ago it was.
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", clock_time(at), ago(at, now))
}

/// How long ago `at` was.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let passed = now.since(at);
    if passed < Duration::from_secs(1) {
        return "just now".to_owned();
    }
    format!("{} ago", span(Duration::from_secs(passed.as_secs())))
}

/// A time on the local clock, without its date when that is the one of `now`.
pub fn short_time(at: Timestamp, now: Timestamp) -> String {
    let (shown, today) = (clock_time(at), clock_time(now));
    match (shown.split_once(' '), today.split_once(' ')) {
        (Some((day, time)), Some((this_day, _))) if day == this_day => time.to_owned(),
        (Some(_) | None, Some(_) | None) => shown,
    }
}

/// A time on the local clock.
pub fn clock_time(at: Timestamp) -> String {
    local(at, "%Y-%m-%d %H:%M:%S")
}

/// A time on the local clock, with milliseconds.
pub fn clock_time_ms(at: Timestamp) -> String {
    local(at, "%Y-%m-%d %H:%M:%S%.3f")
}

fn local(at: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.millis()) {
        Ok(time) => {
            let zoned = time.to_zoned(zone().clone());
            zoned.strftime(format).to_string()
        }
        Err(_) => at.millis().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_at_most_two_units() {
        let shown = |ms| span(Duration::from_millis(ms));
        assert_eq!(shown(0), "0ms");
        assert_eq!(shown(999), "999ms");
        assert_eq!(shown(1_043), "1s 43ms");
        assert_eq!(shown(59_999), "59s");
        assert_eq!(shown(90_000), "1m 30s");
        assert_eq!(shown(3_600_000), "1h");
        assert_eq!(shown(255_600_000), "2d 23h");
    }

    #[test]
    fn a_size_is_exact_and_is_what_options_take() {
        for (bytes, shown) in [
            (0, "0"),
            (1, "1"),
            (1025, "1025"),
            (300 << 10, "300K"),
            (10 << 20, "10M"),
            (3 << 41, "6T"),
            (1 << 62, "4194304T"),
            (i64::MAX as u64, "9223372036854775807"),
        ] {
            assert_eq!(size(bytes), shown);
            assert_eq!(crate::text::size(shown), Ok(bytes));
        }
    }

    #[test]
    fn a_time_of_today_has_no_date() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let day = Duration::from_secs(86_400);
        assert_eq!(short_time(now, now).len(), "14:02:31".len());
        assert_eq!(short_time(now.plus(day), now), clock_time(now.plus(day)));
        assert_eq!(short_time(now.minus(day), now), clock_time(now.minus(day)));
    }

    #[test]
    fn a_command_can_be_pasted() {
        let words =
            |words: &[&[u8]]| command(&words.iter().map(|w| w.to_vec()).collect::<Vec<_>>());
        assert_eq!(
            words(&[b"echo", b"a b", b"it's", b""]),
            r#"echo 'a b' "it's" ''"#
        );
        assert_eq!(words(&[b"a\x1b[2J\n\xff"]), r"$'a\x1b[2J\n\xff'");
    }
}
