//! `--decide`: a program that is asked after each failed attempt, and can neither lose its outcome nor hold it up.
//!
//! Here what it is told and what its answers do; in [`failing`] it gives none; in [`dying`] others end around it.

mod dying;
mod failing;

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::crash::tools::{LONG, millis, numbers, outcomes, wait_until_state};
use crate::support::{Home, wait_until};

/// Stores a run with this decider that backs off for no time at all.
#[track_caller]
fn submit(home: &Home, decider: &str, rest: &[&str]) -> i64 {
    let options = ["--initial-backoff", "0", "--decide", decider];
    home.run(options.iter().chain(rest))
}

/// The history of a run in words, without that its decider was asked, which a daemon that is killed may not get to.
fn history(home: &Home, id: i64) -> Vec<String> {
    let database = Connection::open(home.db()).expect("it is there");
    let mut select = database
        .prepare(
            "SELECT concat_ws(' ', kind, why, wait_by, detail) FROM event WHERE run_id = ?1 \
             AND kind <> 'deciding' ORDER BY number",
        )
        .expect("there is such a table");
    let rows = select.query_map([id], |row| row.get(0));
    let rows = rows.expect("it can be read");
    rows.collect::<Result<_, _>>().expect("it can be read")
}

/// What the history tells of a decider that failed.
fn complaints(home: &Home, id: i64) -> Vec<String> {
    let lines = history(home, id).into_iter();
    let details = lines.filter_map(|line| Some(line.strip_prefix("decider_failed ")?.to_owned()));
    details.collect()
}

/// A decider that keeps what it reads in a file for each attempt, and answers.
fn keeper(home: &Home, answer: &str) -> String {
    let path = home.path("question");
    format!(
        "cat >'{}'.$RETRIER_ATTEMPT; echo '{answer}'",
        path.display()
    )
}

/// What the decider was told after this attempt.
#[track_caller]
fn question(home: &Home, attempt: i64) -> Value {
    let text = fs::read_to_string(home.path(format!("question.{attempt}")));
    let text = text.expect("the decider was asked");
    assert_eq!(text.lines().count(), 1);
    assert!(text.ends_with('\n'));
    serde_json::from_str(&text).expect("it is JSON")
}

fn was_asked(home: &Home) -> bool {
    home.path("question.1").exists()
}

#[test]
fn each_kind_of_answer_is_followed() {
    let home = Home::new();
    let _daemon = home.daemon();
    let second = ["--max-failures", "0", "--shell", "[ $RETRIER_ATTEMPT = 2 ]"];
    let answered = |answer: &str, rest: &[&str]| submit(&home, &format!("echo '{answer}'"), rest);
    let stopped = answered(r#"{"retry":false,"error":"no way"}"#, &["--", "false"]);
    let silent = submit(&home, "echo; echo ' '", &["--", "false"]);
    let retried = answered(r#"{"retry":true,"retry_in":"1s"}"#, &second);
    let snoozed = answered(r#"{"snooze":"500ms"}"#, &second);
    let at = "2099-01-31T23:59:59.123Z";
    let later = answered(&format!(r#"{{"retry_at":"{at}"}}"#), &["--", "false"]);
    let content = answered("{}", &["--max-failures", "1", "--", "false"]);
    let changes = r#"{"priority":7,"lock":"disk","retry":false}"#;
    let changed = answered(changes, &["--", "false"]);
    for (id, state) in [
        (stopped, "failed"),
        (silent, "failed"),
        (retried, "succeeded"),
        (snoozed, "succeeded"),
        (later, "scheduled"),
        (content, "failed"),
        (changed, "failed"),
    ] {
        wait_until_state(&home, id, state);
        assert_eq!(complaints(&home, id), [""; 0], "run {id}");
    }
    let result = |id| home.status(id)["result"].clone();
    let no_way = json!({"type": "failed", "reason": "stopped", "error": "no way"});
    assert_eq!(result(stopped), no_way);
    assert_eq!(result(silent)["reason"], "stopped");
    assert_eq!(numbers(&home.status(silent)), [1]);
    assert_eq!(
        history(&home, silent),
        ["enqueued", "started", "failed decide"]
    );
    let wait_of = |id: i64, delay: i64| {
        let document = home.status(id);
        assert_eq!(outcomes(&document), ["exit 1", "exit 0"]);
        assert_eq!(document["attempts"][0]["retry_delay_ms"], delay);
        let ended = millis(&document["attempts"][0]["ended_at"]);
        assert!(millis(&document["attempts"][1]["started_at"]) >= ended + delay);
        [&document["failures"], &document["snoozes"]].map(|count| count.as_i64())
    };
    assert_eq!(wait_of(retried, 1000), [Some(1), Some(0)]);
    assert_eq!(wait_of(snoozed, 500), [Some(0), Some(1)]);
    assert_eq!(
        history(&home, retried)[2],
        "attempt_failed decide decide",
        "beyond its budget"
    );
    assert_eq!(home.status(later)["due_at"], at);
    assert_eq!(result(content)["reason"], "exhausted");
    assert_eq!(numbers(&home.status(content)), [1, 2]);
    let document = home.status(changed);
    assert_eq!(
        [&document["priority"], &document["lock"]],
        [&json!(7), &json!("disk")]
    );
}

#[test]
fn it_is_told_of_the_run_its_attempts_and_the_outcome() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "echo $RETRIER_ATTEMPT; exit 2$RETRIER_ATTEMPT";
    let rest = ["--max-failures", "1", "--name", "nightly", "--shell", line];
    let id = submit(&home, &keeper(&home, "{}"), &rest);
    assert_eq!(home.wait(id), 22);
    let document = home.status(id);
    for number in 1..=2 {
        let question = question(&home, number);
        assert_eq!(question["version"], 1);
        assert_eq!(question["attempt"], number);
        let outcome = json!({"type": "exit", "code": 20 + number});
        assert_eq!(question["outcome"], outcome);
        let run = &question["run"];
        assert_eq!(numbers(run), (1..=number).collect::<Vec<_>>());
        assert_eq!([&run["id"], &run["state"]], [&json!(id), &json!("running")]);
        assert_eq!(run["failures"], number - 1);
        for known in ["version", "name", "command", "cwd", "policy", "created_at"] {
            assert_eq!(run[known], document[known], "{known}");
        }
        let at = number as usize - 1;
        let mut told = run["attempts"][at].clone();
        told["retry_delay_ms"] = document["attempts"][at]["retry_delay_ms"].clone();
        assert_eq!(told, document["attempts"][at], "the one that it is about");
        for before in 0..at {
            assert_eq!(run["attempts"][before], document["attempts"][before]);
        }
        let path = question["stdout"].as_str().expect("a path");
        let said = fs::read_to_string(path).expect("it is there");
        assert_eq!(said, format!("{number}\n"));
        assert!(question["stderr"].as_str() == Some(&path.replace(".out", ".err")));
    }
}

/// A run that goes on for ever must not make each of its attempts dearer than the one before.
#[test]
fn of_a_long_history_it_is_told_the_end() {
    let home = Home::new();
    let _daemon = home.daemon();
    let rest = ["--max-failures", "102", "--", "false"];
    let id = submit(&home, &keeper(&home, "{}"), &rest);
    let waits = home.retrier(["wait", &id.to_string()]);
    waits.limit(5 * LONG).output().exits(1);
    let told = |attempt| numbers(&question(&home, attempt)["run"]);
    assert_eq!(told(100), (1..=100).collect::<Vec<_>>());
    assert_eq!(told(103), (4..=103).collect::<Vec<_>>());
}

#[test]
fn it_is_asked_of_timeouts_signals_and_what_could_not_be_executed() {
    for (rest, outcome) in [
        (&["--timeout", "50ms", "--", "sleep", "600"][..], "timeout"),
        (&["--shell", "kill -9 $$"], "signal"),
        (&["--no-check", "--", "./missing"], "spawn 127"),
    ] {
        let home = Home::new();
        let _daemon = home.daemon();
        let id = submit(&home, &keeper(&home, r#"{"retry":false}"#), rest);
        home.wait(id);
        let document = home.status(id);
        assert_eq!(document["result"]["reason"], "stopped", "{outcome}");
        assert_eq!(outcomes(&document), [outcome]);
        let question = question(&home, 1);
        assert_eq!(question["outcome"], document["attempts"][0]["outcome"]);
        assert_eq!(outcomes(&question["run"]), [outcome]);
    }
}

#[test]
fn it_is_not_asked_of_a_success_a_cancel_or_a_deadline() {
    for (rest, code) in [
        (&["--", "true"][..], 0),
        (
            &["--shell", "retrier cancel $RETRIER_RUN_ID; sleep 600"],
            130,
        ),
        (&["--deadline", "1s", "--", "sleep", "600"], 124),
    ] {
        let home = Home::new();
        let decider = keeper(&home, "");
        let call = home.sh("exec retrier run --wait --decide \"$DECIDER\" \"$@\"");
        let call = rest.iter().fold(call.arg("sh"), |call, arg| call.arg(arg));
        let call = call.env("DECIDER", decider);
        call.output().exits(code);
        home.retrier(["daemon", "stop", "--drain"]).output().ok();
        assert!(!was_asked(&home), "{rest:?}");
    }
}

#[test]
fn it_has_the_folder_umask_environment_and_stderr_of_the_command() {
    let home = Home::new();
    let _daemon = home.daemon();
    fs::create_dir(home.path("here")).expect("the temp folder can be written");
    let seen = home.path("seen");
    // The file for the command's own decision is none of its business.
    let decider = format!(
        "{{ pwd; umask; echo $OWN $RETRIER_RUN_ID $RETRIER_ATTEMPT ${{RETRIER_DECISION-none}}; }} >'{}'; echo told >&2",
        seen.display()
    );
    let line = "umask 027; exec retrier run --env OWN=mine --decide \"$DECIDER\" --shell \
                'rmdir \"$GOES\" 2>&-; echo wrong >&2; exit 1'";
    let store = |cwd: PathBuf, goes: &str| {
        let call = home.sh(line).env("DECIDER", &decider).env("GOES", goes);
        let id = call.cwd(cwd).output().ok().text();
        assert_eq!(home.wait(id.parse().expect("an id")), 1);
        let logs = home.retrier(["logs", &id]).output().ok();
        assert_eq!(logs.error_text(), "wrong\ntold\n");
        fs::read_to_string(&seen).expect("the decider was asked")
    };
    let here = home.path("here");
    let expected = format!("{}\n0027\nmine 1 1 none\n", here.display());
    assert_eq!(store(here.clone(), ""), expected);
    // The command has removed its folder.
    let expected = "/\n0027\nmine 2 1 none\n";
    assert_eq!(store(here.clone(), &here.to_string_lossy()), expected);
}

/// It may look at the output even when there is none, and what it did not write is not kept.
#[test]
fn the_output_of_the_attempt_is_there_while_it_decides() {
    let home = Home::new();
    let _daemon = home.daemon();
    let decider = "cat \"$RETRIER_DB.d/logs/0/$RETRIER_RUN_ID.1.out\" && echo '{\"retry\":false}'";
    let id = submit(&home, decider, &["--", "false"]);
    assert_eq!(home.wait(id), 1);
    assert_eq!(complaints(&home, id), [""; 0]);
    wait_until("no empty file is left", LONG, || {
        let logs = fs::read_dir(home.path("retrier.db.d/logs/0")).expect("it is there");
        logs.count() == 0
    });
}

#[test]
fn while_it_decides_that_is_told() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = home.path("answer");
    let decider = format!("until [ -e '{}' ]; do sleep 0.05; done", gate.display());
    let id = home.run(["--decide", &decider, "--shell", "exit 7"]);
    let why = || {
        home.retrier(["explain", &id.to_string()])
            .output()
            .ok()
            .text()
    };
    let told = "running: attempt 1 of 5 has ended (exit 7), its decider is asked";
    wait_until("it is told", LONG, || why() == told);
    let status = home
        .retrier(["status", &id.to_string()])
        .output()
        .ok()
        .text();
    assert!(status.contains(told), "{status}");
    let events = home
        .retrier(["events", &id.to_string()])
        .output()
        .ok()
        .text();
    assert!(events.contains("\tdeciding\t1\t"), "{events}");
    std::fs::write(&gate, "").expect("the folder is ours");
    wait_until_state(&home, id, "failed");
}
