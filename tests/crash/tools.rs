//! What the tests of crashes, cancels and hooks share: gates, stubborn commands, who is alive.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Home, Journal, Process, Running, wait_until};

/// How long anything may take that is bound to happen.
pub const LONG: Duration = Duration::from_secs(30);

/// A file that commands wait for.
pub struct Gate(PathBuf);

impl Gate {
    /// A closed one.
    pub fn new(home: &Home, name: &str) -> Gate {
        Gate(home.path(name))
    }

    /// A line of shell that waits until it is open.
    pub fn line(&self) -> String {
        format!("until [ -e '{}' ]; do sleep 0.05; done", self.0.display())
    }

    /// Lets all through, from now on.
    pub fn open(&self) {
        fs::write(&self.0, "").expect("the temp folder can be written");
    }

    /// Whether somebody has opened it.
    pub fn is_open(&self) -> bool {
        self.0.exists()
    }
}

/// A line of shell that neither ends by itself nor by SIGTERM, with a grandchild in a session of its own; it opens
/// `grown` when that grandchild is there.
pub fn stubborn(journal: &Journal, grown: &Gate) -> String {
    let grandchild = format!(
        "setsid sh -c ': >\"$0\"; sleep 600; exit' '{}' & sleep 600; exit",
        grown.0.display()
    );
    format!("trap '' TERM\n{}", journal.line(&grandchild))
}

/// The living processes of runs' commands: neither daemons nor shims.
pub fn commands(home: &Home) -> Vec<Process> {
    let all = home.processes().into_iter();
    all.filter(|process| !process.is_daemon() && !process.is_shim())
        .collect()
}

/// Waits until no process of any run's command is alive.
#[track_caller]
pub fn wait_until_no_command(home: &Home) {
    wait_until("every command is gone", LONG, || commands(home).is_empty());
}

/// Waits until the run has started so many attempts, by its own word.
#[track_caller]
pub fn wait_until_started(journal: &Journal, run: i64, attempts: usize) {
    wait_until("the attempt has started", LONG, || {
        journal.starts(run).len() >= attempts
    });
}

/// Waits until the run shows this state.
#[track_caller]
pub fn wait_until_state(home: &Home, run: i64, state: &str) {
    wait_until(&format!("run {run} is {state}"), LONG, || {
        home.state(run) == state
    });
}

/// Waits until the last attempt of the run is closed, and gives the run's document.
#[track_caller]
pub fn closed(home: &Home, run: i64) -> Value {
    wait_until(&format!("run {run} has no open attempt"), LONG, || {
        let attempts = home.status(run)["attempts"].clone();
        let last = attempts.as_array().and_then(|all| all.last().cloned());
        last.is_none_or(|last| !last["outcome"].is_null())
    });
    home.status(run)
}

/// Waits until this call catches SIGINT, which those do that begin to wait.
#[track_caller]
pub fn await_patience(call: &Running) {
    let status = format!("/proc/{}/status", call.pid());
    wait_until("it waits", LONG, || {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        caught.is_some_and(|mask| mask & (1 << (Signal::SIGINT as u64 - 1)) != 0)
    });
}

/// The pid of the one shim that there is.
#[track_caller]
pub fn shim(home: &Home) -> i32 {
    let shims: Vec<Process> = home
        .processes()
        .into_iter()
        .filter(Process::is_shim)
        .collect();
    let [shim] = &shims[..] else {
        panic!("not one shim: {shims:?}")
    };
    shim.pid
}

/// Sends a signal to a shim, which is nobody's child that could be reaped and replaced meanwhile.
pub fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process is alive");
}

/// Whether the process stands still, by its own SIGSTOP or another's. Only then a SIGCONT is not too early.
pub fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    let stat = stat.unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.starts_with(" T")
}

/// The numbers of the attempts, in order.
pub fn numbers(document: &Value) -> Vec<i64> {
    let attempts = document["attempts"].as_array().expect("a list of attempts");
    attempts
        .iter()
        .map(|attempt| attempt["number"].as_i64().expect("a number"))
        .collect()
}

/// How the attempts ended: the type, and after it the exit code if there is one.
pub fn outcomes(document: &Value) -> Vec<String> {
    let attempts = document["attempts"].as_array().expect("a list of attempts");
    let word = |outcome: &Value| match &outcome["code"] {
        Value::Null => outcome["type"].as_str().unwrap_or("open").to_owned(),
        code => format!("{} {code}", outcome["type"].as_str().expect("a type")),
    };
    attempts
        .iter()
        .map(|attempt| word(&attempt["outcome"]))
        .collect()
}

/// A time of a document in milliseconds since 1970.
#[track_caller]
pub fn millis(time: &Value) -> i64 {
    let text = time.as_str().unwrap_or_else(|| panic!("no time: {time}"));
    let time: jiff::Timestamp = text.parse().expect("RFC 3339");
    time.as_millisecond()
}

/// Asserts that the run's attempts are numbered from 1 without a gap, and that none was started twice or beside
/// another.
#[track_caller]
pub fn assert_nothing_ran_twice(home: &Home, journal: &Journal, run: i64) {
    let document = home.status(run);
    let known = numbers(&document);
    assert_eq!(known, (1..=known.len() as i64).collect::<Vec<_>>());
    let mut started: Vec<i64> = journal
        .starts(run)
        .iter()
        .map(|start| start.attempt.into())
        .collect();
    assert!(
        started.iter().all(|number| known.contains(number)),
        "{started:?} of {known:?}"
    );
    let count = started.len();
    started.sort_unstable();
    started.dedup();
    assert_eq!(
        started.len(),
        count,
        "an attempt was started twice: {started:?}"
    );
    journal.assert_no_overlap();
}
