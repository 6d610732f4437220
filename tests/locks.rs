//! Locks: of all runs with the same lock one at a time runs, over all pools and through crashes.

use std::fs;
use std::time::Duration;

use crate::crash::tools::{Gate, LONG, wait_until_started, wait_until_state};
use crate::support::{Home, Journal, Need, skip, wait_until, wall_ns};

/// A line that takes a while, and says when it overlaps with another of its lock.
fn exclusive(home: &Home, text: &str) -> String {
    let folder = home.path("");
    let folder = folder.display();
    format!(
        "cd '{folder}'; mkdir held || echo overlap >>overlaps; sleep 0.1; echo {text} >>order; rmdir held"
    )
}

fn order(home: &Home) -> String {
    let text = fs::read_to_string(home.path("order")).unwrap_or_default();
    text.split_whitespace().collect()
}

fn set_pool(home: &Home, args: &[&str]) {
    let call = home.retrier(["pool", "set"].iter().chain(args));
    call.output().ok();
}

#[test]
fn runs_of_one_lock_run_in_order_and_never_at_once_over_all_pools() {
    let home = Home::new();
    set_pool(&home, &["other", "--parallel", "5"]);
    let _daemon = home.daemon();
    let ids: Vec<i64> = ["a", "b", "c", "d"]
        .into_iter()
        .zip(["default", "other"].into_iter().cycle())
        // The later ones are worth more, which is nothing to a lock.
        .zip(["0", "10", "20", "30"])
        .map(|((text, pool), priority)| {
            let line = exclusive(&home, text);
            let options = ["--lock", "file", "--pool", pool, "--priority", priority];
            home.run(options.into_iter().chain(["--shell", &line]))
        })
        .collect();
    for id in ids {
        assert_eq!(home.wait(id), 0);
    }
    assert_eq!(order(&home), "abcd");
    assert!(!home.path("overlaps").exists());
}

#[test]
fn a_run_that_backs_off_or_is_delayed_lets_the_next_have_its_lock() {
    let home = Home::new();
    let _daemon = home.daemon();
    let delayed = home.run(["--lock", "l", "--delay", "1h", "--", "true"]);
    let failed = home.run(["--lock", "l", "--constant", "1h", "--", "false"]);
    let next = home.run(["--lock", "l", "--", "true"]);
    assert_eq!(home.wait(next), 0);
    assert_eq!(home.state(delayed), "scheduled");
    assert_eq!(home.state(failed), "scheduled");
    assert_eq!(home.status(failed)["failures"], 1);
}

#[test]
fn who_waits_for_a_lock_says_who_has_it() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let holder = home.run(["--lock", "the db", "--shell", &gate.line()]);
    wait_until_state(&home, holder, "running");
    let waiting = home.run(["--lock", "the db", "--", "true"]);
    let id = waiting.to_string();
    let expected = format!("queued: due, run {holder} has the lock \"the db\"");
    wait_until("it is seen to be due", LONG, || {
        let said = home.retrier(["explain", &id]).output().ok().text();
        said == expected
    });
    let said = home
        .retrier(["explain", "--json", &id])
        .output()
        .ok()
        .json();
    assert_eq!(said["blocked_by"]["type"], "lock");
    assert_eq!(said["blocked_by"]["run_id"], holder);
    gate.open();
    assert_eq!(home.wait(waiting), 0);
}

/// A lock is no slot: others of the pool go on.
#[test]
fn who_waits_for_a_lock_holds_no_slot() {
    let home = Home::new();
    let _daemon = home.daemon_with(&["--parallel", "2"], &[]);
    let gate = Gate::new(&home, "gate");
    let holder = home.run(["--lock", "l", "--shell", &gate.line()]);
    wait_until_state(&home, holder, "running");
    let waiting: Vec<i64> = (0..5)
        .map(|_| home.run(["--lock", "l", "--", "true"]))
        .collect();
    let free = home.run(["--", "true"]);
    assert_eq!(home.wait(free), 0);
    assert!(waiting.iter().all(|id| home.state(*id) == "queued"));
    gate.open();
    for id in waiting {
        assert_eq!(home.wait(id), 0);
    }
}

#[test]
fn a_canceled_command_keeps_its_lock_until_it_is_gone() {
    let home = Home::new();
    let _daemon = home.daemon();
    let folder = home.path("");
    let stubborn = format!(
        "cd '{}'; trap '' TERM; while :; do sleep 0.05; date +%s%N >>alive; done",
        folder.display()
    );
    let first = home.run(["--lock", "l", "--grace", "1s", "--shell", &stubborn]);
    let lived = || fs::read_to_string(home.path("alive")).unwrap_or_default();
    wait_until("it lives", LONG, || lived().contains('\n'));
    let second = home.run(["--lock", "l", "--shell", "date +%s%N"]);
    home.retrier(["cancel", &first.to_string()]).output().ok();
    let began = home
        .retrier(["wait", &second.to_string()])
        .output()
        .ok()
        .text();
    home.wait(first);
    let lived = lived();
    let number = |text: &str| text.trim().parse::<i64>().expect("nanoseconds");
    let last = lived.lines().last().expect("a line");
    assert!(number(&began) > number(last));
}

/// Whoever starts nothing needs no lock.
#[test]
fn a_lock_goes_to_the_lowest_id_in_a_pool_that_is_not_paused() {
    let home = Home::new();
    set_pool(&home, &["paused", "--parallel", "0"]);
    set_pool(&home, &["full", "--parallel", "1"]);
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let busy = home.run(["--pool", "full", "--shell", &gate.line()]);
    wait_until_state(&home, busy, "running");
    let line = |text: &str| exclusive(&home, text);
    let paused = home.run(["--lock", "l", "--pool", "paused", "--shell", &line("p")]);
    // It has the lock and waits for its slot; that it goes to no other is what was decided.
    let full = home.run(["--lock", "l", "--pool", "full", "--shell", &line("f")]);
    let free = home.run(["--lock", "l", "--shell", &line("d")]);
    wait_until("the lock is given", LONG, || {
        let said = home.retrier(["explain", &free.to_string()]).output().ok();
        said.text()
            .contains(&format!("run {full} comes first for the lock"))
    });
    // A pool that is shut lets go of it.
    set_pool(&home, &["full", "--parallel", "0"]);
    assert_eq!(home.wait(free), 0);
    set_pool(&home, &["paused", "--parallel", "1"]);
    assert_eq!(home.wait(paused), 0);
    set_pool(&home, &["full", "--parallel", "2"]);
    assert_eq!(home.wait(full), 0);
    assert_eq!(order(&home), "dpf");
    gate.open();
}

#[test]
fn a_canceled_run_lets_go_of_a_lock_that_it_has_not_used() {
    let home = Home::new();
    set_pool(&home, &["full", "--parallel", "1"]);
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let busy = home.run(["--pool", "full", "--shell", &gate.line()]);
    wait_until_state(&home, busy, "running");
    let first = home.run(["--lock", "l", "--pool", "full", "--", "true"]);
    let next = home.run(["--lock", "l", "--", "true"]);
    wait_until("the first one has the lock", LONG, || {
        let said = home.retrier(["explain", &next.to_string()]).output().ok();
        said.text()
            .contains(&format!("run {first} comes first for the lock"))
    });
    home.retrier(["cancel", &first.to_string()]).output().ok();
    assert_eq!(home.wait(next), 0);
    gate.open();
}

/// The lock is in the database, and the attempt goes on without its daemon.
#[test]
fn no_crash_lets_two_have_a_lock() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let mut daemon = home.daemon();
    let ids: Vec<i64> = (0..8)
        .map(|n| {
            let line = format!(
                "{}\nexit $(({n} % 2 * ($RETRIER_ATTEMPT < 2)))",
                exclusive(&home, "x")
            );
            let line = journal.line(&line);
            home.run(["--lock", "l", "--constant", "0", "--shell", &line])
        })
        .collect();
    for id in &ids[..4] {
        wait_until_started(&journal, *id, 1);
        daemon.kill9();
        daemon = home.daemon();
    }
    for id in ids {
        assert_eq!(home.wait(id), 0);
    }
    journal.assert_no_overlap();
    assert!(!home.path("overlaps").exists());
    assert_eq!(order(&home).len(), 12);
}

/// A shim that dies with its command leaves the lock free, and not before.
#[test]
fn a_lost_attempt_lets_go_of_its_lock_when_nothing_of_it_is_left() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let line = "kill -9 $PPID; sleep 0.3";
    let lost = home.run([
        "--lock",
        "l",
        "--max-failures",
        "0",
        "--grace",
        "0",
        "--shell",
        line,
    ]);
    let next = home.run(["--lock", "l", "--shell", &gate.line()]);
    assert_ne!(home.wait(lost), 0);
    wait_until_state(&home, next, "running");
    let third = home.run(["--lock", "l", "--", "true"]);
    let until = wall_ns() + Duration::from_millis(300).as_nanos() as i64;
    wait_until("a while has passed", LONG, || wall_ns() > until);
    assert_eq!(home.state(third), "queued");
    gate.open();
    assert_eq!(home.wait(third), 0);
}

/// Each of these has the lock looked at, whoever has had that before.
#[test]
fn pools_of_one_lock_can_be_paused_and_resumed_at_will() {
    let home = Home::new();
    set_pool(&home, &["p"]);
    set_pool(&home, &["q"]);
    let mut daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let holder = home.run(["--lock", "l", "--shell", &gate.line()]);
    wait_until_state(&home, holder, "running");
    let waiting: Vec<i64> = ["p", "q"]
        .into_iter()
        .map(|pool| home.run(["--lock", "l", "--pool", pool, "--", "true"]))
        .collect();
    for id in &waiting {
        wait_until("it waits for the lock", LONG, || {
            let said = home.retrier(["explain", &id.to_string()]).output().ok();
            said.text().contains(&format!("run {holder} has the lock"))
        });
    }
    daemon.kill9();
    for verb in ["pause", "resume", "pause", "pause", "resume"] {
        home.retrier(["pool", verb, "--all"]).output().ok();
        home.retrier(["daemon", "stop"]).output();
    }
    gate.open();
    for id in waiting {
        assert_eq!(home.wait(id), 0);
    }
}
