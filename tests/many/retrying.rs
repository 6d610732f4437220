//! `retry --all-failed` of a pool, as a dry run, and of runs whose pool is gone.

use nix::sys::signal::Signal;

use crate::crash::tools::{LONG, is_stopped};
use crate::support::{Home, recount, wait_until};

use super::store_copies;
use super::{counts, database, delete_pool, dry, numbers, quietly, rows, set_pool, states};

/// Lets all runs that wait have failed.
fn fail_all(home: &Home) {
    let sql = "UPDATE run SET state = 'failed', reason = 'exhausted', error = 'exit 1', \
               finished_at = created_at, due_at = NULL, delay_ms = NULL, stage = NULL \
               WHERE state = 'waiting'";
    let database = database(home);
    database.execute(sql, []).expect("runs can be changed");
    recount(&database);
}

#[test]
fn a_pool_limits_it_and_so_does_a_name() {
    let home = Home::new();
    set_pool(&home, "mail", false);
    let stored = |rest: &[&str]| {
        let options = ["--no-daemon-start", "--on-complete", "true"];
        home.run(options.iter().chain(rest).chain(&["--", "false"]))
    };
    let default = stored(&[]);
    let mail = stored(&["--pool", "mail"]);
    let nightly = stored(&["--pool", "mail", "--name", "nightly"]);
    let other = stored(&["--name", "nightly"]);
    fail_all(&home);
    for (filters, expected) in [
        (&[][..], &[default, mail, nightly, other][..]),
        (&["--pool", "default"], &[default, other]),
        (&["--pool", "mail"], &[mail, nightly]),
        (&["--pool", "mail", "--name", "nightly"], &[nightly]),
        (&["--name", "nightly"], &[nightly, other]),
        (&["--name", "weekly"], &[]),
    ] {
        let args = [&["retry", "--all-failed"], filters].concat();
        assert_eq!(dry(&home, &args), expected, "{filters:?}");
    }
    let args = ["retry", "--all-failed", "--pool", "mail", "--delay", "1h"];
    quietly(&home, &args);
    assert_eq!(dry(&home, &["retry", "--all-failed"]), [default, other]);
    assert_eq!(states(&home), counts(&[("failed", 2), ("scheduled", 2)]));
    home.retrier(["daemon", "stop"]).output().ok();
}

#[test]
fn a_run_whose_pool_is_gone_cannot_be_retried_until_it_is_made_anew() {
    let home = Home::new();
    set_pool(&home, "mail", false);
    let lost = home.run(["--no-daemon-start", "--pool", "mail", "--", "false"]);
    let other = home.run(["--no-daemon-start", "--", "false"]);
    fail_all(&home);
    delete_pool(&home, "mail");
    let before = home.status(lost);
    let expected = format!(
        "retrier: error: run {lost} belongs to the pool mail, which is gone\n\
         hint: `retrier pool set mail` makes it anew\n"
    );
    let one = home.retrier(["retry", &lost.to_string()]).output().exits(4);
    assert_eq!(one.error_text(), expected);
    let all = ["retry", "--all-failed", "--delay", "1h"];
    let would = home
        .retrier(all.iter().chain(&["--dry-run"]))
        .output()
        .exits(4);
    assert_eq!(
        (numbers(&would), would.error_text()),
        (vec![other], expected.clone())
    );
    let some = home.retrier(all).output().exits(4);
    assert_eq!((some.text(), some.error_text()), (String::new(), expected));
    assert_eq!(home.state(other), "scheduled");
    assert_eq!(home.status(lost), before);
    set_pool(&home, "mail", false);
    quietly(&home, &all);
    assert_eq!(home.state(lost), "scheduled");
    home.retrier(["daemon", "stop"]).output().ok();
}

/// Of two runs with one key the first one has it then, and the second is refused: a dry run says both.
#[test]
fn a_dry_run_foretells_what_the_keys_will_allow() {
    let home = Home::new();
    let keyed = ["--no-daemon-start", "--key", "k", "--", "false"];
    let first = home.run(keyed);
    fail_all(&home);
    let second = home.run(keyed);
    fail_all(&home);
    let before = rows(&home);
    let all = ["retry", "--all-failed", "--delay", "1h"];
    let would = home
        .retrier(all.iter().chain(&["--dry-run"]))
        .output()
        .exits(4);
    let expected = format!("run {second} has the key \"k\", which run {first} holds");
    assert_eq!(numbers(&would), [first]);
    assert!(
        would.error_text().contains(&expected),
        "{}",
        would.error_text()
    );
    assert!(before == rows(&home), "a dry run has changed something");
    let done = home.retrier(all).output().exits(4);
    assert_eq!(done.error_text(), would.error_text());
    assert_eq!(
        (home.state(first), home.state(second)),
        ("scheduled".into(), "failed".into())
    );
    home.retrier(["daemon", "stop"]).output().ok();
}

#[test]
fn ctrl_c_between_two_transactions_says_how_many_are_retried() {
    let home = Home::new();
    let _daemon = home.daemon();
    store_copies(&home, 1200, &["--delay", "1h", "--", "false"]);
    fail_all(&home);
    let call = home.retrier(["retry", "--all-failed", "--delay", "1h"]);
    let all = call.crash("retry_committed:1:stop").spawn();
    wait_until("the first thousand wait", LONG, || is_stopped(all.pid()));
    all.signal(Signal::SIGINT);
    all.signal(Signal::SIGCONT);
    let said = all.wait().exits(130).error_text();
    assert_eq!(said, "retrier: stopped: 1000 runs are retried\n");
    assert_eq!(
        states(&home),
        counts(&[("failed", 200), ("scheduled", 1000)])
    );
}
