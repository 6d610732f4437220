//! Row 10: what a daemon with nothing to do costs. It has run one command before, so that a shim is
//! there too, and has had time to let others go.

use std::time::Duration;

use crate::figures::{Line, Samples, Target, short};
use crate::ground::{Ground, pause};
use crate::history;
use crate::house::House;

pub fn rest(ground: &Ground) {
    of(ground, "empty", House::new(ground), 8.0);
    of(ground, "full", history::long(ground), 12.0);
}

/// What it costs in this database; `most` is how much memory the daemon may have, in MiB.
fn of(ground: &Ground, name: &str, mut house: House<'_>, most: f64) {
    let seconds = ground.pick(10, 1) as u64;
    house.start(&["--retention", "0"]);
    house.succeed(&["run", "--wait", "--", "true"]);
    pause(Duration::from_secs(seconds.min(7)));
    let processes = house.processes();
    let of_all =
        |what: fn(&crate::process::Process) -> u64| processes.iter().map(what).sum::<u64>();
    let before = [of_all(|one| one.switches()), of_all(|one| one.ticks())];
    pause(Duration::from_secs(seconds));
    let after = [of_all(|one| one.switches()), of_all(|one| one.ticks())];
    let line = |what: &str, figure: f64, unit: &str, most: f64| {
        Line {
            row: 10,
            what,
            figure: format!("{} {unit}", short(figure)),
            beside: format!("{} {unit}", short(most)),
            // Nothing beside nothing.
            ratio: Samples(vec![if most > 0.0 { figure / most } else { figure }]),
            target: Target::AtMost(most.min(1.0)),
        }
        .print();
    };
    let with = format!("daemon and shim idle for {seconds} s, database {name}");
    let switched = (after[0] - before[0]) as f64;
    line(&format!("{with}: wakeups"), switched, "", 0.0);
    let ticks = (after[1] - before[1]) as f64;
    line(&format!("{with}: processor time"), ticks, "ticks", 0.0);
    let memory = processes[0].number("status", "VmRSS:") as f64 / 1024.0;
    line(&format!("{with}: daemon's memory"), memory, "MiB", most);
    let own = processes[1].number("smaps_rollup", "Anonymous:") as f64;
    line(&format!("{with}: shim's own memory"), own, "KiB", 350.0);
}
