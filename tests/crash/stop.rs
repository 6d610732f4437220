//! Daemons that leave in order: attempts live on, are waited for, or are interrupted and not charged.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Daemon, Home, Journal, Need, skip, wait_until};

use super::tools::{
    Gate, LONG, assert_nothing_ran_twice, closed, commands, outcomes, shim, signal,
    wait_until_no_command, wait_until_started, wait_until_state,
};

#[test]
fn daemon_stop_leaves_running_attempts_alive_and_the_next_daemon_collects_them() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let gate = Gate::new(&home, "gate");
    let mut daemon = home.daemon();
    let line = journal.line(&format!("{}\nexit 9", gate.line()));
    let id = home.run(["--max-failures", "0", "--shell", &line]);
    wait_until_started(&journal, id, 1);
    home.retrier(["daemon", "stop"]).output().ok();
    assert!(!daemon.is_running(), "stop returned before the daemon left");
    assert_eq!(daemon.wait(Duration::ZERO), 0);
    assert!(!commands(&home).is_empty(), "the attempt has died with it");
    let mut second = home.daemon();
    assert_eq!(home.state(id), "running");
    // SIGTERM says the same as the verb.
    assert_eq!(second.stop(), 0);
    assert!(!commands(&home).is_empty(), "the attempt has died with it");
    let mut third = home.daemon();
    gate.open();
    assert_eq!(home.wait(id), 9);
    assert_eq!(outcomes(&home.status(id)), ["exit 9"]);
    assert_eq!(journal.starts(id).len(), 1);
    assert_eq!(third.stop(), 0);
    home.assert_no_process_left();
}

/// Whether a stopped daemon will find this signal when it goes on.
fn has_pending(daemon: &Daemon, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid()));
    let status = status.expect("the daemon is there");
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let pending = pending.expect("proc(5) names it").trim();
    let set = u64::from_str_radix(pending, 16).expect("a mask in hexadecimal");
    set & (1 << (signal as i32 - 1)) != 0
}

#[test]
fn daemon_stop_drain_waits_for_running_attempts_and_starts_no_others() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let gate = Gate::new(&home, "gate");
    let mut daemon = home.daemon_with(&["--parallel", "2"], &[]);
    let line = journal.line(&gate.line());
    let first = home.run(["--shell", &line]);
    wait_until_started(&journal, first, 1);
    // Stored last of all, so the daemon is at rest and holds no transaction when it is paused.
    wait_until("its pid is stored", LONG, || {
        home.status(first)["attempts"][0]["pid"].is_i64()
    });
    // It finds the wish to drain and a new run at the same moment, and a slot is free.
    daemon.pause();
    let stop = home.retrier(["daemon", "stop", "--drain"]).spawn();
    wait_until("the daemon is told", LONG, || {
        has_pending(&daemon, Signal::SIGUSR1)
    });
    let second = home.run(["--no-daemon-start", "--shell", &line]);
    daemon.resume();
    gate.open();
    stop.wait().ok();
    assert_eq!(daemon.wait(Duration::ZERO), 0);
    assert_eq!(home.state(first), "succeeded");
    assert_eq!(home.state(second), "queued");
    assert!(journal.starts(second).is_empty());
    home.assert_no_process_left();
}

#[test]
fn daemon_stop_kill_interrupts_attempts_and_charges_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let mut daemon = home.daemon();
    let body = format!(
        "[ $RETRIER_ATTEMPT = 1 ] || exit 0; trap '' TERM; : >'{}'; sleep 600; exit",
        home.path("grown").display()
    );
    let line = journal.line(&body);
    let rest = ["--grace", "300ms", "--on-complete", "true"];
    let id = home.run(
        ["--max-failures", "0"]
            .into_iter()
            .chain(rest)
            .chain(["--shell", &line]),
    );
    wait_until("it ignores SIGTERM", LONG, || grown.is_open());
    home.retrier(["daemon", "stop", "--kill"]).output().ok();
    assert_eq!(daemon.wait(Duration::ZERO), 0);
    home.assert_no_process_left();
    let document = home.status(id);
    assert!(waits(&document["state"]), "{document}");
    assert_eq!(outcomes(&document), ["interrupted"]);
    assert_eq!(document["failures"], 0);
    assert!(document["hook_id"].is_null(), "it has not ended");
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let document = home.status(id);
    assert_eq!(document["state"], "succeeded");
    assert_eq!(outcomes(&document), ["interrupted", "exit 0"]);
    assert_eq!(document["failures"], 0);
    assert_nothing_ran_twice(&home, &journal, id);
}

#[test]
fn daemon_stop_kill_interrupts_what_an_earlier_daemon_has_started() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = home.run(["--max-failures", "0", "--", "sleep", "600"]);
    wait_until("it sleeps", LONG, || !commands(&home).is_empty());
    daemon.kill9();
    let mut second = home.daemon();
    home.retrier(["daemon", "stop", "--kill"]).output().ok();
    assert_eq!(second.wait(Duration::ZERO), 0);
    home.assert_no_process_left();
    let document = home.status(id);
    assert!(waits(&document["state"]), "{document}");
    assert_eq!(outcomes(&document), ["interrupted"]);
    assert_eq!(document["failures"], 0);
}

#[test]
fn daemon_stop_kill_of_a_canceled_attempt_stays_canceled() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = home.run([
        "--grace",
        "500ms",
        "--shell",
        "trap '' TERM; sleep 600; exit",
    ]);
    wait_until("it sleeps", LONG, || commands(&home).len() == 2);
    home.retrier(["cancel", &id.to_string()]).output().ok();
    home.retrier(["daemon", "stop", "--kill"]).output().ok();
    assert_eq!(daemon.wait(Duration::ZERO), 0);
    home.assert_no_process_left();
    let document = home.status(id);
    assert_eq!(document["state"], "canceled");
    assert_eq!(outcomes(&document), ["canceled"]);
}

/// What the service manager does to every process when the machine goes down.
#[test]
fn a_shim_terminated_in_an_orderly_shutdown_records_an_interruption() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = home.run(["--max-failures", "0", "--", "sleep", "600"]);
    wait_until("it sleeps", LONG, || !commands(&home).is_empty());
    let pid = shim(&home);
    assert_eq!(daemon.stop(), 0);
    signal(pid, Signal::SIGTERM);
    wait_until_no_command(&home);
    home.assert_no_process_left();
    let _second = home.daemon();
    wait_until("it is interrupted", LONG, || {
        outcomes(&home.status(id))[0] == "interrupted"
    });
    assert_eq!(home.status(id)["failures"], 0);
    wait_until_state(&home, id, "running");
    home.retrier(["cancel", &id.to_string()]).output().ok();
    assert_eq!(outcomes(&closed(&home, id)), ["interrupted", "canceled"]);
}

#[test]
fn daemon_stop_without_a_daemon_exits_0() {
    let home = Home::new();
    home.retrier(["daemon", "stop"]).output().ok();
    home.run(["--no-daemon-start", "--", "true"]);
    for how in ["--drain", "--kill"] {
        home.retrier(["daemon", "stop", how]).output().ok();
    }
    home.assert_no_process_left();
}

/// It rests for a second before it is due again.
fn waits(state: &serde_json::Value) -> bool {
    state == "scheduled" || state == "queued"
}
