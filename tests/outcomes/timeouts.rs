//! Timeouts end all that belongs to an attempt: what ignores SIGTERM, what stands still, what has left the group.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::faults::life::beside_each_other;
use crate::support::{Home, Process, holds_within, proof};

use super::only_attempt;

/// Much longer than any of them may take.
const LONG: Duration = Duration::from_secs(20);

/// A command that does not end by itself.
#[derive(Clone, Copy)]
struct Stubborn {
    /// Its processes append their pids to `$HOME/pids`; so many.
    line: &'static str,
    count: usize,
    /// How long it takes at least until it is gone, in ms: the timeout, or the grace too.
    least_ms: i64,
    /// Whether it writes down to `$HOME/asked` that it was asked to end.
    is_asked: bool,
}

/// The case is told by its line.
impl std::fmt::Debug for Stubborn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.line)
    }
}

/// Runs it with `--timeout 1s --grace 1s`. Gives what is wrong: the call has to give 124, and at this moment all of it
/// has to be gone.
fn violations(stubborn: &Stubborn, bug: &str) -> Vec<String> {
    let home = Home::new();
    let _daemon = home.daemon_with(&[], &[("RETRIER_BUG", bug)]);
    let limits = ["--timeout=1s", "--grace=1s", "--max-failures=0"];
    let call = home.retrier(["run", "--wait"].iter().chain(&limits));
    let mut call = call.arg("--shell").arg(stubborn.line).spawn();
    if !holds_within(LONG, || !call.is_running()) {
        return vec!["left: it does not end".to_owned()];
    }
    let code = call.wait().code;
    let mut left = home.processes();
    left.retain(|process: &Process| !process.is_daemon() && !process.is_shim());
    let mut found: Vec<String> = left.iter().map(|one| format!("left: {one:?}")).collect();
    if code != 124 {
        found.push(format!("exit {code}"));
    }
    let pids = fs::read_to_string(home.path("home/pids")).unwrap_or_default();
    if pids.lines().count() != stubborn.count {
        found.push(format!("not all had begun: {pids}"));
    }
    let alive = |pid: &&str| PathBuf::from(format!("/proc/{pid}")).exists();
    found.extend(
        pids.lines()
            .filter(alive)
            .map(|pid| format!("{pid} is still there")),
    );
    let attempt = only_attempt(&home, 1);
    if attempt["outcome"] != json!({ "type": "timeout" }) || home.state(1) != "failed" {
        found.push(format!("no timeout: {attempt}"));
    }
    let at = |field: &str| -> i64 {
        let text = attempt[field].as_str().expect("a time");
        let time: Timestamp = text.parse().expect("RFC 3339");
        time.as_millisecond()
    };
    let took_ms = at("ended_at") - at("started_at");
    if took_ms < stubborn.least_ms {
        found.push(format!("it took {took_ms} ms"));
    }
    let asked = fs::read_to_string(home.path("home/asked")).unwrap_or_default();
    if stubborn.is_asked && asked != "asked\n" {
        found.push(format!("it was asked {asked:?}"));
    }
    found.extend(home.doctor());
    found
}

#[track_caller]
fn assert_gone(stubborn: Stubborn) {
    let times = proof::repetitions(1, 10);
    let found = beside_each_other(vec![stubborn; times], |one| violations(one, ""));
    proof::holds("T19", times, &found);
}

#[test]
fn a_timeout_ends_a_shell_that_ignores_sigterm_after_the_grace() {
    assert_gone(Stubborn {
        line: "trap 'echo asked >>$HOME/asked' TERM; echo $$ >>$HOME/pids; while :; do sleep 0.1; done",
        count: 1,
        least_ms: 2000,
        is_asked: true,
    });
}

/// Neither of the two ends by SIGTERM.
const GROUP: Stubborn = Stubborn {
    line: "trap '' TERM; echo $$ >>$HOME/pids; sh -c 'echo $$ >>$HOME/pids; sleep 60; :' & sleep 60; :",
    count: 2,
    least_ms: 2000,
    is_asked: false,
};

#[test]
fn a_timeout_ends_a_whole_group_that_ignores_sigterm() {
    assert_gone(GROUP);
}

#[test]
fn the_test_of_timeouts_catches_a_shim_that_ends_leaders_alone() {
    let bug = "ends_leaders_alone";
    let found = violations(&GROUP, bug);
    proof::catches("T19", bug, &found, |one| one.starts_with("left: "));
}

#[test]
fn a_timeout_wakes_a_stopped_shell_so_that_it_can_end_in_order() {
    assert_gone(Stubborn {
        line: "trap 'echo asked >>$HOME/asked; exit 0' TERM; echo $$ >>$HOME/pids; kill -STOP $$; sleep 60",
        count: 1,
        least_ms: 1000,
        is_asked: true,
    });
}

#[test]
fn a_timeout_ends_a_shell_that_is_stopped_again_and_again() {
    assert_gone(Stubborn {
        line: "trap 'kill -STOP $$' TERM; echo $$ >>$HOME/pids; kill -STOP $$; while :; do sleep 0.1; done",
        count: 1,
        least_ms: 2000,
        is_asked: false,
    });
}

#[test]
fn a_timeout_ends_a_grandchild_in_a_session_of_its_own() {
    assert_gone(Stubborn {
        line: "setsid sh -c 'echo $$ >>$HOME/pids; sleep 60; :' & echo $$ >>$HOME/pids; wait",
        count: 2,
        least_ms: 1000,
        is_asked: false,
    });
}

#[test]
fn a_timeout_ends_an_orphan_that_left_the_session_and_stands_still() {
    assert_gone(Stubborn {
        // The shell between the two is gone at once, so that nobody but the shim is the parent.
        line: "(setsid sh -c 'trap \"\" TERM; exec >/dev/null 2>&1; echo $$ >>$HOME/pids; kill -STOP $$; sleep 60; :' &); \
            echo $$ >>$HOME/pids; sleep 60; :",
        count: 2,
        least_ms: 1000,
        is_asked: false,
    });
}
