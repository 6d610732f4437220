//! What a verb says that it does, if somebody wants to see that.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Call, Home};

/// The lines on stderr, without their times.
fn steps(call: Call) -> Vec<String> {
    let output = call
        .env("RETRIER_LOG_LEVEL", "DEBUG")
        .limit(Duration::from_secs(20))
        .output()
        .ok();
    let text = output.error_text();
    let steps = text.lines().map(|line| {
        let words = line.split_once("DEBUG ");
        words
            .unwrap_or_else(|| panic!("no step: {text}"))
            .1
            .to_owned()
    });
    steps.collect()
}

#[track_caller]
fn assert_in_order(steps: &[String], parts: &[&str]) {
    let mut rest = steps.iter();
    for part in parts {
        assert!(
            rest.any(|step| step.contains(part)),
            "no {part:?} in its place: {steps:#?}"
        );
    }
}

#[test]
fn the_steps_of_a_verb_are_told_in_their_order() {
    let home = Home::new();
    let db = home.db().display().to_string();
    let stored = steps(home.retrier(["run", "--", "true"]));
    assert_in_order(
        &stored,
        &[
            &db,
            "there is no database yet",
            "opened the database",
            "stored run 1, committed",
            "no daemon has heard",
            "synced to the disk",
            "starting a daemon",
            "was started",
        ],
    );
    let waited = steps(home.retrier(["run", "--wait", "--", "sleep", "0.3"]));
    assert_in_order(
        &waited,
        &[
            "stored run 2",
            "rang the doorbell",
            "synced",
            "waiting at the doorbell for 1 runs",
            "run 2 has ended",
        ],
    );
    home.run(["--delay", "1h", "--", "true"]);
    assert_in_order(
        &steps(home.retrier(["cancel", "3"])),
        &["canceled run 3, committed and synced", "rang"],
    );
    assert_in_order(
        &steps(home.retrier(["retry", "3"])),
        &["retry is committed and synced", "rang"],
    );
    home.retrier(["daemon", "stop"]).output().ok();
    let waited = steps(
        home.retrier(["wait", "1"])
            .env("RETRIER_NO_DAEMON_START", "1"),
    );
    assert_in_order(&waited, &["opened the database", "run 1 has ended"]);
}

#[test]
fn without_the_variable_and_at_other_levels_nothing_is_told() {
    let home = Home::new();
    for level in ["", "INFO", "WARN", "ERROR"] {
        let output = home
            .retrier(["run", "--wait", "--", "echo", "said"])
            .env("RETRIER_LOG_LEVEL", level)
            .output()
            .ok();
        assert_eq!(
            (output.text(), output.error_text()),
            ("said".into(), String::new()),
            "{level}"
        );
    }
    let wrong = home
        .retrier(["list"])
        .env("RETRIER_LOG_LEVEL", "LOUD")
        .output()
        .ok();
    assert!(
        wrong.error_text().contains("RETRIER_LOG_LEVEL"),
        "{}",
        wrong.error_text()
    );
}

#[test]
fn they_are_json_too_if_that_is_wanted() {
    let home = Home::new();
    let call = home.retrier(["run", "--no-daemon-start", "--", "true"]);
    let output = call
        .env("RETRIER_LOG_LEVEL", "debug")
        .env("RETRIER_LOG_FORMAT", "json")
        .output()
        .ok();
    let lines: Vec<Value> = output
        .error_text()
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"))
        .collect();
    let stored = |line: &Value| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.contains("stored run 1"))
    };
    assert!(
        lines.iter().any(stored) && lines.iter().all(|line| line["level"] == "DEBUG"),
        "{lines:#?}"
    );
}
