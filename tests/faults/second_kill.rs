//! A second kill, while the next daemon recovers from the first: the third one heals what both have left.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Need, proof, seeded, skip};

use super::life::{Harm, Life, OF_DAEMONS, OF_SHIMS, beside_each_other};

/// Two daemons that die, and maybe shims of theirs.
#[derive(Clone, Debug)]
struct Case {
    crashes: [String; 2],
    /// How many attempts of a run may be lost.
    may_lose: usize,
    /// Whether a daemon comes only when the shims of the one before are gone.
    rests: bool,
    seconds: f64,
}

impl Case {
    /// What is wrong afterwards; counts the daemons that have died.
    fn violations(&self, bug: &'static str, died: &AtomicUsize) -> Vec<String> {
        let mut life = Life::new(bug, self.seconds);
        life.may_lose(self.may_lose);
        for crash in &self.crashes {
            if life.dies(crash) {
                died.fetch_add(1, Ordering::Relaxed);
                if self.rests {
                    life.rest();
                }
            }
        }
        life.violations()
    }
}

/// Every pair of points of daemons, each at a random one of the times that it is reached; with half of them a shim
/// that dies too.
fn cases() -> Vec<Case> {
    let mut random = seeded("second kill");
    let mut cases = Vec::new();
    for first in OF_DAEMONS.repeat(proof::repetitions(1, 2)) {
        for second in OF_DAEMONS {
            let mut may_lose = 0;
            let crashes = [first, second].map(|point| {
                let often = [
                    "order_sent",
                    "pass_before_commit",
                    "pass_committed",
                    "report_received",
                ];
                let times = if often.contains(&point) { 3 } else { 1 };
                let daemon = format!("{point}:{}:kill", random.u32(1..=times));
                if random.bool() {
                    return daemon;
                }
                let (point, harm) = OF_SHIMS[random.usize(..OF_SHIMS.len())];
                may_lose += usize::from(harm != Harm::None);
                // Not the first attempt of a shim: no attempt at all would ever end.
                let nth = match point {
                    "shim_open_output" => 3,
                    "shim_left" => 1,
                    _ => 2,
                };
                format!("{daemon},{point}:{nth}:kill")
            });
            cases.push(Case {
                crashes,
                may_lose,
                rests: random.bool(),
                seconds: f64::from(random.u32(0..=1)) * 0.1,
            });
        }
    }
    cases
}

/// The outcome of an attempt that has ended without a daemon is in its shim's file, and nowhere else, until the next
/// daemon has committed it: in its first pass, or in its second when init has not yet reaped the shim.
fn kills_before_the_commit_of_an_outcome() -> Vec<Case> {
    let mut cases = Vec::new();
    for first in ["order_sent:1", "order_sent:2", "report_received:1"] {
        for second in ["pass_before_commit:1", "pass_before_commit:2"] {
            cases.push(Case {
                crashes: [first, second].map(|point| format!("{point}:kill")),
                may_lose: 0,
                rests: true,
                seconds: 0.0,
            });
        }
    }
    cases
}

#[test]
fn a_second_daemon_killed_anywhere_in_its_recovery_loses_nothing_more() {
    if skip(Need::Flock) {
        return;
    }
    let mut all = cases();
    all.extend(kills_before_the_commit_of_an_outcome());
    let pairs = all.len();
    let died = AtomicUsize::new(0);
    let found = beside_each_other(all, |case| case.violations("", &died));
    proof::holds("T4", pairs, &found);
    // Not every point is reached as often as the case would have it.
    let died = died.into_inner();
    assert!(died > 130, "{died} daemons have died");
}

#[test]
fn a_second_kill_catches_a_daemon_that_drops_the_evidence_before_its_commit() {
    if skip(Need::Flock) {
        return;
    }
    let cases = kills_before_the_commit_of_an_outcome();
    let died = AtomicUsize::new(0);
    let bug = "drops_evidence_early";
    let found = beside_each_other(cases, |case| case.violations(bug, &died));
    proof::catches("T4", bug, &found, |what| what.contains("\"lost\""));
}
