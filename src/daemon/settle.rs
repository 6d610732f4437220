//! What was found out about attempts, and how it is written down.

use std::io::{self, Read};
use std::time::Duration;

use crate::model::policy::{Complaint, Witness};
use crate::model::{
    AttemptChange, AttemptNumber, Event, Note, Outcome, Run, RunId, RunResult, State, Testimony,
    Timestamp, Transition, next, pool,
};
use crate::shim::record::Ending;
use crate::store::{Facts, Folder, OpenAttempt, Pass, StoreError, Stream};
use crate::sys::failpoint;
use crate::sys::files::open_regular;
use crate::sys::identity::World;

use super::slots::Key;

/// By how much an ending may lie ahead of a time that was rounded down.
const ROUNDED_UP: Duration = Duration::from_millis(1);

/// Something found out about an attempt, to be settled in the next pass.
#[derive(Clone, Debug)]
pub struct Finding {
    pub key: Key,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Its command was started.
    Started { pid: i32, started_at: Timestamp },
    /// Its command has ended like this, and its decider is asked.
    Deciding {
        ended_at: Timestamp,
        outcome: Outcome,
    },
    /// It ended, and somebody saw how.
    Ended(Ending),
    /// Its command was never started.
    NeverStarted,
    /// Nobody saw how it ended, and nothing of it is left but this.
    Lost(Box<Testimony>),
}

impl What {
    /// What else is said of an attempt that has ended.
    fn testimony(&self) -> Option<&Testimony> {
        match self {
            Self::Ended(ending) => Some(&ending.testimony),
            Self::Lost(testimony) => Some(testimony),
            Self::Started { .. } | Self::Deciding { .. } | Self::NeverStarted => None,
        }
    }

    fn testimony_mut(&mut self) -> Option<&mut Testimony> {
        match self {
            Self::Ended(ending) => Some(&mut ending.testimony),
            Self::Lost(testimony) => Some(testimony),
            Self::Started { .. } | Self::Deciding { .. } | Self::NeverStarted => None,
        }
    }
}

/// A transition that is to be committed.
#[derive(Debug)]
pub struct Settled {
    pub id: RunId,
    pub transition: Transition,
    /// What was said of its attempt and could not be understood.
    pub complaints: Vec<Complaint>,
}

impl Settled {
    /// One of which nobody has said anything.
    pub fn new(id: RunId, transition: Transition) -> Self {
        Self {
            id,
            transition,
            complaints: Vec::new(),
        }
    }
}

/// What a successful command has left lives on, but not that of a canceled run: it can be retried once
/// its attempt is closed, and must not meet what is left. In another boot nothing is, and in another
/// pid namespace nothing can be ended.
pub fn outlived(
    pass: &Pass<'_>,
    world: &World,
    finding: &Finding,
) -> Result<Option<(OpenAttempt, Ending)>, StoreError> {
    let ending = match &finding.what {
        What::Ended(ending) if ending.leftover => ending,
        What::Ended(_)
        | What::Started { .. }
        | What::Deciding { .. }
        | What::NeverStarted
        | What::Lost(_) => {
            return Ok(None);
        }
    };
    let Key { run, attempt } = finding.key;
    let open = pass.read().open_attempt(run)?.filter(|open| {
        let is_near = open.shim.boot_id == world.boot_id && open.shim.pid_ns == world.pid_ns;
        open.canceled && is_near && open.attempt == attempt
    });
    Ok(open.map(|open| (open, ending.clone())))
}

/// Writes one finding, and tells in which pool its attempt was started; `None` when it is old news.
pub fn settle(
    pass: &Pass<'_>,
    folder: &Folder,
    finding: &Finding,
    now: Timestamp,
) -> Result<Option<(Settled, String)>, StoreError> {
    let Key { run: id, attempt } = finding.key;
    let current = match pass.current(id) {
        Err(StoreError::NoRun { .. }) => return Ok(None),
        other => other?,
    };
    let run = &current.run;
    let at = match &finding.what {
        What::Started { pid, started_at } => {
            pass.note_pid(id, attempt, *pid, *started_at)?;
            return Ok(None);
        }
        What::Deciding { ended_at, outcome } => {
            if run.state == (State::Running { attempt }) {
                pass.note_deciding(id, attempt, outcome, *ended_at)?;
            }
            return Ok(None);
        }
        // It was rounded up. One that lies further ahead was told by a clock that was set back.
        What::Ended(ending) => ending.ended_at.min(now.plus(ROUNDED_UP)),
        What::NeverStarted | What::Lost(_) => now,
    };
    let moved = without_wrong_pool(pass, id, finding)?;
    let finding = moved.as_ref().unwrap_or(finding);
    let event = event(finding, at);
    let transition = if failpoint::has_bug("cancel_can_flip") {
        next(&not_canceled(run), &event)
    } else {
        next(run, &event)
    };
    let Ok(transition) = transition else {
        return Ok(None);
    };
    let return_value = match (&transition.state, &finding.what) {
        (State::Succeeded, What::Ended(ending)) if ending.stdout_len > 0 => {
            return_value(folder, id, attempt)
        }
        _ => Vec::new(),
    };
    let facts = match &finding.what {
        What::Ended(ending) => Facts::Ending {
            pid: ending.pid,
            started_at: Some(ending.started_at),
            return_value: &return_value,
            testimony: &ending.testimony,
        },
        What::Lost(testimony) => Facts::Ending {
            pid: None,
            started_at: None,
            return_value: &return_value,
            testimony,
        },
        What::Started { .. } | What::Deciding { .. } | What::NeverStarted => Facts::None,
    };
    let said = finding.what.testimony();
    let complaints = said.map_or(Vec::new(), |said| said.complaints.clone());
    let applied = pass.apply_to(&current, &transition, at, facts)?;
    let settled = Settled {
        id,
        transition,
        complaints,
    };
    Ok(applied.then(|| (settled, current.pool().to_owned())))
}

/// A decision can send its run to a pool that there is; one that cannot be meant is complained of, and
/// the run stays where it is. `None`: nothing is wrong with what `finding` says of it.
fn without_wrong_pool(
    pass: &Pass<'_>,
    id: RunId,
    finding: &Finding,
) -> Result<Option<Finding>, StoreError> {
    let said = finding.what.testimony();
    let Some(pool) = said.and_then(|said| said.changes.pool.as_deref()) else {
        return Ok(None);
    };
    let error = if pool == pool::HOOKS {
        format!("the pool {pool} is for hooks")
    } else if pass.read().record(id)?.parent.is_some() {
        "a hook stays in its pool".to_owned()
    } else if !pass.read().has_pool(pool)? {
        format!("there is no pool {pool}")
    } else {
        return Ok(None);
    };
    let mut moved = finding.clone();
    if let Some(said) = moved.what.testimony_mut() {
        said.changes.pool = None;
        said.complaints.push(Complaint {
            of: Witness::Command,
            error: format!("{error}, and the run stays where it is"),
        });
    }
    Ok(Some(moved))
}

/// The run as it was before its cancel, for a deliberate bug.
fn not_canceled(run: &Run) -> Run {
    let mut run = run.clone();
    if let State::Canceled {
        open: Some(attempt),
    } = run.state
    {
        run.state = State::Running { attempt };
    }
    run
}

fn event(finding: &Finding, at: Timestamp) -> Event {
    let attempt = finding.key.attempt;
    match &finding.what {
        What::Ended(ending) => Event::Ended {
            at,
            attempt,
            outcome: ending.outcome.clone(),
            testimony: ending.testimony.clone(),
        },
        What::NeverStarted => Event::NeverStarted { at, attempt },
        What::Lost(_) | What::Started { .. } | What::Deciding { .. } => Event::Ended {
            at,
            attempt,
            outcome: Outcome::Lost,
            testimony: Box::new(finding.what.testimony().cloned().unwrap_or_default()),
        },
    }
}

/// The head of a successful attempt's stdout. What lives on of it may have put anything there, and
/// nobody waits for that.
fn return_value(folder: &Folder, run: RunId, attempt: AttemptNumber) -> Vec<u8> {
    let path = folder.output(run, attempt, Stream::Stdout);
    let mut head = Vec::new();
    let read = open_regular(&path).and_then(|file| {
        file.take(RunResult::RETURN_VALUE_MAX as u64)
            .read_to_end(&mut head)
    });
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("{}: {error}", path.display()),
    }
    if let Err(error) = std::str::from_utf8(&head)
        && error.error_len().is_none()
        && head.len() == RunResult::RETURN_VALUE_MAX
    {
        // Text that is cut in the middle of a character would not be text any more.
        head.truncate(error.valid_up_to());
    }
    head
}

/// Logs a committed transition. An attempt that will be retried is not an error, the final
/// failure is one.
pub fn log(settled: &Settled) {
    let Settled {
        id,
        transition,
        complaints,
    } = settled;
    let attempt = transition.attempt.number();
    let which = attempt.map_or(String::new(), |attempt| format!(", attempt {attempt}"));
    let how = match &transition.attempt {
        AttemptChange::Close { outcome, .. } => format!("{which}: {outcome}"),
        AttemptChange::Open(_) | AttemptChange::Forget(_) | AttemptChange::None => which.clone(),
    };
    // What programs look for.
    let (run, attempt) = (id.0, attempt.map(|attempt| attempt.0));
    for Complaint { of, error } in complaints {
        let what = match of {
            Witness::Command => "its decision",
            Witness::Decider => "its decider",
        };
        tracing::warn!(run, attempt, "run {id}{which}: {what}: {error}");
    }
    match (transition.note, &transition.state) {
        (Note::Failed, State::Failed { reason }) => {
            let reason = reason.word();
            tracing::error!(run, attempt, reason, "run {id} failed ({reason}){how}");
        }
        (Note::Started, _) => tracing::debug!(run, attempt, "run {id} started{how}"),
        (Note::Succeeded, _) => tracing::info!(run, attempt, "run {id} succeeded{how}"),
        (Note::NeverStarted, _) => tracing::warn!(run, attempt, "run {id} was not started{how}"),
        (note, State::Waiting { due, .. }) => {
            let due = crate::json::rfc3339(*due).unwrap_or_default();
            let words = words(note);
            tracing::info!(run, attempt, due, "run {id} {words}{how}, due {due}");
        }
        (note, _) => tracing::info!(run, attempt, "run {id} {}{how}", words(note)),
    }
}

fn words(note: Note) -> &'static str {
    match note {
        Note::Enqueued => "was stored",
        Note::Started => "started",
        Note::AttemptFailed | Note::Lost => "will be retried",
        Note::Snoozed => "was not ready",
        Note::NeverStarted => "was not started",
        Note::Interrupted => "was interrupted",
        Note::Succeeded => "succeeded",
        Note::Failed => "failed",
        Note::Canceled => "was canceled",
        Note::AttemptClosed => "is canceled and its attempt has ended",
        Note::Released => "may start",
        Note::Rescheduled => "is due earlier, the clock was set back",
        Note::Retried => "is retried by hand",
        Note::HookEnqueued => "has enqueued its hook",
        Note::DecisionIgnored => "has its decision ignored",
        Note::Deciding => "asks its decider",
        Note::DeciderFailed => "has a decider that failed",
    }
}
