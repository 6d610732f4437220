//! The recipes that a shell can execute.

use std::fs;

use serde_json::json;

use super::{Kitchen, LONG, with};
use crate::crash::tools::{Gate, wait_until_state};
use crate::support::{Home, HttpServer, Need, readme_block, skip, wait_until};

#[test]
fn the_backup_keeps_to_its_limits() {
    let kitchen = Kitchen::new(Home::new());
    kitchen.program("restic", "echo saved");
    let recipe = readme_block("recipe: backup");
    let output = kitchen.sh(&recipe).output().ok();
    assert_eq!((output.text(), output.error_text()), Default::default());
    assert_eq!(kitchen.calls(), ["restic backup /home/u"]);
    let run = kitchen.home.status(1);
    assert_eq!(run["key"], "backup");
    for (field, value) in [
        ("timeout_ms", json!(3_600_000)),
        ("constant_ms", json!(600_000)),
        ("max_failures", json!(null)),
        ("deadline_ms", json!(18_000_000)),
        ("max_output", json!(10 << 20)),
    ] {
        assert_eq!(run["policy"][field], value, "{field}");
    }
}

#[test]
fn the_backup_tells_of_nothing_but_that_it_came_to_its_deadline() {
    let kitchen = Kitchen::new(Home::new());
    let recipe = readme_block("recipe: backup");
    kitchen.program(
        "restic",
        "test \"$RETRIER_ATTEMPT\" -ge 3 || { echo no route >&2; exit 1; }",
    );
    let soon = with(&recipe, &[("--constant 10m", "--constant 30ms")]);
    let output = kitchen.sh(&soon).output().ok();
    assert_eq!((output.text(), output.error_text()), Default::default());
    assert_eq!(kitchen.calls().len(), 3);
    // The next attempt would start after it.
    let late = with(&recipe, &[("--deadline 5h", "--deadline 5m")]);
    let output = kitchen.sh(&late).output().exits(124);
    assert_eq!(output.text(), "");
    let told = output.error_text();
    for part in [
        "run 2  failed (deadline)",
        "restic backup /home/u",
        "no route",
    ] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
}

#[test]
fn the_ping_says_how_it_ended_and_is_retried_itself() {
    if skip(Need::Curl) {
        return;
    }
    let kitchen = Kitchen::new(Home::new());
    let server = HttpServer::start(|number, line| {
        let is_right = line.starts_with("POST /your-uuid");
        let status = if is_right && number > 1 { 200 } else { 503 };
        (status, Vec::new(), Vec::new())
    });
    let recipe = with(
        &readme_block("recipe: healthchecks"),
        &[
            ("https://hc-ping.com/", &server.url()),
            ("retrier run ", "retrier run --max-failures 0 "),
        ],
    );
    kitchen.program("restic", "echo saved");
    assert_eq!(kitchen.sh(&recipe).output().ok().text(), "1");
    wait_until("a ping that failed is sent again", LONG, || {
        server.requests() == 2
    });
    wait_until_state(&kitchen.home, 2, "succeeded");
    kitchen.program("restic", "exit 3");
    assert_eq!(kitchen.sh(&recipe).output().ok().text(), "3");
    wait_until("the failure is told", LONG, || server.requests() == 3);
    wait_until_state(&kitchen.home, 4, "succeeded");
    let success = r#"{"return_value":"saved\n","type":"success"}"#;
    let failed = r#"{"error":"exit 3","reason":"exhausted","type":"failed"}"#;
    let heard = server.heard();
    let heard: Vec<_> = heard
        .iter()
        .map(|(line, body)| (&**line, body.trim()))
        .collect();
    let (good, bad) = ("POST /your-uuid HTTP/1.1", "POST /your-uuid/fail HTTP/1.1");
    assert_eq!(heard, [(good, success), (good, success), (bad, failed)]);
}

#[test]
fn the_desktop_is_told_of_the_end() {
    let kitchen = Kitchen::new(Home::new());
    kitchen.program("make", "exit 0");
    kitchen.program("notify-send", "");
    let output = kitchen.sh(&readme_block("recipe: desktop")).output().ok();
    assert_eq!(output.text(), "1");
    wait_until("it is told", LONG, || kitchen.calls().len() == 2);
    let calls = kitchen.calls();
    assert_eq!(calls, ["make dist", "notify-send run 1: success"]);
    wait_until_state(&kitchen.home, 2, "succeeded");
}

#[test]
fn the_chat_is_told_of_failures_alone() {
    if skip(Need::Curl) || skip(Need::Jq) {
        return;
    }
    let kitchen = Kitchen::new(Home::new());
    let server = HttpServer::start(|_, _| (200, Vec::new(), Vec::new()));
    let recipe = with(
        &readme_block("recipe: chat"),
        &[
            (
                "https://chat.example.com/hooks/key",
                &format!("{}hooks/key", server.url()),
            ),
            ("retrier run ", "retrier run --max-failures 0 "),
        ],
    );
    kitchen.program("make", "exit 0");
    assert_eq!(kitchen.sh(&recipe).output().ok().text(), "1");
    wait_until_state(&kitchen.home, 1, "succeeded");
    wait_until_state(&kitchen.home, 2, "succeeded");
    kitchen.program("make", "exit 2");
    assert_eq!(kitchen.sh(&recipe).output().ok().text(), "3");
    wait_until_state(&kitchen.home, 3, "failed");
    wait_until_state(&kitchen.home, 4, "succeeded");
    let message = r#"{"text":"run 3 failed (exhausted): exit 2"}"#;
    let heard = server.heard();
    let heard: Vec<_> = heard
        .iter()
        .map(|(line, body)| (&**line, body.trim()))
        .collect();
    assert_eq!(heard, [("POST /hooks/key HTTP/1.1", message)]);
}

#[test]
fn a_drain_lets_what_runs_end_and_keeps_what_waits() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let kitchen = Kitchen::new(home);
    let home = &kitchen.home;
    let running = home.run(["--shell", &gate.line()]);
    wait_until_state(home, running, "running");
    let recipe = readme_block("recipe: drain");
    let (before, after) = recipe
        .split_once("# the maintenance\n")
        .expect("it is there");
    let mut drain = kitchen.sh(before).spawn();
    let is_paused = || {
        let listed = home.retrier(["pool", "list", "--json"]).output().text();
        listed.contains("\"paused\":true")
    };
    wait_until("the pool is paused", LONG, is_paused);
    let waits = home.run(["--no-daemon-start", "--", "true"]);
    assert!(drain.is_running());
    gate.open();
    drain.wait_within(LONG).ok();
    assert_eq!(home.state(running), "succeeded");
    home.assert_no_process_left();
    // Whoever comes in between starts a daemon, and nothing else.
    let also = home.run(["--", "true"]);
    let states = || [waits, also].map(|id| home.state(id));
    assert_eq!(states(), ["queued", "queued"]);
    kitchen.sh(after).output().ok();
    for id in [waits, also] {
        wait_until_state(home, id, "succeeded");
    }
}

#[test]
fn who_leaves_takes_all_along_and_leaves_nothing() {
    let kitchen = Kitchen::new(Home::at("home/.local/state/retrier/retrier.db"));
    let home = &kitchen.home;
    kitchen.program("cargo", "");
    let ended = home.run(["--", "true"]);
    home.wait(ended);
    let running = home.run(["--", "sleep", "600"]);
    wait_until_state(home, running, "running");
    let recipe = readme_block("recipe: leave");
    kitchen.sh(&format!("set -e\n{recipe}")).output().ok();
    let exported = fs::read_to_string(home.path("home/runs.json")).unwrap();
    let exported = exported.lines().map(|line| {
        let run: serde_json::Value = serde_json::from_str(line).unwrap();
        run["id"].as_i64()
    });
    assert_eq!(exported.collect::<Vec<_>>(), [Some(running), Some(ended)]);
    assert_eq!(kitchen.calls(), ["cargo uninstall retrier-cli"]);
    home.assert_no_process_left();
    assert!(!home.path("home/.local/state/retrier").exists());
}
