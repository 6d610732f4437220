//! Row 11: a command that writes much. retrier: from the start of the attempt to its ending, as the
//! database has them, in milliseconds; beside it the same command with a file as its output, from
//! posix_spawn to its end. Files are removed before the next turn. Memory is the most that daemon
//! and shim ever had, before the first of these and after the last; a run with 1 MiB of output went
//! before.

use std::fs::{self, File};
use std::time::Duration;

use crate::figures::{Contest, Line, Samples, Target};
use crate::ground::{Ground, pause, timed};
use crate::house::House;

/// Long enough for what was removed to be gone.
const SETTLE: Duration = Duration::from_millis(100);

/// How long an attempt took that wrote so many bytes.
fn write(house: &House<'_>, bytes: &str) -> f64 {
    let id = house.submit(&["--", "head", "-c", bytes, "/dev/zero"]);
    house.wait_all();
    let sql = format!("SELECT started_at, ended_at FROM attempt WHERE run_id = {id}");
    let [begun, ended] = house.look(&sql, |row| Ok([row.get(0)?, row.get(1)?]));
    house.succeed(&["cleanup", &id]);
    pause(SETTLE);
    ended - begun
}

pub fn much(ground: &Ground) {
    let bytes = ground.pick(1 << 28, 1 << 23).to_string();
    let mut house = House::new(ground);
    house.start(&[]);
    write(&house, "1048576");
    let peak = |house: &House<'_>| {
        let processes = house.processes().into_iter().take(2);
        let peaks = processes.map(|one| one.number("status", "VmHWM:") as f64 / 1024.0);
        peaks.collect::<Vec<_>>()
    };
    let before = peak(&house);
    let path = ground.fresh().join("output");
    let mut contest = Contest::default();
    contest.add("retrier", || write(&house, &bytes));
    contest.add("itself", || {
        let mut call = ground.command(ground.tools.must("head"));
        call.args(["-c", &bytes, "/dev/zero"]);
        let file = File::create(&path).expect("there is room");
        let took = timed(call.stdout(file));
        fs::remove_file(&path).expect("it was written");
        pause(SETTLE);
        took
    });
    let found = contest.run(ground.pick(9, 1));
    Line {
        row: 11,
        what: &format!("{bytes} bytes of output"),
        figure: found["retrier"].ms(),
        beside: format!("into a file: {}", found["itself"].ms()),
        ratio: found["retrier"].per(&found["itself"]),
        target: Target::AtMost(1.1),
    }
    .print();
    for ((name, before), after) in ["daemon", "shim"].into_iter().zip(before).zip(peak(&house)) {
        Line {
            row: 11,
            what: &format!("{bytes} bytes of output: the {name}'s memory"),
            figure: Samples(vec![after]).spread("MiB"),
            beside: format!("before: {}", Samples(vec![before]).spread("MiB")),
            ratio: Samples(vec![after / before]),
            target: Target::AtMost(1.01),
        }
        .print();
    }
}
