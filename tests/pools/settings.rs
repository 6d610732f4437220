//! What `pool set` changes and what it leaves, what is refused, and which pools can be deleted.

use std::fs;

use serde_json::{Value, json};

use crate::crash::tools::{Gate, LONG, closed, wait_until_state};
use crate::support::{Home, wait_until};

use super::{assert_refused, listed, pool, shown};

/// The settings of pool `a`, without what changes by itself.
#[track_caller]
fn settings(home: &Home) -> Value {
    let shown = shown(home, "a");
    let names = ["parallel", "paused", "rate", "burst", "breaker", "policy"];
    names.iter().map(|name| shown[*name].clone()).collect()
}

#[test]
fn what_is_not_given_stays_as_it_was_set() {
    let home = Home::new();
    let per = |starts: u32, ms: u32| json!({"starts": starts, "per_ms": ms});
    let none = json!({});
    let eight = json!({"max_failures": 8});
    for (words, expected) in [
        ("", json!([10, false, null, null, null, none])),
        ("--parallel 3", json!([3, false, null, null, null, none])),
        (
            "--rate 10/1m",
            json!([3, false, per(10, 60_000), 1, null, none]),
        ),
        (
            "--burst 2",
            json!([3, false, per(10, 60_000), 2, null, none]),
        ),
        (
            "--breaker 5",
            json!([3, false, per(10, 60_000), 2, 5, none]),
        ),
        (
            "--max-failures 8",
            json!([3, false, per(10, 60_000), 2, 5, eight]),
        ),
        ("--rate 5/s", json!([3, false, per(5, 1000), 2, 5, eight])),
        ("", json!([3, false, per(5, 1000), 2, 5, eight])),
        (
            "--parallel 10000",
            json!([10_000, false, per(5, 1000), 2, 5, eight]),
        ),
        ("--rate 0", json!([10_000, false, null, null, 5, eight])),
        (
            "--rate 1/2s --burst 7",
            json!([10_000, false, per(1, 2000), 7, 5, eight]),
        ),
        (
            "--breaker 0",
            json!([10_000, false, per(1, 2000), 7, null, eight]),
        ),
        (
            "--no-defaults",
            json!([10_000, false, per(1, 2000), 7, null, none]),
        ),
        (
            "--parallel 0 --rate 0",
            json!([0, false, null, null, null, none]),
        ),
    ] {
        let set = pool(&home, &format!("set a {words}")).ok();
        assert_eq!(
            (set.text(), set.error_text()),
            (String::new(), String::new())
        );
        assert_eq!(settings(&home), expected, "{words}");
    }
    pool(&home, "pause a").ok();
    pool(&home, "set a --parallel 2").ok();
    assert_eq!(settings(&home)[1], true, "a pause is no setting of `set`");
    home.assert_no_process_left();
}

#[test]
fn retry_options_take_the_place_of_those_that_they_contradict() {
    let home = Home::new();
    for (words, expected) in [
        (
            "--max-failures 3 --jitter 0.1",
            json!({"max_failures": 3, "jitter": 0.1}),
        ),
        (
            "--max-attempts 5",
            json!({"max_attempts": 5, "jitter": 0.1}),
        ),
        ("--forever", json!({"forever": true, "jitter": 0.1})),
        (
            "--forever=no --jitter 0",
            json!({"forever": false, "jitter": 0.0}),
        ),
        (
            "--constant 1s --linear 2s",
            json!({"forever": false, "jitter": 0.0, "constant_ms": 1000, "linear_ms": 2000}),
        ),
        (
            "--delays 1s,1m --max-failures 1",
            json!({"max_failures": 1, "jitter": 0.0, "delays_ms": [1000, 60_000]}),
        ),
        (
            "--no-defaults --retry-on 75 --stop-if x --timeout 1m",
            json!({"retry_on": [{"exit": {"from": 75, "to": 75}}], "stop_if": ["x"], "timeout_ms": 60_000}),
        ),
    ] {
        pool(&home, &format!("set a {words}")).ok();
        assert_eq!(shown(&home, "a")["policy"], expected, "{words}");
    }
}

#[test]
fn wrong_settings_are_refused_and_change_nothing() {
    let home = Home::new();
    pool(&home, "set a --parallel 3 --breaker 2").ok();
    let before = listed(&home);
    for (words, said) in [
        ("set a --parallel 10001", "from 0 to 10000"),
        ("set a --parallel -1", "from 0 to 10000"),
        ("set a --rate 10", "such as 10/1m"),
        ("set a --rate 0/s", "from 1 to 1000000"),
        ("set a --breaker -1", "whole number"),
        ("set a --burst 0", "from 1"),
        (
            "set a --parallel 9 --burst 2",
            "--burst needs a rate, and pool a has none",
        ),
        (
            "set new --burst 2",
            "--burst needs a rate, and pool new has none",
        ),
        ("set a --rate 0 --burst 2", "--burst needs a rate"),
        ("set a --max-failures 1 --forever", "cannot be used with"),
        ("set a --jitter 2", "from 0 to 1"),
        ("set -x", "has no option"),
        ("set a/b", "letters, digits"),
        (
            "set hooks --max-failures 3",
            "the pool hooks takes no retry options",
        ),
        ("set", "NAME"),
        ("pause", "NAME"),
        ("pause a --all", "cannot be used with"),
        ("delete", "NAME"),
    ] {
        assert_refused(pool(&home, words), 2, said);
        assert_eq!(listed(&home), before, "{words}");
    }
}

#[test]
fn an_unknown_pool_is_refused_with_the_names_that_there_are_and_nothing_is_stored() {
    let home = Home::new();
    let run = ["run", "--no-daemon-start", "--pool", "gpu", "--", "true"];
    let verbs = [
        &run[..],
        &["explain", "--pool", "gpu"],
        &["pool", "pause", "gpu"],
        &["pool", "resume", "gpu"],
        &["pool", "pause", "default", "gpu"],
        &["pool", "delete", "gpu"],
    ];
    for verb in verbs {
        let known =
            "there is no pool gpu; there is default\nhint: `retrier pool set NAME` makes one";
        assert_refused(home.retrier(verb).output(), 2, known);
    }
    let beside = fs::read_dir(home.path(".")).expect("a folder").flatten();
    let names: Vec<_> = beside.map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["home"], "nothing was made for it");
    pool(&home, "set mail").ok();
    for verb in verbs {
        let known = "there is no pool gpu; there are default, mail\n";
        assert_refused(home.retrier(verb).output(), 2, known);
    }
    assert_eq!(shown(&home, "default")["paused"], false, "all or none");
    assert_eq!(home.retrier(["list"]).output().ok().text(), "");
}

#[test]
fn hooks_have_their_pool_for_themselves() {
    let home = Home::new();
    pool(&home, "set hooks --parallel 2 --rate 5/s --breaker 3").ok();
    assert_eq!(shown(&home, "hooks")["parallel"], 2);
    for verb in [
        &["run", "--pool", "hooks", "--", "true"][..],
        &["explain", "--pool", "hooks"],
    ] {
        assert_refused(
            home.retrier(verb).output(),
            2,
            "the pool hooks is for hooks",
        );
    }
    pool(&home, "set a").ok();
    pool(&home, "pause --all").ok();
    let paused = |home: &Home| {
        let all = listed(home).into_iter();
        all.map(|pool| pool["paused"].as_bool()).collect::<Vec<_>>()
    };
    assert_eq!(
        paused(&home),
        [Some(true), Some(true), Some(false)],
        "a, default, hooks"
    );
    pool(&home, "pause hooks default hooks").ok();
    assert_eq!(paused(&home), [Some(true); 3]);
    pool(&home, "resume --all").ok();
    assert_eq!(paused(&home), [Some(false), Some(false), Some(true)]);
    pool(&home, "resume hooks").ok();
    pool(&home, "resume hooks").ok();
    assert_eq!(paused(&home), [Some(false); 3]);
}

#[test]
fn default_and_hooks_cannot_be_deleted() {
    let home = Home::new();
    for name in ["default", "hooks"] {
        assert_refused(pool(&home, &format!("delete {name}")), 4, "is always there");
    }
    assert!(!home.db().exists());
}

#[test]
fn a_pool_with_unfinished_runs_cannot_be_deleted() {
    let home = Home::new();
    pool(&home, "set a").ok();
    let delayed = [
        "--no-daemon-start",
        "--pool",
        "a",
        "--delay",
        "1h",
        "--",
        "true",
    ];
    let (one, two) = (home.run(delayed), home.run(delayed));
    let refused = |words: &str| assert_refused(pool(&home, "delete a"), 4, words);
    refused("pool a has 2 unfinished runs\nhint: `retrier list --pool a` shows them");
    home.retrier(["cancel", &one.to_string()]).output().ok();
    refused("pool a has 1 unfinished run\n");
    home.retrier(["cancel", &two.to_string()]).output().ok();
    pool(&home, "delete a").ok();
    assert_refused(pool(&home, "delete a"), 2, "there is no pool a");
    assert_refused(pool(&home, "pause a"), 2, "there is no pool a");
    pool(&home, "set a").ok();
    assert_eq!(shown(&home, "a")["scheduled"], 0);
}

/// A run would wait for ever in a pool that is gone.
#[test]
fn a_run_of_a_deleted_pool_is_not_retried_before_the_pool_is_made_anew() {
    let home = Home::new();
    let _daemon = home.daemon();
    pool(&home, "set a --max-failures 0").ok();
    let id = home.run(["--pool", "a", "--", "false"]);
    assert_eq!(home.wait(id), 1);
    pool(&home, "delete a").ok();
    for args in [&["retry", "1"][..], &["retry", "--all-failed"]] {
        let hint = "run 1 belongs to the pool a, which is gone\nhint: `retrier pool set a`";
        assert_refused(home.retrier(args).output(), 4, hint);
    }
    assert_eq!(home.state(id), "failed");
    pool(&home, "set a").ok();
    home.retrier(["retry", "1"]).output().ok();
    assert_eq!(home.wait(id), 1);
    assert_eq!(shown(&home, "a")["scheduled"], 0);
}

#[test]
fn a_pool_is_not_deleted_while_a_canceled_attempt_of_it_is_being_ended() {
    let home = Home::new();
    let _daemon = home.daemon();
    pool(&home, "set a").ok();
    let (grown, end) = (Gate::new(&home, "grown"), Gate::new(&home, "end"));
    let grown_up = home.path("grown");
    let line = format!("trap '' TERM; : >'{}'; {}", grown_up.display(), end.line());
    let id = home.run(["--pool", "a", "--grace", "10m", "--shell", &line]);
    wait_until("it ignores SIGTERM", LONG, || grown.is_open());
    assert_refused(pool(&home, "delete a"), 4, "pool a has 1 unfinished run\n");
    home.retrier(["cancel", &id.to_string()]).output().ok();
    wait_until_state(&home, id, "canceled");
    let words = "pool a has 1 canceled run that is still being ended\n";
    assert_refused(pool(&home, "delete a"), 4, words);
    assert_eq!(shown(&home, "a")["closing"], 1);
    end.open();
    closed(&home, id);
    pool(&home, "delete a").ok();
}
