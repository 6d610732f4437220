//! The client killed in the middle, several clients at once, and waiters: a run is retried once or not at all.

use std::fs;
use std::thread;

use crate::crash::tools::{LONG, numbers, outcomes, wait_until_state};
use crate::support::{Home, wait_until};

use super::{failed, kinds, retry};

#[test]
fn a_retry_killed_before_its_commit_never_was() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = failed(&home, &["--on-complete", "true", "--", "false"]);
    let before = home.status(id);
    let retry_at = |fate: &str| {
        home.retrier(["retry", &id.to_string()])
            .crash(fate)
            .output()
    };
    retry_at("retry_before_commit:1:kill").exits(137);
    let failing = "retry_before_commit:1:err=EIO,retry_before_commit:2:err=EIO";
    retry_at(failing).exits(1);
    assert_eq!(home.status(id), before);
    retry(&home, id);
    assert_eq!(home.wait(id), 1);
    assert_eq!(numbers(&home.status(id)), [1, 2]);
}

/// The daemon hears that the connection to the doorbell is gone.
#[test]
fn a_retry_killed_after_its_commit_happens() {
    for point in ["retry_committed", "store_sync"] {
        let home = Home::new();
        let _daemon = home.daemon();
        let id = failed(&home, &["--on-complete", "true", "--", "false"]);
        let call = home.retrier(["retry", &id.to_string()]);
        call.crash(&format!("{point}:1:kill")).output().exits(137);
        wait_until("its second attempt has ended", LONG, || {
            outcomes(&home.status(id)) == ["exit 1", "exit 1"]
        });
        let told = kinds(&home, id);
        let hooks = told.iter().filter(|kind| *kind == "hook_enqueued");
        assert_eq!(hooks.count(), 2, "{point}: {told:?}");
    }
}

#[test]
fn of_many_retries_at_once_one_wins_and_the_others_say_why() {
    let home = Home::new();
    let daemon = home.daemon();
    let id = failed(&home, &["--", "false"]);
    daemon.await_rest();
    daemon.pause();
    let calls: Vec<_> = (0..8)
        .map(|_| home.retrier(["retry", &id.to_string()]).spawn())
        .collect();
    let outputs: Vec<_> = calls.into_iter().map(|call| call.wait()).collect();
    let won = outputs.iter().filter(|output| output.code == 0).count();
    assert_eq!(won, 1);
    for output in outputs.into_iter().filter(|output| output.code != 0) {
        let said = output.exits(4).error_text();
        assert!(said.contains("is queued"), "{said}");
    }
    daemon.resume();
    assert_eq!(home.wait(id), 1);
    assert_eq!(numbers(&home.status(id)), [1, 2]);
}

/// What both say must fit to one order of the two.
#[test]
fn a_retry_beside_a_cancel_is_before_it_or_after_it() {
    let home = Home::new();
    let daemon = home.daemon();
    let runs: Vec<_> = (0..8)
        .map(|n| match n % 2 {
            0 => (failed(&home, &["--", "false"]), "failed"),
            _ => (home.run(["--delay", "1h", "--", "true"]), "scheduled"),
        })
        .collect();
    daemon.await_rest();
    daemon.pause();
    for (id, before) in runs {
        let call = |verb: &str| home.retrier([verb, &id.to_string()]).output().code;
        let (retried, canceled) = thread::scope(|scope| {
            let cancel = scope.spawn(|| call("cancel"));
            (call("retry"), cancel.join().expect("it has ended"))
        });
        let state = home.state(id);
        let kinds = kinds(&home, id);
        let last = kinds.last().map(String::as_str);
        match (before, retried, canceled, state.as_str()) {
            ("failed", 0, 0, "canceled") => assert_eq!(last, Some("canceled")),
            ("failed", 0, 4, "queued") => assert_eq!(last, Some("retried")),
            ("scheduled", 0, 0, "canceled") => assert_eq!(last, Some("canceled")),
            ("scheduled", 0, 0, "queued") => assert_eq!(last, Some("retried")),
            other => panic!("{other:?}: {kinds:?}"),
        }
    }
}

/// A waiter is told of each ending once. One that is told and finds the run retried has to be told again: without that
/// it waited for ever.
#[test]
fn a_waiter_that_sleeps_through_an_ending_and_a_retry_hears_of_the_next_ending() {
    let home = Home::new();
    let _daemon = home.daemon();
    let (first, second) = (home.path("first"), home.path("second"));
    let line = format!(
        "gate='{}'; [ $RETRIER_ATTEMPT = 1 ] || gate='{}'; until [ -e \"$gate\" ]; do sleep 0.05; done; \
         echo $RETRIER_ATTEMPT; exit 7",
        first.display(),
        second.display()
    );
    let id = home.run(["--max-failures", "0", "--shell", &line]);
    let waiter = home.retrier(["wait", &id.to_string()]).spawn();
    // One for the signals that wake it, three for those that write to it, and the doorbell.
    let fds = format!("/proc/{}/fd", waiter.pid());
    wait_until("it has called the daemon", LONG, || {
        let links = fs::read_dir(&fds).into_iter().flatten().flatten();
        let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
        let sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:"));
        sockets.count() >= 5
    });
    waiter.signal(nix::sys::signal::Signal::SIGSTOP);
    fs::write(first, "").expect("the temp folder can be written");
    wait_until_state(&home, id, "failed");
    retry(&home, id);
    waiter.signal(nix::sys::signal::Signal::SIGCONT);
    wait_until_state(&home, id, "running");
    fs::write(second, "").expect("the temp folder can be written");
    assert_eq!(waiter.wait().exits(7).text(), "2");
}
