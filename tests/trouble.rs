//! What happens around a daemon must not end it, make it deaf, or make it busy.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::crash::tools::{closed, commands, outcomes, shim, signal, wait_until_state};
use nix::sys::signal::Signal;

use crate::support::{Daemon, Home, holds_within, wait_until};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_daemon_whose_log_cannot_be_written_serves_on() {
    let home = Home::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = home.command();
    command.args(["daemon", "--until-idle=1s"]);
    let mut daemon = command.stderr(full).stdout(Stdio::null()).spawn().unwrap();
    wait_until("it serves", LONG, || {
        home.retrier(["daemon", "status"]).output().code == 0
    });
    let id = home.run(["--no-daemon-start", "--", "true"]);
    assert_eq!(home.wait(id), 0);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

#[test]
fn a_daemon_without_its_doorbell_is_woken_and_hangs_it_again() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let doorbell = home.path("retrier.db.d/doorbell");
    fs::remove_file(&doorbell).unwrap();
    let running = home.run(["--", "sleep", "600"]);
    wait_until_state(&home, running, "running");
    assert!(doorbell.exists());
    fs::remove_file(&doorbell).unwrap();
    let id = running.to_string();
    home.retrier(["cancel", &id]).output().ok();
    let document = closed(&home, running);
    assert_eq!(outcomes(&document), ["canceled"]);
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_daemon_of_a_removed_database_leaves_the_doorbell_of_the_next_one_alone() {
    let home = Home::new();
    let mut first = home.daemon_with(&["--until-idle=1s"], &[]);
    fs::remove_dir_all(home.path("retrier.db.d")).unwrap();
    for name in ["retrier.db", "retrier.db-wal", "retrier.db-shm"] {
        fs::remove_file(home.path(name)).unwrap();
    }
    let _second = home.daemon();
    assert_eq!(first.wait(LONG), 1);
    assert!(home.path("retrier.db.d/doorbell").exists());
}

/// The processor time of the daemon so far, in clock ticks.
fn ticks(daemon: &Daemon) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid()));
    let stat = stat.expect("the daemon is there");
    let after_name = stat.rsplit(") ").next().into_iter();
    let fields = after_name.flat_map(|rest| rest.split(' ').skip(11).take(2));
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Asserts that the daemon does next to nothing for some time.
#[track_caller]
fn assert_rests(daemon: &Daemon) {
    let before = ticks(daemon);
    let busy = || ticks(daemon) > before + 20;
    let busy = holds_within(Duration::from_millis(700), busy);
    assert!(!busy, "{}", daemon.errors());
}

#[test]
fn a_daemon_that_has_to_start_over_rests_and_can_be_stopped_meanwhile() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let doorbell = home.path("retrier.db.d/doorbell");
    // Its shim stays warm, and leaves when the daemon lets go of it.
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    fs::remove_file(&doorbell).unwrap();
    fs::create_dir(&doorbell).unwrap();
    let id = home.run(["--", "true"]);
    let trouble = || daemon.errors().contains("starting over in 2 s");
    wait_until("it is in trouble", LONG, trouble);
    assert_rests(&daemon);
    fs::remove_dir(&doorbell).unwrap();
    assert_eq!(home.wait(id), 0);
    fs::remove_file(&doorbell).unwrap();
    fs::create_dir(&doorbell).unwrap();
    home.run(["--", "true"]);
    let trouble = || daemon.errors().contains("starting over in 4 s");
    wait_until("it is in trouble again", LONG, trouble);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_file_that_cannot_be_removed_does_not_disturb_the_daemon() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = home.run(["--", "echo", "text"]);
    assert_eq!(home.wait(id), 0);
    assert_eq!(daemon.stop(), 0);
    let output = home.path(format!("retrier.db.d/logs/0/{id}.1.out"));
    fs::remove_file(&output).unwrap();
    fs::create_dir(&output).unwrap();
    let id = id.to_string();
    home.retrier(["cleanup", &id]).output().exits(1);
    let mut daemon = home.daemon();
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    assert_eq!(daemon.stop(), 0);
    let log = daemon.errors();
    assert!(log.contains("cannot remove"), "{log}");
    assert!(!log.contains("starting over"), "{log}");
}

#[test]
fn a_daemon_whose_upkeep_fails_on_the_way_rests() {
    let home = Home::new();
    let mut daemon = home.daemon();
    // Two names of files for each attempt: more than one step.
    let many = ["--max-failures", "60", "--constant", "0", "--", "false"];
    let id = home.run(many);
    assert_eq!(home.wait(id), 1);
    assert_eq!(daemon.stop(), 0);
    let cleanup = home.retrier(["cleanup", &id.to_string()]);
    cleanup.crash("cleanup_committed:1:kill").output();
    let full = ("RETRIER_CRASH", "trash_before_commit:2:err=ENOSPC");
    let mut daemon = home.daemon_with(&[], &[full]);
    let trouble = || daemon.errors().contains("trying again in 1 s");
    wait_until("it is in trouble", LONG, trouble);
    assert_rests(&daemon);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_daemon_that_a_command_has_started_is_not_ended_with_the_command() {
    let (home, other) = (Home::new(), Home::new());
    let line = format!(
        "retrier --db '{}' run -- sleep 600; exit 9",
        other.db().display()
    );
    let _daemon = home.daemon();
    let store = format!("retrier run --wait --max-failures 0 --grace 200ms --shell \"{line}\"");
    home.sh(store).output().exits(9);
    other.retrier(["daemon", "status"]).output().ok();
    assert_eq!(other.state(1), "running");
    other.retrier(["cancel", "1"]).output().ok();
    assert_eq!(outcomes(&closed(&other, 1)), ["canceled"]);
}

#[test]
fn who_reads_the_file_of_a_killed_shim_is_no_part_of_its_attempt() {
    let home = Home::new();
    let _daemon = home.daemon();
    // It leaves the session and keeps the lock.
    let line = "setsid sleep 600 & sleep 600";
    let id = home.run(["--max-failures", "0", "--shell", line]);
    wait_until("all are there", LONG, || commands(&home).len() == 3);
    let files = fs::read_dir(home.path("retrier.db.d/shims")).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    let mut reader = home
        .sh(format!("exec tail -f '{}'", files[0].display()))
        .spawn();
    let reads = || {
        commands(&home)
            .iter()
            .any(|one| one.cmdline.starts_with("tail"))
    };
    wait_until("the reader reads", LONG, reads);
    signal(shim(&home), Signal::SIGKILL);
    assert_eq!(outcomes(&closed(&home, id)), ["lost"]);
    assert!(reader.is_running());
    assert_eq!(commands(&home).len(), 1);
}

#[test]
fn a_caller_who_never_stops_talking_does_not_keep_the_daemon_from_its_work() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let mut caller = UnixStream::connect(home.path("retrier.db.d/doorbell")).unwrap();
    let hints = 5i64.to_ne_bytes().repeat(8192);
    let flood = thread::spawn(move || while caller.write_all(&hints).is_ok() {});
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    // The daemon lets go of him, and that is what ends him.
    flood.join().unwrap();
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn callers_leave_enough_descriptors_for_attempts() {
    let home = Home::new();
    let limited = "ulimit -n 48; exec retrier daemon --until-idle=2s";
    let daemon = home.sh(limited).spawn();
    wait_until("it serves", LONG, || {
        home.retrier(["daemon", "status"]).output().code == 0
    });
    let doorbell = home.path("retrier.db.d/doorbell");
    let later = home.run(["--delay", "1h", "--", "true"]);
    let wait = |_| {
        let mut caller = UnixStream::connect(&doorbell).unwrap();
        caller.write_all(&later.to_ne_bytes()).unwrap();
        caller
    };
    let callers: Vec<UnixStream> = (0..100).map(wait).collect();
    assert_eq!(home.wait(home.run(["--no-daemon-start", "--", "true"])), 0);
    drop(callers);
    home.retrier(["cancel", &later.to_string()]).output().ok();
    daemon.wait().ok();
}

#[test]
fn one_shim_goes_on_when_no_other_can_be_started() {
    let home = Home::new();
    let ids = [1, 2, 3].map(|_| home.run(["--no-daemon-start", "--", "sleep", "0.1"]));
    let failed = (2..60).map(|nth| format!("daemon_start_shim:{nth}:err=EAGAIN"));
    let failed = failed.collect::<Vec<_>>().join(",");
    let mut daemon = home.daemon_with(&[], &[("RETRIER_CRASH", &failed)]);
    for id in ids {
        let id = id.to_string();
        home.retrier(["wait", &id]).limit(LONG).output().ok();
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_captured_input_that_was_cut_is_made_again() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "cat; test $RETRIER_ATTEMPT = 2";
    let run = ["run", "--stdin", "-", "--constant", "1s", "--shell", line];
    let id = home.retrier(run).stdin("all of it").output().ok().text();
    let id: i64 = id.parse().unwrap();
    wait_until_state(&home, id, "scheduled");
    for file in fs::read_dir(home.path("retrier.db.d/input")).unwrap() {
        fs::write(file.unwrap().path(), "").unwrap();
    }
    let waited = home.retrier(["wait", &id.to_string()]).output().ok();
    assert_eq!(waited.stdout, b"all of it");
}

#[test]
fn an_attempt_that_was_never_started_leaves_no_files() {
    let home = Home::new();
    let crash = ("RETRIER_CRASH", "shim_spawning:1:err=EAGAIN");
    let mut daemon = home.daemon_with(&[], &[crash]);
    let id = home.run(["--", "true"]);
    let trouble = || daemon.errors().contains("cannot start an attempt");
    wait_until("it was not started", LONG, trouble);
    home.retrier(["cancel", &id.to_string()]).output().ok();
    assert_eq!(daemon.stop(), 0);
    let files = fs::read_dir(home.path("retrier.db.d/logs/0")).unwrap();
    assert_eq!(files.count(), 0);
}

#[test]
fn a_daemon_that_cannot_be_named_is_not_said_to_be_none() {
    let home = Home::new();
    let mut daemon = home.daemon();
    fs::write(home.path("retrier.db.d/lock"), "rubbish").unwrap();
    home.retrier(["daemon", "stop"]).output().exits(1);
    assert!(daemon.is_running());
    assert_eq!(daemon.stop(), 0);
    home.retrier(["daemon", "stop"]).output().ok();
}

/// Nothing is charged for an interruption, so without a rest such a command would be started a
/// hundred times a second for ever.
#[test]
fn a_command_that_stops_its_own_shim_is_not_started_without_a_rest() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "date +%s%N >> starts; kill -TERM $PPID; sleep 20";
    let cwd = home.path("");
    let id = home.run(["--cwd", &cwd.to_string_lossy(), "--shell", line]);
    let starts = || std::fs::read_to_string(home.path("starts")).unwrap_or_default();
    wait_until(
        "it was started three times",
        Duration::from_secs(30),
        || starts().lines().count() >= 3,
    );
    let times: Vec<u128> = starts()
        .lines()
        .map(|line| line.parse().expect("date prints a number"))
        .collect();
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= 1_000_000_000, "{times:?}");
    }
    assert_eq!(home.status(id)["failures"], 0);
    home.retrier(["cancel", &id.to_string()]).output().ok();
}

/// Who reads only that it failed would store it once more.
#[test]
fn a_wait_that_fails_says_that_the_run_is_stored() {
    let home = Home::new();
    let failed = home.sh("ulimit -n 10; exec retrier run --wait -- true");
    let failed = failed.output().exits(125);
    assert!(
        failed.error_text().contains("run 1 is stored, but: "),
        "{failed:?}"
    );
    assert_eq!(home.wait(1), 0);
}

#[test]
fn a_run_that_cannot_be_started_shows_why_until_the_trouble_is_over() {
    let home = Home::new();
    let crash = "daemon_start_shim:1:err=EMFILE,daemon_start_shim:2:err=EMFILE";
    let _daemon = home.daemon_with(&[], &[("RETRIER_CRASH", crash)]);
    let id = home.run(["--", "true"]);
    let show = |args: &[&str]| home.retrier(args).output().ok().text();
    let why = "cannot start an attempt: Too many open files";
    let page = || show(&["status", &id.to_string()]);
    wait_until("its page says why", LONG, || {
        page().contains(&format!("queued: due; {why}"))
    });
    assert!(show(&["daemon", "status"]).contains(&format!("trouble: {why}")));
    assert_eq!(home.wait(id), 0);
    wait_until("the trouble is over", LONG, || {
        !show(&["daemon", "status"]).contains("trouble")
    });
}
