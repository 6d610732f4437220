//! Looking at runs. Here: `status`, for people and for scripts.

mod hostile;
mod listing;
mod mail;
mod output;
mod pipes;
mod terminal;
mod waiting;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Home, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// Waits until the command of this run has started.
#[track_caller]
fn await_running(home: &Home, id: i64) {
    wait_until("it runs", LONG, || home.state(id) == "running");
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn status_tells_people_what_was_asked_what_happened_and_what_comes_next() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "echo hi; exit $((RETRIER_ATTEMPT == 1 ? 3 : 0))";
    let done = home.run(["--name", "nightly", "--constant", "50ms", "--shell", line]);
    let failed = home.run(["--max-failures", "0", "--", "sh", "-c", "kill -9 $$"]);
    let delayed = home.run(["--delay", "2h", "--", "true"]);
    let running = home.run(["--", "sleep", "600"]);
    assert_eq!((home.wait(done), home.wait(failed)), (0, 137));
    await_running(&home, running);
    let page = |id: i64| {
        home.retrier(["status", &id.to_string()])
            .output()
            .ok()
            .text()
    };
    #[track_caller]
    fn assert_holds(page: &str, parts: &[&str]) {
        for part in parts {
            assert!(page.contains(part), "no {part:?} in\n{page}");
        }
    }
    let shown = page(done);
    assert!(
        shown.starts_with(&format!("run {done}  succeeded  nightly\n")),
        "{shown}"
    );
    assert_holds(&shown, &["\ncommand   /bin/sh -c "]);
    assert_holds(
        &shown,
        &[
            "attempts  2\n",
            "exit 3, then a wait of ",
            "  #  started ",
            "  exit 0\n",
        ],
    );
    assert_holds(
        &shown,
        &[
            "result    success, stdout begins: hi\n",
            "ended     ",
            "stored    ",
        ],
    );
    assert_holds(
        &page(failed),
        &[
            "why       failed: attempt 1 was ended by SIGKILL, it has no retries\n",
            "run 2  failed (exhausted)\n",
            "signal 9 (SIGKILL)",
        ],
    );
    assert_holds(
        &page(delayed),
        &[
            "  scheduled\n",
            "why       waiting: starts at ",
            " in 1h 59m\n",
        ],
    );
    assert_holds(
        &page(running),
        &[
            "why       running: attempt 1 of 5 since ",
            "attempts  1 of 5\n",
            "pid ",
        ],
    );
}

#[test]
fn status_tells_how_the_hook_fares_as_long_as_that_is_stored() {
    let home = Home::new();
    let _daemon = home.daemon();
    let hooked = |line: &str| {
        let id = home.run(["--max-failures", "0", "--on-complete", line, "--", "true"]);
        home.wait(id);
        let hook = home.status(id)["hook_id"].as_i64().expect("a hook");
        home.wait(hook);
        (hook, id.to_string())
    };
    let page = |id: &str| home.retrier(["status", id]).output().ok().text();
    let (hook, id) = hooked("exit 0");
    assert!(page(&id).contains(&format!("\nhook      run {hook}, succeeded\n")));
    home.retrier(["cleanup", &hook.to_string()]).output().ok();
    assert!(page(&id).contains(&format!("\nhook      run {hook}\n")));
    let (hook, id) = hooked("echo '{\"retry\":false}' > $RETRIER_DECISION; exit 3");
    assert!(page(&id).contains(&format!("\nhook      run {hook}, failed (stopped)\n")));
}

/// The fields that scripts may rely on.
const FIELDS: &str = "version id state command cwd name created_at due_at finished_at failures policy attempts \
    parent_id hook_id result";

#[test]
fn status_json_has_every_field_of_a_run() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "printf out; exit $((RETRIER_ATTEMPT == 1 ? 7 : 0))";
    let words = "--name n --constant 60ms --jitter 0 --timeout 5m --on-complete true --shell";
    let id = home.run(words.split(' ').chain([line]));
    assert_eq!(home.wait(id), 0);
    let run = home.status(id);
    for field in FIELDS.split(' ') {
        assert!(run.get(field).is_some(), "no {field} in {run}");
    }
    for (field, expected) in [
        ("version", json!(1)),
        ("id", json!(id)),
        ("state", json!("succeeded")),
        ("name", json!("n")),
        ("command", json!(["/bin/sh", "-c", line])),
        ("failures", json!(1)),
        ("due_at", Value::Null),
        ("parent_id", Value::Null),
        ("result", json!({"type": "success", "return_value": "out"})),
    ] {
        assert_eq!(run[field], expected, "{field}");
    }
    let policy = &run["policy"];
    assert_eq!(policy["max_failures"], 4);
    assert_eq!(policy["timeout_ms"], 300_000);
    let hook = run["hook_id"].as_i64().expect("it has a hook");
    assert_eq!(home.status(hook)["parent_id"], id);
}

#[test]
fn status_json_tells_of_every_attempt_when_it_ran_and_how_it_ended() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "exit $((RETRIER_ATTEMPT == 1 ? 7 : 0))";
    let id = home.run(["--constant", "60ms", "--shell", line]);
    assert_eq!(home.wait(id), 0);
    let run = home.status(id);
    let attempts = run["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    let mut times = vec![run["created_at"].as_str().unwrap()];
    for (attempt, (number, code)) in attempts.iter().zip([(1, 7), (2, 0)]) {
        assert_eq!(attempt["number"], number);
        assert_eq!(attempt["outcome"], json!({"type": "exit", "code": code}));
        let pid = attempt["pid"].as_i64();
        assert!(pid.is_some_and(|pid| pid > 1), "{attempt}");
        times.extend(["started_at", "ended_at"].map(|field| attempt[field].as_str().unwrap()));
    }
    times.push(run["finished_at"].as_str().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    let utc_ms = |time: &&str| time.len() == 24 && time.ends_with('Z');
    assert!(times.iter().all(utc_ms), "{times:?}");
}

#[test]
fn status_answers_in_the_order_asked_and_names_the_database_of_an_unknown_run() {
    let home = Home::new();
    let empty = home.retrier(["status", "1"]).output().exits(3);
    assert!(
        empty
            .error_text()
            .contains(&home.db().display().to_string())
    );
    for _ in 0..3 {
        home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    }
    let asked = home
        .retrier(["status", "--json", "3", "17", "1", "2"])
        .output()
        .exits(3);
    let text = asked.text();
    let ids = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone());
    assert_eq!(ids.collect::<Vec<_>>(), [3, 1, 2]);
    let told = asked.error_text();
    let names = told.contains("no run 17") && told.contains(&home.db().display().to_string());
    assert!(names, "{told}");
    let pages = home.retrier(["status", "3", "1"]).output().ok().text();
    assert!(pages.find("run 3  ").unwrap() < pages.find("run 1  ").unwrap());
    for wrong in ["0", "-1", "x", "1.5"] {
        home.retrier(["status", wrong]).output().exits(2);
    }
    home.retrier(["status"]).output().exits(2);
}

#[test]
fn what_is_not_utf8_is_base64_in_json() {
    let home = Home::new();
    let _daemon = home.daemon();
    let folder = home.path(OsStr::from_bytes(b"\xff"));
    fs::create_dir(&folder).unwrap();
    let call = home
        .retrier(["run", "--", "printf", "%b"])
        .arg(OsStr::from_bytes(b"\\0377\xfe"));
    let id: i64 = call.cwd(&folder).output().ok().text().parse().unwrap();
    assert_eq!(home.wait(id), 0);
    let run = home.status(id);
    assert_eq!(
        run["command"],
        json!(["printf", "%b", {"base64": "XDAzNzf+"}])
    );
    assert_eq!(run["result"]["return_value"], json!({"base64": "//4="}));
    assert!(run["cwd"]["base64"].is_string(), "{}", run["cwd"]);
}

#[test]
fn a_look_shows_one_moment_whatever_is_forgotten_meanwhile() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (look, nth) in [
        (&["status", "--json"][..], 1),
        // Its first look is for nobody.
        (&["wait", "--json"], 2),
        (&["list", "--json"], 1),
    ] {
        let id = home.run(["--", "true"]);
        assert_eq!(home.wait(id), 0);
        let text = id.to_string();
        let named = look[0] != "list";
        let args = look.iter().copied().chain(named.then_some(text.as_str()));
        let slow = home
            .retrier(args)
            .crash(&format!("read_attempts:{nth}:stop"));
        let slow = slow.spawn();
        let stat = format!("/proc/{}/stat", slow.pid());
        wait_until("it stands between its two reads", LONG, || {
            fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
        });
        home.retrier(["cleanup", &text]).output().ok();
        slow.signal(Signal::SIGCONT);
        let seen = slow.wait().ok().json();
        assert_eq!(seen["id"], id);
        let attempts = seen["attempts"].as_array().map(Vec::len);
        assert_eq!(attempts, Some(1), "{}: {seen}", look[0]);
    }
}
