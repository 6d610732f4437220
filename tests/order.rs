//! Which run starts next: due time, priority, id.

use std::fs;
use std::time::Duration;

use crate::crash::tools::{Gate, LONG, wait_until_state};
use crate::support::{FakeClock, Home, seeded, wait_until, wall_ns};

/// A line that writes down the number of its run.
fn note(home: &Home) -> String {
    format!("echo $RETRIER_RUN_ID >>'{}'", home.path("order").display())
}

fn started(home: &Home) -> Vec<i64> {
    let text = fs::read_to_string(home.path("order")).unwrap_or_default();
    let numbers = text.lines().map(|line| line.parse().expect("an id"));
    numbers.collect()
}

/// RFC 3339 of a time in milliseconds.
fn time(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).expect("a time of this century");
    time.to_string()
}

#[test]
fn a_point_of_priority_is_worth_a_minute_of_waiting() {
    let home = Home::new();
    let mut rng = seeded("a point of priority");
    let now = wall_ns() / 1_000_000;
    let mut expected: Vec<(i64, i64)> = Vec::new();
    for n in 0..30 {
        // Some are as old as another is with its priority: there the lower id decides.
        let age_s = rng.i64(0..10) * 30;
        let priority = rng.i64(-3..=3);
        let due = now - 10_000 - age_s * 1000;
        let (at, points) = (time(due), priority.to_string());
        let options = ["--no-daemon-start", "--at", &at, "--priority", &points];
        let id = home.run(options.into_iter().chain(["--shell", &note(&home)]));
        assert_eq!(id, n + 1);
        expected.push((due - 60_000 * priority, id));
    }
    let daemon = ["daemon", "--parallel", "1", "--until-idle"];
    home.retrier(daemon).output().ok();
    expected.sort_unstable();
    let expected: Vec<i64> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(started(&home), expected);
}

/// More are due than a daemon looks at in one step.
#[test]
fn the_first_of_thousands_comes_first() {
    let home = Home::new();
    let line = format!("sh -c \"{}\"\n", note(&home));
    let lines = line.replace('$', "\\$").repeat(2500);
    let batch = ["run", "--no-daemon-start", "--batch", "-"];
    home.retrier(batch).stdin(lines).output().ok();
    let first = home.run([
        "--no-daemon-start",
        "--priority",
        "100",
        "--shell",
        &note(&home),
    ]);
    let mut daemon = home.daemon_with(&["--parallel", "1"], &[]);
    assert_eq!(home.wait(first), 0);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(started(&home).first(), Some(&first));
}

/// However many of a higher priority come later, a minute of waiting for each point is enough.
#[test]
fn a_low_priority_is_not_starved_by_a_stream_of_high_ones() {
    for (waited_ms, comes_first) in [(599_999, false), (600_001, true)] {
        let home = Home::new();
        let clock = FakeClock::new(&home);
        let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
        let gate = Gate::new(&home, "gate");
        let busy = home.run(["--shell", &gate.line()]);
        wait_until_state(&home, busy, "running");
        let line = note(&home);
        let stored = wall_ns() / 1_000_000;
        let low = home.run(["--at", &time(stored), "--shell", &line]);
        clock.advance(Duration::from_secs(700));
        let (at, options) = (time(stored + waited_ms), ["--priority", "10", "--at"]);
        let high: Vec<i64> = (0..3)
            .map(|_| home.run(options.into_iter().chain([at.as_str(), "--shell", &line])))
            .collect();
        gate.open();
        wait_until("all have run", LONG, || started(&home).len() == 4);
        let order = started(&home);
        let first = if comes_first { low } else { high[0] };
        assert_eq!(order[0], first, "{order:?}");
    }
}

#[test]
fn a_delayed_or_backing_off_run_holds_no_slot_whatever_its_priority() {
    let home = Home::new();
    let _daemon = home.daemon_with(&["--parallel", "3"], &[]);
    let later = ["--priority", "100", "--constant", "1h", "--", "false"];
    let backing_off: Vec<i64> = (0..3).map(|_| home.run(later)).collect();
    let delayed = home.run(["--priority", "100", "--delay", "1h", "--", "true"]);
    for id in &backing_off {
        wait_until("it backs off", LONG, || {
            let document = home.status(*id);
            document["state"] == "scheduled" && document["failures"] == 1
        });
    }
    let fourth = home.run(["--", "true"]);
    assert_eq!(home.wait(fourth), 0);
    assert_eq!(home.state(delayed), "scheduled");
}

#[test]
fn a_decision_changes_the_order() {
    let home = Home::new();
    let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let wish = r#"{"retry_in":"100ms","priority":50}"#;
    let (decide, gate) = (Gate::new(&home, "decide"), Gate::new(&home, "gate"));
    let first = format!(
        "[ $RETRIER_ATTEMPT = 2 ] || {{ {}; echo '{wish}' >$RETRIER_DECISION; exit 1; }}",
        decide.line()
    );
    let patient = home.run(["--shell", &format!("{first}\n{}", note(&home))]);
    wait_until_state(&home, patient, "running");
    // It runs while the one that has decided waits for its second attempt.
    let busy = home.run(["--priority", "100", "--shell", &gate.line()]);
    decide.open();
    wait_until("it has decided", LONG, || {
        home.status(patient)["priority"] == 50
    });
    wait_until_state(&home, busy, "running");
    let other = home.run(["--priority", "40", "--shell", &note(&home)]);
    for id in [patient, other] {
        wait_until_state(&home, id, "queued");
    }
    gate.open();
    wait_until("both have run", LONG, || started(&home).len() == 2);
    assert_eq!(started(&home), [patient, other]);
}
