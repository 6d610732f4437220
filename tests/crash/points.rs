//! Daemons and shims held up or killed at a failpoint, so that somebody else comes in between. What holds at every one
//! of them is in `tests/faults`.

use nix::sys::signal::Signal;

use crate::support::{Home, Journal, Need, skip, wait_until};

use super::tools::{Gate, LONG, outcomes, wait_until_started, wait_until_state};

/// Who commits while a daemon is on its way out must find that it is gone.
#[test]
fn a_run_submitted_while_the_daemon_retires_is_run() {
    let home = Home::new();
    let first = home.run(["--no-daemon-start", "--", "true"]);
    let leaving = home.retrier(["daemon", "--until-idle"]);
    let leaving = leaving.crash("retiring:1:sleep=1500").spawn();
    wait_until_state(&home, first, "succeeded");
    let second = home.retrier(["run", "--wait", "--", "echo", "served"]);
    assert_eq!(second.output().ok().text(), "served");
    leaving.wait().ok();
}

/// The lock goes before the commit, or a client that commits next takes a daemon on its way out for one that serves.
#[test]
fn a_run_submitted_after_the_daemon_retired_and_before_it_left_is_run() {
    let home = Home::new();
    let first = home.run(["--no-daemon-start", "--", "true"]);
    let leaving = home.retrier(["daemon", "--until-idle"]);
    let mut leaving = leaving.crash("retired:1:sleep=600000").spawn();
    wait_until_state(&home, first, "succeeded");
    let doorbell = home.path("retrier.db.d/doorbell");
    wait_until("the doorbell is gone", LONG, || !doorbell.exists());
    let second = home.run(["--", "true"]);
    assert!(leaving.is_running(), "it has left too early for this test");
    wait_until_state(&home, second, "succeeded");
    leaving.kill9();
}

/// From then on another daemon may hold the database.
#[test]
fn a_daemon_that_has_given_up_its_lock_leaves_whatever_fails() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let daemon = home.retrier(["daemon", "--until-idle"]);
    let said = daemon.crash("retired:1:err=EIO").output().error_text();
    assert!(!said.contains("starting over"), "{said}");
    assert_eq!(said.matches("INFO serving").count(), 1, "{said}");
}

/// The outcome is in the shim's file alone when its shim dies before the daemon has committed it: the file must
/// outlive both, or a command that has succeeded is run again.
#[test]
fn an_outcome_outlives_the_shim_and_then_the_daemon_that_has_not_committed_it() {
    if skip(Need::Flock) {
        return;
    }
    for pass in 3..=4 {
        let home = Home::new();
        let journal = Journal::new(&home);
        let gate = Gate::new(&home, "gate");
        let line = journal.line(&gate.line());
        let id = home.run(["--no-daemon-start", "--shell", &line]);
        let crash = format!("shim_reported:1:kill,pass_before_commit:{pass}:kill");
        let mut daemon = home.daemon_with(&[], &[("RETRIER_CRASH", &crash)]);
        wait_until_started(&journal, id, 1);
        wait_until("its pid is stored", LONG, || {
            home.status(id)["attempts"][0]["pid"].is_i64()
        });
        // Both the report and the end of the shim are there when the daemon goes on.
        daemon.pause();
        gate.open();
        wait_until("the shim is gone", LONG, || {
            !home.processes().iter().any(|process| process.is_shim())
        });
        daemon.resume();
        let ended = || home.state(id) == "succeeded";
        wait_until("it is done or dead", LONG, || {
            !daemon.is_running() || ended()
        });
        drop(daemon);
        home.retrier(["daemon", "--until-idle"]).output().ok();
        let document = home.status(id);
        assert_eq!(outcomes(&document), ["exit 0"], "killed in pass {pass}");
        assert_eq!(journal.starts(id).len(), 1, "killed in pass {pass}");
    }
}

/// A client that has called a daemon which leaves, and commits when the next one has long made its first pass,
/// must not believe that it has rung.
#[test]
fn a_run_that_rang_for_a_daemon_that_was_leaving_is_seen_by_the_next() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let leaving = home.retrier(["daemon", "--until-idle"]);
    let mut leaving = leaving
        .crash("retiring:1:sleep=2000,retired:1:sleep=600000")
        .spawn();
    wait_until("it has run everything", LONG, || {
        home.state(1) == "succeeded"
    });
    let submit = home.retrier(["run", "--", "true"]).spawn();
    wait_until("the call has called it", LONG, || has_socket(submit.pid()));
    submit.signal(Signal::SIGSTOP);
    wait_until("the daemon has given its lock back", LONG, || {
        home.retrier(["daemon", "status"]).output().code != 0
    });
    let _next = home.daemon();
    submit.signal(Signal::SIGCONT);
    let id = submit.wait().ok().text();
    wait_until("the run has ended", LONG, || {
        home.state(id.parse().expect("an id")) == "succeeded"
    });
    leaving.kill9();
}

fn has_socket(pid: i32) -> bool {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let links = entries.into_iter().flatten().flatten();
    let mut targets = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.any(|target| target.to_string_lossy().starts_with("socket:"))
}
