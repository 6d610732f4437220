//! The program and its next version on one database at once. The next version is this program with
//! `RETRIER_FAKE_LAYOUT`, which knows one more layout.

use std::fs;
use std::thread;

use serde_json::json;

use super::{NEWEST, beside, content, layout};
use crate::crash::tools::{Gate, LONG, outcomes, wait_until_started};
use crate::support::{Call, Home, Journal, wait_until};

/// A call of the next version.
fn next(home: &Home, args: &[&str]) -> Call {
    home.retrier(args).env("RETRIER_FAKE_LAYOUT", "1")
}

#[test]
fn the_daemon_of_the_earlier_version_makes_room_and_its_attempts_go_on() {
    let home = Home::new();
    let journal = Journal::new(&home);
    let gate = Gate::new(&home, "gate");
    let mut daemon = home.daemon();
    let line = journal.line(&gate.line());
    let running = home.run(["--max-failures", "0", "--shell", &line]);
    let waiting = home.run(["--delay", "1h", "--", "true"]);
    wait_until_started(&journal, running, 1);
    let listed = next(&home, &["list"]).output().ok();
    assert!(listed.error_text().contains("before-layout-6.db"));
    assert_eq!(daemon.wait(LONG), 1);
    let said = daemon.errors();
    assert!(
        said.contains("was written by a newer retrier (layout 6, this one knows 5)"),
        "{said}"
    );
    // Another one took its place, without anybody asking for it.
    let status = next(&home, &["daemon", "status"]).output().ok();
    assert!(!status.text().contains(&format!("daemon {} ", daemon.pid())));
    gate.open();
    let id = running.to_string();
    next(&home, &["wait", &id]).output().ok();
    let run = next(&home, &["status", "--json", &id]).output().ok().json();
    assert_eq!(outcomes(&run), ["exit 0"]);
    assert_eq!(journal.starts(running).len(), 1);
    let id = waiting.to_string();
    let run = next(&home, &["status", "--json", &id]).output().ok().json();
    assert_eq!(run["state"], json!("scheduled"));
}

#[test]
fn the_earlier_version_refuses_the_next_layout_and_changes_nothing() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    next(&home, &["list"]).output().ok();
    let before = content(home.db());
    for (verb, code) in [
        (&["run", "--", "true"][..], 1),
        (&["list"], 1),
        (&["cancel", "1"], 1),
        (&["wait", "1"], 125),
        (&["daemon"], 1),
        (&["backup", "copy.db"], 1),
    ] {
        let refused = home
            .retrier(verb)
            .cwd(home.path("home"))
            .output()
            .exits(code);
        let said = refused.error_text();
        assert!(
            said.contains("was written by a newer retrier (layout 6, this one knows 5)"),
            "{said}"
        );
        assert!(said.contains("upgrade retrier"), "{said}");
    }
    assert!(content(home.db()) == before);
    // What was kept is what the earlier one can use.
    let kept = &beside(&home, "before-layout-6")[0];
    assert_eq!(layout(kept), NEWEST);
}

#[test]
fn a_client_that_has_it_open_while_the_layout_changes_writes_nothing_more() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    // It stands between opening and beginning to write.
    let late = home.retrier(["run", "--no-daemon-start", "--", "true"]);
    let late = late.crash("store_opened:1:sleep=1500").spawn();
    wait_until("it has it open", LONG, || {
        let open = format!("/proc/{}/fd", late.pid());
        let links = fs::read_dir(open).into_iter().flatten().flatten();
        let mut links = links.filter_map(|entry| fs::read_link(entry.path()).ok());
        links.any(|link| link.ends_with("retrier.db-wal"))
    });
    next(&home, &["list"]).output().ok();
    let said = late.wait().exits(1).error_text();
    assert!(said.contains("newer retrier"), "{said}");
    let listed = next(&home, &["list"]).output().ok().text();
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

/// A copy that lacked what was told would lose it, if it had to be put back.
#[test]
fn what_the_earlier_version_stores_while_the_layout_changes_is_in_the_kept_copy_or_refused() {
    for point in ["store_migrating", "copy_step", "store_copied"] {
        let home = Home::new();
        let first = home.run(["--no-daemon-start", "--", "true"]);
        let slow = next(&home, &["list"])
            .crash(&format!("{point}:1:sleep=700"))
            .spawn();
        let open = format!("/proc/{}/fd", slow.pid());
        wait_until("it has begun", LONG, || {
            let links = fs::read_dir(&open).into_iter().flatten().flatten();
            let mut links = links.filter_map(|entry| fs::read_link(entry.path()).ok());
            links.any(|link| link.ends_with("retrier.db.d/migration"))
        });
        let meanwhile = home
            .retrier(["run", "--no-daemon-start", "--", "true"])
            .output();
        slow.wait().ok();
        let mut told = vec![first];
        match meanwhile.code {
            0 => told.push(meanwhile.text().parse().expect("an id")),
            1 => assert!(
                meanwhile.error_text().contains("newer retrier"),
                "{meanwhile:?}"
            ),
            other => panic!("{other}: {meanwhile:?}"),
        }
        let kept = content(&beside(&home, "before-layout-6")[0]);
        assert_eq!(kept["run"].len(), told.len(), "{point}");
        assert!(content(home.db())["run"].len() == told.len(), "{point}");
    }
}

#[test]
fn both_versions_at_once_lose_and_double_nothing() {
    let home = Home::new();
    let _daemon = home.daemon();
    let ran = home.path("ran");
    let line = format!("echo $RETRIER_RUN_ID >> '{}'", ran.display());
    home.run(["--shell", &line]);
    let told: Vec<(bool, i32, String, String)> = thread::scope(|scope| {
        let calls = (0..12).map(|number| {
            let (home, line) = (&home, &line);
            scope.spawn(move || {
                let is_next = number % 3 == 2;
                let args = ["run", "--shell", line];
                let call = if is_next {
                    next(home, &args)
                } else {
                    home.retrier(args)
                };
                let said = call.output();
                (is_next, said.code, said.text(), said.error_text())
            })
        });
        let calls: Vec<_> = calls.collect();
        let told = calls.into_iter().map(|call| call.join().expect("no panic"));
        told.collect()
    });
    let mut stored = vec!["1".to_owned()];
    for (is_next, code, id, said) in told {
        match code {
            0 => stored.push(id),
            1 => assert!(!is_next && said.contains("newer retrier"), "{said}"),
            other => panic!("{other}: {said}"),
        }
    }
    assert!(stored.len() >= 5, "{stored:?}");
    next(&home, &["wait", "--all"]).output().ok();
    for id in &stored {
        let run = next(&home, &["status", "--json", id]).output().ok().json();
        assert_eq!(run["state"], json!("succeeded"), "{run}");
    }
    let ran = fs::read_to_string(&ran).expect("it is there");
    let mut ran: Vec<&str> = ran.lines().collect();
    ran.sort_unstable();
    stored.sort_unstable();
    assert_eq!(ran, stored);
    assert_eq!(layout(home.db()), NEWEST + 1);
    content(home.db());
}

#[test]
fn the_next_version_in_the_foreground_takes_over_from_the_earlier_one() {
    let home = Home::new();
    let id = home.run(["--delay", "1h", "--", "true"]);
    let mut earlier = home.daemon();
    let mut later = home.daemon_with(&[], &[("RETRIER_FAKE_LAYOUT", "1")]);
    assert_eq!(earlier.wait(LONG), 1);
    assert_eq!(layout(home.db()), NEWEST + 1);
    let listed = next(&home, &["list"]).output().ok().text();
    assert!(listed.starts_with(&format!("{id}\tscheduled")), "{listed}");
    assert_eq!(later.stop(), 0);
}
