//! Attempts that run, end or should begin while the disk is full.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::crash::tools::{Gate, LONG, outcomes};
use crate::support::{Home, Journal, Need, holds_within, proof, seeded, skip, wait_until};

use super::{fill_but, on_a_disk};

/// When the daemon is killed, in a test of attempts that end while the disk is full.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Killed {
    Never,
    /// Before the attempts end; the next comes while the disk is full.
    AndBackBeforeRoom,
    /// The next comes when there is room.
    AndBackAfterRoom,
    /// The next comes while the disk is full, is killed too, and another comes when there is room.
    Twice,
}

/// Fills the disk at a random moment while attempts run and others are queued; gives what is wrong when all is over.
fn fill_under_attempts(killed: Killed, moment: Duration, envs: &[(&str, &str)]) -> Vec<String> {
    const RUNS: usize = 16;
    let (home, disk) = on_a_disk();
    let (journal, gate) = (Journal::new(&home), Gate::new(&home, "gate"));
    let mut daemon = home.daemon_with(&["--parallel=4"], envs);
    let line = journal.line(&gate.line());
    let run = || home.run(["--max-failures", "0", "--shell", &line]);
    let ids: Vec<i64> = (0..RUNS).map(|_| run()).collect();
    let started = || journal.entries().len();
    wait_until("attempts run", LONG, || started() > 0);
    holds_within(moment, || started() >= 4);
    disk.fill();
    if killed != Killed::Never {
        daemon.kill9();
    }
    gate.open();
    let alone = |home: &Home| !home.processes().iter().any(|one| one.is_shim());
    if killed != Killed::Never {
        wait_until("the shims have left", LONG, || alone(&home));
    }
    if matches!(killed, Killed::AndBackBeforeRoom | Killed::Twice) {
        daemon = home.daemon_with(&["--parallel=4"], envs);
        let tried = |text: String| text.matches("serving").count() == 2 && text.contains("is full");
        wait_until("it has found no room", LONG, || tried(daemon.errors()));
    } else if killed == Killed::Never {
        wait_until("it has found no room", LONG, || {
            daemon.errors().contains("is full")
        });
    }
    if killed == Killed::Twice {
        daemon.kill9();
    }
    disk.free();
    if matches!(killed, Killed::AndBackAfterRoom | Killed::Twice) {
        daemon = home.daemon_with(&["--parallel=4"], envs);
    }
    let mut wrong = Vec::new();
    for id in ids {
        let waited = home.retrier(["wait", &id.to_string()]).output();
        let document = home.status(id);
        let seen = (
            waited.code,
            outcomes(&document),
            &document["failures"],
            journal.starts(id).len(),
        );
        if seen != (0, vec!["exit 0".to_owned()], &0.into(), 1) {
            wrong.push(format!("{killed:?}: run {id}: {seen:?}"));
        }
    }
    wrong.extend(home.doctor());
    wrong.extend(journal.violations());
    let log = daemon.errors();
    if log.contains("panicked") || log.lines().count() > RUNS + 30 {
        wrong.push(format!("the log: {log}"));
    }
    daemon.stop();
    wrong
}

#[test]
fn attempts_that_end_while_the_disk_is_full_count_once_there_is_room() {
    if skip(Need::LoopMount) || skip(Need::Flock) {
        return;
    }
    let mut random = seeded("a full disk under attempts");
    let all = [
        Killed::Never,
        Killed::AndBackBeforeRoom,
        Killed::AndBackAfterRoom,
        Killed::Twice,
    ];
    for _ in 0..proof::repetitions(1, 5) {
        let start = |killed| {
            let moment = Duration::from_millis(random.u64(..400));
            thread::spawn(move || fill_under_attempts(killed, moment, &[]))
        };
        let wrong: Vec<_> = all
            .map(start)
            .into_iter()
            .flat_map(|one| one.join().expect("no panic"))
            .collect();
        proof::holds("T13", all.len(), &wrong);
    }
}

/// The shim's file is the evidence of an ending that finds no room in the database.
#[test]
fn the_test_of_a_full_disk_under_attempts_catches_evidence_that_goes_too_early() {
    if skip(Need::LoopMount) || skip(Need::Flock) {
        return;
    }
    let bug = "drops_evidence_early";
    let moment = Duration::from_millis(300);
    let wrong = fill_under_attempts(Killed::Twice, moment, &[("RETRIER_BUG", bug)]);
    proof::catches("T13", bug, &wrong, |one| one.contains("lost"));
}

/// Mounts a full disk on a folder below the database's, and lets a run go on it. What is wrong?
fn full_beneath(folder: &str, envs: &[(&str, &str)]) -> Vec<String> {
    let home = Home::new();
    let disk = home.mount(&format!("retrier.db.d/{folder}"), 8);
    let mut daemon = home.daemon_with(&[], envs);
    disk.fill();
    let id = home.run(["--max-failures", "0", "--", "true"]);
    let trouble = || daemon.errors().contains("cannot start an attempt");
    let tried = holds_within(LONG, || trouble() || home.state(id) == "failed");
    let mut wrong = Vec::new();
    let log = daemon.errors();
    let why = ["No space left on device", "no room for output in"];
    if !tried || !why.iter().any(|why| log.contains(why)) {
        wrong.push(format!("the log does not say why: {log}"));
    }
    disk.free();
    let code = home.wait(id);
    let document = home.status(id);
    let seen = (code, outcomes(&document), &document["failures"]);
    if seen != (0, vec!["exit 0".to_owned()], &0.into()) {
        wrong.push(format!("run {id}: {seen:?}"));
    }
    daemon.stop();
    wrong
}

#[test]
fn an_attempt_without_room_for_its_files_is_not_charged_and_starts_when_there_is_room() {
    if skip(Need::LoopMount) {
        return;
    }
    let all = ["logs", "shims"].map(|folder| thread::spawn(move || full_beneath(folder, &[])));
    let wrong: Vec<_> = all
        .into_iter()
        .flat_map(|one| one.join().expect("no panic"))
        .collect();
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_test_of_files_without_room_catches_an_attempt_that_is_charged_for_it() {
    if skip(Need::LoopMount) {
        return;
    }
    let bug = "charges_shortage";
    let wrong = full_beneath("logs", &[("RETRIER_BUG", bug)]);
    proof::catches("T13", bug, &wrong, |one| one.contains("run 1"));
}

#[test]
fn a_command_whose_own_output_finds_no_room_sees_that_itself() {
    if skip(Need::LoopMount) {
        return;
    }
    let home = Home::new();
    let disk = home.mount("retrier.db.d/logs", 8);
    let mut daemon = home.daemon();
    assert_eq!(home.wait(home.run(["--", "echo", "small"])), 0);
    fill_but(&disk, 1000);
    let line = "head -c 3000000 /dev/zero 2>'said'; echo $? >code; exit 7";
    let cwd = home.path("");
    let cwd = cwd.to_str().expect("UTF-8");
    let id = home.run(["--max-failures", "0", "--cwd", cwd, "--shell", line]);
    assert_eq!(home.wait(id), 7);
    let said = fs::read_to_string(home.path("said")).expect("it was written");
    assert!(said.contains("No space left on device"), "{said}");
    disk.free();
    assert_eq!(home.wait(home.run(["--", "echo", "small"])), 0);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn without_room_for_its_output_no_attempt_is_started() {
    if skip(Need::LoopMount) {
        return;
    }
    let home = Home::new();
    let logs = home.mount("retrier.db.d/logs", 4);
    logs.fill();
    let _daemon = home.daemon();
    let id = home.run(["--max-failures", "0", "--", "echo", "hello"]);
    let page = || {
        home.retrier(["status", &id.to_string()])
            .output()
            .ok()
            .text()
    };
    wait_until("it says why", LONG, || {
        page().contains("no room for output in")
    });
    assert_eq!(
        home.status(id)["attempts"].as_array().map(Vec::len),
        Some(0)
    );
    logs.free();
    assert_eq!(home.wait(id), 0);
    assert_eq!(outcomes(&home.status(id)), ["exit 0"]);
}

/// The outcomes that cannot be committed are in the shims' records, for the daemon that comes when there is room.
#[test]
fn a_daemon_that_is_to_end_its_attempts_does_not_wait_for_room() {
    if skip(Need::LoopMount) || skip(Need::Flock) {
        return;
    }
    let (home, disk) = on_a_disk();
    let (journal, gate) = (Journal::new(&home), Gate::new(&home, "gate"));
    let mut daemon = home.daemon();
    let line = journal.line(&format!(
        "[ $RETRIER_ATTEMPT = 2 ] || {{ {}; }}",
        gate.line()
    ));
    let id = home.run(["--max-failures", "0", "--shell", &line]);
    wait_until("it runs", LONG, || journal.starts(id).len() == 1);
    disk.fill();
    home.retrier(["daemon", "stop", "--kill"])
        .limit(LONG)
        .output()
        .ok();
    assert_eq!(daemon.wait(LONG), 0);
    disk.free();
    let _next = home.daemon();
    assert_eq!(home.wait(id), 0);
    assert_eq!(outcomes(&home.status(id)), ["interrupted", "exit 0"]);
    journal.assert_no_overlap();
}
