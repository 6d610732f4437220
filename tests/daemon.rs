//! The daemon as its users meet it: one at a time, told how long to stay and how much to do, and stopped.

mod log;
mod log_file;
mod stopping;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Home, Journal, Limit, Mark, Need, Process, skip, wait_until};

const LONG: Duration = Duration::from_secs(20);

fn daemons(home: &Home) -> Vec<Process> {
    let all = home.processes().into_iter();
    all.filter(Process::is_daemon).collect()
}

#[test]
fn a_second_daemon_exits_4_and_names_the_first() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let pid = daemon.pid().to_string();
    for args in [&["daemon"][..], &["daemon", "--detach"]] {
        let second = home.retrier(args).limit(LONG).output().exits(4);
        let told = second.error_text();
        assert!(told.contains(&format!("pid {pid}")), "{told}");
        assert_eq!(second.stdout, b"");
    }
    assert!(daemon.is_running());
    assert_eq!(daemons(&home).len(), 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn another_database_has_a_daemon_of_its_own() {
    let (home, other) = (Home::new(), Home::new());
    let _daemons = (home.daemon(), other.daemon());
    assert_eq!((daemons(&home).len(), daemons(&other).len()), (1, 1));
}

#[test]
fn a_killed_daemon_does_not_keep_the_next_one_out() {
    let home = Home::new();
    let mut first = home.daemon();
    first.kill9();
    home.retrier(["daemon", "status"]).output().exits(1);
    let second = home.daemon();
    let status = home.retrier(["daemon", "status"]).output().ok().text();
    assert!(
        status.contains(&format!("daemon {} ", second.pid())),
        "{status}"
    );
}

#[test]
fn a_daemon_in_the_foreground_replaces_one_that_a_client_has_started() {
    let home = Home::new();
    let gate = home.path("gate").display().to_string();
    let line = format!(
        "echo started >> {gate}.starts; while ! test -e {gate}; do sleep 0.02; done; exit 7"
    );
    let id = home.run(["--max-failures", "0", "--shell", &line]);
    wait_until("it runs", LONG, || home.state(id) == "running");
    let automatic = daemons(&home);
    assert_eq!(automatic.len(), 1);
    let mut daemon = home.daemon();
    let left: Vec<i32> = daemons(&home).iter().map(|daemon| daemon.pid).collect();
    assert_eq!(left, [daemon.pid()]);
    assert_ne!(automatic[0].pid, daemon.pid());
    assert_eq!(home.state(id), "running");
    fs::write(&gate, "").unwrap();
    assert_eq!(home.wait(id), 7);
    assert_eq!(
        fs::read_to_string(format!("{gate}.starts")).unwrap(),
        "started\n"
    );
    assert_eq!(home.status(id)["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn until_idle_ends_when_nothing_is_unfinished() {
    let home = Home::new();
    home.retrier(["daemon", "--until-idle"])
        .limit(LONG)
        .output()
        .ok();
    let line = "test $RETRIER_ATTEMPT = 2";
    let retried = [
        "--constant",
        "200ms",
        "--on-complete",
        "sleep 0.1",
        "--shell",
        line,
    ];
    let args = ["run", "--no-daemon-start"];
    home.retrier(args.iter().chain(&retried)).output().ok();
    let delayed = ["--delay", "500ms", "--", "true"];
    home.retrier(args.iter().chain(&delayed)).output().ok();
    home.retrier(["daemon", "--until-idle"])
        .limit(LONG)
        .output()
        .ok();
    for id in [1, 2, 3] {
        assert_eq!(home.state(id), "succeeded", "run {id}");
    }
    home.assert_no_process_left();
}

#[test]
fn until_idle_with_a_time_stays_that_long_for_more() {
    let home = Home::new();
    let mut daemon = home.daemon_with(&["--until-idle=1500ms"], &[]);
    let limit = Limit::after(LONG);
    let id = home.run(["--no-daemon-start", "--", "true"]);
    assert_eq!(home.wait(id), 0);
    assert_eq!(daemon.wait(LONG), 0);
    assert!(LONG - limit.left() >= Duration::from_millis(1500));
    home.assert_no_process_left();
}

#[test]
fn a_detached_daemon_serves_in_the_background_and_logs_to_its_file() {
    let home = Home::new();
    let call = home.retrier(["daemon", "--detach", "--parallel", "3"]);
    let detached = call.limit(LONG).output().ok();
    assert_eq!(
        (detached.text(), detached.error_text()),
        (String::new(), String::new())
    );
    let status = home.retrier(["daemon", "status"]).output().ok().text();
    let running = daemons(&home);
    assert_eq!(running.len(), 1);
    assert!(
        status.contains(&format!("daemon {} ", running[0].pid)),
        "{status}"
    );
    let id = home.run(["--no-daemon-start", "--", "true"]);
    assert_eq!(home.wait(id), 0);
    home.retrier(["daemon", "stop"]).limit(LONG).output().ok();
    home.retrier(["daemon", "--detach"]).output().ok();
    home.retrier(["daemon", "stop"]).limit(LONG).output().ok();
    let log = fs::read_to_string(home.path("retrier.db.d/daemon.log")).unwrap();
    assert!(log.contains(&format!("run {id} succeeded")), "{log}");
    assert_eq!(log.matches(" serving ").count(), 2, "{log}");
    home.assert_no_process_left();
}

/// The limit is on attempts, so it is the commands that must not be more at any moment.
#[test]
fn no_more_than_parallel_attempts_run_at_once() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let line = journal.line("sleep 0.2; test $RETRIER_ATTEMPT = 2");
    let args = ["--no-daemon-start", "--constant", "0", "--shell", &line];
    let ids: Vec<i64> = (0..7).map(|_| home.run(args)).collect();
    let mut daemon = home.daemon_with(&["--parallel", "3", "--until-idle"], &[]);
    assert_eq!(daemon.wait(2 * LONG), 0);
    assert!(ids.iter().all(|id| journal.ends(*id).len() == 2));
    let mut entries = journal.entries();
    entries.sort_by_key(|entry| (entry.at_ns, entry.mark == Mark::Start));
    let mut open = 0;
    let at_once = entries.iter().map(|entry| {
        open += if entry.mark == Mark::Start { 1 } else { -1 };
        open
    });
    assert_eq!(at_once.max(), Some(3));
    journal.assert_no_overlap();
}

#[test]
fn wrong_values_for_a_daemon_are_usage_errors() {
    let home = Home::new();
    for args in [
        "--parallel 0",
        "--parallel -1",
        "--parallel many",
        "--retention -1",
        "--retention 1M",
        "--until-idle=soon",
        "stop --drain --kill",
        "start",
    ] {
        let words = ["daemon"].into_iter().chain(args.split(' '));
        home.retrier(words).limit(LONG).output().exits(2);
    }
    assert_eq!(home.processes(), []);
}

#[test]
fn everything_on_the_disk_is_for_its_owner_alone() {
    let home = Home::new();
    let line = "umask 000; echo in | retrier run --stdin - --wait --shell 'cat; echo err >&2'; \
        retrier run -- sleep 600";
    home.sh(line).output().ok();
    wait_until("the second one runs", LONG, || home.state(2) == "running");
    let mut modes = Vec::new();
    walk(&home.path("retrier.db.d"), &mut modes);
    for file in ["retrier.db", "retrier.db-wal", "retrier.db-shm"] {
        modes.push(mode(&home.path(file)));
    }
    for name in [
        "daemon.log",
        "lock",
        "doorbell",
        "1.1.out",
        "1.1.err",
        "retrier.db",
    ] {
        assert!(
            modes.iter().any(|(path, _)| path.ends_with(name)),
            "no {name} in {modes:#?}"
        );
    }
    for folder in ["input", "shims"] {
        let inside = |path: &Path| path.parent().is_some_and(|parent| parent.ends_with(folder));
        assert!(
            modes.iter().any(|(path, _)| inside(path)),
            "nothing in {folder}: {modes:#?}"
        );
    }
    for (path, mode) in modes {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} has {mode:o}", path.display());
    }
}

fn mode(path: &Path) -> (PathBuf, u32) {
    let found = fs::symlink_metadata(path).expect("it is there");
    (path.to_owned(), found.permissions().mode() & 0o7777)
}

fn walk(folder: &Path, modes: &mut Vec<(PathBuf, u32)>) {
    modes.push(mode(folder));
    for entry in fs::read_dir(folder).expect("a folder of ours").flatten() {
        if entry.path().is_dir() {
            walk(&entry.path(), modes);
        } else {
            modes.push(mode(&entry.path()));
        }
    }
}

#[test]
fn of_several_that_detach_a_daemon_at_once_all_but_one_are_told_that_theirs_has_left() {
    let home = Home::new();
    let calls: Vec<_> = (1..=6)
        .map(|n| {
            home.retrier(["daemon", "--detach", "--parallel", &n.to_string()])
                .spawn()
        })
        .collect();
    let outputs: Vec<_> = calls.into_iter().map(|call| call.wait()).collect();
    let (told, served): (Vec<_>, Vec<_>) = outputs.iter().partition(|output| output.code == 4);
    assert_eq!((served.len(), served[0].code), (1, 0), "{outputs:?}");
    let status = home.retrier(["daemon", "status"]).output().ok().text();
    let pid = status.split(' ').nth(1).expect("its pid").to_owned();
    for output in told {
        let names_it = output.error_text().contains(&format!("pid {pid}"));
        assert!(names_it, "{status}: {output:?}");
    }
    home.retrier(["daemon", "stop"]).output().ok();
}

#[test]
fn a_daemon_that_a_client_has_started_stays_for_a_minute_and_leaves() {
    let home = Home::new();
    let minute = Duration::from_secs(60);
    let limit = Limit::after(2 * minute);
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    let mut left = limit.left();
    wait_until("it has left", 2 * minute, || {
        let gone = daemons(&home).is_empty();
        left = limit.left();
        gone
    });
    assert!(
        2 * minute - left >= minute,
        "it stayed for less than a minute"
    );
    assert_eq!(home.state(1), "succeeded");
    home.assert_no_process_left();
}
