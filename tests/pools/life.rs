//! Pools while runs are under way: a change counts from the next start on, and ends nothing.

use crate::crash::tools::{Gate, LONG, wait_until_state};
use crate::support::{Home, wait_until};

use super::{pool, shown};

fn running(home: &Home, name: &str) -> u64 {
    shown(home, name)["running"].as_u64().expect("a count")
}

/// Waits until a run in another pool has ended that was stored after all others: the daemon has looked at those.
#[track_caller]
fn await_pass(home: &Home) {
    let id = home.run(["--", "true"]);
    assert_eq!(home.wait(id), 0);
}

#[test]
fn a_paused_pool_holds_its_runs_and_starts_them_at_once_when_it_is_resumed() {
    let home = Home::new();
    let daemon = home.daemon();
    for (hold, release) in [
        ("pause a", "resume a"),
        ("pause --all", "resume --all"),
        ("set a --parallel 0", "set a --parallel 1"),
    ] {
        pool(&home, "set a").ok();
        pool(&home, hold).ok();
        let id = home.run(["--pool", "a", "--", "true"]);
        daemon.await_rest();
        assert_eq!(home.state(id), "queued", "{hold}");
        assert_eq!(shown(&home, "a")["state"], "paused");
        // Nothing but the ring of this call wakes the daemon.
        pool(&home, release).ok();
        wait_until_state(&home, id, "succeeded");
    }
}

#[test]
fn a_pause_and_fewer_slots_end_nothing_that_runs() {
    let home = Home::new();
    let _daemon = home.daemon();
    pool(&home, "set a --parallel 3").ok();
    let gate = Gate::new(&home, "gate");
    let line = gate.line();
    let ids: Vec<i64> = (0..4)
        .map(|_| home.run(["--pool", "a", "--shell", &line]))
        .collect();
    wait_until("three run", LONG, || running(&home, "a") == 3);
    pool(&home, "set a --parallel 1").ok();
    pool(&home, "pause a").ok();
    await_pass(&home);
    assert_eq!(running(&home, "a"), 3);
    pool(&home, "resume a").ok();
    assert_eq!(shown(&home, "a")["state"], "full");
    pool(&home, "set a --parallel 4").ok();
    wait_until("a fourth one starts", LONG, || running(&home, "a") == 4);
    gate.open();
    for id in ids {
        assert_eq!(home.wait(id), 0);
        let document = home.status(id);
        assert_eq!(document["attempts"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn the_hook_of_a_run_in_a_paused_pool_runs() {
    let home = Home::new();
    let _daemon = home.daemon();
    pool(&home, "set a").ok();
    let gate = Gate::new(&home, "gate");
    let args = ["--pool", "a", "--on-complete", "true", "--shell"];
    let id = home.run(args.into_iter().chain([gate.line().as_str()]));
    wait_until("it runs", LONG, || running(&home, "a") == 1);
    pool(&home, "pause --all").ok();
    gate.open();
    assert_eq!(home.wait(id), 0);
    let hook = home.status(id)["hook_id"].as_i64().expect("a hook");
    assert_eq!(home.wait(hook), 0);
}

#[test]
fn resume_and_set_start_a_daemon_when_runs_wait_and_else_none() {
    for (hold, release) in [
        ("pause a", "resume a"),
        ("pause a", "resume --all"),
        ("set a --parallel 0", "set a --parallel 1"),
    ] {
        let home = Home::new();
        pool(&home, "set a").ok();
        pool(&home, hold).ok();
        pool(&home, release).ok();
        pool(&home, hold).ok();
        assert!(home.holder().is_none(), "nothing waits");
        let id = home.run(["--no-daemon-start", "--pool", "a", "--", "true"]);
        pool(&home, "pause default").ok();
        assert!(home.holder().is_none(), "a pause needs no daemon");
        pool(&home, release).ok();
        assert!(home.holder().is_some(), "{release}");
        wait_until_state(&home, id, "succeeded");
    }
}

/// A lock goes on to a pool that can start its run, when the pool that has it is paused.
#[test]
fn a_pause_hands_the_lock_of_what_waits_on_to_another_pool() {
    let home = Home::new();
    let _daemon = home.daemon();
    pool(&home, "set a --parallel 1").ok();
    pool(&home, "set b --parallel 1").ok();
    let gate = Gate::new(&home, "gate");
    let busy = home.run(["--pool", "a", "--shell", &gate.line()]);
    wait_until("its slot is taken", LONG, || running(&home, "a") == 1);
    let heir = home.run(["--pool", "a", "--lock", "l", "--", "true"]);
    let next = home.run(["--pool", "b", "--lock", "l", "--", "true"]);
    await_pass(&home);
    assert_eq!(home.state(next), "queued");
    pool(&home, "pause a").ok();
    wait_until_state(&home, next, "succeeded");
    assert_eq!(home.state(heir), "queued");
    gate.open();
    assert_eq!(home.wait(busy), 0);
    pool(&home, "resume a").ok();
    assert_eq!(home.wait(heir), 0);
}
