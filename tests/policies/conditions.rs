//! Conditions: success, retry and stop lists, seen from the run's end.

use std::fs;

use serde_json::{Value, json};

use super::policy;
use crate::crash::tools::{
    Gate, LONG, commands, millis, outcomes, shim, signal, wait_until_no_command, wait_until_state,
};
use crate::support::{Home, wait_until};
use nix::sys::signal::Signal;

/// The options of runs that shall end soon: one retry at the most, at once.
const SOON: [&str; 4] = ["--max-failures", "1", "--delays", "0"];

/// Stores a run of `/bin/sh -c line` with [`SOON`] and these options, and gives its document when it has ended.
#[track_caller]
fn ended(home: &Home, options: &str, line: &str) -> Value {
    let options = options.split_whitespace();
    let id = home.run(SOON.into_iter().chain(options).chain(["--shell", line]));
    home.wait(id);
    home.status(id)
}

/// How the run ended: `success`, or the reason of its failure.
fn how(document: &Value) -> &str {
    let result = &document["result"];
    let word = result["reason"].as_str().or(result["type"].as_str());
    word.unwrap_or("not at all")
}

#[test]
fn a_failure_on_the_stop_list_ends_the_run_at_its_first_attempt() {
    let home = Home::new();
    let _daemon = home.daemon();
    let told = home.path("told");
    let hook = format!("cat >>'{}'", told.display());
    let args = ["run", "--wait", "--stop-on", "2", "--on-complete", &hook];
    let call = home.retrier(args).arg("--shell").arg("echo out; exit 2");
    let waited = call.output().exits(2);
    assert_eq!(waited.text(), "out");
    let document = home.status(1);
    assert_eq!(document["state"], "failed");
    assert_eq!(outcomes(&document), ["exit 2"]);
    assert_eq!(document["failures"], 1);
    assert_eq!(document["result"]["reason"], "stopped");
    assert_eq!(home.wait(document["hook_id"].as_i64().expect("a hook")), 0);
    let told = fs::read_to_string(told).expect("the hook has run");
    let told = serde_json::Deserializer::from_str(&told).into_iter::<Value>();
    let told: Vec<Value> = told.map(|one| one.expect("JSON")).collect();
    assert_eq!(told, [document["result"].clone()], "the hook runs once");
    assert_eq!(how(&ended(&home, "--stop-on 2", "exit 3")), "exhausted");
}

#[test]
fn lists_choose_what_is_retried() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (options, line, attempts, expected) in [
        ("", "exit 1", 2, "exhausted"),
        ("--retry-on 75", "exit 75", 2, "exhausted"),
        ("--retry-on 75", "exit 1", 1, "stopped"),
        ("--retry-on 75", "kill -9 $$", 1, "stopped"),
        ("--retry-on 70-80,SIGKILL", "kill -9 $$", 2, "exhausted"),
        ("--retry-on 70-80", "exit 70", 2, "exhausted"),
        ("--retry-on 70-80", "exit 80", 2, "exhausted"),
        ("--retry-on 70-80", "exit 81", 1, "stopped"),
        ("--stop-on 64-78,segv", "exit 64", 1, "stopped"),
        ("--stop-on 64-78,segv", "exit 63", 2, "exhausted"),
        (
            "--stop-on 64-78,segv",
            "ulimit -c 0; kill -SEGV $$",
            1,
            "stopped",
        ),
        // 139 is what a shell makes of SIGSEGV: here they are two.
        ("--stop-on 64-78,segv", "exit 139", 2, "exhausted"),
        (
            "--stop-on 139",
            "ulimit -c 0; kill -SEGV $$",
            2,
            "exhausted",
        ),
        ("--stop-on RTMIN+2", "kill -36 $$", 1, "stopped"),
        ("--stop-on 75 --retry-on 75", "exit 75", 1, "stopped"),
        ("--stop-on 0", "true", 1, "success"),
    ] {
        let document = ended(&home, options, line);
        let seen = (outcomes(&document).len(), how(&document));
        assert_eq!(seen, (attempts, expected), "{options}: {line}: {document}");
    }
}

#[test]
fn a_timeout_is_retried_under_a_retry_list_unless_a_stop_rule_names_it() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "exec sleep 600";
    for (options, attempts, expected) in [
        ("--retry-on 75", 2, "exhausted"),
        ("--retry-on 75 --stop-on 124", 2, "exhausted"),
        ("--retry-on 75 --stop-on timeout", 1, "stopped"),
        ("--stop-on timeout", 1, "stopped"),
    ] {
        let document = ended(&home, &format!("--timeout 100ms {options}"), line);
        assert_eq!(outcomes(&document), vec!["timeout"; attempts], "{options}");
        assert_eq!(how(&document), expected, "{options}");
    }
}

#[test]
fn a_command_that_cannot_be_executed_is_spawn_and_its_code() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (options, attempts, expected) in [
        ("--retry-on spawn", 2, "exhausted"),
        ("--retry-on 127", 2, "exhausted"),
        ("--retry-on 126", 1, "stopped"),
        ("--stop-on spawn", 1, "stopped"),
        ("--stop-on 127", 1, "stopped"),
        ("--stop-on 126", 2, "exhausted"),
    ] {
        let options = options.split_whitespace();
        let command = ["--no-check", "--", "/nonexistent/command"];
        let id = home.run(SOON.into_iter().chain(options.clone()).chain(command));
        assert_eq!(home.wait(id), 127);
        let document = home.status(id);
        let options: Vec<_> = options.collect();
        assert_eq!(
            outcomes(&document),
            vec!["spawn 127"; attempts],
            "{options:?}"
        );
        assert_eq!(how(&document), expected, "{options:?}");
    }
}

#[test]
fn a_lost_attempt_is_retried_under_a_retry_list_unless_a_stop_rule_names_it() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "[ $RETRIER_ATTEMPT = 2 ] || exec sleep 600";
    for (list, seen, state) in [
        ("--retry-on=75", &["lost", "exit 0"][..], "succeeded"),
        ("--stop-on=lost", &["lost"][..], "failed"),
    ] {
        let id = home.run(SOON.into_iter().chain([list, "--shell", line]));
        wait_until("the command runs", LONG, || {
            home.status(id)["attempts"][0]["pid"].is_i64()
        });
        signal(shim(&home), Signal::SIGKILL);
        wait_until_state(&home, id, state);
        let document = home.status(id);
        assert_eq!(outcomes(&document), seen, "{list}");
        let reason = &document["result"]["reason"];
        assert_eq!(reason == "stopped", state == "failed", "{document}");
    }
}

#[test]
fn a_success_code_is_a_success_in_everything() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let result = home.path("result");
    let hook = format!("echo $RETRIER_RESULT >>'{}'", result.display());
    // What it leaves holds neither its stdout nor its stderr, which are waited for.
    let left = format!(
        "setsid sh -c '{}' >/dev/null 2>&1 &",
        gate.line().replace('\'', "\"")
    );
    let line = format!("echo out; {left}\nexit 24");
    let args = [
        "run",
        "--wait",
        "--success-codes",
        "0,24",
        "--on-complete",
        &hook,
    ];
    let call = home.retrier(args).arg("--shell").arg(&line);
    assert_eq!(call.output().exits(24).text(), "out");
    let document = home.status(1);
    assert_eq!(document["state"], "succeeded");
    assert_eq!(document["failures"], 0);
    assert_eq!(outcomes(&document), ["exit 24"]);
    let expected = json!({"type": "success", "return_value": "out\n"});
    assert_eq!(document["result"], expected);
    assert_eq!(home.wait(document["hook_id"].as_i64().expect("a hook")), 0);
    let told = fs::read_to_string(result).expect("the hook has run");
    assert_eq!(told, "success\n");
    assert!(!commands(&home).is_empty(), "what it left lives on");
    gate.open();
    wait_until_no_command(&home);
}

#[test]
fn an_explicit_list_of_successes_takes_the_place_of_0() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (list, line, attempts, expected) in [
        ("0,24", "exit 0", 1, "success"),
        ("0,24", "exit 23", 2, "exhausted"),
        ("24", "exit 0", 2, "exhausted"),
        ("1-3", "exit 2", 1, "success"),
        ("0,TERM", "kill $$", 1, "success"),
        ("0,143", "kill $$", 2, "exhausted"),
        // Of a success nobody asks whether it is retried.
        ("0,24 --stop-on 24 --retry-on 24", "exit 24", 1, "success"),
    ] {
        let document = ended(&home, &format!("--success-codes {list}"), line);
        let seen = (outcomes(&document).len(), how(&document));
        assert_eq!(seen, (attempts, expected), "{list}: {line}: {document}");
    }
    let killed = home.retrier([
        "run",
        "--wait",
        "--success-codes=TERM",
        "--shell",
        "kill $$",
    ]);
    killed.output().exits(143);
}

/// A script would go on after it.
#[test]
fn a_failed_run_never_exits_0() {
    let home = Home::new();
    let options = ["run", "--wait", "--success-codes=24", "--max-failures=0"];
    let failed = home.retrier(options.iter().chain(&["--", "true"]));
    let text = failed.output().exits(1).error_text();
    assert!(text.contains("failed after 1 attempt: exit 0"), "{text}");
    home.retrier(["wait", "1"]).output().exits(1);
}

#[test]
fn who_waits_is_told_which_rule_has_stopped_it() {
    let home = Home::new();
    for (option, rule) in [
        ("--stop-on=3", "--stop-on"),
        ("--stop-if=^no$", "--stop-if"),
        ("--retry-on=4", "--retry-on"),
        ("--retry-if=^yes$", "--retry-if"),
        ("--decide=true", "--decide"),
    ] {
        let call = home.retrier(["run", "--wait", option, "--shell", "echo no; exit 3"]);
        let text = call.output().exits(3).error_text();
        let told = format!("failed after 1 attempt: exit 3 (stopped by {rule})");
        assert!(text.contains(&told), "{text}");
    }
}

#[test]
fn a_list_of_delays_is_kept_to_the_millisecond_and_its_last_one_repeats() {
    let home = Home::new();
    let _daemon = home.daemon();
    let options = ["--delays", "10ms, 0.03,50ms", "--max-failures", "4"];
    let id = home.run(options.into_iter().chain(["--", "false"]));
    assert_eq!(home.wait(id), 1);
    let document = home.status(id);
    let attempts = document["attempts"].as_array().expect("a list of attempts");
    let planned: Vec<_> = attempts.iter().map(|one| &one["retry_delay_ms"]).collect();
    assert_eq!(
        planned,
        [&json!(10), &json!(30), &json!(50), &json!(50), &Value::Null]
    );
    for (pair, planned) in attempts.windows(2).zip([10, 30, 50, 50]) {
        let waited = millis(&pair[1]["started_at"]) - millis(&pair[0]["ended_at"]);
        assert!(waited >= planned, "{waited} ms instead of {planned}");
    }
    assert_eq!(document["policy"]["delays_ms"], json!([10, 30, 50]));
    assert_eq!(document["policy"]["jitter"], 0.0);
    let capped = ["--delays=1s,5s", "--max-backoff=2s", "--jitter=0.25"];
    let capped = policy(&home, &capped);
    assert_eq!(capped["jitter"], 0.25, "a jitter that is asked for counts");
    assert_eq!(capped["max_backoff_ms"], 2000);
}
