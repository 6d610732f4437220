//! Why a run is where it is, as a daemon brings it there.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{json, line};
use crate::support::{Daemon, Home, wait_until};

const LONG: Duration = Duration::from_secs(20);

#[track_caller]
fn await_line(home: &Home, id: i64, beginning: &str) -> String {
    let mut found = String::new();
    let args = ["explain".to_owned(), id.to_string()];
    wait_until(beginning, LONG, || {
        found = home.retrier(&args).output().ok().text();
        found.starts_with(beginning)
    });
    line(home, id)
}

/// One slot, which a run holds that ends with the home.
fn busy(home: &Home) -> (Daemon, i64) {
    let daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let id = home.run([
        "--max-failures",
        "1",
        "--constant",
        "7m",
        "--jitter",
        "0",
        "--",
        "sleep",
        "600",
    ]);
    wait_until("it runs", LONG, || home.state(id) == "running");
    (daemon, id)
}

/// Without a daemon nobody has seen how it ended: what is stored says that it runs.
#[test]
fn an_attempt_that_nobody_looks_after_is_not_told_to_be_running() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = home.run(["--max-failures", "1", "--", "sleep", "600"]);
    await_line(&home, id, "running: attempt 1 of 2 since");
    daemon.kill9();
    let hint = "; no daemon runs, `retrier daemon --detach` starts one";
    let said = line(&home, id);
    assert!(said.starts_with("running: attempt 1 of 2 since") && said.ends_with(hint));
    home.end_processes();
    let left = "running: nobody looks after attempt 1 of 2 any more, a daemon settles it";
    assert_eq!(line(&home, id), format!("{left}{hint}"));
    let page = home
        .retrier(["status", &id.to_string()])
        .output()
        .ok()
        .text();
    let row = page.lines().find(|row| row.starts_with("  1  "));
    assert!(
        row.is_some_and(|row| row.ends_with("  not settled")),
        "{page}"
    );
    let _daemon = home.daemon();
    await_line(&home, id, "running: attempt 2 of 2 since");
}

#[test]
fn what_waits_without_a_daemon_says_so_and_how_to_start_one() {
    let home = Home::new();
    let due = home.run(["--no-daemon-start", "--", "true"]);
    let hint = "; no daemon runs, `retrier daemon --detach` starts one";
    assert_eq!(line(&home, due), format!("queued: due{hint}"));
    let at = "2999-01-01T12:00:00Z";
    let later = home.run(["--no-daemon-start", "--at", at, "--", "true"]);
    let args = ["explain".to_owned(), later.to_string()];
    let said = home.retrier(&args).env("TZ", "UTC").output().ok().text();
    assert!(
        said.starts_with("waiting: starts at 2999-01-01 12:00:00 in "),
        "{said}"
    );
    assert!(said.ends_with(hint), "{said}");
    line(&home, later);
    let said = json(&home, later);
    assert_eq!(said["state"], "scheduled");
    assert_eq!(said["due_at"], "2999-01-01T12:00:00.000Z");
    assert_eq!(
        (said["attempts"].as_i64(), said["max_attempts"].as_i64()),
        (Some(0), Some(5))
    );
}

#[test]
fn a_run_that_waits_for_its_retry_says_how_the_attempt_ended_and_when_the_next_comes() {
    let home = Home::new();
    let _daemon = home.daemon();
    let long = ["--constant", "3d", "--max-backoff", "3d", "--jitter", "0"];
    let with = |rest: &[&str]| home.run(long.iter().chain(rest));
    let failed = with(&["--shell", "exit 22"]);
    let killed = with(&["--forever", "--shell", "kill -9 $$"]);
    let missing = with(&["--no-check", "--", "/nowhere\u{1b}[2J"]);
    let late = with(&["--timeout", "100ms", "--", "sleep", "600"]);
    let said = await_line(&home, failed, "waiting: attempt 1 of 5 exited 22, next at ");
    assert!(said.contains(" in 2d 23h"), "{said}");
    await_line(
        &home,
        killed,
        "waiting: attempt 1 was ended by SIGKILL, next at ",
    );
    let beginning = "waiting: attempt 1 of 5 could not be executed: /nowhere";
    await_line(&home, missing, beginning);
    await_line(&home, late, "waiting: attempt 1 of 5 timed out, next at ");
    let said = json(&home, failed);
    assert_eq!(
        said["last_outcome"],
        serde_json::json!({"type": "exit", "code": 22})
    );
    assert_eq!(
        (&said["by"], &said["wait_by"]),
        (&"budget".into(), &"backoff".into())
    );
    assert_eq!(said["id"], failed);
    assert_eq!(json(&home, killed)["max_attempts"], serde_json::Value::Null);
}

#[test]
fn a_running_attempt_says_since_when_it_runs_and_what_a_failure_means() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = home.path("gate");
    let shell = format!(
        "test -e '{0}' || {{ : >'{0}'; exit 1; }}; sleep 600",
        gate.display()
    );
    let (d, none) = ("--initial-backoff", "--jitter=0");
    let first = home.run([d, "7m", none, "--", "sleep", "600"]);
    let last = home.run([d, "50ms", none, "--max-failures", "1", "--shell", &shell]);
    let said = await_line(&home, first, "running: attempt 1 of 5 since ");
    assert!(
        said.ends_with("; if it fails, the next comes 7m later"),
        "{said}"
    );
    let said = await_line(&home, last, "running: attempt 2 of 2 since ");
    assert!(said.ends_with("; if it fails, so does the run"), "{said}");
    let said = json(&home, last);
    assert_eq!(said["last_outcome"]["code"], 1, "of the attempt before");
}

#[test]
fn what_is_due_waits_for_a_slot() {
    let home = Home::new();
    let (mut daemon, busy) = busy(&home);
    let queued = home.run(["--", "true"]);
    assert_eq!(
        line(&home, queued),
        "queued: due, the one slot of the daemon is taken"
    );
    daemon.kill9();
    let said = line(&home, busy);
    assert!(
        said.ends_with("; no daemon runs, `retrier daemon --detach` starts one"),
        "{said}"
    );
}

#[test]
fn what_has_ended_says_how() {
    let home = Home::new();
    let _daemon = home.daemon();
    let quick = ["--initial-backoff", "10ms"];
    let with = |rest: &[&str]| home.run(quick.iter().chain(rest));
    let first = with(&["--", "true"]);
    let third = with(&["--shell", "test $RETRIER_ATTEMPT -ge 3"]);
    let exhausted = with(&["--max-failures", "1", "--shell", "exit 7"]);
    let once = with(&["--max-failures", "0", "--shell", "exit 7"]);
    let codes = [first, third, exhausted, once].map(|id| home.wait(id));
    assert_eq!(codes, [0, 0, 7, 7]);
    assert_eq!(line(&home, first), "succeeded: at the first attempt");
    assert_eq!(line(&home, third), "succeeded: after 3 attempts");
    assert_eq!(
        line(&home, exhausted),
        "failed: attempt 2 exited 7, its retries are used up"
    );
    assert_eq!(
        line(&home, once),
        "failed: attempt 1 exited 7, it has no retries"
    );
    let said = json(&home, exhausted);
    assert_eq!(
        (&said["by"], &said["state"]),
        (&"budget".into(), &"failed".into())
    );
}

#[test]
fn a_canceled_run_says_when_in_its_life_that_was() {
    let home = Home::new();
    let _daemon = home.daemon();
    let cancel = |id: i64| home.retrier(["cancel", &id.to_string()]).output().ok();
    let delayed = home.run(["--delay", "1h", "--", "true"]);
    cancel(delayed);
    assert_eq!(line(&home, delayed), "canceled: before its first attempt");
    let backing_off = home.run(["--constant", "1h", "--", "false"]);
    await_line(&home, backing_off, "waiting: attempt 1 of 5 exited 1");
    cancel(backing_off);
    assert_eq!(
        line(&home, backing_off),
        "canceled: while it waited after attempt 1"
    );
    // It ends as if nothing had been.
    let shell = "trap 'exit 0' TERM; sleep 600 & wait";
    let running = home.run(["--on-complete", "true", "--shell", shell]);
    await_line(&home, running, "running: attempt 1 of 5");
    cancel(running);
    await_line(&home, running, "canceled: while attempt 1 ran");
}

#[test]
fn while_a_canceled_attempt_is_ended_the_run_and_its_hook_say_so() {
    let home = Home::new();
    let daemon = home.daemon();
    let running = home.run(["--on-complete", "true", "--", "sleep", "600"]);
    await_line(&home, running, "running: attempt 1 of 5");
    daemon.await_rest();
    daemon.pause();
    home.retrier(["cancel", &running.to_string()]).output().ok();
    assert_eq!(line(&home, running), "canceled: attempt 1 is being ended");
    let hook = home.status(running)["hook_id"].as_i64().expect("a hook");
    let expected = format!("waiting: run {running} has an attempt that is still being ended");
    assert_eq!(line(&home, hook), expected);
    daemon.resume();
    await_line(&home, hook, "succeeded: at the first attempt");
}

#[test]
fn a_planned_stop_is_told_as_what_it_is() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run(["--", "sleep", "600"]);
    await_line(&home, id, "running: attempt 1 of 5");
    home.retrier(["daemon", "stop", "--kill"]).output().ok();
    let interrupted = "attempt 1 was interrupted and is not charged, ";
    let said = line(&home, id);
    assert!(said.contains(interrupted), "{said}");
    await_line(
        &home,
        id,
        &format!("queued: {interrupted}the next is due; no daemon"),
    );
}

/// It was told that it starts next, and did not for as long as nobody looked at the daemon.
#[test]
fn what_waits_for_a_daemon_that_is_stopped_says_so() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let pid = Pid::from_raw(daemon.pid());
    kill(pid, Signal::SIGSTOP).expect("it lives");
    let id = home.run(["--no-daemon-start", "--", "true"]);
    assert_eq!(
        line(&home, id),
        format!("queued: due; daemon {pid} is stopped, `kill -CONT {pid}` lets it go on")
    );
    kill(pid, Signal::SIGCONT).expect("it lives");
    assert_eq!(home.wait(id), 0);
    assert_eq!(daemon.stop(), 0);
}
