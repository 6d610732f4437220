//! `--deadline`: no attempt starts after it, a running one is ended, and whoever waits is told.

use std::fs;
use std::time::Duration;

use retrier::model::Timestamp;
use serde_json::{Value, json};

use crate::crash::tools::{
    Gate, LONG, closed, commands, is_stopped, millis, numbers, outcomes, stubborn,
    wait_until_no_command, wait_until_state,
};
use crate::support::{FakeClock, Home, Journal, Need, skip, store_many, wait_until, wall_ns};

const HOUR: Duration = Duration::from_secs(60 * 60);
const HOUR_MS: i64 = 3_600_000;

/// Asserts that the run has failed by its deadline, not before it, and enqueued its hook once. Gives it.
#[track_caller]
fn assert_failed_by_deadline(home: &Home, id: i64) -> Value {
    let document = home.status(id);
    assert_eq!(document["state"], "failed", "{document}");
    assert_eq!(document["result"]["reason"], "deadline", "{document}");
    let hooks = home.retrier(["list", "--json", "-n", "0"]).output().ok();
    let of_it = |run: &Value| run["parent_id"] == id;
    let hooks = hooks.text();
    let hooks = hooks
        .lines()
        .map(|run| serde_json::from_str(run).expect("JSON"));
    let expected = usize::from(!document["hook_id"].is_null());
    assert_eq!(hooks.filter(of_it).count(), expected);
    document
}

/// By how many milliseconds the run has ended after its deadline.
fn late(document: &Value) -> i64 {
    millis(&document["finished_at"]) - millis(&document["deadline_at"])
}

#[test]
fn a_running_attempt_is_ended_with_its_tree_and_the_waiter_gets_124() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let _daemon = home.daemon();
    let line = stubborn(&journal, &grown);
    let options = [
        "--grace",
        "300ms",
        "--deadline",
        "1h",
        "--on-complete",
        "true",
    ];
    let call = home.retrier(["run", "--wait"].iter().chain(&options));
    let waits = call.arg("--shell").arg(&line).spawn();
    wait_until("it has grown", LONG, || grown.is_open());
    let passed = wall_ns() / 1_000_000 + HOUR_MS;
    clock.advance(HOUR);
    let told = waits.wait().exits(124);
    let words = "run 1 failed after 1 attempt: deadline";
    assert!(told.error_text().contains(words), "{}", told.error_text());
    assert_eq!(commands(&home), []);
    let document = assert_failed_by_deadline(&home, 1);
    assert!(document["hook_id"].is_i64());
    assert_eq!(outcomes(&document), ["deadline"]);
    let limit = millis(&document["deadline_at"]) - millis(&document["created_at"]);
    assert_eq!(limit, HOUR_MS);
    let ended = millis(&document["attempts"][0]["ended_at"]);
    assert!(ended - passed >= 300, "the grace was kept: {document}");
    assert!(journal.ends(1).is_empty());
}

#[test]
fn an_attempt_that_ends_in_time_is_none_of_its_business() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run([
        "--deadline",
        "1h",
        "--timeout",
        "100ms",
        "--max-failures",
        "0",
        "--",
        "sleep",
        "600",
    ]);
    assert_eq!(home.wait(id), 124);
    let document = home.status(id);
    assert_eq!(outcomes(&document), ["timeout"]);
    assert_eq!(document["result"]["reason"], "exhausted");
    let id = home.run(["--deadline", "1h", "--", "true"]);
    assert_eq!(home.wait(id), 0);
}

/// Who has no slot has no attempt, and needs none to fail.
#[test]
fn a_run_that_is_queued_fails_without_an_attempt() {
    let home = Home::new();
    let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let gate = Gate::new(&home, "gate");
    let first = home.run(["--shell", &gate.line()]);
    wait_until_state(&home, first, "running");
    let hook = ["--on-complete", "true"];
    let second = home.run(hook.iter().chain(&["--deadline", "300ms", "--", "true"]));
    let waited = home.retrier(["wait", &second.to_string()]).output();
    let words = format!("run {second} failed at its deadline before its first attempt");
    let told = waited.exits(124).error_text();
    assert!(told.contains(&words), "{told}");
    let document = assert_failed_by_deadline(&home, second);
    assert!(numbers(&document).is_empty());
    assert!(late(&document) >= 0, "{document}");
    assert_eq!(home.state(first), "running");
    gate.open();
    let hook = document["hook_id"].as_i64().expect("it has a hook");
    assert_eq!(home.wait(hook), 0);
}

#[test]
fn a_run_that_would_be_due_after_it_fails_at_once() {
    let home = Home::new();
    let _daemon = home.daemon();
    let wait = [
        "--constant",
        "2h",
        "--deadline",
        "1h",
        "--on-complete",
        "true",
    ];
    let id = home.run(wait.iter().chain(&["--shell", "exit 7"]));
    let waited = home.retrier(["wait", &id.to_string()]).output();
    let words = format!("run {id} failed at its deadline after 1 attempt: exit 7");
    let told = waited.exits(124).error_text();
    assert!(told.contains(&words), "{told}");
    let document = assert_failed_by_deadline(&home, id);
    assert_eq!(outcomes(&document), ["exit 7"]);
    assert!(late(&document) < -3_000_000, "{document}");
}

#[test]
fn it_passes_without_a_daemon_too() {
    let home = Home::new();
    let id = home.run([
        "--no-daemon-start",
        "--deadline",
        "1ms",
        "--on-complete",
        "true",
        "--",
        "true",
    ]);
    let deadline = millis(&home.status(id)["deadline_at"]);
    wait_until("it has passed", LONG, || wall_ns() / 1_000_000 > deadline);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let document = assert_failed_by_deadline(&home, id);
    assert!(numbers(&document).is_empty());
    assert_eq!(home.wait(id), 124);
}

/// Its shim keeps it, as it keeps the timeout.
#[test]
fn a_running_attempt_is_ended_by_it_without_a_daemon() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let mut daemon = home.daemon();
    let id = home.run(["--deadline", "1h", "--", "sleep", "600"]);
    wait_until("its pid is stored", LONG, || {
        home.status(id)["attempts"][0]["pid"].is_i64()
    });
    daemon.kill9();
    clock.advance(2 * HOUR);
    home.assert_no_process_left();
    let _second = home.daemon();
    assert_eq!(home.wait(id), 124);
    let document = assert_failed_by_deadline(&home, id);
    assert_eq!(outcomes(&document), ["deadline"]);
    assert!(late(&document) >= 0, "{document}");
}

#[test]
fn a_clock_that_is_set_beyond_it_ends_what_waits_and_what_runs() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let _daemon = home.daemon();
    let scheduled = home.run(["--delay", "1h", "--deadline", "2h", "--", "true"]);
    let backing_off = home.run(["--constant", "1h", "--deadline", "2h", "--", "false"]);
    let running = home.run(["--deadline", "2h", "--", "sleep", "600"]);
    let endless = home.run(["--", "sleep", "600"]);
    wait_until_state(&home, backing_off, "scheduled");
    wait_until_state(&home, running, "running");
    wait_until_state(&home, endless, "running");
    clock.advance(HOUR + HOUR / 2);
    // What is due by now is started, and what would be due too late fails; what runs goes on.
    wait_until_state(&home, scheduled, "succeeded");
    wait_until_state(&home, backing_off, "failed");
    assert_eq!(outcomes(&home.status(backing_off)), ["exit 1", "exit 1"]);
    assert_eq!(home.state(running), "running");
    clock.advance(HOUR);
    assert_eq!(home.wait(running), 124);
    for id in [running, backing_off] {
        assert_failed_by_deadline(&home, id);
    }
    assert_eq!(outcomes(&home.status(running)), ["deadline"]);
    assert_eq!(home.state(endless), "running");
    home.retrier(["cancel", &endless.to_string()]).output().ok();
    closed(&home, endless);
}

#[test]
fn a_jump_over_due_time_and_deadline_starts_nothing() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let _daemon = home.daemon();
    let ran = home.path("ran").display().to_string();
    let rest = [
        "--deadline",
        "2h",
        "--on-complete",
        "true",
        "--",
        "touch",
        &ran,
    ];
    let id = home.run(["--delay", "1h"].iter().chain(&rest));
    clock.advance(3 * HOUR);
    assert_eq!(home.wait(id), 124);
    let document = assert_failed_by_deadline(&home, id);
    assert!(numbers(&document).is_empty());
    assert!(!home.path("ran").exists());
}

/// As many at once as after a night in which the machine was off; a daemon that dies in the middle of them loses none.
#[test]
fn thousands_whose_deadline_has_passed_fail_in_several_passes() {
    let home = Home::new();
    let now = Timestamp::from_millis(wall_ns() / 1_000_000);
    store_many(&home, 2500, HOUR, now);
    let database = rusqlite::Connection::open(home.db()).expect("it is there");
    let sql = "UPDATE run SET deadline_at = ?1 + id, on_complete = NULL";
    database
        .execute(sql, [now.millis() - 10_000])
        .expect("they can be changed");
    let failed = || -> i64 {
        let sql = "SELECT count(*) FROM run WHERE state = 'failed' AND reason = 'deadline'";
        let count = database.query_row(sql, [], |row| row.get(0));
        count.expect("they can be counted")
    };
    let daemon = || home.retrier(["daemon", "--until-idle"]);
    daemon().crash("pass_committed:1:kill").output().exits(137);
    assert_eq!(failed(), 1000);
    daemon().output().ok();
    assert_eq!(failed(), 2500);
    assert_eq!(home.wait(2500), 124);
    assert_failed_by_deadline(&home, 2500);
}

/// The attempt is claimed before it, and its order arrives after it.
#[test]
fn an_order_that_comes_too_late_is_not_carried_out() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let ran = home.path("ran").display().to_string();
    let rest = ["--deadline", "1h", "--", "touch", &ran];
    let id = home.run(["--no-daemon-start"].iter().chain(&rest));
    let crash = ("RETRIER_CRASH", "pass_committed:1:stop");
    let daemon = home.daemon_with(&[], &[crash]);
    wait_until("the run is claimed", LONG, || is_stopped(daemon.pid()));
    assert_eq!(home.state(id), "running");
    clock.advance(2 * HOUR);
    daemon.resume();
    assert_eq!(home.wait(id), 124);
    let document = assert_failed_by_deadline(&home, id);
    assert_eq!(
        document["attempts"][0]["outcome"],
        json!({"type": "deadline"})
    );
    assert!(!home.path("ran").exists());
    wait_until_no_command(&home);
}

/// How often the process has given up its processor to wait for something.
fn waits(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

/// Whether nobody is seen to wake up before a deadline of so many seconds, and one of a second more.
fn all_sleep_until_it_passes(seconds: u32) -> bool {
    let home = Home::new();
    let daemon = home.daemon_with(&["--parallel=1"], &[]);
    let store = |seconds: u32, rest: &[&str]| {
        let seconds = seconds.to_string();
        let options = ["--grace", "0", "--deadline", &seconds, "--"];
        home.run(options.iter().chain(rest))
    };
    let running = store(seconds + 1, &["sleep", "600"]);
    wait_until("it has started, or never will", LONG, || {
        let document = home.status(running);
        document["attempts"][0]["pid"].is_i64() || document["state"] == "failed"
    });
    let waiting = store(seconds, &["true"]);
    let shims = home.processes().into_iter().filter(|one| one.is_shim());
    let pids: Vec<i32> = shims.map(|one| one.pid).chain([daemon.pid()]).collect();
    let count = || pids.iter().map(|pid| waits(*pid)).collect::<Option<_>>();
    let passes_at = millis(&home.status(waiting)["deadline_at"]);
    let is_at = |at: i64| wait_until("that time has come", LONG, || wall_ns() / 1_000_000 >= at);
    is_at(passes_at - 2_500);
    let before: Option<Vec<u64>> = count();
    is_at(passes_at - 800);
    let after = count();
    let is_in_time = wall_ns() / 1_000_000 < passes_at && pids.len() == 2;
    for id in [waiting, running] {
        assert_eq!(home.wait(id), 124);
        let document = assert_failed_by_deadline(&home, id);
        assert!((0..30_000).contains(&late(&document)), "{document}");
    }
    is_in_time && before.is_some() && before == after
}

#[test]
fn nobody_looks_at_the_clock_until_it_passes() {
    // The slower the machine, the longer it takes until all that had to be done is done.
    let sleeps = [4, 8, 16].into_iter().any(all_sleep_until_it_passes);
    assert!(sleeps, "somebody woke up each time");
}
