//! `run --batch --wait`: what is said of many runs while they run and when all have ended, and what a signal does.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::batch;
use crate::crash::tools::{Gate, LONG, await_patience, wait_until_state};
use crate::support::{Call, Home, Need, skip, wait_until};

/// `retrier run --wait --batch -` of these lines.
fn waiting(home: &Home, lines: impl Into<Vec<u8>>, options: &[&str]) -> Call {
    let args = ["run", "--wait", "--batch", "-"];
    home.retrier(args.iter().chain(options)).stdin(lines)
}

/// The ids from the first to the last, a line each.
fn ids(first: i64, last: i64) -> String {
    (first..=last).map(|id| format!("{id}\n")).collect()
}

#[test]
fn when_all_have_succeeded_it_exits_with_0_and_says_nothing_but_the_ids() {
    let home = Home::new();
    let waited = waiting(&home, "true\necho not shown\ntrue\n", &[])
        .output()
        .ok();
    let told = String::from_utf8(waited.stdout.clone()).unwrap();
    assert_eq!((told, waited.error_text()), (ids(1, 3), String::new()));
    for id in 1..=3 {
        assert_eq!(home.state(id), "succeeded");
    }
}

#[test]
fn runs_that_did_not_succeed_are_named_at_the_end() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let lines = format!(
        "true\nsh -c 'exit 3'\n{}\nfalse\n",
        serde_json::json!({"shell": gate.line()})
    );
    let waits = waiting(&home, lines, &["--max-failures", "0"]).spawn();
    await_patience(&waits);
    wait_until_state(&home, 2, "failed");
    wait_until_state(&home, 4, "failed");
    assert_eq!(waits.stdout_so_far(), ids(1, 4).into_bytes());
    home.retrier(["cancel", "3"]).output().ok();
    let waited = waits.wait_within(LONG).exits(1);
    let mut said: Vec<String> = waited.error_text().lines().map(str::to_owned).collect();
    said.sort();
    let expected = [
        "retrier: run 2 failed: exit 3",
        "retrier: run 3 was canceled",
        "retrier: run 4 failed: exit 1",
    ];
    assert_eq!(said, expected);
    let options = ["--max-failures", "0", "-q"];
    let quiet = waiting(&home, "false\n", &options).output().exits(1);
    assert_eq!(quiet.error_text(), "");
}

/// Who has to mend them needs to know which.
#[test]
fn each_of_many_that_did_not_succeed_is_named_on_a_short_line() {
    let home = Home::new();
    let _daemon = home.daemon();
    let error = format!("{}END", "x".repeat(500));
    let decision = format!("echo '{{\"error\":\"{error}\"}}' >$RETRIER_DECISION; exit 1");
    let lines = "false\n".repeat(149) + &serde_json::json!({"shell": decision}).to_string();
    let waited = waiting(&home, lines, &["--max-failures=0"]);
    let said = waited.limit(LONG * 3).output().exits(1).error_text();
    let mut named: Vec<i64> = said
        .lines()
        .map(|line| {
            let id = line.strip_prefix("retrier: run ").expect("it is named");
            let id = id.split_once(" failed: ").expect("why stands beside").0;
            id.parse().expect("an id")
        })
        .collect();
    named.sort_unstable();
    assert_eq!(named, (1..=150).collect::<Vec<_>>());
    let long = said.lines().find(|line| line.contains("xxx"));
    assert!(long.is_some_and(|line| line.len() < 150), "{long:?}");
}

#[test]
fn with_json_each_run_is_printed_as_it_ends_and_not_its_id_alone() {
    let home = Home::new();
    let _daemon = home.daemon();
    let waited = waiting(&home, "true\nfalse\n", &["--json", "--max-failures=0"]);
    let waited = waited.output().exits(1);
    let mut told: Vec<Value> = waited
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    told.sort_by_key(|run| run["id"].as_i64());
    assert_eq!(told, [home.status(1), home.status(2)]);
    assert!(waited.error_text().contains("run 2 failed: exit 1"));
}

/// A daemon is asked for some runs at a time, and what ends beyond these is found all the same.
#[test]
fn many_are_waited_for_although_the_first_of_them_do_not_end_for_long() {
    let home = Home::new();
    let _daemon = home.daemon();
    let mut lines = "{\"shell\": \"true\", \"delay\": \"1h\"}\n".repeat(400);
    lines += &"true\n".repeat(20);
    let waits = waiting(
        &home,
        lines.clone() + &lines + &lines,
        &["--json", "--name", "n"],
    )
    .spawn();
    let count = || {
        waits
            .stdout_so_far()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    };
    wait_until("those that are due are told", LONG * 2, || count() == 60);
    let delayed = home.retrier(["list", "--state", "scheduled", "--json", "--limit", "0"]);
    assert_eq!(delayed.output().ok().text().lines().count(), 1200);
    waits.signal(Signal::SIGINT);
    let waited = waits.wait_within(LONG * 2).exits(130);
    assert!(waited.error_text().contains("1200 runs were canceled"));
    let left = home.retrier(["list", "--state", "scheduled", "--limit", "0"]);
    assert_eq!(left.output().ok().text(), "");
}

#[test]
fn ctrl_c_cancels_what_this_call_has_stored_and_no_other_run() {
    let home = Home::new();
    let _daemon = home.daemon();
    home.run(["--key", "k", "--delay", "1h", "--", "true"]);
    let lines = "sleep 600\n{\"command\": [\"true\"], \"key\": \"k\"}\n{\"shell\": \"true\", \"delay\": 900}\n";
    let waits = waiting(&home, lines, &[]).spawn();
    await_patience(&waits);
    wait_until_state(&home, 2, "running");
    waits.signal(Signal::SIGINT);
    let waited = waits.wait_within(LONG).exits(130);
    assert_eq!(waited.text(), "2\n1\n3");
    let said = waited.error_text();
    assert!(said.contains("2 runs were canceled"), "{said}");
    let states = [1, 2, 3].map(|id| home.state(id));
    assert_eq!(states, ["scheduled", "canceled", "canceled"]);
}

#[test]
fn sigterm_and_sighup_leave_the_runs_alone() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (signal, id) in [(Signal::SIGTERM, 1), (Signal::SIGHUP, 3)] {
        let waits = waiting(&home, "sleep 600\nsleep 600\n", &[]).spawn();
        await_patience(&waits);
        wait_until_state(&home, id, "running");
        waits.signal(signal);
        let waited = waits.wait_within(LONG).exits(128 + signal as i32);
        let said = waited.error_text();
        assert!(
            said.contains("2 runs have not ended yet, and go on"),
            "{said}"
        );
        assert_eq!(home.state(id), "running");
    }
}

#[test]
fn a_run_that_has_the_key_of_a_line_is_waited_for() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let line = format!("{}; exit 7", gate.line());
    home.run(["--key", "k", "--max-failures", "0", "--shell", &line]);
    let lines = "{\"command\": [\"true\"], \"key\": \"k\"}\ntrue\n";
    let waits = waiting(&home, lines, &["-q"]).spawn();
    await_patience(&waits);
    wait_until_state(&home, 2, "succeeded");
    gate.open();
    assert_eq!(waits.wait_within(LONG).exits(1).text(), "1\n2");
}

#[test]
fn a_terminal_gets_a_bar_with_what_is_done_and_a_pipe_gets_none() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let lines = home.path("lines");
    let gate = Gate::new(&home, "gate");
    let last = serde_json::json!({"shell": gate.line()});
    fs::write(&lines, format!("true\nfalse\n{last}\n")).unwrap();
    let line = "retrier run --wait --max-failures 0 --batch lines";
    let call = home
        .sh("script -qec \"$LINE\" /dev/null </dev/null")
        .env("LINE", line);
    let call = call.env("TERM", "xterm").env("LC_ALL", "C");
    let shown = call.cwd(home.path("")).spawn();
    let text = || String::from_utf8_lossy(&shown.stdout_so_far()).into_owned();
    let count = "2/3 done - 1 running - 1 failed - ";
    wait_until("the bar shows it", LONG, || text().contains(count));
    let bar = text();
    let after = bar.split(count).nth(1).unwrap();
    assert!(
        bar.contains("[====") && after.contains("/s - ETA "),
        "{bar:?}"
    );
    gate.open();
    let shown = shown.wait_within(LONG).exits(1).text();
    assert_eq!(
        shown.matches("retrier: run 2 failed: exit 1").count(),
        1,
        "{shown:?}"
    );
    gate.open();
    let piped = waiting(&home, "true\n", &[])
        .env("TERM", "xterm")
        .output()
        .ok();
    assert_eq!(piped.error_text(), "");
}

#[test]
fn it_starts_a_daemon_when_the_one_that_ran_was_killed() {
    let home = Home::new();
    let mut daemon = home.daemon();
    batch(&home, "true\n", &[]).ok();
    assert_eq!(home.wait(1), 0);
    daemon.kill9();
    let waited = waiting(&home, "true\ntrue\n", &[]).output().ok();
    assert_eq!(waited.text(), "2\n3");
    // Without one they wait, and the next one has them.
    daemon = home.daemon();
    daemon.kill9();
    home.end_processes();
    assert_eq!(batch(&home, "true\ntrue\n", &[]).ok().text(), "4\n5");
    assert_eq!(home.state(5), "queued");
    let _daemon = home.daemon();
    assert_eq!(home.wait(5), 0);
}
