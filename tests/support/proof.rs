//! What the full lane (`tests/proof`) is told by a test of faults: how often it did what it does, and what it found.
//!
//! `PROOF_REPORT` names the file for that. Without it a test does what the normal test command has time for.

use std::env;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

/// Whether the full lane runs.
pub fn is_full() -> bool {
    env::var_os("PROOF_REPORT").is_some()
}

/// How often a test is to do what it does: `quick` in the normal test command, `full` in the full lane.
pub fn repetitions(quick: usize, full: usize) -> usize {
    if is_full() { full } else { quick }
}

/// How long a test is to do what it does, as [`repetitions`]. A soak says it by `PROOF_SECONDS`.
pub fn time(quick: Duration, full: Duration) -> Duration {
    let said = env::var("PROOF_SECONDS").ok();
    let said = said.map(|seconds| seconds.parse().expect("PROOF_SECONDS is a number"));
    let own = if is_full() { full } else { quick };
    said.map_or(own, Duration::from_secs)
}

/// Tells that a row of the table was tried so often, and asserts that nothing was found.
#[track_caller]
pub fn holds(row: &str, repetitions: usize, violations: &[String]) {
    tell(&format!(
        "holds\t{row}\t{repetitions}\t{}",
        violations.len()
    ));
    assert!(violations.is_empty(), "{row}: {violations:#?}");
}

/// Asserts that a deliberate bug shows in what was found with it, and tells by which of it.
#[track_caller]
pub fn catches(row: &str, bug: &str, violations: &[String], shows: impl Fn(&str) -> bool) {
    let by = violations.iter().find(|found| shows(found));
    let by = by.unwrap_or_else(|| panic!("{row}: {bug} was not caught by {violations:#?}"));
    let words: Vec<&str> = by.split_whitespace().collect();
    let words: String = words.join(" ").chars().take(200).collect();
    tell(&format!("caught\t{row}\t{bug}\t{words}"));
}

fn tell(line: &str) {
    let Some(file) = env::var_os("PROOF_REPORT") else {
        return;
    };
    let file = File::options().create(true).append(true).open(file);
    // In one piece, because others tell too.
    let told = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    told.expect("PROOF_REPORT can be written");
}
