//! What a command decides, by the file that `RETRIER_DECISION` names.
//!
//! Here each field does what it says; in [`malformed`] nothing of a decision counts, in [`lost`] nobody lived who could
//! read it, in [`output`] the output speaks, and in [`server`] an HTTP server does.

mod lost;
mod malformed;
mod output;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use retrier::model::policy::{By, Decision, Judgement, Verdict, WaitBy, judge};
use retrier::model::{
    AttemptNumber, EventRecord, Note, Outcome, Policy, Run, RunId, State, Testimony, Timestamp,
};
use retrier::store::{Access, Folder, Store};
use serde_json::{Value, json};

use crate::crash::tools::{LONG, millis, numbers, outcomes, wait_until_state};
use crate::support::{Home, wait_until};

/// A backoff that no test waits for.
const LONG_BACKOFF: [&str; 4] = ["--constant", "1h", "--jitter", "0"];

/// A shell line whose first attempt decides so and exits with `code`; a later one says its number and succeeds.
fn first(decision: &str, code: u8) -> String {
    format!(
        "[ $RETRIER_ATTEMPT = 1 ] || {{ echo $RETRIER_ATTEMPT; exit 0; }}
         echo first; printf %s '{decision}' >\"$RETRIER_DECISION\"; exit {code}"
    )
}

/// Stores a run of this line, with a backoff that no test waits for, and gives its id.
#[track_caller]
fn submit(home: &Home, options: &[&str], line: &str) -> i64 {
    let all = LONG_BACKOFF.iter().chain(options);
    home.run(all.chain(&["--shell", line]))
}

/// The history of a run.
#[track_caller]
fn history(home: &Home, id: i64) -> Vec<EventRecord> {
    let store = Store::open(&Folder::of(home.db()), Access::Existing);
    let store = store.expect("it can be read").expect("it is there");
    let events = store.read().events(RunId(id));
    events.expect("the run is there")
}

/// Who said how it goes on after the attempt of this number, and who said when.
#[track_caller]
fn why(home: &Home, id: i64, attempt: u32) -> (By, Option<WaitBy>) {
    let of_attempt =
        |event: &EventRecord| event.attempt == Some(AttemptNumber(attempt)) && event.why.is_some();
    let events = history(home, id);
    let found = events.iter().find(|event| of_attempt(event));
    let why = found.and_then(|event| event.why);
    let why = why.unwrap_or_else(|| panic!("nobody has decided: {events:?}"));
    (why.by, why.wait_by)
}

/// The time between the end of the first attempt and the time at which the run is, or was, due again.
fn planned_ms(home: &Home, id: i64) -> i64 {
    let ended = millis(&home.status(id)["attempts"][0]["ended_at"]);
    let events = history(home, id);
    let end = events.iter().find(|event| event.note.ends_attempt());
    let due = end.and_then(|event| event.due);
    due.expect("it goes on").millis() - ended
}

fn decision_file(home: &Home, id: i64, attempt: u32) -> PathBuf {
    home.path(format!("retrier.db.d/logs/0/{id}.{attempt}.decision"))
}

#[test]
fn retry_false_fails_the_run_at_once_with_the_error_that_it_names() {
    let home = Home::new();
    let _daemon = home.daemon();
    let decision = r#"{"retry":false,"error":"the disk\nis \u001b[31mgone"}"#;
    let id = submit(&home, &["--forever"], &first(decision, 7));
    assert_eq!(home.wait(id), 7);
    let document = home.status(id);
    let result = json!({ "type": "failed", "reason": "stopped", "error": "the diskis [31mgone" });
    assert_eq!(document["result"], result);
    assert_eq!(outcomes(&document), ["exit 7"]);
    assert_eq!(document["failures"], 1);
    assert_eq!(why(&home, id, 1), (By::Command, None));
}

#[test]
fn an_error_alone_leaves_all_to_the_policy_and_tells_of_the_last_failure() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = r#"printf '{"error":"nr %s"}' $RETRIER_ATTEMPT >$RETRIER_DECISION; exit 1"#;
    let policy = ["--max-failures=1", "--constant=0", "--jitter=0"];
    let id = home.run(policy.into_iter().chain(["--shell", line]));
    assert_eq!(home.wait(id), 1);
    let result = json!({ "type": "failed", "reason": "exhausted", "error": "nr 2" });
    assert_eq!(home.status(id)["result"], result);
}

#[test]
fn retry_true_goes_beyond_the_budget_and_the_variables_count_along() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = r#"echo $RETRIER_ATTEMPT $RETRIER_MAX_ATTEMPTS $RETRIER_LAST_ATTEMPT >>"$SAID"
        [ $RETRIER_ATTEMPT = 3 ] && exit 9
        echo '{"retry":true,"retry_in":0}' >"$RETRIER_DECISION"; exit 1"#;
    let said = home.path("said");
    let variable = format!("SAID={}", said.display());
    let id = submit(&home, &["--max-failures=0", "--env", &variable], line);
    assert_eq!(home.wait(id), 9);
    let said = fs::read_to_string(said).expect("it has said something");
    assert_eq!(said, "1 1 1\n2 2 1\n3 3 1\n");
    let document = home.status(id);
    assert_eq!(document["failures"], 3);
    assert_eq!(document["result"]["reason"], "exhausted");
    let by_command = (By::Command, Some(WaitBy::Command));
    assert_eq!(why(&home, id, 2), by_command);
    assert_eq!(why(&home, id, 3), (By::Budget, None));
}

#[test]
fn retry_in_sets_the_wait_and_leaves_the_rest_to_the_budget() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (decision, ms) in [
        (r#"{"retry_in":0.4}"#, 400),
        (r#"{"retry_in":"250ms","retry":true}"#, 250),
        (r#"{"retry_in":0}"#, 0),
    ] {
        let id = submit(&home, &[], &first(decision, 1));
        assert_eq!(home.wait(id), 0);
        assert_eq!(planned_ms(&home, id), ms, "{decision}");
        let attempts = &home.status(id)["attempts"];
        assert_eq!(attempts[0]["retry_delay_ms"], ms);
        let waited = millis(&attempts[1]["started_at"]) - millis(&attempts[0]["ended_at"]);
        assert!(waited >= ms, "{decision}: {waited} ms");
    }
    let id = submit(&home, &["--max-failures=0"], &first(r#"{"retry_in":0}"#, 1));
    assert_eq!(home.wait(id), 1, "it says when, not whether");
    assert_eq!(home.status(id)["result"]["reason"], "exhausted");
}

#[test]
fn retry_at_sets_the_time_and_one_that_has_passed_is_now() {
    let home = Home::new();
    let _daemon = home.daemon();
    let later = r#"{"retry_at":"2099-12-31T23:59:59.123+01:00"}"#;
    let id = submit(&home, &[], &first(later, 1));
    wait_until_state(&home, id, "scheduled");
    wait_until("it is planned", LONG, || {
        outcomes(&home.status(id)) == ["exit 1"]
    });
    assert_eq!(home.status(id)["due_at"], "2099-12-31T22:59:59.123Z");
    let past = r#"{"retry_at":"1999-12-31T23:59:59Z"}"#;
    let id = submit(&home, &[], &first(past, 1));
    assert_eq!(home.wait(id), 0);
    assert_eq!(planned_ms(&home, id), 0);
}

/// A due time that a command has asked for is a promise like any other.
#[test]
fn a_retry_in_of_an_hour_is_due_at_the_same_millisecond_under_the_next_daemon() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let line = first(r#"{"retry_in":"1h"}"#, 1);
    let id = home.run(["--constant=0", "--jitter=0", "--shell", &line]);
    wait_until("it is planned", LONG, || {
        outcomes(&home.status(id)) == ["exit 1"]
    });
    daemon.kill9();
    let before = home.status(id);
    let due = millis(&before["due_at"]);
    assert_eq!(due - millis(&before["attempts"][0]["ended_at"]), 3_600_000);
    let _second = home.daemon();
    let other = home.run(["--", "true"]);
    assert_eq!(home.wait(other), 0, "the second daemon has made its passes");
    assert_eq!(home.status(id), before);
}

#[test]
fn a_snooze_runs_again_without_a_charge_whatever_the_exit_code() {
    let home = Home::new();
    let _daemon = home.daemon();
    for code in [0, 1] {
        let line = format!(
            r#"[ $RETRIER_ATTEMPT = 3 ] && {{ echo "$RETRIER_MAX_ATTEMPTS $RETRIER_LAST_ATTEMPT"; exit 0; }}
            echo not ready; echo '{{"snooze":"150ms"}}' >"$RETRIER_DECISION"; exit {code}"#
        );
        let options = ["--max-failures=0", "--on-complete", "true"];
        let id = submit(&home, &options, &line);
        let waited = home.retrier(["wait", &id.to_string()]).output().ok();
        assert_eq!(waited.text(), "3 1", "the last attempt's output alone");
        let document = home.status(id);
        let exit = format!("exit {code}");
        assert_eq!(outcomes(&document), [&exit, &exit, "exit 0"]);
        assert_eq!(document["failures"], 0);
        assert_eq!(document["snoozes"], 2);
        assert_eq!(document["result"]["return_value"], "3 1\n");
        assert_eq!(planned_ms(&home, id), 150);
        assert_eq!(why(&home, id, 1), (By::Command, None));
        let notes = history(&home, id).into_iter().map(|event| event.note);
        let count = |kind| notes.clone().filter(|note| *note == kind).count();
        assert_eq!(count(Note::Snoozed), 2);
        assert_eq!(count(Note::HookEnqueued), 1);
        assert_eq!(count(Note::Succeeded), 1);
    }
}

/// Its next attempt would run beside what it has left.
#[test]
fn what_a_snoozing_success_leaves_behind_is_ended_before_its_next_attempt() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = r#"if [ $RETRIER_ATTEMPT = 1 ]; then
            sleep 600 & echo $! >"$LEFT"; echo '{"snooze":0}' >"$RETRIER_DECISION"; exit 0
        fi
        ! kill -0 $(cat "$LEFT")"#;
    let left = format!("LEFT={}", home.path("left").display());
    let id = submit(&home, &["--max-failures=0", "--env", &left], line);
    assert_eq!(home.wait(id), 0);
    assert_eq!(numbers(&home.status(id)), [1, 2]);
}

/// On the pure core: a thousand real attempts would take a minute.
#[test]
fn a_run_without_a_deadline_is_snoozed_a_thousand_times_at_the_most() {
    let at = Timestamp::from_millis(1_000_000);
    let said = Testimony {
        command: Some(Decision {
            verdict: Some(Verdict::Snooze { delay_ms: 5 }),
            when: None,
        }),
        ..Testimony::default()
    };
    let snoozed = |snoozes, deadline_at| {
        let run = Run {
            state: State::Running {
                attempt: AttemptNumber(snoozes + 1),
            },
            attempts: snoozes + 1,
            failures: 0,
            snoozes,
            deadline_at,
            policy: Policy::default(),
            seed: 0,
            has_hook: false,
        };
        judge(&run, at, &Outcome::Exit { code: 0 }, &said)
    };
    let delay = |judgement| match judgement {
        Judgement::GoOn { delay_ms, .. } => delay_ms,
        Judgement::Succeed | Judgement::Fail { .. } => None,
    };
    assert_eq!(delay(snoozed(999, None)), Some(5));
    let Judgement::Fail { why, .. } = snoozed(1000, None) else {
        panic!("snoozed for ever");
    };
    assert_eq!(why.by, By::Snoozes);
    // Its deadline ends it, and until then it rests, or there were thousands of attempts more.
    let deadline = Some(at.plus(Duration::from_secs(60)));
    assert_eq!(delay(snoozed(999, deadline)), Some(5));
    assert_eq!(delay(snoozed(1000, deadline)), Some(1000));
}

#[test]
fn priority_pool_and_lock_are_kept_with_the_run() {
    let home = Home::new();
    let _daemon = home.daemon();
    let decision = r#"{"retry_in":0,"priority":-7,"pool":"default","lock":"the \"db\""}"#;
    let id = submit(&home, &[], &first(decision, 1));
    assert_eq!(home.wait(id), 0);
    let document = home.status(id);
    assert_eq!(document["priority"], -7);
    assert_eq!(document["pool"], "default");
    assert_eq!(document["lock"], "the \"db\"");
    // Who decided what stands in its history.
    let events = history(&home, id);
    let changed: Vec<&str> = events
        .iter()
        .filter_map(|event| event.detail.as_deref())
        .collect();
    assert_eq!(changed, ["priority -7, pool default, lock the \"db\""]);
}

/// The longest that can be said must fit into a shim's file, or an outcome is lost for a few words too many.
#[test]
fn a_decision_of_the_longest_texts_arrives_whole() {
    let home = Home::new();
    let _daemon = home.daemon();
    let (error, lock) = ("\"".repeat(1000), "\\".repeat(200));
    let decision = json!({ "error": error, "lock": lock });
    let id = submit(
        &home,
        &["--max-failures=0"],
        &first(&decision.to_string(), 1),
    );
    assert_eq!(home.wait(id), 1);
    let document = home.status(id);
    assert_eq!(document["result"]["error"], error);
    assert_eq!(document["lock"], lock);
    assert_eq!(outcomes(&document), ["exit 1"]);
}

#[test]
fn each_attempt_has_its_own_decision_file_that_is_not_there_and_goes_with_its_output() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = r#"[ -e "$RETRIER_DECISION" ] && exit 100
        echo "$RETRIER_DECISION" >>"$SAID"
        [ $RETRIER_ATTEMPT = 3 ] && mkdir -p "$RETRIER_DECISION/sub" && exit 1
        echo '{"retry_in":0}' >"$RETRIER_DECISION"; exit 1"#;
    let said = home.path("said");
    let variable = format!("SAID={}", said.display());
    let id = submit(&home, &["--max-failures=2", "--env", &variable], line);
    assert_eq!(home.wait(id), 1);
    let said = fs::read_to_string(said).expect("it has said something");
    let files: Vec<PathBuf> = said.lines().map(PathBuf::from).collect();
    let expected: Vec<PathBuf> = (1..=3).map(|n| decision_file(&home, id, n)).collect();
    assert_eq!(files, expected);
    assert!(files.iter().all(|file| file.exists()));
    let cleaned = home.retrier(["cleanup", &id.to_string()]).output().ok();
    assert_eq!(cleaned.error_text(), "");
    let left: Vec<&PathBuf> = files.iter().filter(|file| file.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Ids begin anew when a database is removed and its folder is not.
#[test]
fn a_decision_that_was_there_before_the_attempt_is_not_heard() {
    let home = Home::new();
    let store = |line: &str| {
        let options = ["--max-failures=1", "--constant=0", "--no-daemon-start"];
        home.run(options.into_iter().chain(["--shell", line]))
    };
    let id = store("[ ! -e $RETRIER_DECISION ] && [ $RETRIER_ATTEMPT = 2 ]");
    let file = decision_file(&home, id, 1);
    fs::create_dir_all(file.parent().expect("it is in a folder")).expect("it is ours");
    fs::write(&file, r#"{"retry":false}"#).expect("it is ours");
    fs::create_dir_all(decision_file(&home, id, 2).join("sub")).expect("it is ours");
    let _daemon = home.daemon();
    assert_eq!(home.wait(id), 0);
    assert_eq!(outcomes(&home.status(id)), ["exit 1", "exit 0"]);
}

/// Bytes of a file, for what cannot stand in a line.
fn kept(home: &Home, name: &str, bytes: &[u8]) -> String {
    let path = home.path(name);
    fs::write(&path, bytes).expect("the temp folder can be written");
    shown(&path)
}

fn shown(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// Of each attempt, the type of its outcome and the delay after it.
fn delays(document: &Value) -> Vec<Value> {
    let attempts = document["attempts"].as_array().expect("a list");
    attempts
        .iter()
        .map(|attempt| attempt["retry_delay_ms"].clone())
        .collect()
}
