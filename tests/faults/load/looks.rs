//! What the looks of all clients say about one run, one after another.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Books, Op};

/// One look at one run.
pub struct Look {
    pub t0: i64,
    pub t1: i64,
    pub run: Value,
}

impl Look {
    pub fn state(&self) -> &str {
        self.run["state"].as_str().unwrap_or("none")
    }

    pub fn is_final(&self) -> bool {
        matches!(self.state(), "succeeded" | "failed" | "canceled")
    }

    pub fn attempts(&self) -> &[Value] {
        attempts(&self.run)
    }

    pub fn has_open_attempt(&self) -> bool {
        self.attempts()
            .iter()
            .any(|attempt| attempt["outcome"].is_null())
    }

    /// What may never change from here on.
    fn kept(&self) -> Value {
        if self.state() != "canceled" {
            return self.run.clone();
        }
        // The attempt that was open is still to be closed, or was never started.
        [
            "state",
            "finished_at",
            "result",
            "hook_id",
            "command",
            "created_at",
        ]
        .iter()
        .map(|field| self.run[field].clone())
        .collect()
    }
}

/// The attempts of a run's document.
pub fn attempts(run: &Value) -> &[Value] {
    run["attempts"].as_array().map_or(&[], Vec::as_slice)
}

/// The looks at each run; what was found after healing is the last one.
pub fn of(books: &Books<'_>) -> BTreeMap<i64, Vec<Look>> {
    let mut all: BTreeMap<i64, Vec<Look>> = BTreeMap::new();
    let mut add = |t0, t1, run: Value| {
        let id = run["id"].as_i64().expect("a number");
        all.entry(id).or_default().push(Look { t0, t1, run });
    };
    for call in &books.calls {
        for run in call.documents() {
            add(call.t0, call.t1, run);
        }
    }
    for run in books.after.iter().flat_map(|after| after.runs.values()) {
        add(i64::MAX, i64::MAX, run.clone());
    }
    all
}

/// That the looks at run `id` can all be true.
pub fn check(books: &Books<'_>, id: i64, looks: &[Look], found: &mut Vec<String>) {
    for look in looks {
        let numbers: Vec<i64> = look
            .attempts()
            .iter()
            .filter_map(|attempt| attempt["number"].as_i64())
            .collect();
        if numbers != (1..=numbers.len() as i64).collect::<Vec<_>>() {
            found.push(format!("run {id} has attempts {numbers:?}"));
        }
        let (_, before) = look.attempts().split_last().unwrap_or((&Value::Null, &[]));
        if before.iter().any(|attempt| attempt["outcome"].is_null()) {
            found.push(format!("run {id} had two open attempts: {}", look.run));
        }
        if matches!(look.state(), "succeeded" | "failed") && look.has_open_attempt() {
            found.push(format!(
                "run {id} has ended with an open attempt: {}",
                look.run
            ));
        }
    }
    let ended: Vec<&Look> = looks.iter().filter(|look| look.is_final()).collect();
    let Some(first) = ended.iter().min_by_key(|look| look.t1) else {
        return;
    };
    for look in looks {
        // The last end that was seen before, or any.
        let before = ended.iter().filter(|end| end.t1 < look.t0);
        let end = before.max_by_key(|end| end.t1).unwrap_or(first);
        let changed = look.is_final() && look.kept() != end.kept();
        let wrong = changed || (!look.is_final() && look.t0 > end.t1);
        if wrong && !books.may_be_reopened(id, end.t0.min(look.t0), end.t1.max(look.t1)) {
            found.push(format!(
                "the end of run {id} has changed from {} to {}",
                end.run, look.run
            ));
        }
    }
}

/// That what calls said of a run's end is what looks see from then on.
pub fn check_answers(books: &Books<'_>, looks: &BTreeMap<i64, Vec<Look>>, found: &mut Vec<String>) {
    for call in &books.calls {
        let Some(id) = call.id else { continue };
        // A caller that was killed knows nothing.
        if call.exit == 128 + 9 {
            continue;
        }
        let later = || {
            looks
                .get(&id)
                .into_iter()
                .flatten()
                .filter(|look| look.t0 > call.t1)
                .filter(|look| !books.may_be_reopened(id, call.t0, look.t1))
        };
        match (call.op, call.exit) {
            (Op::Cancel, 0) => {
                for look in later().filter(|look| look.state() != "canceled") {
                    found.push(format!("run {id} was canceled, and then {}", look.run));
                }
            }
            (Op::Cancel, 4) => {
                for look in later().filter(|look| !look.is_final()) {
                    found.push(format!(
                        "run {id} had ended before its cancel, and then {}",
                        look.run
                    ));
                }
            }
            (Op::Wait | Op::RunAndWait, exit) => {
                let said = call.documents();
                let Some(run) = said.first() else {
                    let patience = exit == 124 && call.err.contains("has not ended yet");
                    if !(patience || exit == 125 || exit > 128) {
                        found.push(format!(
                            "a wait for run {id} gave {exit} and nothing else: {}",
                            call.err
                        ));
                    }
                    continue;
                };
                let last = attempts(run).last().map(|last| &last["outcome"]["code"]);
                let wanted = match run["state"].as_str() {
                    Some("canceled") => Some(130),
                    Some("failed") if run["result"]["reason"] == "deadline" => Some(124),
                    _ => last.and_then(Value::as_i64),
                };
                // A last attempt that was lost has none.
                if wanted.is_some_and(|wanted| wanted != i64::from(exit)) {
                    found.push(format!("a wait gave {exit} for {run}"));
                }
            }
            _ => {}
        }
    }
}
