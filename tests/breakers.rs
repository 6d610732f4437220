//! Breakers: a pool whose attempts all fail lets one at a time go ahead, until one succeeds.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::crash::tools::{LONG, millis};
use crate::support::{Home, HttpServer, Need, skip, wait_until};

const VERY_LONG: Duration = Duration::from_secs(120);

fn set_pool(home: &Home, args: &[&str]) {
    let call = home.retrier(["pool", "set"].iter().chain(args));
    call.output().ok();
}

/// The attempts of all runs as (start, end) in milliseconds, by start; end is none while it runs.
fn attempts(home: &Home) -> Vec<(i64, Option<i64>)> {
    let listed = home
        .retrier(["list", "--json", "--limit", "0"])
        .output()
        .ok();
    let mut attempts = Vec::new();
    for line in listed.text().lines() {
        let run: serde_json::Value = serde_json::from_str(line).expect("JSON");
        for attempt in run["attempts"].as_array().expect("a list") {
            let ended = Some(&attempt["ended_at"]).filter(|at| !at.is_null());
            attempts.push((millis(&attempt["started_at"]), ended.map(millis)));
        }
    }
    attempts.sort_unstable();
    attempts
}

/// A server that is down costs its queue one request at a time, and nobody loses his budget by it.
#[test]
fn a_server_that_is_down_gets_one_request_at_a_time() {
    if skip(Need::Curl) {
        return;
    }
    let home = Home::new();
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let server = HttpServer::start(move |_, _| {
        let code = if up.load(Ordering::SeqCst) { 200 } else { 503 };
        (code, Vec::new(), Vec::new())
    });
    let probes = ["--constant", "100ms", "--jitter", "0"];
    let api = ["api", "--parallel", "20", "--breaker", "5"];
    set_pool(&home, &[&api[..], &probes[..]].concat());
    let file = home.path("batch");
    let line = format!("curl -fsS {}\n", server.url());
    fs::write(&file, line.repeat(200)).expect("the temp folder can be written");
    let batch = ["run", "--no-daemon-start", "--pool", "api", "--batch"];
    let stored = home.retrier(batch).arg(&file).output().ok().text();
    assert_eq!(stored.lines().count(), 200);
    let _daemon = home.daemon();
    wait_until("it is open and has been probed", VERY_LONG, || {
        server.requests() >= 30
    });
    let mut seen = attempts(&home);
    seen.retain(|(_, end)| end.is_some());
    let mut ends: Vec<i64> = seen.iter().filter_map(|(_, end)| *end).collect();
    ends.sort_unstable();
    // Who started before the fifth had ended did not know.
    let opened = ends[4];
    let before = seen.iter().filter(|(start, _)| *start <= opened).count();
    assert!(before <= 25, "{before} before it opened");
    let probes: Vec<_> = seen
        .iter()
        .filter(|(start, _)| *start > opened + 1000)
        .collect();
    for pair in probes.windows(2) {
        let (ended, next) = (pair[0].1.expect("it has ended"), pair[1].0);
        assert!(next >= ended, "two at a time: {probes:?}");
    }
    // At the moment at which a probe is due, the run that will be it is held by nothing.
    wait_until("a run that is held says why", VERY_LONG, || {
        let held = home
            .retrier(["list", "--state", "queued", "--json", "-n", "1"])
            .output();
        let id = held.ok().json()["id"].to_string();
        let said = home.retrier(["explain", &id]).output().ok().text();
        said.contains("the pool api is open after ")
    });
    is_up.store(true, Ordering::SeqCst);
    let waited = home.retrier(["wait"]).limit(VERY_LONG);
    let ids: Vec<&str> = stored.lines().collect();
    let waited = ids.iter().fold(waited, |call, id| call.arg(id)).output();
    assert_eq!(waited.code, 0, "{}", waited.text());
}

/// The one that has failed least goes ahead, so that the probes use up nobody's budget.
#[test]
fn the_probe_is_the_due_run_with_the_fewest_failures() {
    let home = Home::new();
    let probes = ["--constant", "20ms", "--jitter", "0"];
    let api = ["api", "--parallel", "1", "--breaker", "1"];
    set_pool(&home, &[&api[..], &probes[..]].concat());
    let flag = home.path("up");
    let line = format!("test -e '{}'", flag.display());
    let options = [
        "--no-daemon-start",
        "--pool",
        "api",
        "--constant",
        "0",
        "--jitter",
        "0",
    ];
    let ids: Vec<i64> = (0..5)
        .map(|_| {
            home.run(
                options
                    .into_iter()
                    .chain(["--max-failures", "50", "--shell", &line]),
            )
        })
        .collect();
    let _daemon = home.daemon();
    let failures = || -> Vec<i64> {
        // One look at all of them: the probes go on.
        let list = home.retrier(["list", "--json"]).output().ok().text();
        list.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .map(|one| one["failures"].as_i64().expect("a number"))
            .collect()
    };
    wait_until("each has been the probe", LONG, || {
        failures().iter().sum::<i64>() >= 15
    });
    let seen = failures();
    let (least, most) = (seen.iter().min(), seen.iter().max());
    let apart = most.zip(least).map(|(most, least)| most - least);
    assert!(apart <= Some(1), "{seen:?}");
    fs::write(&flag, "").expect("the temp folder can be written");
    for id in &ids {
        assert_eq!(home.wait(*id), 0);
    }
}

#[test]
fn a_breaker_that_is_taken_away_lets_all_go() {
    let home = Home::new();
    set_pool(
        &home,
        &[
            "api",
            "--breaker",
            "1",
            "--constant",
            "1h",
            "--max-backoff",
            "1h",
        ],
    );
    let _daemon = home.daemon();
    let failed = home.run(["--pool", "api", "--max-failures", "0", "--", "false"]);
    assert_eq!(home.wait(failed), 1);
    let held = home.run(["--pool", "api", "--", "true"]);
    wait_until("it is held", LONG, || {
        let said = home.retrier(["explain", &held.to_string()]).output().ok();
        said.text()
            .contains("the pool api is open after 1 failure in a row: the next probe comes at")
    });
    set_pool(&home, &["api", "--breaker", "0"]);
    assert_eq!(home.wait(held), 0);
}

/// A canceled attempt says nothing of the service, nor does one that a stop has cut short.
#[test]
fn what_was_cut_short_opens_no_pool() {
    let home = Home::new();
    set_pool(
        &home,
        &[
            "api",
            "--breaker",
            "2",
            "--constant",
            "1h",
            "--max-backoff",
            "1h",
        ],
    );
    let mut daemon = home.daemon();
    let failed = home.run(["--pool", "api", "--max-failures", "0", "--", "false"]);
    assert_eq!(home.wait(failed), 1);
    for _ in 0..3 {
        let id = home
            .run(["--pool", "api", "--", "sleep", "600"])
            .to_string();
        wait_until("it runs", LONG, || {
            home.state(id.parse().expect("an id")) == "running"
        });
        home.retrier(["cancel", &id]).output().ok();
        home.retrier(["wait", &id]).output().exits(130);
    }
    let cut = home.run([
        "--pool",
        "api",
        "--shell",
        "[ $RETRIER_ATTEMPT = 2 ] || sleep 600",
    ]);
    wait_until("it runs", LONG, || home.state(cut) == "running");
    home.retrier(["daemon", "stop", "--kill"]).output().ok();
    daemon.wait(LONG);
    let _daemon = home.daemon();
    assert_eq!(home.wait(cut), 0);
    // The second failure in a row would have been.
    let failed = home.run(["--pool", "api", "--max-failures", "0", "--", "false"]);
    assert_eq!(home.wait(failed), 1);
    let last = home.run(["--pool", "api", "--", "true"]);
    assert_eq!(home.wait(last), 0, "a success in between has closed it");
}

/// What a pool remembers outlives its daemon.
#[test]
fn an_open_pool_is_open_after_a_kill() {
    let home = Home::new();
    set_pool(
        &home,
        &[
            "api",
            "--breaker",
            "1",
            "--constant",
            "1h",
            "--max-backoff",
            "1h",
        ],
    );
    let mut daemon = home.daemon();
    let failed = home.run(["--pool", "api", "--max-failures", "0", "--", "false"]);
    assert_eq!(home.wait(failed), 1);
    daemon.kill9();
    let _daemon = home.daemon();
    let held = home.run(["--pool", "api", "--", "true"]);
    wait_until("it is held", LONG, || {
        let said = home.retrier(["explain", &held.to_string()]).output().ok();
        said.text().contains("the pool api is open")
    });
}

/// Whoever knows that the service is back need not wait for the next probe.
#[test]
fn a_resumed_pool_is_probed_at_once() {
    let home = Home::new();
    set_pool(
        &home,
        &[
            "api",
            "--breaker",
            "1",
            "--constant",
            "1h",
            "--max-backoff",
            "1h",
        ],
    );
    let _daemon = home.daemon();
    let failed = home.run(["--pool", "api", "--max-failures", "0", "--", "false"]);
    assert_eq!(home.wait(failed), 1);
    let held = home.run(["--pool", "api", "--", "true"]);
    wait_until("it is held", LONG, || {
        let said = home.retrier(["explain", &held.to_string()]).output().ok();
        said.text().contains("the pool api is open")
    });
    home.retrier(["pool", "resume", "api"]).output().ok();
    assert_eq!(home.wait(held), 0);
}

#[test]
fn probes_are_a_minute_apart_at_the_most_unless_it_is_said() {
    let home = Home::new();
    let waits = |options: &[&str]| {
        set_pool(
            &home,
            &[&["api", "--breaker", "1", "--no-defaults"], options].concat(),
        );
        let db = rusqlite::Connection::open(home.db()).expect("it is a database");
        let sql = "SELECT backoff ->> '$.max_backoff_ms' FROM pool WHERE name = 'api'";
        let max: i64 = db
            .query_row(sql, [], |row| row.get(0))
            .expect("it is there");
        max
    };
    assert_eq!(waits(&[]), 60_000);
    assert_eq!(waits(&["--jitter", "0"]), 60_000);
    assert_eq!(waits(&["--constant", "10m"]), 86_400_000);
    assert_eq!(waits(&["--max-backoff", "1h"]), 3_600_000);
    assert_eq!(waits(&["--delays", "5m,10m"]), 86_400_000);
}
