//! When a run is retried, when it is not, and how long it may take.
//!
//! Start reading at [`judge::judge`], which weighs all of it.

pub mod condition;
pub mod decision;
pub mod judge;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use super::outcome::Outcome;
use super::output::OutputLimit;
use super::time::{as_millis, as_millis_option};

pub use condition::{Condition, Conditions};
pub use decision::{Changes, Complaint, Decision, Testimony, Verdict, When, Witness};
pub use judge::{By, Cost, Judgement, WaitBy, Why, judge};

/// How many failures a run may have before it fails for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<u32>", into = "Option<u32>")]
pub enum Budget {
    /// This many retries: N failures are answered with a retry, the next one ends the run.
    Failures(u32),
    /// Retried until it succeeds or is canceled.
    Forever,
}

impl Budget {
    /// May a run that now has `failures` charged failures be started again?
    pub fn allows(self, failures: u32) -> bool {
        match self {
            Self::Failures(max) => failures <= max,
            Self::Forever => true,
        }
    }
}

impl From<Option<u32>> for Budget {
    fn from(max_failures: Option<u32>) -> Self {
        max_failures.map_or(Self::Forever, Self::Failures)
    }
}

impl From<Budget> for Option<u32> {
    fn from(budget: Budget) -> Self {
        match budget {
            Budget::Failures(max) => Some(max),
            Budget::Forever => None,
        }
    }
}

/// Everything that a run was told about retrying and ending its attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// How many failures are answered with a retry; JSON null is for ever.
    #[serde(rename = "max_failures")]
    pub budget: Budget,
    /// How long to wait before each retry.
    #[serde(flatten)]
    pub backoff: Backoff,
    /// How long one attempt may run.
    #[serde(rename = "timeout_ms", with = "as_millis_option")]
    pub timeout: Option<Duration>,
    /// How long a process has between SIGTERM and SIGKILL.
    #[serde(rename = "grace_ms", with = "as_millis")]
    pub grace: Duration,
    /// How long the whole run may take, from its submission or from its retry by hand.
    #[serde(rename = "deadline_ms", with = "as_millis_option", default)]
    pub deadline: Option<Duration>,
    /// How much is kept of what an attempt writes to each of its streams; `None` is all.
    #[serde(default)]
    pub max_output: Option<OutputLimit>,
    /// Which outcomes are a success, and which failures are retried.
    #[serde(flatten)]
    pub rules: Rules,
}

/// Which outcomes are a success, which failures are retried, and who decides it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// The outcomes that are a success.
    #[serde(rename = "success_codes")]
    pub success: Conditions,
    /// The outcomes that are retried, of those that the command gives by itself; without the list
    /// all are.
    pub retry_on: Option<Conditions>,
    /// The outcomes that end the run.
    pub stop_on: Conditions,
    /// Regular expressions: an attempt with one of them in its output is retried.
    pub retry_if: Vec<String>,
    /// Regular expressions: an attempt with one of them in its output ends the run.
    pub stop_if: Vec<String>,
    /// Whether an HTTP server may say when to ask again.
    pub retry_after: bool,
    /// A shell line that decides after each failed attempt.
    pub decide: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            success: Conditions(vec![Condition::Exit { from: 0, to: 0 }]),
            retry_on: None,
            stop_on: Conditions::default(),
            retry_if: Vec::new(),
            stop_if: Vec::new(),
            retry_after: false,
            decide: None,
        }
    }
}

impl Rules {
    /// Did an attempt with this outcome do what it was asked to do? One that could not be executed
    /// did not, whatever number stands for it.
    pub fn is_success(&self, outcome: &Outcome) -> bool {
        !matches!(outcome, Outcome::Spawn { .. }) && self.success.contain(outcome)
    }

    /// Is it a failure about which somebody has to decide? Not when somebody outside has ended it.
    pub fn is_failure(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Exit { .. }
            | Outcome::Signal { .. }
            | Outcome::Timeout
            | Outcome::Spawn { .. }
            | Outcome::Lost => !self.is_success(outcome),
            Outcome::Deadline | Outcome::Canceled | Outcome::Interrupted => false,
        }
    }

    /// Can anything but the budget and the deadline keep a failed attempt from being retried?
    pub fn can_stop(&self) -> bool {
        let stopped = !self.stop_on.0.is_empty() || !self.stop_if.is_empty();
        let chosen = self.retry_on.is_some() || !self.retry_if.is_empty();
        stopped || chosen || self.decide.is_some()
    }
}

impl Policy {
    /// The default of `--max-failures`.
    pub const MAX_FAILURES: u32 = 4;
    /// The default of `--grace`.
    pub const GRACE: Duration = Duration::from_secs(10);
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            budget: Budget::Failures(Self::MAX_FAILURES),
            backoff: Backoff::default(),
            timeout: None,
            grace: Self::GRACE,
            deadline: None,
            max_output: None,
            rules: Rules::default(),
        }
    }
}
