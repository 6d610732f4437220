//! A database that must not be used: every verb says what is wrong, and touches nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rusqlite::Connection;

use crate::support::{Call, Home, Need, proof, skip};

/// Every verb that needs the database, and the code with which it refuses.
const VERBS: [(&[&str], i32); 22] = [
    (&["run", "--", "true"], 1),
    (&["run", "--wait", "--", "true"], 125),
    (&["wait", "1"], 125),
    (&["status", "1"], 1),
    (&["explain", "1"], 1),
    (&["list"], 1),
    (&["logs", "1"], 1),
    (&["stats"], 1),
    (&["cancel", "1"], 1),
    (&["cancel", "--all"], 1),
    (&["cancel", "--key", "k"], 1),
    (&["retry", "--all-failed"], 1),
    (&["wait", "--all"], 1),
    (&["wait", "--key", "k"], 125),
    (&["cleanup", "1"], 1),
    (&["backup", "/nowhere/copy.db"], 1),
    (&["pool", "list"], 1),
    (&["pool", "set", "mail"], 1),
    (&["pool", "pause", "--all"], 1),
    (&["pool", "delete", "mail"], 1),
    (&["daemon"], 1),
    (&["daemon", "--detach"], 1),
];

/// What tells how it stands with a path, but for the times of access.
type Look = (u32, u32, u64, (i64, i64), Vec<u8>);

/// Everything in a folder.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Look> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let meta = path.symlink_metadata().expect("it is there");
        let bytes = if meta.is_file() {
            fs::read(&path).unwrap_or_default()
        } else {
            Vec::new()
        };
        let changed = (meta.mtime(), meta.mtime_nsec());
        all.insert(
            path.clone(),
            (meta.mode(), meta.uid(), meta.len(), changed, bytes),
        );
        if meta.is_dir() {
            all.extend(snapshot(&path));
        }
    }
    all
}

/// A database with a finished run and an unfinished one, whole in its one file.
pub fn prepared() -> Home {
    let home = Home::at("place/retrier.db");
    home.run(["--no-daemon-start", "--", "true"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    let database = Connection::open(home.db()).expect("it is there");
    let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
    let done = database.query_row(truncate, [], |row| row.get::<_, i64>(0));
    assert_eq!(done.expect("nobody is in the way"), 0);
    drop(database);
    // An empty log and an index that nobody has made: what that connection has left is made anew.
    for name in ["place/retrier.db-wal", "place/retrier.db-shm"] {
        fs::write(home.path(name), "").expect("there is room");
    }
    home
}

/// Asserts that every verb refuses, says `why` and where, and leaves the folder as it was.
#[track_caller]
pub fn assert_refused(home: &Home, why: &str, envs: &[(&str, &str)]) {
    assert_each_refused(home, why, envs, &VERBS);
}

#[track_caller]
fn assert_each_refused(home: &Home, why: &str, envs: &[(&str, &str)], verbs: &[(&[&str], i32)]) {
    let place = home.path("place");
    let before = snapshot(&place);
    for (verb, code) in verbs {
        let mut call = home.retrier(*verb).limit(Duration::from_secs(20));
        for (name, value) in envs {
            call = call.env(name, value);
        }
        let said = call.output().exits(*code);
        let error = said.error_text();
        assert!(error.contains(why), "{verb:?}: {error}");
        assert!(
            error.contains(place.to_str().expect("UTF-8")),
            "{verb:?}: {error}"
        );
        assert!(said.stdout.is_empty(), "{verb:?}: {said:?}");
        let mut after = snapshot(&place);
        let mut before = before.clone();
        // The index of the log: made and changed by whoever looks.
        for changes in [&mut before, &mut after] {
            changes.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
            changes.retain(|path, _| !path.to_string_lossy().ends_with("-wal"));
        }
        let changed: Vec<_> = after
            .iter()
            .filter(|(path, look)| before.get(*path) != Some(*look))
            .collect();
        assert!(
            after == before,
            "{verb:?} has changed something: {changed:?}"
        );
    }
    home.assert_no_process_left();
    proof::holds("T15", verbs.len(), &[]);
}

#[test]
fn the_test_of_what_is_refused_catches_a_program_that_takes_any_database() {
    let home = prepared();
    fs::remove_file(home.db()).expect("it is there");
    let other = Connection::open(home.db()).expect("it can be made");
    other
        .execute_batch("CREATE TABLE t (x)")
        .expect("it can be changed");
    drop(other);
    fs::set_permissions(home.db(), fs::Permissions::from_mode(0o600)).expect("it is ours");
    let (before, bug) = (snapshot(&home.path("place")), "takes_any_database");
    let taken = home.retrier(["run", "--no-daemon-start", "--", "true"]);
    let taken = taken.env("RETRIER_BUG", bug).output();
    let mut found = Vec::new();
    if snapshot(&home.path("place")) != before {
        found.push(format!("something has changed, exit {}", taken.code));
    }
    proof::catches("T15", bug, &found, |_| true);
}

/// The verbs that act on a daemon, where there is none and none may be believed.
const DAEMON_VERBS: [(&[&str], i32); 2] = [(&["daemon", "status"], 1), (&["daemon", "stop"], 1)];

#[test]
fn what_is_no_database_of_ours_is_refused() {
    let home = prepared();
    fs::write(home.db(), "no database ".repeat(1000)).expect("it can be written");
    // Nor is anything made beside it.
    fs::remove_dir_all(home.path("place/retrier.db.d")).expect("it is there");
    assert_refused(&home, "is not a database of retrier", &[]);

    let home = prepared();
    fs::remove_file(home.db()).expect("it is there");
    let other = Connection::open(home.db()).expect("it can be made");
    other
        .execute_batch("CREATE TABLE t (x)")
        .expect("it can be changed");
    drop(other);
    assert_refused(&home, "is not a database of retrier", &[]);

    let home = prepared();
    let newer = Connection::open(home.db()).expect("it is there");
    newer
        .execute_batch("PRAGMA user_version = 999; PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("it can be changed");
    drop(newer);
    assert_refused(&home, "was written by a newer retrier (layout 999", &[]);
}

#[test]
fn a_truncated_database_is_refused() {
    let home = prepared();
    let file = File::options()
        .write(true)
        .open(home.db())
        .expect("it is there");
    let half = file.metadata().expect("it is there").len() / 2;
    file.set_len(half).expect("it can be cut");
    assert_refused(&home, "is damaged", &[]);

    let home = prepared();
    home.run(["--no-daemon-start", "--", "true"]);
    fs::write(home.db(), "").expect("it can be written");
    assert_refused(&home, "is damaged: it is empty, and it has a log", &[]);
}

#[test]
fn what_is_no_file_is_refused_and_nobody_waits_for_it() {
    let replace = |with: fn(&Path)| {
        let home = prepared();
        fs::remove_file(home.db()).expect("it is there");
        with(home.db());
        home
    };
    let folder = replace(|path| fs::create_dir(path).expect("there is room"));
    fs::set_permissions(folder.db(), fs::Permissions::from_mode(0o700)).expect("it is ours");
    let pipe = replace(|path| mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).expect("there is room"));
    for home in [folder, pipe] {
        assert_refused(&home, "is no regular file", &[]);
        assert_each_refused(&home, "is no regular file", &[], &DAEMON_VERBS);
    }
}

#[test]
fn a_link_in_place_of_the_database_or_of_what_belongs_to_it_is_refused() {
    for name in [
        "retrier.db",
        "retrier.db-wal",
        "retrier.db-shm",
        "retrier.db-journal",
        "retrier.db.d",
    ] {
        let home = prepared();
        let journal = home.path("place/retrier.db-journal");
        fs::write(journal, "").expect("there is room");
        let (path, elsewhere) = (home.path("place").join(name), home.path("elsewhere"));
        fs::rename(&path, &elsewhere).expect("it is there");
        symlink(&elsewhere, &path).expect("there is room");
        assert_refused(&home, "is a symbolic link", &[]);
        assert_each_refused(&home, "is a symbolic link", &[], &DAEMON_VERBS);
    }
}

#[test]
fn a_database_with_two_names_is_refused_by_both() {
    let home = prepared();
    fs::hard_link(home.db(), home.path("place/other.db")).expect("there is room");
    assert_refused(&home, "has more than one name", &[]);
    let other = home.path("place/other.db").display().to_string();
    let refused = home.retrier(["--db", &other, "list"]).output().exits(1);
    assert!(
        refused.error_text().contains("has more than one name"),
        "{refused:?}"
    );
}

/// A new database would begin with what the log holds of the old one.
#[test]
fn a_log_without_its_database_is_refused() {
    let home = prepared();
    home.run(["--no-daemon-start", "--", "true"]);
    fs::remove_file(home.db()).expect("it is there");
    assert_refused(
        &home,
        "is damaged: it is gone, and its log (-wal) is there",
        &[],
    );
}

#[test]
fn what_others_can_change_is_refused() {
    let modes = [
        ("retrier.db", 0o660),
        ("retrier.db", 0o602),
        ("retrier.db.d", 0o770),
    ];
    for (name, mode) in modes {
        let home = prepared();
        let path = home.path("place").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        assert_refused(&home, "can be written to by other users", &[]);
    }
    for mode in [0o770, 0o777, 0o702] {
        let home = prepared();
        let place = home.path("place");
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).expect("it is ours");
        assert_refused(&home, "who could replace the database", &[]);
        assert_each_refused(&home, "who could replace the database", &[], &DAEMON_VERBS);
        // In a sticky folder, as /tmp is, nobody can replace what is another's.
        fs::set_permissions(&place, fs::Permissions::from_mode(0o1777)).expect("it is ours");
        home.retrier(["list"]).output().ok();
    }
}

#[test]
fn another_users_database_is_refused_even_by_root() {
    if skip(Need::Root) {
        return;
    }
    for name in [
        "retrier.db",
        "retrier.db-wal",
        "retrier.db-journal",
        "retrier.db.d",
    ] {
        let home = prepared();
        let journal = home.path("place/retrier.db-journal");
        fs::write(journal, "").expect("there is room");
        chown(home.path("place").join(name), Some(4242), None).expect("root may");
        assert_refused(&home, "belongs to user 4242, and this is user 0", &[]);
        assert_each_refused(&home, "belongs to user 4242", &[], &DAEMON_VERBS);
    }
}

#[test]
fn a_folder_of_another_user_is_refused() {
    if skip(Need::Root) {
        return;
    }
    let home = prepared();
    chown(home.path("place"), Some(4242), None).expect("root may");
    let why = "belongs to user 4242, who could replace the database";
    assert_refused(&home, why, &[]);
    assert_each_refused(&home, why, &[], &DAEMON_VERBS);
}

/// A call where the database is meant that nobody has named: that of `home`.
fn by_default(home: &Home, line: &str) -> Call {
    let call = home.sh(format!("unset RETRIER_DB; {line}"));
    call.env("XDG_STATE_HOME", home.path("place"))
}

/// What is made for a database is private, whatever is above it: with a umask of 002 that is open to a group.
#[test]
fn a_folder_that_is_still_to_be_made_is_private() {
    let home = Home::at("place/retrier/retrier.db");
    let place = home.path("place");
    fs::remove_dir(place.join("retrier")).expect("it is empty");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o775)).expect("it is ours");
    let run = by_default(&home, "retrier run --no-daemon-start -- true");
    run.output().ok();
    let made = fs::metadata(place.join("retrier")).expect("it was made");
    assert_eq!(made.permissions().mode() & 0o777, 0o700);
    home.retrier(["list"]).output().ok();
}

#[test]
fn a_network_filesystem_is_refused_where_a_database_is_and_where_none_is() {
    for (number, name) in [("6969", "NFS"), ("fe534d42", "SMB"), ("1021997", "9P")] {
        let home = prepared();
        let envs = [("RETRIER_FAKE_FILESYSTEM", number)];
        let why = format!("is on a network filesystem ({name})");
        assert_refused(&home, &why, &envs);
        assert_each_refused(&home, &why, &envs, &DAEMON_VERBS);
    }
    let home = Home::at("place/retrier/retrier.db");
    fs::remove_dir(home.path("place/retrier")).expect("it is empty");
    let refused = by_default(&home, "retrier run -- true")
        .env("RETRIER_FAKE_FILESYSTEM", "6969")
        .output()
        .exits(1);
    assert!(refused.error_text().contains("(NFS)"), "{refused:?}");
    assert!(snapshot(&home.path("place")).is_empty());
}

/// On a filesystem that a program serves nobody can say what locks do; that is said, and no more.
#[test]
fn a_daemon_on_a_fuse_filesystem_warns() {
    let home = Home::new();
    let daemon = home.daemon_with(&[], &[("RETRIER_FAKE_FILESYSTEM", "65735546")]);
    assert!(daemon.errors().contains("FUSE"), "{}", daemon.errors());
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
}

#[test]
fn a_read_only_database_can_be_looked_at_and_nothing_else() {
    if skip(Need::LoopMount) {
        return;
    }
    let home = Home::at("place/retrier.db");
    let disk = home.mount("place", 8);
    home.run(["--no-daemon-start", "--", "echo", "seen"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    disk.remount(true);
    let readers = [
        "status", "explain", "logs", "wait", "list", "stats", "backup", "daemon",
    ];
    let writers = VERBS.iter().filter(|(verb, _)| !readers.contains(&verb[0]));
    let mut writers: Vec<_> = writers.copied().collect();
    // Where nothing has failed there is nothing to write.
    let looks = ["list", "delete"];
    writers
        .retain(|(verb, _)| !["cancel", "retry"].contains(&verb[0]) && !looks.contains(&verb[1]));
    writers.extend([
        (&["cancel", "2"][..], 1),
        (&["cancel", "--all"], 1),
        (&["daemon"], 1),
        (&["daemon", "--detach"], 1),
    ]);
    assert_each_refused(&home, "retrier.db is read-only", &[], &writers);
    assert_eq!(home.retrier(["logs", "1"]).output().ok().text(), "seen");
    assert_eq!(home.retrier(["wait", "1"]).output().ok().text(), "seen");
    assert_eq!(home.state(1), "succeeded");
    assert_eq!(home.state(2), "scheduled");
    let list = home.retrier(["list", "--json"]).output().ok().text();
    assert_eq!(list.lines().count(), 2);
    let copy = home.path("home/copy.db");
    home.retrier(["backup"]).arg(&copy).output().ok();
    assert!(copy.exists());
    disk.remount(false);
    home.retrier(["cancel", "2"]).output().ok();
}
