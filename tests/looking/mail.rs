//! `run --wait --quiet-success`: what cron mails, which is nothing unless a run has failed for good.

use nix::sys::signal::Signal;

use super::LONG;
use crate::support::{Call, Home, wait_until};

/// `run --wait --quiet-success` with these words, and a line for the shell.
fn quiet(home: &Home, words: &str, line: &str) -> Call {
    let call = home.retrier(["run", "--wait", "--quiet-success", "--jitter", "0"]);
    call.args(words.split(' ')).args(["--shell", line])
}

#[test]
fn a_run_that_succeeds_in_the_end_is_not_told_of() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "echo out; echo err >&2; exit $((RETRIER_ATTEMPT < 3 ? 7 : 0))";
    let done = quiet(&home, "--constant 20ms", line).output().ok();
    assert_eq!((done.text(), done.error_text()), Default::default());
    // Also when its exit code is not 0: whoever has it mailed asks whether it failed.
    let done = quiet(&home, "--success-codes 0,24", "echo out; exit 24");
    let done = done.output().ok();
    assert_eq!((done.text(), done.error_text()), Default::default());
}

#[test]
fn a_run_that_fails_for_good_is_told_with_all_that_helps() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "echo out $RETRIER_ATTEMPT; seq 60 >&2; printf 'bad\\033[2J\\tend' >&2; exit 9";
    let words = "--name backup --max-attempts 2 --constant 20ms";
    let failed = quiet(&home, words, line).output().exits(9);
    assert_eq!(failed.text(), "");
    let mail = failed.error_text();
    for part in [
        "run 1  failed (exhausted)  backup\n",
        "\nwhy       failed: attempt 2 exited 9, its retries are used up\n",
        "\ncommand   /bin/sh -c ",
        "\nfolder    /",
        "\nattempts  2\n",
        "  exit 9, then a wait of 20ms\n",
        "\nstdout of attempt 2\n  out 2\n",
        "\nstderr of attempt 2, its last 50 lines\n  12\n",
        "\n  60\n  bad\\u{1b}[2J    end\n",
        "\nnext      retrier logs 1 ",
        "retrier retry 1 ",
    ] {
        assert!(mail.contains(part), "no {part:?} in\n{mail}");
    }
    let is_plain = |c: char| c.is_ascii_graphic() || c == ' ' || c == '\n';
    assert!(mail.chars().all(is_plain), "{mail}");
}

#[test]
fn a_run_that_is_past_its_deadline_or_was_canceled_is_told_of_too() {
    let home = Home::new();
    let _daemon = home.daemon();
    let late = quiet(&home, "--constant 1h --deadline 10m", "exit 4");
    let late = late.output().exits(124).error_text();
    assert!(late.starts_with("run 1  failed (deadline)\n"), "{late}");
    let waiter = quiet(&home, "--max-failures 0", "exec sleep 600").spawn();
    // It is not stored yet.
    let is_running = || {
        let listed = home.retrier(["list", "--state", "running"]).output().ok();
        !listed.text().is_empty()
    };
    wait_until("it runs", LONG, is_running);
    home.retrier(["cancel", "2"]).output().ok();
    let canceled = waiter.wait_within(LONG).exits(130).error_text();
    assert!(canceled.starts_with("run 2  canceled"), "{canceled}");
    assert!(canceled.contains("\nwhy       canceled: "), "{canceled}");
}

/// The next night comes while the backup of this one still runs: one mail tells of it, and not one of each night.
#[test]
fn whoever_finds_the_key_taken_has_nothing_to_tell_and_does_not_wait() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = home.path("gate").display().to_string();
    let line = format!("while ! test -e '{gate}'; do sleep 0.02; done; echo found >&2; exit 5");
    let words = "--key backup --max-failures 0";
    let first = quiet(&home, words, &line).spawn();
    wait_until("it runs", LONG, || {
        let listed = home.retrier(["list", "--state", "running"]).output();
        !listed.text().is_empty()
    });
    let second = quiet(&home, words, &line).output().ok();
    assert_eq!(second.error_text() + &second.text(), "");
    std::fs::write(&gate, "").expect("the temp folder can be written");
    let told = first.wait_within(LONG).exits(5).error_text();
    assert!(told.starts_with("run 1  failed (exhausted)\n"), "{told}");
    assert!(told.contains("\n  found\n"), "{told}");
    let waiter = quiet(&home, "--delay 1h", "true").spawn();
    wait_until("it waits", LONG, || {
        let listed = home.retrier(["list", "--state", "scheduled"]).output();
        !listed.text().is_empty()
    });
    crate::crash::tools::await_patience(&waiter);
    waiter.signal(Signal::SIGTERM);
    let told = waiter.wait_within(LONG).exits(143).error_text();
    assert!(told.contains("run 2 goes on"), "{told}");
}

#[test]
fn what_makes_no_sense_with_it_is_wrong_usage() {
    let home = Home::new();
    for words in [
        "--quiet-success",
        "--wait --quiet-success --quiet",
        "--wait --quiet-success --stream",
        "--wait --quiet-success --json",
    ] {
        let call = home.retrier(["run"]).args(words.split(' '));
        let told = call.args(["--", "true"]).output().exits(2).error_text();
        assert!(
            told.contains("--quiet-success") || told.contains("--wait"),
            "{told}"
        );
    }
    let told = home.retrier(["list"]).output().ok();
    assert_eq!(told.text(), "", "nothing was stored");
}
