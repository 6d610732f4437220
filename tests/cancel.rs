//! `retrier cancel`: from its exit code 0 on the run is canceled for good, and its processes go.

use std::time::Duration;

use crate::crash::tools::{
    Gate, LONG, closed, commands, millis, numbers, outcomes, stubborn, wait_until_no_command,
    wait_until_started, wait_until_state,
};
use crate::support::{FakeClock, Home, Journal, Need, skip, wait_until};

fn cancel(home: &Home, id: i64) -> i32 {
    home.retrier(["cancel", &id.to_string()]).output().code
}

const HOUR: Duration = Duration::from_secs(3600);

/// Moves the clock by an hour and waits until a run has come and gone that was due then. The daemon has one slot, so
/// whatever was due before has started before.
#[track_caller]
fn pass_an_hour(home: &Home, clock: &FakeClock) {
    let later = home.run(["--delay", "1h", "--", "true"]);
    clock.advance(HOUR);
    assert_eq!(home.wait(later), 0);
}

#[test]
fn cancel_of_a_delayed_run_shows_at_once_and_it_never_starts() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let journal = Journal::new(&home);
    let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let id = home.run(["--delay", "1h", "--shell", &journal.line("true")]);
    assert_eq!(home.state(id), "scheduled");
    assert_eq!(cancel(&home, id), 0);
    let canceled = home.status(id);
    assert_eq!(canceled["state"], "canceled");
    assert_eq!(canceled["result"]["type"], "canceled");
    assert!(canceled["due_at"].is_null());
    pass_an_hour(&home, &clock);
    assert_eq!(home.status(id), canceled);
    assert!(journal.starts(id).is_empty());
}

#[test]
fn cancel_during_backoff_never_spawns() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let journal = Journal::new(&home);
    let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let line = journal.line("exit 3");
    let backoff = ["--constant", "1h", "--jitter", "0", "--forever"];
    let id = home.run(backoff.into_iter().chain(["--shell", &line]));
    wait_until_state(&home, id, "scheduled");
    assert_eq!(cancel(&home, id), 0);
    let canceled = home.status(id);
    assert_eq!(canceled["state"], "canceled");
    pass_an_hour(&home, &clock);
    assert_eq!(home.status(id), canceled);
    assert_eq!(outcomes(&canceled), ["exit 3"]);
    assert_eq!(journal.starts(id).len(), 1);
}

#[test]
fn cancel_of_a_running_run_shows_at_once_and_its_stubborn_tree_is_gone_after_the_grace() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let line = stubborn(&journal, &grown);
    let id = home.run(["--grace", "1s", "--forever", "--shell", &line]);
    wait_until("the tree has grown", LONG, || grown.is_open());
    assert_eq!(cancel(&home, id), 0);
    let first = home.status(id);
    assert_eq!(first["state"], "canceled");
    assert_eq!(first["result"]["type"], "canceled");
    wait_until_no_command(&home);
    let document = closed(&home, id);
    assert_eq!(document["state"], "canceled");
    assert_eq!(outcomes(&document), ["canceled"]);
    let taken = millis(&document["attempts"][0]["ended_at"]) - millis(&document["finished_at"]);
    assert!(taken >= 1000, "killed after {taken} ms of 1000 ms of grace");
    let later = home.run(["--", "true"]);
    assert_eq!(home.wait(later), 0);
    assert_eq!(home.status(id), document);
    assert_eq!(journal.starts(id).len(), 1);
    journal.assert_no_overlap();
}

#[test]
fn a_canceled_command_may_end_in_order_and_stays_canceled_although_it_exits_0() {
    let home = Home::new();
    let (ready, bye) = (Gate::new(&home, "ready"), Gate::new(&home, "bye"));
    let _daemon = home.daemon();
    let (ready_file, bye_file) = (home.path("ready"), home.path("bye"));
    let line = format!(
        "trap ': >\"{}\"; exit 0' TERM; echo said; : >'{}'; while :; do sleep 0.05; done",
        bye_file.display(),
        ready_file.display()
    );
    let id = home.run(["--grace", "10m", "--shell", &line]);
    wait_until("it can be terminated", LONG, || ready.is_open());
    assert_eq!(cancel(&home, id), 0);
    let document = closed(&home, id);
    assert!(bye.is_open(), "it had no time to end in order");
    assert_eq!(document["state"], "canceled");
    assert_eq!(outcomes(&document), ["canceled"]);
    let waited = home.retrier(["wait", &id.to_string()]).output().exits(130);
    assert_eq!(waited.text(), "", "a canceled run has no output to give");
}

#[test]
fn a_canceled_command_that_is_stopped_is_gone_too() {
    let home = Home::new();
    let ready = Gate::new(&home, "ready");
    let _daemon = home.daemon();
    let line = format!(
        "trap '' TERM; : >'{}'; kill -STOP $$; sleep 600",
        home.path("ready").display()
    );
    let id = home.run(["--grace", "300ms", "--shell", &line]);
    wait_until("it is about to stop", LONG, || ready.is_open());
    assert_eq!(cancel(&home, id), 0);
    wait_until_no_command(&home);
    assert_eq!(outcomes(&closed(&home, id)), ["canceled"]);
}

#[test]
fn a_second_cancel_exits_0_and_changes_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let _daemon = home.daemon();
    let delayed = home.run(["--delay", "1h", "--", "true"]);
    assert_eq!(cancel(&home, delayed), 0);
    let canceled = home.status(delayed);
    assert_eq!(cancel(&home, delayed), 0);
    assert_eq!(home.status(delayed), canceled);

    let line = stubborn(&journal, &grown);
    let running = home.run(["--grace", "1s", "--shell", &line]);
    wait_until("the tree has grown", LONG, || grown.is_open());
    assert_eq!(cancel(&home, running), 0);
    let finished_at = home.status(running)["finished_at"].clone();
    assert_eq!(cancel(&home, running), 0);
    let document = closed(&home, running);
    assert_eq!(document["finished_at"], finished_at);
    let taken = millis(&document["attempts"][0]["ended_at"]) - millis(&finished_at);
    assert!(taken >= 1000, "the second cancel has shortened the grace");
    assert_eq!(cancel(&home, running), 0);
    assert_eq!(home.status(running), document);
}

#[test]
fn cancel_of_a_finished_run_exits_4_and_changes_nothing() {
    let home = Home::new();
    let _daemon = home.daemon();
    let good = home.run(["--", "true"]);
    let bad = home.run(["--max-failures", "0", "--", "false"]);
    assert_eq!((home.wait(good), home.wait(bad)), (0, 1));
    for id in [good, bad] {
        let before = home.status(id);
        let output = home.retrier(["cancel", &id.to_string()]).output().exits(4);
        assert!(output.error_text().contains(&format!("run {id} ")));
        assert_eq!(home.status(id), before);
    }
}

#[test]
fn cancel_of_an_unknown_run_exits_3_and_names_the_database() {
    let home = Home::new();
    let unknown = || {
        home.retrier(["cancel", "17"])
            .output()
            .exits(3)
            .error_text()
    };
    let database = home.db().display().to_string();
    assert!(unknown().contains(&database), "{}", unknown());
    assert!(!home.db().exists(), "a cancel has made a database");
    home.run(["--no-daemon-start", "--", "true"]);
    assert!(unknown().contains(&database), "{}", unknown());
    home.assert_no_process_left();
}

#[test]
fn cancel_of_several_runs_does_all_and_exits_with_the_first_code() {
    let home = Home::new();
    let _daemon = home.daemon();
    let done = home.run(["--", "true"]);
    assert_eq!(home.wait(done), 0);
    let first = home.run(["--delay", "1h", "--", "true"]);
    let second = home.run(["--delay", "1h", "--", "true"]);
    let ids = [first, 999, done, second].map(|id| id.to_string());
    let output = home.retrier(["cancel"].into_iter().chain(ids.iter().map(String::as_str)));
    output.output().exits(3);
    assert_eq!(home.state(first), "canceled");
    assert_eq!(home.state(second), "canceled");
    assert_eq!(home.state(done), "succeeded");
}

#[test]
fn cancel_works_without_a_daemon_and_the_next_daemon_does_not_start_the_run() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let line = journal.line("true");
    let id = home.run(["--no-daemon-start", "--shell", &line]);
    let other = home.run(["--no-daemon-start", "--shell", &line]);
    assert_eq!(cancel(&home, id), 0);
    assert_eq!(home.state(id), "canceled");
    home.assert_no_process_left();
    let canceled = home.status(id);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert_eq!(home.status(id), canceled);
    assert!(journal.starts(id).is_empty());
    assert_eq!(journal.starts(other).len(), 1);
}

#[test]
fn cancel_of_an_attempt_whose_daemon_was_killed_starts_one_that_ends_the_tree() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let mut daemon = home.daemon();
    let line = stubborn(&journal, &grown);
    let id = home.run(["--grace", "1s", "--forever", "--shell", &line]);
    wait_until("the tree has grown", LONG, || grown.is_open());
    daemon.kill9();
    assert_eq!(cancel(&home, id), 0);
    assert_eq!(home.state(id), "canceled");
    wait_until_no_command(&home);
    let document = closed(&home, id);
    assert_eq!(document["state"], "canceled");
    assert_eq!(outcomes(&document), ["canceled"]);
    let taken = millis(&document["attempts"][0]["ended_at"]) - millis(&document["finished_at"]);
    assert!(taken >= 1000, "killed after {taken} ms of 1000 ms of grace");
    assert_eq!(journal.starts(id).len(), 1);
}

#[test]
fn cancel_of_an_attempt_that_a_second_daemon_has_taken_over_ends_it() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let mut daemon = home.daemon();
    let line = journal.line("sleep 600; exit");
    let id = home.run(["--forever", "--shell", &line]);
    wait_until_started(&journal, id, 1);
    daemon.kill9();
    let _second = home.daemon();
    assert_eq!(home.state(id), "running");
    assert_eq!(cancel(&home, id), 0);
    assert_eq!(home.state(id), "canceled");
    wait_until_no_command(&home);
    assert_eq!(outcomes(&closed(&home, id)), ["canceled"]);
    assert_eq!(journal.starts(id).len(), 1);
}

#[test]
fn cancel_that_is_killed_before_its_commit_leaves_the_run_alone() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon();
    let id = home.run(["--shell", &gate.line()]);
    wait_until_state(&home, id, "running");
    let killed = home.retrier(["cancel", &id.to_string()]);
    killed
        .crash("cancel_before_commit:1:kill")
        .output()
        .exits(137);
    assert_eq!(home.state(id), "running");
    gate.open();
    assert_eq!(home.wait(id), 0);
}

#[test]
fn cancel_that_is_killed_after_its_commit_holds_and_the_tree_goes() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run(["--", "sleep", "600"]);
    wait_until("it sleeps", LONG, || !commands(&home).is_empty());
    let killed = home.retrier(["cancel", &id.to_string()]);
    killed.crash("cancel_committed:1:kill").output().exits(137);
    assert_eq!(home.state(id), "canceled");
    wait_until_no_command(&home);
    assert_eq!(outcomes(&closed(&home, id)), ["canceled"]);
}

#[test]
fn cancel_between_the_claim_and_the_start_leaves_nothing_running() {
    let home = Home::new();
    let crash = ("RETRIER_CRASH", "shim_before_starting:1:sleep=1500");
    let _daemon = home.daemon_with(&[], &[crash]);
    let id = home.run(["--forever", "--", "sleep", "600"]);
    wait_until_state(&home, id, "running");
    assert!(commands(&home).is_empty(), "it has started already");
    assert_eq!(cancel(&home, id), 0);
    assert_eq!(home.state(id), "canceled");
    let document = closed(&home, id);
    assert_eq!(document["state"], "canceled");
    assert_eq!(numbers(&document), [1]);
    wait_until_no_command(&home);
}

/// The daemon that was to end the attempt is gone, and the hook waits for that.
#[test]
fn a_second_cancel_starts_a_daemon_for_what_the_first_one_has_left() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let mut daemon = home.daemon();
    let line = stubborn(&journal, &grown);
    let hook = ["--on-complete", "true"];
    let id = home.run(
        hook.into_iter()
            .chain(["--grace", "300ms", "--shell", &line]),
    );
    wait_until("the tree has grown", LONG, || grown.is_open());
    // One that is stopped in its transaction would keep everybody waiting.
    daemon.await_rest();
    daemon.pause();
    assert_eq!(cancel(&home, id), 0);
    daemon.kill9();
    let page = home
        .retrier(["status", &id.to_string()])
        .output()
        .ok()
        .text();
    assert!(page.contains("is being ended; no daemon runs"), "{page}");
    assert_eq!(cancel(&home, id), 0);
    let hook = home.status(id)["hook_id"].as_i64().expect("a hook");
    wait_until_state(&home, hook, "succeeded");
    assert_eq!(outcomes(&home.status(id)), ["canceled"]);
}
