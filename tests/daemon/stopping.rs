//! `daemon status` and `daemon stop`: what becomes of the attempts that run.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::{LONG, daemons};
use crate::support::{Home, wait_until};

/// A run that writes down each start and waits for `gate`; gives its id once it runs.
fn gated(home: &Home) -> i64 {
    let folder = home.path("").display().to_string();
    let line = format!(
        "echo $RETRIER_ATTEMPT >> {folder}/starts; echo ready
        while ! test -e {folder}/gate; do sleep 0.02; done; exit 7"
    );
    let id = home.run(["--max-failures", "0", "--grace", "100ms", "--shell", &line]);
    wait_until("it runs", LONG, || {
        home.retrier(["logs", &id.to_string()]).output().text() == "ready"
    });
    id
}

fn open_gate(home: &Home) {
    fs::write(home.path("gate"), "").expect("the temp folder can be written");
}

fn starts(home: &Home) -> String {
    fs::read_to_string(home.path("starts")).expect("it has started")
}

#[test]
fn without_a_daemon_status_says_so_and_stop_is_done() {
    let home = Home::new();
    for _ in 0..2 {
        let status = home.retrier(["daemon", "status"]).output().exits(1);
        let told = status.error_text();
        assert!(
            told.contains("no daemon serves") && told.contains("retrier.db"),
            "{told}"
        );
        assert_eq!(status.stdout, b"");
        for args in [
            &["daemon", "stop"][..],
            &["daemon", "stop", "--drain"],
            &["daemon", "stop", "--kill"],
        ] {
            home.retrier(args).limit(LONG).output().ok();
        }
        assert_eq!(home.processes(), []);
        home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    }
}

#[test]
fn status_tells_who_serves_and_who_has_started_it() {
    let home = Home::new();
    home.run(["--delay", "1h", "--", "true"]);
    let status = || home.retrier(["daemon", "status"]).output().ok().text();
    let pid = daemons(&home)[0].pid;
    let told = status();
    assert!(
        told.starts_with(&format!("daemon {pid} ")) && told.contains("by a client"),
        "{told}"
    );
    let daemon = home.daemon();
    let told = status();
    assert!(
        told.starts_with(&format!("daemon {} ", daemon.pid())),
        "{told}"
    );
    assert!(told.contains("by a person"), "{told}");
    assert!(told.contains(&home.db().display().to_string()), "{told}");
}

#[test]
fn a_stop_leaves_running_attempts_alive_and_the_next_daemon_collects_them() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = gated(&home);
    home.retrier(["daemon", "stop"]).limit(LONG).output().ok();
    assert_eq!(daemon.wait(LONG), 0);
    assert_eq!(daemons(&home), []);
    assert_eq!(home.state(id), "running");
    let _daemon = home.daemon();
    assert_eq!(home.state(id), "running");
    open_gate(&home);
    assert_eq!((home.wait(id), starts(&home).as_str()), (7, "1\n"));
}

#[test]
fn what_ended_while_no_daemon_ran_is_collected_too() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = gated(&home);
    assert_eq!(daemon.stop(), 0);
    open_gate(&home);
    wait_until("the shim has left", LONG, || home.processes().is_empty());
    let _daemon = home.daemon();
    assert_eq!((home.wait(id), starts(&home).as_str()), (7, "1\n"));
    assert_eq!(
        home.status(id)["attempts"][0]["outcome"],
        json!({"type": "exit", "code": 7})
    );
}

#[test]
fn a_drain_waits_for_running_attempts_and_starts_nothing_more() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = gated(&home);
    let drain = home.retrier(["daemon", "stop", "--drain"]).spawn();
    let caught = |home: &Home| {
        // A run that is due and not started shows that the daemon drains.
        let id = home.run(["--no-daemon-start", "--", "true"]);
        let waited = home.retrier(["wait", "--timeout", "300ms", &id.to_string()]);
        (waited.output().code == 124).then_some(id)
    };
    let mut queued = None;
    wait_until("it drains", LONG, || {
        queued = caught(&home);
        queued.is_some()
    });
    assert!(daemon.is_running());
    open_gate(&home);
    drain.wait_within(LONG).ok();
    assert_eq!(daemon.wait(LONG), 0);
    assert_eq!(home.state(id), "failed");
    assert_eq!(home.state(queued.unwrap()), "queued");
    home.assert_no_process_left();
    assert_eq!(home.wait(queued.unwrap()), 0);
}

/// The run has no retries: were the interruption charged, it would have failed.
#[test]
fn a_kill_interrupts_running_attempts_without_charging_them() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = gated(&home);
    home.retrier(["daemon", "stop", "--kill"])
        .limit(LONG)
        .output()
        .ok();
    assert_eq!(daemon.wait(LONG), 0);
    home.assert_no_process_left();
    let status = home.status(id);
    let state = &status["state"];
    assert!(state == "scheduled" || state == "queued", "{status}");
    assert_eq!(status["failures"], 0);
    assert_eq!(
        status["attempts"][0]["outcome"],
        json!({"type": "interrupted"})
    );
    open_gate(&home);
    let _daemon = home.daemon();
    assert_eq!((home.wait(id), starts(&home).as_str()), (7, "1\n2\n"));
}

#[test]
fn who_stores_a_run_beside_a_daemon_that_is_drained_is_told_that_it_has_to_wait() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let running = gated(&home);
    let drain = home.retrier(["daemon", "stop", "--drain"]).spawn();
    let leaving = "the daemon is on its way out";
    wait_until("it is drained", LONG, || {
        let status = home.retrier(["daemon", "status"]).output().text();
        status.contains(&format!("trouble: {leaving}"))
    });
    let late = home.retrier(["run", "--", "echo", "late"]).output().ok();
    assert_eq!(late.text(), "2");
    let warning = format!("warning: run 2 is stored, and has to wait: {leaving}");
    assert!(late.error_text().contains(&warning), "{late:?}");
    open_gate(&home);
    drain.wait().ok();
    assert_eq!(daemon.wait(LONG), 0);
    assert_eq!((home.wait(running), home.wait(2)), (7, 0));
}

#[test]
fn stop_says_for_whom_it_waits_and_how_one_that_stands_still_goes_on() {
    let home = Home::new();
    let mut daemon = home.daemon();
    daemon.pause();
    let stop = home.retrier(["daemon", "stop"]).spawn();
    let pid = daemon.pid();
    let said = format!("daemon {pid} is stopped, and hears nothing\nhint: `kill -CONT {pid}`");
    wait_until("it says so", LONG, || {
        String::from_utf8_lossy(&stop.stderr_so_far()).contains(&said)
    });
    daemon.resume();
    stop.wait().ok();
    assert_eq!(daemon.wait(LONG), 0);
}

/// Whatever fails meanwhile, and has it start over.
#[test]
fn a_daemon_that_starts_over_still_leaves() {
    let stop = |how: &str, nth: u32| {
        let home = Home::new();
        let crash = format!("pass_committed:{nth}:err=EIO");
        let mut daemon = home.daemon_with(&[], &[("RETRIER_CRASH", &crash)]);
        gated(&home);
        let stop = home.retrier(["daemon", "stop", how]).spawn();
        if how == "--drain" {
            let told = || daemon.errors().contains("told to leave when");
            wait_until("it was told", LONG, told);
            open_gate(&home);
        }
        stop.wait_within(LONG).ok();
        assert_eq!(daemon.wait(LONG), 0, "{how} {nth}");
    };
    std::thread::scope(|scope| {
        for how in ["--drain", "--kill"] {
            (2..6).for_each(|nth| drop(scope.spawn(move || stop(how, nth))));
        }
    });
}

/// What cannot be committed is in the shim's record, for the next daemon.
#[test]
fn a_daemon_that_is_to_end_its_attempts_does_not_wait_for_room() {
    let home = Home::new();
    let full = (4..60).map(|nth| format!("pass_before_commit:{nth}:err=ENOSPC"));
    let full = full.collect::<Vec<_>>().join(",");
    let mut daemon = home.daemon_with(&[], &[("RETRIER_CRASH", &full)]);
    let id = gated(&home);
    let stop = home.retrier(["daemon", "stop", "--kill"]);
    stop.limit(Duration::from_secs(20)).output().ok();
    assert_eq!(daemon.wait(LONG), 0);
    open_gate(&home);
    let _next = home.daemon();
    assert_eq!(home.wait(id), 7);
    let attempts = home.status(id)["attempts"].clone();
    assert_eq!(attempts[0]["outcome"]["type"], "interrupted");
    assert_eq!(starts(&home), "1\n2\n");
}
