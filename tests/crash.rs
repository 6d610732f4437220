//! Daemons and shims that die: nothing is lost, nothing runs twice, no due time moves.
//!
//! Here they die by `kill -9` from outside; in [`points`] at each failpoint; in [`stop`] daemons leave in order.

mod points;
mod stop;
pub mod tools;

use std::fs;

use nix::sys::signal::Signal;

use crate::support::{Home, Journal, Need, Process, skip, wait_until};
use tools::{
    Gate, LONG, assert_nothing_ran_twice, closed, millis, numbers, outcomes, shim, signal,
    stubborn, wait_until_no_command, wait_until_started, wait_until_state,
};

#[test]
fn a_daemon_killed_in_backoff_keeps_the_original_due_time() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let mut daemon = home.daemon();
    let line = journal.line(r#"[ "$RETRIER_ATTEMPT" = 2 ]"#);
    let policy = ["--constant", "2s", "--jitter", "0"];
    let id = home.run(policy.into_iter().chain(["--shell", &line]));
    wait_until_state(&home, id, "scheduled");
    daemon.kill9();
    let before = home.status(id);
    let due = millis(&before["due_at"]);
    assert_eq!(due - millis(&before["attempts"][0]["ended_at"]), 2000);
    let _second = home.daemon();
    assert_eq!(home.status(id)["due_at"], before["due_at"]);
    assert_eq!(home.wait(id), 0);
    let starts = journal.starts(id);
    assert_eq!(starts.len(), 2);
    assert!(
        starts[1].at_ns >= due * 1_000_000,
        "started before it was due"
    );
    let document = home.status(id);
    assert!(millis(&document["attempts"][1]["started_at"]) >= due);
    assert_eq!(document["failures"], 1);
}

#[test]
fn a_run_that_came_due_without_a_daemon_starts_with_the_next_one() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let mut daemon = home.daemon();
    let line = journal.line(r#"[ "$RETRIER_ATTEMPT" = 2 ]"#);
    let policy = ["--constant", "1s", "--jitter", "0"];
    let id = home.run(policy.into_iter().chain(["--shell", &line]));
    wait_until_started(&journal, id, 1);
    wait_until_state(&home, id, "scheduled");
    daemon.kill9();
    wait_until_state(&home, id, "queued");
    assert_eq!(home.wait(id), 0, "a waiter starts a daemon");
    assert_eq!(numbers(&home.status(id)), [1, 2]);
    assert_nothing_ran_twice(&home, &journal, id);
}

#[test]
fn an_attempt_runs_on_through_three_kills_of_its_daemon_and_its_outcome_counts() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let gate = Gate::new(&home, "gate");
    let mut daemon = home.daemon();
    let line = journal.line(&format!("echo before\n{}\necho after\nexit 7", gate.line()));
    let id = home.run(["--max-failures", "0", "--shell", &line]);
    wait_until_started(&journal, id, 1);
    for _ in 0..3 {
        daemon.kill9();
        daemon = home.daemon();
        assert_eq!(home.state(id), "running");
        assert!(journal.ends(id).is_empty());
    }
    gate.open();
    let waited = home.retrier(["wait", &id.to_string()]).output().exits(7);
    assert_eq!(waited.text(), "before\nafter");
    let document = home.status(id);
    assert_eq!(outcomes(&document), ["exit 7"]);
    assert_eq!(document["attempts"][0]["pid"], journal.starts(id)[0].pid);
    assert_eq!(journal.starts(id).len(), 1);
    assert_nothing_ran_twice(&home, &journal, id);
}

/// Of a command that runs for hours, nobody knew the pid until its end.
#[test]
fn what_a_daemon_was_told_and_has_not_written_down_the_next_one_knows() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let dying = [("RETRIER_CRASH", "report_received:1:kill")];
    let mut daemon = home.daemon_with(&[], &dying);
    let pid = home.path("pid");
    let line = format!("echo $$ >'{}'; {}", pid.display(), gate.line());
    let id = home.run(["--no-daemon-start", "--shell", &line]);
    assert_eq!(
        daemon.wait(LONG),
        137,
        "killed when the command had started"
    );
    assert!(home.status(id)["attempts"][0]["pid"].is_null());
    let _daemon = home.daemon();
    wait_until("the next one knows the pid", LONG, || {
        let told = home.status(id)["attempts"][0]["pid"].to_string();
        fs::read_to_string(&pid).is_ok_and(|pid| pid.trim() == told)
    });
    gate.open();
    assert_eq!(home.wait(id), 0);
}

#[test]
fn each_of_three_attempts_survives_the_kill_of_its_daemon_and_none_runs_twice() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let body = format!(
        "until [ -e '{}'.$RETRIER_ATTEMPT ]; do sleep 0.05; done; [ $RETRIER_ATTEMPT = 3 ]",
        home.path("gate").display()
    );
    let mut daemon = home.daemon();
    let line = journal.line(&body);
    let policy = ["--constant", "50ms", "--jitter", "0"];
    let id = home.run(policy.into_iter().chain(["--shell", &line]));
    for attempt in 1..=3 {
        wait_until_started(&journal, id, attempt);
        daemon.kill9();
        // In turn, the attempt ends while there is no daemon, and under the next one.
        let gate = Gate::new(&home, &format!("gate.{attempt}"));
        if attempt == 2 {
            gate.open();
            wait_until("it has ended", LONG, || journal.ends(id).len() == attempt);
        }
        daemon = home.daemon();
        gate.open();
    }
    assert_eq!(home.wait(id), 0);
    let document = home.status(id);
    assert_eq!(outcomes(&document), ["exit 1", "exit 1", "exit 0"]);
    assert_eq!(journal.starts(id).len(), 3);
    assert_nothing_ran_twice(&home, &journal, id);
}

#[test]
fn an_attempt_that_ends_without_a_daemon_keeps_its_exit_code_and_output() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let gate = Gate::new(&home, "gate");
    let mut daemon = home.daemon();
    let line = journal.line(&format!("{}\nprintf 'the value'", gate.line()));
    let id = home.run(["--shell", &line]);
    wait_until_started(&journal, id, 1);
    daemon.kill9();
    gate.open();
    home.assert_no_process_left();
    assert_eq!(home.state(id), "running", "nobody has looked yet");
    let later = home.run(["--no-daemon-start", "--", "true"]);
    let waited = home.retrier(["wait", &id.to_string()]).output().ok();
    assert_eq!(waited.text(), "the value");
    let document = home.status(id);
    assert_eq!(document["result"]["return_value"], "the value");
    assert_eq!(outcomes(&document), ["exit 0"]);
    let found_after = millis(&home.status(later)["created_at"]);
    assert!(
        millis(&document["finished_at"]) <= found_after,
        "the end is when it ended, not when it was found"
    );
    assert_eq!(journal.starts(id).len(), 1);
}

#[test]
fn a_timeout_is_kept_without_a_daemon() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let mut daemon = home.daemon();
    let limits = ["--timeout", "1s", "--grace", "400ms", "--max-failures", "0"];
    let line = stubborn(&journal, &grown);
    let id = home.run(limits.into_iter().chain(["--shell", &line]));
    wait_until_started(&journal, id, 1);
    daemon.kill9();
    home.assert_no_process_left();
    assert_eq!(home.wait(id), 124);
    let document = home.status(id);
    assert_eq!(outcomes(&document), ["timeout"]);
    let attempt = &document["attempts"][0];
    let took = millis(&attempt["ended_at"]) - millis(&attempt["started_at"]);
    assert!(took >= 1400, "ended after {took} ms of 1000 + 400 ms");
    assert_eq!(journal.starts(id).len(), 1);
}

/// A run whose first attempt is a stubborn tree and whose second one succeeds.
fn submit_stubborn_once(home: &Home, journal: &Journal, grown: &Gate) -> i64 {
    let line = format!(
        "if [ $RETRIER_ATTEMPT = 1 ]; then\n{}\nfi\n{}",
        stubborn(journal, grown),
        journal.line("true")
    );
    let policy = ["--constant", "100ms", "--jitter", "0", "--grace", "400ms"];
    let id = home.run(policy.into_iter().chain(["--shell", &line]));
    wait_until("the tree has grown", LONG, || grown.is_open());
    id
}

fn assert_lost_and_charged(home: &Home, journal: &Journal, id: i64) {
    assert_eq!(home.wait(id), 0);
    let document = home.status(id);
    assert_eq!(outcomes(&document), ["lost", "exit 0"]);
    assert_eq!(document["failures"], 1);
    assert_eq!(journal.starts(id).len(), 2);
    assert_nothing_ran_twice(home, journal, id);
}

#[test]
fn a_killed_shims_command_is_ended_before_the_next_attempt_and_the_attempt_is_lost() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let _daemon = home.daemon();
    let id = submit_stubborn_once(&home, &journal, &grown);
    signal(shim(&home), Signal::SIGKILL);
    assert_lost_and_charged(&home, &journal, id);
}

#[test]
fn a_shim_killed_after_its_daemon_leaves_a_lost_attempt_that_the_next_daemon_ends() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let mut daemon = home.daemon();
    let id = submit_stubborn_once(&home, &journal, &grown);
    daemon.kill9();
    signal(shim(&home), Signal::SIGKILL);
    let _second = home.daemon();
    assert_lost_and_charged(&home, &journal, id);
}

#[test]
fn a_shim_killed_under_a_second_daemon_leaves_a_lost_attempt_too() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let mut daemon = home.daemon();
    let id = submit_stubborn_once(&home, &journal, &grown);
    daemon.kill9();
    let mut second = home.daemon();
    signal(shim(&home), Signal::SIGKILL);
    wait_until("the shim is gone", LONG, || {
        !home.processes().iter().any(Process::is_shim)
    });
    // A third one finds the remains that the second one was about to end.
    second.kill9();
    let _third = home.daemon();
    assert_lost_and_charged(&home, &journal, id);
}

#[test]
fn a_lost_attempt_is_the_last_when_its_budget_is_spent() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon();
    let id = home.run(["--max-failures", "0", "--shell", &gate.line()]);
    wait_until("it runs", LONG, || !tools::commands(&home).is_empty());
    signal(shim(&home), Signal::SIGKILL);
    assert_eq!(home.wait(id), 125, "nobody knows its exit code");
    let document = home.status(id);
    assert_eq!(document["state"], "failed");
    assert_eq!(document["result"]["reason"], "exhausted");
    assert_eq!(outcomes(&document), ["lost"]);
    wait_until_no_command(&home);
}

/// The daemon has sent the order, and the shim dies without having read it: the command provably never ran.
#[test]
fn an_idle_shim_killed_with_an_order_unread_charges_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let mut daemon = home.daemon();
    let warm = home.run(["--", "true"]);
    assert_eq!(home.wait(warm), 0);
    let pid = shim(&home);
    signal(pid, Signal::SIGSTOP);
    let id = home.run(["--max-failures", "0", "--shell", &journal.line("true")]);
    wait_until_state(&home, id, "running");
    signal(pid, Signal::SIGKILL);
    assert_eq!(home.wait(id), 0);
    let document = closed(&home, id);
    assert_eq!(outcomes(&document), ["exit 0"]);
    assert_eq!(document["failures"], 0);
    assert_eq!(journal.starts(id).len(), 1);
    assert!(daemon.is_running(), "{}", daemon.errors());
}
