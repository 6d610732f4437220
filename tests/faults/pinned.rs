//! Readers that stay: one that holds a moment of the database for long, and verbs whose reader does not read.

use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::support::{Home, holds_within, proof, wait_until};

const LONG: Duration = Duration::from_secs(60);

/// A log that nobody pins is written back after 4,096 pages by the daemon, when it commits something, and by
/// clients after 8,000, and is then used from its start again.
const LOG_MAX: u64 = 20 << 20;

/// What is left when all have gone.
const LEFT_MAX: u64 = 1 << 20;

fn log_length(home: &Home) -> u64 {
    fs::metadata(home.path("retrier.db-wal")).map_or(0, |log| log.len())
}

/// Stores runs of which each takes some pages, from four callers at once. Gives what they complained about.
fn store(home: &Home, each: usize) -> Vec<String> {
    let line = format!("true {}\n", "x".repeat(8000)).repeat(each);
    let call = || {
        let call = home.retrier(["run", "--no-daemon-start", "--delay", "1h", "--batch", "-"]);
        call.stdin(line.clone()).limit(LONG).spawn()
    };
    let calls: Vec<_> = (0..4).map(|_| call()).collect();
    let ended = calls.into_iter().map(|call| call.wait_within(LONG));
    let failed = ended.filter(|ended| ended.code != 0);
    failed.map(|ended| ended.error_text()).collect()
}

/// Somebody holds a moment of the database while others write. Gives what is wrong.
fn pin() -> Vec<String> {
    let home = Home::new();
    let mut daemon = home.daemon();
    let mut found = store(&home, 20);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(home.db(), flags).expect("it is there");
    let count = || reader.query_row("SELECT count(*) FROM run", [], |row| row.get::<_, i64>(0));
    reader.execute_batch("BEGIN").expect("it can be read");
    let before = count().expect("it can be read");
    for _ in 0..2 {
        found.extend(store(&home, 300));
        let waited = home.retrier(["run", "--wait", "--", "true"]).output();
        found.extend((waited.code != 0).then(|| waited.error_text()));
    }
    let grown = log_length(&home);
    if grown < LOG_MAX {
        found.push(format!("{grown} bytes of log: this pins nothing"));
    }
    let same = count().expect("it can be read");
    if same != before {
        found.push(format!("the moment has changed from {before} to {same}"));
    }
    reader.execute_batch("COMMIT").expect("it can be read");
    drop(reader);
    // From here on the log is used again from its start once it was written back, and grows no more.
    let grows_no_more = (0..10).any(|_| {
        let before = log_length(&home);
        found.extend(store(&home, 300));
        log_length(&home) <= before
    });
    if !grows_no_more {
        let length = log_length(&home);
        found.push(format!("the log went on growing to {length} bytes"));
    }
    found.extend(home.doctor());
    if daemon.stop() != 0 {
        found.push("the daemon left in trouble".to_owned());
    }
    found.extend(store(&home, 1));
    if log_length(&home) > LEFT_MAX {
        found.push(format!("{} bytes of log are left", log_length(&home)));
    }
    found
}

#[test]
fn a_reader_that_stays_keeps_nobody_from_writing_and_the_log_is_cut_when_it_has_gone() {
    let times = proof::repetitions(1, 3);
    let found: Vec<String> = (0..times).flat_map(|_| pin()).collect();
    proof::holds("T12", times, &found);
}

/// Starts a verb whose output nobody reads, and waits until it cannot go on.
#[track_caller]
fn start_unread(home: &Home, verb: &[&str], bug: &str) -> Child {
    let mut command = home.command();
    command.args(verb).env("RETRIER_BUG", bug);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let child = command.stdout(Stdio::piped()).spawn();
    let child = child.expect("the binary under test can be started");
    let wchan = format!("/proc/{}/wchan", child.id());
    let stat = format!("/proc/{}/stat", child.id());
    let sleeps = || {
        let stat = fs::read_to_string(&stat).unwrap_or_default();
        let wchan = fs::read_to_string(&wchan).unwrap_or_default();
        stat.contains(") S ") && (wchan.contains("pipe") || wchan == "0" || wchan.is_empty())
    };
    let mut times = 0;
    wait_until("it waits for its reader", LONG, || {
        times = if sleeps() { times + 1 } else { 0 };
        times == 20
    });
    child
}

/// Verbs that print more than a pipe takes, to somebody who does not read. Gives which of them keep the log from being
/// written back and cut.
fn unread(bug: &str) -> Vec<String> {
    let home = Home::new();
    let mut found = store(&home, 20);
    let long = home.run([
        "--no-daemon-start",
        "--",
        "head",
        "-c",
        "200000",
        "/dev/zero",
    ]);
    home.retrier(["cancel", "--all", "--name", "nobody"])
        .output();
    let id = long.to_string();
    let daemon = home.daemon();
    assert_eq!(home.wait(long), 0);
    for verb in [
        &["list", "--json", "--limit", "0"][..],
        &["list", "--limit", "0"],
        &["logs", &id],
        &["logs", "--follow", &id],
        &["wait", &id],
    ] {
        let mut child = start_unread(&home, verb, bug);
        found.extend(store(&home, 1));
        let writer = Connection::open(home.db()).expect("it is there");
        let cut = || {
            let cut = "PRAGMA wal_checkpoint(TRUNCATE)";
            writer.query_row(cut, [], |row| row.get::<_, i64>(0)) == Ok(0)
        };
        if !holds_within(Duration::from_secs(2), cut) {
            found.push(format!("{verb:?} pins the log while nobody reads"));
        }
        drop(writer);
        let mut said = Vec::new();
        let mut out = child.stdout.take().expect("it is piped");
        out.read_to_end(&mut said).expect("it can be read");
        let ended = child.wait().expect("a child can be waited for");
        if !ended.success() || said.len() < 150_000 {
            found.push(format!(
                "{verb:?} ended with {ended} after {} bytes",
                said.len()
            ));
        }
    }
    drop(daemon);
    found
}

#[test]
fn a_verb_whose_output_nobody_reads_does_not_pin_the_log() {
    let times = proof::repetitions(1, 3);
    let found: Vec<String> = (0..times).flat_map(|_| unread("")).collect();
    proof::holds("T12", 5 * times, &found);
}

#[test]
fn the_test_of_unread_output_catches_a_reader_that_never_ends() {
    let bug = "keeps_reading";
    proof::catches("T12", bug, &unread(bug), |one| one.contains("pins the log"));
}
