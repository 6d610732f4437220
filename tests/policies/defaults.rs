//! `RETRIER_DEFAULT_<OPTION>`: each option of a policy takes its default from its variable.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use super::{assert_nothing_stored, policy, policy_of, refused, submit};
use crate::support::{Call, Home};

/// All options of a policy, each with a value of its own, another one, and a wrong one.
const OPTIONS: [(&str, &str, &str, &str); 21] = [
    ("max-failures", "7", "8", "-1"),
    ("max-attempts", "7", "8", "0"),
    ("forever", "true", "false", "maybe"),
    ("initial-backoff", "1s", "2s", "soon"),
    ("base", "3", "4", "0.5"),
    ("constant", "1s", "2s", "1M"),
    ("linear", "1s", "2s", "-1"),
    ("delays", "1s,2s", "3s", "1s,,2s"),
    ("max-backoff", "1h", "2h", "1y"),
    ("jitter", "0.25", "1", "7"),
    ("retry-after", "yes", "no", "2"),
    ("success-codes", "0,24", "3", "timeout"),
    ("retry-on", "75,timeout", "76", "256"),
    ("stop-on", "SIGSEGV", "2-3", "3-2"),
    ("retry-if", "busy, wait", "again", "("),
    ("stop-if", "^fatal", "denied", "["),
    ("decide", "jq .", "true", " "),
    ("timeout", "1m", "0", "x"),
    ("deadline", "1h", "0", "x"),
    ("grace", "1s", "0", "inf"),
    ("max-output", "1M", "0", "1.5M"),
];

fn variable(option: &str) -> String {
    let name = option.replace('-', "_").to_uppercase();
    format!("RETRIER_DEFAULT_{name}")
}

/// Sets variables by the names of their options.
fn with(call: Call, variables: &[(&str, &str)]) -> Call {
    let set = |call: Call, (option, value): &(&str, &str)| call.env(variable(option), value);
    variables.iter().fold(call, set)
}

/// The policy of these options, and of the variables where they say nothing.
#[track_caller]
fn policy_with(home: &Home, variables: &[(&str, &str)], args: &[&str]) -> Value {
    policy_of(home, with(submit(home, args), variables))
}

/// The long help of each option of `run` that belongs to a policy, by its name.
fn help(home: &Home) -> BTreeMap<String, String> {
    let text = home.retrier(["run", "--help"]).output().ok().text();
    let mut options: BTreeMap<String, String> = BTreeMap::new();
    let (mut heading, mut name) = ("", String::new());
    for line in text.lines() {
        if line.is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            heading = line;
            name.clear();
        } else if let Some(option) = line.strip_prefix("      --") {
            let end = option.find(|c: char| c != '-' && !c.is_alphanumeric());
            name = option[..end.unwrap_or(option.len())].to_owned();
        }
        let of_policy = ["Retries:", "Conditions:", "Time:", "Output:"].contains(&heading);
        if of_policy && !["", "delay", "at"].contains(&name.as_str()) {
            let help = options.entry(name.clone()).or_default();
            *help = format!("{help} {}", line.trim());
        }
    }
    options
}

#[test]
fn every_option_of_a_policy_has_its_variable_in_the_help() {
    let home = Home::new();
    let help = help(&home);
    for (option, text) in &help {
        let shown = format!("[env: {}]", variable(option));
        assert!(text.contains(&shown), "{option}: {text}");
    }
    let known: BTreeSet<&str> = OPTIONS.iter().map(|option| option.0).collect();
    let found: BTreeSet<&str> = help.keys().map(String::as_str).collect();
    assert_eq!(
        found, known,
        "an option is missing in the table of this test"
    );
    let call = home.retrier(["run", "--help"]);
    let text = with(call, &[("jitter", "0.123")]).output().ok().text();
    assert!(!text.contains("0.123"), "{text}");
}

#[test]
fn the_defaults_in_the_help_are_the_defaults() {
    let home = Home::new();
    let plain = policy(&home, &[]);
    let mut named = 0;
    for (option, text) in help(&home) {
        let Some((_, default)) = text.split_once("[default: ") else {
            continue;
        };
        let end = default.find([';', ']']).expect("it is closed");
        let given = format!("--{option}={}", &default[..end]);
        assert_eq!(policy(&home, &[&given]), plain, "{given}");
        named += 1;
    }
    assert_eq!(named, 10);
}

#[test]
fn every_variable_stands_for_its_option_and_the_option_overrides_it() {
    let home = Home::new();
    let plain = policy(&home, &[]);
    for (option, value, other, _) in OPTIONS {
        let (given, overriding) = (format!("--{option}={value}"), format!("--{option}={other}"));
        let by_option = policy(&home, &[&given]);
        // A base alone is a difference too, because it is shown.
        assert_ne!(by_option, plain, "{given} changes nothing");
        let by_variable = policy_with(&home, &[(option, value)], &[]);
        assert_eq!(by_variable, by_option, "{option}");
        let overridden = policy_with(&home, &[(option, value)], &[&overriding]);
        assert_eq!(overridden, policy(&home, &[&overriding]), "{option}");
        assert_eq!(policy_with(&home, &[(option, "")], &[]), plain, "{option}");
    }
}

#[test]
fn a_wrong_value_is_named_with_its_variable_and_nothing_is_stored() {
    let home = Home::new();
    for (option, _, other, wrong) in OPTIONS {
        let text = refused(with(submit(&home, &[]), &[(option, wrong)]));
        let start = format!(
            "retrier: error: {}: invalid value '{wrong}': ",
            variable(option)
        );
        assert!(text.starts_with(&start), "{option}: {text}");
        assert!(!text.contains("--"), "the option was not given: {text}");
        // Also where an option stands above it: it is wrong for the next call.
        let overriding = format!("--{option}={other}");
        refused(with(submit(&home, &[&overriding]), &[(option, wrong)]));
    }
    let text = refused(with(submit(&home, &[]), &[("jitter", "7")]));
    let expected = "retrier: error: RETRIER_DEFAULT_JITTER: invalid value '7': \
                    it must be a number from 0 to 1\n";
    assert!(text.starts_with(expected), "{text}");
    let bytes = OsStr::from_bytes(b"7\xff");
    let text = refused(submit(&home, &[]).env(variable("decide"), bytes));
    assert!(text.contains("RETRIER_DEFAULT_DECIDE: "), "{text}");
    assert!(text.contains("UTF-8"), "{text}");
    assert_nothing_stored(&home);
}

#[test]
fn an_option_overrides_the_variables_that_it_cannot_be_used_with() {
    let home = Home::new();
    for (variables, option) in [
        (&[("max-attempts", "3")][..], "--max-failures=5"),
        (&[("forever", "true")], "--max-failures=5"),
        (&[("forever", "1")], "--max-attempts=5"),
        (&[("max-failures", "3")], "--forever"),
        (&[("constant", "1s")], "--delays=5s"),
        (
            &[("constant", "1s"), ("base", "3"), ("linear", "1s")],
            "--delays=5s",
        ),
        (&[("initial-backoff", "1s")], "--delays=5s"),
        (&[("delays", "1s")], "--constant=5s"),
        (&[("delays", "1s")], "--linear=5s"),
        (&[("delays", "1s")], "--initial-backoff=5s"),
        (&[("delays", "1s")], "--base=5"),
        // A sum is named whole: what it leaves out is zero.
        (&[("constant", "1s")], "--initial-backoff=5s"),
        (&[("initial-backoff", "1s")], "--constant=5s"),
        (&[("constant", "1s")], "--linear=5s"),
    ] {
        let seen = policy_with(&home, variables, &[option]);
        assert_eq!(seen, policy(&home, &[option]), "{variables:?} {option}");
    }
}

#[test]
fn an_option_leaves_the_other_variables_alone() {
    let home = Home::new();
    let both = [("base", "3"), ("jitter", "0.1")];
    let seen = policy_with(&home, &both, &["--initial-backoff=2s"]);
    let expected = ["--base=3", "--jitter=0.1", "--initial-backoff=2s"];
    assert_eq!(seen, policy(&home, &expected));
    let terms = [("constant", "1s"), ("initial-backoff", "2s")];
    let seen = policy_with(&home, &terms, &["--base=5"]);
    let expected = ["--constant=1s", "--initial-backoff=2s", "--base=5"];
    assert_eq!(seen, policy(&home, &expected));
    let seen = policy_with(&home, &[("jitter", "0.1")], &["--delays=1s"]);
    assert_eq!(seen["jitter"], 0.1);
    // What is switched off on the command line is no budget.
    let seen = policy_with(&home, &[("max-failures", "7")], &["--forever=false"]);
    assert_eq!(seen["max_failures"], 7);
    let seen = policy_with(
        &home,
        &[("stop-if", "a"), ("retry-if", "b")],
        &["--stop-if=c"],
    );
    assert_eq!(
        (&seen["stop_if"], &seen["retry_if"]),
        (&json!(["c"]), &json!(["b"]))
    );
}

#[test]
fn variables_that_contradict_each_other_are_both_named() {
    let home = Home::new();
    for (one, other) in [
        (("max-failures", "1"), ("max-attempts", "1")),
        (("max-attempts", "1"), ("forever", "yes")),
        (("forever", "yes"), ("max-failures", "1")),
        (("delays", "1s"), ("constant", "1s")),
        (("delays", "1s"), ("linear", "1s")),
        (("delays", "1s"), ("base", "2")),
        (("initial-backoff", "1s"), ("delays", "1s")),
    ] {
        let text = refused(with(submit(&home, &[]), &[one, other]));
        for (option, _) in [one, other] {
            assert!(text.contains(&variable(option)), "{option}: {text}");
        }
        assert!(text.contains("cannot be used together"), "{text}");
    }
    assert_nothing_stored(&home);
    let seen = policy_with(&home, &[("forever", "no"), ("max-failures", "7")], &[]);
    assert_eq!(
        seen["max_failures"], 7,
        "a switch that is off contradicts nothing"
    );
}

/// A wrong variable in a profile must not keep anybody from looking at what runs, nor from ending it.
#[test]
fn other_verbs_do_not_read_them() {
    let home = Home::new();
    let id = home.run(["--no-daemon-start", "--", "true"]).to_string();
    let wrong = [("jitter", "7"), ("timeout", "soon"), ("forever", "maybe")];
    let with_wrong = |args: &[&str]| with(home.retrier(args), &wrong).output();
    for args in [
        &["status", &id][..],
        &["list"],
        &["logs", &id],
        &["completions", "bash"],
        &["run", "--help"],
        &["daemon", "--until-idle"],
        &["wait", &id],
        &["cleanup", &id],
        &["pool", "set", "mail"],
        &["pool", "list"],
    ] {
        let output = with_wrong(args).ok();
        assert!(!output.error_text().contains("RETRIER_DEFAULT"), "{args:?}");
    }
    with_wrong(&["run", "--", "true"]).exits(2);
}

#[test]
fn a_command_gets_them_and_a_hook_has_the_policy_of_every_hook() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "echo $RETRIER_DEFAULT_MAX_FAILURES";
    let args = ["run", "--wait", "--on-complete", "true", "--shell", line];
    let waited = with(home.retrier(args), &[("max-failures", "7")])
        .output()
        .ok();
    assert_eq!(waited.text(), "7");
    let hook = home.status(1)["hook_id"].as_i64().expect("a hook");
    let plain = policy(&home, &[]);
    assert_eq!(home.status(hook)["policy"], plain);
    assert_ne!(home.status(1)["policy"], plain);
}
