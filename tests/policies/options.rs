//! The options of a policy as they are written: what is taken, what is refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use super::{assert_nothing_stored, policy, policy_of, refused, submit};
use crate::crash::tools::millis;
use crate::support::Home;

#[test]
fn every_option_is_stored_and_shown() {
    let home = Home::new();
    let default = policy(&home, &[]);
    let exit = |from: u8, to: u8| json!({"exit": {"from": from, "to": to}});
    assert_eq!(
        default,
        json!({
            "max_failures": 4, "constant_ms": 0, "linear_ms": 0, "initial_backoff_ms": 250,
            "base": 2.0, "max_backoff_ms": 86_400_000, "jitter": 0.5, "timeout_ms": null,
            "grace_ms": 10_000, "deadline_ms": null, "max_output": null,
            "success_codes": [exit(0, 0)],
            "retry_on": null, "stop_on": [], "retry_if": [], "stop_if": [],
            "retry_after": false, "decide": null,
        })
    );
    let given = policy(
        &home,
        &[
            "--attempts=3",
            "--delays=1s,1m",
            "--max-backoff=30s",
            "--timeout=5m",
            "--grace=0",
            "--deadline=1h 30m",
            "--max-output=10 MiB",
            "--success-codes=0,24",
            "--retry-on=75, 100-110,SIGKILL,RTMAX,timeout,spawn,lost",
            "--stop-on=2",
            "--retry-if=busy",
            "--retry-if=^a\\.b$",
            "--stop-if=(?i)no such",
            "--retry-after",
            "--decide=jq .",
        ],
    );
    let words = ["timeout", "spawn", "lost"].map(Value::from);
    let mut retried = vec![exit(75, 75), exit(100, 110)];
    retried.extend([json!({"signal": 9}), json!({"signal": 64})]);
    retried.extend(words);
    assert_eq!(
        given,
        json!({
            "max_failures": 2, "constant_ms": 0, "linear_ms": 0, "initial_backoff_ms": 0,
            "base": 2.0, "max_backoff_ms": 30_000, "jitter": 0.0, "delays_ms": [1000, 60_000],
            "timeout_ms": 300_000, "grace_ms": 0, "deadline_ms": 5_400_000, "max_output": 10 << 20,
            "success_codes": [exit(0, 0), exit(24, 24)], "retry_on": retried,
            "stop_on": [exit(2, 2)], "retry_if": ["busy", "^a\\.b$"], "stop_if": ["(?i)no such"],
            "retry_after": true, "decide": "jq .",
        })
    );
}

#[test]
fn a_switch_takes_yes_and_no() {
    let home = Home::new();
    for (args, forever) in [
        ("--forever", true),
        ("--forever=true", true),
        ("--forever=YES", true),
        ("--forever=1", true),
        ("--forever=false", false),
        ("--forever=off", false),
    ] {
        let max_failures = &policy(&home, &[args])["max_failures"];
        let expected = if forever { json!(null) } else { json!(4) };
        assert_eq!(*max_failures, expected, "{args}");
    }
    assert_eq!(policy(&home, &["--retry-after=no"])["retry_after"], false);
    // What follows without `=` is the command.
    let call = home.retrier(["run", "--no-daemon-start", "--forever", "false"]);
    assert!(policy_of(&home, call)["max_failures"].is_null());
    assert_eq!(home.status(8)["command"], json!(["false"]));
}

#[test]
fn a_wrong_policy_exits_2_says_why_and_stores_nothing() {
    let home = Home::new();
    for (args, why) in [
        ("--stop-on 256", "'256': an exit code is at most 255"),
        ("--stop-on 7,", "an element of it is empty"),
        ("--stop-on=", "an element of it is empty"),
        ("--stop-on 9-3", "the lower end"),
        ("--retry-on SIGFOO", "'SIGFOO': it must be an exit code"),
        ("--retry-on -1", "has no option"),
        ("--success-codes 0,timeout", "timeout is never a success"),
        ("--success-codes spawn", "spawn is never a success"),
        ("--success-codes 0,LOST", "lost is never a success"),
        ("--success-codes x", "it must be an exit code"),
        ("--stop-if (", "unclosed group"),
        ("--retry-if a{1000}{1000}{1000}", "too much memory"),
        ("--stop-if (?s:[ab]*a.{10000}c)", "too much memory"),
        (
            "--stop-if a{900} --stop-if b{900} --stop-if c{900}",
            "the patterns of --stop-if take too much memory together",
        ),
        ("--retry-if [", "for --retry-if: unclosed"),
        ("--stop-if=", "found in everything"),
        ("--delays 1s,,2s", "an element of it is empty"),
        ("--delays 1s,soon", "'soon': it must be a number of seconds"),
        ("--delays 1s,1M", "not exact"),
        ("--delays 1s --constant 1s", "cannot be used with"),
        ("--linear 1s --delays 1s", "cannot be used with"),
        ("--delays 1s --initial-backoff 1s", "cannot be used with"),
        ("--delays 1s --base 2", "cannot be used with"),
        ("--deadline soon", "a number of seconds"),
        ("--decide=", "it must be a command"),
        ("--forever=maybe", "true or false"),
        ("--retry-after=2", "true or false"),
        ("--forever=true --max-failures 1", "cannot be used with"),
        ("--jitter 7", "from 0 to 1"),
        ("--base 0.5", "at least 1"),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let text = refused(submit(&home, &args));
        assert!(text.contains(why), "{args:?}: {text}");
    }
    for empty in [
        "--stop-on",
        "--retry-on",
        "--stop-if",
        "--decide",
        "--delays",
    ] {
        refused(submit(&home, &[empty, ""]));
    }
    let bytes = OsStr::from_bytes(b"jq \xff");
    let call = home.retrier(["run", "--no-daemon-start", "--decide"]);
    refused(call.arg(bytes).arg("--").arg("true"));
    assert_nothing_stored(&home);
}

#[test]
fn a_start_at_or_beyond_the_deadline_is_refused() {
    let home = Home::new();
    let in_two_hours = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(2);
    let at = format!("--at={in_two_hours}");
    for args in [
        ["--deadline=1h", "--delay=1h"],
        ["--deadline=1h", "--delay=61m"],
        ["--deadline=1h", &at],
    ] {
        let text = refused(submit(&home, &args));
        assert!(text.contains("at or beyond its deadline"), "{text}");
    }
    let call = submit(&home, &["--delay=1h"]).env("RETRIER_DEFAULT_DEADLINE", "1h");
    assert!(refused(call).contains("RETRIER_DEFAULT_DEADLINE"));
    assert_nothing_stored(&home);
    for args in [
        ["--deadline=1h", "--delay=59m"],
        ["--deadline=3h", &at],
        ["--deadline=1ms", "--at=1999-12-31T23:59:59Z"],
    ] {
        submit(&home, &args).output().ok();
    }
    let first = home.status(1);
    let within = millis(&first["deadline_at"]) - millis(&first["created_at"]);
    assert_eq!(within, 3_600_000);
}

#[test]
fn a_list_of_delays_may_be_longer_than_the_default_of_the_longest_wait() {
    let home = Home::new();
    let day = 86_400_000;
    let longest = |args: &[&str]| policy(&home, args)["max_backoff_ms"].clone();
    assert_eq!(longest(&["--delays=1s,7d,1s"]), 7 * day);
    assert_eq!(longest(&["--delays=1s"]), day);
    assert_eq!(longest(&["--delays=7d", "--max-backoff=2d"]), 2 * day);
}

#[test]
fn what_is_less_than_a_millisecond_is_not_nothing() {
    let home = Home::new();
    let stored = policy(
        &home,
        &["--timeout=500us", "--constant=0.0001", "--deadline=1ns"],
    );
    for field in ["timeout_ms", "constant_ms", "deadline_ms"] {
        assert_eq!(stored[field], 1, "{field}");
    }
}

/// It would run `true` otherwise, and tell of a success.
#[test]
fn a_value_of_a_switch_without_its_equals_sign_is_refused() {
    let home = Home::new();
    for args in [
        ["--forever", "true", "--", "false"],
        ["--retry-after", "yes", "--", "false"],
    ] {
        let text = refused(home.retrier(["run"].iter().chain(&args)));
        let right = format!("{}={}", args[0], args[1]);
        assert!(text.contains(&right), "{text}");
    }
    assert_nothing_stored(&home);
    let legal = ["run", "--forever", "--no-daemon-start", "--", "true", "--"];
    home.retrier(legal).output().ok();
}
