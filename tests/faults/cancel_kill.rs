//! The daemon killed around a cancel: once it is acknowledged the run is canceled for good, what runs of it is ended,
//! and its hook is told once.

use std::fs;

use crate::crash::tools::{Gate, LONG, outcomes, wait_until_no_command};
use crate::support::{Home, Journal, Need, skip, wait_until};

use super::life::beside_each_other;

/// More times than any point is reached.
const MANY: u32 = 20;

/// Cancels a run that never ends by itself, as soon as it runs or its daemon has died at `crash`. Gives what is wrong
/// then, and whether the daemon has died.
fn cancel_beside(crash: &str) -> (Vec<String>, bool) {
    let home = Home::new();
    let journal = Journal::new(&home);
    let line = journal.line(&Gate::new(&home, "never").line());
    let hook = format!("cat >>'{}'; echo", home.path("hook").display());
    let options = ["--no-daemon-start", "--grace", "500ms"];
    let rest = ["--on-complete", &hook, "--shell", &line];
    let id = home.run(options.into_iter().chain(rest));
    let mut daemon = home
        .retrier(["daemon", "--until-idle"])
        .crash(crash)
        .spawn();
    wait_until("it runs or cannot run", LONG, || {
        !journal.starts(id).is_empty() || !daemon.is_running()
    });
    // Without a daemon it starts one, which has no failpoint.
    home.retrier(["cancel", &id.to_string()]).output().ok();
    let died = daemon.wait().code == 137;
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let mut found = journal.violations();
    let document = home.status(id);
    let closed = outcomes(&document);
    if document["state"] != "canceled" || !(closed.is_empty() || closed == ["canceled"]) {
        found.push(format!("not canceled: {document}"));
    }
    if journal.starts(id).len() > 1 || !journal.ends(id).is_empty() {
        found.push(format!("it ran on: {:?}", journal.entries()));
    }
    let told = fs::read_to_string(home.path("hook")).unwrap_or_default();
    let runs = home.retrier(["list", "--json"]).output().ok().text();
    if told.matches("canceled").count() != 1 || runs.lines().count() != 2 {
        found.push(format!("not one hook: {told:?}, {runs}"));
    }
    wait_until_no_command(&home);
    found.extend(home.doctor());
    (found, died)
}

#[test]
fn a_daemon_killed_anywhere_around_a_cancel_ends_the_attempt_and_tells_one_hook() {
    if skip(Need::Flock) {
        return;
    }
    let points = [
        "order_sent",
        "pass_before_commit",
        "pass_committed",
        "report_received",
        "store_sync",
    ];
    let found = beside_each_other(points, |point| {
        let mut found = Vec::new();
        for nth in 1..MANY {
            let (violations, died) = cancel_beside(&format!("{point}:{nth}:kill"));
            found.extend(violations);
            if !died {
                found.extend((nth == 1).then(|| "it was not reached".to_owned()));
                return found;
            }
        }
        found.push("it is reached too often".to_owned());
        found
    });
    assert_eq!(found, [""; 0]);
}
