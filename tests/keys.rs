//! `run --key`: of the runs with one key at most one is unfinished, whoever asks and how many at once.

mod naming;

use std::fs;

use nix::sys::signal::Signal;

use crate::crash::tools::{Gate, LONG, await_patience, closed, wait_until_state};
use crate::support::{Home, Output, wait_until};

/// How many runs are stored.
fn stored(home: &Home) -> usize {
    let list = home.retrier(["list", "--json"]).output().ok().text();
    list.lines().count()
}

/// A call of `run` with the key `k` that starts no daemon.
#[track_caller]
fn keyed(home: &Home, rest: &[&str]) -> Output {
    let options = ["run", "--no-daemon-start", "--key", "k"];
    home.retrier(options.iter().chain(rest)).output()
}

#[test]
fn many_at_once_store_one_run_and_all_print_its_id() {
    let home = Home::new();
    let args = ["run", "--no-daemon-start", "--key", "k", "--", "true"];
    let calls: Vec<_> = (0..50).map(|_| home.retrier(args).spawn()).collect();
    let outputs: Vec<Output> = calls.into_iter().map(|call| call.wait().ok()).collect();
    for output in &outputs {
        assert_eq!(output.stdout, b"1\n");
    }
    let told = outputs.iter().map(Output::error_text);
    let skipped =
        told.filter(|said| said.contains("run 1 has the key \"k\" and waits; nothing was stored"));
    assert_eq!(skipped.count(), 49);
    assert_eq!(stored(&home), 1);
}

#[test]
fn a_key_is_free_again_when_its_run_has_ended() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (id, command, code) in [(1, "true", 0), (2, "false", 1), (3, "true", 0)] {
        let output = keyed(&home, &["--max-failures", "0", "--", command]).ok();
        assert_eq!(
            (output.text(), output.error_text()),
            (id.to_string(), String::new())
        );
        assert_eq!(home.wait(id), code);
    }
    let other = home.run(["--key", "other", "--delay", "1h", "--", "true"]);
    assert_eq!(
        keyed(&home, &["--delay", "1h", "--", "true"]).ok().text(),
        "5",
        "beside {other}"
    );
    home.retrier(["cancel", "5"]).output().ok();
    assert_eq!(keyed(&home, &["--", "true"]).ok().text(), "6");
}

#[test]
fn with_once_a_run_keeps_its_key_as_long_as_it_is_stored() {
    let home = Home::new();
    let _daemon = home.daemon();
    let once = || keyed(&home, &["--once", "--shell", "echo ran"]).ok();
    let first = once();
    assert_eq!(
        (first.text(), first.error_text()),
        ("1".into(), String::new())
    );
    assert_eq!(home.wait(1), 0);
    let again = once();
    assert_eq!(again.text(), "1");
    let said = again.error_text();
    assert!(
        said.contains("run 1 has the key \"k\" and has succeeded; nothing was stored"),
        "{said}"
    );
    let output = keyed(&home, &["--once", "--wait", "--", "false"]).ok();
    assert_eq!(
        output.text(),
        "ran",
        "the output of the run that has the key"
    );
    home.retrier(["cleanup", "1"]).output().ok();
    assert_eq!(once().text(), "2");
}

#[test]
fn if_exists_fail_exits_4_and_prints_no_id() {
    let home = Home::new();
    keyed(
        &home,
        &["--if-exists", "fail", "--delay", "1h", "--", "true"],
    )
    .ok();
    for more in [
        &["--if-exists", "fail"][..],
        &["--if-exists", "fail", "--wait"],
    ] {
        let rest = [more, &["--", "true"]].concat();
        let output = keyed(&home, &rest).exits(4);
        assert_eq!(output.text(), "");
        let said = output.error_text();
        assert!(
            said.contains("error: run 1 has the key \"k\" and waits"),
            "{said}"
        );
    }
    assert_eq!(
        keyed(&home, &["--if-exists", "skip", "--", "true"])
            .ok()
            .text(),
        "1"
    );
    assert_eq!(stored(&home), 1);
}

#[test]
fn with_wait_the_run_that_has_the_key_is_waited_for_and_ctrl_c_leaves_it_alone() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon();
    let line = format!("{}; echo first; exit 7", gate.line());
    keyed(&home, &["--max-failures", "0", "--shell", &line]).ok();
    wait_until_state(&home, 1, "running");
    let second = || {
        let args = ["run", "--key", "k", "--wait", "--", "echo", "second"];
        home.retrier(args).spawn()
    };
    let waits = second();
    await_patience(&waits);
    waits.signal(Signal::SIGINT);
    let said = waits.wait().exits(130).error_text();
    assert!(said.contains("run 1 goes on"), "{said}");
    assert_eq!(home.state(1), "running");
    let waits = second();
    await_patience(&waits);
    gate.open();
    assert_eq!(waits.wait().exits(7).text(), "first");
    assert_eq!(stored(&home), 1);
}

/// Two commands of one key must never be alive at once.
#[test]
fn a_canceled_run_has_its_key_until_its_attempt_has_ended() {
    let home = Home::new();
    let (grown, end) = (Gate::new(&home, "grown"), Gate::new(&home, "end"));
    let _daemon = home.daemon();
    let line = format!(
        "trap '' TERM; : >'{}'; {}",
        home.path("grown").display(),
        end.line()
    );
    keyed(&home, &["--grace", "10m", "--shell", &line]).ok();
    wait_until("it ignores SIGTERM", LONG, || grown.is_open());
    home.retrier(["cancel", "1"]).output().ok();
    let output = keyed(&home, &["--", "true"]).ok();
    assert_eq!(output.text(), "1");
    let said = output.error_text();
    assert!(
        said.contains("is canceled, and is still being ended; nothing was stored"),
        "{said}"
    );
    end.open();
    closed(&home, 1);
    assert_eq!(keyed(&home, &["--", "true"]).ok().text(), "2");
}

#[test]
fn the_key_is_shown_and_json_says_whether_the_run_was_stored() {
    let home = Home::new();
    let call = || {
        let args = [
            "run",
            "--no-daemon-start",
            "--json",
            "-q",
            "--key",
            "a\u{202e}b",
        ];
        let output = home.retrier(args).arg("--").arg("true").output().ok();
        assert_eq!(output.error_text(), "");
        output.json()
    };
    assert_eq!(
        call(),
        serde_json::json!({"version": 1, "id": 1, "stored": true})
    );
    assert_eq!(
        call(),
        serde_json::json!({"version": 1, "id": 1, "stored": false})
    );
    assert_eq!(home.status(1)["key"], "a\u{202e}b");
    let page = home.retrier(["status", "1"]).output().ok().text();
    assert!(page.contains("\nkey       a\\u{202e}b\n"), "{page}");
    let other = home.run(["--no-daemon-start", "--on-complete", "true", "--", "true"]);
    assert!(home.status(other)["key"].is_null());
}

#[test]
fn a_kill_leaves_the_key_to_a_run_that_is_stored_and_free_otherwise() {
    let home = Home::new();
    let at = |point: &str| {
        let args = ["run", "--no-daemon-start", "--key", "k", "--", "true"];
        home.retrier(args).crash(point).output().exits(137)
    };
    at("submit_before_commit:1:kill");
    assert_eq!(stored(&home), 0);
    at("submit_committed:1:kill");
    assert_eq!(keyed(&home, &["--", "true"]).ok().text(), "1");
    // Whoever did not get the id gets it now, and can rely on it: it is synced first.
    keyed(&home, &["--", "true"]).ok();
    at("store_sync:1:kill");
    assert_eq!(stored(&home), 1);
}

#[test]
fn a_key_is_text_of_one_line_and_once_and_if_exists_need_one() {
    let home = Home::new();
    let long = "x".repeat(201);
    for wrong in [
        &["--key", ""][..],
        &["--key", "a\nb"],
        &["--key", "a\u{9b}b"],
        &["--key", &long],
        &["--once"],
        &["--if-exists", "skip"],
        &["--key", "k", "--if-exists", "replace"],
    ] {
        let call = home
            .retrier(["run"].iter().chain(wrong))
            .arg("--")
            .arg("true");
        call.output().exits(2);
    }
    assert!(!home.db().exists());
    assert!(
        fs::read_dir(home.path("home"))
            .expect("it is there")
            .next()
            .is_none()
    );
}
