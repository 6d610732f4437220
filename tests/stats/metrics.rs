//! `stats --prometheus`: a reader of the text exposition format 0.0.4, as strict as the format's rules, and what it
//! reads.

use std::collections::{BTreeMap, BTreeSet};

use retrier::model::Pool;

use crate::crash::tools::wait_until_state;
use crate::support::Home;

use super::{set_pool, stats, store};

/// The samples by name and labels, such as `retrier_runs{pool="default",state="queued"}`.
type Samples = BTreeMap<String, f64>;

fn is_name(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(is_first) && text.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

/// Checks `name="value",…`.
fn check_labels(labels: &str) {
    let mut names = BTreeSet::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("a label has a value");
        assert!(is_name(name) && names.insert(name), "{labels}");
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            assert!(!escaped || "\\\"n".contains(c), "{labels}");
            escaped = c == '\\' && !escaped;
            ends
        });
        let after = &after[end.expect("its value ends") + 1..];
        rest = after.strip_prefix(',').unwrap_or_default();
        assert!(after.is_empty() || !rest.is_empty(), "{labels}");
    }
}

/// Reads an exposition. Panics on what a reader need not understand.
fn read(text: &str) -> Samples {
    assert!(text.ends_with('\n'), "the last line ends too");
    let mut samples = Samples::new();
    let mut seen = BTreeSet::new();
    let (mut metric, mut typed) = (String::new(), false);
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a name and a text");
            assert!(is_name(name) && seen.insert(name.to_owned()), "{line}");
            assert!(!help.is_empty() && !help.contains('\\'), "{line}");
            (metric, typed) = (name.to_owned(), false);
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            assert!(name == metric && !typed, "{line}");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            typed = true;
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').expect("all of ours have labels");
        // All samples of a metric stand together, after its type.
        assert!(name == metric && typed, "{line}");
        check_labels(labels.strip_suffix('}').expect("the labels end"));
        let value: f64 = value.parse().expect("a number");
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let first = samples.insert(series.to_owned(), value).is_none();
        assert!(first, "{line} stands twice");
    }
    samples
}

#[track_caller]
fn metrics(home: &Home, args: &[&str]) -> Samples {
    let call = home.retrier(["stats", "--prometheus"].iter().chain(args));
    read(&String::from_utf8(call.output().ok().stdout).expect("UTF-8"))
}

#[track_caller]
fn assert_samples(found: &Samples, expected: &[(&str, f64)]) {
    for (series, value) in expected {
        assert_eq!(found.get(*series), Some(value), "{series} in {found:#?}");
    }
}

#[test]
fn without_a_database_all_metrics_are_there_and_zero() {
    let home = Home::new();
    let mut found = metrics(&home, &[]);
    assert!(found.contains_key("retrier_recent_error_ratio{pool=\"hooks\"}"));
    found.retain(|series, value| match series.split('{').next() {
        Some("retrier_slots") => *value != 10.0,
        Some("retrier_recent_window_seconds") => *value != 300.0,
        _ => true,
    });
    // For two pools each: three states, three results, and 15 more.
    assert_eq!(found.len(), 42, "{found:#?}");
    assert!(found.values().all(|value| *value == 0.0), "{found:#?}");
    assert!(!home.db().exists());
}

#[test]
fn metrics_can_be_read_and_say_what_is_there() {
    let home = Home::new();
    let mut mail = Pool::new("mail.out-1", 1);
    mail.parallel = 3;
    mail.breaker = Some(2);
    set_pool(&home, &mail);
    let mut shut = Pool::new("shut", 1);
    shut.paused = true;
    set_pool(&home, &shut);
    let running = store(&home, &["--pool", "mail.out-1", "--", "sleep", "600"]);
    for _ in 0..2 {
        let args = ["--pool", "mail.out-1", "--max-failures", "0", "--", "false"];
        store(&home, &args);
    }
    store(&home, &["--on-complete", "true", "--", "true"]);
    store(&home, &["--delay", "1h", "--", "true"]);
    store(&home, &["--pool", "shut", "--", "true"]);
    let mut daemon = home.daemon();
    assert_eq!((home.wait(2), home.wait(3), home.wait(4)), (1, 1, 0));
    wait_until_state(&home, running, "running");
    wait_until_state(&home, 7, "succeeded");
    assert_eq!(daemon.stop(), 0);
    assert_samples(
        &metrics(&home, &[]),
        &[
            (r#"retrier_runs{pool="mail.out-1",state="running"}"#, 1.0),
            (r#"retrier_runs{pool="default",state="scheduled"}"#, 1.0),
            (r#"retrier_runs{pool="shut",state="queued"}"#, 1.0),
            (r#"retrier_slots{pool="mail.out-1"}"#, 3.0),
            (r#"retrier_slots_used{pool="mail.out-1"}"#, 1.0),
            (r#"retrier_pool_paused{pool="shut"}"#, 1.0),
            (r#"retrier_pool_paused{pool="default"}"#, 0.0),
            (r#"retrier_pool_open{pool="mail.out-1"}"#, 1.0),
            (r#"retrier_pool_open{pool="shut"}"#, 0.0),
            (r#"retrier_attempts_total{pool="hooks"}"#, 1.0),
            (r#"retrier_attempts_failed_total{pool="mail.out-1"}"#, 2.0),
            (
                r#"retrier_runs_finished_total{pool="mail.out-1",result="failed"}"#,
                2.0,
            ),
            (r#"retrier_recent_window_seconds{pool="default"}"#, 300.0),
            (r#"retrier_recent_error_ratio{pool="mail.out-1"}"#, 1.0),
        ],
    );
    let nobody = ["stats", "--prometheus", "--pool", "nobody"];
    home.retrier(nobody).output().exits(2);
}

#[test]
fn the_metrics_of_one_pool_are_what_json_says_in_base_units() {
    let home = Home::new();
    store(&home, &["--", "sleep", "0.1"]);
    let args = ["--max-failures", "0", "--", "false"];
    store(&home, &args);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let args = ["--pool", "default", "--window", "1h"];
    let found = metrics(&home, &args);
    let others = found.keys().find(|series| !series.contains("\"default\""));
    assert_eq!(others, None);
    let object = stats(&home, &args);
    let average = object["recent_run_average_ms"].as_i64();
    assert!(average >= Some(50), "{object}");
    for (metric, field, unit) in [
        ("window_seconds", "window_ms", 1e3),
        ("attempts", "recent_executions", 1.0),
        ("error_ratio", "recent_error_rate", 1.0),
        ("runs_finished", "recent_finished", 1.0),
        (
            "permanent_failure_ratio",
            "recent_permanent_failure_rate",
            1.0,
        ),
        ("run_average_seconds", "recent_run_average_ms", 1e3),
        ("slot_wait_p50_seconds", "recent_slot_wait_p50_ms", 1e3),
        ("slot_wait_p95_seconds", "recent_slot_wait_p95_ms", 1e3),
        ("attempt_p50_seconds", "recent_attempt_p50_ms", 1e3),
        ("attempt_p95_seconds", "recent_attempt_p95_ms", 1e3),
    ] {
        let expected = object[field].as_f64().expect("a number") / unit;
        let series = format!("retrier_recent_{metric}{{pool=\"default\"}}");
        assert_eq!(found.get(&series), Some(&expected), "{field}");
    }
}

#[test]
fn counters_survive_what_is_forgotten() {
    let home = Home::new();
    let args = ["--max-failures", "1", "--constant", "1ms", "--", "false"];
    store(&home, &args);
    store(&home, &["--", "true"]);
    store(&home, &["--delay", "1h", "--", "true"]);
    home.retrier(["cancel", "3"]).output().ok();
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let before = metrics(&home, &[]);
    home.retrier(["cleanup", "1", "2", "3"]).output().ok();
    let result =
        |word: &str| format!("retrier_runs_finished_total{{pool=\"default\",result=\"{word}\"}}");
    for counted in [before, metrics(&home, &[])] {
        assert_samples(
            &counted,
            &[
                (r#"retrier_attempts_total{pool="default"}"#, 3.0),
                (r#"retrier_attempts_failed_total{pool="default"}"#, 2.0),
                (&result("success"), 1.0),
                (&result("failed"), 1.0),
                (&result("canceled"), 1.0),
            ],
        );
    }
    assert_eq!(stats(&home, &[])["recent_executions"], 0);
}

#[test]
#[should_panic(expected = "stands twice")]
fn the_reader_finds_a_series_that_stands_twice() {
    read("# HELP a b\n# TYPE a gauge\na{p=\"x\"} 1\na{p=\"x\"} 2\n");
}

#[test]
#[should_panic(expected = "a{p=\"x\"} 1")]
fn the_reader_finds_a_sample_that_stands_elsewhere() {
    read("# HELP b c\n# TYPE b gauge\na{p=\"x\"} 1\n");
}
