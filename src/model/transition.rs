//! What goes into the state machine, an [`Event`], and what comes out, a [`Transition`] or a
//! [`Refusal`].

use std::time::Duration;

use super::outcome::Outcome;
use super::policy::{Testimony, Why};
use super::run::{AttemptNumber, Run, State};
use super::time::Timestamp;

/// Something that happened, or that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The daemon has a free slot and a shim for it.
    Start {
        /// Now.
        at: Timestamp,
    },
    /// An attempt has ended, and what it left has been ended too.
    Ended {
        /// When the command ended.
        at: Timestamp,
        /// Which attempt.
        attempt: AttemptNumber,
        /// How.
        outcome: Outcome,
        /// What else is said of it.
        testimony: Box<Testimony>,
    },
    /// A claimed attempt provably never ran its command.
    NeverStarted {
        /// When it may be started again.
        at: Timestamp,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// Somebody wants the run canceled.
    Cancel {
        /// Now.
        at: Timestamp,
    },
    /// The parent's last attempt is closed: its hook may run.
    Release {
        /// Now.
        at: Timestamp,
    },
    /// The wall clock was set.
    ClockSet {
        /// Now.
        at: Timestamp,
    },
    /// The deadline of a run may have passed.
    Deadline {
        /// Now.
        at: Timestamp,
    },
    /// Somebody wants the run retried.
    Retry {
        /// Now.
        at: Timestamp,
        /// How much later.
        delay: Duration,
    },
}

/// What is to be written: applied whole, in one transaction, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state afterwards.
    pub state: State,
    /// The charged failures afterwards.
    pub failures: u32,
    /// The snoozes afterwards.
    pub snoozes: u32,
    /// The deadline afterwards.
    pub deadline_at: Option<Timestamp>,
    /// What happens to the attempt.
    pub attempt: AttemptChange,
    /// What happens to the hook.
    pub hook: HookChange,
    /// The line in the run's history.
    pub note: Note,
    /// Who decided it.
    pub why: Option<Why>,
}

impl Transition {
    /// A transition of `run` into `state` that changes nothing else.
    pub fn of(run: &Run, state: State, note: Note) -> Self {
        Self {
            state,
            failures: run.failures,
            snoozes: run.snoozes,
            deadline_at: run.deadline_at,
            attempt: AttemptChange::None,
            hook: HookChange::None,
            note,
            why: None,
        }
    }

    /// Whether the attempt that it closes did its work; `None` when it closes none, or one that was
    /// cut short by somebody or was not ready.
    pub fn success(&self) -> Option<bool> {
        let AttemptChange::Close { outcome, .. } = &self.attempt else {
            return None;
        };
        match (self.note, outcome) {
            (_, Outcome::Interrupted | Outcome::Canceled) => None,
            (Note::Succeeded, _) => Some(true),
            (Note::AttemptFailed | Note::Lost | Note::Failed, _) => Some(false),
            (
                Note::Enqueued
                | Note::Started
                | Note::Snoozed
                | Note::NeverStarted
                | Note::Interrupted
                | Note::Canceled
                | Note::AttemptClosed
                | Note::Released
                | Note::Rescheduled
                | Note::Retried
                | Note::HookEnqueued
                | Note::DecisionIgnored
                | Note::Deciding
                | Note::DeciderFailed,
                _,
            ) => None,
        }
    }
}

/// A change of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptChange {
    /// No attempt changes.
    None,
    /// A new one is opened.
    Open(AttemptNumber),
    /// The open one has ended.
    Close {
        /// Its number.
        attempt: AttemptNumber,
        /// What is recorded of its end.
        outcome: Outcome,
        /// The delay planned after it, when the run is retried.
        retry_delay_ms: Option<i64>,
    },
    /// The open one never started: its number is free again.
    Forget(AttemptNumber),
}

impl AttemptChange {
    /// The attempt that changes.
    pub fn number(&self) -> Option<AttemptNumber> {
        match self {
            Self::None => None,
            Self::Open(attempt) | Self::Close { attempt, .. } | Self::Forget(attempt) => {
                Some(*attempt)
            }
        }
    }
}

/// A change of the run's hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookChange {
    /// Nothing.
    None,
    /// The hook is enqueued, due now.
    Enqueue,
    /// The hook is enqueued, held until the open attempt is closed.
    EnqueueHeld,
    /// The held hook becomes due now.
    Release,
}

/// The kinds of lines in a run's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The run was stored.
    Enqueued,
    /// An attempt was claimed.
    Started,
    /// An attempt failed and will be retried.
    AttemptFailed,
    /// An attempt was lost and will be retried.
    Lost,
    /// The command was not ready, and runs again later; it is not charged.
    Snoozed,
    /// A claimed attempt never ran its command and is not charged.
    NeverStarted,
    /// A planned stop cut an attempt short; it is not charged.
    Interrupted,
    /// The run ended well.
    Succeeded,
    /// The run failed for good.
    Failed,
    /// The run was canceled.
    Canceled,
    /// The attempt of a canceled run has ended.
    AttemptClosed,
    /// A held hook became due.
    Released,
    /// The due time was moved because the clock was set back.
    Rescheduled,
    /// Somebody had it retried.
    Retried,
    /// The hook that follows its ending was stored.
    HookEnqueued,
    /// The command's decision was not understood, and ignored.
    DecisionIgnored,
    /// The command has ended, and the program of `--decide` is asked.
    Deciding,
    /// The program of `--decide` failed, or was not understood.
    DeciderFailed,
}

impl Note {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Enqueued,
        Self::Started,
        Self::AttemptFailed,
        Self::Lost,
        Self::Snoozed,
        Self::NeverStarted,
        Self::Interrupted,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
        Self::AttemptClosed,
        Self::Released,
        Self::Rescheduled,
        Self::Retried,
        Self::HookEnqueued,
        Self::DecisionIgnored,
        Self::Deciding,
        Self::DeciderFailed,
    ];

    /// Does an attempt end with it, if it is about one?
    pub fn ends_attempt(self) -> bool {
        match self {
            Self::AttemptFailed
            | Self::Lost
            | Self::Snoozed
            | Self::Interrupted
            | Self::Succeeded
            | Self::Failed
            | Self::AttemptClosed => true,
            Self::Enqueued
            | Self::Started
            | Self::NeverStarted
            | Self::Canceled
            | Self::Released
            | Self::Rescheduled
            | Self::Retried
            | Self::HookEnqueued
            | Self::DecisionIgnored
            | Self::Deciding
            | Self::DeciderFailed => false,
        }
    }

    /// Does it tell why the run is where it is? The others add to one that does.
    pub fn is_cause(self) -> bool {
        match self {
            Self::Enqueued
            | Self::AttemptFailed
            | Self::Lost
            | Self::Snoozed
            | Self::Interrupted
            | Self::Succeeded
            | Self::Failed
            | Self::Canceled
            | Self::Released
            | Self::Retried
            | Self::Deciding => true,
            Self::Started
            | Self::NeverStarted
            | Self::AttemptClosed
            | Self::Rescheduled
            | Self::HookEnqueued
            | Self::DecisionIgnored
            | Self::DeciderFailed => false,
        }
    }

    /// The word for it in the database and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Started => "started",
            Self::AttemptFailed => "attempt_failed",
            Self::Lost => "lost",
            Self::Snoozed => "snoozed",
            Self::NeverStarted => "never_started",
            Self::Interrupted => "interrupted",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::AttemptClosed => "attempt_closed",
            Self::Released => "released",
            Self::Rescheduled => "rescheduled",
            Self::Retried => "retried",
            Self::HookEnqueued => "hook_enqueued",
            Self::DecisionIgnored => "decision_ignored",
            Self::Deciding => "deciding",
            Self::DeciderFailed => "decider_failed",
        }
    }
}

/// Why an event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It speaks of an attempt that is not open, or of a state that has passed.
    Stale,
    /// The run is not due yet.
    NotDue,
    /// The run was canceled before.
    AlreadyCanceled,
    /// The run had ended before.
    AlreadyEnded,
    /// Its deadline passes before that.
    PastDeadline,
    /// Its attempt is still being ended.
    Closing,
}
