//! Rows 1 to 3: how fast a backlog is drained, and what that costs.
//!
//! What is drained is stored before. retrier: from the start of the first attempt to the ending of
//! the last one, as the database has them, in milliseconds; a line of its own counts from the start
//! of the daemon's process. litequeue: from the first that a worker took to the
//! last that was done, so that Python's start is not counted. task-spooler and nq: from the moment
//! when those that held the slots were let go until `tsp -w` or `nq -w` had ended; both hold a
//! process for each that waits, and look at all of them, so they get fewer: task-spooler 900, because
//! it can hold a thousand. pueue: from the first
//! start to the last end that it has noted itself. GNU parallel and xargs: the whole process. The
//! floor: two threads that posix_spawn and wait.

use crate::figures::{Contest, Line, Samples, Target, print_missing};
use crate::ground::Ground;
use crate::house::House;
use crate::peers::{self, Pueue, Spooler};
use crate::process::Process;
use crate::units::floor;

/// Stores so many lines and has them drained; how many a second, from the first start, and from that
/// of the daemon's process.
fn drain_twice(ground: &Ground, slots: usize, line: &str, runs: usize) -> [f64; 2] {
    let house = House::with_slots(ground, slots);
    house.submit_lines(&ground.lines(vec![line; runs]), &[]);
    let [begun, first, last] = house.drain();
    [first, begun].map(|from| runs as f64 / (last - from))
}

/// From the first start.
pub fn drain(ground: &Ground, slots: usize, line: &str, runs: usize) -> f64 {
    drain_twice(ground, slots, line, runs)[0]
}

/// Adds those that may be missing, each with as many runs as it can do; who is missing, and why.
fn add_peers<'a>(
    ground: &'a Ground,
    contest: &mut Contest<'a>,
    [runs, fewer, fewest, few]: [usize; 4],
) -> Vec<(&'static str, String)> {
    let mut missing = Vec::new();
    match peers::litequeue(ground) {
        Ok(mut drain) => contest.add("litequeue", move || drain(runs)),
        Err(why) => missing.push(("litequeue", why)),
    }
    match ground.tools.peer("tsp") {
        Ok(_) => contest.add("task-spooler", move || {
            let spooler = Spooler::new(ground, 2).expect("it is there");
            spooler.drain(fewer)
        }),
        Err(why) => missing.push(("task-spooler", why)),
    }
    match peers::nq(ground) {
        Ok(mut drain) => contest.add("nq", move || drain(fewest)),
        Err(why) => missing.push(("nq", why)),
    }
    match peers::parallel(ground) {
        Ok(mut drain) => contest.add("GNU parallel", move || drain(fewer)),
        Err(why) => missing.push(("GNU parallel", why)),
    }
    match ground.tools.peer("pueue") {
        Ok(_) => contest.add("pueue", move || {
            let pueue = Pueue::new(ground).expect("it is there");
            pueue.drain(few)
        }),
        Err(why) => missing.push(("pueue", why)),
    }
    missing
}

pub fn no_ops(ground: &Ground) {
    let runs = ground.pick(2000, 20);
    let [fewer, fewest] = [ground.pick(900, 10), ground.pick(300, 10)];
    let few = ground.pick(100, 2);
    let mut with_start = Samples::default();
    let mut contest = Contest::default();
    contest.add("retrier", || {
        let [from_first, from_process] = drain_twice(ground, 2, "true", runs);
        with_start.0.push(from_process);
        from_first
    });
    contest.add("floor", || floor(ground, &["true"], runs, 2));
    contest.add("xargs", || peers::xargs(ground, 2, "true", "1", runs));
    let missing = add_peers(ground, &mut contest, [runs, fewer, fewest, few]);
    let found = contest.run(ground.pick(5, 1));
    let retrier = &found["retrier"];
    for (name, count, target) in [
        ("floor", runs, Target::AtLeast(0.65)),
        ("xargs", runs, Target::None),
        ("litequeue", runs, Target::AtLeast(1.0)),
        ("task-spooler", fewer, Target::AtLeast(1.0)),
        ("nq", fewest, Target::None),
        ("GNU parallel", fewer, Target::AtLeast(4.0)),
        ("pueue", few, Target::AtLeast(50.0)),
    ] {
        let Some(peer) = found.get(name) else {
            continue;
        };
        Line {
            row: 1,
            what: &format!("drain {runs} no-op runs, two at once"),
            figure: retrier.spread("/s"),
            beside: format!("{name}, {count}: {}", peer.spread("/s")),
            ratio: retrier.per(peer),
            target,
        }
        .print();
    }
    Line {
        row: 1,
        what: "the same, from the start of the daemon's process",
        figure: with_start.spread("/s"),
        beside: format!("floor, {runs}: {}", found["floor"].spread("/s")),
        ratio: with_start.per(&found["floor"]),
        target: Target::None,
    }
    .print();
    for (name, why) in missing {
        print_missing(1, &format!("drain beside {name}"), &why);
    }
    sizes(ground);
}

/// A long backlog beside a short one.
fn sizes(ground: &Ground) {
    let [many, few] = [ground.pick(20_000, 40), ground.pick(1000, 20)];
    let mut contest = Contest::default();
    contest.add("many", || drain(ground, 2, "true", many));
    contest.add("few", || drain(ground, 2, "true", few));
    let found = contest.run(ground.pick(5, 1));
    Line {
        row: 1,
        what: &format!("drain {many} no-op runs"),
        figure: found["many"].spread("/s"),
        beside: format!("{few}: {}", found["few"].spread("/s")),
        ratio: found["many"].per(&found["few"]),
        target: Target::AtLeast(0.95),
    }
    .print();
}

/// What daemon and shims use of a processor for each run, from their start, and without what the
/// commands use; in microseconds.
pub fn processor_time(ground: &Ground) {
    let runs = ground.pick(2000, 20);
    let samples = (0..ground.pick(7, 1)).map(|_| {
        let mut house = House::with_slots(ground, 2);
        house.submit_lines(&ground.lines(vec!["true"; runs]), &[]);
        house.start(&[]);
        house.wait_all();
        let processes = house.processes();
        let used: f64 = processes.iter().map(Process::seconds).sum();
        used * 1e6 / runs as f64
    });
    let samples = Samples(samples.collect());
    Line {
        row: 2,
        what: "processor time of daemon and shims for each no-op run",
        figure: samples.spread("µs"),
        beside: "300 µs (stretch 200)".to_owned(),
        ratio: samples.times(1.0 / 300.0),
        target: Target::AtMost(1.0),
    }
    .print();
}

pub fn short_commands(ground: &Ground) {
    let runs = ground.pick(1000, 32);
    let mut contest = Contest::default();
    contest.add("retrier", || drain(ground, 16, "sleep 0.005", runs));
    contest.add("xargs", || peers::xargs(ground, 16, "sleep", "0.005", runs));
    contest.add("floor", || floor(ground, &["sleep", "0.005"], runs, 16));
    let found = contest.run(ground.pick(7, 1));
    for (name, target) in [("xargs", Target::AtLeast(0.85)), ("floor", Target::None)] {
        Line {
            row: 3,
            what: &format!("drain {runs} runs that sleep 5 ms, 16 at once"),
            figure: found["retrier"].spread("/s"),
            beside: format!("{name}: {}", found[name].spread("/s")),
            ratio: found["retrier"].per(&found[name]),
            target,
        }
        .print();
    }
}
