//! `retrier retry`: a failed or canceled run begins anew, one that waits is due now, and all others are refused.
//! Here: what becomes of one run.

mod closing;
mod failed;
mod kills;
mod refused;

use std::fs;

use serde_json::Value;

use crate::crash::tools::{Gate, LONG, millis, numbers, outcomes, wait_until_state};
use crate::support::{Home, wait_until, wall_ns};

const HOUR_MS: i64 = 3_600_000;

/// Retries a run, which must work.
#[track_caller]
fn retry(home: &Home, id: i64) {
    let output = home.retrier(["retry", &id.to_string()]).output().ok();
    assert_eq!((output.text(), output.error_text()), Default::default());
}

/// A run that has failed at its only attempt.
#[track_caller]
fn failed(home: &Home, rest: &[&str]) -> i64 {
    let options = ["--no-daemon-start", "--max-failures", "0"];
    let id = home.run(options.iter().chain(rest));
    wait_until_state(home, id, "failed");
    id
}

/// The history of a run.
#[track_caller]
fn events(home: &Home, id: i64) -> Vec<Value> {
    let call = home.retrier(["events", "--json", &id.to_string()]);
    let text = call.output().ok().text();
    let parse = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(parse).collect()
}

/// The kinds of its events, in order.
#[track_caller]
fn kinds(home: &Home, id: i64) -> Vec<String> {
    let events = events(home, id).into_iter();
    let kind = |event: Value| event["kind"].as_str().expect("a kind").to_owned();
    events.map(kind).collect()
}

/// Now, in milliseconds since 1970.
fn now_ms() -> i64 {
    wall_ns() / 1_000_000
}

#[test]
fn a_failed_run_has_its_whole_budget_again_and_its_command_knows() {
    let home = Home::new();
    let _daemon = home.daemon();
    let file = home.path("seen");
    let line = format!(
        "echo \"$RETRIER_ATTEMPT|$RETRIER_MAX_ATTEMPTS|$RETRIER_LAST_ATTEMPT|$RETRIER_PREVIOUS_OUTCOME|\
         $RETRIER_IDEMPOTENCY_KEY\" >>'{}'; exit 3",
        file.display()
    );
    let policy = ["--max-failures", "1", "--constant", "10ms", "--jitter", "0"];
    let id = home.run(policy.iter().chain(&["--shell", &line]));
    assert_eq!(home.wait(id), 3);
    retry(&home, id);
    assert_eq!(home.wait(id), 3);
    retry(&home, id);
    assert_eq!(home.wait(id), 3);
    let seen = fs::read_to_string(&file).expect("it was written");
    let key = seen
        .lines()
        .next()
        .and_then(|line| line.split('|').next_back());
    let key = key.expect("a key");
    assert!(!key.is_empty());
    let expected = [
        "1|2|0|",
        "2|2|1|exit 3",
        "3|4|0|exit 3",
        "4|4|1|exit 3",
        "5|6|0|exit 3",
        "6|6|1|exit 3",
    ]
    .map(|start| format!("{start}|{key}"));
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    let run = home.status(id);
    assert_eq!(numbers(&run), [1, 2, 3, 4, 5, 6], "the history is kept");
    assert_eq!(run["failures"], 2);
}

/// The daemon stands still, so that the moment after the retry can be looked at.
#[test]
fn a_retried_run_is_unfinished_again() {
    let home = Home::new();
    let daemon = home.daemon();
    let id = failed(&home, &["--on-complete", "true", "--", "false"]);
    let ended = home.status(id);
    wait_until_state(
        &home,
        ended["hook_id"].as_i64().expect("a hook"),
        "succeeded",
    );
    daemon.await_rest();
    daemon.pause();
    retry(&home, id);
    let run = home.status(id);
    assert_eq!(run["state"], "queued");
    assert_eq!(run["failures"], 0);
    for field in ["result", "finished_at"] {
        assert!(run[field].is_null(), "{field} in {run}");
    }
    for field in ["attempts", "hook_id", "created_at", "policy"] {
        assert_eq!(run[field], ended[field], "{field}");
    }
    let id_text = id.to_string();
    home.retrier(["wait", "--timeout", "100ms", &id_text])
        .output()
        .exits(124);
    home.retrier(["cleanup", &id_text]).output().exits(4);
    home.retrier(["cleanup", "--older-than", "0"]).output().ok();
    assert_eq!(home.state(id), "queued", "a sweep forgets what has ended");
    daemon.resume();
    assert_eq!(home.wait(id), 1);
    assert_eq!(numbers(&home.status(id)), [1, 2]);
}

#[test]
fn each_ending_of_a_retried_run_enqueues_the_hook_once() {
    let home = Home::new();
    let _daemon = home.daemon();
    let file = home.path("told");
    let hook = format!(
        "echo $RETRIER_PARENT_ID $RETRIER_RESULT >>'{}'",
        file.display()
    );
    let line = "[ $RETRIER_ATTEMPT = 3 ]";
    let id = failed(&home, &["--on-complete", &hook, "--shell", line]);
    let mut hooks = Vec::new();
    for result in ["failed", "failed", "success"] {
        wait_until("it has ended once more", LONG, || {
            home.status(id)["result"]["type"] == result
                && !hooks.contains(&home.status(id)["hook_id"])
        });
        let hook = home.status(id)["hook_id"].clone();
        wait_until_state(&home, hook.as_i64().expect("a hook"), "succeeded");
        hooks.push(hook);
        if result == "failed" {
            retry(&home, id);
        }
    }
    let told = fs::read_to_string(file).expect("the hooks have written");
    let expected = ["failed", "failed", "success"].map(|word| format!("{id} {word}"));
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let runs = home.retrier(["list", "--json"]).output().ok().text();
    assert_eq!(runs.lines().count(), 4, "one run, three hooks");
}

/// A hook of an earlier ending may ask about its parent, too.
#[test]
fn a_run_is_not_forgotten_while_the_hook_of_an_earlier_ending_has_not_ended() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let hook = format!("[ $RETRIER_RESULT = success ] || {{ {}; }}", gate.line());
    let line = "[ $RETRIER_ATTEMPT = 2 ]";
    let id = failed(&home, &["--on-complete", &hook, "--shell", line]);
    let first = home.status(id)["hook_id"].as_i64().expect("a hook");
    retry(&home, id);
    assert_eq!(home.wait(id), 0);
    let second = home.status(id)["hook_id"].as_i64().expect("a hook");
    wait_until_state(&home, second, "succeeded");
    let cleanup = || home.retrier(["cleanup", &id.to_string()]).output();
    let said = cleanup().exits(4).error_text();
    assert!(said.contains(&format!("run {first}")), "{said}");
    home.retrier(["cleanup", "--older-than", "0"]).output().ok();
    assert_eq!(home.state(id), "succeeded", "a sweep leaves it too");
    gate.open();
    assert_eq!(home.wait(first), 0);
    cleanup().ok();
}

#[test]
fn a_canceled_run_runs_after_all() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run(["--delay", "1h", "--", "echo", "late"]);
    home.retrier(["cancel", &id.to_string()]).output().ok();
    retry(&home, id);
    let said = home.retrier(["wait", &id.to_string()]).output().ok();
    assert_eq!(said.text(), "late");
    let expected = ["enqueued", "canceled", "retried", "started", "succeeded"];
    assert_eq!(kinds(&home, id), expected);
}

#[test]
fn a_scheduled_run_is_due_now_and_keeps_its_failures() {
    let home = Home::new();
    let _daemon = home.daemon();
    let policy = ["--max-failures", "2", "--constant", "1h", "--jitter", "0"];
    let id = home.run(policy.iter().chain(&["--", "false"]));
    for failures in [1, 2] {
        wait_until("it waits for its next attempt", LONG, || {
            let run = home.status(id);
            run["state"] == "scheduled" && run["failures"] == failures
        });
        retry(&home, id);
    }
    assert_eq!(home.wait(id), 1);
    let run = home.status(id);
    assert_eq!(
        (run["failures"].clone(), numbers(&run).len()),
        (3.into(), 3)
    );
}

#[test]
fn with_a_delay_the_run_is_due_after_it() {
    let home = Home::new();
    let _daemon = home.daemon();
    let bad = failed(&home, &["--", "false"]);
    let waiting = home.run(["--delay", "5h", "--", "true"]);
    for id in [bad, waiting] {
        let before = now_ms();
        let call = home.retrier(["retry", "--delay", "1h", &id.to_string()]);
        call.output().ok();
        let after = now_ms();
        assert_eq!(home.state(id), "scheduled");
        let due = millis(&home.status(id)["due_at"]);
        let bounds = before + HOUR_MS..=after + HOUR_MS;
        assert!(bounds.contains(&due), "{due} not in {bounds:?}");
        let last = events(&home, id).pop().expect("it has a history");
        assert_eq!(
            (&last["kind"], &last["delay_ms"]),
            (&"retried".into(), &HOUR_MS.into())
        );
        assert_eq!(millis(&last["at"]) + HOUR_MS, due);
    }
    assert_eq!(outcomes(&home.status(bad)), ["exit 1"]);
}

#[test]
fn a_retry_without_a_daemon_starts_one() {
    let home = Home::new();
    let line = "[ $RETRIER_ATTEMPT = 2 ]";
    let id = home.run(["--no-daemon-start", "--max-failures", "0", "--shell", line]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    home.assert_no_process_left();
    retry(&home, id);
    wait_until_state(&home, id, "succeeded");
}

/// A run's deadline, set beside the command line: one that ended with it has its whole time again.
#[test]
fn the_deadline_begins_anew() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "never");
    let line = format!("[ $RETRIER_ATTEMPT = 1 ] && exit 1; {}", gate.line());
    let id = failed(&home, &["--shell", &line]);
    let database = rusqlite::Connection::open(home.db()).expect("it is there");
    let changed = database.execute(
        "UPDATE run SET policy = json_set(policy, '$.deadline_ms', 3600000), deadline_at = 1000, \
         reason = 'deadline' WHERE id = ?1",
        [id],
    );
    assert_eq!(changed.expect("it can be changed"), 1);
    let late = home.retrier(["retry", "--delay", "1h", &id.to_string()]);
    let said = late.output().exits(4).error_text();
    assert!(said.contains("after its deadline"), "{said}");
    assert_eq!(home.state(id), "failed");
    let before = now_ms();
    retry(&home, id);
    wait_until_state(&home, id, "running");
    let deadline = millis(&home.status(id)["deadline_at"]);
    let bounds = before + HOUR_MS..=now_ms() + HOUR_MS;
    assert!(bounds.contains(&deadline), "{deadline} not in {bounds:?}");
}
