//! Attempts whose shim died: what the command had said before that counts as if the shim had lived.

use nix::sys::signal::Signal;
use retrier::model::policy::By;

use super::{history, outcomes, submit, why};
use crate::crash::tools::{Gate, LONG, shim, signal, wait_until_no_command};
use crate::support::{Daemon, Home, Process, wait_until};

/// A run whose first attempt says something and then does not end.
#[track_caller]
fn submit_endless(home: &Home, options: &[&str], says: &str) -> i64 {
    let said = Gate::new(home, "said");
    let gate = home.path("said");
    let line = format!(
        "[ $RETRIER_ATTEMPT = 1 ] || exit 0; {says}; : >'{}'; sleep 600",
        gate.display()
    );
    let id = submit(home, options, &line);
    wait_until("it has said it", LONG, || said.is_open());
    id
}

#[track_caller]
fn assert_stopped(home: &Home, id: i64, by: By) {
    assert_eq!(home.wait(id), 125);
    let document = home.status(id);
    assert_eq!(outcomes(&document), ["lost"]);
    assert_eq!(document["result"]["reason"], "stopped");
    assert_eq!(why(home, id, 1).0, by);
    wait_until_no_command(home);
}

const STOP: &str = r#"echo '{"retry":false,"error":"paid"}' >$RETRIER_DECISION"#;

/// What must happen once, as a payment, and has happened: run again it would happen twice.
#[test]
fn a_command_that_said_no_retry_is_not_run_again_although_its_shim_was_killed() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = submit_endless(&home, &["--forever"], STOP);
    signal(shim(&home), Signal::SIGKILL);
    assert_stopped(&home, id, By::Command);
    assert_eq!(home.status(id)["result"]["error"], "paid");
}

#[test]
fn a_command_that_said_no_retry_is_not_run_again_although_daemon_and_shim_were_killed() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = submit_endless(&home, &["--forever"], STOP);
    daemon.kill9();
    signal(shim(&home), Signal::SIGKILL);
    wait_until("the shim is gone", LONG, || {
        !home.processes().iter().any(Process::is_shim)
    });
    let _second = home.daemon();
    assert_stopped(&home, id, By::Command);
}

/// A machine that goes down in order tells its shims to end what they run.
#[test]
fn a_command_that_said_no_retry_is_not_run_again_after_a_planned_stop() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = submit_endless(&home, &["--forever"], STOP);
    let stop = home.retrier(["daemon", "stop", "--kill"]);
    stop.output().ok();
    daemon.wait(LONG);
    assert_eq!(home.wait(id), 125);
    let document = home.status(id);
    assert_eq!(outcomes(&document), ["interrupted"]);
    assert_eq!(document["result"]["reason"], "stopped");
    assert_eq!(document["failures"], 0);
}

/// The shim has gathered what was said when it dies; what it told nobody must be gathered anew.
#[test]
fn a_decision_is_heard_although_the_shim_dies_between_reading_and_telling() {
    let home = Home::new();
    let daemon = daemon_of_dying_shims(&home);
    let line = format!("{STOP}; exit 7");
    let id = submit(&home, &["--forever"], &line);
    assert_stopped(&home, id, By::Command);
    drop(daemon);
}

fn daemon_of_dying_shims(home: &Home) -> Daemon {
    home.daemon_with(&[], &[("RETRIER_CRASH", "shim_ended:1:kill")])
}

#[test]
fn the_output_of_a_lost_attempt_is_looked_at_by_the_rules_of_its_run() {
    let home = Home::new();
    let _daemon = home.daemon();
    let options = ["--forever", "--stop-if", "^out of .* disk$"];
    let id = submit_endless(&home, &options, "echo out of the disk >&2");
    signal(shim(&home), Signal::SIGKILL);
    assert_stopped(&home, id, By::StopIf);
}

/// Half a decision is what a killed command may leave.
#[test]
fn half_a_decision_of_a_lost_attempt_is_complained_of_and_the_run_is_retried() {
    let home = Home::new();
    let daemon = home.daemon();
    let options = ["--constant=0", "--jitter=0"];
    let half = r#"printf '{"retry":fal' >$RETRIER_DECISION"#;
    let line = format!("[ $RETRIER_ATTEMPT = 1 ] || exit 0; {half}; : >\"$SAID\"; sleep 600");
    let said = format!("SAID={}", home.path("said").display());
    let more = ["--env", &said, "--shell", &line];
    let id = home.run(options.into_iter().chain(more));
    wait_until("it has said it", LONG, || home.path("said").exists());
    signal(shim(&home), Signal::SIGKILL);
    assert_eq!(home.wait(id), 0);
    assert_eq!(outcomes(&home.status(id)), ["lost", "exit 0"]);
    let complaint = format!("run {id}, attempt 1: its decision: it is not JSON");
    assert_eq!(daemon.errors().matches(&complaint).count(), 1);
    let details = history(&home, id)
        .into_iter()
        .filter_map(|event| event.detail);
    assert_eq!(details.count(), 1);
}
