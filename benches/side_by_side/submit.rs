//! Rows 5 and 6: many clients at once, and many runs at once. The clients have a daemon, which they
//! ring, and their pool is paused, so that no drain disturbs them; a batch has none.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use retrier::clock;

use crate::figures::{Contest, Line, Samples, Target};
use crate::ground::{Ground, pause, reap, timed};
use crate::helper::at_once;
use crate::house::House;
use crate::process::Process;
use crate::units::inserts;

pub fn many_clients(ground: &Ground) {
    let [clients, each] = [ground.pick(64, 4), ground.pick(20, 2)];
    let serial = ground.pick(200, 4);
    let mut times = Samples::default();
    let mut alone = Samples::default();
    let mut house = House::new(ground);
    house.succeed(&["pool", "pause", "default"]);
    house.start(&[]);
    let submit = |_| timed(&mut house.call(["run", "--", "true"]));
    let mut contest = Contest::default();
    contest.add("at once", || {
        let begun = clock::monotonic();
        let found = at_once(clients, |_| -> Vec<f64> { (0..each).map(submit).collect() });
        let took = begun.elapsed().as_secs_f64();
        times.0.extend(found.into_iter().flatten());
        (clients * each) as f64 / took
    });
    contest.add("one by one", || {
        let found: Vec<f64> = (0..serial).map(submit).collect();
        let took: f64 = found.iter().sum();
        alone.0.extend(found);
        serial as f64 / took
    });
    let found = contest.run(ground.pick(7, 1));
    Line {
        row: 5,
        what: &format!("{clients} processes at once submit {each} each"),
        figure: format!("{}, one: {}", found["at once"].spread("/s"), times.ms()),
        beside: format!(
            "one by one: {}, one: {}",
            found["one by one"].spread("/s"),
            alone.ms()
        ),
        ratio: found["at once"].per(&found["one by one"]),
        target: Target::AtLeast(1.5),
    }
    .print();
}

/// Stores a file of lines. Gives how long it took, and the most memory that it had, in MiB.
fn batch(house: &House<'_>, lines: &Path) -> [f64; 2] {
    let mut call = house.submission(&["--batch"]);
    let begun = clock::monotonic();
    let child = call.arg(lines).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("the binary is there");
    let process = Process(child.id());
    let mut ids = child.stdout.take().expect("it is a pipe");
    let mut most = 0;
    // It prints only what is stored, and more than a pipe holds: it lives when it is looked at.
    while ids.read(&mut [0; 1 << 16]).expect("it prints") > 0 {
        most = most.max(process.find("status", "VmHWM:").unwrap_or(0));
    }
    reap(child);
    [begun.elapsed().as_secs_f64(), most as f64 / 1024.0]
}

pub fn many_lines(ground: &Ground) {
    let rows = ground.pick(100_000, 200);
    let lines = ground.lines(vec!["true"; rows]);
    let sample = House::with_slots(ground, 2);
    sample.submit_lines(&ground.lines(["true"]), &[]);
    let length = sample.length_of_a_run();
    let mut memory = Samples::default();
    let mut contest = Contest::default();
    contest.add("retrier", || {
        let house = House::with_slots(ground, 2);
        let [took, most] = batch(&house, &lines);
        memory.0.push(most);
        rows as f64 / took
    });
    contest.add("SQLite", || inserts(ground, rows, length));
    let found = contest.run(ground.pick(5, 1));
    let what = format!("a batch of {rows} lines, durable");
    Line {
        row: 6,
        what: &what,
        figure: found["retrier"].spread("/s"),
        beside: format!(
            "SQLite, rows of {length} bytes: {}",
            found["SQLite"].spread("/s")
        ),
        ratio: found["retrier"].per(&found["SQLite"]),
        target: Target::AtLeast(0.25),
    }
    .print();
    Line {
        row: 6,
        what: &format!("{what}: the client's memory"),
        figure: memory.spread("MiB"),
        beside: "64 MiB".to_owned(),
        ratio: memory.times(1.0 / 64.0),
        target: Target::AtMost(1.0),
    }
    .print();
    meanwhile(ground, &lines, &what);
}

/// Sets it when it goes, also by a failure: a thread that waits for it has to end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Another client submits one run after the other while a batch is stored.
fn meanwhile(ground: &Ground, lines: &Path, what: &str) {
    let mut longest = Samples::default();
    let mut batches = Samples::default();
    for _ in 0..ground.pick(5, 1) {
        let house = House::with_slots(ground, 2);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                pause(Duration::from_millis(20));
                let mut most: f64 = 0.0;
                while !over.load(Ordering::Relaxed) {
                    most = most.max(timed(&mut house.submission(&["--", "true"])));
                }
                most
            });
            let until_then = Over(&over);
            batches.0.push(batch(&house, lines)[0]);
            drop(until_then);
            longest.0.push(other.join().expect("it submits"));
        });
    }
    Line {
        row: 6,
        what: &format!("{what}: the longest submit of another client meanwhile"),
        figure: longest.spread("s"),
        beside: format!("the batch: {}", batches.spread("s")),
        ratio: longest.per(&batches),
        target: Target::AtMost(1.0),
    }
    .print();
}
