//! A copy that somebody looks at is a copy afterwards, too: nothing is beside it, and the next one may take its place.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{backup, ids};
use crate::support::{Home, Need, skip};

/// A home with a run that has succeeded and one that waits, and a copy of it in a folder of its own.
fn copied() -> (Home, PathBuf) {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "echo", "seen"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    home.run([
        "--no-daemon-start",
        "--key",
        "k",
        "--delay",
        "1h",
        "--",
        "true",
    ]);
    fs::create_dir(home.path("place")).expect("there is room");
    // A name that is no part of an URI.
    let copy = home.path("place/a ?b#c%41.db");
    backup(&home, &copy).output().ok();
    (home, copy)
}

/// All that stands in the folder of the copy.
fn beside(copy: &Path) -> Vec<String> {
    let folder = copy.parent().expect("it has one");
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The verbs that merely look.
const LOOKS: &[&[&str]] = &[
    &["list"],
    &["status", "1"],
    &["status", "--key", "k"],
    &["events", "1"],
    &["explain", "2"],
    &["stats"],
    &["pool", "list"],
];

fn assert_each_looks(home: &Home, copy: &Path) {
    for look in LOOKS {
        let call = home.retrier(*look).env("RETRIER_DB", copy);
        let shown = call.output().ok().text();
        assert!(!shown.is_empty(), "{look:?}");
    }
    let states = home.retrier(["list", "--json"]).env("RETRIER_DB", copy);
    let states = states.output().ok().text();
    assert!(
        states.contains("\"succeeded\"") && states.contains("\"scheduled\""),
        "{states}"
    );
    let second = home.path("home/second.db");
    let call = backup(home, &second).env("RETRIER_DB", copy);
    call.arg("--force").output().ok();
    assert_eq!(ids(&second), [1, 2]);
    let deep = home.retrier(["doctor", "--deep"]).env("RETRIER_DB", copy);
    let found = deep.output();
    // Nobody serves it, and a run waits in it.
    let found = found.exits(1).text();
    assert!(found.contains("no daemon serves"), "{found}");
    let errors = found.lines().filter(|line| line.starts_with("error"));
    assert_eq!(errors.count(), 1, "{found}");
}

#[test]
fn a_look_at_a_copy_leaves_nothing_beside_it() {
    let (home, copy) = copied();
    let before = fs::read(&copy).expect("it is there");
    assert_each_looks(&home, &copy);
    assert_eq!(beside(&copy), ["a ?b#c%41.db"]);
    assert!(fs::read(&copy).expect("it is there") == before);
}

/// `sqlite3 -readonly` leaves an empty log and its index, and so does a look that is killed.
#[test]
fn a_copy_that_was_looked_at_is_replaced_unless_somebody_has_it_open() {
    let (home, copy) = copied();
    let looker = Connection::open(&copy).expect("it is a database");
    let count = "SELECT count(*) FROM run";
    let seen: i64 = looker
        .query_row(count, [], |row| row.get(0))
        .expect("it is whole");
    assert_eq!(seen, 2);
    assert_eq!(beside(&copy).len(), 3);
    let said = backup(&home, &copy).arg("--force").output().exits(1);
    let said = said.error_text();
    assert!(
        said.contains("a database lives there, because a ?b#c%41.db-wal is beside it\nhint: "),
        "{said}"
    );
    assert!(said.contains("once nothing is beside it"), "{said}");
    assert_eq!(beside(&copy).len(), 3);
    // What its death leaves.
    let left: Vec<PathBuf> = ["-wal", "-shm"]
        .iter()
        .map(|suffix| home.path(format!("place/a ?b#c%41.db{suffix}")))
        .collect();
    let content: Vec<Vec<u8>> = left
        .iter()
        .map(|path| fs::read(path).expect("it is there"))
        .collect();
    drop(looker);
    for (path, content) in left.iter().zip(&content) {
        fs::write(path, content).expect("there is room");
    }
    assert_eq!(beside(&copy).len(), 3);
    home.run(["--no-daemon-start", "--", "true"]);
    backup(&home, &copy).arg("--force").output().ok();
    assert_eq!(beside(&copy), ["a ?b#c%41.db"]);
    assert_eq!(ids(&copy), [1, 2, 3]);
}

/// A log that holds something, or a folder of a daemon's, belongs to a database that is used.
#[test]
fn a_copy_that_was_used_is_not_replaced() {
    let (home, copy) = copied();
    let call = home.retrier(["cancel", "2"]).env("RETRIER_DB", &copy);
    call.output().ok();
    let said = backup(&home, &copy).arg("--force").output().exits(1);
    assert!(said.error_text().contains("a database lives there"));
    assert_eq!(beside(&copy).len(), 4);
    let state = home.retrier(["list", "--state", "canceled"]);
    assert!(
        !state
            .env("RETRIER_DB", &copy)
            .output()
            .ok()
            .text()
            .is_empty()
    );
    assert_eq!(beside(&copy).len(), 4);
}

#[test]
fn a_copy_that_nobody_can_write_to_is_looked_at() {
    if skip(Need::LoopMount) {
        return;
    }
    let home = Home::new();
    let disk = home.mount("place", 8);
    home.run(["--no-daemon-start", "--", "echo", "seen"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    home.run([
        "--no-daemon-start",
        "--key",
        "k",
        "--delay",
        "1h",
        "--",
        "true",
    ]);
    let copy = disk.path("a ?b#c%41.db");
    backup(&home, &copy).output().ok();
    fs::set_permissions(&copy, Permissions::from_mode(0o400)).expect("it is ours");
    disk.remount(true);
    assert_each_looks(&home, &copy);
    let said = home.retrier(["cancel", "2"]).env("RETRIER_DB", &copy);
    let said = said.output().exits(1).error_text();
    assert!(said.contains("is read-only\nhint: "), "{said}");
    disk.remount(false);
}
