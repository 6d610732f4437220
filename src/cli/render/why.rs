//! Why a run is where it is and what comes next, in one line.

use crate::cli::client::Service;
use crate::model::policy::{Budget, By, WaitBy, Why};
use crate::model::{
    AttemptRecord, Blocked, EventRecord, Hold, Note, Outcome, PoolRecord, Reason, RunRecord, State,
    Timestamp, pool,
};
use crate::text::escape_text;

use super::words::{deed, short_time, span};

/// What there is to know of a run and its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The run.
    pub record: &'a RunRecord,
    /// Its last attempt.
    pub last: Option<&'a AttemptRecord>,
    /// The line of its history that brought it where it is.
    pub cause: Option<&'a EventRecord>,
    /// Now.
    pub now: Timestamp,
    /// What keeps it from being started, if it is due.
    pub blocked: Option<&'a Blocked>,
    /// Its hook, as long as that is stored.
    pub hook: Option<&'a RunRecord>,
    /// Whether nobody looks after its attempt: its shim is gone, and there is no daemon.
    pub is_left: bool,
    /// What there is of a daemon.
    pub service: &'a Service,
}

/// Why the run is where it is and what comes next.
pub fn why(case: &Case<'_>) -> String {
    let line = match &case.record.run.state {
        State::Waiting { due, .. } if *due > case.now => waiting(case, *due),
        State::Waiting { .. } => queued(case),
        State::Held => format!(
            "waiting: {} has an attempt that is still being ended",
            case.record
                .parent
                .map_or("its parent".to_owned(), |id| format!("run {id}"))
        ),
        State::Running { attempt } if case.is_left => {
            let attempt = numbered(case, attempt.0);
            format!("running: nobody looks after attempt {attempt} any more, a daemon settles it")
        }
        State::Running { attempt } => running(case, attempt.0),
        State::Succeeded => return succeeded(case),
        State::Failed { reason } => return failed(case, *reason),
        State::Canceled {
            open: Some(attempt),
        } => {
            format!("canceled: attempt {attempt} is being ended")
        }
        State::Canceled { open: None } => return canceled(case),
    };
    match case.service {
        Service::Well { .. } | Service::Stopped(_) => line,
        Service::None => format!("{line}; no daemon runs, `retrier daemon --detach` starts one"),
        Service::Troubled(trouble) => format!("{line}; {}", escape_text(trouble)),
    }
}

fn waiting(case: &Case<'_>, due: Timestamp) -> String {
    let next = format!(
        "at {} in {}",
        short_time(due, case.now),
        span(due.since(case.now))
    );
    let next = match past(case) {
        Some(past) => format!("{past}, next {next}"),
        None => format!("starts {next}"),
    };
    let asked = case.cause.and_then(|cause| cause.why).map_or("", asked);
    format!("waiting: {next}{asked}{}", deadline(case))
}

fn queued(case: &Case<'_>) -> String {
    let due = past(case).map_or("due".to_owned(), |past| format!("{past}, the next is due"));
    format!("queued: {due}{}{}", blocked(case), deadline(case))
}

/// What keeps a run that is due from being started.
fn blocked(case: &Case<'_>) -> String {
    match (case.blocked, case.service) {
        (Some(Blocked::Lock { lock, holder, runs }), _) => {
            let lock = escape_text(lock);
            match holder {
                Some(holder) if !runs => {
                    format!(", run {holder} comes first for the lock \"{lock}\", and waits itself")
                }
                Some(holder) => format!(", run {holder} has the lock \"{lock}\""),
                None => format!(", the lock \"{lock}\" is being handed on"),
            }
        }
        (Some(Blocked::Pool { record, hold }), _) => {
            let name = &record.pool.name;
            format!(", the pool {name} {}", hold_words(record, *hold, case.now))
        }
        (_, Service::None | Service::Troubled(_)) => String::new(),
        (_, Service::Stopped(pid)) => {
            format!("; daemon {pid} is stopped, `kill -CONT {pid}` lets it go on")
        }
        (Some(Blocked::Nothing { pool, occupied }), Service::Well { parallel, .. })
            if pool != pool::HOOKS && parallel.is_some_and(|max| max <= *occupied as usize) =>
        {
            match occupied {
                1 => ", the one slot of the daemon is taken".to_owned(),
                many => format!(", all {many} slots of the daemon are taken"),
            }
        }
        (Some(Blocked::Nothing { .. }) | None, Service::Well { .. }) => {
            ", and starts next".to_owned()
        }
    }
}

/// Why a pool starts nothing at the moment.
pub fn hold_words(record: &PoolRecord, hold: Hold, now: Timestamp) -> String {
    let next = |at: Timestamp| format!("at {} in {}", short_time(at, now), span(at.since(now)));
    let pool = &record.pool;
    match (hold, pool.parallel) {
        (Hold::Paused, 0) if !pool.paused => {
            let name = &pool.name;
            format!("has no slots; `retrier pool set {name} --parallel N` gives it some")
        }
        (Hold::Paused, _) => format!("is paused; `retrier pool resume {}` goes on", pool.name),
        (Hold::Full, 1) => "is full: its one slot is taken".to_owned(),
        (Hold::Full, slots) => format!("is full: all {slots} slots are taken"),
        (Hold::Limited { until }, _) => {
            format!("is at its rate: its next start comes {}", next(until))
        }
        (Hold::Open { probe_at }, _) => {
            let streak = record.gate.streak;
            let probe = probe_at.map_or("a probe is under way".to_owned(), |at| {
                format!("the next probe comes {}", next(at))
            });
            let failures = if streak == 1 { "failure" } else { "failures" };
            format!("is open after {streak} {failures} in a row: {probe}")
        }
    }
}

/// What happened before the run came to wait; nothing when it is as it was stored.
fn past(case: &Case<'_>) -> Option<String> {
    let cause = case.cause?;
    let number = cause.attempt.map_or(0, |attempt| attempt.0);
    let did = cause.outcome.as_ref().map_or("ended".to_owned(), deed);
    match cause.note {
        Note::Enqueued | Note::Released => None,
        Note::Retried => Some(format!(
            "retried by hand at {}",
            short_time(cause.at, case.now)
        )),
        Note::Snoozed => Some(format!("attempt {number} {did} and was not ready")),
        Note::Interrupted => Some(format!("attempt {number} {did} and is not charged")),
        Note::AttemptFailed
        | Note::Lost
        | Note::Succeeded
        | Note::Failed
        | Note::Canceled
        | Note::Started
        | Note::NeverStarted
        | Note::AttemptClosed
        | Note::Rescheduled
        | Note::HookEnqueued
        | Note::DecisionIgnored
        | Note::Deciding
        | Note::DeciderFailed => Some(format!("attempt {} {did}", numbered(case, number))),
    }
}

/// Who wanted the next attempt, or wanted it then, when it was not the policy.
fn asked(why: Why) -> &'static str {
    match (why.wait_by, why.by) {
        (Some(WaitBy::RetryAfter), _) => ", as Retry-After asked",
        (Some(WaitBy::Command), _) | (Some(WaitBy::Backoff) | None, By::Command) => {
            ", as its decision says"
        }
        (Some(WaitBy::Decider), _) | (Some(WaitBy::Backoff) | None, By::Decider) => {
            ", as --decide says"
        }
        (
            Some(WaitBy::Backoff) | None,
            By::StopOn
            | By::StopIf
            | By::RetryOn
            | By::RetryIf
            | By::Budget
            | By::Snoozes
            | By::Deadline
            | By::Interruption,
        ) => "",
    }
}

/// The number of an attempt, and of how many unless decisions gave the run more than its budget.
fn numbered(case: &Case<'_>, number: u32) -> String {
    let run = &case.record.run;
    let open = u32::from(run.state.open_attempt().is_some());
    match run.max_attempts() {
        Some(max) if max.saturating_add(open) > number => format!("{number} of {max}"),
        Some(_) | None => number.to_string(),
    }
}

fn deadline(case: &Case<'_>) -> String {
    let at = case.record.run.deadline_at;
    at.map_or(String::new(), |at| {
        format!(", deadline {}", short_time(at, case.now))
    })
}

fn running(case: &Case<'_>, number: u32) -> String {
    let run = &case.record.run;
    let started = case.last.map(|attempt| attempt.started_at);
    let since = started.map_or(String::new(), |at| {
        format!(
            " since {}, for {}",
            short_time(at, case.now),
            span(case.now.since(at))
        )
    });
    let asked = case.cause.filter(|cause| cause.note == Note::Deciding);
    if let Some(detail) = asked.and_then(|asked| asked.detail.as_deref()) {
        let attempt = numbered(case, number);
        return format!(
            "running: attempt {attempt} has ended ({}), its decider is asked{}",
            escape_text(detail),
            deadline(case)
        );
    }
    let delay = run
        .policy
        .backoff
        .delay(run.failures.saturating_add(1), run.seed);
    let unless = if run.policy.rules.can_stop() {
        " and nothing stops it"
    } else {
        ""
    };
    let then = if run.is_last_attempt() {
        "if it fails, so does the run".to_owned()
    } else if run.is_past(case.now.plus(delay)) {
        "if it fails, so does the run, because of its deadline".to_owned()
    } else {
        format!("if it fails{unless}, the next comes {} later", span(delay))
    };
    format!(
        "running: attempt {}{since}; {then}{}",
        numbered(case, number),
        deadline(case)
    )
}

fn succeeded(case: &Case<'_>) -> String {
    let attempts = match case.record.run.attempts {
        0 | 1 => "at the first attempt".to_owned(),
        many => format!("after {many} attempts"),
    };
    let outcome = case.last.and_then(|attempt| attempt.outcome.as_ref());
    let last = match outcome {
        Some(Outcome::Exit { code: 0 }) | None => String::new(),
        Some(other) => format!(", which {}", deed(other)),
    };
    format!("succeeded: {attempts}{last}")
}

fn failed(case: &Case<'_>, reason: Reason) -> String {
    let cause = case.cause.filter(|cause| cause.note == Note::Failed);
    let ended = cause.and_then(|cause| cause.attempt.zip(cause.outcome.as_ref()));
    let did = ended.map_or(String::new(), |(attempt, outcome)| {
        format!("attempt {attempt} {}, ", deed(outcome))
    });
    let by = cause.and_then(|cause| cause.why).map(|why| why.by);
    let no_retries = case.record.run.policy.budget == Budget::Failures(0);
    let why = match (by, reason) {
        (Some(By::Deadline), _) | (None, Reason::Deadline) => {
            return past_deadline(ended.map(|(attempt, outcome)| (attempt.0, outcome)));
        }
        (Some(By::Command), _) => "stopped by its decision",
        (Some(By::Decider), _) => "stopped by --decide",
        (Some(By::StopOn), _) => "stopped by --stop-on",
        (Some(By::StopIf), _) => "stopped by --stop-if",
        (Some(By::RetryOn), _) => "which --retry-on does not name",
        (Some(By::RetryIf), _) => "and --retry-if found nothing in its output",
        (Some(By::Snoozes), _) => "it was snoozed too often",
        (Some(By::Budget | By::Interruption) | None, Reason::Exhausted | Reason::Deadline)
        | (Some(By::Budget | By::Interruption), Reason::Stopped) => {
            if no_retries {
                "it has no retries"
            } else {
                "its retries are used up"
            }
        }
        (None, Reason::Stopped) => "a rule said not to retry it",
    };
    format!("failed: {did}{why}")
}

/// Who kept a run from being retried although its budget allowed it, in a word.
pub fn stopper(by: By) -> Option<&'static str> {
    match by {
        By::Command => Some("its decision"),
        By::Decider => Some("--decide"),
        By::StopOn => Some("--stop-on"),
        By::StopIf => Some("--stop-if"),
        By::RetryOn => Some("--retry-on"),
        By::RetryIf => Some("--retry-if"),
        By::Budget | By::Snoozes | By::Deadline | By::Interruption => None,
    }
}

fn past_deadline(ended: Option<(u32, &Outcome)>) -> String {
    match ended {
        None => "failed: its deadline passed while it waited".to_owned(),
        Some((attempt, Outcome::Deadline)) => {
            format!("failed: its deadline passed while attempt {attempt} ran")
        }
        Some((attempt, other)) => format!(
            "failed: attempt {attempt} {}, the next one would start after its deadline",
            deed(other)
        ),
    }
}

fn canceled(case: &Case<'_>) -> String {
    let ended = case.last.map(|attempt| (attempt.number, attempt.ended_at));
    match (ended, case.record.finished_at) {
        (None, _) => "canceled: before its first attempt".to_owned(),
        (Some((number, Some(ended))), Some(canceled)) if ended >= canceled => {
            format!("canceled: while attempt {number} ran")
        }
        (Some((number, _)), _) => format!("canceled: while it waited after attempt {number}"),
    }
}
