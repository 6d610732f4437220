//! Clients that wait while another program writes: the world goes on meanwhile.

use std::fs;

use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::Value;

use crate::crash::tools::{LONG, is_stopped, millis, wait_until_state};
use crate::support::{Home, Running, wait_until, wall_ns};

/// Somebody who has the database for himself.
struct Writer(Connection);

impl Writer {
    fn hold(home: &Home) -> Self {
        let connection = Connection::open(home.db()).expect("it is there");
        let held = connection.execute_batch("BEGIN IMMEDIATE");
        held.expect("nobody else writes");
        Self(connection)
    }

    fn let_go(self) {
        self.0.execute_batch("COMMIT").expect("it is held");
    }
}

/// What the process has open.
fn open_files(pid: i32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter();
    let targets = links
        .flatten()
        .flatten()
        .filter_map(|link| fs::read_link(link.path()).ok());
    targets
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

/// A call that has called the daemon and waits for the database.
#[track_caller]
fn waiting(home: &Home, words: &str) -> Running {
    let call = home.retrier(words.split(' ')).spawn();
    wait_until(
        "it has called the daemon and opened the database",
        LONG,
        || {
            let open = open_files(call.pid());
            let has = |is: &dyn Fn(&str) -> bool| open.iter().any(|target| is(target));
            has(&|target| target.ends_with("retrier.db-wal"))
                && has(&|target| target.starts_with("socket:"))
        },
    );
    call
}

fn now_ms() -> i64 {
    wall_ns() / 1_000_000
}

/// A time that was read before others had let go of the database can lie before what they have written.
#[test]
fn what_waits_for_the_database_happens_when_it_has_it() {
    let home = Home::new();
    let _daemon = home.daemon();
    let ids = [(); 2].map(|()| home.run(["--delay", "1h", "--", "true"]));
    let writer = Writer::hold(&home);
    let calls = [
        waiting(&home, &format!("retry {}", ids[0])),
        waiting(&home, &format!("cancel {}", ids[1])),
        waiting(&home, "run --delay 1h --deadline 2h -- true"),
    ];
    let released = now_ms() + 300;
    wait_until("time has passed", LONG, || now_ms() >= released);
    writer.let_go();
    let said = calls.map(|call| call.wait().ok().text());
    for (id, kind) in ids.into_iter().zip(["retried", "canceled"]) {
        let call = home.retrier(["events", "--json", &id.to_string()]);
        let text = call.output().ok().text();
        let mut events = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let event = events.find(|event| event["kind"] == kind);
        let at = millis(&event.expect("it is told")["at"]);
        assert!(at >= released, "{kind} at {at}, released at {released}");
    }
    let run = home.status(said[2].trim().parse().expect("an id"));
    let hour = 3_600_000;
    let [created, due, deadline] =
        ["created_at", "due_at", "deadline_at"].map(|name| millis(&run[name]));
    assert!(created >= released, "{run}");
    assert_eq!((due, deadline), (created + hour, created + 2 * hour));
}

/// The daemon that was called is gone, and the next one has looked before there was anything to see.
#[test]
fn what_is_committed_after_the_daemon_was_replaced_is_seen_by_the_next() {
    let home = Home::new();
    home.retrier(["pool", "set", "shut", "--parallel", "0"])
        .output()
        .ok();
    let scheduled = home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    let shut = home.run(["--no-daemon-start", "--pool", "shut", "--", "true"]);
    let hook = [
        "--no-daemon-start",
        "--delay",
        "1h",
        "--on-complete",
        "true",
        "--",
        "true",
    ];
    let hooked = home.run(hook);
    let retry = format!("retry {scheduled}");
    let cancel = format!("cancel {hooked}");
    let verbs = ["run -- true", &retry, "pool set shut --parallel 1", &cancel];
    for words in verbs {
        let mut first = home.daemon();
        let writer = Writer::hold(&home);
        let call = waiting(&home, words);
        call.signal(Signal::SIGSTOP);
        wait_until("it stands still", LONG, || is_stopped(call.pid()));
        writer.let_go();
        assert_eq!(first.stop(), 0);
        let mut second = home.daemon();
        // It has looked, and waits for somebody to call.
        assert_eq!(home.wait(home.run(["--", "true"])), 0);
        call.signal(Signal::SIGCONT);
        let said = call.wait().ok().text();
        let seen = match words.split(' ').next() {
            Some("run") => said.trim().parse().expect("an id"),
            Some("retry") => scheduled,
            Some("pool") => shut,
            _ => home.status(hooked)["hook_id"].as_i64().expect("it has one"),
        };
        wait_until_state(&home, seen, "succeeded");
        assert_eq!(second.stop(), 0);
    }
}

/// What is said of runs must be true after a power cut as well, whoever has written it.
#[test]
fn nothing_is_said_of_what_others_have_written_before_it_is_synced() {
    let home = Home::new();
    let done = home.run(["--no-daemon-start", "--", "true"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    let done = done.to_string();
    let lines = "true\n{\"command\":[\"true\"],\"key\":\"k\"}\n";
    fs::write(home.path("batch"), lines).expect("the temp folder can be written");
    let says = |words: &[&str], code: i32| {
        let call = |fate: &str| home.retrier(words).crash(fate).cwd(home.path("")).output();
        let killed = call("store_sync:1:kill");
        assert_eq!(
            (killed.code, killed.error_text()),
            (137, String::new()),
            "{words:?}"
        );
        assert_eq!(call("store_sync:99:kill").code, code, "{words:?}");
    };
    says(&["wait", "--all"], 0);
    says(&["cancel", &done], 4);
    says(&["cancel", "--all"], 0);
    home.run([
        "--no-daemon-start",
        "--key",
        "k",
        "--delay",
        "1h",
        "--",
        "true",
    ]);
    says(&["run", "--if-exists", "fail", "--batch", "batch"], 4);
}
