//! Row 9: how late those start whose time has come.
//!
//! - *Together*: 20 runs that fail once and say themselves when they are to be retried, all at the
//!   same millisecond, 20 at once. The figure is by how much the latest of them, beside its place,
//!   is behind `k / floor`; the floor is that of the same command, two at a time.
//! - *Alone*: the commands tell when the first attempt ended and when the second one began, so what
//!   it takes to see an end and to start a process counts for both contestants. What is late of it is
//!   also given beside the place of the first, `1 / floor`, as of those that are due together; that
//!   floor is one at a time.
//! - *Many*: `--at` the same time, drained by a daemon that is up; from that time to the last
//!   ending. Beside it what is due at once when the daemon starts, as in row 1.

use crate::drain::drain;
use crate::figures::{Contest, Line, Samples, Target, print_missing};
use crate::ground::{Ground, wall};
use crate::helper::{Pipe, words};
use crate::house::House;
use crate::units::floor;

/// A time so many seconds from now, as seconds and as text.
fn later(seconds: f64) -> (f64, String) {
    let ms = ((wall() + seconds) * 1e3) as i64;
    let time = jiff::Timestamp::from_millisecond(ms).expect("it is soon");
    (ms as f64 / 1e3, time.to_string())
}

fn line(words: &[String]) -> String {
    shlex::try_join(words.iter().map(String::as_str)).expect("there is no NUL")
}

pub fn retries(ground: &Ground) {
    together(ground);
    alone(ground);
    many(ground);
}

fn together(ground: &Ground) {
    let count = ground.pick(20, 4);
    let mut house = House::with_slots(ground, count);
    house.start(&[]);
    let folder = ground.fresh();
    let mut pipe = Pipe::new(&folder, "pipe");
    let mut floors = Samples::default();
    let mut behind = Samples::default();
    for _ in 0..ground.pick(20, 1) {
        let stamp = words(&["stamp", pipe.path()]);
        let stamp: Vec<&str> = stamp.iter().map(String::as_str).collect();
        let rate = floor(ground, &stamp, 2 * count, 2);
        for _ in 0..2 * count {
            pipe.next();
        }
        let (due, text) = later(1.5);
        let lines = vec![line(&words(&["at", &text, pipe.path()])); count];
        house.submit_lines(&ground.lines(lines), &[]);
        // Of the first attempts.
        for _ in 0..count {
            pipe.next();
        }
        let mut starts: Vec<f64> = (0..count).map(|_| pipe.next()).collect();
        starts.sort_unstable_by(f64::total_cmp);
        let places = starts.iter().zip(1..);
        let late = places.map(|(start, place)| start - due - f64::from(place) / rate);
        floors.0.push(rate);
        behind.0.push(late.fold(f64::NEG_INFINITY, f64::max));
        house.wait_all();
    }
    Line {
        row: 9,
        what: &format!("{count} retries due together: the latest, behind k / floor"),
        figure: behind.ms(),
        beside: format!("2 ms (floor of this command: {})", floors.spread("/s")),
        ratio: behind.times(1.0 / 2e-3),
        target: Target::AtMost(1.0),
    }
    .print();
}

fn alone(ground: &Ground) {
    let mut house = House::new(ground);
    house.start(&[]);
    let folder = ground.fresh();
    let [mut ours, mut theirs, floors] = ["a", "b", "c"].map(|name| Pipe::new(&folder, name));
    let fails_once = |pipe: &Pipe| {
        let seen = ground.fresh().join("seen");
        words(&["once", seen.to_str().expect("text"), pipe.path()])
    };
    let retry = ground.tools.peer("retry");
    let mut contest = Contest::default();
    contest.add("retrier", || {
        let mut call = house.submission(&["--constant", "200ms", "--jitter", "0", "--"]);
        crate::ground::succeed(call.args(fails_once(&ours)));
        let late = -(ours.next() + 0.2 - ours.next());
        house.wait_all();
        late
    });
    if let Ok(retry) = &retry {
        let (theirs, fails_once) = (&mut theirs, &fails_once);
        contest.add("retry", move || {
            let mut call = ground.command(retry);
            call.args(["--delay", "1"]).args(fails_once(theirs));
            crate::ground::succeed(call.stderr(std::process::Stdio::null()));
            -(theirs.next() + 1.0 - theirs.next())
        });
    }
    let stamp = words(&["stamp", floors.path()]);
    let stamp: Vec<&str> = stamp.iter().map(String::as_str).collect();
    let starts = ground.pick(50, 2);
    let first = 1.0 / floor(ground, &stamp, starts, 1);
    let found = contest.run(ground.pick(200, 1));
    let retrier = &found["retrier"];
    let compare = |beside, ratio, most| {
        Line {
            row: 9,
            what: "a retry alone: how late",
            figure: retrier.ms(),
            beside,
            ratio: Samples(vec![ratio]),
            target: Target::AtMost(most),
        }
        .print();
    };
    let beside = format!("2 ms and 1 / floor, {:.2} ms: the median", first * 1e3);
    compare(beside, (retrier.median() - first) / 2e-3, 1.0);
    match retry {
        Ok(_) => {
            let retry = &found["retry"];
            let beside = format!("`retry -d 1`, p99: {}", retry.ms());
            compare(beside, retrier.p99() / retry.p99(), 2.0);
        }
        Err(why) => print_missing(9, "beside `retry -d 1`", &why),
    }
}

fn many(ground: &Ground) {
    let runs = ground.pick(2000, 20);
    let lines = ground.lines(vec!["true"; runs]);
    let mut contest = Contest::default();
    contest.add("due", || {
        // On a slow machine they are due before the daemon is up: then once more, with more time.
        let mut lead = ground.pick(3, 1) as f64;
        loop {
            let house = House::with_slots(ground, 2);
            let (due, text) = later(lead);
            house.submit_lines(&lines, &["--at", &text]);
            let [begun, first, last] = house.drain();
            if begun < due {
                assert!(first >= due, "one started too early");
                return runs as f64 / (last - due);
            }
            lead *= 2.0;
        }
    });
    contest.add("drain", || drain(ground, 2, "true", runs));
    let found = contest.run(ground.pick(7, 1));
    Line {
        row: 9,
        what: &format!("{runs} due at once"),
        figure: found["due"].spread("/s"),
        beside: format!("row 1: {}", found["drain"].spread("/s")),
        ratio: found["due"].per(&found["drain"]),
        // As fast; each is off by some percent.
        target: Target::AtLeast(0.95),
    }
    .print();
}
