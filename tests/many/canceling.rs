//! `cancel --all`: which runs are meant, and what becomes of them.

use crate::crash::tools::{Gate, LONG, await_patience, closed, outcomes, wait_until_state};
use crate::support::{Home, Need, skip, wait_until};

use super::{counts, dry, numbers, quietly, set_pool, states};

#[test]
fn all_unfinished_runs_are_canceled_but_no_hook_and_nothing_that_has_ended() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon();
    let ended = home.run(["--", "true"]);
    let failed = home.run([
        "--max-failures",
        "0",
        "--on-complete",
        "true",
        "--",
        "false",
    ]);
    assert_eq!((home.wait(ended), home.wait(failed)), (0, 1));
    let hook = home.status(failed)["hook_id"].as_i64().expect("a hook");
    wait_until_state(&home, hook, "succeeded");
    set_pool(&home, "hooks", true);
    let running = home.run(["--on-complete", "true", "--shell", &gate.line()]);
    wait_until_state(&home, running, "running");
    let later = home.run(["--delay", "1h", "--on-complete", "true", "--", "true"]);
    let backing_off = ["--initial-backoff", "1h", "--jitter", "0", "--", "false"];
    let backing_off = home.run(backing_off);
    wait_until_state(&home, backing_off, "scheduled");
    let args = ["cancel", "--all"];
    assert_eq!(dry(&home, &args), [running, later, backing_off]);
    assert_eq!(quietly(&home, &args).text(), "");
    assert_eq!(outcomes(&closed(&home, running)), ["canceled"]);
    for id in [running, later, backing_off] {
        assert_eq!(home.state(id), "canceled");
    }
    assert_eq!(
        (home.state(ended), home.state(failed)),
        ("succeeded".into(), "failed".into())
    );
    // The hooks of two of them wait, and are not meant.
    assert!(dry(&home, &args).is_empty());
    quietly(&home, &args);
    let said = home
        .retrier(["cancel", "--all", "--pool", "hooks"])
        .output()
        .ok();
    assert_eq!(
        said.error_text(),
        "retrier: hooks are never among all runs; name them by their ids\n"
    );
    set_pool(&home, "hooks", false);
    home.retrier(["daemon", "stop"]).output().ok();
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert_eq!(
        states(&home),
        counts(&[("canceled", 3), ("failed", 1), ("succeeded", 4)])
    );
}

/// Queued is what `status` calls so: due, whether a daemon has seen that yet, a lock keeps it, or a slot.
#[test]
fn a_state_a_pool_and_a_name_mean_what_status_and_run_say() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let daemon = home.daemon_with(&["--parallel", "1"], &[]);
    set_pool(&home, "mail", false);
    let running = home.run(["--lock", "l", "--name", "n", "--shell", &gate.line()]);
    wait_until_state(&home, running, "running");
    let locked = home.run(["--lock", "l", "--pool", "mail", "--", "true"]);
    let ready = home.run(["--name", "n", "--pool", "mail", "--", "true"]);
    let later = home.run(["--delay", "1h", "--name", "n", "--", "true"]);
    daemon.await_rest();
    daemon.pause();
    let unseen = home.run(["--name", "m", "--", "true"]);
    let ids = [running, locked, ready, later, unseen];
    for word in ["scheduled", "queued", "running"] {
        let so: Vec<i64> = ids
            .into_iter()
            .filter(|id| home.state(*id) == word)
            .collect();
        assert!(!so.is_empty(), "{word}");
        assert_eq!(
            dry(&home, &["cancel", "--all", "--state", word]),
            so,
            "{word}"
        );
    }
    for (filters, expected) in [
        (&["--pool", "mail"][..], &[locked, ready][..]),
        (&["--pool", "default"], &[running, later, unseen]),
        (&["--name", "n"], &[running, ready, later]),
        (&["--name", "nobody"], &[]),
        (&["--pool", "mail", "--name", "n"], &[ready]),
        (&["--pool", "default", "--state", "queued"], &[unseen]),
        (&["--pool", "default", "--state", "running"], &[running]),
        (&["--pool", "mail", "--state", "scheduled"], &[]),
        (&["--name", "n", "--state", "scheduled"], &[later]),
    ] {
        let args = [&["cancel", "--all"], filters].concat();
        assert_eq!(dry(&home, &args), expected, "{filters:?}");
    }
    let only = [
        "cancel", "--all", "--name", "n", "--state", "queued", "--pool", "mail",
    ];
    assert_eq!(quietly(&home, &only).text(), "");
    let canceled: Vec<i64> = ids
        .into_iter()
        .filter(|id| home.state(*id) == "canceled")
        .collect();
    assert_eq!(canceled, [ready]);
    daemon.resume();
}

#[test]
fn nothing_unfinished_is_no_error_and_makes_no_database() {
    let home = Home::new();
    let args = ["cancel", "--all"];
    quietly(&home, &args);
    assert!(!home.db().exists(), "a cancel has made a database");
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    quietly(&home, &args);
    quietly(&home, &args);
    assert_eq!(states(&home), counts(&[("canceled", 1)]));
    home.assert_no_process_left();
}

/// Nobody else would end what runs.
#[test]
fn a_daemon_is_started_when_something_runs_and_none_is_there() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let mut daemon = home.daemon();
    let id = home.run(["--shell", &gate.line()]);
    wait_until("it runs", LONG, || {
        home.status(id)["attempts"][0]["pid"].is_i64()
    });
    daemon.kill9();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    quietly(&home, &["cancel", "--all"]);
    assert_eq!(outcomes(&closed(&home, id)), ["canceled"]);
    assert_eq!(states(&home), counts(&[("canceled", 2)]));
    home.retrier(["daemon", "stop"]).output().ok();
}

#[test]
fn who_waits_for_one_of_them_is_told() {
    let home = Home::new();
    let daemon = home.daemon();
    let id = home.run(["--delay", "1h", "--", "true"]).to_string();
    let waits = home.retrier(["wait", &id]).spawn();
    await_patience(&waits);
    daemon.await_rest();
    quietly(&home, &["cancel", "--all"]);
    let said = waits.wait().exits(130).error_text();
    assert!(said.contains("was canceled"), "{said}");
}

#[test]
fn how_many_were_canceled_is_told_to_a_terminal() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    let later = ["--no-daemon-start", "--delay", "1h", "--", "true"];
    let ids = [home.run(later), home.run(later)];
    let line = "retrier cancel --all --dry-run 2>note; cat note; \
                script -qec 'retrier cancel --all --dry-run; retrier cancel --all; retrier cancel --all' /dev/null";
    let said = home.sh(line).cwd(home.path("")).output().ok().text();
    let ids = format!("{}\r\n{}\r\n", ids[0], ids[1]);
    let [in_pipe, on_terminal] = said.split("\n1\r").collect::<Vec<_>>()[..] else {
        panic!("{said:?}")
    };
    assert_eq!(in_pipe, "1\n2");
    let expected = format!(
        "{ids}retrier: 2 runs would be canceled\r\nretrier: 2 runs canceled\r\nretrier: no run canceled"
    );
    assert_eq!(format!("1\r{on_terminal}"), expected);
}

#[test]
fn a_dry_run_prints_ids_that_other_verbs_take() {
    let home = Home::new();
    for _ in 0..3 {
        home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    }
    let line = "retrier cancel --all --dry-run | xargs retrier status --json | jq .id";
    let line = line.replace("| jq .id", "| grep -o '\"id\":[0-9]*' | cut -d: -f2");
    assert_eq!(numbers(&home.sh(line).output().ok()), [1, 2, 3]);
}
