//! The daemon and the shims killed, stopped, and failing at every failpoint, each time that it is reached in a life.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Home, Need, proof, skip};

use super::client_points;
use super::life::{Harm, Life, OF_DAEMONS, OF_SHIMS, beside_each_other};

/// More times than any point is reached in a life.
const MANY: u32 = 30;

/// How often everything is done in the full lane.
const ROUNDS: usize = 5;

/// Lets daemons meet this fate at every point, the first, the second, … time until one survives. Gives how many did
/// not, and what was wrong.
fn fates(
    bug: &'static str,
    points: &[&str],
    fate: fn(&Life, &str) -> bool,
) -> (usize, Vec<String>) {
    let times = AtomicUsize::new(0);
    let rounds = 0..proof::repetitions(1, ROUNDS) as u32;
    let cases = rounds.flat_map(|round| points.iter().map(move |point| (round, point)));
    let found = beside_each_other(cases, |(round, point)| {
        let mut found = Vec::new();
        for nth in 1..MANY {
            // In turn, the next daemon finds an attempt that is under way, and one that has ended.
            let life = Life::new(bug, f64::from((nth + round) % 2) * 0.1);
            let met = fate(&life, &format!("{point}:{nth}"));
            found.extend(life.violations());
            times.fetch_add(usize::from(met), Ordering::Relaxed);
            if !met {
                let reached = nth > 1;
                found.extend((!reached).then(|| "it was not reached".to_owned()));
                return found;
            }
        }
        found.push("it is reached too often".to_owned());
        found
    });
    (times.into_inner(), found)
}

fn killed(life: &Life, point: &str) -> bool {
    life.dies(&format!("{point}:kill"))
}

fn stopped(life: &Life, point: &str) -> bool {
    life.stands_still(&format!("{point}:stop"))
}

#[test]
fn a_daemon_killed_anywhere_loses_nothing_and_charges_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let (times, found) = fates("", &OF_DAEMONS, killed);
    proof::holds("T3", times, &found);
}

#[test]
fn a_daemon_that_stops_anywhere_and_is_killed_later_loses_nothing_and_charges_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let (times, found) = fates("", &OF_DAEMONS, stopped);
    proof::holds("T3", times, &found);
}

#[test]
fn the_kill_of_daemons_catches_one_that_forgets_living_shims() {
    if skip(Need::Flock) {
        return;
    }
    let bug = "forgets_living_shims";
    let (_, found) = fates(bug, &["order_sent"], killed);
    proof::catches("T3", bug, &found, |what| what.contains("started were"));
}

/// Kills shims at a point: each one that comes to its second attempt, and the first one at its first. A shim that dies
/// at its first attempt is not the last, so its daemon is killed after some passes.
fn kill_shims(bug: &'static str, points: &[(&str, Harm)]) -> (usize, Vec<String>) {
    let cases = points.repeat(proof::repetitions(1, ROUNDS));
    let cases = cases.iter().flat_map(|(point, harm)| {
        let second = if *point == "shim_open_output" { 3 } else { 2 };
        let first = format!("{point}:1:kill,pass_committed:3:kill");
        [(first, *harm), (format!("{point}:{second}:kill"), *harm)]
    });
    let cases: Vec<_> = cases.collect();
    let times = cases.len();
    let found = beside_each_other(cases, |(crash, harm)| {
        let mut life = Life::new(bug, 0.0);
        life.may_lose(if *harm == Harm::None { 0 } else { 2 });
        life.dies(crash);
        let mut found = life.violations();
        let lost = life.lost();
        let right = match harm {
            Harm::None => lost.is_empty(),
            Harm::LostUnstarted => {
                !lost.is_empty() && lost.iter().all(|told| *told == (false, false))
            }
            Harm::Lost => !lost.is_empty(),
            Harm::LostEnded => !lost.is_empty() && lost.iter().all(|told| *told == (true, true)),
        };
        found.extend((!right).then(|| format!("{harm:?}, and lost were {lost:?}")));
        found
    });
    (times, found)
}

#[test]
fn a_shim_killed_anywhere_charges_nothing_that_has_not_started_and_repeats_nothing_that_ended() {
    if skip(Need::Flock) {
        return;
    }
    let (times, found) = kill_shims("", &OF_SHIMS);
    proof::holds("T3", times, &found);
}

#[test]
fn the_kill_of_shims_catches_one_that_does_not_record_the_start() {
    if skip(Need::Flock) {
        return;
    }
    let bug = "no_starting_record";
    let (_, found) = kill_shims(bug, &[("shim_spawned", Harm::Lost)]);
    proof::catches("T3", bug, &found, |what| what.contains("started were"));
}

/// Shims that stand still at a point, under a daemon that dies first, and then die too.
#[test]
fn a_shim_that_stops_anywhere_and_is_killed_after_its_daemon_repeats_nothing_that_ended() {
    if skip(Need::Flock) {
        return;
    }
    let cases = OF_SHIMS.repeat(proof::repetitions(1, ROUNDS));
    let times = cases.len();
    let found = beside_each_other(cases, |(point, harm)| {
        let mut life = Life::new("", 0.0);
        life.may_lose(usize::from(*harm != Harm::None));
        life.shim_stands_still(&format!("{point}:1:stop"));
        life.violations()
    });
    proof::holds("T3", times, &found);
}

/// Every error that can occur at a point. The same daemon goes on and does the rest; a shim that cannot go on may lose
/// its attempt, as one that is killed.
#[test]
fn an_error_anywhere_loses_nothing_and_ends_no_daemon() {
    if skip(Need::Flock) {
        return;
    }
    let cases = [
        "daemon_start_shim:1:err=EMFILE",
        "daemon_start_shim:1:err=EAGAIN",
        "daemon_start_shim:1:err=ENOSPC",
        "pass_before_commit:1:err=EIO",
        "pass_before_commit:2:err=EIO",
        "pass_before_commit:2:err=ENOSPC",
        "pass_before_commit:3:err=ENOSPC",
        "pass_committed:1:err=EIO",
        "pass_committed:2:err=EIO",
        "pass_committed:3:err=EIO",
        "report_received:1:err=EIO",
        "report_received:2:err=EIO",
        "report_received:3:err=EIO",
        "retired:1:err=EIO",
        "retiring:1:err=EIO",
        "store_sync:1:err=EIO",
        "trash_before_commit:1:err=EIO",
        "trash_before_commit:1:err=ENOSPC",
        "shim_before_starting:2:err=EIO",
        "shim_decided:1:err=EIO",
        "shim_deciding:1:err=EIO",
        "shim_open_output:1:err=ENOSPC",
        "shim_open_output:2:err=EMFILE",
        "shim_spawning:1:err=EAGAIN",
        "shim_spawning:2:err=ENOSPC",
        "shim_reported:2:err=EIO",
        "shim_left:1:err=EIO",
    ];
    let losing = ["starting", "spawned", "running", "ended"];
    let losing = losing.map(|point| format!("shim_{point}:2:err=EIO"));
    let cases = cases.into_iter().map(|case| (case.to_owned(), 0));
    let cases: Vec<_> = cases.chain(losing.map(|case| (case, 1))).collect();
    let cases = vec![cases; proof::repetitions(1, ROUNDS)].concat();
    let times = cases.len();
    let found = beside_each_other(cases, |(crash, may_be_lost)| {
        let mut life = Life::new("", 0.0);
        life.may_lose(*may_be_lost);
        let said = life.survives(crash);
        let mut found = life.violations();
        let errors = ["os error", "is full", "put/output error", "No space left"];
        if !errors.iter().any(|error| said.contains(error)) {
            found.push(format!("it was not reached: {said}"));
        }
        found
    });
    proof::holds("T3", times, &found);
}

/// Every failpoint of the sources is one that a test here reaches.
#[test]
fn no_failpoint_is_forgotten() {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the sources can be read") {
            let path = entry.expect("the sources can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source is UTF-8");
            let calls = text.split("failpoint::reach(\"").skip(1);
            found.extend(calls.filter_map(|call| Some(call.split_once('"')?.0.to_owned())));
        }
    }
    let of_shims = OF_SHIMS.iter().map(|(point, _)| *point);
    let known: BTreeSet<String> = OF_DAEMONS
        .into_iter()
        .chain(of_shims)
        .chain(client_points::ALL)
        // Reached by ticks alone, which are killed there in `tests/ticks.rs`.
        .chain(["tick_leaving"])
        .map(str::to_owned)
        .collect();
    assert_eq!(known, found);
}

/// A daemon may be the one that makes the database.
#[test]
fn a_daemon_killed_while_it_makes_the_database_leaves_one_that_works() {
    let home = Home::new();
    let daemon = home.retrier(["daemon"]).crash("store_migrating:1:kill");
    daemon.output().exits(137);
    let id = home.run(["--no-daemon-start", "--", "true"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert_eq!(home.state(id), "succeeded");
}
