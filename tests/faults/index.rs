//! The index of the log: made ready by the first who opens the database, whatever happens to him.

use std::fs;
use std::time::Duration;

use crate::support::{Home, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// Three stored runs, and an index that does not know the last one: what a power cut can leave, because nobody syncs it.
fn with_an_old_index() -> Home {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    // Killed, so that what is committed stays in the log.
    let store_and_die = || {
        let call = home.retrier(["run", "--no-daemon-start", "--", "true"]);
        call.crash("submit_committed:1:kill").output().exits(137);
    };
    store_and_die();
    let old = fs::read(home.path("retrier.db-shm")).expect("it is kept");
    store_and_die();
    fs::write(home.path("retrier.db-shm"), old).expect("it is ours");
    home
}

fn stored(home: &Home) -> usize {
    home.retrier(["list"]).output().ok().text().lines().count()
}

#[test]
fn an_index_that_is_older_than_the_log_is_not_believed() {
    let home = with_an_old_index();
    assert_eq!(stored(&home), 3);
    assert_eq!(home.run(["--no-daemon-start", "--", "true"]), 4);
}

#[test]
fn who_dies_before_he_has_emptied_the_index_leaves_that_to_the_next() {
    let home = with_an_old_index();
    let first = home.retrier(["list"]).crash("index_held:1:stop");
    let mut first = first.spawn();
    let stat = format!("/proc/{}/stat", first.pid());
    wait_until("it has the index alone", LONG, || {
        fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
    });
    let others: Vec<_> = (0..4)
        .map(|_| {
            home.retrier(["run", "--no-daemon-start", "--", "true"])
                .spawn()
        })
        .collect();
    first.kill9();
    let mut ids: Vec<String> = others
        .into_iter()
        .map(|other| other.wait().ok().text())
        .collect();
    ids.sort();
    assert_eq!(ids, ["4", "5", "6", "7"]);
    assert_eq!(stored(&home), 7);
}

#[test]
fn who_is_killed_with_the_index_in_hand_is_not_missed() {
    for point in ["index_held", "index_emptied"] {
        let home = with_an_old_index();
        let call = home.retrier(["run", "--no-daemon-start", "--", "true"]);
        call.crash(&format!("{point}:1:kill")).output().exits(137);
        assert_eq!(stored(&home), 3, "{point}");
        assert_eq!(home.run(["--no-daemon-start", "--", "true"]), 4, "{point}");
        home.retrier(["daemon", "--until-idle"]).output().ok();
        let list = home.retrier(["list", "--state", "succeeded"]).output().ok();
        assert_eq!(list.text().lines().count(), 4, "{point}");
    }
}

/// What this prevents: a database that was made while its disk failed, or that somebody has copied by SQL, is in
/// no mode that has a log, and nobody could store anything in it for ever.
#[test]
fn a_database_without_a_log_is_given_one() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let mode = |mode: &str| {
        let database = rusqlite::Connection::open(home.db()).expect("it is a database");
        let pragma = format!("PRAGMA journal_mode{mode}");
        let found: String = database
            .query_row(&pragma, [], |row| row.get(0))
            .expect("it has one");
        found
    };
    assert_eq!(mode(" = delete"), "delete");
    assert!(!home.path("retrier.db-wal").exists());
    assert_eq!(home.state(1), "queued");
    assert!(home.path("retrier.db-wal").exists());
    assert_eq!(mode(""), "wal");
    assert_eq!(home.run(["--no-daemon-start", "--", "true"]), 2);
    let found = home.doctor();
    assert!(
        found.len() == 1 && found[0].contains("no daemon serves"),
        "{found:?}"
    );
}
