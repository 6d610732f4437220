//! Cleanup and retention: what is forgotten, when, and what never is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::{FakeClock, Home, Limit, store_many, wait_until};

const LONG: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Endings that expire within a minute are swept together.
const SWEEP: Duration = Duration::from_secs(61);

#[test]
fn cleanup_forgets_a_run_with_all_its_output_and_the_input_that_nobody_shares() {
    let home = Home::new();
    let _daemon = home.daemon();
    fs::write(home.path("input"), "in").unwrap();
    let input = home.path("input").display().to_string();
    let line = "cat; echo err >&2; exit $((RETRIER_ATTEMPT < 2))";
    let args = ["--stdin", &input, "--constant", "0", "--shell", line];
    let (gone, kept) = (home.run(args), home.run(args));
    assert_eq!((home.wait(gone), home.wait(kept)), (0, 0));
    assert_eq!(output_files(&home, gone).len(), 4);
    assert_eq!(files_below(&home, "input").len(), 1);

    home.retrier(["cleanup", &gone.to_string()]).output().ok();
    for verb in ["status", "logs", "cancel", "cleanup"] {
        let told = home.retrier([verb, &gone.to_string()]).output().exits(3);
        assert!(told.error_text().contains(&home.db().display().to_string()));
    }
    assert_eq!(stored(&home), [kept]);
    assert_eq!(output_files(&home, gone), [""; 0]);
    assert_eq!(output_files(&home, kept).len(), 4);
    assert_eq!(files_below(&home, "input").len(), 1);

    home.retrier(["cleanup", &kept.to_string()]).output().ok();
    assert_eq!(files_below(&home, "logs"), [""; 0]);
    assert_eq!(files_below(&home, "input"), [""; 0]);
}

#[test]
fn an_id_is_not_given_again_after_cleanup() {
    let home = Home::new();
    let id = home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    home.retrier(["cancel", &id.to_string()]).output().ok();
    home.retrier(["cleanup", &id.to_string()]).output().ok();
    let next = home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    assert!(next > id, "{next} after {id}");
}

#[test]
fn cleanup_refuses_what_has_not_ended_and_does_the_rest() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = home.path("gate").display().to_string();
    let hook = format!("while ! test -e '{gate}'; do sleep 0.02; done");
    let delayed = home.run(["--delay", "1h", "--", "true"]);
    let running = home.run(["--", "sleep", "600"]);
    let parent = home.run(["--on-complete", &hook, "--", "true"]);
    let line = "trap '' TERM; echo deaf; while :; do sleep 0.05; done";
    let closing = home.run(["--grace", "1h", "--shell", line]);
    let done = home.run(["--", "true"]);
    assert_eq!((home.wait(done), home.wait(parent)), (0, 0));
    wait_until("it ignores SIGTERM", LONG, || {
        home.retrier(["logs", &closing.to_string()])
            .output()
            .text()
            .contains("deaf")
    });
    home.retrier(["cancel", &closing.to_string()]).output().ok();

    for (id, why) in [
        (delayed, "has not ended"),
        (running, "has not ended"),
        (parent, "hook"),
        (closing, "still being ended"),
    ] {
        let refused = home.retrier(["cleanup", &id.to_string()]).output().exits(4);
        let text = refused.error_text();
        assert!(text.contains(why), "{id}: {text}");
    }
    let ids = [delayed, 999, done].map(|id| id.to_string());
    let call = home.retrier(["cleanup"]).arg(&ids[0]);
    call.arg(&ids[1]).arg(&ids[2]).output().exits(3);
    let left = stored(&home);
    for id in [delayed, running, parent, closing] {
        assert!(left.contains(&id), "{id} of {left:?}");
    }
    assert!(!left.contains(&done), "{left:?}");

    fs::write(&gate, "").unwrap();
    let hook = home.status(parent)["hook_id"].as_i64().expect("a hook");
    assert_eq!(home.wait(hook), 0);
    home.retrier(["cleanup", &parent.to_string()]).output().ok();
}

#[test]
fn cleanup_older_than_goes_by_the_time_of_ending_and_by_state() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let _daemon = home.daemon_with(&["--retention", "0"], &[]);
    let late = home.run(["--delay", "3d", "--", "echo", "late"]);
    let failed = home.run(["--max-failures", "0", "--", "false"]);
    let early = home.run(["--", "true"]);
    let never = home.run(["--delay", "30d", "--", "true"]);
    assert_eq!((home.wait(failed), home.wait(early)), (1, 0));
    clock.advance(3 * DAY);
    assert_eq!(home.wait(late), 0);
    clock.advance(5 * DAY);

    let cleanup = |args: &[&str]| home.retrier(["cleanup"].iter().chain(args)).output();
    cleanup(&["--older-than", "9d"]).ok();
    let would = |args: &[&str]| cleanup(&[args, &["--dry-run"]].concat()).ok().text();
    assert_eq!(would(&["--older-than", "9d"]), "");
    assert_eq!(
        would(&["--older-than", "7d", "--state", "failed"]),
        failed.to_string()
    );
    let all = would(&["--older-than", "0"]);
    assert_eq!(all, format!("{failed}\n{early}\n{late}"));
    assert_eq!(stored(&home), [never, early, failed, late]);
    cleanup(&["--older-than", "7d", "--state", "failed"]).ok();
    assert_eq!(stored(&home), [never, early, late]);
    cleanup(&["--older-than", "7d"]).ok();
    assert_eq!(stored(&home), [never, late]);
    cleanup(&["--older-than", "4d"]).ok();
    assert_eq!(stored(&home), [never]);
    assert_eq!(files_below(&home, "logs"), [""; 0]);
    for wrong in [
        &["--older-than", "1d", "--state", "running"][..],
        &["--older-than", "1d", "7"],
        &["--older-than", "7"],
        &["--older-than", "0.5"],
        &["--state", "failed"],
        &["--dry-run"],
        &["--dry-run", "7"],
        &[],
    ] {
        cleanup(wrong).exits(2);
    }
}

#[test]
fn the_daemon_forgets_seven_days_after_the_ending_and_nothing_unfinished() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let _daemon = home.daemon();
    let late = home.run(["--delay", "6d", "--", "echo", "late"]);
    let scheduled = home.run(["--delay", "365d", "--", "true"]);
    let backing_off = home.run(["--constant", "365d", "--max-backoff", "365d", "--", "false"]);
    let running = home.run(["--", "sleep", "600"]);
    let early = home.run(["--", "echo", "early"]);
    assert_eq!(home.wait(early), 0);
    wait_until("it backs off", LONG, || {
        home.status(backing_off)["failures"] == 1
    });
    assert_eq!(output_files(&home, early).len(), 1);

    clock.advance(7 * DAY - HOUR);
    assert_eq!(home.wait(late), 0);
    assert_upkeep_was_done(&home);
    assert_eq!(home.state(early), "succeeded");

    clock.advance(HOUR + SWEEP);
    wait_until("the early one is forgotten", LONG, || {
        !stored(&home).contains(&early) && output_files(&home, early).is_empty()
    });
    assert_eq!(home.state(late), "succeeded");
    assert_eq!(output_files(&home, late).len(), 1);

    clock.advance(30 * DAY);
    wait_until("all that has ended is forgotten", LONG, || {
        stored(&home) == [running, backing_off, scheduled]
            && files_below(&home, "logs")
                .iter()
                .all(|file| file.starts_with(&format!("{running}.")))
    });
    assert_eq!(home.state(running), "running");
    assert_eq!(home.state(scheduled), "scheduled");
    assert_eq!(home.state(backing_off), "scheduled");
}

#[test]
fn a_retention_of_zero_keeps_for_ever_and_another_one_is_kept() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let mut daemon = home.daemon_with(&["--retention", "0"], &[]);
    let id = home.run(["--", "echo", "kept"]);
    assert_eq!(home.wait(id), 0);
    clock.advance(1000 * DAY);
    assert_upkeep_was_done(&home);
    assert_eq!(home.state(id), "succeeded");
    assert_eq!(output_files(&home, id).len(), 1);
    daemon.stop();
    let _daemon = home.daemon_with(&["--retention", "2000d"], &[]);
    clock.advance(999 * DAY);
    assert_upkeep_was_done(&home);
    assert_eq!(home.state(id), "succeeded");
    clock.advance(2 * DAY);
    wait_until("it is forgotten", LONG, || !stored(&home).contains(&id));
}

/// Half of the 3,000 are canceled before they were due, the other half are their hooks.
#[test]
fn three_thousand_expired_runs_are_swept_without_holding_up_submits() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    store_many(&home, 1500, HOUR, retrier::clock::now());
    let ids = (1..=1500).map(|id| id.to_string());
    let args = ["cancel".to_owned()].into_iter().chain(ids);
    home.retrier(args).output().ok();
    let _daemon = home.daemon();
    wait_until("the hooks have run", 3 * LONG, || {
        count(&home, "canceled") == 1500 && count(&home, "succeeded") == 1500
    });
    let running = home.run(["--", "sleep", "600"]);
    wait_until("it runs", LONG, || home.state(running) == "running");

    clock.advance(7 * DAY + SWEEP);
    let mut slowest = Duration::ZERO;
    let mut fresh = Vec::new();
    wait_until("all 3,000 are forgotten", 3 * LONG, || {
        let limit = Limit::after(LONG);
        fresh.push(home.run(["--delay", "1h", "--", "true"]));
        slowest = slowest.max(LONG - limit.left());
        stored(&home).last() == Some(&running)
    });
    assert!(
        slowest < Duration::from_secs(5),
        "a submit took {slowest:?}"
    );
    assert_eq!(stored(&home).len(), 1 + fresh.len());
}

/// Both runs are seen in passes after the clock was moved, and upkeep follows each pass.
fn assert_upkeep_was_done(home: &Home) {
    for _ in 0..2 {
        let id = home.run(["--", "true"]);
        assert_eq!(home.wait(id), 0);
    }
}

/// The ids of all runs, the newest first.
fn stored(home: &Home) -> Vec<i64> {
    let list = home.retrier(["list", "--limit", "10000"]).output().ok();
    let text = list.text();
    let ids = text.lines().filter_map(|line| line.split('\t').next());
    ids.map(|id| id.parse().expect("the first field is the id"))
        .collect()
}

/// How many runs are in this state.
fn count(home: &Home, state: &str) -> usize {
    let list = home.retrier(["list", "--limit", "10000", "--state", state]);
    list.output().ok().text().lines().count()
}

fn output_files(home: &Home, id: i64) -> Vec<String> {
    let of_run = format!("{id}.");
    let mut files = files_below(home, "logs");
    files.retain(|file| file.starts_with(&of_run));
    files
}

/// The names of all files below this folder of the database's.
fn files_below(home: &Home, folder: &str) -> Vec<String> {
    fn walk(folder: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                walk(&entry.path(), names);
            } else {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    let mut names = Vec::new();
    walk(&home.path("retrier.db.d").join(folder), &mut names);
    names.sort();
    names
}
