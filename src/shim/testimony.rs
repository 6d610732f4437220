//! What is said of an attempt besides how it ended: by the command in its decision file, and by the
//! output of one that failed.
//!
//! The shim gathers it once the command has ended; for an attempt whose shim is gone the daemon does,
//! in the same way. What the command has left where it was to write may be anything: nothing here
//! waits for anybody, follows a link, or reads more than 64 KiB of a file. Start reading at
//! [`gather`].

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::model::policy::{Changes, Complaint, Decision, Testimony, Verdict, When, Witness};
use crate::model::time::millis_of;
use crate::model::{Outcome, Rules, Timestamp};
use crate::sys::files::open_regular;
use crate::sys::process::is_shortage;
use crate::sys::spawn::bytes_path;
use crate::text;

use super::decision::{self, SIZE_MAX};
use super::order::Order;
use super::record::fitting;

/// So many bytes of an output are looked at, the last ones.
const TAIL: u64 = 64 * 1024;

/// So many bytes of a record a complaint may take.
const COMPLAINT_MAX: usize = 190;

/// Where to look, and what for.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The decision file.
    pub decision: PathBuf,
    /// The file of its stdout.
    pub stdout: PathBuf,
    /// The file of its stderr.
    pub stderr: PathBuf,
    /// What to look for.
    pub rules: &'a Rules,
}

/// Asks what is said of the attempt of `order`, for its shim. It cannot wait for descriptors or
/// memory: without them nothing is heard, and that is complained of.
pub fn ask(order: &Order, outcome: &Outcome) -> Box<Testimony> {
    let said = gather(
        outcome,
        &Sources {
            decision: bytes_path(&order.decision).to_path_buf(),
            stdout: bytes_path(&order.stdout).to_path_buf(),
            stderr: bytes_path(&order.stderr).to_path_buf(),
            rules: &order.rules,
        },
    );
    Box::new(said.unwrap_or_else(|error| Testimony {
        complaints: vec![complaint(Witness::Command, &unreadable(&error))],
        ..Testimony::default()
    }))
}

/// Does the command ask to be run again although it may have succeeded?
pub fn snoozes(said: &Testimony) -> bool {
    let verdict = said.command.as_ref().and_then(|decision| decision.verdict);
    matches!(verdict, Some(Verdict::Snooze { .. }))
}

/// All that is said of an attempt that ended with `outcome`; of a canceled one nothing is asked.
/// Errors: no descriptor or memory for looking, so that nobody knows.
pub fn gather(outcome: &Outcome, from: &Sources<'_>) -> io::Result<Testimony> {
    let mut said = Testimony::default();
    if *outcome == Outcome::Canceled {
        return Ok(said);
    }
    match read_decision(&from.decision)? {
        Ok((decision, changes)) => {
            said.command = (decision != Decision::default()).then_some(decision);
            said.changes = changes;
        }
        Err(error) => said.complaints.push(complaint(Witness::Command, &error)),
    }
    if from.rules.is_failure(outcome) {
        look_at_output(from, &mut said)?;
    }
    Ok(said)
}

/// A complaint, in words that fit into a record.
pub fn complaint(of: Witness, error: &str) -> Complaint {
    let error = fitting(error, COMPLAINT_MAX);
    Complaint { of, error }
}

/// What the command has decided, or what is wrong with it. Errors: see [`gather`].
fn read_decision(path: &Path) -> io::Result<Result<(Decision, Changes), String>> {
    let failed = |error: io::Error| match error.kind() {
        _ if is_shortage(&error) => Err(error),
        io::ErrorKind::InvalidInput => Ok(Err(format!("it is {error}"))),
        _ => Ok(Err(unreadable(&error))),
    };
    let file = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Ok(Default::default()));
        }
        Err(error) => return failed(error),
        Ok(file) => file,
    };
    let mut bytes = Vec::new();
    match file.take(SIZE_MAX as u64 + 1).read_to_end(&mut bytes) {
        Err(error) => failed(error),
        Ok(_) => Ok(decision::parse(&bytes)),
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
}

/// What the output of a failed attempt says, as far as anybody wants to know.
fn look_at_output(from: &Sources<'_>, said: &mut Testimony) -> io::Result<()> {
    let rules = from.rules;
    if rules.stop_if.is_empty() && rules.retry_if.is_empty() && !rules.retry_after {
        return Ok(());
    }
    let (stdout, stderr) = (Tail::read(&from.stdout)?, Tail::read(&from.stderr)?);
    let found = |texts: &[String]| {
        // They were parsed before they were stored.
        let Ok(patterns) = text::patterns(texts) else {
            return false;
        };
        let is_in = |tail: &Tail| patterns.is_match_at(&tail.bytes, tail.start);
        is_in(&stderr) || is_in(&stdout)
    };
    said.stop_if = found(&rules.stop_if);
    said.retry_if = found(&rules.retry_if);
    if rules.retry_after {
        said.retry_after = stdout.retry_after().or_else(|| stderr.retry_after());
    }
    Ok(())
}

/// The end of an output.
#[derive(Default)]
struct Tail {
    /// The last bytes, and the one before them if there is one: it tells whether a line begins here.
    bytes: Vec<u8>,
    /// Where the last bytes begin.
    start: usize,
}

impl Tail {
    /// The tail of the file at `path`; of one that cannot be read it is empty. Errors: see
    /// [`gather`].
    fn read(path: &Path) -> io::Result<Self> {
        match open_regular(path).and_then(Self::of) {
            Err(error) if is_shortage(&error) => Err(error),
            tail => Ok(tail.unwrap_or_default()),
        }
    }

    fn of(mut file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let is_cut = length > TAIL;
        if is_cut {
            file.seek(SeekFrom::Start(length - TAIL - 1))?;
        }
        let mut bytes = Vec::new();
        file.take(TAIL + 1).read_to_end(&mut bytes)?;
        let start = usize::from(is_cut).min(bytes.len());
        Ok(Self { bytes, start })
    }

    /// What the headers of the last response say, as `curl -i` (bare), `curl -v` (after `< `) and
    /// `wget -S` (indented) print them. A body may hold such a line too: it is passed over.
    fn retry_after(&self) -> Option<When> {
        let (before, tail) = self.bytes.split_at(self.start);
        let whole = before.is_empty() || before == b"\n";
        let lines = tail.split(|byte| *byte == b'\n');
        let lines = lines.skip(usize::from(!whole));
        let (mut inside, mut found) = (false, None);
        for line in lines.filter_map(|line| std::str::from_utf8(line).ok()) {
            let line = line.trim();
            let line = line.strip_prefix('<').unwrap_or(line).trim_start();
            if line.starts_with("HTTP/") {
                (inside, found) = (true, None);
            } else if line.is_empty() {
                inside = false;
            } else if inside {
                found = retry_after(line).or(found);
            }
        }
        found
    }
}

/// The value of a header `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(line: &str) -> Option<When> {
    let (name, value) = line.split_once(':')?;
    if !name.eq_ignore_ascii_case("retry-after") {
        return None;
    }
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(i64::MAX);
        return Some(When::After(seconds.saturating_mul(1000)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    Some(When::At(Timestamp::from_millis(millis_of(since))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tail_of(text: &str) -> Option<When> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, text).unwrap();
        Tail::read(&path).unwrap().retry_after()
    }

    #[test]
    fn every_form_of_retry_after_is_understood() {
        let seconds = Some(When::After(120_000));
        for line in [
            "Retry-After: 120",
            "retry-after:120\r",
            "RETRY-AFTER:   120  \r",
            "< Retry-After: 120\r",
            "  Retry-After: 120",
        ] {
            assert_eq!(tail_of(&format!("HTTP/1.1 429\n{line}\n\nbody")), seconds);
        }
        let date = Some(When::At(Timestamp::from_millis(784_111_777_000)));
        for line in [
            "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r",
            "< retry-after: Sunday, 06-Nov-94 08:49:37 GMT",
            "  Retry-After: Sun Nov  6 08:49:37 1994",
        ] {
            let text = format!("HTTP/1.1 503 x\r\n{line}\r\n");
            assert_eq!(tail_of(&text), date, "{line}");
        }
        let for_ever = tail_of(&format!("HTTP/2 429\nRetry-After: {}", "9".repeat(40)));
        assert_eq!(for_ever, Some(When::After(i64::MAX)));
    }

    #[test]
    fn the_last_one_counts_and_rubbish_never_does() {
        let after = |seconds: i64| Some(When::After(seconds * 1000));
        let answered = |headers: &str| tail_of(&format!("HTTP/1.1 429 x\n{headers}"));
        assert_eq!(answered("Retry-After: 1\nRetry-After: 2\n"), after(2));
        assert_eq!(answered("Retry-After: 1\nRetry-After: soon\n"), after(1));
        let again = "Retry-After: 1\r\n\r\nHTTP/1.1 503 x\r\nRetry-After: 3\r\n\r\n";
        assert_eq!(answered(again), after(3));
        assert_eq!(answered("Retry-After: 1\n\nHTTP/2 503\nVary: *\n\n"), None);
        let body = "Retry-After: 1\r\n\r\nRetry-After: 3\r\n";
        assert_eq!(answered(body), after(1), "a body says nothing");
        assert_eq!(tail_of("Retry-After: 1\n"), None, "there is no response");
        for line in [
            "Retry-After: -1",
            "Retry-After: 1.5",
            "Retry-After: +1",
            "Retry-After:",
            "Retry-After 1",
            "X-Retry-After: 1",
            "> Retry-After: 1",
            "\u{1b}[1mRetry-After: 1",
        ] {
            assert_eq!(answered(line), None, "{line}");
        }
    }

    #[test]
    fn a_line_that_is_cut_by_the_tail_is_no_line() {
        let header = "HTTP/1.1 429 x\nRetry-After: 1\n";
        let rest = "x".repeat(TAIL as usize - header.len());
        let one = Some(When::After(1000));
        assert_eq!(tail_of(&format!("{header}{rest}")), one);
        assert_eq!(tail_of(&format!("\n{header}{rest}")), one);
        assert_eq!(tail_of(&format!("X-{header}{rest}")), None);
        assert_eq!(tail_of(&format!("{header}{rest}x")), None);
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_a_wait_that_is_not_negative_or_nothing(
            value in prop_oneof![
                any::<String>(),
                "-?[0-9]{0,30}(\\.[0-9]{0,3})?",
                "[A-Z][a-z]{2,8}, [0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{2,6} [0-9]{1,3}:[0-9]{2}:[0-9]{2}( GMT)?",
            ],
            bytes: Vec<u8>,
        ) {
            match retry_after(&format!("Retry-After: {value}")) {
                Some(When::After(delay)) => prop_assert!(delay >= 0),
                Some(When::At(at)) => prop_assert!(at >= Timestamp::from_millis(0)),
                None => {}
            }
            let bytes = [b"HTTP/1.1 429\nRetry-After: ", value.as_bytes(), b"\r\n", &bytes].concat();
            let start = bytes.len() / 3;
            let _ = Tail { bytes, start }.retry_after();
        }
    }
}
