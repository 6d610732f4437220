//! A whole life of a run, through daemons and shims that die: an attempt that fails, its retry that succeeds, and the
//! hook. What must hold then is looked up in what the commands have written down.

use std::fs;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::crash::tools::{LONG, is_stopped, numbers, outcomes, signal};
use crate::support::{Call, Entry, Home, Journal, Process, holds_within, wait_until};

/// What the death of a shim at a failpoint does to its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing: it has not started and is not charged, or its outcome is safe.
    None,
    /// It is lost, though it has not started: nobody can tell any more.
    LostUnstarted,
    /// It is lost, and may have been ended before its first word.
    Lost,
    /// It is lost after its last word.
    LostEnded,
}

/// The failpoints that a daemon reaches in a life. Its death harms no attempt.
pub const OF_DAEMONS: [&str; 11] = [
    "daemon_start_shim",
    "lock_taken",
    "order_sent",
    "output_probe",
    "pass_before_commit",
    "pass_committed",
    "report_received",
    "retired",
    "retiring",
    "store_sync",
    "trash_before_commit",
];

/// The failpoints that a shim reaches, and what its death there does.
pub const OF_SHIMS: [(&str, Harm); 12] = [
    ("shim_before_starting", Harm::None),
    ("shim_cutting", Harm::None),
    ("shim_decided", Harm::None),
    ("shim_deciding", Harm::None),
    ("shim_ended", Harm::LostEnded),
    ("shim_left", Harm::None),
    ("shim_open_output", Harm::LostUnstarted),
    ("shim_reported", Harm::None),
    ("shim_running", Harm::Lost),
    ("shim_spawned", Harm::Lost),
    ("shim_spawning", Harm::LostUnstarted),
    ("shim_starting", Harm::LostUnstarted),
];

/// A run on its way, and how many of its attempts may be lost.
pub struct Life {
    pub home: Home,
    journal: Journal,
    run: i64,
    bug: &'static str,
    may_be_lost: usize,
}

impl Life {
    /// Stores the run. `bug` is a deliberate one that all its daemons have; `seconds` is how long its attempts take.
    pub fn new(bug: &'static str, seconds: f64) -> Life {
        let home = Home::new();
        let journal = Journal::new(&home);
        let line = journal.line(&format!("sleep {seconds}; [ $RETRIER_ATTEMPT != 1 ]"));
        let hook = journal.line(&format!("cat >>'{}'; echo", home.path("hook").display()));
        let policy = ["--constant", "20ms", "--jitter", "0", "--max-failures", "9"];
        let rest = [
            "--decide",
            r#"echo '{"retry":true}'"#,
            "--no-daemon-start",
            "--max-output=256K",
            "--on-complete",
            &hook,
            "--shell",
            &line,
        ];
        let run = home.run(policy.into_iter().chain(rest));
        Life {
            home,
            journal,
            run,
            bug,
            may_be_lost: 0,
        }
    }

    /// So many attempts more may be lost, of the run and of its hook.
    pub fn may_lose(&mut self, attempts: usize) {
        self.may_be_lost += attempts;
    }

    fn call(&self, crash: &str) -> Call {
        let call = self.home.retrier(["daemon", "--until-idle"]);
        call.env("RETRIER_BUG", self.bug).crash(crash)
    }

    /// Lets a daemon serve until all is done or it dies. `true`: it has died.
    #[track_caller]
    pub fn dies(&self, crash: &str) -> bool {
        let output = self.call(crash).output();
        let died = output.code == 137;
        assert!(
            died || output.code == 0,
            "{crash}: {}",
            output.exits(0).error_text()
        );
        died
    }

    /// Lets a daemon that meets an error do all, and gives what it and its shims have said.
    #[track_caller]
    pub fn survives(&self, crash: &str) -> String {
        let said = self.call(crash).output().ok().error_text();
        // A shim may have its last word after its daemon.
        self.rest();
        let of_shims = fs::read(self.home.path("retrier.db.d/daemon.log")).unwrap_or_default();
        said + &String::from_utf8_lossy(&of_shims)
    }

    /// Lets a daemon stand still, and kills it when its shims have nothing left to do. `false`: it has done all.
    #[track_caller]
    pub fn stands_still(&self, crash: &str) -> bool {
        let mut daemon = self.call(crash).spawn();
        wait_until("it is done or stands still", LONG, || {
            !daemon.is_running() || is_stopped(daemon.pid())
        });
        let stopped = daemon.is_running();
        if stopped {
            wait_until("every attempt has ended", LONG, || self.is_quiet());
        }
        daemon.kill9();
        stopped
    }

    /// Lets a shim stand still, and kills first its daemon, then the shim.
    #[track_caller]
    pub fn shim_stands_still(&self, crash: &str) {
        let mut daemon = self.call(crash).spawn();
        let mut still = None;
        wait_until("a shim stands still", LONG, || {
            let shims = self.home.processes().into_iter().filter(Process::is_shim);
            still = shims.map(|shim| shim.pid).find(|pid| is_stopped(*pid));
            still.is_some()
        });
        daemon.kill9();
        still
            .into_iter()
            .for_each(|pid| signal(pid, Signal::SIGKILL));
    }

    /// Of each attempt of the run that was lost, whether it has started and has ended, by its own word.
    pub fn lost(&self) -> Vec<(bool, bool)> {
        let document = self.home.status(self.run);
        let attempts = numbers(&document).into_iter().zip(outcomes(&document));
        let lost = attempts.filter(|(_, outcome)| outcome == "lost");
        let (starts, ends) = (self.journal.starts(self.run), self.journal.ends(self.run));
        let told = |entries: &[Entry], number: i64| {
            entries
                .iter()
                .any(|entry| i64::from(entry.attempt) == number)
        };
        lost.map(|(number, _)| (told(&starts, number), told(&ends, number)))
            .collect()
    }

    /// Whether all that has started has ended, by its own word.
    fn is_quiet(&self) -> bool {
        let entries = self.journal.entries();
        entries.len().is_multiple_of(2)
    }

    /// Waits until no process is left: what the next daemon finds is then on the disk alone.
    #[track_caller]
    pub fn rest(&self) {
        self.home.assert_no_process_left();
    }

    /// Lets a daemon do the rest, and gives what is wrong then.
    #[track_caller]
    pub fn violations(&self) -> Vec<String> {
        self.call("").output().ok();
        let mut found = self.journal.violations();
        let document = self.home.status(self.run);
        found.extend(self.wrong_with(self.run, &document, &["exit 1", "exit 0"]));
        let Some(hook) = document["hook_id"].as_i64() else {
            found.push("no hook was stored".to_owned());
            return found;
        };
        let document = self.home.status(hook);
        found.extend(self.wrong_with(hook, &document, &["exit 0"]));
        let told = fs::read_to_string(self.home.path("hook")).unwrap_or_default();
        let told = told.matches("success").count();
        if !(1..=outcomes(&document).len()).contains(&told) {
            found.push(format!("the hook was told {told} times of the success"));
        }
        let runs = self.home.retrier(["list", "--json"]).output().ok().text();
        if runs.lines().count() != 2 {
            found.push(format!("not one run and one hook: {runs}"));
        }
        if !holds_within(LONG, || self.home.processes().is_empty()) {
            found.push(format!("processes left: {:?}", self.home.processes()));
        }
        found.extend(self.home.doctor());
        found
    }

    /// What is wrong with a run whose attempts end like `known` when none is lost.
    fn wrong_with(&self, id: i64, document: &Value, known: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let outcomes = outcomes(document);
        let lost = outcomes.iter().filter(|outcome| *outcome == "lost").count();
        let rest: Vec<&String> = outcomes
            .iter()
            .filter(|outcome| *outcome != "lost")
            .collect();
        // The first attempt alone fails, so what ends beside it depends on whether that one is lost.
        let skipped = usize::from(outcomes.first().is_some_and(|first| first == "lost"));
        if rest != known[skipped.min(known.len() - 1)..] || lost > self.may_be_lost {
            found.push(format!("the attempts have ended as {outcomes:?}"));
        }
        if document["state"] != "succeeded" || document["failures"] != outcomes.len() - 1 {
            found.push(format!("not charged as it went: {document}"));
        }
        let numbers = numbers(document);
        if numbers != (1..=numbers.len() as i64).collect::<Vec<_>>() {
            found.push(format!("a gap in the numbers {numbers:?}"));
        }
        let mut started: Vec<i64> = Vec::new();
        for start in self.journal.starts(id) {
            started.push(start.attempt.into());
        }
        started.sort_unstable();
        let in_books = |number: &&i64| {
            let at = numbers.iter().position(|known| known == *number);
            at.is_none_or(|at| outcomes[at] != "lost")
        };
        // One that is lost may have started or not; every other one has, once.
        let sure: Vec<i64> = numbers.iter().filter(in_books).copied().collect();
        let seen: Vec<i64> = started.iter().filter(in_books).copied().collect();
        let mut once = started.clone();
        once.dedup();
        if seen != sure || once != started {
            found.push(format!("{outcomes:?}, and started were {started:?}"));
        }
        found
            .iter()
            .map(|what| format!("run {id}: {what}"))
            .collect()
    }
}

/// Looks at each case, several beside each other, because most of the time is waiting. Gives all that is wrong.
pub fn beside_each_other<T: Send + std::fmt::Debug>(
    cases: impl IntoIterator<Item = T>,
    look: impl Fn(&T) -> Vec<String> + Sync,
) -> Vec<String> {
    let cases: Vec<T> = cases.into_iter().collect();
    let cases = std::sync::Mutex::new(cases.into_iter());
    let next = || cases.lock().ok().and_then(|mut cases| cases.next());
    let work = || {
        let mut found = Vec::new();
        while let Some(case) = next() {
            let violations = look(&case).into_iter();
            found.extend(violations.map(|what| format!("{case:?}: {what}")));
        }
        found
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<String>>| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    })
}
