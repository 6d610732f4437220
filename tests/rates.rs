//! Rates: the attempts of a pool start evenly spaced, also over restarts, and nobody polls for that.

use std::fs;

use crate::crash::tools::{LONG, millis};
use crate::support::{Home, wait_until, wall_ns};

fn set_pool(home: &Home, args: &[&str]) {
    let call = home.retrier(["pool", "set"].iter().chain(args));
    call.output().ok();
}

/// When the attempts of these runs were started by the daemon, in milliseconds, in order.
fn starts(home: &Home, ids: &[i64]) -> Vec<i64> {
    times(home, ids, "started")
}

/// When this has happened to these runs, in milliseconds, in order.
fn times(home: &Home, ids: &[i64], kind: &str) -> Vec<i64> {
    let mut times = Vec::new();
    for id in ids {
        let told = home
            .retrier(["events", "--json", &id.to_string()])
            .output()
            .ok();
        for line in told.text().lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            if event["kind"] == kind {
                times.push(millis(&event["at"]));
            }
        }
    }
    times.sort_unstable();
    times
}

#[track_caller]
fn assert_spaced(starts: &[i64], least_ms: i64) {
    for pair in starts.windows(2) {
        assert!(pair[1] - pair[0] >= least_ms, "{starts:?}");
    }
}

#[test]
fn starts_are_spaced_through_kills_of_the_daemon() {
    let home = Home::new();
    set_pool(&home, &["api", "--rate", "10/1s"]);
    let ids: Vec<i64> = (0..35)
        .map(|_| home.run(["--no-daemon-start", "--pool", "api", "--", "true"]))
        .collect();
    let mut daemon = home.daemon();
    for done in [8, 16, 24] {
        wait_until("some have started", LONG, || {
            starts(&home, &ids[..]).len() >= done
        });
        daemon.kill9();
        daemon = home.daemon();
    }
    for id in &ids {
        assert_eq!(home.wait(*id), 0);
    }
    let starts = starts(&home, &ids);
    // A daemon that was killed before its order was on the way has used up a start as well.
    let in_vain = times(&home, &ids, "never_started").len();
    assert_eq!(starts.len(), 35 + in_vain);
    assert_spaced(&starts, 100);
}

#[test]
fn retries_count_as_starts() {
    let home = Home::new();
    set_pool(&home, &["api", "--rate", "5/1s"]);
    let _daemon = home.daemon();
    let options = ["--pool", "api", "--constant", "0", "--max-failures", "2"];
    let ids: Vec<i64> = (0..3)
        .map(|_| home.run(options.into_iter().chain(["--", "false"])))
        .collect();
    for id in &ids {
        assert_eq!(home.wait(*id), 1);
    }
    let starts = starts(&home, &ids);
    assert_eq!(starts.len(), 9);
    assert_spaced(&starts, 200);
}

#[test]
fn a_burst_comes_at_once_and_the_rest_evenly() {
    let home = Home::new();
    set_pool(&home, &["api", "--rate", "1/2s", "--burst", "4"]);
    let ids: Vec<i64> = (0..6)
        .map(|_| home.run(["--no-daemon-start", "--pool", "api", "--", "true"]))
        .collect();
    let _daemon = home.daemon();
    for id in &ids {
        assert_eq!(home.wait(*id), 0);
    }
    let starts = starts(&home, &ids);
    assert!(starts[4] - starts[0] >= 2000, "{starts:?}");
    assert!(starts[5] - starts[0] >= 4000, "{starts:?}");
    // Of a rate without a burst the fourth would come six seconds later.
    assert!(starts[3] - starts[0] < 6000, "{starts:?}");
}

/// How often the process has given up its processor to wait for something.
fn waits(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let number = line.and_then(|line| line.trim().parse().ok());
    number.expect("Linux counts them")
}

#[test]
fn a_run_that_waits_for_its_rate_says_so_and_nobody_polls() {
    let home = Home::new();
    set_pool(&home, &["slow", "--rate", "1/1h"]);
    let daemon = home.daemon();
    let first = home.run(["--pool", "slow", "--", "true"]);
    assert_eq!(home.wait(first), 0);
    let second = home.run(["--pool", "slow", "--", "true"]);
    wait_until("it says so", LONG, || {
        let said = home.retrier(["explain", &second.to_string()]).output().ok();
        said.text()
            .contains("the pool slow is at its rate: its next start comes at ")
    });
    let said = home
        .retrier(["explain", "--json", &second.to_string()])
        .output();
    let said = said.ok().json();
    assert_eq!(said["blocked_by"]["why"], "limited");
    let first = starts(&home, &[first]);
    assert_eq!(millis(&said["blocked_by"]["until"]) - first[0], 3_600_000);
    daemon.await_rest();
    let slept = (0..5).any(|_| {
        let before = waits(daemon.pid());
        let until = wall_ns() + 1_000_000_000;
        wait_until("a second has passed", LONG, || wall_ns() > until);
        waits(daemon.pid()) == before
    });
    assert!(slept, "the daemon wakes up again and again");
    // A faster rate counts at once.
    set_pool(&home, &["slow", "--rate", "100/1s"]);
    assert_eq!(home.wait(second), 0);
}
