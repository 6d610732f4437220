//! `daemon --stats-interval`: the same object in the daemon's log.

use serde_json::Value;

use crate::support::{Home, wait_until, wall_ns};

use super::{LONG, assert_fields, ms, stats, store};

/// The objects in a log; every other line is an event.
fn objects(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect()
}

#[test]
fn the_daemon_logs_the_same_object_at_the_interval() {
    let home = Home::new();
    let began_ms = wall_ns() / 1_000_000;
    let mut daemon = home.daemon_with(&["--stats-interval", "1s"], &[]);
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    wait_until("three lines, the last of which tells of it", LONG, || {
        let told = objects(&daemon.errors());
        told.len() >= 3 && told.last().is_some_and(|last| last["recent_finished"] == 1)
    });
    assert_eq!(daemon.stop(), 0);
    let told = objects(&daemon.errors());
    for (n, line) in told.iter().enumerate() {
        let after_ms = ms(&line["at"]) - began_ms;
        assert!(after_ms >= (n as i64 + 1) * 1000, "{told:?}");
    }
    let mut last = told.last().expect("there are three").clone();
    let mut asked = stats(&home, &[]);
    for object in [&mut last, &mut asked] {
        object["at"].take();
    }
    assert_eq!(last, asked);
}

#[test]
fn a_detached_daemon_logs_it_too() {
    let home = Home::new();
    let detach = ["daemon", "--detach", "--stats-interval", "1s"];
    home.retrier(detach).output().ok();
    wait_until("a line is there", LONG, || {
        !objects(&home.daemon_log()).is_empty()
    });
    let told = objects(&home.daemon_log());
    assert_fields(
        &told[0],
        &[("window_ms", 300_000), ("recent_executions", 0)],
    );
    home.retrier(["daemon", "stop"]).output().ok();
}

#[test]
fn nothing_is_logged_that_was_not_asked_for() {
    let home = Home::new();
    let mut daemon = home.daemon();
    assert_eq!(home.wait(home.run(["--", "sleep", "1.2"])), 0);
    daemon.await_rest();
    assert_eq!(daemon.stop(), 0);
    assert!(objects(&daemon.errors()).is_empty(), "{}", daemon.errors());
    for wrong in ["0", "999ms", "soon"] {
        let args = ["daemon", "--stats-interval", wrong];
        home.retrier(args).output().exits(2);
    }
}

/// What cannot be read for sure is not told.
#[test]
fn nothing_is_logged_while_the_database_is_in_trouble() {
    let home = Home::new();
    store(&home, &["--", "true"]);
    let full = "pass_before_commit:1:err=ENOSPC,pass_before_commit:2:err=ENOSPC";
    let args = ["--stats-interval", "1s"];
    let mut daemon = home.daemon_with(&args, &[("RETRIER_CRASH", full)]);
    assert_eq!(home.wait(1), 0);
    wait_until("a line is there", LONG, || {
        !objects(&daemon.errors()).is_empty()
    });
    assert_eq!(daemon.stop(), 0);
    let log = daemon.errors();
    let trouble: Vec<usize> = log
        .match_indices("trying again in")
        .map(|at| at.0)
        .collect();
    // The pauses are 1 s and 2 s.
    assert_eq!(trouble.len(), 2, "{log}");
    let first = log.find("\n{").expect("there is a line");
    assert!(first > trouble[1], "{log}");
}
