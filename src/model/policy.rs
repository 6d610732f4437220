//! When a run is retried, and how long one attempt may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use super::time::{as_millis, as_millis_option};

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
        }
    }
}
