//! A copy in use: what the README says of restoring one, and that the attempts of the database it was copied from are
//! neither doubled nor signaled.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::{backup, ids};
use crate::crash::tools::{
    Gate, LONG, closed, commands, outcomes, shim, signal, wait_until_started, wait_until_state,
};
use crate::support::{Home, Journal, Need, holds_within, readme_block, skip, wait_until};

/// So long nothing may happen.
const WHILE: Duration = Duration::from_millis(1500);

#[test]
fn a_lost_database_is_restored_as_the_readme_says() {
    let home = Home::at("home/.local/state/retrier/retrier.db");
    let input = home.retrier(["run", "--delay", "4s", "--stdin", "-", "--", "cat"]);
    let reader: i64 = input
        .stdin("captured")
        .output()
        .ok()
        .text()
        .parse()
        .expect("an id");
    let ended = home.run(["--", "echo", "before"]);
    home.wait(ended);
    let save = home
        .sh(format!("set -e\n{}", readme_block("command: backup")))
        .output()
        .ok();
    assert_eq!(save.error_text(), "");
    let lost = home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    // What stands there is no database any more.
    let restore = readme_block("command: restore");
    home.sh(format!("set -e\n{restore}")).output().ok();
    assert_eq!(home.state(ended), "succeeded");
    home.retrier(["status", &lost.to_string()])
        .output()
        .exits(3);
    let waited = home.retrier(["wait", &reader.to_string()]).output().ok();
    assert_eq!(waited.text(), "captured");
    let next = home.run(["--no-daemon-start", "--", "true"]);
    assert!(next > 1_000_000, "{next} may stand for a run that is lost");
    // What attempts wrote before is where the lost one was put.
    let output = home.retrier(["logs", &ended.to_string()]).output().ok();
    assert_eq!(output.text(), "");
    let put_away = || {
        let there = fs::read_dir(home.path("home"))
            .expect("it can be read")
            .flatten();
        let is_one = |path: &PathBuf| path.display().to_string().contains("retrier-lost.");
        there
            .map(|entry| entry.path())
            .filter(is_one)
            .collect::<Vec<_>>()
    };
    let [first] = &put_away()[..] else {
        panic!("{:?}", put_away());
    };
    let kept = first.join("retrier.db.d/logs/0");
    let kept = fs::read_to_string(kept.join(format!("{ended}.1.out"))).expect("it is there");
    assert_eq!(kept, "before\n");
    // Who restores once more loses nothing of what was put away before.
    home.sh(format!("set -e\n{restore}")).output().ok();
    assert_eq!(put_away().len(), 2);
    assert!(first.join("retrier.db").exists());
}

/// A run whose attempt is alive, and a copy of its database in another home.
fn copied_while_it_runs(home: &Home, body: &str) -> (Home, Journal, i64) {
    let journal = Journal::new(home);
    let line = journal.line(body);
    let id = home.run([
        "--constant",
        "10ms",
        "--jitter",
        "0",
        "--initial-backoff",
        "0",
        "--max-failures",
        "1",
        "--grace",
        "100ms",
        "--shell",
        &line,
    ]);
    wait_until_started(&journal, id, 1);
    wait_until_state(home, id, "running");
    let copy = Home::new();
    backup(home, copy.db()).output().ok();
    assert_eq!(ids(copy.db()), [id]);
    (copy, journal, id)
}

#[test]
fn an_attempt_that_is_alive_is_waited_for_by_the_daemon_of_a_copy() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let mut daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let (copy, journal, id) = copied_while_it_runs(&home, &gate.line());
    let mut other = copy.daemon();
    let started = || journal.starts(id).len() > 1;
    assert!(!holds_within(WHILE, started), "it was doubled");
    assert_eq!(copy.state(id), "running");
    let said = other.errors();
    assert!(said.contains("belongs to another database"), "{said}");
    gate.open();
    assert_eq!(home.wait(id), 0);
    // The shim is kept for the next attempt as long as its daemon is there.
    assert_eq!(daemon.stop(), 0);
    assert_eq!(copy.wait(id), 0);
    let run = copy.status(id);
    assert_eq!(outcomes(&run), ["lost", "exit 0"]);
    journal.assert_no_overlap();
    assert_eq!(outcomes(&home.status(id)), ["exit 0"]);
    assert_eq!(other.stop(), 0);
}

/// Cancels the run in a copy and has the copy's daemon leave in every way, and says what became of the attempt.
fn disturb(home: &Home, bug: &str) -> bool {
    let gate = Gate::new(home, "gate");
    let line = format!(
        "trap 'echo >{}; exit 1' TERM\n{}",
        home.path("signaled").display(),
        gate.line()
    );
    let (copy, _journal, id) = copied_while_it_runs(home, &line);
    let mut other = copy.daemon_with(&[], &[("RETRIER_BUG", bug)]);
    copy.retrier(["cancel", &id.to_string()]).output().ok();
    let ended = || home.path("signaled").exists() || commands(home).is_empty();
    let signaled = holds_within(WHILE, ended);
    if !signaled {
        copy.retrier(["daemon", "stop", "--kill"])
            .limit(LONG)
            .output()
            .ok();
        assert_eq!(other.wait(LONG), 0);
        assert!(!holds_within(WHILE, ended), "it was killed by the stop");
        assert_eq!(copy.state(id), "canceled");
    }
    gate.open();
    signaled
}

#[test]
fn an_attempt_that_is_alive_is_not_signaled_by_the_daemon_of_a_copy() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    assert!(!disturb(&home, ""));
    let run = closed(&home, 1);
    assert_eq!(outcomes(&run), ["exit 0"]);
}

#[test]
fn the_checker_catches_a_copy_that_signals_attempts_of_its_original() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    assert!(disturb(&home, "signals_strangers"));
}

/// Neither is there a shim any more that could be looked at.
#[test]
fn what_a_killed_shim_of_the_original_has_left_is_waited_for_and_not_signaled() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let mut daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let (copy, journal, id) = copied_while_it_runs(&home, &gate.line());
    let shim = shim(&home);
    daemon.kill9();
    signal(shim, Signal::SIGKILL);
    let _other = copy.daemon();
    let changed = || journal.starts(id).len() > 1 || commands(&home).is_empty();
    assert!(!holds_within(WHILE, changed), "it was doubled, or ended");
    gate.open();
    wait_until("it has ended", LONG, || !journal.ends(id).is_empty());
    assert_eq!(copy.wait(id), 0);
    assert_eq!(outcomes(&copy.status(id)), ["lost", "exit 0"]);
    journal.assert_no_overlap();
}

#[test]
fn the_key_of_a_run_is_the_same_in_a_copy_and_no_later_run_has_it() {
    let home = Home::new();
    let line = "echo $RETRIER_IDEMPOTENCY_KEY";
    let id = home.run(["--no-daemon-start", "--shell", line]);
    let copy = Home::new();
    backup(&home, copy.db()).output().ok();
    let printed = |home: &Home, id: i64| {
        let waited = home.retrier(["wait", &id.to_string()]).output().ok();
        waited.text()
    };
    assert_eq!(printed(&home, id), printed(&copy, id));
    let later = home.run(["--shell", line]);
    let later = printed(&home, later);
    let in_copy = copy.run(["--shell", line]);
    assert_ne!(printed(&copy, in_copy), later);
    assert_eq!(copy.status(id)["state"], json!("succeeded"));
}
