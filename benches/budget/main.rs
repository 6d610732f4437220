//! A guard that is not a clock: how many instructions and system calls an operation takes, against
//! the budgets in `budgets.tsv`. More than a budget fails, much less is a note that it can be lowered.
//!
//! `UPDATE_BUDGETS=1 cargo bench --bench budget` writes the budgets anew. Instructions are those of
//! user space (callgrind), system calls are counted by name (strace). Start reading at [`measure`];
//! [`ledger::Kind`] says how much more each may be.

#![expect(
    clippy::print_stdout,
    reason = "the tables are what this program is for"
)]

mod count;
mod ledger;
mod scene;

use std::env;
use std::process::ExitCode;

use count::{Counts, Owner, Seen};
use ledger::Ledger;
use scene::{Scene, Tools};

/// What a daemon drains once, and then twice as many, so that its start and its end drop out. Far from
/// so many that the write-ahead log would be written into the database.
const RUNS: usize = 20;

/// How often it does so. The least counts: when the machine is busy, an attempt takes long enough to be
/// reported while it runs, which is a pass more.
const ROUNDS: usize = 3;

/// How often all is measured again when it is too much.
const AGAIN: usize = 3;

/// The verb that stores a run and starts nobody.
const SUBMIT: [&str; 4] = ["run", "--no-daemon-start", "--", "true"];

/// Ends by itself, and does not forget what it has run.
const DAEMON: [&str; 4] = ["daemon", "--retention", "0", "--until-idle"];

fn main() -> ExitCode {
    if env::consts::ARCH != ledger::ARCH {
        println!(
            "nothing is compared: the budgets are those of {}",
            ledger::ARCH
        );
        return ExitCode::SUCCESS;
    }
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(missing) => {
            println!("error: {missing}");
            return ExitCode::FAILURE;
        }
    };
    let mut measured = Ledger {
        made_with: tools.versions(),
        operations: measure(&tools),
    };
    if env::var("UPDATE_BUDGETS").as_deref() == Ok("1") {
        measured.write();
    }
    for _ in 0..AGAIN {
        if ledger::compare(&Ledger::read(), &measured) {
            return ExitCode::SUCCESS;
        }
        println!("\nonce more: what a busy machine adds is not always there");
        for ((_, counts), (_, second)) in measured.operations.iter_mut().zip(measure(&tools)) {
            lesser_counts(counts, &second);
        }
    }
    if ledger::compare(&Ledger::read(), &measured) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// All operations, each with what it took.
fn measure(tools: &Tools) -> Vec<(String, Counts)> {
    let scene = Scene::new(tools);
    scene.call(&SUBMIT);
    let mut operations = vec![
        ("version".to_owned(), one(&scene, &["--version"])),
        ("submit".to_owned(), one(&scene, &SUBMIT)),
        ("status".to_owned(), one(&scene, &["status", "1"])),
    ];
    operations.extend(beside_a_daemon(tools));
    let mut runs = per_run(tools, count::instructions);
    for (owner, calls) in per_run(tools, count::system_calls) {
        runs.entry(owner).or_default().extend(calls);
    }
    for (owner, name) in [
        (Owner::Daemon, ledger::BY_RUN[0]),
        (Owner::Shim, ledger::BY_RUN[1]),
    ] {
        let counts = runs.remove(&owner).expect("both have worked");
        operations.push((name.to_owned(), counts));
    }
    operations
}

/// A verb that starts nothing, by both tools.
fn one(scene: &Scene<'_>, arguments: &[&str]) -> Counts {
    let mut counts = Counts::new();
    for count in [count::instructions, count::system_calls] {
        let mut seen = count(scene, arguments);
        counts.extend(seen.remove(&Owner::Client).expect("it was seen"));
    }
    counts
}

/// System calls alone: what a client does for one that holds the database beside it. The daemon may
/// start nothing, so that it rests when it has seen the run before, and the run stays unfinished.
fn beside_a_daemon(tools: &Tools) -> [(String, Counts); 2] {
    let scene = Scene::new(tools);
    scene.call(&["pool", "set", "default", "--parallel", "0"]);
    scene.call(&SUBMIT);
    let daemon = scene.serve();
    scene.call(&SUBMIT);
    daemon.hold();
    scene.call(&SUBMIT);
    let count = |arguments: &[&str]| {
        let mut seen = count::system_calls(&scene, arguments);
        seen.remove(&Owner::Client).expect("it was seen")
    };
    [
        ("submit to a daemon".to_owned(), count(&SUBMIT)),
        ("status beside a daemon".to_owned(), count(&["status", "1"])),
    ]
}

/// What one run more costs the daemon and the shim: each pass settles one and claims the next.
fn per_run(tools: &Tools, count: impl Fn(&Scene<'_>, &[&str]) -> Seen) -> Seen {
    let drain = |runs| {
        let scene = Scene::new(tools);
        scene.call(&["pool", "set", "default", "--parallel", "1"]);
        scene.store(runs);
        let seen = count(&scene, &DAEMON);
        scene.assert_succeeded(runs);
        seen
    };
    let least = |runs| (1..ROUNDS).fold(drain(runs), |seen, _| lesser(seen, &drain(runs)));
    let (once, mut twice) = (least(RUNS), least(2 * RUNS));
    for (owner, counts) in &mut twice {
        for (what, count) in counts {
            let before = once.get(owner).and_then(|counts| counts.get(what));
            *count = (*count - before.unwrap_or(&0.0)).max(0.0) / RUNS as f64;
        }
    }
    twice
}

/// The lesser of each two counts.
fn lesser(mut one: Seen, other: &Seen) -> Seen {
    for (owner, counts) in &mut one {
        lesser_counts(counts, &other[owner]);
    }
    one
}

fn lesser_counts(counts: &mut Counts, other: &Counts) {
    for (what, count) in counts {
        *count = count.min(*other.get(what).unwrap_or(&0.0));
    }
}
