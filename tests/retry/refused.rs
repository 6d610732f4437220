//! Runs that cannot be retried: exit code 4, or 3, a message that says which, and nothing changed.

use crate::crash::tools::{Gate, LONG, await_patience, numbers, wait_until_state};
use crate::support::{Home, wait_until};

use super::{failed, retry};

/// That a retry of the run exits with 4, says these words, and changes nothing.
#[track_caller]
fn assert_refused(home: &Home, id: i64, words: &str) {
    let before = home.status(id);
    let output = home.retrier(["retry", &id.to_string()]).output().exits(4);
    let said = output.error_text();
    assert!(said.contains(words), "{said}");
    assert_eq!(output.text(), "");
    assert_eq!(home.status(id), before);
}

#[test]
fn a_running_a_queued_and_a_succeeded_run_are_left_alone() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let running = home.run(["--shell", &gate.line()]);
    wait_until_state(&home, running, "running");
    wait_until("its pid is known", LONG, || {
        home.status(running)["attempts"][0]["pid"].is_i64()
    });
    let queued = home.run(["--", "true"]);
    assert_refused(
        &home,
        running,
        &format!("run {running} is running, in attempt 1"),
    );
    assert_refused(&home, queued, &format!("run {queued} is queued"));
    gate.open();
    assert_eq!((home.wait(running), home.wait(queued)), (0, 0));
    assert_refused(&home, running, &format!("run {running} has succeeded"));
    assert_eq!(numbers(&home.status(running)), [1]);
}

#[test]
fn a_held_hook_is_left_alone_and_a_canceled_one_waits_for_its_parents_attempt() {
    let home = Home::new();
    let (grown, told) = (Gate::new(&home, "grown"), Gate::new(&home, "told"));
    let _daemon = home.daemon();
    let line = format!(
        "trap '' TERM; : >'{}'; until [ -e '{}' ]; do sleep 0.05; done",
        home.path("grown").display(),
        home.path("end").display()
    );
    let hook = format!(
        "[ -e '{}' ] && : >'{}'",
        home.path("end").display(),
        home.path("told").display()
    );
    let rest = ["--grace", "10m", "--on-complete", &hook, "--shell", &line];
    let id = home.run(rest);
    wait_until("it ignores SIGTERM", LONG, || grown.is_open());
    home.retrier(["cancel", &id.to_string()]).output().ok();
    let hook = home.status(id)["hook_id"].as_i64().expect("a hook");
    assert_refused(&home, hook, &format!("run {hook} is a hook that waits"));
    home.retrier(["cancel", &hook.to_string()]).output().ok();
    let mut waits = home.retrier(["retry", &hook.to_string()]).spawn();
    await_patience(&waits);
    assert!(waits.is_running());
    assert_eq!(home.state(hook), "canceled");
    Gate::new(&home, "end").open();
    waits.wait().ok();
    assert_eq!(home.wait(hook), 0);
    assert!(told.is_open(), "it has run beside its parent");
}

#[test]
fn an_unknown_run_is_named_with_the_database() {
    let home = Home::new();
    let database = home.db().display().to_string();
    let unknown = || home.retrier(["retry", "17"]).output().exits(3).error_text();
    assert!(unknown().contains(&database), "{}", unknown());
    assert!(!home.db().exists(), "a retry has made a database");
    home.run(["--no-daemon-start", "--", "true"]);
    assert!(unknown().contains("17"), "{}", unknown());
}

#[test]
fn of_several_runs_all_are_processed_and_the_first_of_3_and_4_is_the_exit_code() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "[ $RETRIER_ATTEMPT -ge 2 ]";
    let good = home.run(["--", "true"]);
    assert_eq!(home.wait(good), 0);
    let first = failed(&home, &["--shell", line]);
    let second = failed(&home, &["--shell", line]);
    let canceled = home.run(["--delay", "1h", "--", "true"]);
    home.retrier(["cancel", &canceled.to_string()])
        .output()
        .ok();
    let call = |ids: &[i64]| {
        let ids = ids.iter().map(i64::to_string);
        home.retrier(["retry".to_owned()].into_iter().chain(ids))
            .output()
    };
    let said = call(&[good, first, 99, canceled]).exits(3).error_text();
    assert_eq!(said.matches("error:").count(), 2, "{said}");
    assert_eq!((home.wait(first), home.wait(canceled)), (0, 0));
    call(&[good, second]).exits(4);
    assert_eq!(home.wait(second), 0);
}

#[test]
fn a_run_whose_key_is_held_by_another_names_that_one() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon();
    let line = "[ $RETRIER_ATTEMPT = 2 ]";
    let first = failed(&home, &["--key", "k", "--shell", line]);
    let second = home.run(["--key", "k", "--shell", &gate.line()]);
    assert_refused(
        &home,
        first,
        &format!("run {first} has the key \"k\", which run {second} holds"),
    );
    let all = home.retrier(["retry", "--all-failed"]).output().exits(4);
    assert!(all.error_text().contains(&format!("run {second}")));
    assert_eq!(home.state(first), "failed");
    gate.open();
    assert_eq!(home.wait(second), 0);
    retry(&home, first);
    assert_eq!(home.wait(first), 0);
}

#[test]
fn what_to_retry_is_said_in_one_way() {
    let home = Home::new();
    let id = home
        .run(["--no-daemon-start", "--delay", "1h", "--", "true"])
        .to_string();
    for wrong in [
        &["retry"][..],
        &["retry", "--all-failed", &id],
        &["retry", "--name", "x", &id],
        &["retry", "--delay", "-1s", &id],
        &["retry", "0"],
    ] {
        home.retrier(wrong).output().exits(2);
    }
    assert_eq!(home.state(1), "scheduled");
}
