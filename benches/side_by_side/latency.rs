//! Rows 7 and 8: how long it takes from a call to its command, and from the end of a command to who
//! waits for it. The commands are this program, which tells what time it is through a named pipe:
//! what it needs to start itself counts for all contestants alike, and is measured too, as `direct`.
//! The daemon of each is up and at rest.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::client::{beyond_syncs, units_and_syncs};
use crate::figures::{Contest, Line, Samples, Target, print_missing};
use crate::ground::{Ground, pause, reap, succeed, wall};
use crate::helper::{Pipe, words};
use crate::house::House;
use crate::peers::{Pueue, Spooler};
use crate::units::Page;

/// Long enough for a client to fall asleep.
const SETTLE: Duration = Duration::from_millis(25);

pub fn starts(ground: &Ground) {
    let mut house = House::new(ground);
    house.start(&[]);
    // The first one starts the shim.
    house.succeed(&["run", "--wait", "--", "true"]);
    let folder = ground.fresh();
    let pipe = |name| Pipe::new(&folder, name);
    let [mut ours, mut direct, mut theirs, mut rare] = ["a", "b", "c", "d"].map(pipe);
    let mut page = Page::new(ground);
    let spooler = Spooler::new(ground, 1);
    let pueue = Pueue::new(ground);
    let mut contest = Contest::default();
    contest.add("fdatasync", || page.sync());
    contest.add("direct", || {
        let words = words(&["stamp", direct.path()]);
        until_start(ground.command(&words[0]).args(&words[1..]), &mut direct)
    });
    contest.add("retrier", || {
        let mut call = house.call(["run", "--"]);
        call.args(words(&["stamp", ours.path()]));
        let took = until_start(&mut call, &mut ours);
        house.wait_all();
        took
    });
    if let Ok(spooler) = &spooler {
        contest.add("tsp", || {
            let mut call = spooler.call(&["-n"]);
            call.args(words(&["stamp", theirs.path()]));
            let took = until_start(&mut call, &mut theirs);
            succeed(&mut spooler.call(&["-w"]));
            took
        });
    }
    if let Ok(pueue) = &pueue {
        contest.add("pueue", || {
            let mut call = pueue.call(&["add", "--"]);
            call.args(words(&["stamp", rare.path()]));
            let took = until_start(&mut call, &mut rare);
            pause(SETTLE);
            took
        });
    }
    let found = contest.run(ground.pick(250, 2));
    print_starts(&found, spooler.err(), pueue.err());
}

/// From before this call to the start of what it has been given.
fn until_start(call: &mut Command, pipe: &mut Pipe) -> f64 {
    let begun = wall();
    succeed(call);
    pipe.next() - begun
}

fn print_starts(
    found: &BTreeMap<&str, Samples>,
    no_spooler: Option<String>,
    no_pueue: Option<String>,
) {
    for (unit, syncs, target, missing) in [
        ("direct", 1.0, Target::None, None),
        ("tsp", 1.0, Target::AtMost(1.3), no_spooler),
        ("pueue", 0.0, Target::AtMost(0.05), no_pueue),
    ] {
        if let Some(why) = missing {
            print_missing(7, &format!("start beside {unit}"), &why);
            continue;
        }
        Line {
            row: 7,
            what: "from `retrier run` to the command's start",
            figure: found["retrier"].ms(),
            beside: units_and_syncs(found, syncs, unit),
            ratio: beyond_syncs(found, "retrier", syncs, unit),
            target,
        }
        .print();
    }
}

pub fn ends(ground: &Ground) {
    let mut house = House::new(ground);
    house.start(&[]);
    let folder = ground.fresh();
    let pipe = |name| Pipe::new(&folder, name);
    let [mut gate, mut ended, mut their_gate, mut their_end] = ["a", "b", "c", "d"].map(pipe);
    let mut page = Page::new(ground);
    let spooler = Spooler::new(ground, 1);
    let mut contest = Contest::default();
    contest.add("fdatasync", || page.sync());
    contest.add("retrier", || {
        let mut call = house.submission(&["--"]);
        call.args(words(&["gate", gate.path(), ended.path()]));
        let id = crate::ground::output(&mut call);
        let waiter = house.call(["wait", id.trim()]).spawn();
        pause(SETTLE);
        gate.open(1);
        reap(waiter.expect("it is there"));
        wall() - ended.next()
    });
    if let Ok(spooler) = &spooler {
        contest.add("tsp", || {
            let mut call = spooler.call(&["-n"]);
            succeed(call.args(words(&["gate", their_gate.path(), their_end.path()])));
            let waiter = spooler.call(&["-w"]).spawn();
            pause(SETTLE);
            their_gate.open(1);
            reap(waiter.expect("it is there"));
            wall() - their_end.next()
        });
    }
    let found = contest.run(ground.pick(250, 2));
    match spooler {
        Ok(_) => Line {
            row: 8,
            what: "from a command's end to the end of `retrier wait`",
            figure: found["retrier"].ms(),
            beside: units_and_syncs(&found, 1.0, "tsp"),
            ratio: beyond_syncs(&found, "retrier", 1.0, "tsp"),
            target: Target::AtMost(1.3),
        }
        .print(),
        Err(why) => print_missing(8, "`retrier wait` beside `tsp -w`", &why),
    }
}
