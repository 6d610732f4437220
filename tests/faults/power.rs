//! The power of the disk is cut while clients work: what was told to somebody is still there afterwards.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{Home, Need, holds_within, proof, seeded, skip, wall_ns};

use super::load::{After, Books, Clients, Op, Record, violations};

const CLIENTS: usize = 8;
/// How many databases there are, and how often the power of each is cut.
const DISKS: usize = 4;
const DISKS_FULL: usize = 10;
const CUTS: usize = 5;
const LONG: Duration = Duration::from_secs(30);

/// The runs of a batch.
const BATCH: usize = 3;

/// A client that works until the power is cut.
fn client(clients: &Clients<'_>, mut rng: fastrand::Rng, cut: &AtomicBool) {
    let key = ["run", "--key", "key", "--lock", "lock", "--", "true"];
    let hook = [
        "run",
        "--pool",
        "mail",
        "--on-complete",
        "true",
        "--",
        "true",
    ];
    while !cut.load(Ordering::SeqCst) {
        let id = rng.choice(clients.ids());
        let text = id.map(|id| id.to_string()).unwrap_or_default();
        let (op, args): (Op, &[&str]) = match (rng.u8(..20), id) {
            (0..=3, _) => (
                Op::RunAndWait,
                &["run", "--wait", "--json", "--", "echo", "told"],
            ),
            (4..=5, Some(_)) => (Op::Wait, &["wait", "--json", &text]),
            (6..=7, Some(_)) => (Op::Look, &["status", "--json", &text]),
            (8, Some(_)) => (Op::Cancel, &["cancel", &text]),
            (9, Some(_)) => (Op::Cleanup, &["cleanup", &text]),
            (10..=11, _) => (Op::RunWithKey, &key),
            (12..=13, _) => (Op::Run, &hook),
            (14, _) => {
                let name = format!("batch-{}", rng.u64(..));
                let args = ["run", "--name", &name, "--batch", "-"];
                clients.make_batch(args, ("true\n".repeat(BATCH), BATCH), None);
                continue;
            }
            _ => (Op::Run, &["run", "--", "true"]),
        };
        let stores = matches!(op, Op::Run | Op::RunWithKey | Op::RunAndWait);
        let about = id.filter(|_| !stores);
        clients.make((op, about), args, None);
    }
}

/// What the caller of this knows, when the power was cut at `at`: as much as one that was killed.
fn before(at: i64, call: Record) -> Record {
    if call.t1 < at {
        return call;
    }
    let id = call.id.filter(|_| !call.is_submission());
    let (out, err) = (String::new(), String::new());
    Record {
        id,
        exit: 128 + 9,
        out,
        err,
        ..call
    }
}

/// The commands succeed, so nothing else becomes of a run that nobody has tried to cancel.
fn unexpected(told: &[Record], after: &After) -> Vec<String> {
    let canceled = |id| {
        told.iter()
            .any(|call| (call.op, call.id) == (Op::Cancel, Some(id)))
    };
    let wrong = after
        .runs
        .iter()
        .filter(|(id, run)| match run["state"].as_str() {
            Some("succeeded") => false,
            Some("canceled") => !canceled(**id),
            _ => true,
        });
    wrong
        .map(|(_, run)| format!("it has not succeeded: {run}"))
        .collect()
}

/// Batches of which only a part is there, and endings without one hook.
fn halves(told: &[Record], after: &After) -> Vec<String> {
    let forgotten = |id| {
        let mut calls = told.iter();
        calls.any(|call| (call.op, call.id) == (Op::Cleanup, Some(id)))
    };
    let mut found = Vec::new();
    let names = after.runs.values().filter_map(|run| run["name"].as_str());
    for name in names.collect::<BTreeSet<_>>() {
        let there = after.runs.values().filter(|run| run["name"] == name);
        let there: Vec<i64> = there.filter_map(|run| run["id"].as_i64()).collect();
        // Their numbers follow each other, and somebody may have forgotten some.
        let (first, last) = (there[0], there[there.len() - 1]);
        let gone = (last + 1 - BATCH as i64..first + BATCH as i64).filter(|id| forgotten(*id));
        if there.len() > BATCH || there.len() + gone.count() < BATCH {
            found.push(format!("of {name} these are there: {there:?}"));
        }
    }
    for (id, run) in &after.runs {
        let mut all = after.runs.values();
        let hooks = all.by_ref().filter(|hook| hook["parent_id"] == *id).count();
        let wanted = usize::from(run["pool"] == "mail");
        if hooks != wanted || run["hook_id"].is_null() != (wanted == 0) {
            found.push(format!("{hooks} hooks instead of {wanted}: {run}"));
        }
    }
    found
}

/// Cuts the power of one disk so often, and gives what was wrong after the first cut where something was.
fn cut_again_and_again(mut rng: fastrand::Rng, bug: &str) -> Vec<String> {
    let home = Home::at("disk/retrier.db");
    let disk = home.mount("disk", 16);
    let mut told: Vec<Record> = Vec::new();
    for nth in 0..CUTS {
        let clients = Clients::new(&home, bug);
        let cut = AtomicBool::new(false);
        // The first cut comes while the database is made, or right after that.
        let acknowledged = if nth == 0 {
            rng.usize(0..3)
        } else {
            rng.usize(0..60)
        };
        let more = Duration::from_millis(rng.u64(0..30));
        let at = thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let rng = rng.fork();
                scope.spawn(|| client(&clients, rng, &cut));
            }
            if nth > 0 {
                clients.make(
                    (Op::Logs, None),
                    &["pool", "set", "mail", "--parallel=3"],
                    None,
                );
            }
            let enough = || clients.ids().len() >= acknowledged;
            assert!(holds_within(LONG, enough), "the clients do nothing");
            holds_within(more, || false);
            let at = wall_ns();
            disk.cut_power();
            cut.store(true, Ordering::SeqCst);
            home.end_processes();
            at
        });
        home.end_processes();
        disk.power_on();
        told.extend(clients.calls().into_iter().map(|call| before(at, call)));
        let mut found = Vec::new();
        let after: Option<After> = clients.heal().map_err(|error| found.push(error)).ok();
        found.extend(after.iter().flat_map(|after| unexpected(&told, after)));
        found.extend(after.iter().flat_map(|after| halves(&told, after)));
        found.extend(violations(&Books {
            calls: told.clone(),
            written: None,
            codes: None,
            hooks: None,
            after,
        }));
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// Cuts the power of so many disks, two at a time.
fn cut_all(rng: &mut fastrand::Rng, disks: usize, bug: &str) -> Vec<String> {
    let rngs: Vec<fastrand::Rng> = (0..disks).map(|_| rng.fork()).collect();
    let halves = rngs.chunks(disks / 2);
    thread::scope(|scope| {
        let each = |rngs: &[fastrand::Rng]| -> Vec<String> {
            rngs.iter()
                .map(|rng| cut_again_and_again(rng.clone(), bug))
                .find(|found| !found.is_empty())
                .unwrap_or_default()
        };
        let threads: Vec<_> = halves.map(|rngs| scope.spawn(move || each(rngs))).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it does not panic"))
            .collect()
    })
}

#[test]
fn twenty_power_cuts_under_eight_clients_lose_nothing_that_was_told() {
    if skip(Need::LoopMount) {
        return;
    }
    let mut rng = seeded("power cuts");
    let disks = proof::repetitions(DISKS, DISKS_FULL);
    let found = cut_all(&mut rng, disks, "");
    proof::holds("T10", disks * CUTS, &found);
}

#[test]
fn power_cuts_catch_a_program_that_does_not_sync() {
    if skip(Need::LoopMount) {
        return;
    }
    let mut rng = seeded("power cuts without syncs");
    let bug = "no_sync";
    let found = cut_all(&mut rng, DISKS, bug);
    proof::catches("T10", bug, &found, |found| found.contains("is lost"));
}
