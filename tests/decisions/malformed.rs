//! Decisions that cannot be understood: logged once, one line in the history, and the run goes on by its policy.

use retrier::model::Note;

use super::{first, history, kept, outcomes, submit};
use crate::crash::tools::LONG;
use crate::support::{Home, wait_until};

/// The lines of the daemon's log that complain of the decision of an attempt.
fn complaints(home: &Home, id: i64, attempt: u32) -> Vec<String> {
    let start = format!("run {id}, attempt {attempt}: its decision: ");
    let log = home.daemon_log();
    let found = log.lines().filter_map(|line| line.split_once(&start));
    found.map(|(_, reason)| reason.to_owned()).collect()
}

/// Asserts that the only attempt of the run was complained of once, for this reason.
#[track_caller]
fn assert_ignored(home: &Home, id: i64, reason: &str) {
    // Its ending is seen a moment before it is logged.
    wait_until("it is complained of", LONG, || {
        !complaints(home, id, 1).is_empty()
    });
    let complaints = complaints(home, id, 1);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains(reason), "{complaints:?} of {reason}");
    let events = history(home, id).into_iter();
    let ignored: Vec<_> = events
        .filter(|event| event.note == Note::DecisionIgnored)
        .collect();
    assert_eq!(ignored.len(), 1);
    assert_eq!(ignored[0].detail.as_ref(), Some(&complaints[0]));
    assert_eq!(ignored[0].attempt.map(|attempt| attempt.0), Some(1));
}

#[test]
fn what_is_malformed_is_logged_once_and_the_run_goes_on_by_its_policy() {
    let home = Home::new();
    let cases = [
        ("null", "it must be a JSON object"),
        ("[]", "it must be a JSON object"),
        (r#"["retry"]"#, "it must be a JSON object"),
        ("false", "it must be a JSON object"),
        ("no", "it is not JSON"),
        (r#"{"retry":false"#, "it is not JSON"),
        (r#"{"retry":false} x"#, "it is not JSON"),
        (r#"{"retry":false,"wait":3}"#, "there is no field wait"),
        (r#"{"retry":"false"}"#, "retry: it must be true or false"),
        (r#"{"retry":false,"retry":false}"#, "retry is there twice"),
        (
            r#"{"retry":false,"pool":"g pu"}"#,
            "pool: it must be the name",
        ),
        (r#"{"retry":false,"lock":""}"#, "lock: "),
        (r#"{"retry":false,"error":1}"#, "error: "),
        (r#"{"retry":false,"priority":"high"}"#, "priority: "),
        (r#"{"retry_in":"1M"}"#, "retry_in: the unit M"),
        (r#"{"retry_in":-1}"#, "retry_in: "),
        (r#"{"retry_at":"noon"}"#, "retry_at: "),
        (r#"{"snooze":"soon"}"#, "snooze: "),
        (
            r#"{"retry_in":0,"retry_at":"2026-01-31T23:59:59Z"}"#,
            "retry_in and retry_at exclude each other",
        ),
        (
            r#"{"retry":false,"retry_in":0}"#,
            "retry false and retry_in",
        ),
        (r#"{"snooze":0,"retry":false}"#, "snooze and retry"),
        (r#"{"snooze":0,"retry_in":0}"#, "snooze and retry_in"),
    ];
    let submitted = cases.map(|(decision, reason)| {
        let options = ["--max-failures=1", "--constant=0", "--jitter=0"];
        let line = first(decision, 3);
        (
            home.run(options.into_iter().chain(["--shell", &line])),
            reason,
        )
    });
    for (id, reason) in submitted {
        assert_eq!(home.wait(id), 0, "{reason}");
        let document = home.status(id);
        assert_eq!(outcomes(&document), ["exit 3", "exit 0"], "{reason}");
        assert_eq!(document["failures"], 1);
        assert_ignored(&home, id, reason);
    }
}

/// Only the daemon knows which pools there are: what else was decided counts.
#[test]
fn a_run_cannot_be_sent_to_a_pool_that_is_none_for_it() {
    let home = Home::new();
    for (pool, reason) in [
        ("gpu", "there is no pool gpu, and the run stays where it is"),
        ("hooks", "the pool hooks is for hooks"),
    ] {
        let decision = format!(r#"{{"retry":false,"error":"enough","pool":"{pool}"}}"#);
        let id = home.run(["--shell", &first(&decision, 3)]);
        assert_eq!(home.wait(id), 3);
        let document = home.status(id);
        assert_eq!(document["result"]["reason"], "stopped");
        assert_eq!(document["result"]["error"], "enough");
        assert_eq!(document["pool"], "default");
        assert_ignored(&home, id, reason);
    }
    let decision = first(r#"{"retry_in":0,"pool":"default"}"#, 1);
    let id = home.run(["--on-complete", &decision, "--", "true"]);
    assert_eq!(home.wait(id), 0);
    let hook = home.status(id)["hook_id"].as_i64().expect("it has one");
    assert_eq!(home.wait(hook), 0);
    assert_eq!(home.status(hook)["pool"], "hooks");
    assert_ignored(&home, hook, "a hook stays in its pool");
}

/// A decision is read by the shim, and by the daemon for an attempt that was lost: neither may hang or swell.
#[test]
fn what_is_no_small_regular_file_is_no_decision() {
    let home = Home::new();
    let stop = br#"{"retry":false}"#;
    let mut longest = stop.to_vec();
    longest.resize(64 * 1024, b' ');
    let fits = kept(&home, "fits", &longest);
    longest.push(b' ');
    let long = kept(&home, "long", &longest);
    let wish = kept(&home, "wish", stop);
    let rubbish = kept(&home, "rubbish", &[0xff; 4096]);
    let mut name = br#"{""#.to_vec();
    name.resize(60_000, b'n');
    name.extend(br#"":1}"#);
    let name = kept(&home, "name", &name);
    for (line, reason) in [
        (
            "mkfifo $RETRIER_DECISION".to_owned(),
            "it is not a regular file",
        ),
        (
            "mkdir $RETRIER_DECISION".to_owned(),
            "it is not a regular file",
        ),
        (
            format!("ln -s {wish} $RETRIER_DECISION"),
            "it is not a regular file",
        ),
        (
            "ln -s /dev/zero $RETRIER_DECISION".to_owned(),
            "it is not a regular file",
        ),
        (
            format!("cp {long} $RETRIER_DECISION"),
            "it is longer than 64 KiB",
        ),
        (
            "truncate -s 1T $RETRIER_DECISION".to_owned(),
            "it is longer than 64 KiB",
        ),
        (format!("cp {rubbish} $RETRIER_DECISION"), "it is not JSON"),
        (
            format!("cp {name} $RETRIER_DECISION"),
            "there is no field nnn",
        ),
    ] {
        let id = submit(&home, &["--max-failures=0"], &format!("{line}; exit 3"));
        assert_eq!(home.wait(id), 3, "{line}");
        assert_eq!(home.status(id)["result"]["reason"], "exhausted", "{line}");
        assert_ignored(&home, id, reason);
    }
    let id = submit(
        &home,
        &["--max-failures=0"],
        &format!("cp {fits} $RETRIER_DECISION; exit 3"),
    );
    assert_eq!(home.wait(id), 3);
    assert_eq!(home.status(id)["result"]["reason"], "stopped");
}

#[test]
fn a_success_stays_one_and_its_malformed_decision_is_told_of_too() {
    let home = Home::new();
    let id = submit(&home, &[], r#"echo '{"snooze":-1}' >$RETRIER_DECISION"#);
    assert_eq!(home.wait(id), 0);
    assert_ignored(&home, id, "snooze: ");
}

#[test]
fn an_empty_decision_says_nothing_and_nobody_complains() {
    let home = Home::new();
    for line in [
        ": >$RETRIER_DECISION",
        "echo >$RETRIER_DECISION",
        "echo {} >$RETRIER_DECISION",
    ] {
        let id = submit(&home, &["--max-failures=0"], &format!("{line}; exit 3"));
        assert_eq!(home.wait(id), 3, "{line}");
        assert_eq!(home.status(id)["result"]["reason"], "exhausted");
        assert_eq!(complaints(&home, id, 1), [""; 0], "{line}");
    }
}
