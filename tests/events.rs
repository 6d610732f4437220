//! `retrier events`: what happened to a run, when, and who decided it.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::crash::tools::{Gate, LONG, closed, millis, shim, signal, wait_until_state};
use crate::support::{Home, Need, skip, wait_until};

/// The history of a run as JSON.
#[track_caller]
fn events(home: &Home, id: i64) -> Vec<Value> {
    let call = home.retrier(["events", "--json", &id.to_string()]);
    let text = call.output().ok().text();
    let parse = |line| serde_json::from_str(line).expect("one object per line");
    text.lines().map(parse).collect()
}

/// One field of all events, as text.
fn column(events: &[Value], field: &str) -> Vec<String> {
    let text = |event: &Value| match &event[field] {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    events.iter().map(text).collect()
}

/// What a person reads on a terminal, without the times of day at the beginning.
#[track_caller]
fn shown(home: &Home, id: i64) -> Vec<String> {
    let line = "script -qec \"stty cols 200; retrier events $ID\" /dev/null </dev/null";
    let call = home.sh(line);
    let call = call
        .env("ID", id.to_string())
        .env("TZ", "UTC")
        .env("TERM", "dumb");
    let text = call.output().ok().text();
    text.lines()
        .map(|line| line.get(24..).unwrap_or(line).trim().to_owned())
        .collect()
}

#[test]
fn the_life_of_a_run_is_told_in_order_with_milliseconds() {
    let home = Home::new();
    let _daemon = home.daemon();
    let policy = ["--max-failures", "1", "--constant", "50ms", "--jitter", "0"];
    let line = "exit $((RETRIER_ATTEMPT + 2))";
    let id = home.run(
        policy
            .iter()
            .chain(&["--on-complete", "true", "--shell", line]),
    );
    assert_eq!(home.wait(id), 4);
    let hook = home.status(id)["hook_id"].as_i64().expect("a hook");
    let all = events(&home, id);
    let expected = [
        "enqueued",
        "started",
        "attempt_failed",
        "started",
        "failed",
        "hook_enqueued",
    ];
    assert_eq!(column(&all, "kind"), expected);
    assert_eq!(column(&all, "number"), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(column(&all, "attempt"), ["-", "1", "1", "2", "2", "-"]);
    assert_eq!(column(&all, "delay_ms"), ["0", "-", "50", "-", "-", "-"]);
    assert_eq!(column(&all, "by"), ["-", "-", "budget", "-", "budget", "-"]);
    assert_eq!(
        column(&all, "wait_by"),
        ["-", "-", "backoff", "-", "-", "-"]
    );
    assert_eq!(
        all[2]["outcome"],
        serde_json::json!({"type": "exit", "code": 3})
    );
    assert_eq!(
        all[4]["outcome"],
        serde_json::json!({"type": "exit", "code": 4})
    );
    assert_eq!(all[5]["hook_id"], hook);
    let times: Vec<i64> = all.iter().map(|event| millis(&event["at"])).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(millis(&all[2]["due_at"]), times[2] + 50);
    let run = home.status(id);
    assert_eq!(all[0]["at"], run["created_at"]);
    assert_eq!(all[2]["at"], run["attempts"][0]["ended_at"]);
    let fields =
        "version run_id number at kind attempt outcome due_at delay_ms by wait_by detail hook_id";
    for event in &all {
        let object = event.as_object().expect("an object");
        let named: BTreeSet<&str> = object.keys().map(String::as_str).collect();
        assert_eq!(named, fields.split(' ').collect());
        assert_eq!(
            (&event["version"], &event["run_id"]),
            (&1.into(), &id.into())
        );
        let at = event["at"].as_str().expect("a time");
        assert_eq!(at.len(), "2026-01-31T23:59:59.123Z".len(), "{at}");
    }
}

#[test]
fn a_cancel_a_lost_and_an_interrupted_attempt_are_told() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let daemon = home.daemon();
    let options = [
        "--constant",
        "10ms",
        "--grace",
        "1s",
        "--on-complete",
        "true",
    ];
    let id = home.run(options.iter().chain(&["--shell", &gate.line()]));
    let running = |attempt: usize| {
        wait_until("its command runs", LONG, || {
            home.status(id)["attempts"][attempt - 1]["pid"].is_i64()
        });
    };
    running(1);
    signal(shim(&home), Signal::SIGKILL);
    running(2);
    signal(shim(&home), Signal::SIGTERM);
    running(3);
    home.retrier(["cancel", &id.to_string()]).output().ok();
    closed(&home, id);
    let all = events(&home, id);
    let expected = [
        "enqueued",
        "started",
        "lost",
        "started",
        "interrupted",
        "started",
        "canceled",
        "hook_enqueued",
        "attempt_closed",
    ];
    assert_eq!(column(&all, "kind"), expected);
    assert_eq!(all[2]["outcome"]["type"], "lost");
    assert_eq!(all[4]["outcome"]["type"], "interrupted");
    assert_eq!(
        (&all[4]["by"], &all[4]["delay_ms"]),
        (&"interruption".into(), &1000.into())
    );
    assert_eq!(all[8]["outcome"]["type"], "canceled");
    let hook = home.status(id)["hook_id"].as_i64().expect("a hook");
    wait_until_state(&home, hook, "succeeded");
    let told = column(&events(&home, hook), "kind");
    assert_eq!(told, ["enqueued", "released", "started", "succeeded"]);
    drop(daemon);
}

#[test]
fn in_a_pipe_the_fields_are_separated_by_tabs() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run([
        "--max-failures",
        "1",
        "--constant",
        "50ms",
        "--jitter",
        "0",
        "--",
        "false",
    ]);
    assert_eq!(home.wait(id), 1);
    let call = home.retrier(["events", &id.to_string()]);
    let text = String::from_utf8(call.output().ok().stdout).expect("UTF-8");
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let json = events(&home, id);
    assert_eq!(lines.len(), json.len());
    for (line, event) in lines.iter().zip(&json) {
        assert_eq!(line.len(), 10, "{line:?}");
        assert_eq!(line[0], event["at"]);
        assert_eq!(line[1], event["kind"]);
        assert_eq!(line[4], event["due_at"].as_str().unwrap_or_default());
    }
    assert_eq!(lines[2][2..4], ["1", "exit 1"]);
    assert_eq!(lines[2][5..], ["50", "budget", "backoff", "", ""]);
}

/// Adds a line to the history of run 1, of its attempt 1.
#[track_caller]
fn add(home: &Home, (kind, why, wait_by): (&str, &str, &str), detail: &str) {
    let database = rusqlite::Connection::open(home.db()).expect("it is there");
    let null = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let due = (kind == "attempt_failed" || kind == "snoozed").then_some(90_000);
    let added = database.execute(
        "INSERT INTO event (run_id, number, at, kind, attempt, due_at, why, wait_by, detail) \
         SELECT 1, max(number) + 1, 0, ?1, 1, ?2, ?3, ?4, ?5 FROM event WHERE run_id = 1",
        rusqlite::params![kind, due, null(why), null(wait_by), null(detail)],
    );
    assert_eq!(added.expect("it can be added"), 1);
}

/// What is stored of an event: its kind, who decided, who set the wait. And what people read of it, `WAIT` being when the
/// run is due.
const SHOWN: [(&str, &str, &str, &str); 18] = [
    (
        "attempt_failed",
        "budget",
        "backoff",
        "attempt failed  WAIT (backoff)",
    ),
    (
        "attempt_failed",
        "retry-on",
        "retry-after",
        "attempt failed  --retry-on names it; WAIT, as Retry-After said",
    ),
    (
        "attempt_failed",
        "retry-if",
        "backoff",
        "attempt failed  --retry-if found its pattern; WAIT (backoff)",
    ),
    (
        "attempt_failed",
        "decision",
        "decision",
        "attempt failed  the command said to retry; WAIT, as the command decided",
    ),
    (
        "attempt_failed",
        "decide",
        "decide",
        "attempt failed  the program of --decide said to retry; WAIT, as the program of --decide said",
    ),
    (
        "snoozed",
        "decision",
        "",
        "snoozed         it was not ready; WAIT",
    ),
    (
        "snoozed",
        "decide",
        "",
        "snoozed         it was not ready; WAIT",
    ),
    (
        "failed",
        "budget",
        "",
        "failed          its retries are used up",
    ),
    (
        "failed",
        "stop-on",
        "",
        "failed          --stop-on names it",
    ),
    (
        "failed",
        "stop-if",
        "",
        "failed          --stop-if found its pattern",
    ),
    (
        "failed",
        "retry-on",
        "",
        "failed          --retry-on does not name it",
    ),
    (
        "failed",
        "retry-if",
        "",
        "failed          --retry-if found no pattern",
    ),
    (
        "failed",
        "decision",
        "",
        "failed          the command said to stop",
    ),
    (
        "failed",
        "decide",
        "",
        "failed          the program of --decide said to stop",
    ),
    (
        "failed",
        "snoozes",
        "",
        "failed          it was snoozed too often",
    ),
    (
        "failed",
        "deadline",
        "",
        "failed          no time is left before its deadline",
    ),
    ("never_started", "", "", "never started"),
    ("rescheduled", "", "", "clock set back"),
];

#[test]
fn people_are_told_who_decided_and_who_set_the_wait() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    home.run(["--no-daemon-start", "--delay", "90s", "--", "true"]);
    for (kind, why, wait_by, _) in SHOWN {
        add(&home, (kind, why, wait_by), "");
    }
    let shown = shown(&home, 1);
    let first = "enqueued        due in 1m 30s at ";
    assert!(shown[0].starts_with(first), "{shown:?}");
    let wait = "due in 1m 30s at 00:01:30.000";
    let expected = SHOWN.map(|(_, _, _, line)| format!("1  {}", line.replace("WAIT", wait)));
    assert_eq!(shown[1..], expected);
}

/// What was said comes from a command: it must not move the cursor, and stay one line with its fields.
#[test]
fn hostile_text_is_escaped() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let hostile = "a\u{1b}]0;owned\u{7}\u{9b}31m\tb\nc\u{202e}";
    let escaped = "a\\u{1b}]0;owned\\u{7}\\u{9b}31m\\tb\\nc\\u{202e}";
    add(&home, ("decision_ignored", "", ""), hostile);
    add(&home, ("decider_failed", "", ""), hostile);
    let lines = shown(&home, 1);
    assert_eq!(lines[1], format!("1  decision ignored  {escaped}"));
    assert_eq!(lines[2], format!("1  decider failed    {escaped}"));
    let piped = home.retrier(["events", "1"]).output().ok().text();
    let last: Vec<Vec<&str>> = piped
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(last.len(), 3);
    assert_eq!((last[2].len(), last[2][9]), (10, escaped));
    assert_eq!(
        events(&home, 1)[2]["detail"],
        hostile,
        "JSON has its own way"
    );
}

#[test]
fn an_unknown_run_exits_3_and_a_reader_that_leaves_is_no_error() {
    let home = Home::new();
    home.retrier(["events", "1"]).output().exits(3);
    assert!(!home.db().exists(), "a look has made a database");
    let id = home.run(["--no-daemon-start", "--", "true"]);
    home.retrier(["events", "2"]).output().exits(3);
    assert_eq!(column(&events(&home, id), "kind"), ["enqueued"]);
    let output = home.sh("retrier events --json 1 | true").output().ok();
    assert_eq!(output.error_text(), "");
}
