//! Something else in the place of retrier's own files, and users who have no business there: nobody is
//! waited for, nothing is written through a link, and nothing is told.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::bad_database::prepared;
use crate::support::{Call, Home, Need, skip};

const LIMIT: Duration = Duration::from_secs(20);

/// Plants something at the first path; a link leads to the second.
type Plant = fn(&Path, &Path);

/// What may be planted.
const PLANTS: [(&str, Plant); 4] = [
    ("a link", |path, victim| {
        symlink(victim, path).expect("there is room")
    }),
    ("a link to nothing", |path, victim| {
        symlink(victim.with_extension("none"), path).expect("there is room");
    }),
    ("a pipe", |path, _| {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).expect("there is room")
    }),
    ("a socket", |path, _| {
        drop(UnixListener::bind(path).expect("there is room"))
    }),
];

/// A home with a run that has ended, the plant at `name`, and its victim.
fn planted(name: &str, plant: Plant) -> Home {
    let home = prepared();
    let (path, victim) = (
        home.path("place/retrier.db.d").join(name),
        home.path("victim"),
    );
    fs::write(&victim, "unharmed").expect("there is room");
    fs::remove_file(&path).ok();
    plant(&path, &victim);
    home
}

#[track_caller]
fn assert_unharmed(home: &Home, what: &str) {
    let victim = fs::read_to_string(home.path("victim")).expect("it is there");
    assert_eq!(victim, "unharmed", "{what}");
    assert!(!home.path("victim.none").exists(), "{what}");
}

#[test]
fn what_stands_in_the_place_of_the_lock_or_the_log_is_neither_used_nor_waited_for() {
    for name in ["lock", "daemon.log"] {
        // Whoever cannot start a daemon takes a second to say so.
        for (what, plant) in [PLANTS[0], PLANTS[2]] {
            let home = planted(name, plant);
            let what = format!("{what} at {name}");
            let run = home.retrier(["run", "--wait", "--", "true"]).limit(LIMIT);
            let said = run.output().exits(125).error_text();
            assert!(
                said.contains(name) && said.contains("not a regular file"),
                "{what}: {said}"
            );
            for (verb, code) in [("status", 0), ("stop", i32::from(name == "lock"))] {
                let call = match verb {
                    "status" => home.retrier(["status", "1"]),
                    _ => home.retrier(["daemon", "stop"]),
                };
                call.limit(LIMIT).output().exits(code);
            }
            assert_unharmed(&home, &what);
        }
    }
}

#[test]
fn what_stands_in_the_place_of_the_doorbell_is_taken_away() {
    for (what, plant) in PLANTS {
        let home = planted("doorbell", plant);
        let run = home.retrier(["run", "--wait", "--", "true"]).limit(LIMIT);
        run.output().ok();
        assert_unharmed(&home, what);
    }
}

/// A command can make of its own output what it likes.
#[test]
fn an_output_that_is_none_is_not_shown_and_not_waited_for() {
    for (what, plant) in PLANTS {
        let home = Home::new();
        fs::write(home.path("victim"), "unharmed").expect("there is room");
        assert_eq!(
            home.retrier(["run", "--wait", "--", "echo", "seen"])
                .output()
                .ok()
                .text(),
            "seen"
        );
        let output = home.path("retrier.db.d/logs/0/1.1.out");
        fs::remove_file(&output).expect("it is there");
        plant(&output, &home.path("victim"));
        let said = home.retrier(["logs", "1"]).limit(LIMIT).output().exits(1);
        assert!(said.stdout.is_empty(), "{what}: {said:?}");
        assert!(
            said.error_text().contains("not a regular file"),
            "{what}: {said:?}"
        );
        home.retrier(["logs", "-f", "1"]).limit(LIMIT).output().ok();
        home.retrier(["wait", "1"]).limit(LIMIT).output().exits(125);
    }
}

/// A call by another user, of a program that he may execute.
fn as_nobody(home: &Home, line: &str) -> Call {
    let program = home.path("retrier");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_retrier"), &program).expect("there is room");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&program, open.clone()).expect("it is ours");
        fs::set_permissions(home.path(""), open).expect("it is ours");
    }
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    home.sh(format!("{nobody} '{}' {line}", program.display()))
}

#[test]
fn another_user_can_neither_look_into_a_database_nor_change_it() {
    if skip(Need::Root) {
        return;
    }
    let home = prepared();
    let place = home.path("place");
    let before = fs::read(home.db()).expect("it is there");
    for mode in [0o700, 0o755] {
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).expect("it is ours");
        for verb in [
            "list",
            "status 1",
            "logs 1",
            "run -- true",
            "cancel --all",
            "pool pause --all",
            "daemon",
            "daemon stop",
        ] {
            let refused = as_nobody(&home, verb).limit(LIMIT).output();
            assert_eq!(refused.code, 1, "{verb}: {refused:?}");
            assert!(refused.stdout.is_empty(), "{verb}: {refused:?}");
        }
    }
    assert!(fs::read(home.db()).expect("it is there") == before);
    home.assert_no_process_left();
}

#[test]
fn a_user_looks_at_what_he_may_only_read() {
    if skip(Need::Root) {
        return;
    }
    let home = prepared();
    let place = home.path("place");
    let own = |path: &Path, mode: u32| {
        chown(path, Some(65534), Some(65534)).expect("root may");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root may");
    };
    own(&home.path("place/retrier.db.d"), 0o700);
    // With the log and its index beside it, as a read-only database needs them.
    as_nobody(&home, "--version").output().ok();
    for name in ["retrier.db", "retrier.db-wal", "retrier.db-shm"] {
        own(&place.join(name), 0o400);
    }
    own(&place, 0o500);
    let before = fs::read(home.db()).expect("it is there");
    for verb in ["run -- true", "cancel --all", "pool set mail", "daemon"] {
        let refused = as_nobody(&home, verb).limit(LIMIT).output();
        assert_eq!(refused.code, 1, "{verb}: {refused:?}");
        assert!(
            !refused.error_text().contains("panicked"),
            "{verb}: {refused:?}"
        );
    }
    let looked = as_nobody(&home, "list").limit(LIMIT).output();
    assert!([0, 1].contains(&looked.code), "{looked:?}");
    assert!(fs::read(home.db()).expect("it is there") == before);
}
