//! When a run starts, what it is called, and which calls are refused.

use std::fs;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{assert_nothing_stored, submit};
use crate::support::{FakeClock, Home};

/// When the command of this run wrote down that it ran.
fn ran_at(home: &Home, id: i64) -> Timestamp {
    assert_eq!(home.wait(id), 0);
    let logs = home.retrier(["logs", &id.to_string()]).output().ok();
    let nanoseconds: i128 = logs.text().parse().expect("`date` prints a number");
    Timestamp::from_nanosecond(nanoseconds).expect("it is this century")
}

fn time(status: &serde_json::Value, field: &str) -> Timestamp {
    let text = status[field].as_str().unwrap_or_default();
    assert!(text.len() == 24 && text.ends_with('Z'), "{field}: {text}");
    text.parse().expect("it is RFC 3339")
}

#[test]
fn a_delay_counts_from_the_submit_and_is_never_short() {
    let home = Home::new();
    let _daemon = home.daemon();
    let before = Timestamp::now();
    let id = home.run(["--delay", "700ms", "--", "date", "+%s%N"]);
    let status = home.status(id);
    assert_eq!(status["state"], "scheduled");
    let (created, due) = (time(&status, "created_at"), time(&status, "due_at"));
    assert_eq!(
        due.duration_since(created),
        SignedDuration::from_millis(700)
    );
    assert!(
        created >= before - Duration::from_millis(1),
        "{created} {before}"
    );
    let ran = ran_at(&home, id);
    assert!(ran >= due, "ran at {ran}, due at {due}");
    let at_once = home.run(["--delay", "0", "--", "date", "+%s%N"]);
    assert!(ran_at(&home, at_once).duration_since(ran).as_secs() < 20);
}

#[test]
fn a_time_with_any_offset_is_kept_and_a_past_one_is_due_at_once() {
    let home = Home::new();
    let at = Timestamp::now() + Duration::from_millis(900);
    let text = home
        .sh("TZ=UTC-9 date -d \"$AT\" +%Y-%m-%dT%H:%M:%S.%3N+09:00")
        .env("AT", format!("{at:.3}"))
        .output()
        .ok()
        .text();
    let id = home.run(["--no-daemon-start", "--at", &text, "--", "date", "+%s%N"]);
    let due = time(&home.status(id), "due_at");
    assert_eq!(due.as_millisecond(), at.as_millisecond());
    let past = "1999-12-31T23:59:59Z";
    let past = home.run(["--no-daemon-start", "--at", past, "--", "date", "+%s%N"]);
    let _daemon = home.daemon();
    assert!(ran_at(&home, past) < ran_at(&home, id));
    let ran = ran_at(&home, id);
    assert!(ran >= due, "ran at {ran}, due at {due}");
}

#[test]
fn a_time_without_an_offset_is_one_on_the_local_clock() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let due_at = |zone: &str, at: &str| {
        let run = home.retrier(["run", "--no-daemon-start", "--at", at, "--", "true"]);
        let stored = run.env("TZ", zone).output().ok();
        let id = stored.text().trim().parse().expect("an id");
        time(&home.status(id), "due_at")
    };
    let shown = |zone: &str, form: &str| {
        let date = home
            .sh("date -d @$AT +\"$FORM\"")
            .env("TZ", zone)
            .env("FORM", form);
        move |at: Timestamp| {
            let at = at.as_second().to_string();
            date.env("AT", at)
                .output()
                .ok()
                .text()
                .trim_end()
                .to_owned()
        }
    };
    for zone in ["UTC-9", "UTC+3:30"] {
        let exact = due_at(zone, "2999-01-31 08:05");
        assert_eq!(
            shown(zone, "%Y-%m-%d %H:%M:%S")(exact),
            "2999-01-31 08:05:00"
        );
        let begin = due_at(zone, "2999-01-31");
        assert_eq!(exact.duration_since(begin).as_mins(), 8 * 60 + 5);
        // The next such time, which is today or tomorrow.
        for text in ["08:05", "23:59:30", "00:00"] {
            let before = Timestamp::now();
            let due = due_at(zone, text);
            assert!(
                due > before && due.duration_since(before).as_hours() < 24,
                "{text}"
            );
            assert!(shown(zone, "%H:%M:%S")(due).starts_with(text), "{text}");
        }
    }
    clock.advance(Duration::from_secs(24 * 3600));
    let due = due_at("UTC", "08:05");
    assert!(due.duration_since(Timestamp::now()).as_hours() >= 24 - 1);
    let listed = home
        .retrier(["list", "--since", "2999-01-01"])
        .output()
        .ok();
    assert_eq!(listed.text(), "");
}

#[test]
fn a_name_is_shown_and_need_not_be_unique() {
    let home = Home::new();
    for name in ["nightly dump", "nightly dump", "-", "ü"] {
        submit(&home, &[&format!("--name={name}"), "--", "true"]).ok();
    }
    submit(&home, &["--", "true"]).ok();
    let names = [1, 2, 3, 4, 5].map(|id| home.status(id)["name"].clone());
    let expected = ["nightly dump", "nightly dump", "-", "ü"].map(serde_json::Value::from);
    assert_eq!(names[..4], expected);
    assert_eq!(names[4], serde_json::Value::Null);
}

#[test]
fn wrong_usage_exits_2_and_stores_nothing() {
    let home = Home::new();
    for args in [
        "",
        "--",
        "--shell true -- true",
        "--no-such-option -- true",
        "--max-failures 1 --max-attempts 1 -- true",
        "--max-failures 1 --forever -- true",
        "--max-attempts 1 --forever -- true",
        "--max-attempts 0 -- true",
        "--max-failures -1 -- true",
        "--max-failures 1.5 -- true",
        "--delay 1s --at 2030-01-01T00:00:00Z -- true",
        "--delay -1 -- true",
        "--delay 1M -- true",
        "--delay soon -- true",
        "--at tomorrow -- true",
        "--at 24:01 -- true",
        "--at 2030-02-30 -- true",
        "--timeout -1s -- true",
        "--grace inf -- true",
        "--env NAME -- true",
        "--env =value -- true",
        "--stream -- true",
        "--cwd",
    ] {
        let refused = submit(&home, &args.split_terminator(' ').collect::<Vec<_>>());
        let refused = refused.exits(2);
        assert_eq!(refused.stdout, b"", "{args}");
        assert!(refused.error_text().contains("error: "), "{args}");
    }
    assert_nothing_stored(&home);
    let files = fs::read_dir(home.path("retrier.db.d/logs"));
    assert!(files.is_err(), "there are logs");
}

#[test]
fn options_after_the_command_are_the_commands() {
    let home = Home::new();
    submit(&home, &["echo", "--wait", "--name", "x"]).ok();
    let command = home.status(1)["command"].clone();
    assert_eq!(
        command,
        serde_json::json!(["echo", "--wait", "--name", "x"])
    );
    assert_eq!(home.status(1)["name"], serde_json::Value::Null);
}
