//! Verbs that act on many runs at once: `cancel --all`, `retry --all-failed`, `wait --all`, `status` of many ids. All of
//! them leave hooks out. Here: what they share.

mod canceling;
mod looking;
mod passes;
mod retrying;
mod waiting;

use std::collections::BTreeMap;

use retrier::store::{Access, Folder, Store};
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use crate::support::{Home, Output, recount};

/// The database, made if it is not there, for what no verb can bring about.
fn database(home: &Home) -> Connection {
    let opened = Store::open(&Folder::of(home.db()), Access::Create);
    opened.expect("it can be made");
    Connection::open(home.db()).expect("it is there")
}

/// Makes a pool of ten slots, or shuts one that is there.
fn set_pool(home: &Home, name: &str, paused: bool) {
    let sql = "INSERT INTO pool (name, parallel, paused, options, seed) VALUES (?1, 10, ?2, '{}', 1) \
               ON CONFLICT (name) DO UPDATE SET paused = ?2";
    database(home)
        .execute(sql, params![name, paused])
        .expect("a pool can be set");
}

/// Deletes a pool, whatever belongs to it.
fn delete_pool(home: &Home, name: &str) {
    database(home)
        .execute("DELETE FROM pool WHERE name = ?1", [name])
        .expect("a pool can be deleted");
}

/// Stores so many runs that wait as this call of `run` says, without the time that storing each would take: copies of
/// one.
fn store_copies(home: &Home, count: i64, rest: &[&str]) {
    let id = home.run(["--no-daemon-start"].iter().chain(rest));
    let mut database = database(home);
    let all = database.transaction().expect("nobody else writes");
    let columns = "state, due_at, delay_ms, created_at, seed, policy, command, cwd, umask, \
                   environment_id, name, on_complete, pool, stage";
    let sql = format!(
        "WITH RECURSIVE more (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM more WHERE n < ?1) \
         INSERT INTO run ({columns}) SELECT {columns} FROM more, run WHERE id = ?2"
    );
    all.execute(&sql, [count, id]).expect("a run can be copied");
    all.execute("UPDATE content SET refs = refs + ?1", [count - 1])
        .expect("its environment is counted");
    recount(&all);
    all.commit().expect("it is stored");
}

/// How many runs there are in each state.
fn states(home: &Home) -> BTreeMap<String, usize> {
    let list = home.retrier(["list", "--limit", "0"]).output().ok().text();
    let mut states = BTreeMap::new();
    for line in list.lines() {
        let state = line.split('\t').nth(1).expect("a state").to_owned();
        *states.entry(state).or_default() += 1;
    }
    states
}

/// What [`states`] should say.
fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let owned = expected
        .iter()
        .map(|(word, count)| ((*word).to_owned(), *count));
    owned.collect()
}

/// All rows of the tables that a verb could change.
fn rows(home: &Home) -> Vec<Vec<Value>> {
    let database = database(home);
    let mut rows = Vec::new();
    for table in [
        "run",
        "attempt",
        "event",
        "pool",
        "gauge",
        "gate",
        "open_lock",
    ] {
        let sql = format!("SELECT * FROM {table}");
        let mut select = database.prepare(&sql).expect("a table");
        let width = select.column_count();
        let read = select.query_map([], |row| (0..width).map(|n| row.get(n)).collect());
        rows.extend(read.expect("it can be read").map(|row| row.expect("a row")));
    }
    rows
}

/// Calls a verb that must work and say nothing on stderr.
#[track_caller]
fn quietly(home: &Home, args: &[&str]) -> Output {
    let output = home.retrier(args).output().ok();
    assert_eq!(output.error_text(), "", "{args:?}");
    output
}

/// The ids that a dry run prints; it must change nothing.
#[track_caller]
fn dry(home: &Home, args: &[&str]) -> Vec<i64> {
    let before = rows(home);
    let output = quietly(home, &[args, &["--dry-run"]].concat());
    assert!(before == rows(home), "{args:?} has changed something");
    numbers(&output)
}

/// A number on each line.
#[track_caller]
fn numbers(output: &Output) -> Vec<i64> {
    let text = output.text();
    text.lines()
        .map(|line| line.parse().expect("an id"))
        .collect()
}

#[test]
fn a_pool_that_does_not_exist_is_wrong_usage_and_the_others_are_named() {
    let home = Home::new();
    let verbs = [
        &["cancel", "--all"][..],
        &["cancel", "--all", "--dry-run"],
        &["retry", "--all-failed"],
        &["wait", "--all"],
    ];
    let refused = |there: &str, hint: &str| {
        for verb in verbs {
            let call = home.retrier([verb, &["--pool", "mial"]].concat());
            let said = call.output().exits(2);
            let expected = format!(
                "retrier: error: there is no pool mial; there {there}\n\
                 hint: {hint}\n"
            );
            assert_eq!((said.text(), said.error_text()), (String::new(), expected));
        }
    };
    refused("is default", "`retrier pool set NAME` makes one");
    assert!(!home.db().exists(), "a database was made");
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    set_pool(&home, "mail", false);
    refused(
        "are default, mail",
        "did you mean mail? `retrier pool list` shows all pools",
    );
    assert_eq!(states(&home), counts(&[("scheduled", 1)]));
}

#[test]
fn what_goes_with_all_goes_with_nothing_else() {
    let home = Home::new();
    for wrong in [
        &["cancel"][..],
        &["cancel", "1", "--all"],
        &["cancel", "1", "--key", "k"],
        &["cancel", "--key", "k", "--all"],
        &["cancel", "1", "--dry-run"],
        &["cancel", "1", "--pool", "default"],
        &["cancel", "1", "--state", "queued"],
        &["cancel", "1", "--name", "n"],
        &["cancel", "--key", "k", "--dry-run"],
        &["cancel", "--pool", "default"],
        &["cancel", "--dry-run"],
        &["cancel", "--all", "--state", "failed"],
        &["cancel", "--all", "--state", "succeeded"],
        &["cancel", "--all", "--state", "canceled"],
        &["cancel", "--all", "--state", "ready"],
        &["cancel", "--all", "--pool", "a b"],
        &["retry"],
        &["retry", "1", "--all-failed"],
        &["retry", "--key", "k", "--all-failed"],
        &["retry", "1", "--key", "k"],
        &["retry", "1", "--pool", "default"],
        &["retry", "1", "--dry-run"],
        &["retry", "--key", "k", "--name", "n"],
        &["retry", "--pool", "default"],
        &["wait"],
        &["wait", "1", "--all"],
        &["wait", "1", "--key", "k"],
        &["wait", "--key", "k", "--all"],
        &["wait", "1", "--pool", "default"],
        &["wait", "--pool", "default"],
        &["wait", "--all", "--json", "--stream"],
        &["status"],
        &["status", "1", "--key", "k"],
        &["status", "--key", ""],
        &["status", "--key", "k", "--key", "k"],
        &["logs"],
        &["logs", "1", "--key", "k"],
        &["events"],
        &["events", "1", "--key", "k"],
        &["explain", "1", "--key", "k"],
        &["explain", "--key", "k", "--max-failures", "3"],
        &["explain", "--key", "k", "--limit", "3"],
    ] {
        let said = home.retrier(wrong).output().exits(2);
        assert_eq!(said.text(), "", "{wrong:?}");
        let said = said.error_text();
        assert!(said.starts_with("retrier: error: "), "{wrong:?}");
    }
    assert!(!home.db().exists());
}
