//! What follows an attempt: the one place that weighs outcome, decisions, rules and budget.
//!
//! Who comes first in this table and has something to say is heard, the others are not:
//!
//! | who | says | by |
//! |---|---|---|
//! | the deadline | fail, if the attempt was ended by it | [`By::Deadline`] |
//! | the command, in its decision file | stop, retry, snooze | [`By::Command`] |
//! | the program of `--decide` | stop, retry, snooze | [`By::Decider`] |
//! | `--stop-on`, `--stop-if` | stop | [`By::StopOn`], [`By::StopIf`] |
//! | `--retry-on`, `--retry-if` | stop, if neither matches | [`By::RetryOn`], [`By::RetryIf`] |
//! | the budget | stop, once it is used up; else retry | [`By::Budget`] |
//! | the deadline | fail, whoever lets the run go on, if the next attempt could not start before it | [`By::Deadline`] |
//!
//! Of a success only a snooze is heard, of an interruption only a decision to stop. `--retry-on` and
//! `--retry-if` choose among the ways in which a command ends by itself: one that timed out or was
//! lost is retried unless a stop rule names it. When to retry is asked in the same order, with
//! `Retry-After` and the backoff last.

use std::fmt;
use std::time::Duration;

use crate::model::outcome::Outcome;
use crate::model::run::{Reason, Run};
use crate::model::time::{Timestamp, millis_of};

use super::Rules;
use super::decision::{Testimony, Verdict, When};

/// So often a run without a deadline is snoozed, and so many retries beyond its budget a decision
/// can give it: what only repeats itself must end. One that its deadline will end rests from there on.
pub const UNCHARGED_MAX: u32 = 1000;

/// So long a run rests at the least when nothing is charged and it could go on and on: after an
/// interruption, which a command can bring about itself, and beyond [`UNCHARGED_MAX`].
const REST: Duration = Duration::from_secs(1);

/// What follows an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The run has succeeded.
    Succeed,
    /// The run goes on.
    GoOn {
        /// When its next attempt is due.
        due: Timestamp,
        /// The delay that led to it, in milliseconds; none when somebody named the time.
        delay_ms: Option<i64>,
        /// What the attempt costs.
        cost: Cost,
        /// Who decided it.
        why: Why,
    },
    /// The run has failed.
    Fail {
        /// In which way.
        reason: Reason,
        /// Who decided it.
        why: Why,
    },
}

/// What an attempt after which the run goes on is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// A failure.
    Failure,
    /// A snooze.
    Snooze,
    /// Nothing: it was cut short on purpose.
    Nothing,
}

/// Who decided what follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Why {
    /// Who said whether the run goes on.
    pub by: By,
    /// Who said when.
    pub wait_by: Option<WaitBy>,
}

/// Who can say whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The command, in its decision file.
    Command,
    /// The program of `--decide`.
    Decider,
    /// `--stop-on`.
    StopOn,
    /// `--stop-if`.
    StopIf,
    /// `--retry-on`: the outcome is in it, or is not.
    RetryOn,
    /// `--retry-if`: a pattern was found, or none was.
    RetryIf,
    /// How many failures the run may have.
    Budget,
    /// How often the run may be snoozed.
    Snoozes,
    /// The deadline.
    Deadline,
    /// A planned stop.
    Interruption,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Command,
        Self::Decider,
        Self::StopOn,
        Self::StopIf,
        Self::RetryOn,
        Self::RetryIf,
        Self::Budget,
        Self::Snoozes,
        Self::Deadline,
        Self::Interruption,
    ];

    /// The word for it in the database and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "decision",
            Self::Decider => "decide",
            Self::StopOn => "stop-on",
            Self::StopIf => "stop-if",
            Self::RetryOn => "retry-on",
            Self::RetryIf => "retry-if",
            Self::Budget => "budget",
            Self::Snoozes => "snoozes",
            Self::Deadline => "deadline",
            Self::Interruption => "interruption",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Who can say when a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitBy {
    /// The command, in its decision file.
    Command,
    /// The program of `--decide`.
    Decider,
    /// The HTTP server that the command asked.
    RetryAfter,
    /// The backoff.
    Backoff,
}

impl WaitBy {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Command,
        Self::Decider,
        Self::RetryAfter,
        Self::Backoff,
    ];

    /// The word for it in the database and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "decision",
            Self::Decider => "decide",
            Self::RetryAfter => "retry-after",
            Self::Backoff => "backoff",
        }
    }
}

/// What follows the attempt of `run` that ended at `at` with `outcome`.
pub fn judge(run: &Run, at: Timestamp, outcome: &Outcome, said: &Testimony) -> Judgement {
    let rules = &run.policy.rules;
    match outcome {
        Outcome::Deadline => return fail(Reason::Deadline, By::Deadline),
        Outcome::Interrupted => {
            // What must not be run again, must not because of a planned stop either.
            if let Some((Verdict::Stop, by)) = verdict(said) {
                return fail(Reason::Stopped, by);
            }
            let why = Why {
                by: By::Interruption,
                wait_by: None,
            };
            return go_on(run, after(at, REST), Cost::Nothing, why);
        }
        // A canceled outcome without a canceled run would be an attempt that was ended by
        // mistake: it did not do its work, so it counts as any failure does.
        Outcome::Exit { .. }
        | Outcome::Signal { .. }
        | Outcome::Timeout
        | Outcome::Canceled
        | Outcome::Spawn { .. }
        | Outcome::Lost => {}
    }
    let verdict = verdict(said);
    match verdict {
        Some((Verdict::Snooze { .. }, _))
            if run.snoozes >= UNCHARGED_MAX && run.deadline_at.is_none() =>
        {
            fail(Reason::Exhausted, By::Snoozes)
        }
        Some((Verdict::Snooze { delay_ms }, by)) => {
            let delay = Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0));
            let delay = if run.snoozes < UNCHARGED_MAX {
                delay
            } else {
                delay.max(REST)
            };
            go_on(
                run,
                after(at, delay),
                Cost::Snooze,
                Why { by, wait_by: None },
            )
        }
        Some(_) | None if rules.is_success(outcome) => Judgement::Succeed,
        Some((Verdict::Stop, by)) => fail(Reason::Stopped, by),
        Some((Verdict::Retry, _)) if !may_exceed(run) => fail(Reason::Exhausted, By::Budget),
        Some((Verdict::Retry, by)) => retry(run, at, said, by),
        None => by_policy(run, at, outcome, said),
    }
}

/// The first who says whether the run goes on.
fn verdict(said: &Testimony) -> Option<(Verdict, By)> {
    let of = |decision: &Option<super::Decision>, by| {
        let verdict = decision.as_ref().and_then(|decision| decision.verdict);
        verdict.map(|verdict| (verdict, by))
    };
    of(&said.command, By::Command).or(of(&said.decider, By::Decider))
}

/// May a decision give the run one more retry, beyond its budget?
fn may_exceed(run: &Run) -> bool {
    run.deadline_at.is_some() || !is_far_beyond(run)
}

/// Would one more failure exceed the budget by more than [`UNCHARGED_MAX`]?
fn is_far_beyond(run: &Run) -> bool {
    let failures = run.failures.saturating_add(1);
    let within = failures.saturating_sub(UNCHARGED_MAX);
    !run.policy.budget.allows(within)
}

/// Nobody decided: the rules and the budget do.
fn by_policy(run: &Run, at: Timestamp, outcome: &Outcome, said: &Testimony) -> Judgement {
    let rules = &run.policy.rules;
    if rules.stop_on.contain(outcome) {
        return fail(Reason::Stopped, By::StopOn);
    }
    if said.stop_if {
        return fail(Reason::Stopped, By::StopIf);
    }
    let chosen = match choice(rules, outcome, said) {
        Choice::Retried(by) => by,
        Choice::Stopped(by) => return fail(Reason::Stopped, by),
    };
    if !run.policy.budget.allows(run.failures.saturating_add(1)) {
        return fail(Reason::Exhausted, By::Budget);
    }
    retry(run, at, said, chosen)
}

/// What the retry rules make of an outcome.
enum Choice {
    Retried(By),
    Stopped(By),
}

fn choice(rules: &Rules, outcome: &Outcome, said: &Testimony) -> Choice {
    let by_command = match outcome {
        Outcome::Exit { .. } | Outcome::Signal { .. } | Outcome::Spawn { .. } => true,
        Outcome::Timeout
        | Outcome::Deadline
        | Outcome::Canceled
        | Outcome::Lost
        | Outcome::Interrupted => false,
    };
    match &rules.retry_on {
        Some(listed) if listed.contain(outcome) => Choice::Retried(By::RetryOn),
        Some(_) | None if said.retry_if => Choice::Retried(By::RetryIf),
        Some(_) if by_command => Choice::Stopped(By::RetryOn),
        None if by_command && !rules.retry_if.is_empty() => Choice::Stopped(By::RetryIf),
        Some(_) | None => Choice::Retried(By::Budget),
    }
}

fn fail(reason: Reason, by: By) -> Judgement {
    let wait_by = None;
    Judgement::Fail {
        reason,
        why: Why { by, wait_by },
    }
}

/// The next attempt, unless the deadline passes before it.
fn go_on(run: &Run, (due, delay_ms): (Timestamp, Option<i64>), cost: Cost, why: Why) -> Judgement {
    if run.is_past(due) {
        return fail(Reason::Deadline, By::Deadline);
    }
    Judgement::GoOn {
        due,
        delay_ms,
        cost,
        why,
    }
}

/// Due `delay` after `at`.
fn after(at: Timestamp, delay: Duration) -> (Timestamp, Option<i64>) {
    (at.plus(delay), Some(millis_of(delay)))
}

/// A retry, at the time that the first one names who names one.
fn retry(run: &Run, at: Timestamp, said: &Testimony, by: By) -> Judgement {
    let named = |decision: &Option<super::Decision>, by| {
        let when = decision.as_ref().and_then(|decision| decision.when);
        when.map(|when| (when, by))
    };
    let backoff = &run.policy.backoff;
    // A delay in any case: the time of another machine is no promise that a set clock must keep.
    let polite = said.retry_after.map(|when| {
        let ms = match when {
            When::After(ms) => ms,
            When::At(time) => millis_of(time.since(at)),
        };
        When::After(ms.min(millis_of(backoff.max)))
    });
    let first = named(&said.command, WaitBy::Command)
        .or(named(&said.decider, WaitBy::Decider))
        .or(polite.map(|when| (when, WaitBy::RetryAfter)));
    let (when, wait_by) = first.unwrap_or_else(|| {
        let delay = backoff.delay(run.failures.saturating_add(1), run.seed);
        (When::After(millis_of(delay)), WaitBy::Backoff)
    });
    let rest = if is_far_beyond(run) {
        REST
    } else {
        Duration::ZERO
    };
    let due = match when {
        When::After(ms) => {
            let delay = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
            after(at, delay.max(rest))
        }
        When::At(time) => (time.max(at.plus(rest)), None),
    };
    let wait_by = Some(wait_by);
    go_on(run, due, Cost::Failure, Why { by, wait_by })
}
