//! How SQLite would go about a statement, for the tests of statements that must not scan.

use super::schema::steps_after;

/// Asserts that SQLite's plan for `sql` holds `part`, scans no table, and sorts nothing.
pub(super) fn assert_plan(sql: &str, part: &str) {
    let plan = plan(sql);
    assert!(plan.contains(part), "{sql}\n{plan}");
    // One row of constants is no table.
    let scans = plan.replace("SCAN CONSTANT ROW", "").contains("SCAN");
    assert!(!scans && !plan.contains("TEMP"), "{sql}\n{plan}");
}

/// As [`assert_plan`], for a statement that loops over what it has found so far.
pub(super) fn assert_loop(sql: &str, part: &str) {
    let plan = plan(sql);
    assert!(plan.contains(part), "{sql}\n{plan}");
    let scans = |line: &&str| {
        line.contains("SCAN") && !["found", "heirs"].iter().any(|name| line.ends_with(name))
    };
    let found = plan.lines().find(scans);
    assert!(found.is_none() && !plan.contains("TEMP"), "{sql}\n{plan}");
}

fn plan(sql: &str) -> String {
    let connection = rusqlite::Connection::open_in_memory().expect("there is memory");
    for step in steps_after(0) {
        connection.execute_batch(step).expect("the layout is right");
    }
    // What a write has triggers do is part of its plan.
    connection
        .set_db_config(
            rusqlite::config::DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP,
            true,
        )
        .expect("SQLite can show the plans of triggers");
    let mut explain = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .expect("the statement fits the layout");
    let unbound = vec![rusqlite::types::Null; explain.parameter_count()];
    // A trigger begins with a line without text.
    let plan: Vec<Option<String>> = explain
        .query_map(rusqlite::params_from_iter(unbound), |row| row.get(3))
        .and_then(Iterator::collect)
        .expect("a plan can be read");
    plan.into_iter().flatten().collect::<Vec<_>>().join("\n")
}
