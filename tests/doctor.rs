//! `retrier doctor`: nothing is found where nothing is wrong, and what is wrong is found. Here: the daemon and the
//! machine; in `places` what stands at its paths; in `stored` what contradicts
//! itself.

mod places;
mod room;
mod stored;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Call, FakeClock, Home, holds_within, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// What `call`, a doctor with `--json`, has found, as `level check: what`.
#[track_caller]
fn told_by(call: Call) -> Vec<String> {
    let output = call.output();
    let object = output.json();
    let findings = object["findings"].as_array().expect("a list of findings");
    let wrong = findings.iter().any(|finding| finding["level"] == "error");
    let output = output.exits(i32::from(wrong));
    assert!(output.stderr.is_empty(), "{}", output.error_text());
    let word = |finding: &Value, name: &str| {
        let text = finding[name].as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("no {name} in {finding}"))
    };
    let told = findings.iter().map(|finding| {
        assert!(!word(finding, "hint").is_empty(), "{finding}");
        format!(
            "{} {}: {}",
            word(finding, "level"),
            word(finding, "check"),
            word(finding, "what")
        )
    });
    told.collect()
}

/// What it finds in this home when it looks at everything.
#[track_caller]
fn found(home: &Home) -> Vec<String> {
    told_by(home.retrier(["doctor", "--deep", "--json"]))
}

#[track_caller]
fn assert_found(home: &Home, parts: &[&str]) {
    let found = found(home);
    let fits = found.len() == parts.len()
        && parts
            .iter()
            .all(|part| found.iter().any(|line| line.contains(part)));
    assert!(fits, "{found:#?} instead of {parts:#?}");
}

/// Stores and runs something of everything, and leaves it at rest.
fn live(home: &Home) {
    let hook = [
        "--on-complete",
        "cat >/dev/null",
        "--max-failures",
        "1",
        "--constant",
        "10ms",
    ];
    let run = |more: &[&str]| home.run([&hook[..], more].concat());
    home.retrier(["pool", "set", "mail", "--parallel", "2"])
        .output()
        .ok();
    let failed = run(&["--pool", "mail", "--key", "k", "--", "false"]);
    home.wait(failed);
    home.retrier(["retry", &failed.to_string()]).output().ok();
    home.wait(failed);
    let canceled = run(&["--lock", "l", "--delay", "1h", "--", "true"]);
    home.retrier(["cancel", &canceled.to_string()])
        .output()
        .ok();
    let ended = run(&["--lock", "l", "--", "sleep", "600"]);
    wait_until("it runs", LONG, || home.state(ended) == "running");
    home.retrier(["cancel", &ended.to_string()]).output().ok();
    let line =
        r#"echo '{"retry_in":"10ms"}' >"$RETRIER_DECISION"; echo out; test $RETRIER_ATTEMPT = 2"#;
    run(&["--stdin", "-", "--shell", line]);
    run(&["--delay", "10ms", "--", "true"]);
    home.retrier(["wait", "--all"]).output();
    let hooks = || {
        let list = home
            .retrier(["list", "--json", "--pool", "hooks"])
            .output()
            .ok()
            .text();
        list.lines().count() > 5 && !list.contains("finished_at\":null")
    };
    wait_until("the hooks have ended", LONG, hooks);
}

#[test]
fn nothing_is_wrong_where_everything_was_used() {
    let home = Home::new();
    assert_eq!(found(&home), [""; 0], "without a database");
    let mut daemon = home.daemon();
    live(&home);
    assert_eq!(found(&home), [""; 0], "beside a daemon");
    let running = home.run(["--", "sleep", "600"]);
    wait_until("it runs", LONG, || home.state(running) == "running");
    assert_eq!(found(&home), [""; 0], "beside a running attempt");
    home.retrier(["cancel", &running.to_string()]).output().ok();
    wait_until("it is closed", LONG, || {
        home.status(running)["attempts"][0]["ended_at"].is_string()
    });
    home.retrier(["cleanup", "--older-than", "0"]).output().ok();
    assert_eq!(daemon.stop(), 0);
    assert_eq!(found(&home), [""; 0], "after all was forgotten");
    for words in [&["doctor"][..], &["doctor", "--deep"]] {
        let output = home.retrier(words).output().ok();
        assert_eq!(
            (output.text(), output.error_text()),
            (String::new(), String::new())
        );
    }
}

#[test]
fn nothing_is_changed_by_looking() {
    let home = Home::new();
    let mut daemon = home.daemon();
    home.wait(home.run(["--", "echo", "hi"]));
    assert_eq!(daemon.stop(), 0);
    let bytes = |name: &str| fs::read(home.path(name)).expect("it is there");
    let all = || ["retrier.db", "retrier.db-wal", "retrier.db.d/lock"].map(bytes);
    let before = all();
    found(&home);
    assert!(before == all());
}

#[test]
fn a_database_that_cannot_be_used_is_what_is_wrong() {
    let home = Home::new();
    fs::write(
        home.db(),
        "no database at all, but long enough to be taken for one".repeat(20),
    )
    .expect("it can be written");
    fs::set_permissions(home.db(), fs::Permissions::from_mode(0o600)).expect("it is ours");
    assert_found(&home, &["error database: "]);
    assert!(found(&home)[0].ends_with("is not a database of retrier"));
}

#[test]
fn runs_without_a_daemon_are_an_error() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    assert_found(
        &home,
        &["error daemon: no daemon serves, and 1 run has not ended"],
    );
    let output = home.retrier(["doctor"]).output().exits(1);
    assert_eq!(
        output.text(),
        "error\tdaemon\tno daemon serves, and 1 run has not ended\tretrier daemon --detach"
    );
}

#[test]
fn a_stopped_daemon_and_a_stopped_shim_are_found() {
    let home = Home::new();
    let daemon = home.daemon();
    let id = home.run(["--", "sleep", "600"]);
    wait_until("it runs", LONG, || home.state(id) == "running");
    let shim = home
        .processes()
        .into_iter()
        .find(|process| process.is_shim());
    let shim = shim.expect("the attempt has a shim").pid;
    daemon.pause();
    kill(Pid::from_raw(shim), Signal::SIGSTOP).expect("it is ours");
    let stopped = [
        format!("error daemon: daemon {} is stopped", daemon.pid()),
        "error attempts: the shim of run 1, attempt 1, is stopped".to_owned(),
    ];
    assert_found(&home, &stopped.each_ref().map(String::as_str));
    daemon.resume();
    kill(Pid::from_raw(shim), Signal::SIGCONT).expect("it is ours");
    assert_eq!(found(&home), [""; 0]);
}

#[test]
fn a_daemon_that_does_not_look_at_what_is_due_is_found() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let daemon = home.daemon();
    home.run(["--delay", "1h", "--deadline", "2h", "--", "true"]);
    daemon.pause();
    clock.advance(Duration::from_secs(3 * 3600));
    assert_found(
        &home,
        &[
            "is stopped, and serves nobody",
            "error lag: a run has been due for",
            "error lag: a run has been past its deadline for",
        ],
    );
    daemon.resume();
    wait_until("it has ended", LONG, || home.state(1) == "failed");
}

#[test]
fn what_lives_on_after_its_time_is_found() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let daemon = home.daemon();
    let id = home.run(["--timeout", "1h", "--grace", "1s", "--", "sleep", "600"]);
    wait_until("it runs", LONG, || home.state(id) == "running");
    daemon.pause();
    clock.advance(Duration::from_secs(2 * 3600));
    assert_found(
        &home,
        &[
            "is stopped, and serves",
            "warning attempts: attempt 1 of run 1 lives on 3",
        ],
    );
    daemon.resume();
}

#[test]
fn a_clock_that_was_set_back_is_told() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let mut daemon = home.daemon();
    home.wait(home.run(["--", "true"]));
    assert_eq!(daemon.stop(), 0);
    clock.set_back(Duration::from_secs(3600));
    assert_found(&home, &["warning clock: what is stored has happened 3"]);
    clock.set_back(Duration::from_secs(40 * 365 * 86400));
    assert_found(
        &home,
        &["warning clock: ", "error clock: the clock is years behind"],
    );
}

#[test]
fn what_is_open_to_others_is_found() {
    let home = Home::new();
    let mut daemon = home.daemon();
    home.wait(home.run(["--", "echo", "hi"]));
    assert_eq!(daemon.stop(), 0);
    let open = |name: &str, mode| {
        let path = home.path(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    open("retrier.db", 0o644);
    open("retrier.db.d/logs", 0o755);
    assert_found(
        &home,
        &[
            "retrier.db is open to others (mode 0644)",
            "logs is open to others (mode 0755)",
        ],
    );
    open("retrier.db", 0o666);
    let refused = found(&home);
    assert!(
        refused
            .iter()
            .any(|line| line.contains("error database: ")
                && line.contains("can be written to by other")),
        "{refused:?}"
    );
}

#[test]
fn a_file_that_no_attempt_has_written_is_told() {
    let home = Home::new();
    let mut daemon = home.daemon();
    home.wait(home.run(["--", "echo", "hi"]));
    home.wait(home.run(["--", "echo", "ho"]));
    home.retrier(["cleanup", "2"]).output().ok();
    assert_eq!(daemon.stop(), 0);
    // Number 9 was not given yet: a power cut can leave such a file, and its run is to write it anew.
    for name in ["2.1.out", "1.2.err", "rubbish", "9.1.out"] {
        fs::write(home.path("retrier.db.d/logs/0").join(name), "x").expect("it can be written");
    }
    let found = found(&home);
    let told = |name: &str| {
        found
            .iter()
            .any(|line| line.starts_with("warning files: ") && line.contains(name))
    };
    assert!(
        found.len() == 3 && told("2.1.out") && told("1.2.err") && told("rubbish"),
        "{found:?}"
    );
}

#[test]
fn a_long_log_and_a_doubtful_filesystem_are_told() {
    let home = Home::new();
    let mut daemon = home.daemon();
    home.wait(home.run(["--", "true"]));
    assert_eq!(daemon.stop(), 0);
    let wal = fs::File::options()
        .write(true)
        .open(home.path("retrier.db-wal"))
        .expect("it is there");
    wal.set_len(65 << 20)
        .expect("what follows the last commit is not read");
    let doctor = || home.retrier(["doctor", "--deep", "--json"]);
    let found = told_by(doctor().env("RETRIER_FAKE_FILESYSTEM", "65735546"));
    let told = |part: &str| found.iter().any(|line| line.contains(part));
    assert!(
        found.len() == 2
            && told("warning log: the write-ahead log has 65 MiB")
            && told("warning filesystem: "),
        "{found:?}"
    );
    let found = told_by(doctor().env("RETRIER_FAKE_FILESYSTEM", "6969"));
    assert!(
        found[0].contains("error database: ") && found[0].contains("NFS"),
        "{found:?}"
    );
}

#[test]
fn limits_that_a_daemon_was_started_with_are_told() {
    let home = Home::new();
    let line = "ulimit -n 100; ulimit -f 1000; retrier doctor --json";
    let found = told_by(home.sh(line));
    let told = |part: &str| {
        found
            .iter()
            .any(|line| line.starts_with("warning limits: ") && line.contains(part))
    };
    assert!(
        found.len() == 2 && told("100 files") && told("bytes can be in a file"),
        "{found:?}"
    );
}

#[test]
fn a_database_that_is_read_only_is_looked_at() {
    let home = Home::new();
    let mut daemon = home.daemon();
    home.wait(home.run(["--", "true"]));
    assert_eq!(daemon.stop(), 0);
    let restore = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours")
    };
    for name in ["retrier.db", "retrier.db-wal", "retrier.db-shm"] {
        restore(&home.path(name), 0o400);
    }
    assert_eq!(found(&home), [""; 0]);
}

/// A canceled run whose attempt was claimed and never started is one that nothing is wrong with. `doctor` took the line
/// of its history that says so for a word after the last.
#[test]
fn nothing_is_wrong_with_a_run_that_was_canceled_before_its_attempt_started() {
    let mut seen = 0;
    for nth in 1..=3 {
        let home = Home::new();
        let id = home.run(["--no-daemon-start", "--", "sleep", "600"]);
        let daemon = home.retrier(["daemon"]);
        let crash = format!("pass_committed:{nth}:kill");
        let mut daemon = daemon.crash(&crash).spawn();
        if !holds_within(Duration::from_secs(2), || !daemon.is_running()) {
            continue;
        }
        // It starts a daemon, which ends what it finds.
        let id = id.to_string();
        home.retrier(["cancel", &id]).output().ok();
        home.retrier(["daemon", "--until-idle"]).output().ok();
        let events = home.retrier(["events", "--json", &id]).output().ok();
        seen += events.text().matches("never_started").count();
        assert_eq!(found(&home), [""; 0], "{}", events.text());
    }
    assert!(seen > 0, "every attempt has started");
}

/// Nobody would end what is left of it.
#[test]
fn the_attempt_of_a_canceled_run_that_no_daemon_settles_is_named_as_such() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let line = "trap '' TERM; while :; do sleep 0.1; done";
    let id = home.run(["--grace", "10m", "--shell", line]);
    wait_until("it runs", LONG, || home.state(id) == "running");
    home.retrier(["cancel", &id.to_string()]).output().ok();
    assert_eq!(daemon.stop(), 0);
    let words = "error daemon: no daemon serves, and an attempt of a canceled run is not settled";
    assert_eq!(found(&home), [words]);
}
