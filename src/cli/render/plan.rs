//! What a policy comes to: its waits as a table, and the rest in sentences.

use std::fmt::Write;
use std::time::Duration;

use crate::model::policy::{Condition, Conditions};
use crate::model::{Plan, Policy, Rules, Spread, Wait};
use crate::text::escape_text;

use super::words::{command, size, span};

/// The waits for scripts: separated by tabs, in milliseconds.
pub fn plan_lines(plan: &Plan) -> String {
    let mut lines = String::new();
    for Wait { retry, wait, total } in &plan.waits {
        let _ = writeln!(
            lines,
            "{retry}\t{}\t{}\t{}\t{}\t{}\t{}",
            wait.nominal, wait.min, wait.max, total.nominal, total.min, total.max
        );
    }
    lines
}

/// The waits and what else `policy` says, for people.
pub fn plan_page(plan: &Plan, policy: &Policy) -> String {
    let mut page = rows(plan);
    if let Some(more) = more(plan) {
        page.push_str(&more);
        page.push('\n');
    }
    if !page.is_empty() {
        page.push('\n');
    }
    for sentence in sentences(plan, policy) {
        page.push_str(&sentence);
        page.push('\n');
    }
    page
}

fn rows(plan: &Plan) -> String {
    if plan.waits.is_empty() {
        return String::new();
    }
    let exact = plan.waits.iter().all(|row| row.wait.is_exact());
    let header: &[&str] = if exact {
        &["RETRY", "WAIT", "IN ALL"]
    } else {
        &["RETRY", "WAIT", "WITH JITTER", "IN ALL", "WITH JITTER"]
    };
    let cells = |row: &Wait| {
        let mut cells = vec![row.retry.to_string()];
        for spread in [row.wait, row.total] {
            cells.push(ms(spread.nominal));
            if !exact {
                cells.push(range(spread));
            }
        }
        cells
    };
    let mut table = vec![header.iter().map(|word| (*word).to_owned()).collect()];
    table.extend(plan.waits.iter().map(cells));
    aligned(&table)
}

/// Every column as wide as its widest cell, to the right.
fn aligned(table: &[Vec<String>]) -> String {
    let width = |column: usize| table.iter().map(|row| row[column].len()).max();
    let mut text = String::new();
    for row in table {
        for (column, cell) in row.iter().enumerate() {
            let gap = if column > 0 { "  " } else { "" };
            let _ = write!(text, "{gap}{cell:>0$}", width(column).unwrap_or(0));
        }
        text.push('\n');
    }
    text
}

/// What follows the rows.
fn more(plan: &Plan) -> Option<String> {
    let listed = plan.waits.last().map(|row| row.wait);
    let how = if listed == Some(plan.last) {
        "each"
    } else {
        "at the most"
    };
    let wait = ms(plan.last.nominal);
    match plan.left {
        Some(0) => None,
        Some(left) => Some(format!("… and {left} more, {wait} {how}")),
        None => Some(format!("… and so on without end, {wait} {how}")),
    }
}

fn sentences(plan: &Plan, policy: &Policy) -> Vec<String> {
    let mut sentences = vec![end(plan, policy)];
    sentences.extend(rules(&policy.rules));
    if policy.rules.retry_after {
        let max = span(policy.backoff.max);
        sentences.push(format!(
            "a Retry-After in the output sets the wait, {max} at the most"
        ));
    }
    let grace = span(policy.grace);
    if let Some(timeout) = policy.timeout {
        let timeout = span(timeout);
        sentences.push(format!(
            "an attempt that runs longer than {timeout} gets SIGTERM, and SIGKILL {grace} later"
        ));
    } else if policy.grace != Policy::GRACE {
        sentences.push(format!(
            "an attempt that is ended gets SIGTERM, and SIGKILL {grace} later"
        ));
    }
    if let Some(limit) = policy.max_output {
        let limit = size(limit.bytes());
        sentences.push(format!(
            "what an attempt writes to stdout or stderr beyond {limit} is taken out of the middle"
        ));
    }
    if let Some(deadline) = policy.deadline {
        let deadline = span(deadline);
        sentences.push(format!(
            "the run fails {deadline} after it was stored: an attempt that runs then is ended, and \
             an attempt that would start after the deadline is not made"
        ));
    }
    sentences
}

/// How often it is attempted, and how long that takes.
fn end(plan: &Plan, policy: &Policy) -> String {
    let attempts = match plan.attempts {
        Some(1) => "1 attempt".to_owned(),
        Some(many) => format!("{many} attempts"),
        None => match policy.deadline {
            Some(_) => return "is retried until it succeeds or its deadline passes".to_owned(),
            None => return "is retried until it succeeds or is canceled".to_owned(),
        },
    };
    if plan.cut {
        return format!("gives up after {attempts} at the most, because of its deadline");
    }
    match plan.gives_up {
        None => format!("gives up after {attempts}"),
        Some(_) if plan.attempts == Some(1) => format!("gives up after {attempts}"),
        Some(all) if all.is_exact() => {
            let waited = ms(all.nominal);
            format!("gives up after {attempts}, {waited} of waiting in all")
        }
        Some(all) => {
            let (waited, range) = (ms(all.nominal), range(all));
            format!("gives up after {attempts}, {waited} of waiting in all ({range})")
        }
    }
}

fn rules(rules: &Rules) -> Vec<String> {
    let mut sentences = Vec::new();
    if rules.success != Rules::default().success {
        let named = listed(&names(&rules.success));
        sentences.push(format!("{named} is a success"));
    }
    let mut stopped = names(&rules.stop_on);
    stopped.extend(rules.stop_if.iter().map(|text| matching(text)));
    if !stopped.is_empty() {
        let named = listed(&stopped);
        sentences.push(format!("{named} ends the run"));
    }
    let mut retried = rules.retry_on.as_ref().map_or(Vec::new(), names);
    retried.extend(rules.retry_if.iter().map(|text| matching(text)));
    if !retried.is_empty() {
        for (condition, name) in [(Condition::Timeout, TIMEOUT), (Condition::Lost, LOST)] {
            let stops = rules.stop_on.0.contains(&condition);
            if !stops && !retried.iter().any(|listed| listed == name) {
                retried.push(name.to_owned());
            }
        }
        let named = listed(&retried);
        sentences.push(format!("only {named} is retried"));
    }
    if let Some(line) = &rules.decide {
        let line = command(&[line.clone().into_bytes()]);
        sentences.push(format!("after each failed attempt {line} decides"));
    }
    sentences
}

const TIMEOUT: &str = "a timeout";
const LOST: &str = "a lost attempt";

fn names(list: &Conditions) -> Vec<String> {
    list.0.iter().map(name).collect()
}

fn name(condition: &Condition) -> String {
    match condition {
        Condition::Exit { from, to } if from == to => format!("exit {from}"),
        Condition::Exit { from, to } => format!("exit {from} to {to}"),
        Condition::Signal(number) => match crate::sys::signal::name(*number) {
            Some(name) => name.to_owned(),
            None => format!("signal {number}"),
        },
        Condition::Timeout => TIMEOUT.to_owned(),
        Condition::Spawn => "a command that cannot be executed".to_owned(),
        Condition::Lost => LOST.to_owned(),
    }
}

fn matching(pattern: &str) -> String {
    format!("output that matches /{}/", escape_text(pattern))
}

/// `a`, `a or b`, `a, b or c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} or {end}", first.join(", ")),
    }
}

fn ms(ms: u64) -> String {
    span(Duration::from_millis(ms))
}

fn range(spread: Spread) -> String {
    format!("{} to {}", ms(spread.min), ms(spread.max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OutputLimit;

    fn exit(from: u8, to: u8) -> Condition {
        Condition::Exit { from, to }
    }

    #[test]
    fn every_rule_that_is_set_is_a_sentence() {
        assert!(rules(&Rules::default()).is_empty());
        let set = Rules {
            success: Conditions(vec![exit(0, 0), exit(24, 24)]),
            retry_on: Some(Conditions(vec![exit(64, 78), Condition::Spawn])),
            stop_on: Conditions(vec![exit(2, 2), Condition::Signal(11), Condition::Lost]),
            retry_if: vec!["try\tagain".to_owned()],
            stop_if: vec!["fatal".to_owned()],
            retry_after: true,
            decide: Some("./decide it".to_owned()),
        };
        let policy = Policy {
            rules: set,
            timeout: Some(Duration::from_secs(600)),
            deadline: Some(Duration::from_secs(7200)),
            max_output: OutputLimit::new(10 << 20),
            ..Policy::default()
        };
        let said = sentences(&Plan::of(&policy, 20), &policy);
        let expected = [
            "gives up after 5 attempts, 3s 750ms of waiting in all (1s 875ms to 5s 621ms)",
            "exit 0 or exit 24 is a success",
            "exit 2, SIGSEGV, a lost attempt or output that matches /fatal/ ends the run",
            "only exit 64 to 78, a command that cannot be executed, output that matches \
             /try\\tagain/ or a timeout is retried",
            "after each failed attempt './decide it' decides",
            "a Retry-After in the output sets the wait, 1d at the most",
            "an attempt that runs longer than 10m gets SIGTERM, and SIGKILL 10s later",
            "what an attempt writes to stdout or stderr beyond 10M is taken out of the middle",
            "the run fails 2h after it was stored: an attempt that runs then is ended, and an \
             attempt that would start after the deadline is not made",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn retries_that_surely_come_after_the_deadline_are_left_out() {
        let mut policy = Policy {
            budget: crate::model::Budget::Forever,
            deadline: Some(Duration::from_secs(4)),
            ..Policy::default()
        };
        let plan = Plan::of(&policy, 20);
        // The least waits add up to 1,875 ms before the fifth attempt, to 3,875 ms before the
        // sixth, and to more than the deadline before the seventh.
        let listed: Vec<u32> = plan.waits.iter().map(|row| row.retry).collect();
        assert_eq!(listed, [1, 2, 3, 4, 5]);
        assert!(!plan.has_more());
        let said = sentences(&plan, &policy);
        assert_eq!(
            said[0],
            "gives up after 6 attempts at the most, because of its deadline"
        );
        assert!(said[1].starts_with("the run fails 4s after it was stored"));
        let gives_up = plan.gives_up.unwrap();
        assert_eq!(
            (gives_up.min, gives_up.nominal, gives_up.max),
            (3875, 4000, 4000)
        );
        policy.backoff.jitter = 1.0;
        let endless = Plan::of(&policy, 3);
        assert_eq!((endless.attempts, endless.left), (None, None));
        let said = sentences(&endless, &policy);
        assert_eq!(
            said[0],
            "is retried until it succeeds or its deadline passes"
        );
    }
}
