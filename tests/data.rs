//! What others may read of the database: the views say what `status` says, and the examples of the README work.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::crash::tools::wait_until_state;
use crate::support::{Home, Need, readme, skip};

/// A database with runs in every state, and no daemon beside it.
fn filled() -> Home {
    let home = Home::new();
    let mut daemon = home.daemon();
    let hooked = ["--key", "k", "--name", "it's", "--on-complete", "true"];
    let done = home.run([&hooked[..], &["--", "echo", "a b", "", "ü"]].concat());
    let retried = ["--max-failures", "1", "--constant", "10ms"];
    let exits = home.run([&retried[..], &["--", "sh", "-c", "exit 3"]].concat());
    let killed = home.run(["--max-failures", "0", "--", "sh", "-c", "kill -9 $$"]);
    for (id, state) in [(done, "succeeded"), (exits, "failed"), (killed, "failed")] {
        wait_until_state(&home, id, state);
    }
    let canceled = home.run([
        "--delay",
        "1h",
        "--lock",
        "l",
        "--deadline",
        "2h",
        "--",
        "true",
    ]);
    home.retrier(["cancel", &canceled.to_string()])
        .output()
        .ok();
    home.run(["--delay", "1h", "--priority", "-3", "--", "true"]);
    home.retrier(["pool", "set", "shut", "--parallel", "0"])
        .output()
        .ok();
    home.run(["--pool", "shut", "--", "true"]);
    home.retrier(["wait", "--all", "--pool", "hooks", "--timeout", "20s"])
        .output();
    assert_eq!(daemon.stop(), 0);
    home
}

/// The rows of `sql` as JSON objects by the names of the columns.
fn rows(home: &Home, sql: &str) -> Vec<Value> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(home.db(), flags).expect("it is there");
    let mut select = database.prepare(sql).expect("it fits the layout");
    let names: Vec<String> = select.column_names().map(str::to_owned).collect();
    let object = |row: &rusqlite::Row<'_>| {
        let fields = names.iter().enumerate().map(|(at, name)| {
            let value = match row.get(at)? {
                Sql::Null => Value::Null,
                Sql::Integer(number) => json!(number),
                Sql::Real(number) => json!(number),
                Sql::Text(text) => json!(text),
                Sql::Blob(bytes) => json!(String::from_utf8_lossy(&bytes)),
            };
            Ok((name.clone(), value))
        });
        fields.collect::<rusqlite::Result<_>>().map(Value::Object)
    };
    let rows = select.query_map([], object).expect("it can be read");
    rows.collect::<Result<_, _>>().expect("it can be read")
}

/// Asserts that these fields of a row are those of an object, where they have the same names or those given.
#[track_caller]
fn assert_same(row: &Value, object: &Value, names: &[(&str, &str)], of: &str) {
    for (column, field) in names {
        assert_eq!(row[column], object[field], "{column} of {of}");
    }
}

/// The same names on both sides.
fn same<const N: usize>(names: [&'static str; N]) -> [(&'static str, &'static str); N] {
    names.map(|name| (name, name))
}

fn assert_attempts(home: &Home, id: i64, attempts: &[Value]) {
    let view = format!("SELECT * FROM attempts_v1 WHERE run_id = {id} ORDER BY number");
    let rows = rows(home, &view);
    assert_eq!(rows.len(), attempts.len(), "{id}");
    let names = same(["number", "started_at", "ended_at", "pid", "retry_delay_ms"]);
    let of_outcome = [
        ("outcome", "type"),
        ("exit_code", "code"),
        ("signal", "signal"),
    ];
    for (row, attempt) in rows.iter().zip(attempts) {
        let of = format!("an attempt of run {id}");
        assert_same(row, attempt, &names, &of);
        assert_same(row, &attempt["outcome"], &of_outcome, &of);
    }
}

fn assert_events(home: &Home, id: i64) {
    let events = home.retrier(["events", "--json", &id.to_string()]);
    let events = events.output().ok().text();
    let view = format!("SELECT * FROM events_v1 WHERE run_id = {id} ORDER BY number");
    let rows = rows(home, &view);
    assert_eq!(rows.len(), events.lines().count(), "{id}");
    let names = same([
        "number", "at", "kind", "attempt", "due_at", "wait_by", "detail", "hook_id",
    ]);
    for (row, line) in rows.iter().zip(events.lines()) {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let of = format!("an event of run {id}");
        assert_same(row, &event, &names, &of);
        assert_same(row, &event, &[("decided_by", "by")], &of);
    }
}

#[test]
fn the_views_say_what_status_says() {
    let home = filled();
    let runs = rows(&home, "SELECT * FROM runs_v1 ORDER BY id");
    let names = same([
        "state",
        "name",
        "key",
        "pool",
        "lock",
        "priority",
        "cwd",
        "created_at",
        "due_at",
        "deadline_at",
        "finished_at",
        "failures",
        "snoozes",
        "parent_id",
        "hook_id",
    ]);
    for run in &runs {
        let id = run["id"].as_i64().expect("an id");
        let status = home.status(id);
        let of = format!("run {id}");
        let words = run["command"]
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        assert_eq!(words.as_ref(), Some(&status["command"]), "{of}");
        assert_same(run, &status, &names, &of);
        assert_same(run, &status["result"], &same(["reason", "error"]), &of);
        let attempts = status["attempts"].as_array().expect("a list");
        assert_eq!(run["attempts"], attempts.len(), "{of}");
        assert_attempts(&home, id, attempts);
        assert_events(&home, id);
    }
    let own = runs.iter().filter(|run| run["parent_id"].is_null());
    let mut states: Vec<&str> = own.filter_map(|run| run["state"].as_str()).collect();
    states.sort_unstable();
    let expected = [
        "canceled",
        "failed",
        "failed",
        "queued",
        "scheduled",
        "succeeded",
    ];
    assert_eq!(states, expected);
}

#[test]
fn the_columns_of_the_views_are_those_that_the_readme_names() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let text = readme();
    for view in ["runs_v1", "attempts_v1", "events_v1"] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{view}` |")));
        let cell = line
            .and_then(|line| line.split('|').nth(2))
            .expect("a row of the table");
        let told: Vec<&str> = cell
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| *word != "list")
            .collect();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = Connection::open_with_flags(home.db(), flags).expect("it is there");
        let select = database
            .prepare(&format!("SELECT * FROM {view}"))
            .expect("it is a view");
        let found: Vec<&str> = select.column_names().collect();
        assert_eq!(found, told, "{view}");
    }
}

#[test]
fn the_examples_of_the_readme_work() {
    if skip(Need::Sqlite3) {
        return;
    }
    let home = filled();
    let text = readme();
    let block = text
        .split("<!-- examples: sql -->\n```sh\n")
        .nth(1)
        .expect("the examples are there");
    let block = block.split("```").next().unwrap_or_default();
    let lines: Vec<&str> = block
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let (database, lines) = lines.split_first().expect("the first names the database");
    assert_eq!(lines.len(), 3);
    for line in lines {
        let output = home.sh(format!("{database}\n{line}")).output().ok();
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{line}: {}",
            output.error_text()
        );
    }
}

#[test]
fn who_writes_to_a_view_is_refused() {
    let home = filled();
    let database = Connection::open(home.db()).expect("it is there");
    for view in ["runs_v1", "attempts_v1", "events_v1"] {
        let error = database
            .execute(&format!("DELETE FROM {view}"), [])
            .expect_err("it is a view");
        assert!(
            error.to_string().contains("because it is a view"),
            "{error}"
        );
    }
}
