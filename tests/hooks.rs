//! `--on-complete`: a run of its own, enqueued in the transaction that ends its parent, exactly once.

use std::fs;

use serde_json::Value;

use crate::crash::tools::{
    Gate, LONG, millis, numbers, outcomes, stubborn, wait_until_started, wait_until_state,
};
use crate::faults::life::beside_each_other;
use crate::support::{Home, Journal, Need, proof, skip, wait_until};

/// A line for `--on-complete` that keeps what a hook is given, in files that [`given`] reads.
fn keeper(home: &Home) -> String {
    let folder = home.path("");
    let folder = folder.display();
    format!(
        "echo \"$RETRIER_RESULT\" >>'{folder}/result.'$RETRIER_PARENT_ID; \
         cat >'{folder}/stdin.'$RETRIER_PARENT_ID"
    )
}

/// What the hook of run `id` was given: the lines of RETRIER_RESULT of all its starts, and the last one's stdin.
fn given(home: &Home, id: i64) -> (Vec<String>, Value) {
    let results = fs::read_to_string(home.path(format!("result.{id}"))).unwrap_or_default();
    let stdin = fs::read(home.path(format!("stdin.{id}"))).unwrap_or_default();
    let json = serde_json::from_slice(&stdin).unwrap_or(Value::Null);
    (results.lines().map(str::to_owned).collect(), json)
}

/// The id of the hook of a run that has ended.
#[track_caller]
fn hook(home: &Home, id: i64) -> i64 {
    let hook = home.status(id)["hook_id"].as_i64();
    hook.unwrap_or_else(|| panic!("run {id} has no hook"))
}

/// Stores a run with this hook; nobody starts a daemon for it.
#[track_caller]
fn submit(home: &Home, hook: &str, rest: &[&str]) -> i64 {
    let options = ["--no-daemon-start", "--on-complete", hook];
    home.run(options.iter().chain(rest))
}

#[track_caller]
fn cancel(home: &Home, id: i64) {
    home.retrier(["cancel", &id.to_string()]).output().ok();
}

#[test]
fn a_hook_gets_the_result_of_success_failure_and_cancel_on_its_stdin() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = keeper(&home);
    let good = submit(&home, &line, &["--", "printf", "the value"]);
    let bytes = submit(&home, &line, &["--shell", "printf '\\377'"]);
    let bad = submit(&home, &line, &["--max-failures", "0", "--", "false"]);
    let delayed = submit(&home, &line, &["--delay", "1h", "--", "true"]);
    let running = submit(&home, &line, &["--", "sleep", "600"]);
    wait_until_state(&home, running, "running");
    cancel(&home, delayed);
    cancel(&home, running);
    for (id, word) in [
        (good, "success"),
        (bytes, "success"),
        (bad, "failed"),
        (delayed, "canceled"),
        (running, "canceled"),
    ] {
        home.wait(id);
        let parent = home.status(id);
        assert_eq!(home.wait(hook(&home, id)), 0);
        let (results, json) = given(&home, id);
        assert_eq!(results, [word], "the hook of run {id} runs once");
        assert_eq!(json, parent["result"], "the hook of run {id}");
        assert_eq!(json["type"], word);
        assert_eq!(home.status(hook(&home, id))["parent_id"], id);
    }
    assert_eq!(given(&home, good).1["return_value"], "the value");
    assert_eq!(given(&home, bytes).1["return_value"]["base64"], "/w==");
    assert_eq!(given(&home, bad).1["reason"], "exhausted");
}

/// Whoever sees the ending sees the hook: no moment lies between the two, although the daemon lingers on either side of
/// each commit.
#[test]
fn an_ending_is_never_seen_without_its_hook() {
    let home = Home::new();
    let ids: Vec<String> = (0..3)
        .map(|_| submit(&home, "true", &["--", "true"]).to_string())
        .collect();
    let lingers =
        |nth| format!("pass_before_commit:{nth}:sleep=200,pass_committed:{nth}:sleep=200");
    let crash = (1..=4).map(lingers).collect::<Vec<_>>().join(",");
    let _daemon = home.daemon_with(&[], &[("RETRIER_CRASH", &crash)]);
    let status = || {
        let args = ["status", "--json"].into_iter();
        let call = home.retrier(args.chain(ids.iter().map(String::as_str)));
        let text = call.output().ok().text();
        let runs = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        runs.collect::<Vec<Value>>()
    };
    wait_until("all have ended", LONG, || {
        let runs = status();
        for run in &runs {
            let ended = run["finished_at"].is_string();
            assert_eq!(ended, run["hook_id"].is_i64(), "{run}");
        }
        runs.iter().all(|run| run["state"] == "succeeded")
    });
}

#[test]
fn a_cancel_enqueues_the_hook_in_its_own_transaction() {
    let home = Home::new();
    let line = keeper(&home);
    let id = submit(&home, &line, &["--", "true"]);
    let killed_at = |failpoint: &str| {
        let call = home.retrier(["cancel", &id.to_string()]);
        call.crash(failpoint).output().exits(137);
        home.status(id)
    };
    let before = killed_at("cancel_before_commit:1:kill");
    assert_eq!(before["state"], "queued");
    assert!(before["hook_id"].is_null());
    let after = killed_at("cancel_committed:1:kill");
    assert_eq!(after["state"], "canceled");
    assert_eq!(home.state(hook(&home, id)), "queued");
    home.assert_no_process_left();
    cancel(&home, id);
    assert_eq!(
        home.status(id),
        after,
        "a second cancel enqueues no second hook"
    );
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert_eq!(given(&home, id).0, ["canceled"]);
}

#[test]
fn a_cancel_without_a_daemon_starts_one_for_the_hook() {
    let home = Home::new();
    let line = keeper(&home);
    let id = submit(&home, &line, &["--delay", "1h", "--", "true"]);
    home.assert_no_process_left();
    cancel(&home, id);
    wait_until_state(&home, hook(&home, id), "succeeded");
    assert_eq!(given(&home, id).0, ["canceled"]);
}

/// The pass that ends the parent is the second one of the daemon's life, or the third if the start was reported apart.
#[test]
fn each_ending_has_exactly_one_hook_through_kills_of_the_daemon() {
    let crashes = |points: &[&'static str], nth: u32| {
        let each = |point: &&'static str| {
            (1..=nth).map({
                let point = *point;
                move |nth| format!("{point}:{nth}:kill")
            })
        };
        points.iter().flat_map(each).collect::<Vec<_>>()
    };
    let mut cases = crashes(&["pass_before_commit", "pass_committed"], 3);
    if proof::is_full() {
        cases.extend(crashes(&["order_sent", "report_received", "store_sync"], 6));
        cases = vec![cases; 10].concat();
    }
    let times = cases.len();
    let found = beside_each_other(cases, |crash| one_hook_each(crash));
    proof::holds("T21", times, &found);
}

/// A run that succeeds and one that fails, under a daemon that dies at `crash`. Gives what is wrong.
fn one_hook_each(crash: &str) -> Vec<String> {
    let home = Home::new();
    let line = keeper(&home);
    let good = submit(&home, &line, &["--", "true"]);
    let bad = submit(&home, &line, &["--max-failures", "0", "--", "false"]);
    let killed = home.retrier(["daemon", "--until-idle"]).crash(crash);
    let code = killed.output().code;
    let mut found = Vec::new();
    // Not every point is reached so often.
    if code != 137 && (code != 0 || crash.starts_with("pass_")) {
        found.push(format!("the daemon has exited with {code}"));
    }
    for id in [good, bad] {
        let run = home.status(id);
        let ended = run["finished_at"].is_string();
        if ended != run["hook_id"].is_i64() || !(ended || given(&home, id).0.is_empty()) {
            found.push(format!(
                "an ending without its hook, or a hook without one: {run}"
            ));
        }
    }
    home.retrier(["daemon", "--until-idle"]).output().ok();
    for (id, word) in [(good, "success"), (bad, "failed")] {
        let told = given(&home, id).0;
        // Who dies while a hook runs has it run on, and knows its end later: it is told once.
        if told != [word] {
            found.push(format!("the hook of run {id} was told {told:?}"));
        }
    }
    let runs = home.retrier(["list", "--json"]).output().ok().text();
    if runs.lines().count() != 4 {
        found.push(format!("not two runs and two hooks: {runs}"));
    }
    found.extend(home.doctor());
    found
}

#[test]
fn kills_of_the_daemon_catch_a_hook_that_is_enqueued_twice() {
    let (home, bug) = (Home::new(), "doubles_hooks");
    let line = keeper(&home);
    submit(&home, &line, &["--", "true"]);
    let daemon = home.retrier(["daemon", "--until-idle"]);
    daemon.env("RETRIER_BUG", bug).output().ok();
    let runs = home.retrier(["list", "--json"]).output().ok().text();
    let found: Vec<String> = (runs.lines().count() != 2)
        .then(|| format!("{} runs", runs.lines().count()))
        .into_iter()
        .collect();
    proof::catches("T21", bug, &found, |_| true);
}

#[test]
fn a_failing_hook_is_retried_and_changes_nothing_of_its_parent() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = submit(&home, "exit 3", &["--", "echo", "fine"]);
    assert_eq!(home.wait(id), 0);
    let parent = home.status(id);
    let hook = hook(&home, id);
    assert_eq!(home.wait(hook), 3);
    let failed = home.status(hook);
    assert_eq!(failed["state"], "failed");
    assert_eq!(numbers(&failed), [1, 2, 3, 4, 5], "the default policy");
    assert!(failed["hook_id"].is_null(), "a hook has no hook");
    assert_eq!(home.status(id), parent);
    let waited = home.retrier(["wait", &id.to_string()]).output().ok();
    assert_eq!(waited.text(), "fine");
}

#[test]
fn a_canceled_hook_never_runs_and_changes_nothing_of_its_parent() {
    let home = Home::new();
    let line = keeper(&home);
    let id = submit(&home, &line, &["--", "true"]);
    let killed = home.retrier(["cancel", &id.to_string()]);
    killed.crash("cancel_committed:1:kill").output().exits(137);
    let parent = home.status(id);
    cancel(&home, hook(&home, id));
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert_eq!(home.state(hook(&home, id)), "canceled");
    assert!(given(&home, id).0.is_empty());
    assert_eq!(home.status(id), parent);
}

#[test]
fn a_hook_inherits_folder_umask_and_environment_and_is_a_run_of_its_own() {
    let home = Home::new();
    let _daemon = home.daemon();
    fs::create_dir(home.path("here")).expect("the temp folder can be written");
    let line = "pwd; umask; echo $OWN; echo $RETRIER_RUN_ID $RETRIER_PARENT_ID $RETRIER_ATTEMPT";
    let call =
        home.sh("umask 027; exec retrier run --env OWN=mine --on-complete \"$LINE\" -- true");
    let call = call.env("LINE", line).cwd(home.path("here"));
    let id: i64 = call.output().ok().text().parse().expect("an id");
    assert_eq!(home.wait(id), 0);
    let hook = hook(&home, id);
    let said = home.retrier(["wait", &hook.to_string()]).output().ok();
    let here = home.path("here");
    let expected = format!("{}\n0027\nmine\n{hook} {id} 1", here.display());
    assert_eq!(said.text(), expected);
}

/// Processes of the parent hold a lock until the last of them is gone; the hook looks whether it is free.
#[test]
fn the_hook_of_a_canceled_running_run_starts_after_its_attempt_is_closed() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let grown = Gate::new(&home, "grown");
    let _daemon = home.daemon();
    let lock = home.path("journal");
    let look = format!(
        "flock -n '{}'/$RETRIER_PARENT_ID.lock true && echo free",
        lock.display()
    );
    let line = stubborn(&journal, &grown);
    let id = submit(&home, &look, &["--grace", "1s", "--shell", &line]);
    wait_until("the tree has grown", LONG, || grown.is_open());
    cancel(&home, id);
    let hook = hook(&home, id);
    wait_until("the attempt is closed", LONG, || {
        // In this order: what had started by then had started beside an open attempt.
        let started = numbers(&home.status(hook)).len();
        let open = outcomes(&home.status(id)) == ["open"];
        assert!(!open || started == 0, "started beside its parent");
        !open
    });
    let parent = home.status(id);
    let said = home.retrier(["wait", &hook.to_string()]).output().ok();
    assert_eq!(said.text(), "free");
    let document = home.status(hook);
    assert_eq!(
        outcomes(&document),
        ["exit 0"],
        "its first look found it free"
    );
    let ended = millis(&parent["attempts"][0]["ended_at"]);
    assert!(millis(&document["attempts"][0]["started_at"]) >= ended);
    assert_eq!(home.status(id)["result"]["type"], "canceled");
}

/// A hook that is held by an open attempt must not stay held when the daemon that was to release it dies.
#[test]
fn the_hook_of_a_canceled_attempt_is_released_by_the_next_daemon() {
    if skip(Need::Flock) {
        return;
    }
    for crash in ["pass_before_commit", "pass_committed"] {
        let home = Home::new();
        let journal = Journal::new(&home);
        let (line, sleeper) = (keeper(&home), journal.line("sleep 600; exit"));
        let mut daemon = home.daemon();
        let id = submit(&home, &line, &["--shell", &sleeper]);
        wait_until_started(&journal, id, 1);
        daemon.kill9();
        let killed = home.retrier(["cancel", &id.to_string()]);
        killed.crash("cancel_committed:1:kill").output().exits(137);
        assert!(given(&home, id).0.is_empty());
        // Its first pass sends SIGTERM, its second one closes the attempt and releases the hook.
        let second = home.retrier(["daemon", "--until-idle"]);
        second.crash(&format!("{crash}:2:kill")).output().exits(137);
        home.retrier(["daemon", "--until-idle"]).output().ok();
        assert_eq!(outcomes(&home.status(id)), ["canceled"], "{crash}");
        assert_eq!(given(&home, id).0, ["canceled"], "{crash}");
    }
}

#[test]
fn cleanup_of_the_parent_exits_4_until_its_hook_has_ended() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon();
    let id = submit(&home, &gate.line(), &["--", "true"]);
    assert_eq!(home.wait(id), 0);
    let hook = hook(&home, id);
    let cleanup = || home.retrier(["cleanup", &id.to_string()]).output();
    let refused = cleanup().exits(4).error_text();
    assert!(refused.contains(&format!("run {hook}")), "{refused}");
    home.retrier(["cleanup", "--older-than", "0s"])
        .output()
        .ok();
    assert_eq!(home.state(id), "succeeded", "a sweep leaves it too");
    gate.open();
    assert_eq!(home.wait(hook), 0);
    cleanup().ok();
    home.retrier(["status", &id.to_string()]).output().exits(3);
    assert_eq!(home.status(hook)["parent_id"], id, "the hook itself stays");
}
