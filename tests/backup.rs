//! `retrier backup`: a whole copy at any moment, nobody waits for it, and nothing is left of one that is not finished.

mod looked_at;
mod refused;
mod restored;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::crash::tools::LONG;
use crate::migration::kept::damage;
use crate::support::{Call, Home, Need, Running, assert_gauges, skip, wait_until};

/// A call of `backup` that copies the database of `home` to `file`.
fn backup(home: &Home, file: impl AsRef<Path>) -> Call {
    home.retrier(["backup"]).arg(file.as_ref())
}

/// What this statement gives of a database.
fn numbers(file: &Path, sql: &str) -> Vec<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(file, flags).expect("it is a database");
    let sound: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("it can be read");
    assert_eq!(sound, "ok");
    let mut select = database.prepare(sql).expect("it fits the layout");
    let rows = select
        .query_map([], |row| row.get(0))
        .expect("it can be read");
    rows.map(|row| row.expect("a number")).collect()
}

/// The ids of the runs in a copy.
fn ids(file: &Path) -> Vec<i64> {
    numbers(file, "SELECT id FROM run ORDER BY id")
}

/// The names in a folder, but for what SQLite makes for whoever looks.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| !name.ends_with("-shm") && !name.ends_with("-wal"))
        .collect();
    names.sort();
    names
}

/// A backup that stands still at this failpoint.
fn stopped(home: &Home, file: &Path, point: &str) -> Running {
    let call = backup(home, file).crash(&format!("{point}:1:stop")).spawn();
    let stat = format!("/proc/{}/stat", call.pid());
    wait_until("it stands still", LONG, || {
        fs::read_to_string(&stat).is_ok_and(|stat| {
            let state = stat.rsplit(')').next();
            state.is_some_and(|state| state.starts_with(" T"))
        })
    });
    call
}

/// Has the writers end, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn each_copy_holds_one_moment_while_clients_and_a_daemon_write() {
    let home = Home::new();
    home.slots(4);
    let mut daemon = home.daemon();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&done);
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    home.run(["--", "true"]);
                }
            });
        }
        for _ in 0..6 {
            let told = home.run(["--lock", "l", "--", "true"]);
            let copy = Home::new();
            backup(&home, copy.db()).output().ok();
            let ids = ids(copy.db());
            assert!(ids.contains(&told), "{told} was told before");
            let last = ids.last().copied().unwrap_or_default();
            assert_eq!(ids, (1..=last).collect::<Vec<_>>());
            assert_gauges(&copy);
        }
    });
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn nobody_waits_for_a_copy_that_stands_still_and_it_holds_the_moment_of_its_begin() {
    let home = Home::new();
    let _daemon = home.daemon();
    let before = home.run(["--", "true"]);
    home.wait(before);
    let file = home.path("copy.db");
    let call = stopped(&home, &file, "copy_step");
    let during = home.run(["--", "echo", "meanwhile"]);
    let waited = home.retrier(["wait", &during.to_string()]).output().ok();
    assert_eq!(waited.text(), "meanwhile");
    assert!(!file.exists());
    call.signal(nix::sys::signal::Signal::SIGCONT);
    call.wait().ok();
    assert_eq!(ids(&file), [before]);
    let states = "SELECT count(*) FROM run WHERE state = 'succeeded'";
    assert_eq!(numbers(&file, states), [1]);
}

#[test]
fn a_copy_is_private_from_its_first_byte_and_tells_nothing_on_stdout() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let line = format!("umask 000; retrier backup '{}'", home.path("a").display());
    let said = home.sh(line).output().ok();
    assert_eq!(
        (said.text(), said.error_text()),
        (String::new(), String::new())
    );
    let call = stopped(&home, &home.path("b"), "copy_begun");
    for name in ["a", ".b.retrier-copy"] {
        let found = fs::metadata(home.path(name)).expect("it is there");
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{name}");
    }
    drop(call);
    let printed = backup(&home, home.path("c"))
        .arg("--json")
        .output()
        .ok()
        .json();
    assert_eq!(
        printed["file"],
        json!(home.path("c").to_str().expect("UTF-8"))
    );
    assert_eq!(
        (&printed["runs"], &printed["layout"]),
        (&json!(1), &json!(5))
    );
    let length = fs::metadata(home.path("c")).expect("it is there").len();
    assert_eq!(printed["bytes"], json!(length));
}

#[test]
fn a_copy_killed_on_the_way_leaves_no_file_and_the_next_one_clears_up() {
    for (point, is_there) in [
        ("copy_begun", false),
        ("copy_step", false),
        ("copy_filled", false),
        ("copy_named", true),
    ] {
        let home = Home::new();
        home.run(["--no-daemon-start", "--", "true"]);
        let place = home.path("place");
        fs::create_dir(&place).expect("there is room");
        let file = place.join("copy.db");
        let killed = backup(&home, &file).crash(&format!("{point}:1:kill"));
        killed.output().exits(137);
        assert_eq!(file.exists(), is_there, "{point}");
        if is_there {
            assert_eq!(ids(&file), [1], "{point}");
            for of_sqlite in ["copy.db-wal", "copy.db-shm"] {
                fs::remove_file(place.join(of_sqlite)).ok();
            }
        }
        home.run(["--no-daemon-start", "--", "true"]);
        backup(&home, &file).arg("--force").output().ok();
        assert_eq!(names(&place), ["copy.db"], "{point}");
        assert_eq!(ids(&file), [1, 2], "{point}");
    }
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    for point in ["copy_begun", "copy_step", "copy_filled"] {
        for (errno, why) in [("ENOSPC", "the disk of "), ("EIO", "Input/output error")] {
            let home = Home::new();
            home.run(["--no-daemon-start", "--", "true"]);
            let place = home.path("place");
            fs::create_dir(&place).expect("there is room");
            let failing = backup(&home, place.join("copy.db"));
            let failing = failing.crash(&format!("{point}:1:err={errno}"));
            let said = failing.output().exits(1).error_text();
            assert!(said.contains(why) && said.contains("copy.db"), "{said}");
            assert!(names(&place).is_empty(), "{point}: {:?}", names(&place));
        }
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_is_left_on_it() {
    if skip(Need::LoopMount) {
        return;
    }
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let disk = home.mount("disk", 2);
    fs::write(disk.path("kept.db"), "an older one").expect("there is room");
    disk.fill();
    let before = names(&home.path("disk"));
    for file in ["copy.db", "kept.db"] {
        let said = backup(&home, disk.path(file))
            .arg("--force")
            .output()
            .exits(1);
        let said = said.error_text();
        assert!(
            said.contains(&format!("disk/{file} is full\nhint:")),
            "{said}"
        );
        assert_eq!(names(&home.path("disk")), before);
    }
    let kept = fs::read_to_string(disk.path("kept.db")).expect("it is there");
    assert_eq!(kept, "an older one");
    disk.free();
    backup(&home, disk.path("copy.db")).output().ok();
    assert_eq!(ids(&disk.path("copy.db")), [1]);
}

/// Or the last whole copy would go, when it is needed.
#[test]
fn a_damaged_database_is_not_copied_and_an_older_copy_stays() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let file = home.path("copy.db");
    backup(&home, &file).output().ok();
    damage(&home);
    let said = backup(&home, &file).arg("--force").output().exits(1);
    let said = said.error_text();
    assert!(said.contains("retrier.db is damaged"), "{said}");
    assert_eq!(ids(&file), [1]);
    assert!(!home.path(".copy.db.retrier-copy").exists());
}

#[test]
fn of_two_copies_to_one_file_the_second_is_refused() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let file = home.path("copy.db");
    let first = stopped(&home, &file, "copy_step");
    let said = backup(&home, &file).output().exits(1).error_text();
    assert!(said.contains("another copy is being made there"), "{said}");
    first.signal(nix::sys::signal::Signal::SIGCONT);
    first.wait().ok();
    assert_eq!(ids(&file), [1]);
}

/// A file that is given its name while the copy is made stays.
#[test]
fn a_file_that_comes_while_a_copy_is_made_stays() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let file = home.path("copy.db");
    let call = stopped(&home, &file, "copy_filled");
    fs::write(&file, "somebody else's").expect("there is room");
    call.signal(nix::sys::signal::Signal::SIGCONT);
    let said = call.wait().exits(1).error_text();
    assert!(said.contains("copy.db is there already"), "{said}");
    let kept = fs::read_to_string(&file).expect("it is there");
    assert_eq!(kept, "somebody else's");
    assert!(!home.path(".copy.db.retrier-copy").exists());
}

#[test]
fn a_copy_that_takes_so_long_that_the_log_grows_is_given_up() {
    let home = Home::new();
    let large = vec![b'.'; 2 << 20];
    let run = |input: Vec<u8>| {
        let call = home.retrier(["run", "--no-daemon-start", "--stdin", "-", "--", "true"]);
        call.stdin(input).output().ok();
    };
    run(large.clone());
    let file = home.path("copy.db");
    let call = backup(&home, &file)
        .env("RETRIER_BUG", "log_must_not_grow")
        .crash("copy_step:1:stop")
        .spawn();
    let stat = format!("/proc/{}/stat", call.pid());
    wait_until("it stands still", LONG, || {
        fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
    });
    run([large.clone(), large].concat());
    call.signal(nix::sys::signal::Signal::SIGCONT);
    let said = call.wait().exits(1).error_text();
    assert!(said.contains("the log of the database has grown"), "{said}");
    assert!(!file.exists() && !home.path(".copy.db.retrier-copy").exists());
}
