//! The checker: what nobody may ever see, whatever was killed and when.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Entry, Mark};

use super::looks::{self, Look, attempts};
use super::{After, Books, Class, Op, Record};

/// Words that nobody may be told under load.
const TROUBLE: [&str; 6] = [
    "panicked",
    "locked",
    "busy",
    "constraint",
    "malformed",
    "corrupt",
];

/// Everything in the books that cannot be, in words.
pub fn violations(books: &Books<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let looks = looks::of(books);
    for (id, looks) in &looks {
        looks::check(books, *id, looks, &mut found);
    }
    looks::check_answers(books, &looks, &mut found);
    check_words(books, &mut found);
    check_numbers(books, &looks, &mut found);
    check_journal(books, &looks, &mut found);
    if let Some(after) = &books.after {
        check_kept(books, after, &mut found);
        check_commands(books, after, &mut found);
        check_hooks(books, after, &mut found);
    }
    found
}

fn check_words(books: &Books<'_>, found: &mut Vec<String>) {
    for call in &books.calls {
        if TROUBLE.iter().any(|word| call.err.contains(word)) {
            found.push(format!("{:?} said: {}", call.op, call.err.trim()));
        }
    }
    let log = books.after.iter().flat_map(|after| after.log.lines());
    for line in log.filter(|line| line.contains("panicked")) {
        found.push(format!("the daemon's log: {line}"));
    }
}

/// Numbers are told once, and no run is there that nobody can have stored.
fn check_numbers(books: &Books<'_>, looks: &BTreeMap<i64, Vec<Look>>, found: &mut Vec<String>) {
    let mut told = BTreeSet::new();
    let mut unknown = 0;
    for call in books.calls.iter().filter(|call| call.is_submission()) {
        match (call.class(), call.id) {
            (Class::Ok, Some(id)) if call.op == Op::RunWithKey => drop(told.insert(id)),
            (Class::Ok, Some(id)) if !told.insert(id) => {
                found.push(format!("two runs were told the number {id}"));
            }
            (Class::Unknown, _) => unknown += 1,
            _ => {}
        }
    }
    let first = |looks: &Vec<Look>| looks.first().map(|look| look.run["parent_id"].is_null());
    let seen = looks
        .iter()
        .filter(|(_, looks)| first(looks) == Some(true))
        .map(|(id, _)| *id);
    let untold: Vec<i64> = seen.filter(|id| !told.contains(id)).collect();
    if untold.len() > unknown {
        found.push(format!(
            "{unknown} calls do not know what they stored, but these runs are there: {untold:?}"
        ));
    }
}

/// What the commands themselves saw.
fn check_journal(books: &Books<'_>, looks: &BTreeMap<i64, Vec<Look>>, found: &mut Vec<String>) {
    let Some(written) = &books.written else {
        return;
    };
    for overlap in &written.overlaps {
        found.push(format!("two attempts at once: {overlap}"));
    }
    let mut started = BTreeSet::new();
    let starts = written.entries.iter();
    for start in starts.filter(|entry| entry.mark == Mark::Start) {
        let (run, attempt) = (start.run, start.attempt);
        if !started.insert((run, attempt)) {
            found.push(format!("attempt {attempt} of run {run} was started twice"));
        }
        for look in looks.get(&run).into_iter().flatten() {
            if !books.may_be_reopened(run, look.t0, start.at_ns) {
                check_start(*start, look, found);
            }
        }
    }
}

/// That this attempt may have started, if the run looked like this.
fn check_start(start: Entry, look: &Look, found: &mut Vec<String>) {
    let (run, attempt) = (start.run, start.attempt);
    let known = look.attempts().len();
    let is_new = usize::try_from(attempt).is_ok_and(|attempt| attempt > known);
    if look.is_final() && (is_new || (!look.has_open_attempt() && start.at_ns > look.t1)) {
        found.push(format!(
            "attempt {attempt} of run {run} was started although {}",
            look.run
        ));
    }
}

/// What was acknowledged is there, and what was to be forgotten is not.
fn check_kept(books: &Books<'_>, after: &After, found: &mut Vec<String>) {
    let cleanups = || books.calls.iter().filter(|call| call.op == Op::Cleanup);
    // One without a number is for all that have ended.
    let is_meant = |call: &&Record, id| call.id.is_none_or(|meant| meant == id);
    let begun = |id| {
        let begun = cleanups().filter(|call| call.class() != Class::Fail);
        begun.filter(move |call| is_meant(call, id))
    };
    for call in books.calls.iter().filter(|call| call.class() == Class::Ok) {
        let Some(id) = call.id else { continue };
        match call.op {
            Op::Run | Op::RunWithKey | Op::RunAndWait
                if begun(id).next().is_none() && !after.runs.contains_key(&id) =>
            {
                found.push(format!("run {id} is lost"));
            }
            Op::Cleanup if after.runs.contains_key(&id) => {
                found.push(format!("run {id} is there although it was to be forgotten"));
            }
            _ => {}
        }
    }
    // A run that is there now was there when it was asked for.
    for call in books
        .calls
        .iter()
        .filter(|call| call.err.contains("no run "))
    {
        if call.id.is_some_and(|id| after.runs.contains_key(&id)) {
            found.push(format!(
                "{:?} did not find a run that is there: {}",
                call.op, call.err
            ));
        }
    }
    found.extend(after.doctor.iter().cloned());
    for left in &after.left {
        found.push(format!("a process is left: {left}"));
    }
    for (id, run) in &after.runs {
        if !matches!(
            run["state"].as_str(),
            Some("succeeded" | "failed" | "canceled")
        ) {
            found.push(format!("run {id} has not ended: {run}"));
        }
    }
}

/// That the runs ended as their commands did.
fn check_commands(books: &Books<'_>, after: &After, found: &mut Vec<String>) {
    let (Some(written), Some(codes)) = (&books.written, books.codes) else {
        return;
    };
    let mut marks: BTreeMap<(i64, i64), Vec<Mark>> = BTreeMap::new();
    for entry in &written.entries {
        let marks = marks.entry((entry.run, entry.attempt.into())).or_default();
        marks.push(entry.mark);
    }
    let is_hook = |run: &Value| !run["parent_id"].is_null();
    for (id, run) in after.runs.iter().filter(|(_, run)| !is_hook(run)) {
        let canceled = run["state"] == "canceled";
        for attempt in attempts(run) {
            let number = attempt["number"].as_i64().unwrap_or(0);
            let seen = marks.remove(&(*id, number)).unwrap_or_default();
            let (outcome, code) = (&attempt["outcome"], codes(*id, number));
            let right = match outcome["type"].as_str() {
                Some("exit") => outcome["code"] == code && seen == [Mark::Start, Mark::End],
                Some("canceled") => canceled,
                _ => false,
            };
            if !right {
                let words = format!("exits with {code}, wrote {seen:?}, and is {outcome}");
                found.push(format!("attempt {number} of run {id} {words}"));
            }
        }
        if !canceled && !ends_right(*id, run, codes) {
            found.push(format!("run {id} did not end as it must: {run}"));
        }
    }
    for (id, number) in marks.into_keys() {
        if after.runs.contains_key(&id) {
            let words = "has run, and is not recorded";
            found.push(format!("attempt {number} of run {id} {words}"));
        }
    }
}

/// Whether a run that nobody has canceled ended with the attempt that it had to end with.
fn ends_right(id: i64, run: &Value, codes: &dyn Fn(i64, i64) -> i64) -> bool {
    let most = 1 + run["policy"]["max_failures"].as_i64().unwrap_or(0);
    let success = (1..=most).find(|number| codes(id, *number) == 0);
    let state = if success.is_some() {
        "succeeded"
    } else {
        "failed"
    };
    let last = attempts(run)
        .last()
        .and_then(|last| last["number"].as_i64());
    run["state"] == state && last == Some(success.unwrap_or(most))
}

/// That each ending has one hook, which was run. What was forgotten had ended.
fn check_hooks(books: &Books<'_>, after: &After, found: &mut Vec<String>) {
    let Some(effects) = &books.hooks else { return };
    let stored = books.calls.iter().filter(|call| call.is_submission());
    let stored = stored.filter_map(|call| call.id);
    let mut hooks: BTreeMap<i64, Vec<i64>> = stored.map(|id| (id, Vec::new())).collect();
    for (id, run) in &after.runs {
        match run["parent_id"].as_i64() {
            Some(parent) => hooks.entry(parent).or_default().push(*id),
            None => drop(hooks.entry(*id).or_default()),
        }
    }
    for (parent, hooks) in &hooks {
        let [hook] = hooks[..] else {
            found.push(format!("run {parent} has the hooks {hooks:?}"));
            continue;
        };
        let named = after.runs.get(parent).map(|parent| &parent["hook_id"]);
        if let Some(named) = named.filter(|named| **named != hook) {
            let words = format!("names {named} as its hook, which is {hook}");
            found.push(format!("run {parent} {words}"));
        }
        let line = format!("{parent} {hook} ");
        if !effects.lines().any(|effect| effect.starts_with(&line)) {
            let hook = &after.runs[&hook];
            found.push(format!("the hook of run {parent} was not run: {hook}"));
        }
    }
    let mut seen = BTreeSet::new();
    for effect in effects.lines().filter(|effect| !seen.insert(*effect)) {
        found.push(format!("a hook's attempt ran twice: {effect}"));
    }
}
