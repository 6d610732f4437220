//! Cancels in the instant in which an attempt starts, ends or is due again: from the exit code 0 of `cancel` on the run
//! is canceled, or it exits with 4 because the run had ended. Nobody ever sees anything else.

mod arena;

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::crash::tools::{
    LONG, closed, commands, numbers, outcomes, shim, signal, wait_until_no_command,
    wait_until_state,
};
use crate::support::{Home, Journal, Need, proof, seeded, skip};
use arena::{ALL, Arena, Instant, Look, RACES, Race, Widened, is_quiet};

/// Whatever nobody may ever see.
fn violations(arena: &Arena, races: &[Race], looks: &[Look]) -> Vec<String> {
    let mut violations = arena.home.doctor();
    let alive = arena.lines("alive");
    violations.extend(alive.iter().map(|who| format!("not alone: {who}")));
    let last = looks.last().expect("there was a look");
    let unquiet = last.values().filter(|run| !is_quiet(run));
    violations.extend(unquiet.map(|run| format!("never quiet: {run}")));
    let left = commands(&arena.home);
    violations.extend(left.iter().map(|process| format!("left: {process:?}")));
    let hooks = arena.lines("hooks");
    for race in races {
        let started = arena.started(race.id);
        let found = told(race).into_iter().chain(flips(race, looks));
        let found = found.chain(late_attempts(race, looks, &started));
        let found = found.chain(hook_faults(race, looks, &hooks));
        violations.extend(found.map(|found| format!("{race}: {found}")));
    }
    violations
}

/// What the callers were told, and what the next status says.
fn told(race: &Race) -> Option<String> {
    let state = race.first["state"].as_str().unwrap_or_default();
    let agrees = match race.codes[0] {
        0 => state == "canceled",
        4 => ["succeeded", "failed"].contains(&state),
        _ => false,
    };
    let one_mind = race.codes.iter().all(|code| *code == race.codes[0]);
    (!agrees || !one_mind).then(|| "cancel does not say what status says".to_owned())
}

/// Later looks that tell of another ending.
fn flips(race: &Race, looks: &[Look]) -> Option<String> {
    let differs = |run: &&Value| {
        let mut fields = ["state", "result", "finished_at", "hook_id"].into_iter();
        fields.any(|field| run[field] != race.first[field])
    };
    let mut later = looks
        .iter()
        .map(|look| look.get(&race.id).unwrap_or(&Value::Null));
    later.find(differs).map(|run| format!("flipped to {run}"))
}

/// Attempts that were not there when the ending was told.
fn late_attempts(race: &Race, looks: &[Look], started: &BTreeSet<i64>) -> Option<String> {
    let known = numbers(&race.first);
    let mut all = started.clone();
    all.extend(looks.iter().flat_map(|look| numbers(&look[&race.id])));
    let late: Vec<_> = all
        .into_iter()
        .filter(|number| !known.contains(number))
        .collect();
    (!late.is_empty()).then(|| format!("attempts {late:?} after the ending"))
}

/// Not one hook, or not one that was told of this ending.
fn hook_faults(race: &Race, looks: &[Look], told: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for look in looks {
        let mine = look.values().filter(|run| run["parent_id"] == race.id);
        let mine: Vec<&Value> = mine.map(|run| &run["id"]).collect();
        if mine != [&race.first["hook_id"]] {
            faults.push(format!("hooks {mine:?}"));
        }
    }
    let told = told.iter().filter_map(|line| line.split_once(' '));
    let told: Vec<_> = told.filter(|(id, _)| *id == race.id.to_string()).collect();
    let result = race.first["result"]["type"].as_str().unwrap_or_default();
    if told.iter().map(|(_, result)| *result).ne([result]) {
        faults.push(format!("hook was told {told:?}"));
    }
    faults
}

/// Races around `instant`; gives the violations, and how many cancels came in time.
fn race(
    rng: &mut fastrand::Rng,
    instant: Instant,
    widened: Widened,
    bug: &str,
) -> (Vec<String>, usize) {
    let arena = Arena::new(instant, widened);
    let (races, daemon) = match widened {
        Widened::NoDaemon => arena.race_alone(rng),
        _ => arena.race(rng, bug),
    };
    assert_eq!(races.len(), RACES);
    let limit = if bug.is_empty() {
        LONG
    } else {
        Duration::from_secs(2)
    };
    let looks = arena.looks(daemon, limit);
    let in_time = races
        .iter()
        .filter(|race| race.codes == [0] || race.codes == [0, 0]);
    (violations(&arena, &races, &looks), in_time.count())
}

/// A hundred races around `instant`, each fifth of them widened in another way.
fn assert_cancel_holds(name: &str, instant: Instant) {
    if skip(Need::Flock) {
        return;
    }
    let mut rng = seeded(name);
    let mut all_in_time = 0;
    for widened in ALL.repeat(proof::repetitions(1, 7)) {
        let (violations, in_time) = race(&mut rng, instant, widened, "");
        all_in_time += in_time;
        let found = violations.iter().map(|one| format!("{widened:?}: {one}"));
        proof::holds("T20", RACES, &found.collect::<Vec<_>>());
    }
    assert!(all_in_time > 0, "every cancel came too late");
}

#[test]
fn a_cancel_in_the_instant_of_the_start_holds() {
    assert_cancel_holds("a_cancel_in_the_instant_of_the_start_holds", Instant::Start);
}

#[test]
fn a_cancel_in_the_instant_of_the_end_holds_or_comes_too_late() {
    let name = "a_cancel_in_the_instant_of_the_end_holds_or_comes_too_late";
    assert_cancel_holds(name, Instant::End);
}

#[test]
fn a_cancel_in_the_instant_of_a_retry_holds() {
    assert_cancel_holds("a_cancel_in_the_instant_of_a_retry_holds", Instant::Retry);
}

/// Its shim has the order and the wish to end it, and finds both when it goes on.
#[test]
fn a_command_that_had_not_started_when_its_run_was_canceled_never_starts() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    // If it started after all, it would have the time to say so.
    let _daemon = home.daemon_with(&[], &[("RETRIER_CRASH", "shim_spawned:2:sleep=700")]);
    let warm = home.run(["--", "true"]);
    assert_eq!(home.wait(warm), 0);
    let pid = shim(&home);
    signal(pid, Signal::SIGSTOP);
    let id = home.run(["--forever", "--shell", &journal.line("sleep 600; exit")]);
    wait_until_state(&home, id, "running");
    home.retrier(["cancel", &id.to_string()]).output().ok();
    // The pass that starts this one, or one before it, tells the shim.
    let later = home.run(["--", "true"]);
    assert_eq!(home.wait(later), 0);
    signal(pid, Signal::SIGCONT);
    let document = closed(&home, id);
    assert_eq!(document["state"], "canceled");
    assert_eq!(outcomes(&document), ["canceled"]);
    assert!(journal.starts(id).is_empty(), "it has started");
    wait_until_no_command(&home);
}

#[test]
fn the_checker_catches_a_cancel_that_can_flip() {
    if skip(Need::Flock) {
        return;
    }
    let mut rng = seeded("the_checker_catches_a_cancel_that_can_flip");
    let bug = "cancel_can_flip";
    let (violations, in_time) = race(&mut rng, Instant::End, Widened::No, bug);
    assert!(in_time > 0, "no attempt was canceled");
    // Before the first look, or after it.
    let words = ["cancel does not say what status says", "flipped to"];
    let flips = |one: &str| words.iter().any(|word| one.contains(word));
    proof::catches("T20", bug, &violations, flips);
}
