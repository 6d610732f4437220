//! The kill of the daemon and of the shim at each failpoint.
//!
//! A daemon is killed the first, second, … time that it reaches the point, so that every pass of a whole life is hit:
//! an attempt that fails, its retry that succeeds, and the hook.

use std::fs;

use crate::support::{Home, Journal, Need, skip, wait_until};

use super::tools::{
    Gate, LONG, assert_nothing_ran_twice, outcomes, wait_until_started, wait_until_state,
};

const SOON: [&str; 4] = ["--constant", "20ms", "--jitter", "0"];

/// Stores a run whose first attempt fails and whose second one succeeds; its hook appends a line to the file `hook`.
fn submit(home: &Home, journal: &Journal) -> i64 {
    let line = journal.line("[ $RETRIER_ATTEMPT != 1 ]");
    let hook = format!("cat >>'{}'; echo", home.path("hook").display());
    let rest = [
        "--no-daemon-start",
        "--on-complete",
        &hook,
        "--shell",
        &line,
    ];
    home.run(SOON.into_iter().chain(rest))
}

/// Waits until the run and its hook have ended, or the daemon has.
#[track_caller]
fn run_until_it_dies(home: &Home, id: i64, crash: &str) -> bool {
    let mut daemon = home.retrier(["daemon"]).crash(crash).spawn();
    let ended = || {
        let document = home.status(id);
        let hook = document["hook_id"].as_i64();
        hook.is_some_and(|hook| home.state(hook) == "succeeded")
    };
    wait_until("it is done or dead", LONG, || {
        !daemon.is_running() || ended()
    });
    !daemon.is_running()
}

/// Kills the daemon at each of `times` of the failpoint `name`. A shim never dies here, so every outcome is known:
/// nothing may be lost, nothing charged beside the failure, and each command runs exactly once.
#[track_caller]
fn kill_daemons_at(name: &str, times: std::ops::RangeInclusive<u32>) {
    if skip(Need::Flock) {
        return;
    }
    for nth in times {
        let home = Home::new();
        let journal = Journal::new(&home);
        let id = submit(&home, &journal);
        let died = run_until_it_dies(&home, id, &format!("{name}:{nth}:kill"));
        assert!(died, "no daemon died at {name}:{nth}");
        home.retrier(["daemon", "--until-idle"]).output().ok();
        let document = home.status(id);
        assert_eq!(document["state"], "succeeded", "{name}:{nth}");
        assert_eq!(outcomes(&document), ["exit 1", "exit 0"], "{name}:{nth}");
        assert_eq!(document["failures"], 1, "{name}:{nth}");
        assert_eq!(journal.starts(id).len(), 2, "{name}:{nth}");
        assert_nothing_ran_twice(&home, &journal, id);
        let hooks = fs::read_to_string(home.path("hook")).expect("the hook has run");
        assert_eq!(hooks.matches("success").count(), 1, "{name}:{nth}: {hooks}");
        let runs = home.retrier(["list", "--json"]).output().ok().text();
        assert_eq!(runs.lines().count(), 2, "{name}:{nth}: one run, one hook");
    }
}

#[test]
fn a_daemon_killed_before_the_commit_of_a_pass_loses_nothing() {
    kill_daemons_at("pass_before_commit", 1..=4);
}

#[test]
fn a_daemon_killed_after_the_commit_of_a_pass_loses_nothing() {
    kill_daemons_at("pass_committed", 1..=4);
}

#[test]
fn a_daemon_killed_after_sending_an_order_loses_nothing() {
    kill_daemons_at("order_sent", 1..=3);
}

#[test]
fn a_daemon_killed_on_receiving_a_report_loses_nothing() {
    kill_daemons_at("report_received", 1..=3);
}

#[test]
fn a_daemon_killed_at_the_start_of_a_shim_loses_nothing() {
    kill_daemons_at("daemon_start_shim", 1..=1);
}

#[test]
fn a_daemon_killed_while_it_retires_leaves_a_database_that_the_next_one_serves() {
    let home = Home::new();
    let first = home.run(["--no-daemon-start", "--", "true"]);
    let killed = home.retrier(["daemon", "--until-idle"]);
    killed.crash("retiring:1:kill").output().exits(137);
    assert_eq!(home.state(first), "succeeded");
    let second = home.run(["--no-daemon-start", "--", "true"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert_eq!(home.state(second), "succeeded");
    home.assert_no_process_left();
}

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

/// Kills the shim the second time that it reaches `name`: its first attempt fails, the second one is hit, and the next
/// shim, which reaches it once, goes on. Gives the outcomes and the attempts that have started.
#[track_caller]
fn kill_shims_at(name: &str) -> (Vec<String>, Vec<u32>) {
    let home = Home::new();
    let journal = Journal::new(&home);
    let crash = format!("{name}:2:kill");
    let _daemon = home.daemon_with(&[], &[("RETRIER_CRASH", &crash)]);
    let line = journal.line("[ $RETRIER_ATTEMPT != 1 ]");
    let id = home.run(SOON.into_iter().chain(["--shell", &line]));
    assert_eq!(home.wait(id), 0);
    let document = home.status(id);
    assert_nothing_ran_twice(&home, &journal, id);
    let charged = outcomes(&document).len() as i64 - 1;
    assert_eq!(
        document["failures"], charged,
        "all but the last are charged"
    );
    let starts = journal.starts(id).into_iter();
    (
        outcomes(&document),
        starts.map(|start| start.attempt).collect(),
    )
}

#[test]
fn a_shim_killed_before_it_recorded_a_start_charges_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let (outcomes, starts) = kill_shims_at("shim_before_starting");
    assert_eq!(outcomes, ["exit 1", "exit 0"]);
    assert_eq!(starts, [1, 2]);
}

#[test]
fn a_shim_killed_between_its_record_and_the_start_leaves_a_lost_attempt() {
    if skip(Need::Flock) {
        return;
    }
    for name in ["shim_starting", "shim_spawning"] {
        let (outcomes, starts) = kill_shims_at(name);
        assert_eq!(outcomes, ["exit 1", "lost", "exit 0"], "{name}");
        assert_eq!(starts, [1, 3], "{name}");
    }
}

#[test]
fn a_shim_killed_beside_its_command_leaves_a_lost_attempt() {
    if skip(Need::Flock) {
        return;
    }
    for name in ["shim_spawned", "shim_running"] {
        let (outcomes, starts) = kill_shims_at(name);
        assert_eq!(outcomes, ["exit 1", "lost", "exit 0"], "{name}");
        // The second one may have been ended before its first word.
        assert!(
            starts == [1, 2, 3] || starts == [1, 3],
            "{name}: {starts:?}"
        );
    }
}

#[test]
fn a_shim_killed_before_it_recorded_the_end_leaves_a_lost_attempt() {
    if skip(Need::Flock) {
        return;
    }
    let (outcomes, starts) = kill_shims_at("shim_ended");
    assert_eq!(outcomes, ["exit 1", "lost", "exit 0"]);
    assert_eq!(starts, [1, 2, 3]);
}

#[test]
fn a_shim_killed_after_it_recorded_the_end_loses_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let (outcomes, starts) = kill_shims_at("shim_reported");
    assert_eq!(outcomes, ["exit 1", "exit 0"]);
    assert_eq!(starts, [1, 2]);
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
