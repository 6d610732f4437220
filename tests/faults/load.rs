//! What the tests under load share: clients that write down every call with what it said, and the checker of it all.

mod bites;
mod checker;
mod looks;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Call, Entry, Home, Journal, holds_within, wall_ns};

pub use checker::violations;

/// What a client wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Run,
    /// With a key: it may be told a run that is there already.
    RunWithKey,
    RunAndWait,
    Wait,
    /// `status --json` or `list --json`.
    Look,
    Logs,
    Cancel,
    Cleanup,
    /// By hand.
    Retry,
}

/// What a client knows after its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It was done.
    Ok,
    /// It was surely not done.
    Fail,
    /// It may have been done.
    Unknown,
}

/// One call and what it said.
#[derive(Clone, Debug)]
pub struct Record {
    pub op: Op,
    /// The run that it is about: named by the caller, or told by the call.
    pub id: Option<i64>,
    /// Wall time in nanoseconds: before the call was made, and after it had ended.
    pub t0: i64,
    pub t1: i64,
    /// The exit code; 128+n when signal n ended it.
    pub exit: i32,
    pub out: String,
    pub err: String,
}

impl Record {
    /// Whether it was to store a run.
    pub fn is_submission(&self) -> bool {
        matches!(self.op, Op::Run | Op::RunWithKey | Op::RunAndWait)
    }

    /// What the caller knows. A run whose number was told is stored, whatever came then.
    pub fn class(&self) -> Class {
        match (self.op, self.exit) {
            (Op::Run | Op::RunWithKey | Op::RunAndWait, _) if self.id.is_some() => Class::Ok,
            (Op::Run | Op::RunWithKey, 1..=4 | 126 | 127) | (Op::RunAndWait, 126 | 127) => {
                Class::Fail
            }
            (Op::Run | Op::RunWithKey | Op::RunAndWait, _) => Class::Unknown,
            (_, 0) => Class::Ok,
            (Op::Cancel | Op::Cleanup | Op::Retry, 2..=4) => Class::Fail,
            (Op::Cancel | Op::Cleanup | Op::Retry, _) => Class::Unknown,
            (Op::Wait | Op::Look | Op::Logs, _) => Class::Fail,
        }
    }

    /// The runs that it showed. A call that was killed may have printed a part.
    pub fn documents(&self) -> Vec<Value> {
        if !matches!(self.op, Op::Look | Op::Wait | Op::RunAndWait) {
            return Vec::new();
        }
        let lines = self.out.lines().map(serde_json::from_str);
        let known: Result<Vec<Value>, _> = lines
            .filter(|line| line.is_ok() || self.exit < 128)
            .collect();
        known.unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.out))
    }
}

/// Clients of one home; what they call is written down.
#[derive(Debug)]
pub struct Clients<'h> {
    home: &'h Home,
    bug: &'h str,
    calls: Mutex<Vec<Record>>,
}

impl<'h> Clients<'h> {
    /// Clients of a program with this deliberate bug; "" is none.
    pub fn new(home: &'h Home, bug: &'h str) -> Clients<'h> {
        let calls = Mutex::default();
        Clients { home, bug, calls }
    }

    /// A call that is not made yet.
    pub fn call(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Call {
        self.home.retrier(args).env("RETRIER_BUG", self.bug)
    }

    /// A line of shell that calls it.
    pub fn shell(&self, line: &str) -> Call {
        self.home.sh(line).env("RETRIER_BUG", self.bug)
    }

    /// Makes a call and writes it down; after `patience`, if given, it is killed.
    pub fn make(
        &self,
        (op, id): (Op, Option<i64>),
        args: &[&str],
        patience: Option<Duration>,
    ) -> Record {
        let t0 = wall_ns();
        let mut running = self.call(args).spawn();
        if let Some(patience) = patience
            && !holds_within(patience, || !running.is_running())
        {
            running.kill9();
        }
        let output = running.wait();
        let mut record = Record {
            op,
            id,
            t0,
            t1: wall_ns(),
            exit: output.code,
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: output.error_text(),
        };
        match op {
            // A line that is cut short may be a part of the number.
            Op::Run | Op::RunWithKey if record.out.ends_with('\n') => {
                record.id = record.out.trim().parse().ok();
            }
            Op::RunAndWait => {
                record.id = record
                    .documents()
                    .first()
                    .and_then(|run| run["id"].as_i64());
            }
            _ => {}
        }
        self.calls
            .lock()
            .expect("nobody panics while holding it")
            .push(record.clone());
        record
    }

    /// Stores a batch of so many runs, one for each of these lines, and writes down a call for each. Gives the ids that
    /// were told; after `patience`, if given, it is killed.
    pub fn make_batch(
        &self,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        (lines, runs): (String, usize),
        patience: Option<Duration>,
    ) -> Vec<i64> {
        let t0 = wall_ns();
        let mut running = self.call(args).stdin(lines).spawn();
        if let Some(patience) = patience
            && !holds_within(patience, || !running.is_running())
        {
            running.kill9();
        }
        let output = running.wait();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        // A line that is cut short may be a part of the number.
        let whole = out
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let ids: Vec<i64> = whole.filter_map(|line| line.trim().parse().ok()).collect();
        for line in 0..runs {
            self.note(Record {
                op: Op::Run,
                id: ids.get(line).copied(),
                t0,
                t1: wall_ns(),
                exit: output.code,
                out: String::new(),
                err: output.error_text(),
            });
        }
        ids
    }

    /// Writes down a call that somebody else has made.
    pub fn note(&self, record: Record) {
        self.calls
            .lock()
            .expect("nobody panics while holding it")
            .push(record);
    }

    /// Everything written down until now.
    pub fn calls(&self) -> Vec<Record> {
        self.calls
            .lock()
            .expect("nobody panics while holding it")
            .clone()
    }

    /// How many calls are written down.
    pub fn count(&self) -> usize {
        let calls = self.calls.lock().expect("nobody panics while holding it");
        calls.len()
    }

    /// The numbers of the runs that are known to be stored.
    pub fn ids(&self) -> Vec<i64> {
        let calls = self.calls.lock().expect("nobody panics while holding it");
        let runs = calls.iter().filter(|call| call.is_submission());
        runs.filter_map(|call| call.id).collect()
    }

    /// Has a daemon do all that is left to do. Errors: what kept it from that.
    pub fn heal(&self) -> Result<After, String> {
        let mut serving = self.call(["daemon", "--until-idle"]).spawn();
        // What has come together while nobody served takes a while on a loaded machine.
        if !holds_within(Duration::from_secs(120), || !serving.is_running()) {
            let left = self.call(["list", "--limit", "0"]).output().text();
            let words = ["scheduled", "queued", "running"];
            let left = left
                .lines()
                .filter(|line| words.iter().any(|word| line.contains(word)));
            let left: Vec<String> = left.map(str::to_owned).collect();
            let pools = self.call(["pool", "list"]).output().text();
            serving.kill9();
            let log = serving.wait().error_text();
            return Err(format!(
                "it does not come to an end: {left:#?}\n{pools}\n{log}"
            ));
        }
        let served = serving.wait();
        if served.code != 0 {
            return Err(format!("no daemon could serve it: {}", served.error_text()));
        }
        let listed = self.call(["list", "--json", "--limit", "0"]).output().ok();
        let documents = listed.text();
        let documents = documents
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let runs = documents.map(|run: Value| (run["id"].as_i64().expect("a number"), run));
        let runs = runs.collect();
        let none = holds_within(Duration::from_secs(20), || self.home.processes().is_empty());
        Ok(After {
            runs,
            left: if none {
                Vec::new()
            } else {
                self.home
                    .processes()
                    .iter()
                    .map(|left| left.cmdline.clone())
                    .collect()
            },
            log: self.home.daemon_log() + &served.error_text(),
            doctor: self.home.doctor(),
        })
    }
}

/// Everything that is known from outside.
pub struct Books<'c> {
    pub calls: Vec<Record>,
    /// What the commands wrote down, when they did.
    pub written: Option<Written>,
    /// What attempt `.1` of run `.0` exits with, as the test has made its commands; then nothing but a cancel may
    /// change an outcome.
    pub codes: Option<&'c dyn Fn(i64, i64) -> i64>,
    /// What hooks wrote down, when every run has one: `PARENT HOOK ATTEMPT` a line.
    pub hooks: Option<String>,
    /// What was found after all was healed; without it only what must hold at all times is checked.
    pub after: Option<After>,
}

impl Books<'_> {
    /// Whether somebody may have retried this run by hand between these times, in nanoseconds since 1970.
    pub fn may_be_reopened(&self, id: i64, from: i64, to: i64) -> bool {
        let retries = self.calls.iter().filter(|call| call.op == Op::Retry);
        let mut of_run = retries.filter(|call| call.id == Some(id));
        of_run.any(|call| call.class() != Class::Fail && call.t1 > from && call.t0 < to)
    }
}

/// A journal, read.
#[derive(Clone, Debug)]
pub struct Written {
    pub entries: Vec<Entry>,
    pub overlaps: Vec<String>,
}

impl From<&Journal> for Written {
    fn from(journal: &Journal) -> Written {
        Written {
            entries: journal.entries(),
            overlaps: journal.violations(),
        }
    }
}

/// What there is after a daemon has done all that was to do.
#[derive(Clone, Debug, Default)]
pub struct After {
    pub runs: BTreeMap<i64, Value>,
    /// Processes.
    pub left: Vec<String>,
    pub log: String,
    /// What `doctor --deep` found.
    pub doctor: Vec<String>,
}
