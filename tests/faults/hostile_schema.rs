//! A database that somebody else has filled: what it would do by itself is not done.

use std::fs;

use rusqlite::Connection;

use super::bad_database::{assert_refused, prepared};
use crate::support::Home;

/// The prepared database, with `sql` done to it.
#[track_caller]
fn changed(sql: &str) -> Home {
    let home = prepared();
    let database = Connection::open(home.db()).expect("it is there");
    database.execute_batch(sql).expect("it can be changed");
    let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
    let done = database.query_row(truncate, [], |row| row.get::<_, i64>(0));
    assert_eq!(done.expect("nobody is in the way"), 0);
    drop(database);
    for name in ["place/retrier.db-wal", "place/retrier.db-shm"] {
        fs::write(home.path(name), "").expect("there is room");
    }
    home
}

#[test]
fn a_database_with_triggers_or_views_of_its_own_is_refused() {
    for sql in [
        "CREATE TRIGGER more AFTER INSERT ON run BEGIN UPDATE run SET command = x'00'; END",
        "CREATE TRIGGER more AFTER UPDATE ON run BEGIN SELECT load_extension('/nowhere.so'); END",
        "CREATE VIEW more AS SELECT load_extension('/nowhere.so')",
        // Under the name of one that belongs there.
        "DROP TRIGGER pool_set;
         CREATE TRIGGER pool_set AFTER UPDATE ON pool BEGIN DELETE FROM run; END",
        // In the place of a table.
        "DROP TABLE open_lock; CREATE VIEW open_lock AS SELECT load_extension('/nowhere.so') AS lock",
    ] {
        let why = "it has a trigger or a view that is not retrier's";
        assert_refused(&changed(sql), why, &[]);
    }
}

/// They lie there.
#[test]
fn tables_and_indexes_of_somebody_else_are_left_alone() {
    let home = changed(
        "CREATE TABLE notes (text TEXT DEFAULT (load_extension('/nowhere.so')));
         CREATE INDEX mine ON run (created_at); ANALYZE",
    );
    let _daemon = home.daemon();
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    assert_eq!(
        home.retrier(["list"]).output().ok().text().lines().count(),
        3
    );
}

/// Neither is it carried out nor can anything be read: SQLite does not take such a layout.
#[test]
fn a_check_that_calls_an_unsafe_function_makes_a_database_unusable() {
    let home = changed(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'CREATE TABLE run (',
             'CREATE TABLE run (evil TEXT CHECK (load_extension(''/nowhere.so'') IS NULL), ')
             WHERE name = 'run';",
    );
    let why = "is damaged: malformed database schema (run) - unsafe use of load_extension()";
    assert_refused(&home, why, &[]);
}
