//! What is said about an attempt besides its outcome: by the command itself, by the program that
//! decides for it, by its output.

use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

/// Whether and when a run goes on, as somebody decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether; nothing leaves it to whoever comes next.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<Verdict>,
    /// When, if it goes on; nothing leaves it to whoever comes next.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub when: Option<When>,
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It fails.
    Stop,
    /// It is retried, whatever its rules and its budget say.
    Retry,
    /// It was not ready: it runs again, and nothing is charged.
    Snooze {
        /// After so many milliseconds.
        delay_ms: i64,
    },
}

/// When a run is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// So many milliseconds after the end of the attempt.
    After(i64),
    /// At this time.
    At(Timestamp),
}

/// What else a decision changes of its run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Its priority.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<i32>,
    /// Its pool.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pool: Option<String>,
    /// Its lock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lock: Option<String>,
    /// The text of its error, if it fails.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

impl Changes {
    /// What they change of where and when the run starts, in words; `None` when it is nothing.
    pub fn words(&self) -> Option<String> {
        let priority = self.priority.map(|points| format!("priority {points}"));
        let pool = self.pool.as_ref().map(|pool| format!("pool {pool}"));
        let lock = self.lock.as_ref().map(|lock| format!("lock {lock}"));
        let parts: Vec<String> = [priority, pool, lock].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// These, and where they say nothing what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            priority: self.priority.or(other.priority),
            pool: self.pool.or(other.pool),
            lock: self.lock.or(other.lock),
            error: self.error.or(other.error),
        }
    }
}

/// All that is said about one attempt besides its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Testimony {
    /// What the command wrote into the file that `RETRIER_DECISION` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Decision>,
    /// What the program of `--decide` answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decider: Option<Decision>,
    /// What both want changed, the command's wish first.
    #[serde(skip_serializing_if = "is_default")]
    pub changes: Changes,
    /// A pattern of `--stop-if` was found in the output.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_if: bool,
    /// A pattern of `--retry-if` was found in the output.
    #[serde(skip_serializing_if = "is_default")]
    pub retry_if: bool,
    /// When an HTTP server wants to be asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<When>,
    /// What was said and could not be understood.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<Complaint>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Something that was to be said about an attempt, and is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Who was to say it.
    pub of: Witness,
    /// What is wrong with it.
    pub error: String,
}

/// Who speaks of an attempt, and may be misunderstood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Witness {
    /// The command, through the file that `RETRIER_DECISION` names.
    Command,
    /// The program of `--decide`.
    Decider,
}
