//! Slots: how many attempts of a pool run at once, and who needs none.

use std::fs;

use nix::sys::signal::Signal;

use crate::crash::tools::{Gate, LONG, is_stopped, wait_until_state};
use crate::support::{Home, wait_until};

fn pool(home: &Home, args: &[&str]) {
    home.retrier(["pool"].iter().chain(args)).output().ok();
}

/// A line that takes one of so many places while it runs, and says when there is none.
fn in_place(home: &Home, places: usize) -> String {
    let folder = home.path("");
    format!(
        "cd '{}'; n=1; until mkdir place.$n 2>/dev/null; do n=$((n + 1)); \
         [ $n -le {places} ] || {{ echo $RETRIER_RUN_ID >>crowded; exit 9; }}; done; \
         sleep 0.3; rmdir place.$n",
        folder.display()
    )
}

#[test]
fn no_more_attempts_of_a_pool_run_at_once_than_it_has_slots() {
    let home = Home::new();
    pool(&home, &["set", "three", "--parallel", "3"]);
    let line = in_place(&home, 3);
    let options = [
        "--pool",
        "three",
        "--no-daemon-start",
        "--max-failures",
        "0",
    ];
    let ids: Vec<i64> = (0..20)
        .map(|_| home.run(options.into_iter().chain(["--shell", &line])))
        .collect();
    let mut daemon = home.daemon();
    // A daemon that comes later counts those that it finds running.
    for _ in 0..2 {
        wait_until("three run", LONG, || {
            (1..=3).all(|n| home.path(format!("place.{n}")).exists())
        });
        daemon.kill9();
        daemon = home.daemon();
    }
    for id in ids {
        assert_eq!(home.wait(id), 0);
    }
    assert!(!home.path("crowded").exists());
}

/// Of many that may start at once, the first ones have their orders while others are not claimed yet.
#[test]
fn the_first_of_many_do_not_wait_until_all_are_claimed() {
    let home = Home::new();
    pool(&home, &["set", "many", "--parallel", "40"]);
    let options = ["--pool", "many", "--no-daemon-start", "--", "true"];
    let ids: Vec<i64> = (0..40).map(|_| home.run(options)).collect();
    let daemon = home.retrier(["daemon"]).crash("order_sent:2:stop").spawn();
    wait_until("two have their orders", LONG, || is_stopped(daemon.pid()));
    let unclaimed = ids.iter().filter(|id| home.state(**id) == "queued").count();
    daemon.signal(Signal::SIGCONT);
    assert!(unclaimed >= 20, "{unclaimed}");
    for id in ids {
        assert_eq!(home.wait(id), 0);
    }
}

#[test]
fn whoever_backs_off_leaves_its_slot_to_the_next() {
    let home = Home::new();
    pool(&home, &["set", "three", "--parallel", "3"]);
    let _daemon = home.daemon();
    let later = ["--pool", "three", "--constant", "1h", "--", "false"];
    let backing_off: Vec<i64> = (0..3).map(|_| home.run(later)).collect();
    for id in backing_off {
        wait_until("it backs off", LONG, || home.status(id)["failures"] == 1);
    }
    let fourth = home.run(["--pool", "three", "--", "true"]);
    assert_eq!(home.wait(fourth), 0);
}

/// Hooks have a pool of their own, which the daemon's limit does not count either.
#[test]
fn hooks_need_none_of_the_slots_of_others() {
    let home = Home::new();
    pool(&home, &["set", "shut", "--parallel", "1"]);
    let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let gate = Gate::new(&home, "gate");
    let busy = home.run(["--pool", "shut", "--shell", &gate.line()]);
    wait_until_state(&home, busy, "running");
    let flag = home.path("told");
    let hook = format!(": >'{}'", flag.display());
    let canceled = home.run(["--pool", "shut", "--on-complete", &hook, "--", "true"]);
    pool(&home, &["pause", "--all"]);
    home.retrier(["cancel", &canceled.to_string()])
        .output()
        .ok();
    wait_until("the hook has run", LONG, || flag.exists());
    assert_eq!(home.state(busy), "running");
    // But by its name it can be paused.
    fs::remove_file(&flag).expect("it is there");
    pool(&home, &["pause", "hooks"]);
    let canceled = home.run(["--pool", "shut", "--on-complete", &hook, "--", "true"]);
    home.retrier(["cancel", &canceled.to_string()])
        .output()
        .ok();
    let hook = home.status(canceled)["hook_id"]
        .as_i64()
        .expect("it has one");
    wait_until("it is held back", LONG, || {
        let said = home.retrier(["explain", &hook.to_string()]).output().ok();
        said.text().contains("the pool hooks is paused")
    });
    pool(&home, &["resume", "hooks"]);
    wait_until("the hook has run", LONG, || flag.exists());
    gate.open();
}

/// What the daemon keeps of a pool from pass to pass is a hint: a client may have changed what it
/// tells.
#[test]
fn a_run_that_would_be_next_and_is_gone_is_no_trouble() {
    let home = Home::new();
    pool(&home, &["set", "other", "--parallel", "1"]);
    let daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let gate = Gate::new(&home, "gate");
    let busy = home.run(["--shell", &gate.line()]);
    wait_until_state(&home, busy, "running");
    let next = home.run(["--pool", "other", "--", "true"]);
    let last = home.run(["--pool", "other", "--", "true"]);
    for id in [next, last] {
        wait_until("it is seen to be due", LONG, || {
            let said = home.retrier(["explain", &id.to_string()]).output().ok();
            said.text().contains("the one slot of the daemon is taken")
        });
    }
    home.retrier(["cancel", &next.to_string()]).output().ok();
    home.retrier(["cleanup", &next.to_string()]).output().ok();
    gate.open();
    assert_eq!(home.wait(last), 0);
    assert!(!daemon.errors().contains("ERROR"), "{}", daemon.errors());
}

/// The one that would have been next comes back behind the lock that it had.
#[test]
fn a_run_that_would_be_next_and_has_lost_its_lock_waits_for_it() {
    let home = Home::new();
    pool(&home, &["set", "p", "--parallel", "1"]);
    pool(&home, &["set", "q", "--parallel", "1"]);
    let daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let gate = Gate::new(&home, "gate");
    let busy = home.run(["--shell", &gate.line()]);
    wait_until_state(&home, busy, "running");
    let first = home.run(["--pool", "p", "--lock", "l", "--", "true"]);
    let second = home.run(["--pool", "q", "--lock", "l", "--", "true"]);
    let has_lock = |id: i64, holder: i64| {
        wait_until("the lock is given", LONG, || {
            let said = home.retrier(["explain", &id.to_string()]).output().ok();
            said.text()
                .contains(&format!("run {holder} comes first for the lock"))
        });
    };
    has_lock(second, first);
    home.retrier(["cancel", &first.to_string()]).output().ok();
    wait_until("the other has it", LONG, || {
        let said = home.retrier(["explain", &second.to_string()]).output().ok();
        said.text().contains("the one slot of the daemon is taken")
    });
    home.retrier(["retry", &first.to_string()]).output().ok();
    has_lock(first, second);
    gate.open();
    assert_eq!(home.wait(second), 0);
    assert_eq!(home.wait(first), 0);
    assert!(!daemon.errors().contains("ERROR"), "{}", daemon.errors());
}

#[test]
fn nothing_blocks_a_run_that_is_not_due() {
    let home = Home::new();
    let _daemon = home.daemon();
    let done = home.run(["--", "true"]);
    assert_eq!(home.wait(done), 0);
    let later = home.run(["--delay", "1h", "--", "true"]);
    pool(&home, &["pause", "default"]);
    let due = home.run(["--", "true"]);
    let blocked_by = |id: i64| {
        let said = home
            .retrier(["explain", "--json", &id.to_string()])
            .output();
        said.ok().json()["blocked_by"].clone()
    };
    assert!(blocked_by(done).is_null());
    assert!(blocked_by(later).is_null());
    assert_eq!(blocked_by(due)["why"], "paused");
}

/// A daemon that had to go through all of them first would keep every other pool waiting.
#[test]
fn what_is_due_when_it_is_stored_is_ready_without_a_daemon() {
    let home = Home::new();
    pool(&home, &["set", "shut", "--parallel", "0"]);
    let batch = ["run", "--no-daemon-start", "--pool", "shut", "--batch", "-"];
    home.retrier(batch)
        .stdin("true\n".repeat(500))
        .output()
        .ok();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    home.run(["--no-daemon-start", "--lock", "l", "--", "true"]);
    let db = rusqlite::Connection::open(home.db()).expect("it is a database");
    let count = |stage: &str| -> i64 {
        let sql = "SELECT count(*) FROM run WHERE stage = ?1";
        let found = db.query_row(sql, [stage], |row| row.get(0));
        found.expect("it can be counted")
    };
    assert_eq!(count("ready"), 500);
    assert_eq!(count("scheduled"), 2, "one for later, one for its lock");
    let _daemon = home.daemon();
    let other = home.run(["--", "true"]);
    assert_eq!(home.wait(other), 0);
}
