//! Shims and commands that are killed, and what they leave behind: a lost attempt is charged, what a failed or lost
//! attempt has left is gone before the next one starts, and what a successful one has left lives on.

mod crew;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::crash::tools::{LONG, outcomes, shim, signal};
use crate::support::{Daemon, Home, Need, holds_within, proof, seeded, skip, wait_until};
use crew::{CREW, Crew, Fate, Habit, is_alive};

/// How the attempts of a run may have ended, the first and the second one.
fn expected(fate: Fate) -> &'static [&'static [&'static str]] {
    match fate {
        Fate::ShimKilled | Fate::ShimAndDaemonKilled | Fate::ShimKilledWithoutFile => {
            &[&["lost", "exit 0"]]
        }
        Fate::CommandKilled => &[&["signal", "exit 0"]],
        // The shim may have had the time to see and write down how its command ended.
        Fate::BothKilled | Fate::AllKilled => &[&["lost", "exit 0"], &["signal", "exit 0"]],
        Fate::Fails => &[&["exit 3", "exit 0"]],
        Fate::Succeeds => &[&["exit 0"]],
    }
}

/// Whatever may never be.
fn violations(crew: &Crew, fate: Fate) -> Vec<String> {
    let mut violations = crew.lines("alive");
    violations.extend(crew.home.doctor());
    for document in crew.documents() {
        let run = document["id"].as_i64().expect("an id");
        let outcomes = outcomes(&document);
        let failures = outcomes.len() as u64 - 1;
        let as_expected = expected(fate).iter().any(|expected| outcomes == *expected);
        if document["state"] != "succeeded" || !as_expected || document["failures"] != failures {
            violations.push(format!("run {run} is {}, {outcomes:?}", document["state"]));
        }
        let noted = crew.noted(run);
        let living: Vec<_> = noted.iter().filter(|noted| is_alive(noted)).collect();
        let lives_on = living.len() == 1 && living[0].role == "left";
        if (fate == Fate::Succeeds) != lives_on || (!lives_on && !living.is_empty()) {
            violations.push(format!("run {run} has left {living:?} of {noted:?}"));
        }
    }
    if fate == Fate::Succeeds {
        let shims = crew.shims();
        let different: BTreeSet<_> = shims.iter().collect();
        if different.len() != CREW {
            violations.push(format!(
                "{} shims for {CREW} attempts that left something",
                different.len()
            ));
        }
    }
    violations
}

/// Thirty runs whose commands have this habit meet this fate, several at once.
fn meet(name: &str, habit: Habit, fate: Fate) {
    if skip(Need::Flock) || skip(Need::Bash) {
        return;
    }
    let found = violations_of(name, habit, fate, "").into_iter();
    let found: Vec<String> = found
        .map(|one| format!("{habit:?}, {fate:?}: {one}"))
        .collect();
    proof::holds("T6", CREW, &found);
}

fn violations_of(name: &str, habit: Habit, fate: Fate, bug: &str) -> Vec<String> {
    let mut rng = seeded(name);
    let crew = Crew::new(habit, fate);
    crew.live(&mut rng, bug);
    violations(&crew, fate)
}

#[test]
fn what_killed_shims_leave_is_gone_before_the_next_attempt() {
    meet("killed_shims", Habit::Family, Fate::ShimKilled);
}

#[test]
fn what_killed_commands_leave_is_gone_before_the_next_attempt() {
    meet("killed_commands", Habit::Family, Fate::CommandKilled);
}

#[test]
fn what_is_left_when_shim_and_command_are_killed_is_gone_before_the_next_attempt() {
    meet("both_killed", Habit::Family, Fate::BothKilled);
}

#[test]
fn what_is_left_when_shim_and_daemon_are_killed_is_gone_before_the_next_attempt() {
    meet("shim_and_daemon", Habit::Family, Fate::ShimAndDaemonKilled);
}

#[test]
fn what_is_left_when_command_shim_and_daemon_are_killed_is_gone_before_the_next_attempt() {
    meet("all_killed", Habit::Family, Fate::AllKilled);
}

#[test]
fn a_command_that_closed_its_descriptors_does_not_outlive_its_killed_shim() {
    meet("closes", Habit::Closes, Fate::ShimKilled);
    meet(
        "closes_without_daemon",
        Habit::Closes,
        Fate::ShimAndDaemonKilled,
    );
}

#[test]
fn what_a_shim_leaves_whose_file_was_removed_is_gone_before_the_next_attempt() {
    meet("without_file", Habit::Family, Fate::ShimKilledWithoutFile);
}

#[test]
fn what_successful_commands_leave_lives_on_and_their_shims_are_not_used_again() {
    meet("leaves", Habit::Leaves, Fate::Succeeds);
    meet("daemonises", Habit::Daemonises, Fate::Succeeds);
}

#[test]
fn what_failed_commands_leave_is_gone_before_the_next_attempt() {
    meet("leaves_and_fails", Habit::Leaves, Fate::Fails);
    meet("daemonises_and_fails", Habit::Daemonises, Fate::Fails);
}

#[test]
fn a_process_that_let_go_of_everything_does_not_outlive_a_lost_attempt() {
    meet(
        "daemonises_and_is_lost",
        Habit::Daemonises,
        Fate::ShimKilled,
    );
    meet("daemonises_and_all_die", Habit::Daemonises, Fate::AllKilled);
}

/// How often the daemon has read something.
fn reads(daemon: &Daemon) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", daemon.pid())).expect("it is there");
    let reads = io.lines().find_map(|line| line.strip_prefix("syscr: "));
    reads
        .and_then(|reads| reads.parse().ok())
        .expect("a number")
}

/// Its grace is long, and each look at it reads all of /proc.
#[test]
fn a_daemon_rests_while_something_of_a_lost_attempt_lives() {
    let home = Home::new();
    let daemon = home.daemon();
    let line = format!(
        "trap '' TERM; : >'{}'; sleep 600; exit",
        home.path("deaf").display()
    );
    let id = home.run(["--grace", "10m", "--max-failures", "0", "--shell", &line]);
    wait_until("it ignores SIGTERM", LONG, || home.path("deaf").exists());
    signal(shim(&home), Signal::SIGKILL);
    let lost = || daemon.errors().contains("ending what it left");
    wait_until("its shim is missed", LONG, lost);
    let processes = fs::read_dir("/proc").expect("/proc is there").count() as u64;
    wait_until("it looks only now and then", LONG, || {
        // A look reads a file or two of each process, twice.
        let many = reads(&daemon) + 10 * processes;
        !holds_within(Duration::from_secs(1), || reads(&daemon) > many)
    });
    assert_eq!(home.state(id), "running");
}

#[test]
fn the_checker_catches_leftovers_that_are_ignored() {
    if skip(Need::Flock) || skip(Need::Bash) {
        return;
    }
    for habit in [Habit::Family, Habit::Closes, Habit::Daemonises] {
        let bug = "ignores_leftovers";
        let violations = violations_of("ignored", habit, Fate::ShimKilled, bug);
        proof::catches("T6", bug, &violations, |one| one.contains(" finds "));
    }
}
