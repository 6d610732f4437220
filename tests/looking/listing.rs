//! `list`, and readers that go away in the middle of it.

use serde_json::Value;

use super::{await_running, lines};
use crate::support::Home;

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
