//! How often a run is retried, and how long it waits before each retry.

mod edges;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use retrier::model::Backoff;
use serde_json::Value;

use crate::support::{Daemon, FakeClock, Home, Journal, Need, skip, wait_until};

const LONG: Duration = Duration::from_secs(50);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What the attempts of a finished run were told to wait, in milliseconds; the last one was told nothing.
fn planned_ms(status: &Value) -> Vec<u64> {
    let attempts = status["attempts"].as_array().expect("a list of attempts");
    let (last, retried) = attempts.split_last().expect("there was an attempt");
    assert!(last["retry_delay_ms"].is_null(), "{last}");
    let delays = retried
        .iter()
        .map(|attempt| attempt["retry_delay_ms"].as_u64());
    delays
        .map(|delay| delay.expect("every failure but the last has a delay"))
        .collect()
}

/// From each attempt's own end to the start of the next, in milliseconds.
fn measured_ms(journal: &Journal, run: i64) -> Vec<f64> {
    let (starts, ends) = (journal.starts(run), journal.ends(run));
    assert_eq!(starts.len(), ends.len());
    let gaps = ends.iter().zip(&starts[1..]);
    gaps.map(|(end, start)| (start.at_ns - end.at_ns) as f64 / 1e6)
        .collect()
}

/// The lines that commands have appended to this file.
fn lines(file: &Path) -> usize {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().count()
}

/// A line that leaves a mark for each attempt, and fails.
fn marking(file: &Path) -> String {
    format!("echo x >>{}; exit 7", file.display())
}

/// A daemon that forgets nothing while its clock runs ahead.
fn daemon_for_ever(home: &Home) -> Daemon {
    home.slots(20);
    home.daemon_with(&["--retention", "0"], &[])
}

/// Has the clock run ahead by `step` every few milliseconds until the commands have left `count` marks and all runs
/// have ended.
fn run_ahead(home: &Home, clock: &FakeClock, step: Duration, marks: (&Path, usize)) {
    let (file, count) = marks;
    wait_until("all attempts were made", LONG, || {
        clock.advance(step);
        lines(file) >= count
    });
    let unfinished = ["scheduled", "queued", "running"];
    wait_until("all runs have ended", LONG, || {
        clock.advance(step);
        unfinished.iter().all(|state| {
            let list = home.retrier(["list", "--state", state]).output();
            list.ok().stdout.is_empty()
        })
    });
    assert_eq!(lines(file), count, "attempts beyond the budget");
}

#[test]
fn by_default_a_failing_run_has_five_attempts_with_growing_delays() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let journal = Journal::new(&home);
    let id = home.run(["--shell", &journal.line("exit 7")]);
    assert_eq!(home.wait(id), 7);
    assert_eq!(journal.starts(id).len(), 5);

    let status = home.status(id);
    let (planned, measured) = (planned_ms(&status), measured_ms(&journal, id));
    let windows = [125..375, 250..750, 500..1500, 1000..3000];
    assert_eq!(planned.len(), 4);
    for ((planned, measured), window) in planned.iter().zip(measured).zip(windows) {
        assert!(window.contains(planned), "{planned} not in {window:?}");
        assert!(
            measured >= *planned as f64,
            "waited {measured} of {planned}"
        );
        assert!(measured >= window.start as f64);
        assert!(measured < *planned as f64 + 10_000.0, "late: {measured}");
    }
    assert_eq!(status["state"], "failed");
    assert_eq!(status["result"]["type"], "failed");
    assert_eq!(status["result"]["reason"], "exhausted");
    assert_eq!(status["failures"], 5);
    assert!(status["due_at"].is_null());
    journal.assert_no_overlap();
}

#[test]
fn the_budget_counts_retries_or_attempts() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (budget, attempts) in [
        ("--max-failures=0", 1),
        ("--max-failures=1", 2),
        ("--retries=2", 3),
        ("--max-attempts=1", 1),
        ("--attempts=2", 2),
    ] {
        let marks = home.path(format!("marks{budget}"));
        let id = home.run([budget, "--constant=1ms", "--shell", &marking(&marks)]);
        assert_eq!(home.wait(id), 7);
        assert_eq!(lines(&marks), attempts, "{budget}");
        let status = home.status(id);
        assert_eq!(status["result"]["reason"], "exhausted", "{budget}");
        assert_eq!(planned_ms(&status).len(), attempts - 1, "{budget}");
    }
}

#[test]
fn forever_goes_on_beyond_every_default() {
    let home = Home::new();
    let _daemon = home.daemon();
    let marks = home.path("marks");
    let line = format!(
        "echo x >>{0}; test $(wc -l <{0}) -ge 12 && test -z \"$RETRIER_MAX_ATTEMPTS\"",
        marks.display()
    );
    let id = home.run(["--forever", "--constant=1ms", "--shell", &line]);
    assert_eq!(home.wait(id), 0);
    assert_eq!(lines(&marks), 12);
    let status = home.status(id);
    assert!(status["policy"]["max_failures"].is_null());
    assert_eq!(status["failures"], 11);
}

#[test]
fn without_jitter_the_delays_are_the_formula() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let journal = Journal::new(&home);
    let line = journal.line("exit 7");
    let cases: [(&[&str], &[f64]); 5] = [
        (
            &["--initial-backoff=125ms", "--base=2.71"],
            &[125.0, 338.75, 918.0125],
        ),
        (
            &[
                "--constant=10ms",
                "--linear=20ms",
                "--initial-backoff=40ms",
                "--base=3",
            ],
            &[70.0, 170.0, 430.0],
        ),
        (&["--constant=30ms"], &[30.0, 30.0, 30.0]),
        (&["--linear=.02"], &[20.0, 40.0, 60.0]),
        (&["--max-backoff=300ms"], &[250.0, 300.0, 300.0]),
    ];
    let runs = cases.map(|(options, delays)| {
        let call = home.retrier(["run", "--max-failures=3", "--jitter=0"]);
        let call = options.iter().fold(call, |call, option| call.arg(option));
        let id = call.arg("--shell").arg(&line).output().ok().text();
        (id.parse::<i64>().expect("an id"), delays)
    });
    for (id, delays) in runs {
        assert_eq!(home.wait(id), 7);
        let (planned, measured) = (planned_ms(&home.status(id)), measured_ms(&journal, id));
        let rounded: Vec<u64> = delays.iter().map(|delay| delay.round() as u64).collect();
        assert_eq!(planned, rounded);
        for (measured, planned) in measured.iter().zip(planned) {
            assert!(*measured >= planned as f64, "{measured} of {planned}");
        }
    }
    journal.assert_no_overlap();
}

#[test]
fn the_greatest_parameters_are_capped_through_fifty_failures() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let mut daemon = daemon_for_ever(&home);
    let marks = home.path("marks");
    let run = |jitter: &str| {
        home.run([
            "--initial-backoff=1000000000s",
            "--base=1e9",
            "--max-failures=50",
            jitter,
            "--shell",
            &marking(&marks),
        ])
    };
    let (exact, spread) = (run("--jitter=0"), run("--jitter=0.5"));
    run_ahead(&home, &clock, DAY, (&marks, 2 * 51));
    assert_eq!(planned_ms(&home.status(exact)), [DAY_MS; 50]);
    let planned = planned_ms(&home.status(spread));
    assert_eq!(planned.len(), 50);
    let within = |delay: &u64| (DAY_MS / 2..=DAY_MS).contains(delay);
    assert!(planned.iter().all(within), "{planned:?}");
    assert_eq!(daemon.stop(), 0);
    assert!(!daemon.errors().contains("panic"), "{}", daemon.errors());
}

#[test]
fn any_parameters_and_any_number_of_failures_stay_below_the_cap() {
    let greatest = Duration::from_millis(u64::MAX);
    let terms = [Duration::ZERO, Duration::from_secs(1_000_000_000), greatest];
    let failures = [0, 1, 2, 50, 1_000_000_000, u32::MAX];
    for (term, max) in terms.into_iter().flat_map(|t| [(t, DAY), (t, greatest)]) {
        for base in [1.0, 1e9, f64::MAX] {
            for jitter in [0.0, 0.5, 1.0] {
                let backoff = Backoff {
                    constant: term,
                    linear: term,
                    initial: term,
                    base,
                    max,
                    jitter,
                    delays: Vec::new(),
                };
                for n in failures {
                    let delay = backoff.delay(n, 17);
                    assert!(delay <= max, "{backoff:?} {n}: {delay:?}");
                    if jitter == 0.0 && max == DAY && !term.is_zero() {
                        assert_eq!(delay, DAY, "{backoff:?} {n}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_jitter_of_every_seed_is_spread_evenly() {
    let backoff = Backoff {
        constant: Duration::from_secs(1000),
        initial: Duration::ZERO,
        ..Backoff::default()
    };
    let mut sums = 0.0;
    for seed in 0..100_u64 {
        // Neighbours, and seeds that differ in their upper half alone.
        let seed = if seed < 50 { seed } else { seed << 40 };
        let factors: Vec<f64> = (1..=200)
            .map(|n| backoff.delay(n, seed).as_secs_f64() / 1000.0)
            .collect();
        assert!(factors.iter().all(|factor| (0.5..1.5).contains(factor)));
        let mean = factors.iter().sum::<f64>() / 200.0;
        assert!((0.93..1.07).contains(&mean), "seed {seed}: {mean}");
        let outer = factors
            .iter()
            .filter(|factor| (**factor - 1.0).abs() > 0.25);
        // Half of them; six standard deviations are 42.
        assert!(outer.count().abs_diff(100) <= 42, "seed {seed}");
        sums += mean;
    }
    assert!((sums / 100.0 - 1.0).abs() < 0.01, "{sums}");
}

#[test]
fn runs_submitted_together_get_different_delays_spread_around_their_nominal_ones() {
    let (runs, retries) = (16, 25);
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let _daemon = daemon_for_ever(&home);
    let marks = home.path("marks");
    let line = marking(&marks);
    let ids: Vec<i64> = (0..runs)
        .map(|_| home.run(["--max-failures=25", "--constant=1000s", "--shell", &line]))
        .collect();
    let all = (marks.as_path(), runs * (retries + 1));
    run_ahead(&home, &clock, Duration::from_secs(1500), all);
    let planned: Vec<Vec<u64>> = ids.iter().map(|id| planned_ms(&home.status(*id))).collect();
    let delays = planned.concat();
    assert_eq!(delays.len(), runs * retries);
    let within = |delay: &u64| (500_000..1_500_000).contains(delay);
    assert!(delays.iter().all(within), "{delays:?}");
    // Of 400 delays the mean leaves this window once in a million times; of 200 too often for a test.
    let mean = delays.iter().sum::<u64>() as f64 / delays.len() as f64;
    assert!((930_000.0..1_070_000.0).contains(&mean), "{mean}");
    for retry in 0..retries {
        let same_retry: HashSet<u64> = planned.iter().map(|delays| delays[retry]).collect();
        assert!(same_retry.len() >= runs - 2, "retry {retry}: {planned:?}");
    }
}

#[test]
fn wrong_numbers_and_durations_are_refused_and_nothing_is_stored() {
    let home = Home::new();
    let everywhere = ["-1", "NaN", "nan", "inf", "infinity", "-inf", "", "x"];
    let durations = ["-1s", "1M", "1month", "1y", "1h 1M", "1e400", "1x", "+1"];
    let groups: [(&[&str], &[&str]); 5] = [
        (
            &[
                "--initial-backoff",
                "--constant",
                "--linear",
                "--max-backoff",
                "--delay",
                "--timeout",
                "--grace",
            ],
            &durations,
        ),
        (&["--base"], &["0.99", "0", "-2", "1e400", "1s"]),
        (&["--jitter"], &["-0.1", "1.01", "2", "1e400", "50%"]),
        (&["--max-failures"], &["1.5", "1e3", "4294967296"]),
        (&["--max-attempts"], &["0", "1.5", "4294967296"]),
    ];
    for (options, values) in groups {
        for option in options {
            for value in everywhere.iter().chain(values) {
                let call = home.retrier(["run", &format!("{option}={value}"), "--", "true"]);
                let refused = call.output().exits(2);
                assert_eq!(refused.stdout, b"", "{option}={value}");
                assert!(refused.error_text().contains(option), "{option}={value}");
            }
        }
    }
    for both in [
        ["--max-failures=1", "--max-attempts=2"],
        ["--forever", "--max-failures=1"],
        ["--forever", "--max-attempts=1"],
    ] {
        let call = home.retrier(["run", both[0], both[1], "--", "true"]);
        call.output().exits(2);
    }
    // With a space between, a negative number could be taken for an option.
    for option in ["--initial-backoff", "--base", "--jitter", "--max-failures"] {
        let call = home.retrier(["run", option, "-1", "--", "true"]);
        call.output().exits(2);
    }
    assert!(!home.db().exists());
    assert!(!home.path("retrier.db.d").exists());
    let list = home.retrier(["list"]).output().ok();
    assert_eq!(list.stdout, b"");
}

#[test]
fn the_limits_of_the_allowed_numbers_are_accepted() {
    let home = Home::new();
    for options in [
        ["--base=1", "--jitter=0"],
        ["--base=1e9", "--jitter=1"],
        ["--initial-backoff=0", "--max-backoff=0"],
        ["--initial-backoff=1000000000", "--max-failures=4294967295"],
        ["--delay=1h30m", "--max-attempts=1"],
    ] {
        home.run(["--no-daemon-start", options[0], options[1], "--", "true"]);
    }
    let list = home.retrier(["list", "--json"]).output().ok().text();
    assert_eq!(list.lines().count(), 5);
}
