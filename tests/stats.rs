//! `stats`: how many runs wait and run, and what ended lately.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use crate::crash::tools::{LONG, closed, wait_until_state};
use crate::support::{FakeClock, Home, assert_gauges, wait_until};
use retrier::model::Pool;
use retrier::store::{Access, Folder, Store};

mod gauges;
mod log;
mod metrics;
mod pools;

/// What `stats --json` says, with these arguments.
#[track_caller]
fn stats(home: &Home, args: &[&str]) -> Value {
    let call = home.retrier(["stats", "--json"].iter().chain(args));
    call.output().ok().json()
}

/// Stores a run without starting a daemon; gives its id.
#[track_caller]
fn store(home: &Home, args: &[&str]) -> i64 {
    home.run(["--no-daemon-start"].iter().chain(args))
}

/// Makes a pool, or sets it.
fn set_pool(home: &Home, pool: &Pool) {
    let opened = Store::open(&Folder::of(home.db()), Access::Create);
    let mut store = opened.expect("it is ours").expect("it was to be made");
    let pass = store.begin().expect("nobody holds it for long");
    pass.set_pool(pool, "{}").expect("it is stored");
    pass.commit().expect("there is room");
}

#[track_caller]
fn assert_fields(object: &Value, expected: &[(&str, i64)]) {
    for (name, value) in expected {
        assert_eq!(object[name], *value, "{name} in {object}");
    }
}

/// A time in JSON, in milliseconds.
#[track_caller]
fn ms(time: &Value) -> i64 {
    let parsed: Result<jiff::Timestamp, _> = time.as_str().expect("a time").parse();
    parsed.expect("RFC 3339").as_millisecond()
}

/// 6 succeed at once, 2 at the second attempt, 2 fail after 2.
#[test]
fn rates_are_of_attempts_and_of_runs() {
    let home = Home::new();
    for line in ["true", "test $RETRIER_ATTEMPT = 2", "false"] {
        for _ in 0..if line == "true" { 6 } else { 2 } {
            let policy = ["--max-failures", "1", "--constant", "1ms"];
            store(&home, &[&policy[..], &["--shell", line]].concat());
        }
    }
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let found = stats(&home, &[]);
    assert_fields(
        &found,
        &[
            ("version", 1),
            ("window_ms", 300_000),
            ("pending", 0),
            ("oldest_pending_ms", 0),
            ("recent_executions", 14),
            ("recent_finished", 10),
        ],
    );
    assert_eq!(found["recent_error_rate"], 0.4286);
    assert_eq!(found["recent_permanent_failure_rate"], 0.2);
    assert!(found["pool"].is_null() && found.get("state").is_none());
    assert!(found["at"].as_str().expect("a time").ends_with('Z'));
    assert!(found["recent_run_average_ms"].as_i64().expect("whole") > 0);
    assert_gauges(&home);
}

#[test]
fn without_a_database_everything_is_zero() {
    let home = Home::new();
    for args in [&[][..], &["--pool", "default"], &["--pool", "hooks"]] {
        let found = stats(&home, args);
        for (name, value) in found.as_object().expect("an object") {
            match name.as_str() {
                "version" | "window_ms" | "at" => {}
                "pool" => assert_eq!(value.as_str(), args.get(1).copied()),
                "state" => assert_eq!(value, "running"),
                "until" => assert!(value.is_null()),
                _ => assert_eq!(*value, 0, "{name}"),
            }
        }
        assert_eq!(
            found.as_object().expect("an object").len(),
            if args.is_empty() { 18 } else { 20 }
        );
    }
    assert!(!home.db().exists());
    // Of an empty one it is no different.
    store(&home, &["--", "true"]);
    home.retrier(["cancel", "1"]).output().ok();
    home.retrier(["cleanup", "1"]).output().ok();
    let found = stats(&home, &[]);
    assert_fields(&found, &[("pending", 0), ("recent_executions", 0)]);
    assert_fields(
        &found,
        &[("recent_error_rate", 0), ("recent_slot_wait_p95_ms", 0)],
    );
}

#[test]
fn an_unknown_pool_and_an_empty_window_are_wrong_usage() {
    let home = Home::new();
    for there_is_one in [false, true] {
        let output = home.retrier(["stats", "--pool", "mail"]).output().exits(2);
        let said = output.error_text();
        assert!(
            said.contains("there is no pool mail; there is default\n"),
            "{said}"
        );
        assert!(output.stdout.is_empty());
        for wrong in ["--window 0", "--pool a/b", "--json --prometheus"] {
            let args = ["stats"].into_iter().chain(wrong.split(' '));
            home.retrier(args).output().exits(2);
        }
        if !there_is_one {
            store(&home, &["--", "true"]);
        }
    }
}

#[test]
fn what_ended_before_the_window_is_left_out() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let _daemon = home.daemon();
    let failed = home.run(["--max-failures", "0", "--", "false"]);
    assert_eq!(home.wait(failed), 1);
    clock.advance(Duration::from_secs(600));
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    let recent = stats(&home, &[]);
    assert_fields(&recent, &[("recent_executions", 1), ("recent_finished", 1)]);
    assert_fields(&recent, &[("recent_error_rate", 0)]);
    let longer = stats(&home, &["--window", "11m"]);
    assert_fields(&longer, &[("recent_executions", 2), ("recent_finished", 2)]);
    assert_eq!(longer["recent_error_rate"], 0.5);
    assert_eq!(longer["window_ms"], 660_000);
    // What a wrong clock has put into the future is not recent.
    clock.set_back(Duration::from_secs(300));
    assert_fields(&stats(&home, &[]), &[("recent_executions", 0)]);
}

#[test]
fn what_was_cut_short_or_not_ready_is_no_error() {
    let home = Home::new();
    let mark = home.path("mark");
    let mut daemon = home.daemon();
    let canceled = home.run(["--", "sleep", "600"]);
    wait_until_state(&home, canceled, "running");
    home.retrier(["cancel", &canceled.to_string()])
        .output()
        .ok();
    closed(&home, canceled);
    let snooze = r#"test $RETRIER_ATTEMPT = 2 || echo '{"snooze":"10ms"}' >"$RETRIER_DECISION""#;
    assert_eq!(home.wait(home.run(["--shell", snooze])), 0);
    let line = format!(
        "test -e '{0}' || {{ : >'{0}'; exec sleep 600; }}",
        mark.display()
    );
    let interrupted = home.run(["--shell", &line]);
    wait_until("its command runs", LONG, || mark.exists());
    home.retrier(["daemon", "stop", "--kill"]).output().ok();
    assert_eq!(daemon.wait(LONG), 0);
    let _daemon = home.daemon();
    assert_eq!(home.wait(interrupted), 0);
    let found = stats(&home, &[]);
    assert_fields(&found, &[("recent_executions", 5), ("recent_finished", 3)]);
    assert_fields(
        &found,
        &[
            ("recent_error_rate", 0),
            ("recent_permanent_failure_rate", 0),
        ],
    );
    assert_gauges(&home);
}

#[test]
fn what_is_due_is_queued_though_nobody_has_seen_it_and_the_oldest_tells_its_age() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let on_complete = ["--on-complete", "true", "--delay", "1h", "--", "true"];
    store(&home, &on_complete);
    clock.advance(Duration::from_secs(60));
    store(&home, &["--", "true"]);
    store(&home, &["--delay", "1m", "--", "true"]);
    clock.advance(Duration::from_secs(30));
    let age = |args: &[&str]| {
        stats(&home, args)["oldest_pending_ms"]
            .as_i64()
            .expect("ms")
    };
    assert_fields(
        &stats(&home, &[]),
        &[("pending", 3), ("queued", 1), ("scheduled", 2)],
    );
    assert!((90_000..120_000).contains(&age(&[])), "{}", age(&[]));
    // Its hook is stored now, and due; no daemon is started for it.
    let cancel = home.retrier(["cancel", "1"]);
    cancel.crash("cancel_committed:1:kill").output().exits(137);
    assert!((30_000..60_000).contains(&age(&[])), "{}", age(&[]));
    let hooks = ["--pool", "hooks"];
    assert_fields(&stats(&home, &hooks), &[("pending", 1), ("queued", 1)]);
    assert!(age(&hooks) < 30_000, "{}", age(&hooks));
    clock.advance(Duration::from_secs(60));
    assert_fields(
        &stats(&home, &[]),
        &[("pending", 2), ("queued", 2), ("scheduled", 0)],
    );
    // A clock that was set back makes nothing younger than new.
    clock.set_back(Duration::from_secs(3600));
    assert_eq!(age(&[]), 0);
    // The oldest of all is no hook, however old those are.
    home.retrier(["cancel", "2"]).output().ok();
    home.retrier(["cancel", "3"]).output().ok();
    assert_fields(
        &stats(&home, &[]),
        &[("pending", 0), ("oldest_pending_ms", 0)],
    );
}

/// Three runs of 300 ms in one slot wait for 0, 300 and 600 ms.
#[test]
fn percentiles_are_of_waits_for_a_slot_and_of_attempts() {
    let home = Home::new();
    let mut narrow = Pool::new("narrow", 1);
    narrow.parallel = 1;
    set_pool(&home, &narrow);
    for _ in 0..3 {
        store(&home, &["--pool", "narrow", "--", "sleep", "0.3"]);
    }
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let found = stats(&home, &["--pool", "narrow"]);
    let runs: Vec<Value> = (1..=3).map(|id| home.status(id)).collect();
    let between = |from: fn(&Value) -> &Value, to: fn(&Value) -> &Value| {
        let mut all: Vec<i64> = runs.iter().map(|run| ms(to(run)) - ms(from(run))).collect();
        all.sort_unstable();
        all
    };
    let stored: fn(&Value) -> &Value = |run| &run["created_at"];
    let started: fn(&Value) -> &Value = |run| &run["attempts"][0]["started_at"];
    let ended: fn(&Value) -> &Value = |run| &run["attempts"][0]["ended_at"];
    let waited = between(stored, started);
    let took = between(started, ended);
    let sum: i64 = between(stored, |run| &run["finished_at"]).iter().sum();
    assert!(waited[1] >= 300 && waited[2] >= 600 && took[0] >= 300);
    assert_fields(
        &found,
        &[
            ("recent_slot_wait_p50_ms", waited[1]),
            ("recent_slot_wait_p95_ms", waited[2]),
            ("recent_attempt_p50_ms", took[1]),
            ("recent_attempt_p95_ms", took[2]),
            ("recent_run_average_ms", (sum + 1) / 3),
        ],
    );
}

#[test]
fn in_a_pipe_each_field_is_a_line() {
    let home = Home::new();
    store(&home, &["--", "true"]);
    let lines = home.retrier(["stats"]).output().ok().text();
    let object = stats(&home, &[]);
    let mut named: Vec<&str> = Vec::new();
    for line in lines.lines() {
        let (name, value) = line.split_once('\t').expect("a tab");
        named.push(name);
        match &object[name] {
            Value::Null => assert_eq!(value, ""),
            Value::String(_) => assert!(value.ends_with('Z'), "{line}"),
            _ if name == "oldest_pending_ms" => {}
            other => assert_eq!(value, other.to_string(), "{line}"),
        }
    }
    named.sort_unstable();
    let fields = object.as_object().expect("an object").keys();
    assert!(fields.map(String::as_str).eq(named), "{lines}");
}

/// Whoever is told of an ending can rely on it.
#[test]
fn what_is_told_is_synced_first() {
    let home = Home::new();
    store(&home, &["--", "true"]);
    for args in [&["stats"][..], &["stats", "--pool", "default"]] {
        let output = home.retrier(args).crash("store_sync:1:kill").output();
        assert_eq!((output.code, output.text()), (137, String::new()));
    }
}

/// Runs of a database that was made before runs had pools are counted too.
#[test]
fn attempts_of_which_nobody_knows_when_they_were_due_waited_for_nothing() {
    let home = Home::new();
    store(&home, &["--", "true"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let database = Connection::open(home.db()).expect("it is there");
    let changed = database.execute("UPDATE attempt SET was_due_at = NULL", []);
    assert_eq!(changed.expect("it can be written"), 1);
    drop(database);
    let found = stats(&home, &[]);
    assert_fields(
        &found,
        &[("recent_executions", 1), ("recent_slot_wait_p95_ms", 0)],
    );
    assert!(found["recent_attempt_p95_ms"].as_i64() > Some(0), "{found}");
}
