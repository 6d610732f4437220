//! `retry --all-failed`.

use nix::sys::signal::Signal;

use crate::crash::tools::{LONG, closed, is_stopped, numbers, wait_until_state};
use crate::support::{Home, recount, wait_until};

use super::{failed, retry};

/// Stores so many failed runs of this command, without the time that running them would take: copies of one.
fn store_failed(home: &Home, count: i64, command: &str) {
    let id = home.run(["--no-daemon-start", "--max-failures", "0", "--", command]);
    assert_eq!(id, 1);
    let mut database = rusqlite::Connection::open(home.db()).expect("it is there");
    let all = database.transaction().expect("nobody else writes");
    all.execute_batch(
        "UPDATE run SET state = 'failed', reason = 'exhausted', error = 'exit 1', \
         finished_at = created_at, due_at = NULL, delay_ms = NULL",
    )
    .expect("a run can be changed");
    let copied = all.execute(
        "WITH RECURSIVE more (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM more WHERE n < ?1) \
         INSERT INTO run (state, reason, error, created_at, finished_at, seed, policy, command, \
         cwd, umask, environment_id) SELECT state, reason, error, created_at, finished_at, seed, \
         policy, command, cwd, umask, environment_id FROM more, run WHERE id = 1",
        [count],
    );
    assert_eq!(copied.expect("a run can be copied") as i64, count - 1);
    all.execute("UPDATE content SET refs = ?1", [count])
        .expect("its environment is counted");
    recount(&all);
    all.commit().expect("it is stored");
}

/// How many runs there are in this state.
fn count(home: &Home, state: &str) -> usize {
    let list = home.retrier(["list", "--limit", "0", "--state", state]);
    list.output().ok().text().lines().count()
}

/// Those that have failed again by the time of the second transaction are not taken once more.
#[test]
fn a_thousand_failed_runs_are_retried_each_once() {
    let home = Home::new();
    store_failed(&home, 1001, "false");
    let _daemon = home.daemon();
    let call = home.retrier(["retry", "--all-failed"]);
    let all = call.crash("retry_committed:1:stop").spawn();
    wait_until("the first thousand wait", LONG, || is_stopped(all.pid()));
    // Somebody else rings.
    let other = home.run(["--", "true"]);
    wait_until_state(&home, 1, "failed");
    all.signal(Signal::SIGCONT);
    let output = all.wait().ok();
    assert_eq!((output.text(), output.error_text()), Default::default());
    wait_until("all have failed again", 5 * LONG, || {
        count(&home, "failed") == 1001
    });
    wait_until_state(&home, other, "succeeded");
    let list = home.retrier(["list", "--limit", "0", "--json"]);
    for line in list.output().ok().text().lines() {
        let run = serde_json::from_str(line).expect("JSON");
        assert_eq!(numbers(&run), [1], "{run}");
    }
}

#[test]
fn a_kill_between_two_transactions_leaves_whole_ones() {
    let home = Home::new();
    store_failed(&home, 1500, "true");
    let kill = |point: &str| {
        let call = home.retrier(["retry", "--all-failed", "--delay", "1h"]);
        call.crash(point).output().exits(137);
        (count(&home, "failed"), count(&home, "scheduled"))
    };
    assert_eq!(kill("retry_before_commit:1:kill"), (1500, 0));
    assert_eq!(kill("retry_before_commit:2:kill"), (500, 1000));
    assert_eq!(kill("retry_committed:1:kill"), (0, 1500));
}

#[test]
fn a_name_limits_it_and_hooks_are_skipped() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "[ $RETRIER_ATTEMPT -ge 2 ]";
    let parent = failed(
        &home,
        &[
            "--name",
            "nightly",
            "--on-complete",
            "exit 9",
            "--shell",
            line,
        ],
    );
    let other = failed(&home, &["--name", "other", "--shell", line]);
    let nameless = failed(&home, &["--shell", line]);
    let hook = home.status(parent)["hook_id"].as_i64().expect("a hook");
    // Its backoff would take seconds.
    home.retrier(["cancel", &hook.to_string()]).output().ok();
    closed(&home, hook);
    let database = rusqlite::Connection::open(home.db()).expect("it is there");
    let sql = "UPDATE run SET state = 'failed', reason = 'exhausted' WHERE id = ?1";
    database.execute(sql, [hook]).expect("it can be changed");
    recount(&database);
    home.retrier(["retry", "--all-failed", "--name", "nightly"])
        .output()
        .ok();
    assert_eq!(home.wait(parent), 0);
    assert_eq!(
        (home.state(other), home.state(nameless)),
        ("failed".into(), "failed".into())
    );
    home.retrier(["retry", "--all-failed"]).output().ok();
    assert_eq!((home.wait(other), home.wait(nameless)), (0, 0));
    assert_eq!(home.state(hook), "failed");
    // By its number it can be retried.
    retry(&home, hook);
    assert_ne!(home.state(hook), "failed");
}

#[test]
fn nothing_that_has_failed_is_no_error() {
    let home = Home::new();
    let all = || {
        let output = home.retrier(["retry", "--all-failed"]).output().ok();
        assert_eq!((output.text(), output.error_text()), Default::default());
    };
    all();
    assert!(!home.db().exists(), "a retry has made a database");
    let id = home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    all();
    assert_eq!(home.state(id), "scheduled");
    home.assert_no_process_left();
}

#[test]
fn how_many_were_retried_is_told_to_a_terminal() {
    if crate::support::skip(crate::support::Need::Script) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    failed(&home, &["--", "false"]);
    failed(&home, &["--", "false"]);
    let call = home.sh(
        "script -qec 'retrier retry --all-failed --delay 1h; retrier retry --all-failed' /dev/null",
    );
    let said = call.output().ok().text();
    assert!(said.contains("2 runs are retried"), "{said}");
    assert!(said.contains("no run is retried"), "{said}");
}
