//! `list`, and readers that go away in the middle of it.

use std::time::Duration;

use serde_json::Value;

use super::{await_running, lines};
use crate::support::{FakeClock, Home, Need, skip};

/// One run in each state; gives their ids, in the order of `STATES`.
fn one_in_each_state(home: &Home) -> Vec<i64> {
    let succeeded = home.run(["--name", "a", "--", "true"]);
    let failed = home.run(["--name", "b", "--max-failures", "0", "--", "false"]);
    let scheduled = home.run(["--name", "a", "--delay", "1h", "--", "echo", "a b"]);
    let canceled = home.run(["--delay", "1h", "--", "true"]);
    home.retrier(["cancel", &canceled.to_string()])
        .output()
        .ok();
    assert_eq!((home.wait(succeeded), home.wait(failed)), (0, 1));
    let running = home.run(["--", "sleep", "600"]);
    await_running(home, running);
    let queued = home.run(["--", "true"]);
    vec![succeeded, failed, scheduled, canceled, running, queued]
}

const STATES: [&str; 6] = [
    "succeeded",
    "failed",
    "scheduled",
    "canceled",
    "running",
    "queued",
];

#[test]
fn list_gives_the_newest_first_and_filters() {
    let home = Home::new();
    assert_eq!(home.retrier(["list"]).output().ok().text(), "");
    let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let ids = one_in_each_state(&home);
    let list = |args: &[&str]| -> Vec<i64> {
        let listed = home.retrier(["list"].iter().chain(args)).output().ok();
        let text = listed.text();
        let first = text.lines().map(|line| line.split('\t').next().unwrap());
        first.map(|id| id.parse().expect("an id")).collect()
    };
    let newest_first: Vec<i64> = ids.iter().rev().copied().collect();
    assert_eq!(list(&[]), newest_first);
    assert_eq!(list(&["--limit", "2"]), newest_first[..2]);
    for (state, id) in STATES.iter().zip(&ids) {
        assert_eq!(list(&["--state", state]), [*id], "{state}");
    }
    assert_eq!(list(&["--name", "a"]), [ids[2], ids[0]]);
    assert_eq!(list(&["--name", "a", "--state", "scheduled"]), [ids[2]]);
    assert_eq!(list(&["--name", "nobody"]), [0; 0]);
    home.retrier(["list", "--state", "lost"]).output().exits(2);

    let json = home.retrier(["list", "--json"]).output().ok().text();
    let objects = json.lines().map(|line| serde_json::from_str(line).unwrap());
    for (object, id) in objects.zip(&newest_first) {
        let object: Value = object;
        assert_eq!(object, home.status(*id));
    }
    assert_eq!(lines(&json).len(), ids.len());
}

#[test]
fn list_since_a_time_leaves_out_what_was_stored_before() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let store = || home.run(["--no-daemon-start", "--delay", "9h", "--", "true"]);
    let old = store();
    clock.advance(Duration::from_secs(2 * 3600));
    let new = store();
    let canceled = store();
    let cancel = home.retrier(["cancel", &canceled.to_string()]);
    cancel.output().ok();
    let list = |args: &str| -> Vec<i64> {
        let listed = home.retrier(["list"]).args(args.split(' ')).output().ok();
        let text = listed.text();
        let ids = text.lines().map(|line| line.split('\t').next().unwrap());
        ids.map(|id| id.parse().expect("an id")).collect()
    };
    assert_eq!(list("--since 1h"), [canceled, new]);
    assert_eq!(list("--since 3h"), [canceled, new, old]);
    assert_eq!(list("--since 1h --state scheduled"), [new]);
    assert_eq!(list("--since 3h --state scheduled"), [new, old]);
    assert_eq!(list("--since 1h --state canceled"), [canceled]);
    assert_eq!(list("--since 1970-01-01T00:00:00Z"), [canceled, new, old]);
    assert_eq!(list("--since 1970-01-01"), [canceled, new, old]);
    assert_eq!(list("--state canceled,scheduled"), [canceled, new, old]);
    assert_eq!(list("--state scheduled,scheduled --limit 1"), [new]);
    assert_eq!(list("--state queued,canceled,failed"), [canceled]);
    assert_eq!(list("--since 2999-01-01T00:00:00Z"), [0; 0]);
    for wrong in ["yesterday", "-1h", ""] {
        let refused = home.retrier(["list", "--since", wrong]).output().exits(2);
        assert_eq!(refused.text(), "");
    }
}

#[test]
fn list_in_a_pipe_has_six_fields_between_tabs() {
    let home = Home::new();
    let odd = "tab\tand\nline";
    let at = "2999-01-01T00:00:00Z";
    home.run([
        "--no-daemon-start",
        "--name",
        odd,
        "--at",
        at,
        "--",
        "echo",
        odd,
        "a b",
    ]);
    let text = home.retrier(["list"]).output().ok().text();
    let fields: Vec<&str> = text.split('\t').collect();
    let name = "tab\\tand\\nline";
    let command = "echo $'tab\\tand\\nline' 'a b'";
    let due = "2999-01-01T00:00:00.000Z";
    assert_eq!(fields, ["1", "scheduled", "0", due, name, command]);
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_no_panic() {
    let home = Home::new();
    let big = "x".repeat(120_000);
    for _ in 0..3 {
        home.run(["--no-daemon-start", "--delay", "1h", "--", "echo", &big]);
    }
    for verb in [
        "list",
        "list --json",
        "status 1 2 3",
        "status --json 1 2 3",
        "explain --limit 0 --max-failures 10000",
        "explain --limit 0 --max-failures 10000 --json",
        "pool list",
        "pool list --json",
    ] {
        let call = home.sh(format!("retrier {verb} | head -c 1")).output().ok();
        assert_eq!(
            (call.stdout.len(), call.error_text().as_str()),
            (1, ""),
            "{verb}"
        );
    }
    let _daemon = home.daemon();
    let id = home.run(["--shell", "head -c 1000000 /dev/zero"]);
    assert_eq!(home.wait(id), 0);
    for verb in ["logs", "logs -f", "wait"] {
        let call = home
            .sh(format!("retrier {verb} {id} | head -c 1"))
            .output()
            .ok();
        assert_eq!(
            (call.stdout.len(), call.error_text().as_str()),
            (1, ""),
            "{verb}"
        );
    }
}

/// Makes a pool, or deletes it, without a look at what is in it.
fn change_pools(home: &Home, sql: &str) {
    let db = rusqlite::Connection::open(home.db()).expect("it is there");
    db.execute_batch(sql).expect("the pools can be changed");
}

const MAKE: &str = "INSERT INTO pool (name, parallel, paused, options, seed) \
                    VALUES ('mail', 10, 0, '{}', 1)";

#[test]
fn list_of_a_pool_shows_what_is_in_it() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    change_pools(&home, MAKE);
    let _daemon = home.daemon();
    let done = home.run(["--pool", "mail", "--name", "n", "--", "true"]);
    let later = home.run(["--pool", "mail", "--delay", "1h", "--", "true"]);
    let other = home.run(["--delay", "1h", "--", "true"]);
    assert_eq!(home.wait(done), 0);
    let list = |args: &str| {
        let call = home.sh(format!("retrier list {args} | cut -f1 | tr '\\n' ' '"));
        call.output().ok().text().trim().to_owned()
    };
    assert_eq!(list("--pool mail"), format!("{later} {done}"));
    assert_eq!(list("--pool mail --state scheduled"), later.to_string());
    assert_eq!(list("--pool mail --state succeeded"), done.to_string());
    assert_eq!(list("--pool mail --state failed"), "");
    assert_eq!(list("--pool mail --state running"), "");
    assert_eq!(list("--pool mail --name n"), done.to_string());
    assert_eq!(
        list("--pool default --state scheduled"),
        (other.to_string())
    );
    assert_eq!(list("--pool hooks"), "");
}

#[test]
fn list_names_the_pools_that_there_are() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    change_pools(&home, MAKE);
    let id = home.run(["--no-daemon-start", "--pool", "mail", "--", "true"]);
    home.retrier(["cancel", &id.to_string()]).output().ok();
    // Another one of this name can be made, and what ended in the first is still stored.
    change_pools(&home, "DELETE FROM pool WHERE name = 'mail'");
    let listed = home.retrier(["list", "--pool", "mail"]).output().ok();
    assert!(listed.text().starts_with(&format!("{id}\tcanceled\t")));
    let refused = home.retrier(["list", "--pool", "nail"]).output().exits(2);
    assert_eq!(refused.text(), "");
    let error = refused.error_text();
    assert!(
        error.contains("nail") && error.contains("default"),
        "{error}"
    );
}

#[test]
fn list_on_a_terminal_has_a_column_for_pools_when_there_are_some() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "echo", "usual"]);
    let list = || {
        let line = "script -qec 'retrier list' /dev/null </dev/null";
        home.sh(line).output().ok().text()
    };
    let usual = list();
    assert!(
        !usual.contains("POOL") && usual.contains("usual"),
        "{usual}"
    );
    change_pools(&home, MAKE);
    home.run(["--no-daemon-start", "--pool", "mail", "--", "echo", "post"]);
    let told = list();
    for part in [
        "POOL     COMMAND",
        "mail     echo post",
        "default  echo usual",
    ] {
        assert!(told.contains(part), "{told}");
    }
}
