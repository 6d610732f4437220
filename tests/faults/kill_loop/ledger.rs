//! What must hold of runs of all kinds when all is over, by what their commands and hooks have written down.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::crash::tools::millis;
use crate::support::Mark;

use super::super::load::{After, Class, Op, Record};
use super::world::ENDLESS;
use super::{BATCH, Fray};

/// How long after its deadline a run may still be on its way, on a loaded machine whose daemons are killed.
const LATE_MS: i64 = 15_000;

/// Everything that is known.
pub struct Ledger<'l> {
    pub fray: &'l Fray<'l>,
    pub calls: &'l [Record],
    pub after: &'l After,
}

impl Ledger<'_> {
    /// Everything in it that cannot be, in words.
    pub fn violations(&self) -> Vec<String> {
        let mut found = self.unrecorded();
        for (id, run) in self.runs() {
            found.extend(self.wrong_attempts(id, run));
            found.extend(self.wrong_end(id, run));
            if !self.fray.scene.clock_is_set {
                found.extend(self.late(id, run));
            }
        }
        found.extend(self.wrong_hooks());
        found.extend(self.forgotten_too_early());
        found.extend(self.halves_of_batches());
        found
    }

    /// Those that are no hooks.
    fn runs(&self) -> impl Iterator<Item = (i64, &Value)> {
        let all = self.after.runs.iter().map(|(id, run)| (*id, run));
        all.filter(|(_, run)| run["parent_id"].is_null())
    }

    /// Whether a call about this run may have done this.
    fn may_have(&self, op: Op, id: i64) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|call| (call.op, call.id) == (op, Some(id)) && call.class() != Class::Fail)
    }

    fn marks(&self) -> BTreeMap<(i64, i64), Vec<Mark>> {
        let mut marks: BTreeMap<(i64, i64), Vec<Mark>> = BTreeMap::new();
        for entry in self.fray.world.journal.entries() {
            let of_attempt = marks.entry((entry.run, entry.attempt.into()));
            of_attempt.or_default().push(entry.mark);
        }
        marks
    }

    /// Attempts that were made, and of which nobody knows.
    fn unrecorded(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (id, number) in self.marks().into_keys() {
            let Some(run) = self.after.runs.get(&id) else {
                continue;
            };
            if !attempts(run).iter().any(|one| one["number"] == number) {
                found.push(format!(
                    "attempt {number} of run {id} is not recorded: {run}"
                ));
            }
        }
        found
    }

    fn wrong_attempts(&self, id: i64, run: &Value) -> Vec<String> {
        let marks = self.marks();
        let mut found = Vec::new();
        for attempt in attempts(run) {
            let number = attempt["number"].as_i64().unwrap_or(0);
            let seen = marks.get(&(id, number)).map_or(&[][..], Vec::as_slice);
            let outcome = &attempt["outcome"];
            let code = self.fray.world.code(id, number);
            let right = match outcome["type"].as_str() {
                Some("exit") => {
                    run["name"] != ENDLESS
                        && outcome["code"] == code
                        && seen == [Mark::Start, Mark::End]
                }
                Some("canceled") => self.may_have(Op::Cancel, id),
                Some("deadline") => !run["deadline_at"].is_null(),
                Some("lost") => self.fray.scene.shims_die,
                _ => false,
            };
            if !right {
                let words = format!("exits with {code}, wrote {seen:?}, and is {outcome}");
                found.push(format!("attempt {number} of run {id} {words}"));
            }
        }
        found
    }

    /// A run that has not ended as it must.
    fn wrong_end(&self, id: i64, run: &Value) -> Option<String> {
        let (attempts, reason) = (attempts(run), run["result"]["reason"].as_str());
        let is_success = |attempt: &Value| {
            attempt["outcome"]["type"] == "exit" && attempt["outcome"]["code"] == 0
        };
        let successes = attempts.iter().filter(|one| is_success(one)).count();
        let failures = run["failures"].as_i64().unwrap_or(-1);
        let charged = attempts.len() as i64 - run["snoozes"].as_i64().unwrap_or(0);
        let untouched = !self.may_have(Op::Retry, id) && !self.may_have(Op::Cancel, id);
        let is_counted = !untouched || (successes == 0 && failures == charged);
        let right = match (run["state"].as_str(), reason) {
            (Some("succeeded"), _) => {
                attempts.last().is_some_and(is_success) && (successes == 1 || !untouched)
            }
            (Some("canceled"), _) => self.may_have(Op::Cancel, id),
            (_, Some("exhausted")) => failures == 3 && is_counted,
            (_, Some("stopped")) => !run["policy"]["decide"].is_null() && is_counted,
            (_, Some("deadline")) => !run["deadline_at"].is_null(),
            _ => false,
        };
        (!right).then(|| format!("run {id} did not end as it must: {run}"))
    }

    /// A run that went on after its deadline.
    fn late(&self, id: i64, run: &Value) -> Vec<String> {
        // A retry by hand moves it.
        if run["deadline_at"].is_null() || self.may_have(Op::Retry, id) {
            return Vec::new();
        }
        let latest = millis(&run["deadline_at"]) + LATE_MS;
        let mut found = Vec::new();
        let entries = self.fray.world.journal.entries().into_iter();
        let starts = entries.filter(|entry| (entry.run, entry.mark) == (id, Mark::Start));
        let starts = starts.map(|start| ("started", start.at_ns / 1_000_000));
        let beat = self.fray.world.last_beat(id);
        let beat = beat.map(|beat| ("was alive", beat / 1_000_000));
        // On a full disk nobody can write down that it is over.
        let end = (!self.fray.scene.disk_fills).then(|| ("ended", millis(&run["finished_at"])));
        for (what, at) in starts.chain(beat).chain(end) {
            if at > latest {
                found.push(format!("run {id} {what} long after its deadline: {run}"));
            }
        }
        found
    }

    /// Endings without one hook, and hooks that nobody was told of.
    fn wrong_hooks(&self) -> Vec<String> {
        let told = self.fray.world.told();
        let mut found = Vec::new();
        let mut hooks: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (id, run) in &self.after.runs {
            let Some(parent) = run["parent_id"].as_i64() else {
                continue;
            };
            hooks.entry(parent).or_default().push(*id);
            let line = format!("{parent} {id} ");
            if run["state"] != "succeeded" || !told.lines().any(|one| one.starts_with(&line)) {
                found.push(format!("the hook of run {parent} was not run: {run}"));
            }
        }
        for (id, run) in self.runs() {
            let mine = hooks.remove(&id).unwrap_or_default();
            let retries = self.calls.iter().filter(|call| {
                (call.op, call.id) == (Op::Retry, Some(id)) && call.class() != Class::Fail
            });
            let most = 1 + retries.count();
            // What has swept may have forgotten those that were told.
            let least = usize::from(!self.fray.scene.sweeps);
            if !(least..=most).contains(&mine.len()) {
                found.push(format!("run {id} has the hooks {mine:?}: {run}"));
            }
            if least > 0 && run["hook_id"] != mine.last().copied().unwrap_or(0) {
                found.push(format!(
                    "run {id} does not name its last hook {mine:?}: {run}"
                ));
            }
            let result = run["result"]["type"].as_str().unwrap_or("none");
            let is_told = |line: &str| {
                line.starts_with(&format!("{id} ")) && line.ends_with(&format!(" {result}"))
            };
            if !told.lines().any(is_told) {
                found.push(format!("nobody was told of the end of run {id}: {run}"));
            }
        }
        let mut seen = BTreeSet::new();
        for line in told.lines().filter(|line| !seen.insert(*line)) {
            found.push(format!("a hook's attempt ran twice: {line}"));
        }
        found
    }

    /// What was forgotten had ended, and its hook too.
    fn forgotten_too_early(&self) -> Vec<String> {
        let told = self.fray.world.told();
        let stored = self.calls.iter().filter(|call| call.is_submission());
        let ids: BTreeSet<i64> = stored.filter_map(|call| call.id).collect();
        let mut found = Vec::new();
        for id in ids.iter().filter(|id| !self.after.runs.contains_key(id)) {
            let line = format!("{id} ");
            if !told.lines().any(|one| one.starts_with(&line)) {
                found.push(format!("run {id} was forgotten before its hook was told"));
            }
        }
        found
    }

    /// Batches of which only a part was stored.
    fn halves_of_batches(&self) -> Vec<String> {
        if self.fray.scene.sweeps {
            return Vec::new();
        }
        let batches = self.fray.batches.lock();
        let batches = batches.expect("nobody panics while holding it");
        let mut found = Vec::new();
        for (name, ids) in batches.iter() {
            let there = self.runs().filter(|(_, run)| run["name"] == **name);
            let there = there.count();
            if there != BATCH && (there != 0 || !ids.is_empty()) {
                found.push(format!(
                    "{there} runs of {name} are there, told were {ids:?}"
                ));
            }
        }
        found
    }
}

fn attempts(run: &Value) -> &[Value] {
    run["attempts"].as_array().map_or(&[], Vec::as_slice)
}
