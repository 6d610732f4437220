//! Databases of earlier layouts: whoever opens one first keeps a copy and brings it up to date, nothing of it is lost,
//! and its runs go on.

pub mod kept;
mod killed;
mod side_by_side;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::crash::tools::{LONG, wait_until_state};
use crate::support::{Home, assert_generated, gauge_faults, wait_until};

/// Every layout that there was, and the newest, as programs of their time have left them; what the runs that had not
/// ended print once they go on, and the one that stays where it is.
const LAYOUTS: [(&str, &[(i64, &str)]); 5] = [
    (
        include_str!("fixtures/layout-1.sql"),
        &[(7, "again"), (10, "some input")],
    ),
    (
        include_str!("fixtures/layout-2.sql"),
        &[(12, "again"), (15, "some input"), (16, "keyed")],
    ),
    (include_str!("fixtures/layout-3.sql"), IN_POOLS),
    (include_str!("fixtures/layout-4.sql"), IN_POOLS),
    (include_str!("fixtures/layout-5.sql"), IN_POOLS),
];

const IN_POOLS: &[(i64, &str)] = &[
    (12, "first in the shop"),
    (13, "second in the shop"),
    (16, "again"),
    (19, "some input"),
    (20, "keyed"),
    (21, "mailed"),
];

/// The newest layout.
const NEWEST: i64 = LAYOUTS.len() as i64;

/// All that is stored, table by table, but for the numbers that are to be given next.
type Content = BTreeMap<String, Vec<String>>;

/// Puts a database of `layout` into `home`, as it was left.
fn lay(home: &Home, layout: i64) {
    let mut new = OpenOptions::new();
    new.write(true)
        .create_new(true)
        .mode(0o600)
        .open(home.db())
        .expect("there is none yet");
    let database = Connection::open(home.db()).expect("an empty file is a database");
    let (dump, _) = LAYOUTS[layout as usize - 1];
    database
        .execute_batch(dump)
        .expect("the dump can be loaded");
    let mode = "PRAGMA journal_mode = WAL";
    let mode: String = database
        .query_row(mode, [], |row| row.get(0))
        .expect("its mode can be set");
    assert_eq!(mode, "wal");
}

fn open(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).expect("it is a database")
}

/// One number of a database.
fn number(database: &Connection, sql: &str) -> i64 {
    let found = database.query_row(sql, [], |row| row.get(0));
    found.expect("it can be read")
}

fn layout(path: &Path) -> i64 {
    number(&open(path), "PRAGMA user_version")
}

/// What a database holds, whole.
fn content(path: &Path) -> Content {
    let database = open(path);
    let texts = |sql: &str| -> Vec<String> {
        let mut select = database.prepare(sql).expect("it can be read");
        let rows = select
            .query_map([], |row| row.get(0))
            .expect("it can be read");
        rows.map(|row| row.expect("a text")).collect()
    };
    assert_eq!(texts("PRAGMA integrity_check"), ["ok"]);
    let strays = number(&database, "SELECT count(*) FROM pragma_foreign_key_check");
    assert_eq!(strays, 0);
    let tables =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence'";
    let rows = texts(tables).into_iter().map(|table| {
        let columns = format!("SELECT 'quote(' || name || ')' FROM pragma_table_xinfo('{table}')");
        let columns = texts(&columns).join(" || ',' || ");
        let rows = texts(&format!("SELECT {columns} FROM {table} ORDER BY 1"));
        (table, rows)
    });
    rows.collect()
}

/// All runs, as `list --json` tells of them.
fn listed(home: &Home) -> String {
    let list = ["list", "--json", "--limit", "0"];
    home.retrier(list).output().ok().text()
}

/// The files in the folder of the database whose names begin so.
fn beside(home: &Home, begin: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.path("retrier.db.d"))
        .into_iter()
        .flatten();
    let names = entries.flatten().map(|entry| entry.path());
    let mut names: Vec<PathBuf> = names
        .filter(|path| {
            let name = path.file_name().expect("it has a name");
            name.to_string_lossy().starts_with(begin)
        })
        .collect();
    names.sort();
    names
}

/// Asserts that the gauges are right. What ever was is counted from the layout on that has gauges.
#[track_caller]
fn assert_counted(home: &Home, layout: i64) {
    let faults = gauge_faults(home);
    assert!(faults.is_empty(), "layout {layout}: {faults:?}");
}

/// What is told of each run, and its history.
fn told(home: &Home) -> String {
    let listed = listed(home);
    let runs = listed.lines().map(|line| {
        let run: Value = serde_json::from_str(line).expect("a run");
        let id = run["id"].to_string();
        let events = home.retrier(["events", "--json", &id]).output().ok().text();
        format!("{run}\n{events}\n")
    });
    runs.collect()
}

#[test]
fn all_that_an_earlier_layout_holds_is_told_as_before() {
    for layout in 1..=NEWEST {
        let home = Home::new();
        lay(&home, layout);
        let golden = format!("tests/golden/layout-{layout}.txt");
        assert_generated(&golden, told(&home).as_bytes());
        assert_eq!(self::layout(home.db()), NEWEST);
        content(home.db());
        assert_counted(&home, layout);
        let doctor = home.retrier(["doctor", "--deep", "--json"]).output().json();
        let findings = doctor["findings"].as_array().expect("a list");
        let unserved = |finding: &&Value| finding["check"] == "daemon";
        let wrong: Vec<&Value> = findings.iter().filter(|one| !unserved(one)).collect();
        assert!(wrong.is_empty(), "layout {layout}: {wrong:#?}");
    }
}

#[test]
fn runs_of_earlier_layouts_go_on_and_finished_ones_stay() {
    for layout in 1..=NEWEST {
        let home = Home::new();
        lay(&home, layout);
        let lines = |home: &Home| -> BTreeMap<String, String> {
            let listed = listed(home);
            let runs = listed.lines().map(|line| {
                let run: Value = serde_json::from_str(line).expect("a run");
                (run["id"].to_string(), line.to_owned())
            });
            runs.collect()
        };
        let before = lines(&home);
        let mut daemon = home.daemon_with(&["--retention", "0"], &[]);
        let (_, going_on) = LAYOUTS[layout as usize - 1];
        for (id, output) in going_on {
            let waited = home.retrier(["wait", &id.to_string()]).output().ok();
            assert_eq!(waited.text(), *output, "run {id} of layout {layout}");
        }
        // The run whose cancel was not through is closed, and its hook follows.
        let hooked = listed(&home);
        let hooked = hooked
            .lines()
            .map(|line| serde_json::from_str(line).expect("a run"));
        let hook = hooked
            .filter_map(|run: Value| run["parent_id"].as_i64())
            .max();
        let parent = home.status(hook.expect("there is a hook"));
        let closing = parent["id"].to_string();
        let hook = parent["hook_id"].as_i64().expect("it has a hook");
        wait_until_state(&home, hook, "succeeded");
        wait_until("nothing runs", LONG, || {
            !listed(&home).contains("\"running\"")
        });
        assert_eq!(daemon.stop(), 0);
        let after = lines(&home);
        let ended = |line: &str| {
            let run: Value = serde_json::from_str(line).expect("a run");
            run["attempts"].as_i64() != Some(0) && !run["finished_at"].is_null()
        };
        let mut same = 0;
        for (id, line) in &before {
            if ended(line) && *id != closing {
                assert_eq!(after[id], *line, "layout {layout}");
                same += 1;
            }
        }
        assert!(same >= 4, "{same}");
        content(home.db());
        assert_counted(&home, layout);
        let paused = listed(&home).matches("\"queued\"").count();
        assert_eq!(paused, usize::from(layout >= 3), "that of the paused pool");
    }
}

#[test]
fn many_bring_the_first_layout_up_to_date_at_once() {
    let home = Home::new();
    lay(&home, 1);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let call = home.retrier(["run", "--no-daemon-start", "--", "true"]);
                call.output().ok();
            });
        }
    });
    let database = Connection::open(home.db()).expect("it is a database");
    let runs = number(&database, "SELECT count(*) FROM run");
    assert_eq!((layout(home.db()), runs), (NEWEST, 18));
    assert_eq!(beside(&home, "before-layout").len(), 1);
    // The checks were put in other words on the way, and still hold.
    for wrong in [
        "state = 'lost'",
        "reason = 'none'",
        "stage = 'nowhere'",
        "finished_at = 1",
        "state = 'succeeded'",
    ] {
        let refused = database.execute(&format!("UPDATE run SET {wrong} WHERE id = 10"), []);
        assert!(refused.is_err(), "{wrong}");
    }
    let table = "SELECT sql FROM sqlite_schema WHERE name = 'run'";
    let table: String = database
        .query_row(table, [], |row| row.get(0))
        .expect("there is a table of runs");
    assert!(!table.contains("IN ('waiting'"), "{table}");
}
