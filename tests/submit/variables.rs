//! The `RETRIER_*` variables that a command sees.

use std::collections::BTreeMap;

use crate::support::Home;

/// The `RETRIER_*` variables in an environment as /proc has it.
fn variables(environ: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(environ);
    text.split_terminator('\0')
        .filter(|variable| variable.starts_with("RETRIER_"))
        .filter_map(|variable| variable.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Those of one attempt of a run whose command prints its environment.
fn of_attempt(home: &Home, id: i64, attempt: u32) -> BTreeMap<String, String> {
    let (id, attempt) = (id.to_string(), attempt.to_string());
    let call = home.retrier(["logs", &id, "--stdout", "--attempt", &attempt]);
    variables(&call.output().ok().stdout)
}

#[track_caller]
fn assert_variables(seen: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(seen.get(*key).map(String::as_str), Some(*value), "{key}");
    }
}

#[test]
fn every_attempt_is_told_what_it_is() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "cat /proc/$$/environ; case $RETRIER_ATTEMPT in 1) exit 3;; 2) kill -9 $$;; esac";
    let args = ["--max-attempts", "3", "--constant", "0", "--shell", line];
    let (id, other) = (home.run(args), home.run(args));
    assert_eq!((home.wait(id), home.wait(other)), (0, 0));
    let key = of_attempt(&home, id, 1)["RETRIER_IDEMPOTENCY_KEY"].clone();
    for (attempt, last, previous) in [(1, "0", ""), (2, "0", "exit 3"), (3, "1", "signal 9")] {
        let seen = of_attempt(&home, id, attempt);
        assert_variables(
            &seen,
            &[
                ("RETRIER_RUN_ID", &id.to_string()),
                ("RETRIER_ATTEMPT", &attempt.to_string()),
                ("RETRIER_MAX_ATTEMPTS", "3"),
                ("RETRIER_LAST_ATTEMPT", last),
                ("RETRIER_PREVIOUS_OUTCOME", previous),
                ("RETRIER_IDEMPOTENCY_KEY", &key),
                ("RETRIER_DB", &home.db().display().to_string()),
            ],
        );
    }
    let of_other = &of_attempt(&home, other, 1)["RETRIER_IDEMPOTENCY_KEY"];
    assert!(!key.is_empty() && *of_other != key, "{key} {of_other}");
}

#[test]
fn without_a_limit_the_maximum_is_empty_and_no_attempt_is_the_last() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "cat /proc/$$/environ; test $RETRIER_ATTEMPT = 2";
    let id = home.run(["--forever", "--constant", "0", "--shell", line]);
    assert_eq!(home.wait(id), 0);
    for attempt in [1, 2] {
        let expected = [("RETRIER_MAX_ATTEMPTS", ""), ("RETRIER_LAST_ATTEMPT", "0")];
        assert_variables(&of_attempt(&home, id, attempt), &expected);
    }
    let id = home.run(["--max-failures", "0", "--", "cat", "/proc/self/environ"]);
    assert_eq!(home.wait(id), 0);
    let expected = [("RETRIER_MAX_ATTEMPTS", "1"), ("RETRIER_LAST_ATTEMPT", "1")];
    assert_variables(&of_attempt(&home, id, 1), &expected);
}

/// Two databases with the same ids must not share idempotency keys.
#[test]
fn the_idempotency_key_tells_databases_apart() {
    let keys = [Home::new(), Home::new()].map(|home| {
        let id = home.run(["--", "cat", "/proc/self/environ"]);
        assert_eq!((id, home.wait(id)), (1, 0));
        of_attempt(&home, id, 1)["RETRIER_IDEMPOTENCY_KEY"].clone()
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn variables_of_an_outer_run_do_not_reach_an_inner_one() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "retrier run --wait --max-failures 6 -- cat /proc/self/environ";
    let call = home.sh(format!(
        "retrier run --wait --max-failures 1 --shell '{line}'"
    ));
    let seen = variables(&call.output().ok().stdout);
    let expected = [
        ("RETRIER_RUN_ID", "2"),
        ("RETRIER_ATTEMPT", "1"),
        ("RETRIER_MAX_ATTEMPTS", "7"),
        ("RETRIER_LAST_ATTEMPT", "0"),
        ("RETRIER_PREVIOUS_OUTCOME", ""),
    ];
    assert_variables(&seen, &expected);

    let mut call = home.retrier(["run", "--wait", "--", "cat", "/proc/self/environ"]);
    for name in [
        "RUN_ID",
        "ATTEMPT",
        "MAX_ATTEMPTS",
        "LAST_ATTEMPT",
        "IDEMPOTENCY_KEY",
        "PREVIOUS_OUTCOME",
        "DECISION",
        "PARENT_ID",
        "RESULT",
    ] {
        call = call.env(format!("RETRIER_{name}"), "stale");
    }
    let call = call.env("RETRIER_LOG_LEVEL", "WARN");
    let seen = variables(&call.output().ok().stdout);
    let stale: Vec<_> = seen.iter().filter(|(_, value)| *value == "stale").collect();
    assert!(stale.is_empty(), "{stale:?}");
    assert_variables(&seen, &[("RETRIER_RUN_ID", "3"), ("RETRIER_ATTEMPT", "1")]);
    assert!(!seen.contains_key("RETRIER_PARENT_ID"));
}
