//! Thousands of runs are canceled in transactions of at most 1000: what is committed counts, whoever is killed or
//! comes in between.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::crash::tools::{LONG, is_stopped, wait_until_no_command};
use crate::support::{Home, Need, recount, skip, wait_until};

use super::{counts, database, quietly, set_pool, states, store_copies};

const LATER: [&str; 4] = ["--delay", "1h", "--", "true"];

#[test]
fn a_kill_between_two_transactions_leaves_whole_ones_and_a_second_call_does_the_rest() {
    let home = Home::new();
    store_copies(&home, 2500, &LATER);
    let kill = |point: &str| {
        let call = home.retrier(["cancel", "--all"]).crash(point);
        call.output().exits(137);
        states(&home)
    };
    assert_eq!(
        kill("cancel_before_commit:1:kill"),
        counts(&[("scheduled", 2500)])
    );
    let one = counts(&[("canceled", 1000), ("scheduled", 1500)]);
    assert_eq!(kill("cancel_before_commit:2:kill"), one);
    let two = counts(&[("canceled", 2000), ("scheduled", 500)]);
    assert_eq!(kill("cancel_committed:1:kill"), two);
    assert_eq!(kill("store_sync:1:kill"), counts(&[("canceled", 2500)]));
    quietly(&home, &["cancel", "--all"]);
}

/// Stops a call of `cancel --all` after its first transaction, lets `act` happen, and lets it go on.
fn in_between(home: &Home, act: impl FnOnce(i32)) -> crate::support::Output {
    stopped_at("cancel_committed", home, act)
}

/// As [`in_between`], stopped when it first comes to this place.
fn stopped_at(point: &str, home: &Home, act: impl FnOnce(i32)) -> crate::support::Output {
    let call = home.retrier(["cancel", "--all"]);
    let all = call.crash(&format!("{point}:1:stop")).spawn();
    wait_until("it has stopped", LONG, || is_stopped(all.pid()));
    act(all.pid());
    all.signal(Signal::SIGCONT);
    all.wait()
}

#[test]
fn ctrl_c_between_two_transactions_says_how_many_are_canceled() {
    let home = Home::new();
    store_copies(&home, 1500, &LATER);
    let stopped = in_between(&home, |pid| {
        crate::crash::tools::signal(pid, Signal::SIGINT)
    });
    let stopped = stopped.exits(130);
    assert_eq!(
        stopped.error_text(),
        "retrier: stopped: 1000 runs canceled\n"
    );
    let expected = counts(&[("canceled", 1000), ("scheduled", 500)]);
    assert_eq!(states(&home), expected);
}

/// Who keeps on storing runs must not keep it from coming to an end.
#[test]
fn what_is_stored_meanwhile_goes_on_and_what_ends_meanwhile_is_no_error() {
    let home = Home::new();
    store_copies(&home, 1500, &LATER);
    let done = in_between(&home, |_| {
        store_copies(&home, 10, &LATER);
        home.retrier(["cancel", "1001", "1500"]).output().ok();
    });
    assert_eq!((done.code, done.error_text()), (0, String::new()));
    let expected = counts(&[("canceled", 1500), ("scheduled", 10)]);
    assert_eq!(states(&home), expected);
}

/// A thousand are looked up before they are canceled: none of these may be passed over because there are more by then.
#[test]
fn what_is_retried_meanwhile_takes_the_turn_of_no_other() {
    let home = Home::new();
    store_copies(&home, 1500, &LATER);
    let failed = "UPDATE run SET state = 'failed', reason = 'exhausted', finished_at = 1, stage = NULL, \
                  due_at = NULL, delay_ms = NULL WHERE id > 600 AND id <= 1100";
    let database = database(&home);
    database.execute(failed, []).expect("runs can be failed");
    recount(&database);
    let done = stopped_at("cancel_looked", &home, |_| {
        let retry = ["retry", "--all-failed", "--delay", "1h"];
        home.retrier(retry).output().ok();
    });
    assert_eq!((done.code, done.error_text()), (0, String::new()));
    let expected = counts(&[("canceled", 1000), ("scheduled", 500)]);
    assert_eq!(states(&home), expected);
}

/// The commit of the second transaction fails, and that of the first one counts.
#[test]
fn a_transaction_that_fails_is_told_with_how_many_are_canceled() {
    let home = Home::new();
    store_copies(&home, 1500, &LATER);
    let call = home.retrier(["cancel", "--all"]);
    let failed = call.crash("cancel_before_commit:2:err=EIO").output();
    let said = failed.exits(1).error_text();
    assert!(
        said.starts_with("retrier: 1000 runs canceled\nretrier: error: "),
        "{said}"
    );
    let expected = counts(&[("canceled", 1000), ("scheduled", 500)]);
    assert_eq!(states(&home), expected);
}

/// A daemon starts and ends them all the while: each run is canceled or had succeeded, no attempt starts after its
/// run was canceled, and the number that is told is true.
#[test]
fn three_thousand_are_canceled_while_a_daemon_starts_them() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    set_pool(&home, "busy", true);
    let line = format!("echo $RETRIER_RUN_ID >>'{}'", home.path("ran").display());
    store_copies(&home, 3000, &["--pool", "busy", "--shell", &line]);
    let daemon = home.daemon();
    set_pool(&home, "busy", false);
    home.run(["--", "true"]);
    let ran = || fs::read_to_string(home.path("ran")).unwrap_or_default();
    wait_until("some have run", LONG, || ran().lines().count() >= 20);
    let call = home.sh("script -qec 'retrier cancel --all' /dev/null");
    let said = call.limit(Duration::from_secs(120)).output().ok().text();
    wait_until_no_command(&home);
    daemon.await_rest();
    let states = states(&home);
    let canceled = states["canceled"];
    assert!(canceled > 0 && states["succeeded"] > 0, "{states:?}");
    assert_eq!(canceled + states["succeeded"], 3001, "{states:?}");
    assert_eq!(said, format!("retrier: {canceled} runs canceled"));
    let late = "SELECT count(*) FROM event AS start JOIN event AS cancel USING (run_id) \
                WHERE start.kind = 'started' AND cancel.kind = 'canceled' \
                AND start.number > cancel.number";
    let open = "SELECT count(*) FROM attempt WHERE ended_at IS NULL";
    for sql in [late, open] {
        let found: i64 = database(&home)
            .query_row(sql, [], |row| row.get(0))
            .expect("it can be asked");
        assert_eq!(found, 0, "{sql}");
    }
    let after = ran();
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    assert_eq!(ran(), after);
}
