//! `pool list`: without a database, for a terminal, in a pipe, as JSON; and the states of pools.

use serde_json::json;

use crate::crash::tools::{Gate, LONG, millis};
use crate::support::{Home, Need, skip, wait_until, wall_ns};

use super::{listed, pool, shown};

/// What a terminal of so many columns shows.
#[track_caller]
fn on_terminal(home: &Home, columns: u32, line: &str) -> String {
    let line = format!("stty cols {columns}; retrier {line}");
    let call = home.sh("script -qec \"$LINE\" /dev/null </dev/null");
    let call = call.env("LINE", line).env("TERM", "dumb");
    call.output().ok().text().replace('\r', "")
}

#[test]
fn without_a_database_there_are_the_two_that_are_always_there_and_none_is_made() {
    let home = Home::new();
    assert_eq!(
        pool(&home, "list").ok().stdout,
        b"default\t10\t0\t0\t0\trunning\t\t\t\t\t\t\nhooks\t10\t0\t0\t0\trunning\t\t\t\t\t\t\n"
    );
    assert_eq!(listed(&home).len(), 2);
    pool(&home, "resume default").ok();
    pool(&home, "resume --all").ok();
    assert!(!home.db().exists());
    // A pause is something to remember.
    pool(&home, "pause default").ok();
    assert_eq!(shown(&home, "default")["state"], "paused");
}

#[test]
fn the_json_of_a_pool_has_all_its_fields() {
    let home = Home::new();
    pool(
        &home,
        "set a --parallel 3 --rate 10/1m --burst 2 --breaker 5 --timeout 90s",
    )
    .ok();
    let expected = json!({
        "version": 1, "name": "a", "parallel": 3, "paused": false,
        "rate": {"starts": 10, "per_ms": 60_000}, "burst": 2, "breaker": 5, "max_pending": null,
        "state": "running", "until": null,
        "running": 0, "closing": 0, "queued": 0, "scheduled": 0, "failed_in_a_row": 0,
        "policy": {"timeout_ms": 90_000},
    });
    assert_eq!(shown(&home, "a"), expected);
    pool(&home, "set a --rate 0 --breaker 0 --no-defaults").ok();
    let plain = shown(&home, "a");
    let unset = ["rate", "burst", "breaker"].map(|name| plain[name].is_null());
    assert_eq!((unset, &plain["policy"]), ([true; 3], &json!({})));
    let names: Vec<_> = listed(&home)
        .iter()
        .map(|pool| pool["name"].clone())
        .collect();
    assert_eq!(names, ["a", "default", "hooks"]);
}

/// What is due counts as queued also while no daemon is there to see it, as in `status`.
#[test]
fn runs_are_counted_where_they_stand_and_in_their_pool() {
    let home = Home::new();
    pool(&home, "set a --parallel 1").ok();
    let store = |args: &[&str]| home.run([&["--no-daemon-start", "--pool", "a"], args].concat());
    store(&["--delay", "1h", "--", "true"]);
    let gate = Gate::new(&home, "gate");
    store(&["--shell", &gate.line()]);
    store(&["--", "true"]);
    store(&["--lock", "l", "--", "true"]);
    home.run(["--no-daemon-start", "--", "true"]);
    let counts = |name: &str| {
        let pool = shown(&home, name);
        ["running", "queued", "scheduled"].map(|name| pool[name].as_u64().expect("a count"))
    };
    assert_eq!((counts("a"), counts("default")), ([0, 3, 1], [0, 1, 0]));
    let _daemon = home.daemon();
    wait_until("one runs", LONG, || counts("a") == [1, 2, 1]);
    assert_eq!(shown(&home, "a")["state"], "full");
    wait_until("the other pool is done", LONG, || {
        counts("default") == [0; 3]
    });
    gate.open();
    wait_until("all are done", LONG, || counts("a") == [0, 0, 1]);
    assert_eq!(shown(&home, "a")["state"], "running");
}

#[test]
fn a_pool_that_is_held_says_so_and_until_when() {
    let home = Home::new();
    let _daemon = home.daemon();
    pool(&home, "set slow --rate 1/1h --max-failures 0").ok();
    pool(
        &home,
        "set down --breaker 2 --constant 1h --jitter 0 --max-failures 0",
    )
    .ok();
    pool(&home, "set none --parallel 0").ok();
    let before = wall_ns() / 1_000_000;
    for name in ["slow", "down", "down"] {
        home.retrier(["run", "--wait", "--pool", name, "--", "false"])
            .output()
            .exits(1);
    }
    let after = wall_ns() / 1_000_000;
    for (name, state) in [("slow", "limited"), ("down", "open")] {
        let pool = shown(&home, name);
        assert_eq!(pool["state"], state);
        let until = millis(&pool["until"]) - 3_600_000;
        assert!(
            (before..=after + 1).contains(&until),
            "{before} {until} {after}"
        );
    }
    assert_eq!(shown(&home, "down")["failed_in_a_row"], 2);
    assert_eq!(shown(&home, "none")["state"], "paused");
    let lines = pool(&home, "list").ok().text();
    let line = lines.lines().find(|line| line.starts_with("down\t"));
    let fields: Vec<&str> = line.expect("it is listed").split('\t').collect();
    assert_eq!(&fields[..6], ["down", "10", "0", "0", "0", "open"]);
    assert_eq!(fields[6], shown(&home, "down")["until"]);
    let options = "--max-failures 0 --constant 1h --jitter 0";
    assert_eq!(&fields[7..], ["", "", "2", options, ""]);
    // Nobody waits longer than what is set now asks for.
    pool(&home, "set slow --rate 1000/s").ok();
    wait_until("its rate is over", LONG, || {
        shown(&home, "slow")["state"] == "running"
    });
    pool(&home, "set down --constant 1ms").ok();
    home.run(["--pool", "down", "--", "true"]);
    wait_until("the probe closes it", LONG, || {
        shown(&home, "down")["state"] == "running"
    });
}

#[test]
fn a_terminal_shows_aligned_columns_and_what_was_set_for_a_pool_below_it() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    let plain = "NAME     PARALLEL  RUNNING  QUEUED  SCHEDULED  STATE\n\
        default        10        0       0          0  running\n\
        hooks          10        0       0          0  running";
    assert_eq!(on_terminal(&home, 80, "pool list"), plain);
    let set = "pool set a --rate 10/1m --burst 3 --breaker 5 --decide 'jq .' --stop-if='-\u{1b}c'";
    let told = on_terminal(&home, 200, set);
    let pasteable = r"$'--stop-if=-\x1bc' --decide 'jq .'";
    assert_eq!(
        told,
        format!("retrier: pool a is made: parallel 10, rate 10/1m burst 3, breaker 5, {pasteable}")
    );
    let page = on_terminal(&home, 200, "pool list");
    let words: Vec<&str> = page
        .lines()
        .nth(1)
        .expect("a pool")
        .split_whitespace()
        .collect();
    assert_eq!(words, ["a", "10", "0", "0", "0", "running"]);
    let below = format!("  rate 10/1m burst 3, breaker 5, {pasteable}");
    assert_eq!(page.lines().nth(2), Some(below.as_str()));
    let narrow = on_terminal(&home, 60, "pool list");
    assert!(
        narrow.lines().all(|line| line.chars().count() <= 60),
        "{narrow}"
    );
    for (words, told) in [
        ("pause a", "pool a paused"),
        ("pause a", "pool a was paused before"),
        ("pause --all", "1 pool paused"),
        ("resume a", "pool a resumed"),
        ("resume a", "pool a was not paused"),
        ("set a --parallel 0", "pool a is set: parallel 0, rate"),
        (
            "resume a",
            "pool a is not paused, but has parallel 0: nothing starts in it",
        ),
        ("delete a", "pool a deleted"),
    ] {
        let shown = on_terminal(&home, 200, &format!("pool {words}"));
        assert!(
            shown.starts_with(&format!("retrier: {told}")),
            "{words}: {shown}"
        );
    }
}
