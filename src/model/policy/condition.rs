//! Lists of outcomes, as `--success-codes`, `--retry-on` and `--stop-on` name them.

use serde::{Deserialize, Serialize};

use crate::model::outcome::Outcome;

/// One kind of outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// An exit code in this range, both ends included. The codes 126 and 127 stand for a command
    /// that could not be executed or was not found, too, as they do in a shell.
    Exit {
        /// The lowest.
        from: u8,
        /// The highest.
        to: u8,
    },
    /// Ended by the signal of this number.
    Signal(i32),
    /// Ran longer than its timeout.
    Timeout,
    /// Could not be executed.
    Spawn,
    /// Nobody saw how it ended.
    Lost,
}

impl Condition {
    /// Is `outcome` of this kind?
    pub fn matches(&self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Exit { from, to }, Outcome::Exit { code } | Outcome::Spawn { code, .. }) => {
                (*from..=*to).contains(code)
            }
            (Self::Signal(number), Outcome::Signal { signal, .. }) => number == signal,
            (Self::Timeout, Outcome::Timeout)
            | (Self::Spawn, Outcome::Spawn { .. })
            | (Self::Lost, Outcome::Lost) => true,
            (
                Self::Exit { .. } | Self::Signal(_) | Self::Timeout | Self::Spawn | Self::Lost,
                Outcome::Exit { .. }
                | Outcome::Signal { .. }
                | Outcome::Timeout
                | Outcome::Deadline
                | Outcome::Canceled
                | Outcome::Spawn { .. }
                | Outcome::Lost
                | Outcome::Interrupted,
            ) => false,
        }
    }
}

/// A list of kinds of outcomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(pub Vec<Condition>);

impl Conditions {
    /// Is `outcome` of one of these kinds?
    pub fn contain(&self, outcome: &Outcome) -> bool {
        self.0.iter().any(|one| one.matches(outcome))
    }
}
