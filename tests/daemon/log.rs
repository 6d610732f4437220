//! What the daemon logs, and at which level.

use serde_json::Value;

use super::LONG;
use crate::support::{Home, Need, skip, wait_until};

/// What a daemon says at this level about a run that is retried twice and then fails, one that succeeds after a
/// retry, and one that is canceled.
fn said(level: Option<&str>) -> String {
    let home = Home::new();
    let run = |args: &[&str]| {
        let call = home.retrier(
            ["run", "--no-daemon-start", "--constant", "10ms"]
                .iter()
                .chain(args),
        );
        call.output().ok();
    };
    run(&["--max-failures", "2", "--shell", "exit 3"]);
    run(&["--shell", "test $RETRIER_ATTEMPT = 2"]);
    run(&["--delay", "1h", "--", "true"]);
    home.retrier(["cancel", "3"]).output().ok();
    let envs: Vec<_> = level
        .map(|level| ("RETRIER_LOG_LEVEL", level))
        .into_iter()
        .collect();
    let mut daemon = home.daemon_with(&[], &envs);
    assert_eq!((home.wait(1), home.wait(2)), (3, 0));
    assert_eq!(daemon.stop(), 0);
    daemon.errors()
}

/// The lines of one level.
fn of_level<'a>(log: &'a str, level: &str) -> Vec<&'a str> {
    let lines = log.lines();
    lines
        .filter(|line| line.split_whitespace().nth(1) == Some(level))
        .collect()
}

#[test]
fn a_failure_that_is_retried_is_no_error_and_the_final_one_is() {
    for level in [None, Some("INFO"), Some("info"), Some("")] {
        let log = said(level);
        let errors = of_level(&log, "ERROR");
        assert_eq!(errors.len(), 1, "{level:?}: {log}");
        assert!(
            errors[0].contains("run 1 failed") && errors[0].contains("exit 3"),
            "{log}"
        );
        assert_eq!(of_level(&log, "WARN"), [""; 0], "{level:?}: {log}");
        let infos = of_level(&log, "INFO");
        let retried = infos
            .iter()
            .filter(|line| line.contains("will be retried"))
            .count();
        assert_eq!(retried, 3, "{log}");
        assert!(
            infos.iter().any(|line| line.contains("run 2 succeeded")),
            "{log}"
        );
        assert_eq!(of_level(&log, "DEBUG"), [""; 0], "{level:?}: {log}");
    }
}

#[test]
fn each_level_says_no_less_than_the_one_above() {
    let error = said(Some("ERROR"));
    assert_eq!(error.lines().count(), 1, "{error}");
    let warn = said(Some("WARN"));
    assert_eq!(
        (
            of_level(&warn, "ERROR").len(),
            of_level(&warn, "INFO").len()
        ),
        (1, 0),
        "{warn}"
    );
    let debug = said(Some("DEBUG"));
    let started = of_level(&debug, "DEBUG");
    assert!(
        started.iter().any(|line| line.contains("run 1 started")),
        "{debug}"
    );
    assert!(!of_level(&debug, "INFO").is_empty(), "{debug}");
}

#[test]
fn a_wrong_level_gives_one_warning_and_info() {
    for wrong in ["LOUD", "TRACE", "3"] {
        let log = said(Some(wrong));
        let warnings = of_level(&log, "WARN");
        assert_eq!(warnings.len(), 1, "{log}");
        assert!(
            warnings[0].contains("RETRIER_LOG_LEVEL") && warnings[0].contains(wrong),
            "{log}"
        );
        assert!(!of_level(&log, "INFO").is_empty(), "{log}");
        assert_eq!(of_level(&log, "DEBUG"), [""; 0], "{log}");
    }
}

#[test]
fn the_environment_is_never_logged_or_shown() {
    let home = Home::new();
    let secret = "hunter2-in-the-environment";
    let mut daemon = home.daemon_with(&[], &[("RETRIER_LOG_LEVEL", "DEBUG"), ("SECRET", secret)]);
    let call = home.retrier(["run", "--wait", "--max-failures", "0", "--", "false"]);
    let waited = call.env("SECRET", secret).output().exits(1);
    let mut shown = waited.error_text();
    for args in [
        "status 1",
        "status --json 1",
        "list",
        "list --json",
        "logs 1",
    ] {
        let seen = home.retrier(args.split(' ')).output().ok();
        shown += &seen.text();
        shown += &seen.error_text();
    }
    assert_eq!(daemon.stop(), 0);
    shown += &daemon.errors();
    assert!(!shown.contains(secret), "{shown}");
}

/// The first thing that somebody types: it must not depend on where its log goes.
#[test]
fn a_daemon_on_a_terminal_serves_and_ends() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    for (term, colours) in [("xterm", true), ("dumb", false)] {
        let call = home.sh("script -qec 'retrier daemon --until-idle' /dev/null </dev/null");
        let shown = call.env("TERM", term).output().ok();
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(text.contains("serving"), "{text}");
        assert_eq!(text.contains('\u{1b}'), colours, "{term}: {text:?}");
    }
    assert_eq!(home.state(1), "succeeded");
}

/// The lines of a log in JSON.
fn objects(log: &str) -> Vec<Value> {
    let object = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    log.lines().map(object).collect()
}

#[test]
fn as_json_each_line_is_an_object_with_what_programs_look_for() {
    let home = Home::new();
    let args = ["--log-format", "json", "--stats-interval", "1s"];
    let mut daemon = home.daemon_with(&args, &[("RETRIER_LOG_LEVEL", "DEBUG")]);
    let line = "test $RETRIER_ATTEMPT = 3";
    let failing = home.run(["--constant", "10ms", "--max-failures", "1", "--shell", line]);
    assert_eq!(home.wait(failing), 1);
    wait_until("it has told statistics", LONG, || {
        daemon.errors().contains("\"stats\"")
    });
    assert_eq!(daemon.stop(), 0);
    let lines = objects(&daemon.errors());
    for line in &lines {
        let time = line["time"].as_str().expect("there is a time");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(
            ["ERROR", "WARN", "INFO", "DEBUG"].contains(&line["level"].as_str().unwrap()),
            "{line}"
        );
        assert!(line["message"].is_string(), "{line}");
    }
    let of = |level: &str, attempt: i64| {
        let mut found = lines.iter().filter(|line| {
            line["level"] == level && line["run"] == failing && line["attempt"] == attempt
        });
        found
            .next()
            .cloned()
            .unwrap_or_else(|| panic!("no {level} of {attempt} in {lines:#?}"))
    };
    assert!(of("INFO", 1)["due"].is_string());
    let failed = of("ERROR", 2);
    assert_eq!(failed["reason"], "exhausted");
    assert_eq!(
        failed["message"],
        "run 1 failed (exhausted), attempt 2: exit 1"
    );
    of("DEBUG", 2);
    let stats = lines
        .iter()
        .find(|line| line.get("stats").is_some())
        .expect("there are some");
    assert_eq!(stats["stats"]["pending"], 0);
}

#[test]
fn the_format_is_that_of_the_option_then_that_of_the_variable_then_text() {
    let said = |args: &[&str], format: &str| {
        let home = Home::new();
        let args: Vec<&str> = ["daemon", "--until-idle"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        let output = home
            .retrier(args)
            .env("RETRIER_LOG_FORMAT", format)
            .output()
            .ok();
        output.error_text()
    };
    objects(&said(&[], "JSON"));
    objects(&said(&["--log-format=json"], "text"));
    for (args, format) in [
        (&[][..], ""),
        (&[], "text"),
        (&["--log-format=text"], "json"),
    ] {
        let text = said(args, format);
        assert!(text.contains(" INFO serving /"), "{text}");
    }
    let wrong = said(&[], "xml");
    assert!(
        wrong.contains(" WARN RETRIER_LOG_FORMAT=\"xml\"") && wrong.contains(" INFO serving"),
        "{wrong}"
    );
}

#[test]
fn why_a_daemon_ends_that_cannot_serve_is_a_line_like_the_others() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let refused = home
        .retrier(["daemon", "--log-format", "json"])
        .output()
        .exits(4);
    let lines = objects(&refused.error_text());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "ERROR");
    assert!(
        lines[0]["message"]
            .as_str()
            .unwrap()
            .contains("holds this database"),
        "{lines:?}"
    );
    assert!(lines[0]["hint"].is_string(), "{lines:?}");
    assert_eq!(daemon.stop(), 0);
}
