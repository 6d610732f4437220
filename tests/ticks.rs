//! `daemon --tick`: what is due now is done, and no daemon stays.

use std::fs;
use std::time::Duration;

use crate::support::{Call, FakeClock, Home, Journal, Need, Process, skip, wait_until};

const LONG: Duration = Duration::from_secs(20);

fn tick(home: &Home, option: &str) -> Call {
    home.retrier(["daemon", option]).limit(LONG)
}

/// Ticks, and says nothing: cron mails whatever is said.
#[track_caller]
fn ticks(home: &Home, option: &str) {
    let output = tick(home, option).output().ok();
    assert_eq!((output.text(), output.error_text()), Default::default());
    assert!(daemons(home).is_empty());
}

fn daemons(home: &Home) -> Vec<Process> {
    let all = home.processes().into_iter();
    all.filter(Process::is_daemon).collect()
}

/// Stores a run without a daemon.
fn store(home: &Home, args: &[&str]) -> i64 {
    home.run([&["--no-daemon-start"], args].concat())
}

#[test]
fn a_tick_does_what_is_due_now_and_leaves_the_rest() {
    let home = Home::new();
    ticks(&home, "--tick");
    assert!(!home.db().exists());
    // More than the pool has slots, and a hook.
    let due: Vec<i64> = (0..15).map(|_| store(&home, &["--", "true"])).collect();
    let hooked = store(&home, &["--on-complete", "true", "--", "true"]);
    let late = store(&home, &["--delay", "1h", "--", "true"]);
    let failing = store(&home, &["--constant", "1h", "--", "false"]);
    ticks(&home, "--tick");
    for id in due.iter().chain([&hooked, &(failing + 1)]) {
        assert_eq!(home.state(*id), "succeeded", "run {id}");
    }
    assert_eq!(
        (home.state(late), home.state(failing)),
        ("scheduled".into(), "scheduled".into())
    );
    assert_eq!(
        home.status(failing)["attempts"].as_array().unwrap().len(),
        1
    );
    home.assert_no_process_left();
    assert!(
        home.daemon_log().contains("nothing left that is due now"),
        "{}",
        home.daemon_log()
    );
}

#[test]
fn a_backoff_comes_due_at_a_later_tick() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let waits = ["--constant", "1h", "--jitter", "0"];
    let id = store(
        &home,
        &[&waits[..], &["--shell", "test $RETRIER_ATTEMPT = 2"]].concat(),
    );
    let attempts = || home.status(id)["attempts"].as_array().map(Vec::len);
    for _ in 0..2 {
        ticks(&home, "--tick");
        assert_eq!((home.state(id), attempts()), ("scheduled".into(), Some(1)));
    }
    clock.advance(Duration::from_secs(3600));
    ticks(&home, "--tick");
    assert_eq!((home.state(id), attempts()), ("succeeded".into(), Some(2)));
}

#[test]
fn an_attempt_that_outlives_its_tick_is_collected_by_the_next() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let gate = home.path("gate");
    let line = journal.line(&format!(
        "while ! test -e '{}'; do sleep 0.02; done; exit 7",
        gate.display()
    ));
    let gated = store(&home, &["--max-failures", "0", "--shell", &line]);
    let limited = store(
        &home,
        &[
            "--max-failures",
            "0",
            "--timeout",
            "500ms",
            "--",
            "sleep",
            "600",
        ],
    );
    ticks(&home, "--tick=0");
    wait_until("it runs", LONG, || journal.starts(gated).len() == 1);
    assert_eq!(
        (home.state(gated), home.state(limited)),
        ("running".into(), "running".into())
    );
    // Its time is kept by its shim, though nobody is there to see it.
    let sleeps = || {
        home.processes()
            .iter()
            .any(|one| one.cmdline.contains("sleep 600"))
    };
    wait_until("its timeout has ended it", LONG, || !sleeps());
    ticks(&home, "--tick=100ms");
    assert_eq!(
        (home.state(gated), home.state(limited)),
        ("running".into(), "failed".into())
    );
    fs::write(gate, "").unwrap();
    wait_until("it has ended", LONG, || journal.ends(gated).len() == 1);
    ticks(&home, "--tick");
    assert_eq!(home.status(gated)["attempts"][0]["outcome"]["code"], 7);
    assert_eq!(home.state(gated), "failed");
    assert_eq!(journal.starts(gated).len(), 1);
    home.assert_no_process_left();
}

#[test]
fn slots_are_kept_from_tick_to_tick() {
    let home = Home::new();
    home.slots(2);
    let ids: Vec<i64> = (0..3)
        .map(|_| store(&home, &["--", "sleep", "600"]))
        .collect();
    for _ in 0..2 {
        ticks(&home, "--tick=0");
        let states: Vec<String> = ids.iter().map(|id| home.state(*id)).collect();
        assert_eq!(states, ["running", "running", "queued"]);
    }
}

#[test]
fn where_a_daemon_serves_there_is_nothing_to_do() {
    let home = Home::new();
    let mut daemon = home.daemon();
    tick(&home, "--tick").output().ok();
    assert!(daemon.is_running());
    assert_eq!(daemon.stop(), 0);
    home.run(["--delay", "1h", "--", "true"]);
    let before = daemons(&home);
    tick(&home, "--tick").output().ok();
    assert_eq!((before.len(), &before), (1, &daemons(&home)));
}

#[test]
fn what_is_older_than_the_retention_is_forgotten_by_a_tick() {
    let home = Home::new();
    let id = store(&home, &["--", "echo", "kept"]);
    ticks(&home, "--tick");
    ticks(&home, "--tick");
    assert_eq!(home.state(id), "succeeded");
    let output = home
        .retrier(["daemon", "--tick", "--retention", "1ms"])
        .output()
        .ok();
    assert_eq!(output.error_text(), "");
    home.retrier(["status", &id.to_string()]).output().exits(3);
    assert!(!home.path("retrier.db.d/logs/0/1.1.out").exists());
}

/// It would leave without having seen what the verb has stored for later.
#[test]
fn a_verb_does_not_rely_on_a_tick_and_it_makes_room() {
    let home = Home::new();
    let gate = home.path("gate");
    let line = format!(
        "echo start >>'{0}.starts'; while ! test -e '{0}'; do sleep 0.02; done",
        gate.display()
    );
    let long = store(&home, &["--shell", &line]);
    let ticking = tick(&home, "--tick=10m").spawn();
    wait_until("it runs", LONG, || home.state(long) == "running");
    let status = home.retrier(["daemon", "status"]).output().ok().text();
    assert!(status.contains("for what is due now"), "{status}");
    let id = home.run(["--delay", "200ms", "--", "true"]);
    assert_eq!(ticking.wait_within(LONG).code, 0);
    let status = home.retrier(["daemon", "status"]).output().ok().text();
    assert!(status.contains("by a client"), "{status}");
    wait_until("it is done by itself", LONG, || {
        home.state(id) == "succeeded"
    });
    assert_eq!(home.state(long), "running");
    fs::write(&gate, "").unwrap();
    assert_eq!(home.wait(long), 0);
    assert_eq!(
        fs::read_to_string(format!("{}.starts", gate.display())).unwrap(),
        "start\n"
    );
}

#[test]
fn ticks_at_once_and_verbs_that_start_daemons_beside_them_double_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    home.slots(4);
    let journal = Journal::new(&home);
    let line = journal.line("sleep 0.05; test $RETRIER_ATTEMPT = 2");
    let args = ["--constant", "100ms", "--shell", &line];
    let mut ids: Vec<i64> = (0..8).map(|_| store(&home, &args)).collect();
    for round in 0..3 {
        let two = ["--tick=0", "--tick=300ms"].map(|option| tick(&home, option).spawn());
        if round > 0 {
            ids.push(home.run(args));
        }
        for one in two {
            assert_eq!(one.wait_within(LONG).error_text(), "");
        }
    }
    for id in &ids {
        assert_eq!(home.wait(*id), 0);
        assert_eq!(journal.ends(*id).len(), 2, "run {id}");
        assert_eq!(home.status(*id)["attempts"].as_array().unwrap().len(), 2);
    }
    journal.assert_no_overlap();
}

/// Nobody looks at its log: what keeps it from its work is said where cron mails it.
#[test]
fn a_tick_that_cannot_do_its_work_says_why_and_fails() {
    let home = Home::new();
    let id = store(&home, &["--", "true"]);
    let full = tick(&home, "--tick=0").crash("pass_before_commit:1:err=ENOSPC");
    let told = full.output().exits(1).error_text();
    assert!(told.contains("full"), "{told}");
    ticks(&home, "--tick");
    assert_eq!(home.state(id), "succeeded");
}

#[test]
fn what_is_stored_while_a_tick_is_about_to_leave_is_done_by_it() {
    let home = Home::new();
    let first = store(&home, &["--", "true"]);
    let leaving = tick(&home, "--tick").crash("tick_leaving:1:sleep=1500");
    let leaving = leaving.spawn();
    wait_until("it has nothing more to do", LONG, || {
        home.state(first) == "succeeded"
    });
    let second = store(&home, &["--", "true"]);
    assert_eq!(leaving.wait_within(LONG).code, 0);
    assert_eq!(home.state(second), "succeeded");
}

#[test]
fn a_tick_that_is_killed_anywhere_loses_and_doubles_nothing() {
    if skip(Need::Flock) {
        return;
    }
    for point in [
        "lock_taken",
        "pass_committed",
        "order_sent",
        "report_received",
        "tick_leaving",
        "retiring",
        "retired",
    ] {
        let home = Home::new();
        let journal = Journal::new(&home);
        let id = store(
            &home,
            &["--max-failures", "0", "--shell", &journal.line("sleep 0.1")],
        );
        tick(&home, "--tick")
            .crash(&format!("{point}:1:kill"))
            .output()
            .exits(137);
        // Its shim goes on; who comes before it has ended collects it all the same.
        ticks(&home, "--tick");
        assert_eq!(home.state(id), "succeeded", "{point}");
        assert_eq!(
            (journal.starts(id).len(), journal.ends(id).len()),
            (1, 1),
            "{point}"
        );
        journal.assert_no_overlap();
    }
}

#[test]
fn wrong_values_for_a_tick_are_usage_errors() {
    let home = Home::new();
    for more in ["--until-idle", "--detach", "--stats-interval=1s"] {
        home.retrier(["daemon", "--tick", more]).output().exits(2);
    }
    tick(&home, "--tick=soon").output().exits(2);
}

#[test]
fn between_two_ticks_nothing_is_wrong_unless_nobody_has_looked_for_long() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let doctor = || {
        let call = home.retrier(["doctor"]);
        call.env("RETRIER_NO_DAEMON_START", "1").output()
    };
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    let found = doctor().ok().text();
    assert!(
        found.starts_with("warning\tdaemon\tno daemon serves, and 1 run has not ended\ta tick"),
        "{found}"
    );
    clock.advance(Duration::from_secs(3600 + 180));
    let found = doctor().exits(1).text();
    assert!(
        found.starts_with("error\tdaemon\tno daemon serves"),
        "{found}"
    );
}
