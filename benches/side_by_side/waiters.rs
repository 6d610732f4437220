//! Row 8, what waiting costs: the daemon's processor time while many wait for a run that goes on.

use std::fs;
use std::process::Child;
use std::time::Duration;

use retrier::clock;

use crate::figures::{Line, Samples, Target};
use crate::ground::{Ground, pause, reap};
use crate::helper::{Pipe, words};
use crate::house::House;
use crate::process::Process;

/// How many others end in a second, in a pool that starts no more.
const RATE: usize = 50;

/// Those who wait. What is left of them in the end is killed: it would start a daemon anew.
struct Waiters(Vec<Child>);

impl Drop for Waiters {
    fn drop(&mut self) {
        for waiter in &mut self.0 {
            drop(waiter.kill());
            drop(waiter.wait());
        }
    }
}

/// So many need more memory than every machine has.
fn count(ground: &Ground) -> usize {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = free.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let is_small = free.is_some_and(|kilobytes| kilobytes < 4 << 20);
    ground.pick(if is_small { 200 } else { 1000 }, 10)
}

/// The part of a processor that the daemon uses over a while.
fn part(ground: &Ground, house: &House<'_>) -> f64 {
    let daemon = Process(house.pid());
    let (begun, used) = (clock::monotonic(), daemon.seconds());
    pause(Duration::from_secs(ground.pick(10, 1) as u64));
    (daemon.seconds() - used) / begun.elapsed().as_secs_f64() * 100.0
}

/// The same while others end.
fn part_beside_others(ground: &Ground, house: &House<'_>) -> f64 {
    let runs = RATE * ground.pick(12, 2);
    house.submit_lines(&ground.lines(vec!["true"; runs]), &["--pool", "others"]);
    pause(Duration::from_millis(500));
    let part = part(ground, house);
    house.succeed(&["wait", "--all", "--pool", "others"]);
    part
}

pub fn cost(ground: &Ground) {
    let mut house = House::new(ground);
    let rate = format!("{RATE}/s");
    house.succeed(&["pool", "set", "others", "--parallel", "2", "--rate", &rate]);
    house.start(&[]);
    let folder = ground.fresh();
    let mut gate = Pipe::new(&folder, "gate");
    let mut ended = Pipe::new(&folder, "ended");
    let holder = words(&["gate", gate.path(), ended.path()]);
    let holder: Vec<&str> = ["--"]
        .into_iter()
        .chain(holder.iter().map(String::as_str))
        .collect();
    let id = house.submit(&holder);
    let before = [part(ground, &house), part_beside_others(ground, &house)];
    let waiters = (0..count(ground)).map(|_| house.call(["wait", &id]).spawn());
    let mut waiters = Waiters(waiters.map(|one| one.expect("there is room")).collect());
    pause(Duration::from_secs(ground.pick(5, 1) as u64));
    let with = [part(ground, &house), part_beside_others(ground, &house)];
    gate.open(1);
    ended.next();
    let count = waiters.0.len();
    waiters.0.drain(..).for_each(reap);
    let others = format!(", {RATE} others end in a second");
    for (at, more) in ["", &others].into_iter().enumerate() {
        Line {
            row: 8,
            what: &format!("{count} wait{more}: the daemon's part of a processor"),
            figure: Samples(vec![with[at]]).spread("%"),
            beside: format!(
                "20 % (nobody waits: {})",
                Samples(vec![before[at]]).spread("%")
            ),
            ratio: Samples(vec![with[at] / 20.0]),
            target: Target::AtMost(1.0),
        }
        .print();
    }
}
