//! A run as the state machine sees it: its state, its counts, its policy.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::time::Timestamp;

/// The number of a run: positive, never reused within a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an attempt within its run, from 1, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptNumber(pub u32);

impl fmt::Display for AttemptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a run failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Its failures are used up.
    Exhausted,
    /// A rule or a decision said so.
    Stopped,
    /// Its deadline has passed.
    Deadline,
}

impl Reason {
    /// The word for it in the database, in JSON and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Stopped => "stopped",
            Self::Deadline => "deadline",
        }
    }
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Stored, and due at a time that may have passed.
    Waiting {
        /// No attempt starts before this.
        due: Timestamp,
        /// The planned delay that led to `due`, in milliseconds; none when `due` is a time that
        /// somebody named. After a backward clock jump `due` is at most now + delay.
        delay_ms: Option<i64>,
    },
    /// A hook whose parent's last attempt is not closed yet.
    Held,
    /// An attempt is claimed or alive.
    Running {
        /// Its number.
        attempt: AttemptNumber,
    },
    /// The last attempt did what was asked.
    Succeeded,
    /// It will not be tried again.
    Failed {
        /// Why not.
        reason: Reason,
    },
    /// Somebody canceled it.
    Canceled {
        /// An attempt that is being ended: it keeps its slot until its shim reports.
        open: Option<AttemptNumber>,
    },
}

impl State {
    /// Has the run ended?
    pub fn is_final(&self) -> bool {
        match self {
            Self::Waiting { .. } | Self::Held | Self::Running { .. } => false,
            Self::Succeeded | Self::Failed { .. } | Self::Canceled { .. } => true,
        }
    }

    /// The attempt that occupies a slot, if there is one.
    pub fn open_attempt(&self) -> Option<AttemptNumber> {
        match self {
            Self::Running { attempt } => Some(*attempt),
            Self::Canceled { open } => *open,
            Self::Waiting { .. } | Self::Held | Self::Succeeded | Self::Failed { .. } => None,
        }
    }

    /// When its next attempt is due, if it waits for one.
    pub fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Waiting { due, .. } => Some(*due),
            Self::Held
            | Self::Running { .. }
            | Self::Succeeded
            | Self::Failed { .. }
            | Self::Canceled { .. } => None,
        }
    }

    /// The word that users see at time `now`.
    pub fn status(&self, now: Timestamp) -> Status {
        match self {
            Self::Waiting { due, .. } if *due <= now => Status::Queued,
            Self::Waiting { .. } | Self::Held => Status::Scheduled,
            Self::Running { .. } => Status::Running,
            Self::Succeeded => Status::Succeeded,
            Self::Failed { .. } => Status::Failed,
            Self::Canceled { .. } => Status::Canceled,
        }
    }
}

/// A run's state as users see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waiting, due later: delayed or backing off.
    Scheduled,
    /// Waiting, due now, no slot yet.
    Queued,
    /// An attempt is alive.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended, will not be tried again.
    Failed,
    /// Ended by a cancel.
    Canceled,
}

impl Status {
    /// All of them, in the order of a run's life.
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    /// Those of a run that has not ended.
    pub const UNFINISHED: [Self; 3] = [Self::Scheduled, Self::Queued, Self::Running];

    /// Those of a run that has ended.
    pub const FINISHED: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Canceled];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// What [`super::machine::next`] needs to know of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Where it stands.
    pub state: State,
    /// How many attempts were started so far, an open one included.
    pub attempts: u32,
    /// How many of them were charged as failures, since the last retry by hand.
    pub failures: u32,
    /// How many of them were snoozed, since then.
    pub snoozes: u32,
    /// No attempt starts from this time on.
    pub deadline_at: Option<Timestamp>,
    /// What it was told about retrying.
    pub policy: Policy,
    /// The source of its jitter.
    pub seed: u64,
    /// Whether a hook is to be enqueued when it ends.
    pub has_hook: bool,
}

impl Run {
    /// How many attempts it can have in all when none of the coming ones is uncharged; `None`
    /// when it is retried for ever.
    pub fn max_attempts(&self) -> Option<u32> {
        let max: Option<u32> = self.policy.budget.into();
        // An open attempt is not charged yet and takes one of the places that are left.
        let open = u32::from(self.state.open_attempt().is_some());
        let closed = self.attempts.saturating_sub(open);
        // A decision can go beyond the budget: what is open or waits is one of all, too.
        let coming = open.max(u32::from(!self.state.is_final()));
        max.map(|max| {
            let left = max.saturating_add(1).saturating_sub(self.failures);
            closed.saturating_add(left.max(coming))
        })
    }

    /// Has its deadline passed at time `at`?
    pub fn is_past(&self, at: Timestamp) -> bool {
        self.deadline_at.is_some_and(|deadline| deadline <= at)
    }

    /// Is the next failure the last one?
    pub fn is_last_attempt(&self) -> bool {
        !self.policy.budget.allows(self.failures.saturating_add(1))
    }
}
