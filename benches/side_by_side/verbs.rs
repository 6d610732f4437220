//! Row 12: whole calls of each verb in a database with 1,000,000 runs that have ended, before the
//! window of `stats`, and 100,000 that back off, beside one with a page of each kind. A daemon is
//! up in both; the pool is paused, so that it starts nothing of what is stored.

use std::process::Stdio;

use crate::figures::{Line, Samples, Target};
use crate::ground::{Ground, timed};
use crate::history;
use crate::house::House;

/// Verbs that only look, `E` being a run that has ended.
const LOOKS: [&str; 14] = [
    "status E",
    "status --json E",
    "events E",
    "explain E",
    "logs E",
    "wait E",
    "list",
    "list --state failed",
    "list --state scheduled",
    "list --name name",
    "list --pool default",
    "stats",
    "pool list",
    "daemon status",
];

/// Verbs that change something, in this order, `N` being a run that was stored just now.
const CHANGES: [&str; 5] = [
    "run -- true",
    "cancel N",
    "retry N",
    "cancel N",
    "cleanup N",
];

/// A database, and a run in it that has ended.
struct Place<'g> {
    house: House<'g>,
    ended: String,
}

impl<'g> Place<'g> {
    fn new(mut house: House<'g>) -> Self {
        house.start(&["--retention", "0"]);
        let ended = house.submit(&["--", "echo", "said"]);
        house.succeed(&["wait", &ended]);
        house.succeed(&["pool", "pause", "default"]);
        Self { house, ended }
    }

    /// How long each verb takes.
    fn round(&self) -> Vec<f64> {
        let call = |verb: &str, run: &str| {
            let words = verb.split(' ').map(|word| match word {
                "E" | "N" => run,
                word => word,
            });
            // Notes are of no interest.
            timed(self.house.call(words).stderr(Stdio::null()))
        };
        let mut times: Vec<f64> = LOOKS.iter().map(|verb| call(verb, &self.ended)).collect();
        times.push(call(CHANGES[0], ""));
        let newest = self.house.output(&["list", "--limit", "1", "--json"]);
        let newest: serde_json::Value = serde_json::from_str(&newest).expect("it is JSON");
        let id = newest["id"].to_string();
        times.extend(CHANGES[1..].iter().map(|verb| call(verb, &id)));
        times
    }
}

pub fn all(ground: &Ground) {
    let page = Place::new(history::page(ground));
    let full = Place::new(history::long(ground));
    let verbs: Vec<&str> = LOOKS.into_iter().chain(CHANGES).collect();
    let mut samples = vec![[Samples::default(), Samples::default()]; verbs.len()];
    for round in 0..ground.pick(150, 1) {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let times = [&page, &full][which].round();
            for (sample, time) in samples.iter_mut().zip(times) {
                sample[which].0.push(time);
            }
        }
    }
    for (at, (verb, [small, big])) in verbs.iter().zip(&samples).enumerate() {
        if verbs[..at].contains(verb) {
            continue;
        }
        Line {
            row: 12,
            what: &format!("`retrier {verb}`, database full"),
            figure: big.ms(),
            beside: format!("empty: {}", small.ms()),
            ratio: Samples(vec![big.median() / small.median()]),
            target: Target::AtMost(1.3),
        }
        .print();
    }
}
