//! `--key` in place of an id: the run that holds the key, else the newest that has it.

use nix::sys::signal::Signal;

use crate::crash::tools::{Gate, LONG, await_patience, closed, wait_until_state};
use crate::support::{Home, wait_until};

/// What a verb prints of the run with the key `k`.
#[track_caller]
fn of_key(home: &Home, verb: &[&str]) -> String {
    let output = home.retrier([verb, &["--key", "k"]].concat()).output().ok();
    assert_eq!(output.error_text(), "", "{verb:?}");
    output.text()
}

/// Asserts that every verb that looks means this run.
#[track_caller]
fn assert_means(home: &Home, id: i64, output: &str) {
    let text = id.to_string();
    let verbs = [
        // Without --json it tells how long ago things were.
        &["status", "--json"][..],
        &["events"],
        &["events", "--json"],
        &["explain"],
        &["logs"],
    ];
    for verb in verbs {
        let by_id = home.retrier([verb, &[&text]].concat()).output().ok();
        assert_eq!(of_key(home, verb), by_id.text(), "{verb:?}");
    }
    assert_eq!(of_key(home, &["logs"]), output);
    let shown: serde_json::Value =
        serde_json::from_str(&of_key(home, &["status", "--json"])).expect("one JSON object");
    assert_eq!(shown["id"], id);
}

#[test]
fn it_means_the_newest_when_all_have_ended() {
    let home = Home::new();
    let _daemon = home.daemon();
    for output in ["first", "second"] {
        let args = ["--key", "k", "--", "echo", output];
        let id = home.run(args);
        let other = home.run(["--key", "other", "--", "true"]);
        assert_eq!((home.wait(id), home.wait(other)), (0, 0));
        assert_means(&home, id, output);
    }
    assert_eq!(of_key(&home, &["wait"]), "second");
    let ended = home.retrier(["cancel", "--key", "k"]).output().exits(4);
    assert!(ended.error_text().contains("has ended before: succeeded"));
}

/// The holder need not be the newest: one that has failed can be retried.
#[test]
fn it_means_the_holder_before_a_newer_one_that_has_ended() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon();
    let line = format!(
        "echo $RETRIER_ATTEMPT; [ $RETRIER_ATTEMPT = 1 ] && exit 1; {}",
        gate.line()
    );
    let first = home.run(["--key", "k", "--max-failures", "0", "--shell", &line]);
    assert_eq!(home.wait(first), 1);
    let second = home.run(["--key", "k", "--", "echo", "newer"]);
    assert_eq!(home.wait(second), 0);
    assert_means(&home, second, "newer");
    home.retrier(["retry", &first.to_string()]).output().ok();
    wait_until("its second attempt has begun", LONG, || {
        of_key(&home, &["logs"]) == "2"
    });
    let waits = home.retrier(["wait", "--key", "k"]).spawn();
    await_patience(&waits);
    gate.open();
    assert_eq!(waits.wait().ok().text(), "2");
    assert_means(&home, second, "newer");
}

#[test]
fn cancel_wait_and_retry_take_it() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon();
    let id = home.run(["--key", "k", "--shell", &gate.line()]);
    wait_until_state(&home, id, "running");
    let wait = |key: &str| home.retrier(["wait", "--key", key]).spawn();
    let (waits, stopped) = (wait("k"), wait("k"));
    await_patience(&waits);
    await_patience(&stopped);
    stopped.signal(Signal::SIGINT);
    stopped.wait().exits(130);
    assert_eq!(home.state(id), "running", "to stop waiting cancels nothing");
    assert_eq!(of_key(&home, &["cancel"]), "");
    waits.wait().exits(130);
    closed(&home, id);
    assert_eq!(
        of_key(&home, &["cancel"]),
        "",
        "to cancel twice is no error"
    );
    gate.open();
    assert_eq!(of_key(&home, &["retry"]), "");
    assert_eq!(home.wait(id), 0);
    let followed = home.retrier(["logs", "-f", "--key", "k"]).output().ok();
    assert_eq!(followed.text(), "");
}

#[test]
fn a_key_that_no_run_has_is_no_such_run() {
    let home = Home::new();
    let verbs = [
        (&["status"][..], 3),
        (&["status", "--json"], 3),
        (&["explain"], 3),
        (&["events"], 3),
        (&["logs"], 3),
        (&["logs", "-f"], 3),
        (&["cancel"], 3),
        (&["retry"], 3),
        (&["wait"], 125),
    ];
    let assert_missing = || {
        let path = home.db().display();
        let expected = format!(
            "retrier: error: no run with the key \"a\\u{{202e}}b\" in {path}\n\
             hint: `retrier list` shows the runs that are stored\n"
        );
        for (verb, code) in verbs {
            let call = home.retrier(verb).arg("--key").arg("a\u{202e}b");
            let said = call.output().exits(code);
            assert_eq!(
                (said.text(), said.error_text()),
                (String::new(), expected.clone())
            );
        }
    };
    assert_missing();
    assert!(!home.db().exists(), "a look has made a database");
    home.run([
        "--no-daemon-start",
        "--key",
        "a",
        "--delay",
        "1h",
        "--",
        "true",
    ]);
    assert_missing();
    assert_eq!(home.state(1), "scheduled");
}
