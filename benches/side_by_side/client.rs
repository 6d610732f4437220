//! Rows 4 and 13: what one call takes, from the start of its process to its end. A daemon is up and
//! at rest; what a call has stored has ended before the next contestant's turn.

use std::collections::BTreeMap;

use crate::figures::{Contest, Line, Samples, Target, print_missing, short};
use crate::ground::{Ground, succeed, timed};
use crate::house::House;
use crate::peers::Spooler;
use crate::units::{Page, bare_true};

/// A figure in so many times a unit, once so many syncs are taken off.
pub fn beyond_syncs(
    found: &BTreeMap<&str, Samples>,
    figure: &str,
    syncs: f64,
    unit: &str,
) -> Samples {
    let own = found[figure].median() - syncs * found["fdatasync"].median();
    Samples(vec![own / found[unit].median()])
}

/// How [`beyond_syncs`] is written in the table.
pub fn units_and_syncs(found: &BTreeMap<&str, Samples>, syncs: f64, unit: &str) -> String {
    let sync = found["fdatasync"].median() * 1e3;
    let (unit_ms, sync) = (found[unit].ms(), short(sync));
    format!("{unit}: {unit_ms}, after {syncs} fdatasync of {sync} ms")
}

pub fn submission(ground: &Ground) {
    let mut house = House::new(ground);
    house.start(&[]);
    let mut page = Page::new(ground);
    let spooler = Spooler::new(ground, 1);
    let mut contest = Contest::default();
    contest.add("retrier", || {
        let took = timed(&mut house.call(["run", "--", "true"]));
        house.wait_all();
        took
    });
    contest.add("true", bare_true(ground));
    contest.add("fdatasync", || page.sync());
    if let Ok(spooler) = &spooler {
        contest.add("tsp", || {
            let took = timed(&mut spooler.call(&["-n", "true"]));
            succeed(&mut spooler.call(&["-w"]));
            took
        });
    }
    let found = contest.run(ground.pick(250, 2));
    for (unit, target) in [("true", 3.0), ("tsp", 1.3)] {
        if !found.contains_key(unit) {
            continue;
        }
        Line {
            row: 4,
            what: "one `retrier run -- true`",
            figure: found["retrier"].ms(),
            beside: units_and_syncs(&found, 1.0, unit),
            ratio: beyond_syncs(&found, "retrier", 1.0, unit),
            target: Target::AtMost(target),
        }
        .print();
    }
    if let Err(why) = spooler {
        print_missing(4, "one `retrier run -- true` beside `tsp -n true`", &why);
    }
}

pub fn whole_calls(ground: &Ground) {
    let mut house = House::new(ground);
    house.start(&[]);
    let mut page = Page::new(ground);
    let mut contest = Contest::default();
    contest.add("version", || timed(&mut house.call(["--version"])));
    contest.add("run --wait", || {
        timed(&mut house.call(["run", "--wait", "--", "true"]))
    });
    contest.add("true", bare_true(ground));
    contest.add("fdatasync", || page.sync());
    let found = contest.run(ground.pick(250, 2));
    for (name, what, syncs, target) in [
        ("version", "`retrier --version`", 0.0, 2.0),
        ("run --wait", "`retrier run --wait -- true`", 2.0, 4.5),
    ] {
        Line {
            row: 13,
            what,
            figure: found[name].ms(),
            beside: units_and_syncs(&found, syncs, "true"),
            ratio: beyond_syncs(&found, name, syncs, "true"),
            target: Target::AtMost(target),
        }
        .print();
    }
}
