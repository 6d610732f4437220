//! How many unfinished runs a pool may have: who comes too late is refused, and nothing of his is stored.

use crate::crash::tools::{LONG, wait_until_state};
use crate::support::{Home, wait_until};

use super::{pool, shown};

#[test]
fn a_pool_takes_no_more_unfinished_runs_than_it_may_have() {
    let home = Home::new();
    pool(&home, "set a --max-pending 2").ok();
    assert_eq!(shown(&home, "a")["max_pending"], 2);
    let first = home.run([
        "--no-daemon-start",
        "--pool",
        "a",
        "--delay",
        "1h",
        "--key",
        "k",
        "--",
        "true",
    ]);
    home.run(["--pool", "a", "--no-daemon-start", "--", "true"]);
    let full = home
        .retrier(["run", "--pool", "a", "--", "true"])
        .output()
        .exits(4);
    assert_eq!(
        full.error_text(),
        "retrier: error: the pool a has as many unfinished runs as it may have (--max-pending)\n\
         hint: nothing was stored; `retrier list --pool POOL` shows what is in it\n"
    );
    let same = home.run([
        "--no-daemon-start",
        "--pool",
        "a",
        "--key",
        "k",
        "--",
        "true",
    ]);
    assert_eq!(
        same, first,
        "who has the key of one that is in it needs no place"
    );
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    let _daemon = home.daemon();
    wait_until_state(&home, 2, "succeeded");
    let next = home.run(["--pool", "a", "--delay", "1h", "--", "true"]);
    home.retrier(["run", "--pool", "a", "--", "true"])
        .output()
        .exits(4);
    home.retrier(["cancel", &next.to_string()]).output().ok();
    home.run(["--pool", "a", "--delay", "1h", "--", "true"]);
    pool(&home, "set a --max-pending 0").ok();
    assert!(shown(&home, "a")["max_pending"].is_null());
    home.run(["--pool", "a", "--", "true"]);
}

#[test]
fn a_batch_that_does_not_fit_is_refused_whole_and_its_line_is_named() {
    let home = Home::new();
    pool(&home, "set a --max-pending 3").ok();
    let lines = |count: usize| "true\n".repeat(count);
    let batch = |count| {
        let call = home.retrier(["run", "--no-daemon-start", "--pool", "a", "--batch", "-"]);
        call.stdin(lines(count)).output()
    };
    let refused = batch(4).exits(4).error_text();
    assert!(
        refused.contains("line 4") && refused.contains("--max-pending"),
        "{refused}"
    );
    assert!(home.retrier(["list"]).output().ok().stdout.is_empty());
    batch(3).ok();
    batch(1).exits(4);
}

#[test]
fn of_many_who_come_at_once_as_many_are_stored_as_there_are_places() {
    let home = Home::new();
    pool(&home, "set a --max-pending 5").ok();
    let call = || home.retrier(["run", "--no-daemon-start", "--pool", "a", "--", "true"]);
    let calls: Vec<_> = (0..20).map(|_| call().spawn()).collect();
    let codes: Vec<i32> = calls.into_iter().map(|call| call.wait().code).collect();
    let of = |code: i32| codes.iter().filter(|found| **found == code).count();
    assert_eq!((of(0), of(4)), (5, 15), "{codes:?}");
}

#[test]
fn hooks_and_retries_by_hand_need_no_place() {
    let home = Home::new();
    pool(&home, "set a --max-pending 1").ok();
    pool(&home, "set hooks --max-pending 1").ok();
    let _daemon = home.daemon();
    let failing = [
        "--pool",
        "a",
        "--max-failures",
        "0",
        "--on-complete",
        "true",
        "--",
        "false",
    ];
    let failed = home.run(failing);
    wait_until_state(&home, failed, "failed");
    home.run(["--pool", "a", "--delay", "1h", "--", "true"]);
    home.retrier(["retry", &failed.to_string()]).output().ok();
    let ended = || home.status(failed)["attempts"].as_array().map(Vec::len) == Some(2);
    wait_until("it has run again", LONG, ended);
    let hooks = || {
        home.retrier(["list", "--pool", "hooks"])
            .output()
            .ok()
            .text()
            .lines()
            .count()
            == 2
    };
    wait_until("both endings have their hook", LONG, hooks);
}
