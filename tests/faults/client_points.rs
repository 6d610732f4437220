//! Verbs that write, killed at their failpoints, and failing there: what is committed counts, what is not never was, and
//! a second call does the rest.

use crate::crash::tools::{
    Gate, LONG, closed, outcomes, wait_until_no_command, wait_until_started, wait_until_state,
};
use crate::support::{Home, Journal, Need, skip, wait_until};

/// The failpoints that a client reaches.
pub const ALL: [&str; 28] = [
    "cancel_before_commit",
    "cancel_committed",
    "cancel_looked",
    "cleanup_before_commit",
    "cleanup_committed",
    "copy_begun",
    "copy_filled",
    "copy_named",
    "copy_step",
    "index_emptied",
    "index_held",
    "pool_before_commit",
    "pool_committed",
    "read_attempts",
    "retry_before_commit",
    "retry_committed",
    "signal_half_caught",
    "store_copied",
    "store_identifying",
    "store_layout_committed",
    "store_migrated",
    "store_migrating",
    "store_opened",
    "store_step",
    "store_sync",
    "submit_before_commit",
    "submit_committed",
    "trash_before_commit",
];

/// How many runs are stored.
fn stored(home: &Home) -> usize {
    let list = home.retrier(["list", "--json"]).output().ok().text();
    list.lines().count()
}

/// Makes a call of `run` that meets this fate, and then one in peace. Gives its exit code, what it has printed, and how
/// many runs it has stored.
fn submit_at(crash: &str) -> (i32, String, usize) {
    let home = Home::new();
    let call = home.retrier(["run", "--no-daemon-start", "--", "true"]);
    let output = call.crash(crash).output();
    let of_it = stored(&home);
    home.run(["--no-daemon-start", "--", "true"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let list = home.retrier(["list", "--json", "--state", "succeeded"]);
    let succeeded = list.output().ok().text().lines().count();
    assert_eq!(succeeded, of_it + 1, "{crash}");
    (output.code, output.text(), of_it)
}

#[test]
fn a_submit_killed_at_any_point_is_stored_once_or_not_at_all() {
    for (point, runs) in [
        ("store_identifying", 0),
        ("store_migrating", 0),
        ("submit_before_commit", 0),
        ("submit_committed", 1),
        ("store_sync", 1),
    ] {
        let killed = submit_at(&format!("{point}:1:kill"));
        assert_eq!(killed, (137, String::new(), runs), "{point}");
    }
}

/// Exit code 5 alone leaves it open whether the run is stored.
#[test]
fn a_submit_that_fails_at_any_point_says_whether_its_run_may_be_stored() {
    for (point, code, runs) in [
        ("store_migrating", 1, 0),
        ("submit_before_commit", 1, 0),
        ("submit_committed", 5, 1),
        ("store_sync", 5, 1),
    ] {
        for errno in ["EIO", "ENOSPC"] {
            // What finds no room is done once more in the room of the log.
            let both = format!("{point}:1:err={errno},{point}:2:err={errno}");
            let failed = submit_at(&both);
            assert_eq!(failed, (code, String::new(), runs), "{point}: {errno}");
        }
    }
}

#[test]
fn a_submit_that_finds_room_the_second_time_is_stored_once() {
    let stored = submit_at("submit_before_commit:1:err=ENOSPC");
    assert_eq!(stored, (0, "1".to_owned(), 1));
}

#[test]
fn a_look_that_is_killed_or_fails_changes_nothing() {
    let home = Home::new();
    let id = home.run(["--no-daemon-start", "--", "true"]);
    let before = home.status(id);
    for (fate, code) in [("kill", 137), ("err=EIO", 1)] {
        let look = home.retrier(["status", &id.to_string()]);
        look.crash(&format!("read_attempts:1:{fate}"))
            .output()
            .exits(code);
    }
    assert_eq!(home.status(id), before);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert_eq!(home.state(id), "succeeded");
}

#[test]
fn a_cleanup_killed_before_its_commit_keeps_all_output() {
    let home = Home::new();
    let id = home.run(["--no-daemon-start", "--", "echo", "kept"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    for args in [&["cleanup", "1"][..], &["cleanup", "--older-than", "0"]] {
        let killed = home.retrier(args).crash("cleanup_before_commit:1:kill");
        killed.output().exits(137);
        let logs = home.retrier(["logs", &id.to_string()]).output().ok();
        assert_eq!(logs.text(), "kept");
    }
}

/// A run that runs until it is ended, under a daemon, and its hook.
fn submit_endless(home: &Home, journal: &Journal) -> i64 {
    let gate = Gate::new(home, "gate");
    let line = journal.line(&gate.line());
    let id = home.run(["--on-complete", "true", "--shell", &line]);
    wait_until_started(journal, id, 1);
    id
}

#[test]
fn a_cancel_killed_before_its_commit_never_was() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let mut daemon = home.daemon();
    let id = submit_endless(&home, &journal);
    let cancel = || home.retrier(["cancel", &id.to_string()]);
    let killed = cancel().crash("cancel_before_commit:1:kill");
    killed.output().exits(137);
    let failed = cancel().crash("cancel_before_commit:1:err=EIO");
    failed.output().exits(1);
    assert_eq!(home.state(id), "running");
    cancel().output().ok();
    assert_eq!(outcomes(&closed(&home, id)), ["canceled"]);
    assert_eq!(journal.starts(id).len(), 1);
    assert_eq!(daemon.stop(), 0);
}

/// Nobody but the daemon can do what its killer has left: it hears that the connection to the doorbell is gone.
#[test]
fn a_cancel_killed_after_its_commit_ends_the_attempt() {
    if skip(Need::Flock) {
        return;
    }
    for point in ["cancel_committed", "store_sync"] {
        let home = Home::new();
        let journal = Journal::new(&home);
        let _daemon = home.daemon();
        let id = submit_endless(&home, &journal);
        let cancel = home.retrier(["cancel", &id.to_string()]);
        let killed = cancel.crash(&format!("{point}:1:kill"));
        killed.output().exits(137);
        assert_eq!(home.state(id), "canceled", "{point}");
        wait_until_no_command(&home);
        let document = closed(&home, id);
        assert_eq!(outcomes(&document), ["canceled"], "{point}");
        let hook = document["hook_id"].as_i64().expect("it has a hook");
        wait_until_state(&home, hook, "succeeded");
        assert_eq!(stored(&home), 2, "{point}: one run, one hook");
        assert_eq!(journal.starts(id).len(), 1, "{point}");
    }
}

/// The rows are gone; the files follow, by the next daemon or the next call.
#[test]
fn a_cleanup_killed_after_its_commit_leaves_no_file_for_long() {
    for point in ["cleanup_committed", "trash_before_commit"] {
        let home = Home::new();
        let id = home.run(["--no-daemon-start", "--", "echo", "said"]);
        home.retrier(["daemon", "--until-idle"]).output().ok();
        let output = home.path(format!("retrier.db.d/logs/0/{id}.1.out"));
        assert!(output.exists(), "{}", output.display());
        let cleanup = home.retrier(["cleanup", &id.to_string()]);
        let killed = cleanup.crash(&format!("{point}:1:kill"));
        killed.output().exits(137);
        let status = home.retrier(["status", &id.to_string()]);
        status.output().exits(3);
        let _daemon = home.daemon();
        wait_until("the file is gone", LONG, || !output.exists());
    }
}
