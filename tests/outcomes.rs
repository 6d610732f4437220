//! How attempts end, and what `run --wait` and `status` tell of it.

mod timeouts;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Home, Output, proof, wait_until};

/// How many calls wait at the same time.
const CALLERS: usize = 8;

/// Makes `retrier run --wait --max-failures 0 --shell LINE` of each line, several at a time; gives their exit codes.
fn codes_of(home: &Home, lines: &BTreeMap<u8, String>) -> BTreeMap<u8, i32> {
    let lines: Vec<_> = lines.iter().collect();
    thread::scope(|scope| {
        let callers = lines.chunks(lines.len().div_ceil(CALLERS)).map(|share| {
            let each = |(key, line): &(&u8, &String)| (**key, run_once(home, line).code);
            scope.spawn(move || share.iter().map(each).collect::<Vec<_>>())
        });
        let callers: Vec<_> = callers.collect();
        let done = callers.into_iter().map(|caller| caller.join());
        done.flat_map(|codes| codes.expect("its calls end"))
            .collect()
    })
}

fn run_once(home: &Home, line: &str) -> Output {
    let args = ["run", "--wait", "--max-failures=0", "--shell", line];
    home.retrier(args).output()
}

/// The only outcome of every run, by its shell line.
fn outcomes_by_line(home: &Home) -> BTreeMap<String, Value> {
    let list = home.retrier(["list", "--json", "--limit", "1000"]).output();
    let text = list.ok().text();
    let runs = text.lines().map(|line| {
        let run: Value = serde_json::from_str(line).expect("a line is an object");
        let attempts = run["attempts"].as_array().expect("a list of attempts");
        assert_eq!(attempts.len(), 1, "{run}");
        let line = run["command"][2].as_str().expect("a shell line is text");
        (line.to_owned(), attempts[0]["outcome"].clone())
    });
    runs.collect()
}

/// The only attempt of run `id`.
fn only_attempt(home: &Home, id: i64) -> Value {
    let mut status = home.status(id);
    let attempts = status["attempts"].as_array_mut().expect("a list");
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    attempts.remove(0)
}

/// What `retrier status ID` tells people.
fn shown(home: &Home, id: i64) -> String {
    home.retrier(["status", &id.to_string()])
        .output()
        .ok()
        .text()
}

#[test]
fn every_exit_code_comes_back() {
    let home = Home::new();
    let _daemon = home.daemon();
    let lines: BTreeMap<u8, String> = (0..=255)
        .map(|code| (code, format!("exit {code}")))
        .collect();
    for (expected, code) in codes_of(&home, &lines) {
        assert_eq!(code, i32::from(expected));
        proof::holds("T18", 1, &[]);
    }
    let outcomes = outcomes_by_line(&home);
    assert_eq!(outcomes.len(), 256);
    for (code, line) in lines {
        assert_eq!(outcomes[&line], json!({ "type": "exit", "code": code }));
    }
}

#[test]
fn the_test_of_exit_codes_catches_one_that_loses_a_bit() {
    let (home, bug) = (Home::new(), "masks_exit_codes");
    let _daemon = home.daemon_with(&[], &[("RETRIER_BUG", bug)]);
    let code = run_once(&home, "exit 130").code;
    let found: Vec<String> = (code != 130)
        .then(|| format!("130 is {code}"))
        .into_iter()
        .collect();
    proof::catches("T18", bug, &found, |_| true);
}

#[test]
fn death_by_signal_gives_128_and_its_number() {
    let home = Home::new();
    let _daemon = home.daemon();
    // Not those that stop a process or do nothing by default, nor glibc's own 32 and 33.
    let ending = |number: &u8| !matches!(number, 17..=23 | 28 | 32 | 33);
    let lines: BTreeMap<u8, String> = (1..=64)
        .filter(ending)
        .map(|number| (number, format!("ulimit -c 0; kill -{number} $$; sleep 60")))
        .collect();
    for (number, code) in codes_of(&home, &lines) {
        assert_eq!(code, 128 + i32::from(number));
        proof::holds("T18", 1, &[]);
    }
    let outcomes = outcomes_by_line(&home);
    assert_eq!(outcomes.len(), lines.len());
    for (number, line) in lines {
        let expected = json!({ "type": "signal", "signal": number, "core": false });
        assert_eq!(outcomes[&line], expected);
    }
}

#[test]
fn status_tells_exit_137_from_sigkill_and_124_from_a_timeout() {
    let home = Home::new();
    let _daemon = home.daemon();
    let run = |args: &[&str], code: i32| {
        let call = home.retrier(["run", "--wait", "--json", "--max-failures=0"]);
        let call = args.iter().fold(call, |call, arg| call.arg(arg));
        let told = call.output().exits(code).json();
        told["id"].as_i64().expect("an id")
    };
    let exited = run(&["--shell", "exit 137"], 137);
    let killed = run(&["--shell", "kill -KILL $$"], 137);
    let plain = run(&["--shell", "exit 124"], 124);
    let timed_out = run(&["--timeout=10ms", "--", "sleep", "60"], 124);
    let exit = |code: u8| json!({ "type": "exit", "code": code });
    let signal = json!({ "type": "signal", "signal": 9, "core": false });
    for (id, outcome, words) in [
        (exited, exit(137), "exit 137"),
        (killed, signal, "SIGKILL"),
        (plain, exit(124), "exit 124"),
        (timed_out, json!({ "type": "timeout" }), "timeout"),
    ] {
        assert_eq!(only_attempt(&home, id)["outcome"], outcome);
        assert_eq!(home.status(id)["state"], "failed");
        assert!(shown(&home, id).contains(words), "{}", shown(&home, id));
    }
    assert!(!shown(&home, exited).contains("SIGKILL"));
    assert!(!shown(&home, killed).contains("exit 137"));
}

#[test]
fn a_later_wait_gives_the_same_code() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (line, code) in [("exit 42", 42), ("kill -TERM $$", 143), ("exit 0", 0)] {
        let id = home.run(["--max-failures=0", "--shell", line]);
        assert_eq!((home.wait(id), home.wait(id)), (code, code));
    }
}

#[test]
fn an_attempt_that_timed_out_is_charged_and_retried() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "echo begun $RETRIER_ATTEMPT; test $RETRIER_ATTEMPT = 2 || sleep 60";
    let limits = ["--timeout=1s", "--constant=1ms", "--shell", line];
    let output = home
        .retrier(["run", "--wait"].iter().chain(&limits))
        .output();
    assert_eq!(output.ok().text(), "begun 2");
    let status = home.status(1);
    assert_eq!(status["attempts"][0]["outcome"]["type"], "timeout");
    assert_eq!(status["failures"], 1);
}

/// Stores `command` without a check, lets it fail twice, and asserts the outcome `spawn` with this code and a text that
/// names `culprit`.
#[track_caller]
fn assert_cannot_be_executed(
    home: &Home,
    options: &[&str],
    command: &Path,
    code: u8,
    culprit: &str,
) {
    let call = home.retrier([
        "run",
        "--wait",
        "--no-check",
        "--attempts=2",
        "--constant=1ms",
    ]);
    let call = options.iter().fold(call, |call, option| call.arg(option));
    let output = call.arg("--").arg(command).output().exits(i32::from(code));
    assert_eq!(output.stdout, b"");
    assert!(
        output.error_text().contains(culprit),
        "{}",
        output.error_text()
    );
    let list = home.retrier(["list", "--json", "--limit=1"]).output().ok();
    let run = list.json();
    assert_eq!(run["state"], "failed");
    assert_eq!(run["result"]["reason"], "exhausted");
    let attempts = run["attempts"].as_array().expect("a list");
    assert_eq!(attempts.len(), 2);
    for attempt in attempts {
        let outcome = &attempt["outcome"];
        assert_eq!(outcome["type"], "spawn", "{attempt}");
        assert_eq!(outcome["code"], code, "{attempt}");
        let error = outcome["error"].as_str().expect("words");
        assert!(error.contains(culprit), "{error}");
        assert!(attempt["pid"].is_null(), "{attempt}");
    }
    proof::holds("T18", 1, &[]);
}

/// A file with this content and mode.
fn file(home: &Home, name: &str, content: &str, mode: u32) -> PathBuf {
    let path = home.path(name);
    fs::write(&path, content).expect("the temp folder can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    path
}

#[test]
fn a_command_that_cannot_be_executed_is_a_spawn_outcome_of_126_or_127() {
    let home = Home::new();
    let _daemon = home.daemon();
    let check = |command: &Path, code, culprit| {
        assert_cannot_be_executed(&home, &[], command, code, culprit);
    };
    check(Path::new("no-such-program"), 127, "no-such-program");
    check(Path::new("/no/such/program"), 127, "/no/such/program");
    let plain = file(&home, "plain", "#!/bin/sh\n", 0o644);
    check(&plain, 126, "plain");
    check(&home.path("home"), 126, "home");
    let foreign = file(&home, "foreign", "\x7fELF but not really", 0o755);
    check(&foreign, 126, "foreign");
    let script = file(&home, "script", "#!/no/such/interpreter\n", 0o755);
    check(&script, 127, "script");
}

#[test]
fn a_missing_folder_is_a_spawn_outcome_that_names_the_folder() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gone = home.path("gone").display().to_string();
    let option = format!("--cwd={gone}");
    assert_cannot_be_executed(&home, &[&option], Path::new("true"), 126, &gone);
    let plain = file(&home, "plain", "", 0o755).display().to_string();
    let option = format!("--cwd={plain}");
    assert_cannot_be_executed(&home, &[&option], Path::new("true"), 126, &plain);
}

#[test]
fn a_command_that_appears_between_two_attempts_is_executed() {
    let home = Home::new();
    let _daemon = home.daemon();
    let late = home.path("late");
    let call = home.retrier(["run", "--no-check", "--constant=50ms", "--forever", "--"]);
    call.arg(&late).output().ok();
    wait_until("an attempt has failed", Duration::from_secs(20), || {
        home.status(1)["failures"].as_u64().is_some_and(|n| n > 0)
    });
    let new = file(&home, "new", "#!/bin/sh\necho at last\n", 0o755);
    fs::rename(new, late).expect("both are in one folder");
    let output = home.retrier(["wait", "1"]).output().ok();
    assert_eq!(output.text(), "at last");
    assert_eq!(home.status(1)["attempts"][0]["outcome"]["type"], "spawn");
}

/// What a successful command leaves can put anything in the place of its output. A daemon that waited for a writer
/// there would serve nobody any more.
#[test]
fn an_output_that_becomes_a_fifo_does_not_keep_the_daemon_waiting() {
    let home = Home::new();
    let daemon = home.daemon();
    let (ready, swap, done) = (home.path("ready"), home.path("swap"), home.path("done"));
    let until = |path: &Path| format!("until [ -e '{}' ]; do sleep 0.02; done", path.display());
    let line = format!(
        "out=$(readlink /proc/$$/fd/1); echo said; mkfifo $out.fifo; : >'{}'; {}; \
         ({}; mv $out.fifo $out; : >'{}') & exit 0",
        ready.display(),
        until(&home.path("go")),
        until(&swap),
        done.display(),
    );
    let id = home.run(["--shell", &line]);
    let limit = Duration::from_secs(20);
    wait_until("it runs", limit, || ready.exists());
    daemon.pause();
    fs::write(home.path("go"), "").expect("the temp folder can be written");
    let recorded = || {
        let shims = fs::read_dir(home.path("retrier.db.d/shims")).expect("it is there");
        let mut records = shims.flatten().map(|file| fs::read(file.path()));
        records.any(|record| String::from_utf8_lossy(&record.unwrap_or_default()).contains("ended"))
    };
    wait_until("its end is recorded", limit, recorded);
    fs::write(swap, "").expect("the temp folder can be written");
    wait_until("its output is a FIFO", limit, || done.exists());
    daemon.resume();
    wait_until("the daemon has settled it", limit, || {
        home.state(id) == "succeeded"
    });
}
