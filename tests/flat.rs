//! What each operation costs does not grow with what is stored: counted in steps of SQLite's
//! machine, because time says little on a busy machine, and looked up in its plans. `benches/flat.rs`
//! measures the same by the clock, with a thousand times as much.

use std::path::Path;

use retrier::model::{Pool, Status, Timestamp};
use retrier::store::Filter;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::support::{Backlog, Desk, Steps};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// In the big database there is so much of everything for one in the small one.
const TIMES: u32 = 20;

const SMALL: Backlog = Backlog {
    finished: 300,
    finished_in_ms: 30 * 24 * 60 * 60 * 1000,
    backing_off: 500,
    behind_lock: 200,
    pools: 10,
    spread: false,
};

fn filled(path: &Path, times: u32, spread: bool) -> Desk {
    drop(Desk::open(path));
    let db = Connection::open(path).expect("it is there");
    let backlog = Backlog {
        finished: SMALL.finished * times,
        finished_in_ms: SMALL.finished_in_ms,
        backing_off: SMALL.backing_off * times,
        behind_lock: SMALL.behind_lock * times,
        pools: SMALL.pools * times,
        spread,
    };
    backlog.fill(&db, NOW);
    drop(db);
    Desk::open(path)
}

fn filter(status: Option<Status>, name: Option<&str>, pool: Option<&str>) -> Filter {
    Filter {
        statuses: status.into_iter().collect(),
        name: name.map(str::to_owned),
        pool: pool.map(str::to_owned),
        since: None,
        limit: 50,
    }
}

/// The steps of each operation, in the order of a run's life.
fn operations(desk: &mut Desk) -> Vec<(String, Steps)> {
    let mut done = Vec::new();
    let mut input = 0;
    let mut note = |name: &str, steps: Steps| done.push((name.to_owned(), steps));
    let mut spec = || {
        input += 1;
        Desk::spec(input)
    };
    let later = NOW.plus(std::time::Duration::from_millis(1));
    // Once unseen: what is only done the first time would hide what grows.
    for name in ["first", ""] {
        let mut ids = Vec::new();
        let submit = Steps::of(|| ids.push(desk.submit(&spec(), NOW)));
        let claim = Steps::of(|| ids.push(desk.claim("default", later)));
        // The one that has the lock is the longest due.
        let holder = ids[1];
        let hand_on = Steps::of(|| desk.settle(holder, 0, later));
        let next_holder = desk.claim("default", later);
        assert_ne!(
            next_holder, ids[0],
            "the next behind the lock is longer due"
        );
        let retry = Steps::of(|| desk.settle(next_holder, 1, later));
        let of_lock = desk.claim("default", later);
        let mut locked = spec();
        locked.lock = Some("one".to_owned());
        let behind = desk.submit(&locked, later);
        let wait = Steps::of(|| desk.advance(later));
        let status = Steps::of(|| {
            [ids[0], of_lock, behind]
                .iter()
                .for_each(|id| desk.status(*id))
        });
        let cancel = Steps::of(|| desk.cancel(behind, later));
        let forget = Steps::of(|| desk.forget(behind));
        desk.settle(of_lock, 0, later);
        if name.is_empty() {
            note("submit", submit);
            note("claim", claim);
            note("settle the holder of the lock", hand_on);
            note("settle for a retry", retry);
            note("wait for the lock", wait);
            note("status", status);
            note("cancel", cancel);
            note("stats", Steps::of(|| desk.stats(later)));
            note("forget", forget);
        }
    }
    done
}

fn lists(desk: &mut Desk) -> Vec<(String, Steps)> {
    let states = Status::ALL.map(Some).into_iter().chain([None]);
    let mut done = Vec::new();
    for status in states {
        let filter = filter(status, None, None);
        let steps = Steps::of(|| assert!(desk.list(&filter, NOW) <= 50));
        let word = status.map_or("", Status::word);
        done.push((format!("list {word}"), steps));
    }
    for (name, pool) in [
        (Some("name"), None),
        (None, Some("default")),
        (None, Some("p0001")),
    ] {
        let filter = filter(None, name, pool);
        let steps = Steps::of(|| assert!(desk.list(&filter, NOW) <= 50));
        done.push((format!("list {name:?} {pool:?}"), steps));
    }
    done
}

fn compare(small: &[(String, Steps)], big: &[(String, Steps)]) {
    assert_eq!(small.len(), big.len());
    let mut table = String::new();
    let mut grown = false;
    for ((name, small), (_, big)) in small.iter().zip(big) {
        let ratio = big.count as f64 / small.count as f64;
        grown |= ratio > 2.0 || small.count == 0;
        table += &format!(
            "{name:<30} {:>8} {:>8} {ratio:.2}\n",
            small.count, big.count
        );
    }
    assert!(!grown, "\n{table}");
}

#[test]
fn no_operation_costs_more_in_a_bigger_database() {
    Steps::watch();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut small = filled(&dir.path().join("small"), 1, false);
    let mut big = filled(&dir.path().join("big"), TIMES, false);
    let (small, big) = (operations(&mut small), operations(&mut big));
    compare(&small, &big);
}

#[test]
fn no_list_costs_more_in_a_bigger_database() {
    Steps::watch();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lists = |name: &str, times: u32, unseen: bool| {
        let path = dir.path().join(name);
        let mut desk = filled(&path, times, false);
        if unseen {
            // The oldest of all is due, and is looked for behind all that are not.
            let oldest = "UPDATE run SET due_at = 1 WHERE stage = 'scheduled' \
                          AND id = (SELECT min(id) FROM run WHERE stage = 'scheduled')";
            let db = Connection::open(&path).expect("it is there");
            assert_eq!(db.execute(oldest, []).expect("it can be made due"), 1);
        }
        lists(&mut desk)
    };
    compare(&lists("small", 1, false), &lists("big", TIMES, false));
    compare(
        &lists("small unseen", 1, true),
        &lists("big unseen", TIMES, true),
    );
}

/// Each pool in which a run waits for a lock is one in which it could go on.
#[test]
fn a_lock_costs_the_same_when_runs_of_many_pools_wait_for_it() {
    Steps::watch();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hand_on = |name: &str, times: u32| {
        let mut desk = filled(&dir.path().join(name), times, true);
        let mut steps = Steps::default();
        for pool in ["p0001", "p0003"] {
            let holder = desk.claim(pool, NOW);
            steps = Steps::of(|| desk.settle(holder, 0, NOW));
        }
        vec![("hand on".to_owned(), steps)]
    };
    compare(&hand_on("small", 1), &hand_on("big", TIMES));
}

/// The first that wait for a lock are all in pools that are shut.
#[test]
fn a_lock_goes_past_shut_pools_however_many_wait_in_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("db");
    let mut desk = filled(&path, 1, false);
    let holder = desk.claim("default", NOW);
    let mut spec = Desk::spec(1);
    spec.lock = Some("one".to_owned());
    spec.pool = "p0001".to_owned();
    let last = desk.submit(&spec, NOW);
    desk.advance(NOW);
    desk.set_pool(&Pool {
        paused: true,
        ..Pool::new("default", 1)
    });
    desk.settle(holder, 0, NOW);
    assert_eq!(desk.claim("p0001", NOW), last);
}

/// The statements that the operations make, those of their triggers among them. A look at each pool
/// in which a run waits for one lock is a loop over what the looks before have found; the locks that
/// may go to another run are forgotten in the same pass.
#[test]
fn no_statement_of_an_operation_scans_or_sorts() {
    Steps::watch();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("db");
    let mut desk = filled(&path, 1, false);
    let done = operations(&mut desk).into_iter().chain(lists(&mut desk));
    let statements = done.flat_map(|(_, steps)| steps.sql);
    let db = Connection::open(&path).expect("it is there");
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP, true)
        .expect("SQLite can show the plans of triggers");
    let mut seen = 0;
    for sql in statements.filter(|sql| !sql.starts_with("PRAGMA")) {
        let plan = plan(&db, &sql);
        let bad = plan.iter().find(|line| {
            let small = ["found", "heirs", "open_lock", "identity", "CONSTANT ROW"];
            let scans = line.starts_with("SCAN") && !small.iter().any(|name| line.ends_with(name));
            scans || line.contains("TEMP B-TREE")
        });
        assert!(bad.is_none(), "{sql}\n{}", plan.join("\n"));
        seen += 1;
    }
    assert!(seen > 40, "{seen} statements");
    // Or what a trigger does would be seen nowhere above.
    let shut = plan(&db, "UPDATE pool SET paused = 1 WHERE name = 'p'");
    assert!(shut.iter().any(|line| line.contains("TRIGGER")), "{shut:?}");
}

fn plan(db: &Connection, sql: &str) -> Vec<String> {
    let explained = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"));
    let mut explained = explained.expect("it was prepared before");
    let unbound = vec![rusqlite::types::Null; explained.parameter_count()];
    // A trigger begins with a line without text.
    let line = |row: &rusqlite::Row<'_>| row.get::<_, Option<String>>(3);
    let lines = explained.query_map(rusqlite::params_from_iter(unbound), line);
    let lines: rusqlite::Result<Vec<_>> = lines.and_then(Iterator::collect);
    let lines = lines.expect("a plan can be read");
    lines.into_iter().flatten().collect()
}

/// Runs in each state: some that are due and that nobody has seen to be, in several blocks of ids
/// among others that are not due, one that runs, and a hook that is held.
fn mixed(path: &Path) -> Desk {
    let mut desk = filled(path, 3, true);
    for input in 0..6 {
        let mut spec = Desk::spec(input);
        spec.on_complete = (input == 1).then(|| b"true".to_vec());
        spec.priority = 1_000_000;
        desk.submit(&spec, NOW);
        if input == 1 {
            let ended = desk.claim("default", NOW);
            desk.claim("default", NOW);
            desk.cancel(ended, NOW);
        }
    }
    let db = Connection::open(path).expect("it is there");
    db.execute_batch(
        "UPDATE run SET due_at = due_at - 4000000 WHERE stage = 'scheduled' AND id % 300 = 7",
    )
    .expect("some can be made due");
    desk
}

#[test]
fn every_filter_lists_what_a_look_at_all_runs_finds() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let desk = mixed(&dir.path().join("db"));
    let list = |filter: &Filter| {
        desk.store
            .read()
            .list(filter, NOW)
            .expect("it can be listed")
    };
    let all = list(&Filter {
        limit: u32::MAX,
        ..filter(None, None, None)
    });
    assert!(all.len() > 3000 && all.is_sorted_by(|a, b| a.id > b.id));
    let states = || Status::ALL.map(Some).into_iter().chain([None]);
    let mut listed = 0;
    // One of the newer ones, so that all of the first ones are left out.
    let late = Some(all[all.len() / 3].created_at);
    for (status, name, pool, (limit, since)) in states().flat_map(|status| {
        let names = [None, Some("name"), Some("nobody")].into_iter();
        names.flat_map(move |name| {
            let pools = [None, Some("default"), Some("p0001"), Some("hooks")].into_iter();
            let limits = [(3, None), (u32::MAX, None), (3, late), (u32::MAX, late)];
            pools.flat_map(move |pool| limits.map(|limit| (status, name, pool, limit)))
        })
    }) {
        let found = list(&Filter {
            limit,
            since,
            ..filter(status, name, pool)
        });
        let passes = all.iter().filter(|record| {
            status.is_none_or(|status| record.run.state.status(NOW) == status)
                && name.is_none_or(|name| record.name.as_deref() == Some(name))
                && pool.is_none_or(|pool| record.pool == pool)
                && since.is_none_or(|since| record.created_at >= since)
        });
        let expected: Vec<_> = passes
            .take(limit as usize)
            .map(|record| record.id)
            .collect();
        let found: Vec<_> = found.iter().map(|record| record.id).collect();
        assert_eq!(found, expected, "{status:?} {name:?} {pool:?} {limit}");
        listed += usize::from(!found.is_empty());
    }
    assert!(listed > 45, "{listed} of the filters found something");
}

/// The database that all this is shown with, and what the operations have made of it, is one that
/// `retrier` could have made.
#[test]
fn the_gauges_count_what_is_there() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("db");
    drop(mixed(&path));
    assert_right(&path);
    let path = dir.path().join("other");
    operations(&mut filled(&path, 1, false));
    assert_right(&path);
}

fn assert_right(path: &Path) {
    let db = Connection::open(path).expect("it is there");
    let wrong: Vec<String> = db
        .prepare(
            "SELECT pool FROM gauge WHERE (held, scheduled, locked, ready, running, closing) <> \
             (SELECT count(*) FILTER (WHERE state = 'waiting' AND stage IS NULL), \
             count(*) FILTER (WHERE stage = 'scheduled'), count(*) FILTER (WHERE stage = 'locked'), \
             count(*) FILTER (WHERE stage = 'ready'), count(*) FILTER (WHERE state = 'running'), \
             count(*) FILTER (WHERE state = 'canceled' AND open_attempt IS NOT NULL) FROM run \
             WHERE run.pool = gauge.pool OR (gauge.pool = '' AND run.pool <> 'hooks'))",
        )
        .and_then(|mut select| select.query_map([], |row| row.get(0))?.collect())
        .expect("it can be counted");
    assert_eq!(wrong, [""; 0]);
    let damage: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("it can be checked");
    assert_eq!(damage, "ok");
}
