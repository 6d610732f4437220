//! `retrier run` killed at each of its system calls, and each verb that writes at its failpoints.
//!
//! strace kills a call before the n-th of its system calls of one name; each name is swept until a call survives. Each
//! run writes down of which call it is, so that the journal and not the database tells what came of a call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use crate::crash::tools::LONG;
use crate::support::{Call, Home, Need, proof, skip, wait_until};

/// What a run does: it writes down its number and the mark of its call.
const COMMAND: &str = r#"echo "$RETRIER_RUN_ID $1" >>"$0""#;

/// No daemon is started, so that all that is stored can be counted later.
const ALONE: &str = "--no-daemon-start";

/// What a shell says of a call that SIGKILL has ended.
const KILLED: i32 = 137;

/// A call that was killed, or has survived.
struct Told {
    /// Which one it is, in what its run writes down.
    mark: String,
    /// The id that it has printed.
    id: Option<i64>,
}

/// All calls of one database.
struct Sweep {
    home: Home,
    db: PathBuf,
    bug: &'static str,
    calls: Vec<Told>,
    killed: usize,
    /// How many there were before this one.
    databases: usize,
}

impl Sweep {
    fn new(bug: &'static str) -> Sweep {
        let home = Home::new();
        Sweep {
            db: home.db().to_owned(),
            home,
            bug,
            calls: Vec::new(),
            killed: 0,
            databases: 0,
        }
    }

    /// Goes on with a database that is not there yet.
    fn next_database(&mut self) {
        self.databases += 1;
        let name = format!("{}.db", self.databases);
        self.db = self.home.path(name);
        self.calls.clear();
    }

    fn ran(&self) -> PathBuf {
        self.db.with_extension("ran")
    }

    /// `retrier run` below strace with these options; its run writes down its number and the mark.
    fn call(&self, strace: &str, options: &str, mark: &str) -> Call {
        let line = format!(
            "exec strace -qq {strace} retrier run {options} -- sh -c '{COMMAND}' '{}' {mark}",
            self.ran().display()
        );
        self.on_database(self.home.sh(line))
    }

    fn on_database(&self, call: Call) -> Call {
        // cargo names folders in which the loader would look for each library.
        call.env("LD_LIBRARY_PATH", "")
            .env("RETRIER_DB", &self.db)
            .env("RETRIER_BUG", self.bug)
    }

    /// The system calls of a call that nobody kills, in order, with their arguments.
    fn trace(&mut self, options: &str) -> Vec<String> {
        let file = self.home.path("trace");
        let mark = format!("trace-{}", self.calls.len());
        let call = self.call(&format!("-o '{}'", file.display()), options, &mark);
        let id = first_line(&call.output().ok().stdout);
        self.calls.push(Told { mark, id });
        let text = fs::read(&file).expect("strace has written its output");
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines()
            .filter(|line| name_of(line).is_some())
            .map(str::to_owned)
            .collect()
    }

    /// Kills a call before its `nth` system call `name`. `false`: there was none, and it has survived.
    #[track_caller]
    fn kill_at(&mut self, name: &str, nth: u32, options: &str) -> bool {
        let mark = format!("{name}-{nth}-{}", self.calls.len());
        let inject =
            format!("-o /dev/null -e trace={name} -e inject={name}:signal=KILL:when={nth}");
        let output = self.call(&inject, options, &mark).output();
        let id = first_line(&output.stdout);
        let killed = output.code == KILLED;
        if !killed {
            assert!(id.is_some(), "{mark}: {}", output.exits(0).error_text());
        }
        self.calls.push(Told { mark, id });
        self.killed += usize::from(killed);
        killed
    }

    /// Kills calls at every second system call of this name, and makes another call after each.
    #[track_caller]
    fn sweep(&mut self, name: &str, half: Half) {
        assert!(half.of_all().any(|nth| {
            let killed = self.kill_at(name, nth, ALONE);
            // It works, and recovers the log that the killed one has left.
            self.call_in_peace();
            self.end_log();
            !killed
        }));
    }

    /// The same, each time on a database that is not there yet. Gives what is wrong afterwards.
    #[track_caller]
    fn sweep_creation(&mut self, name: &str, half: Half) -> Vec<String> {
        let mut found = Vec::new();
        assert!(half.of_all().any(|nth| {
            self.next_database();
            let killed = self.kill_at(name, nth, ALONE);
            // Without one nothing was stored, and the next call is as the first.
            if self.db.exists() {
                let violations = self.violations().into_iter();
                found.extend(violations.map(|what| format!("{name}:{nth}: {what}")));
            }
            !killed
        }));
        found
    }

    #[track_caller]
    fn call_in_peace(&mut self) {
        let mark = format!("peace-{}", self.calls.len());
        let call = self.home.retrier(["run", ALONE, "--", "sh", "-c", COMMAND]);
        let call = self.on_database(call.arg(self.ran()).arg(&mark));
        let id = first_line(&call.output().ok().stdout);
        self.calls.push(Told { mark, id });
    }

    /// Empties the log, or each call would have more to read than the one before.
    fn end_log(&self) {
        let connection = Connection::open(&self.db).expect("the database can be opened");
        let mode = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], mode);
        assert_eq!(busy, Ok(0));
    }

    /// Stores one more run, lets a daemon do all that is stored, and gives what is wrong then.
    #[track_caller]
    fn violations(&mut self) -> Vec<String> {
        self.call_in_peace();
        let daemon = self.home.retrier(["daemon", "--until-idle"]);
        self.on_database(daemon).output().ok();
        let list = self.home.retrier(["list", "--json", "--limit", "0"]);
        let rows = self.on_database(list).output().ok().text();
        let rows = rows
            .lines()
            .map(|row| serde_json::from_str(row).expect("a line is JSON"))
            .collect::<Vec<serde_json::Value>>();
        let ran = fs::read_to_string(self.ran()).unwrap_or_default();
        let mut found = broken_promises(&self.calls, &ran);
        if rows.len() != ran.lines().count() {
            found.push(format!(
                "{} runs are stored, and {} commands have run",
                rows.len(),
                ran.lines().count()
            ));
        }
        let doctor = self.home.retrier(["doctor", "--deep"]);
        let doctor = self.on_database(doctor).output();
        if doctor.code != 0 {
            found.push(format!("doctor: {} {}", doctor.text(), doctor.error_text()));
        }
        let unfinished = rows.iter().filter(|row| row["state"] != "succeeded");
        found.extend(unfinished.map(|row| format!("it has not succeeded: {row}")));
        found
    }
}

/// What was promised to the calls and does not hold: an id stands for exactly one run, no id for one at the most, and
/// no run runs twice. `ran` is what the runs have written down.
fn broken_promises(calls: &[Told], ran: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut by_mark: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut times: BTreeMap<i64, u32> = BTreeMap::new();
    for line in ran.lines() {
        let (id, mark) = line.split_once(' ').expect("a number and a mark");
        let id = id.parse().expect("the number of a run");
        by_mark.entry(mark).or_default().push(id);
        *times.entry(id).or_default() += 1;
    }
    for Told { mark, id } in calls {
        let runs = by_mark.remove(mark.as_str()).unwrap_or_default();
        match id {
            Some(id) if runs != [*id] => {
                found.push(format!("{mark} was told {id}, and its runs are {runs:?}"));
            }
            None if runs.len() > 1 => found.push(format!("{mark} has the runs {runs:?}")),
            Some(_) | None => {}
        }
    }
    found.extend(by_mark.keys().map(|mark| format!("nobody called {mark}")));
    let twice = times.iter().filter(|(_, times)| **times > 1);
    found.extend(twice.map(|(id, times)| format!("run {id} ran {times} times")));
    found
}

fn first_line(stdout: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(stdout);
    let line = text.split_once('\n')?.0;
    Some(line.parse().expect("an id and nothing else"))
}

/// The name of the system call in a line of strace.
fn name_of(line: &str) -> Option<&str> {
    let name = line.split_once('(')?.0;
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(word).then_some(name)
}

/// The names of the system calls in a trace.
fn names(trace: &[String]) -> BTreeSet<String> {
    let names = trace.iter().filter_map(|line| name_of(line));
    names.map(str::to_owned).collect()
}

/// A sweep is done in halves, which run beside each other.
#[derive(Clone, Copy)]
enum Half {
    Odd = 1,
    Even = 2,
}

impl Half {
    /// More calls of one name than any call makes.
    const MANY: u32 = 500;

    fn of_all(self) -> impl Iterator<Item = u32> {
        (self as u32..Half::MANY).step_by(2)
    }
}

#[track_caller]
fn kill_calls(half: Half) {
    if skip(Need::Strace) {
        return;
    }
    let mut sweep = Sweep::new("");
    // The trace of the first call is that of one who makes the database.
    sweep.trace(ALONE);
    sweep.end_log();
    for name in names(&sweep.trace(ALONE)) {
        sweep.sweep(&name, half);
    }
    assert!(sweep.killed > 100, "{} kills", sweep.killed);
    let killed = sweep.killed;
    proof::holds("T1", killed, &sweep.violations());
}

#[test]
fn a_call_killed_at_any_odd_system_call_keeps_what_it_has_said() {
    kill_calls(Half::Odd);
}

#[test]
fn a_call_killed_at_any_even_system_call_keeps_what_it_has_said() {
    kill_calls(Half::Even);
}

#[track_caller]
fn kill_creators(half: Half) {
    if skip(Need::Strace) {
        return;
    }
    let mut sweep = Sweep::new("");
    let names = names(&sweep.trace(ALONE));
    let found: Vec<String> = names
        .iter()
        .flat_map(|name| sweep.sweep_creation(name, half))
        .collect();
    assert!(sweep.killed > 150, "{} kills", sweep.killed);
    proof::holds("T1", sweep.killed, &found);
}

#[test]
fn the_maker_of_a_database_killed_at_any_odd_system_call_leaves_one_that_works() {
    kill_creators(Half::Odd);
}

#[test]
fn the_maker_of_a_database_killed_at_any_even_system_call_leaves_one_that_works() {
    kill_creators(Half::Even);
}

/// The daemon may be there or not when its starter is killed; it starts no run twice.
#[test]
fn a_call_killed_while_it_starts_a_daemon_keeps_what_it_has_said() {
    if skip(Need::Strace) {
        return;
    }
    let mut sweep = Sweep::new("");
    sweep.call_in_peace();
    let trace = sweep.trace("");
    let told = trace.iter().position(|line| line.starts_with("write(1, "));
    let told = told.expect("it prints the id");
    for (at, line) in trace.iter().enumerate().skip(told) {
        let name = name_of(line).expect("a trace has nothing else");
        let before = &trace[..=at];
        let nth = before.iter().filter(|line| name_of(line) == Some(name));
        let nth = nth.count().try_into().expect("a short trace");
        // One that has just taken the lock cannot be told yet.
        wait_until("the daemon before has left", LONG, || {
            let stop = sweep.home.retrier(["daemon", "stop"]);
            sweep.on_database(stop).output().code == 0
        });
        sweep.end_log();
        sweep.kill_at(name, nth, "");
    }
    assert!(sweep.killed > 20, "{} kills", sweep.killed);
    let killed = sweep.killed;
    proof::holds("T1", killed, &sweep.violations());
}

/// An id that is printed too early is one of nobody, or of the next call.
#[test]
fn the_kill_of_calls_catches_an_id_that_is_told_before_the_commit() {
    if skip(Need::Strace) {
        return;
    }
    let mut sweep = Sweep::new("ack_before_commit");
    sweep.call_in_peace();
    sweep.sweep("pwrite64", Half::Odd);
    proof::catches("T1", "ack_before_commit", &sweep.violations(), |_| true);
}
