//! Deciders that give no answer that could be followed: recorded, and the policy goes on, whatever they do.

use std::time::Duration;

use retrier::model::{Budget, Environment, Policy, Spec, Start, Timestamp};
use retrier::store::{Access, Folder, Store};

use super::{complaints, history, submit};
use crate::crash::tools::{
    LONG, commands, millis, numbers, outcomes, wait_until_no_command, wait_until_state,
};
use crate::support::{Home, wait_until, wall_ns};

/// More than a decider may take, and no more than it can take on a busy machine.
const GENEROUS: Duration = Duration::from_secs(40);

/// One that hangs, and ends neither by itself nor by SIGTERM, with a grandchild in a session of its own.
const HANGS: &str = "trap '' TERM; : >decides; setsid sleep 600 & sleep 600; exit";

#[test]
fn one_that_hangs_has_its_10_s_while_other_runs_go_on_and_nothing_of_it_is_left() {
    let home = Home::new();
    let _daemon = home.daemon_with(&["--parallel", "2"], &[]);
    let cwd = home.path("").display().to_string();
    let rest = ["--cwd", &cwd, "--max-failures", "0", "--shell", "exit 7"];
    let id = submit(&home, HANGS, &rest);
    let decides = || home.path("decides").exists();
    wait_until("it decides", LONG, decides);
    let mut others = 0;
    while others < 20 {
        home.retrier(["run", "--wait", "--", "true"]).output().ok();
        if home.state(id) != "running" {
            break;
        }
        others += 1;
    }
    assert!(others >= 3, "only {others} others ran meanwhile");
    wait_until("it has failed", GENEROUS, || home.state(id) == "failed");
    let document = home.status(id);
    let took = wall_ns() / 1_000_000 - millis(&document["attempts"][0]["ended_at"]);
    assert!((10_000..40_000).contains(&took), "{took} ms");
    assert_eq!(commands(&home), []);
    assert_eq!(complaints(&home, id), ["no answer within 10 s"]);
    assert_eq!(outcomes(&document), ["exit 7"]);
}

#[test]
fn one_that_fails_is_recorded_and_the_policy_followed() {
    let home = Home::new();
    let _daemon = home.daemon_with(&["--parallel", "8"], &[]);
    let cases = [
        ("exit 3", "exit 3"),
        ("echo '{\"retry\":true}'; exit 1", "exit 1"),
        ("kill -9 $$", "signal 9 (SIGKILL)"),
        ("kill -TERM $$", "signal 15 (SIGTERM)"),
        (
            "head -c 104857600 /dev/zero",
            "an answer of more than 64 KiB",
        ),
        ("yes '{\"retry\":true}'", "an answer of more than 64 KiB"),
        ("/nowhere/nothing", "exit 127"),
    ];
    let rest = ["--max-failures", "1", "--shell", "exit 7"];
    let ids = cases.map(|(decider, _)| submit(&home, decider, &rest));
    let rubbish = submit(&home, "head -c 5000 /dev/urandom", &rest);
    for (id, (decider, complaint)) in ids.into_iter().zip(cases) {
        wait_until_state(&home, id, "failed");
        let document = home.status(id);
        assert_eq!(outcomes(&document), ["exit 7", "exit 7"], "{decider}");
        assert_eq!(document["result"]["reason"], "exhausted", "{decider}");
        let expected = [
            "enqueued",
            "started",
            &format!("decider_failed {complaint}"),
            "attempt_failed budget backoff",
            "started",
            &format!("decider_failed {complaint}"),
            "failed budget",
        ];
        assert_eq!(history(&home, id), expected, "{decider}");
    }
    wait_until_state(&home, rubbish, "failed");
    let said = complaints(&home, rubbish);
    assert_eq!((numbers(&home.status(rubbish)).len(), said.len()), (2, 2));
    assert!(said[0].len() <= 200, "{said:?}");
    assert!(!said[0].contains(char::is_control), "{said:?}");
}

#[test]
fn an_answer_of_64_kib_is_heard_and_a_byte_more_is_too_much() {
    let home = Home::new();
    let _daemon = home.daemon();
    let rest = ["--max-failures", "0", "--shell", "exit 7"];
    let answer = "{\"retry\":false}\n";
    for (length, heard) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let blanks = length - answer.len();
        let decider = format!("printf '%{blanks}s%s\\n' '' '{}'", answer.trim());
        let id = submit(&home, &decider, &rest);
        assert_eq!(home.wait(id), 7);
        let complaint = ["an answer of more than 64 KiB"];
        assert_eq!(complaints(&home, id), complaint[usize::from(heard)..]);
        let reason = if heard { "stopped" } else { "exhausted" };
        assert_eq!(home.status(id)["result"]["reason"], reason);
    }
}

/// A line that is too long for the kernel: no caller can give it, but not every kernel has the same limits.
#[test]
fn one_that_cannot_be_started_is_recorded() {
    let home = Home::new();
    let mut spec = Spec {
        command: vec![b"/bin/false".to_vec()],
        cwd: b"/".to_vec(),
        environment: Environment::default(),
        umask: 0o022,
        stdin: None,
        name: None,
        policy: Policy::default(),
        start: Start::Now,
        on_complete: None,
        key: None,
        priority: 0,
        pool: "default".to_owned(),
        lock: None,
    };
    spec.policy.budget = Budget::Failures(0);
    spec.policy.rules.decide = Some(format!("exit 0 #{}", "x".repeat(200_000)));
    let opened = Store::open(&Folder::of(home.db()), Access::Create);
    let mut store = opened.expect("it can be made").expect("it was to be made");
    let now = Timestamp::from_millis(wall_ns() / 1_000_000);
    let id = store.submit(&spec, || now).expect("it is stored").id.0;
    drop(store);
    assert_eq!(home.wait(id), 1);
    let said = complaints(&home, id);
    let words = "cannot be started: Argument list too long (os error 7)";
    assert_eq!(said, [words]);
    assert_eq!(home.status(id)["result"]["reason"], "exhausted");
}

/// Nobody waits for it to read, and nothing breaks because it does not.
#[test]
fn one_that_reads_nothing_of_a_long_question_is_heard() {
    let home = Home::new();
    let _daemon = home.daemon();
    let long = "x".repeat(100_000);
    let line = format!("exit 7 # {long}");
    let rest = ["--shell", &line];
    let id = submit(&home, "exec <&-; echo '{\"retry\":false}'", &rest);
    assert_eq!(home.wait(id), 7);
    assert_eq!(complaints(&home, id), [""; 0]);
    assert_eq!(home.status(id)["result"]["reason"], "stopped");
}

#[test]
fn nothing_is_left_of_one_that_leaves_processes_behind() {
    let home = Home::new();
    let _daemon = home.daemon();
    let leaves = "trap '' TERM; setsid sleep 600 & sleep 600 >&- & exec >&-;";
    for (end, reason) in [("exit 0", "stopped"), ("exit 1", "exhausted")] {
        let decider = format!("{leaves} {end}");
        let id = submit(&home, &decider, &["--max-failures", "0", "--", "false"]);
        assert_eq!(home.wait(id), 1);
        assert_eq!(commands(&home), [], "{end}");
        assert_eq!(home.status(id)["result"]["reason"], reason);
    }
    wait_until_no_command(&home);
}

/// It serves others, and is none of the next attempt's either: what that one leaves behind is known by itself.
#[test]
fn a_daemon_that_it_has_started_lives_on() {
    let (home, other) = (Home::new(), Home::new());
    let _daemon = home.daemon_with(&["--parallel", "1"], &[]);
    let store = "retrier --db \"$OTHER\" run -- sleep 600 >&2; echo '{\"retry\":false}'";
    let call = home.sh("exec retrier run --wait --decide \"$STORE\" -- false");
    let call = call.env("STORE", store).env("OTHER", other.db());
    call.output().exits(1);
    other.retrier(["daemon", "status"]).output().ok();
    wait_until_state(&other, 1, "running");
    let next = home.run(["--", "true"]);
    assert_eq!(home.wait(next), 0);
    let output = home.path(format!("retrier.db.d/logs/0/{next}.1.out"));
    wait_until("nobody may write to it, so it is removed", LONG, || {
        !output.exists()
    });
    assert_eq!(other.state(1), "running");
    other.retrier(["cancel", "1"]).output().ok();
}
