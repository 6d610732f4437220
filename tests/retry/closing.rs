//! A canceled run whose attempt is still being ended: a retry waits for that.

use nix::sys::signal::Signal;

use crate::crash::tools::{Gate, LONG, await_patience, closed, millis, outcomes};
use crate::support::{Home, Journal, Need, skip, wait_until};

use super::{failed, kinds, retry};

/// A canceled run whose first attempt does not end before this gate is open; the next one ends at once.
fn canceled(home: &Home, journal: &Journal, end: &Gate) -> i64 {
    let grown = Gate::new(home, "grown");
    let body = format!(
        "[ $RETRIER_ATTEMPT = 1 ] || exit 0; trap '' TERM; : >'{}'; {}",
        home.path("grown").display(),
        end.line()
    );
    let id = home.run(["--grace", "10m", "--shell", &journal.line(&body)]);
    wait_until("it ignores SIGTERM", LONG, || grown.is_open());
    home.retrier(["cancel", &id.to_string()]).output().ok();
    id
}

#[test]
fn the_next_attempt_starts_after_the_canceled_one_has_ended() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let mut daemon = home.daemon();
    let end = Gate::new(&home, "end");
    let id = canceled(&home, &journal, &end);
    let other = home.run(["--delay", "1h", "--", "true"]);
    daemon.kill9();
    let ids = [id.to_string(), other.to_string()];
    let waits = home.retrier(["retry", &ids[0], &ids[1]]).spawn();
    // It starts the daemon that ends the attempt; the other run does not have to wait for that.
    wait_until("the other run has ended", LONG, || {
        home.state(other) == "succeeded"
    });
    assert_eq!(outcomes(&home.status(id)), ["open"]);
    end.open();
    waits.wait().ok();
    assert_eq!(home.wait(id), 0);
    let run = home.status(id);
    assert_eq!(outcomes(&run), ["canceled", "exit 0"]);
    let [first, second] = [0, 1].map(|n| run["attempts"][n].clone());
    assert!(millis(&second["started_at"]) >= millis(&first["ended_at"]));
    journal.assert_no_overlap();
    let expected = [
        "enqueued",
        "started",
        "canceled",
        "attempt_closed",
        "retried",
        "started",
        "succeeded",
    ];
    assert_eq!(kinds(&home, id), expected);
}

#[test]
fn ctrl_c_ends_the_waiting_and_changes_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let _daemon = home.daemon();
    let id = canceled(&home, &journal, &Gate::new(&home, "never"));
    let before = home.status(id);
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let waits = home.retrier(["retry", &id.to_string()]).spawn();
        await_patience(&waits);
        waits.signal(signal);
        let said = waits.wait().exits(code).error_text();
        assert!(
            said.contains(&format!("run {id} was not retried")),
            "{said}"
        );
    }
    assert_eq!(home.status(id), before);
    assert_eq!(kinds(&home, id), ["enqueued", "started", "canceled"]);
}

/// What a successful command leaves lives on. If its run was canceled before that success was settled, it could be
/// retried beside what it has left: two attempts at once.
#[test]
fn what_a_canceled_command_has_left_is_ended_before_the_next_attempt_starts() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let daemon = home.daemon();
    let [runs, go] = ["runs", "go"].map(|name| Gate::new(&home, name));
    let body = format!(
        "[ $RETRIER_ATTEMPT = 1 ] || exit 0; : >'{}'; {}; sleep 600 & exit 0",
        home.path("runs").display(),
        go.line()
    );
    let id = home.run(["--shell", &journal.line(&body)]);
    wait_until("it runs", LONG, || runs.is_open());
    daemon.await_rest();
    daemon.pause();
    go.open();
    let shims = home.path("retrier.db.d/shims");
    wait_until("its end is recorded", LONG, || {
        let files = std::fs::read_dir(&shims).expect("it is there").flatten();
        let mut records = files.map(|file| std::fs::read(file.path()).unwrap_or_default());
        records.any(|record| String::from_utf8_lossy(&record).contains(r#""ended""#))
    });
    let cancel = home.retrier(["cancel", &id.to_string()]).spawn();
    wait_until("it is canceled", LONG, || home.state(id) == "canceled");
    daemon.resume();
    cancel.wait().ok();
    home.retrier(["retry", &id.to_string()]).output().ok();
    assert_eq!(home.wait(id), 0);
    assert_eq!(outcomes(&home.status(id)), ["exit 0", "exit 0"]);
    journal.assert_no_overlap();
}

/// Only the hook of the ending that is under way waits for the attempt: the others follow endings that are over.
#[test]
fn the_hook_of_an_earlier_ending_does_not_wait_for_the_attempt_that_is_being_ended() {
    let home = Home::new();
    let _daemon = home.daemon();
    let grown = Gate::new(&home, "grown");
    let line = format!(
        "[ $RETRIER_ATTEMPT = 2 ] || exit 1; trap '' TERM; : >'{}'; sleep 600; exit",
        home.path("grown").display()
    );
    let rest = [
        "--grace",
        "10m",
        "--on-complete",
        "exit 9",
        "--shell",
        &line,
    ];
    let id = failed(&home, &rest);
    let hook = || home.status(id)["hook_id"].as_i64().expect("a hook");
    let cancel = |id: i64| home.retrier(["cancel", &id.to_string()]).output().ok();
    let first = hook();
    // Its backoff would take seconds.
    cancel(first);
    closed(&home, first);
    retry(&home, id);
    wait_until("it ignores SIGTERM", LONG, || grown.is_open());
    cancel(id);
    assert_ne!(hook(), first);
    retry(&home, first);
    assert!(kinds(&home, first).contains(&"retried".to_owned()));
    assert_eq!(outcomes(&home.status(id)), ["exit 1", "open"]);
}
