//! A database of an earlier layout: it is brought up to date by whoever opens it first, and its
//! runs go on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use rusqlite::{Connection, params};

use crate::support::Home;

/// The first step of the layout, which made the databases of the first version.
const FIRST: &str = include_str!("../src/store/schema/1_runs.sql");

/// A policy as the first version stored it.
const POLICY: &str = r#"{"max_failures":4,"constant_ms":0,"linear_ms":0,"initial_backoff_ms":20,
    "base":2.0,"max_backoff_ms":86400000,"jitter":0.5,"timeout_ms":null,"grace_ms":10000}"#;

/// Makes a database of the first version in `home`, with one run that is due and one that failed.
fn make_first(home: &Home) {
    let db = Connection::open(home.db()).expect("a database can be made");
    fs::set_permissions(home.db(), fs::Permissions::from_mode(0o600)).expect("it is ours");
    db.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA application_id = {}; BEGIN; {} \
         INSERT INTO identity (only, name) VALUES (1, 'abcdef'); \
         INSERT INTO content (id, digest, bytes, refs) VALUES (1, 'e', x'', 2); \
         PRAGMA user_version = 1; COMMIT;",
        0x7265_7472, FIRST
    ))
    .expect("the first layout can be made");
    let command = b"/bin/sh\0-c\0test \"$RETRIER_ATTEMPT\" = 2 && echo old\0".to_vec();
    for (state, reason, due) in [
        ("waiting", None, Some(1_000)),
        ("failed", Some("exhausted"), None),
    ] {
        let finished = reason.map(|_| 2_000);
        db.execute(
            "INSERT INTO run (state, reason, due_at, delay_ms, created_at, finished_at, seed, \
             policy, command, cwd, umask, environment_id, error) \
             VALUES (?1, ?2, ?3, 0, 1000, ?4, 7, ?5, ?6, x'2f', 18, 1, 'exit 1')",
            params![state, reason, due, finished, POLICY, command],
        )
        .expect("a run can be stored");
        let id = db.last_insert_rowid();
        db.execute(
            "INSERT INTO event (run_id, number, at, kind) VALUES (?1, 1, 1000, 'enqueued')",
            [id],
        )
        .expect("its history can be stored");
    }
}

#[test]
fn runs_of_the_first_layout_go_on() {
    let home = Home::new();
    make_first(&home);
    let waited = home.retrier(["wait", "1"]).output().ok();
    assert_eq!(waited.text(), "old");
    let status = home.status(2);
    assert_eq!(status["state"], "failed");
    assert_eq!(status["pool"], "default");
    let listed = home.retrier(["list"]).output().ok().text();
    assert_eq!(listed.lines().count(), 2, "{listed}");
}

#[test]
fn many_bring_the_first_layout_up_to_date_at_once() {
    let home = Home::new();
    make_first(&home);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let call = home.retrier(["run", "--no-daemon-start", "--", "true"]);
                call.output().ok();
            });
        }
    });
    let db = Connection::open(home.db()).expect("it is a database");
    let (version, runs): (i64, i64) = db
        .query_row(
            "SELECT (SELECT user_version FROM pragma_user_version), count(*) FROM run",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("it can be read");
    assert_eq!((version, runs), (5, 10));
    // The checks were put in other words on the way, and still hold.
    for wrong in [
        "state = 'lost'",
        "reason = 'none'",
        "stage = 'nowhere'",
        "finished_at = 1",
        "state = 'succeeded'",
    ] {
        let refused = db.execute(&format!("UPDATE run SET {wrong} WHERE id = 3"), []);
        assert!(refused.is_err(), "{wrong}");
    }
    let table = "SELECT sql FROM sqlite_schema WHERE name = 'run'";
    let table: String = db
        .query_row(table, [], |row| row.get(0))
        .expect("there is a table of runs");
    assert!(!table.contains("IN ('waiting'"), "{table}");
}
