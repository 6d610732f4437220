//! The retry options of a pool: they stand below the command line and the variables, and above what is built in.

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Call, Home};

use super::{assert_refused, pool, shown};

/// `retrier run ARGS -- true` in pool `a`, with these variables, without starting a daemon.
fn submit(home: &Home, variables: &[(&str, &str)], args: &str) -> Call {
    let run = ["run", "--no-daemon-start", "--pool", "a"].into_iter();
    let call = home.retrier(run.chain(args.split_whitespace()).chain(["--", "true"]));
    let set = |call: Call, (name, value): &(&str, &str)| call.env(name, value);
    variables.iter().fold(call, set)
}

/// The policy of the run that this call stores.
#[track_caller]
fn policy_of(home: &Home, call: Call) -> Value {
    let id = call.output().ok().text();
    home.status(id.parse().expect("an id"))["policy"].take()
}

const FAILURES: (&str, &str) = ("RETRIER_DEFAULT_MAX_FAILURES", "2");
const DELAYS: (&str, &str) = ("RETRIER_DEFAULT_DELAYS", "2s");
const BASE: (&str, &str) = ("RETRIER_DEFAULT_BASE", "5");
const STOP: (&str, &str) = ("RETRIER_DEFAULT_STOP_IF", "variable");
const FOREVER: (&str, &str) = ("RETRIER_DEFAULT_FOREVER", "no");

/// What is set for the pool, in the environment, and on the command line; and the options that alone mean the same.
type Row = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

const ROWS: &[Row] = &[
    ("", &[], "", ""),
    ("--max-failures 1", &[], "", "--max-failures 1"),
    ("--max-failures 1", &[FAILURES], "", "--max-failures 2"),
    (
        "--max-failures 1",
        &[FAILURES],
        "--max-failures 3",
        "--max-failures 3",
    ),
    (
        "--max-failures 1",
        &[],
        "--max-failures 3",
        "--max-failures 3",
    ),
    (
        "--timeout 1m --grace 1s --max-output 1M",
        &[FAILURES],
        "--grace 2s",
        "--max-failures 2 --timeout 1m --grace 2s --max-output 1M",
    ),
    // What excludes each other on the command line takes the place of what is below.
    ("--forever", &[], "--max-attempts 3", "--max-attempts 3"),
    ("--forever", &[FAILURES], "", "--max-failures 2"),
    ("--forever", &[FOREVER], "", ""),
    ("--max-attempts 3", &[], "--forever", "--forever"),
    ("--constant 1s", &[DELAYS], "", "--delays 2s"),
    (
        "--constant 1s --linear 1s",
        &[],
        "--initial-backoff 3s",
        "--initial-backoff 3s",
    ),
    ("--delays 1s", &[BASE], "", "--base 5"),
    ("--constant 1s", &[BASE], "", "--constant 1s --base 5"),
    ("--delays 1s", &[], "--linear 3s", "--linear 3s"),
    // A list in the middle takes the place of the sum below it, also when what is above drops the list.
    ("--constant 1s", &[DELAYS], "--base 3", "--base 3"),
    (
        "--jitter 0.25 --max-backoff 1h",
        &[DELAYS],
        "",
        "--jitter 0.25 --max-backoff 1h --delays 2s",
    ),
    (
        "--stop-if pool --retry-if pool",
        &[STOP],
        "",
        "--stop-if variable --retry-if pool",
    ),
    (
        "--stop-if pool",
        &[STOP],
        "--stop-if line",
        "--stop-if line",
    ),
    (
        "--retry-after --retry-on 75",
        &[],
        "--retry-after=no",
        "--retry-on 75",
    ),
    (
        "--success-codes 3 --stop-on 4 --decide true",
        &[],
        "",
        "--success-codes 3 --stop-on 4 --decide true",
    ),
    (
        "--timeout 1m --deadline 1h",
        &[],
        "--timeout 0",
        "--deadline 1h",
    ),
];

#[test]
fn the_command_line_comes_before_the_variables_before_the_pool_before_what_is_built_in() {
    let home = Home::new();
    for (pools, variables, args, expected) in ROWS {
        pool(&home, "set a --no-defaults").ok();
        let alone = policy_of(&home, submit(&home, &[], expected));
        pool(&home, &format!("set a {pools}")).ok();
        let seen = policy_of(&home, submit(&home, variables, args));
        assert_eq!(seen, alone, "pool {pools:?}, {variables:?}, run {args:?}");
        let explain = ["explain", "--json", "--pool", "a"].into_iter();
        let call = home.retrier(explain.chain(args.split_whitespace()));
        let set = |call: Call, (name, value): &(&str, &str)| call.env(name, value);
        let explained = variables.iter().fold(call, set).output().ok().json();
        assert_eq!(explained["policy"], alone, "explain of {pools:?}");
    }
}

#[test]
fn runs_for_which_no_pool_is_named_have_the_options_of_default() {
    let home = Home::new();
    let explained = |args: &[&str]| {
        let call = home.retrier(["explain", "--json"].iter().chain(args));
        call.output().ok().json()["max_attempts"].as_i64()
    };
    assert_eq!(explained(&[]), Some(5));
    pool(&home, "set default --max-failures 1").ok();
    pool(&home, "set a").ok();
    let run = |args: &[&str]| {
        let id = home.run(
            [
                &["--no-daemon-start", "--delay", "1h"],
                args,
                &["--", "true"],
            ]
            .concat(),
        );
        home.status(id)["policy"]["max_failures"].as_i64()
    };
    assert_eq!((run(&[]), run(&["--pool", "a"])), (Some(1), Some(4)));
    assert_eq!(
        (explained(&[]), explained(&["--pool", "a"])),
        (Some(2), Some(5))
    );
    // What is stored with a run stays; a hook has the usual policy.
    pool(&home, "set default --max-failures 9").ok();
    assert_eq!(home.status(1)["policy"]["max_failures"], 1);
    let parent = home.run(["--delay", "1h", "--on-complete", "true", "--", "true"]);
    home.retrier(["cancel", &parent.to_string()]).output().ok();
    let hook = home.status(parent)["hook_id"].as_i64().expect("a hook");
    assert_eq!(home.status(hook)["policy"]["max_failures"], 4);
    assert_refused(
        home.retrier(["explain", "--pool", "a", "1"]).output(),
        2,
        "cannot be used with",
    );
}

#[test]
fn a_deadline_of_the_pool_is_named_where_it_forbids_a_delay() {
    let home = Home::new();
    pool(&home, "set a --deadline 1h").ok();
    let call = submit(&home, &[], "--delay 2h");
    assert_refused(
        call.output(),
        2,
        "is that of the pool; --deadline 0 is none",
    );
    submit(&home, &[], "--delay 2h --deadline 0").output().ok();
}

#[test]
fn variables_are_not_taken_into_a_pool() {
    let home = Home::new();
    let call = home.retrier(["pool", "set", "a", "--jitter", "0"]);
    call.env("RETRIER_DEFAULT_MAX_FAILURES", "7").output().ok();
    assert_eq!(
        shown(&home, "a")["policy"],
        serde_json::json!({"jitter": 0.0})
    );
}

/// A run without an option that a newer program has set for its pool would not do what was asked for.
#[test]
fn options_of_a_newer_program_are_refused_and_stay_until_they_are_forgotten() {
    let home = Home::new();
    pool(&home, "set a --max-failures 7").ok();
    let newer = r#"{"max_failures":7,"patience":"\u001b[31m"}"#;
    let database = Connection::open(home.db()).expect("it is there");
    let changed = database.execute("UPDATE pool SET options = ?1 WHERE name = 'a'", [newer]);
    assert_eq!(changed, Ok(1));
    drop(database);
    let words = "the retry options of pool a cannot be read: ";
    assert_refused(submit(&home, &[], "").output(), 1, words);
    assert_refused(home.retrier(["explain", "--pool", "a"]).output(), 1, words);
    assert_refused(pool(&home, "set a --jitter 0"), 1, words);
    assert_eq!(home.retrier(["list"]).output().ok().text(), "");
    // Other verbs and settings do not need them.
    pool(&home, "pause a").ok();
    pool(&home, "set a --parallel 3").ok();
    assert_eq!(shown(&home, "a")["policy"]["patience"], "\u{1b}[31m");
    let line = pool(&home, "list").ok().text();
    assert!(
        !line.contains('\u{1b}') && line.contains("patience"),
        "{line}"
    );
    pool(&home, "set a --no-defaults --jitter 0").ok();
    let policy = policy_of(&home, submit(&home, &[], ""));
    assert_eq!(
        (&policy["jitter"], &policy["max_failures"]),
        (&0.0.into(), &4.into())
    );
}
