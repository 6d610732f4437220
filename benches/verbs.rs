//! Whole verbs, as somebody calls them: a process each, from its start to its end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use retrier::clock;

use crate::{Plan, Row, retrier};

/// The verbs, and whether each needs a page of runs of each kind.
const ALL: [(&str, bool); 7] = [
    ("status 3", false),
    ("stats", true),
    ("run --no-daemon-start -- true", false),
    ("list", true),
    ("list --state queued", true),
    ("list --state failed", true),
    ("list --pool default", true),
];

pub fn compare(plan: &Plan) -> Vec<Row> {
    let compare = |(verb, needs_page)| {
        let small = plan.database(if needs_page { "page" } else { "empty" });
        let full = plan.database("full");
        let (mut in_small, mut in_full) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds[1] {
            in_small.push(call(&small, verb));
            in_full.push(call(&full, verb));
        }
        Row::of_times(&format!("`retrier {verb}`"), &mut in_small, &mut in_full)
    };
    ALL.into_iter().map(compare).collect()
}

fn call(database: &Path, verb: &str) -> Duration {
    let mut command = retrier(database);
    command
        .args(verb.split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begun = clock::monotonic();
    let status = command.status().expect("the binary is there");
    let took = begun.elapsed();
    assert!(status.success(), "{verb}: {status}");
    took
}
