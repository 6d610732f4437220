//! A full disk: under all, under the logs, under the shims; with a daemon, without, and when it comes back.

use std::fs::{self, File};
use std::sync::Arc;

use crate::crash::tools::{LONG, wait_until_state};
use crate::support::{Call, Disk, Home, Need, Output, holds_within, proof, seeded, skip};

mod attempts;

/// A home whose database is on a small disk of its own.
fn on_a_disk() -> (Home, Arc<Disk>) {
    let home = Home::at("disk/retrier.db");
    let disk = home.mount("disk", 8);
    (home, disk)
}

/// Fills the disk but for so many KiB.
fn fill_but(disk: &Disk, kib: u64) {
    disk.fill();
    let ballast = File::options().write(true).open(disk.path("ballast"));
    let ballast = ballast.expect("the ballast is there");
    let length = ballast.metadata().expect("a file").len();
    ballast.set_len(length - kib * 1024).expect("it is longer");
    ballast.sync_all().expect("the disk can be synced");
}

/// What is wrong with how a call took the full disk: it may do its work, or say that the disk is full.
fn faults(verb: &str, output: &Output, works: &[i32], fails: &[i32]) -> Vec<String> {
    let said = output.error_text();
    let clear = said.contains("the disk of ") && said.contains("is full") && said.contains("hint:");
    let mut faults = Vec::new();
    if said.contains("panicked") {
        faults.push(format!("{verb} panics: {said}"));
    }
    if !(works.contains(&output.code) || (fails.contains(&output.code) && clear)) {
        faults.push(format!("{verb} exits with {}: {said}", output.code));
    }
    faults
}

/// A call with these variables of the environment.
fn call(home: &Home, args: &[&str], envs: &[(&str, &str)]) -> Call {
    let call = home.retrier(args).limit(LONG);
    let with = |call: Call, (key, value): &(&str, &str)| call.env(key, value);
    envs.iter().fold(call, with)
}

/// Calls every verb on a full disk, with the environment `envs`, and gives what is wrong with that. Run 1 has ended,
/// run 2 is due later, if they are `there`; ids that were told are added to `told`.
fn call_every_verb(
    home: &Home,
    there: bool,
    envs: &[(&str, &str)],
    told: &mut Vec<i64>,
) -> Vec<String> {
    let call = |args: &[&str]| call(home, args, envs).output();
    let mut wrong = Vec::new();
    // What there is to read can be read; what is not there is not there.
    let read = [if there { 0 } else { 3 }];
    for args in [
        ["status", "1"],
        ["explain", "1"],
        ["logs", "1"],
        ["cancel", "9"],
    ] {
        let expected = if args[0] == "cancel" { [3] } else { read };
        wrong.extend(faults(args[0], &call(&args), &expected, &[]));
    }
    wrong.extend(faults("list", &call(&["list"]), &[0], &[]));
    wrong.extend(faults("stats", &call(&["stats"]), &[0], &[]));
    let waited = call(&["wait", "1"]);
    wrong.extend(faults("wait", &waited, &[if there { 0 } else { 125 }], &[]));
    let known: &[i32] = if there { &[] } else { &[3] };
    let or_done = |known: &[i32]| [known, &[0]].concat();
    for args in [
        &["run", "--", "true"][..],
        &["run", "--no-daemon-start", "--", "true"],
    ] {
        let stored = call(args);
        wrong.extend(faults("run", &stored, &[0], &[1]));
        told.extend(stored.text().parse::<i64>());
    }
    let waiting = ["run", "--wait", "--no-daemon-start", "--", "true"];
    if told.is_empty() {
        wrong.extend(faults("run --wait", &call(&waiting), &[], &[125]));
    }
    wrong.extend(faults(
        "cancel",
        &call(&["cancel", "2"]),
        &or_done(known),
        &[1],
    ));
    wrong.extend(faults(
        "cleanup",
        &call(&["cleanup", "1"]),
        &or_done(known),
        &[1],
    ));
    let sweep = ["cleanup", "--older-than", "0"];
    wrong.extend(faults("cleanup --older-than", &call(&sweep), &[0], &[1]));
    wrong.extend(faults("pool list", &call(&["pool", "list"]), &[0], &[]));
    let set = ["pool", "set", "mail", "--rate", "1/s"];
    wrong.extend(faults("pool set", &call(&set), &[0], &[1]));
    let mut daemon = self::call(home, &["daemon"], envs).spawn();
    let own = format!("daemon {} ", daemon.pid());
    let status = || home.retrier(["daemon", "status"]).output().text();
    let serves = || status().starts_with(&own);
    let settled = holds_within(LONG, || !daemon.is_running() || serves());
    let stopped = call(&["daemon", "stop"]);
    wrong.extend(faults("daemon stop", &stopped, &[0], &[]));
    wrong.extend(faults("daemon", &daemon.wait(), &[0, 4], &[1]));
    wrong.extend((!settled).then(|| "daemon neither serves nor ends".to_owned()));
    wrong
}

/// After the disk has room again: what was told is stored and runs, nothing else is stored.
fn after_room(home: &Home, before: usize, told: &[i64]) -> Vec<String> {
    let mut wrong = Vec::new();
    home.retrier(["cancel", "2"]).output();
    let idle = home
        .retrier(["daemon", "--until-idle"])
        .limit(LONG)
        .output();
    wrong.extend(faults("daemon", &idle, &[0], &[]));
    wrong.extend(home.doctor());
    let listed = home.retrier(["list", "--json"]).output().ok().text();
    if listed.lines().count() > before + told.len() {
        wrong.push(format!("stored though it was said not to be: {listed}"));
    }
    for id in told {
        let shown = home.retrier(["status", "--json", &id.to_string()]).output();
        // It may have been forgotten by the cleanup, but then it has ended.
        if shown.code == 0 && shown.json()["state"] != "succeeded" {
            wrong.push(format!("run {id} was accepted: {}", shown.text()));
        }
    }
    wrong
}

/// A database with a run that has ended and one that is due later, closed cleanly, on a full disk.
fn filled(envs: &[(&str, &str)]) -> (Home, Arc<Disk>) {
    let (home, disk) = on_a_disk();
    let calls: [&[&str]; 3] = [
        &["run", "--no-daemon-start", "--", "echo", "told"],
        &["daemon", "--until-idle"],
        &["run", "--no-daemon-start", "--delay", "1h", "--", "true"],
    ];
    for args in calls {
        call(&home, args, envs).output().ok();
    }
    disk.fill();
    (home, disk)
}

/// All verbs on a full disk with a database that was closed cleanly.
fn verbs_on_a_full_disk(envs: &[(&str, &str)]) -> Vec<String> {
    let (home, disk) = filled(envs);
    let mut told = Vec::new();
    let mut wrong = call_every_verb(&home, true, envs, &mut told);
    disk.free();
    wrong.extend(after_room(&home, 2, &told));
    wrong
}

#[test]
fn on_a_full_disk_every_verb_works_or_says_why_not() {
    if skip(Need::LoopMount) {
        return;
    }
    proof::holds("T13", 1, &verbs_on_a_full_disk(&[]));
}

#[test]
fn the_test_of_every_verb_on_a_full_disk_catches_an_index_without_room() {
    if skip(Need::LoopMount) {
        return;
    }
    let bug = "index_not_reserved";
    let wrong = verbs_on_a_full_disk(&[("RETRIER_BUG", bug)]);
    let status = |wrong: &str| wrong.starts_with("status exits");
    proof::catches("T13", bug, &wrong, status);
}

#[test]
fn on_a_full_disk_every_verb_works_or_says_why_not_beside_a_daemon() {
    if skip(Need::LoopMount) {
        return;
    }
    let (home, disk) = on_a_disk();
    let mut daemon = home.daemon();
    assert_eq!(home.wait(home.run(["--", "echo", "told"])), 0);
    home.run(["--delay", "1h", "--", "true"]);
    disk.fill();
    let mut told = Vec::new();
    let wrong = call_every_verb(&home, true, &[], &mut told);
    assert_eq!(wrong, [""; 0]);
    assert_eq!(daemon.wait(LONG), 0, "it was stopped");
    disk.free();
    assert_eq!(after_room(&home, 2, &told), [""; 0]);
}

#[test]
fn on_a_full_disk_without_a_database_every_verb_works_or_says_why_not() {
    if skip(Need::LoopMount) {
        return;
    }
    let (home, disk) = on_a_disk();
    disk.fill();
    let mut told = Vec::new();
    let wrong = call_every_verb(&home, false, &[], &mut told);
    assert_eq!((wrong, told), (Vec::new(), Vec::new()));
    disk.free();
    assert_eq!(after_room(&home, 0, &[]), [""; 0]);
}

/// A database is made on a disk that gets full on the way: each time a bit later.
#[test]
fn a_disk_that_is_full_at_any_moment_of_the_first_run_loses_nothing_that_was_told() {
    if skip(Need::LoopMount) {
        return;
    }
    let mut random = seeded("the first run on a full disk");
    let steps: Vec<u64> = (0..18).map(|step| step * 32 + random.u64(..32)).collect();
    let (home, disk) = on_a_disk();
    let mut stored = 0;
    for kib in steps {
        fill_but(&disk, kib);
        let run = ["run", "--no-daemon-start", "--", "true"];
        let output = home.retrier(run).output();
        assert_eq!(faults("run", &output, &[0], &[1]), [""; 0], "{kib} KiB");
        let list = home.retrier(["list"]).output();
        assert_eq!(faults("list", &list, &[0], &[1]), [""; 0], "{kib} KiB");
        disk.free();
        let told: Vec<i64> = output.text().parse().into_iter().collect();
        assert_eq!(after_room(&home, 0, &told), [""; 0], "{kib} KiB");
        stored += told.len();
        fs::remove_dir_all(disk.path("retrier.db.d")).expect("it is there");
        for file in ["retrier.db", "retrier.db-wal", "retrier.db-shm"] {
            fs::remove_file(disk.path(file)).expect("it is there");
        }
    }
    assert!(
        (1..18).contains(&stored),
        "{stored} stored: a wrong measure"
    );
    proof::holds("T13", 18, &[]);
}

/// What fills the disk is what retrier itself keeps.
#[test]
fn cleanup_makes_room_on_a_disk_that_logs_have_filled() {
    if skip(Need::LoopMount) {
        return;
    }
    let (home, disk) = on_a_disk();
    let mut daemon = home.daemon();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(
            home.run(["--", "head", "-c", "500000", "/dev/zero"])
                .to_string(),
        );
    }
    for id in &ids {
        home.retrier(["wait", id]).output().ok();
    }
    disk.fill();
    let waiting = home.retrier(["run", "--no-daemon-start", "--", "true"]);
    assert_eq!(faults("run", &waiting.output(), &[0], &[1]), [""; 0]);
    home.retrier(["cleanup", &ids[0]]).output().ok();
    assert!(
        !disk
            .path(format!("retrier.db.d/logs/0/{}.1.out", ids[0]))
            .exists()
    );
    home.retrier(["status", &ids[0]]).output().exits(3);
    disk.fill();
    home.retrier(["cleanup", "--older-than", "0"]).output().ok();
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    assert_eq!(daemon.stop(), 0);
}

/// The reserve is for this.
#[test]
fn a_cancel_and_a_cleanup_need_no_room_that_is_left() {
    if skip(Need::LoopMount) {
        return;
    }
    let (home, disk) = on_a_disk();
    let mut daemon = home.daemon();
    let ended = home.run(["--", "true"]);
    assert_eq!(home.wait(ended), 0);
    let running = home.run(["--", "sleep", "600"]);
    let later = home.run(["--delay", "1h", "--", "true"]);
    wait_until_state(&home, running, "running");
    let reserve = home.path("disk/retrier.db.d/reserve");
    assert!(reserve.exists());
    disk.fill();
    for id in [running, later] {
        home.retrier(["cancel", &id.to_string()]).output().ok();
        assert_eq!(home.state(id), "canceled");
    }
    let cleanup = home.retrier(["cleanup", &ended.to_string()]);
    cleanup.output().ok();
    disk.free();
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    assert_eq!(daemon.stop(), 0);
    let mut daemon = home.daemon();
    assert!(reserve.exists(), "it is set aside again");
    assert_eq!(daemon.stop(), 0);
}
