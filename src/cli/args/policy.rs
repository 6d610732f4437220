//! The options of a policy, and what they mean together.
//!
//! They come in layers, each a [`PolicyArgs`]: the command line, below it the variables of
//! [`super::defaults`], below them what was set for the pool and is stored with it. Start reading
//! at [`PolicyArgs::policy`].

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::failure::{Failure, code};
use crate::model::policy::Conditions;
use crate::model::pool::PROBE_WAIT_MAX;
use crate::model::time::as_millis_option;
use crate::model::{Backoff, Budget, OutputLimit, Policy, Rules};
use crate::text::{self, duration};

use super::conditions::{conditions, successes};
use super::defaults;
use super::values::{
    Delays, base, count, delays, jitter, line, max_output, pattern, positive, switch,
};

/// When and how often it is retried, and how long it may take. What is not given is `None`.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyArgs {
    /// How often.
    #[command(flatten)]
    #[serde(flatten)]
    pub budget: BudgetArgs,

    /// After which waits.
    #[command(flatten)]
    #[serde(flatten)]
    pub waits: WaitsArgs,

    /// Wait no longer than D [default: 24h; or the longest of --delays]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Retries")]
    #[serde(rename = "max_backoff_ms", with = "as_millis_option")]
    pub max_backoff: Option<Duration>,

    /// Multiply each wait by a random factor from 1-F to 1+F [default: 0.5; 0 with --delays]
    #[arg(long, value_name = "F", value_parser = jitter, help_heading = "Retries")]
    pub jitter: Option<f64>,

    /// Wait as long as the Retry-After of an HTTP response says, that a failed attempt has printed
    /// with its headers (curl -i, wget -S)
    #[arg(long, value_name = "BOOL", value_parser = switch, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = "Retries")]
    pub retry_after: Option<bool>,

    /// What becomes of an outcome.
    #[command(flatten)]
    #[serde(flatten)]
    pub rules: RuleArgs,

    /// End an attempt that runs longer than D; 0 is no limit [default: 0]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Time")]
    #[serde(rename = "timeout_ms", with = "as_millis_option")]
    pub timeout: Option<Duration>,

    /// End the run when it has not succeeded D after it was stored; 0 is no limit [default: 0]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Time")]
    #[serde(rename = "deadline_ms", with = "as_millis_option")]
    pub deadline: Option<Duration>,

    /// The time between SIGTERM and SIGKILL when an attempt is ended [default: 10s]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Time")]
    #[serde(rename = "grace_ms", with = "as_millis_option")]
    pub grace: Option<Duration>,

    /// Keep at most SIZE, such as 10M, of what an attempt writes to stdout, and as much of stderr:
    /// the first half and the last; 0 is no limit [default: 0]
    #[arg(long, value_name = "SIZE", value_parser = max_output, help_heading = "Output")]
    pub max_output: Option<u64>,
}

/// How often it is retried: one of these at the most counts.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetArgs {
    /// Retry it N times, so that it is attempted N+1 times at the most [default: 4]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, visible_alias = "retries", help_heading = "Retries",
          conflicts_with_all = ["max_attempts", "forever"])]
    pub max_failures: Option<u32>,

    /// Attempt it N times in all at the most
    #[arg(long, value_name = "N", visible_alias = "attempts", help_heading = "Retries",
          value_parser = positive, allow_negative_numbers = true, conflicts_with = "forever")]
    pub max_attempts: Option<u32>,

    /// Retry it until it succeeds
    #[arg(long, value_name = "BOOL", value_parser = switch, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = "Retries")]
    pub forever: Option<bool>,
}

/// How long the waits are: the terms of a sum, or a list.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitsArgs {
    /// The exponential term before the first retry [default: 250ms; 0 with --constant or --linear]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Retries")]
    #[serde(rename = "initial_backoff_ms", with = "as_millis_option")]
    pub initial_backoff: Option<Duration>,

    /// The factor of the exponential term from one retry to the next [default: 2]
    #[arg(long, value_name = "F", value_parser = base, help_heading = "Retries")]
    pub base: Option<f64>,

    /// Wait D more before every retry
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Retries")]
    #[serde(rename = "constant_ms", with = "as_millis_option")]
    pub constant: Option<Duration>,

    /// Wait n times D more before retry n
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Retries")]
    #[serde(rename = "linear_ms", with = "as_millis_option")]
    pub linear: Option<Duration>,

    /// Wait as long as this list says, such as 1s,5s,30s; its last one repeats
    #[arg(long, value_name = "D,D,...", value_parser = delays, help_heading = "Retries",
          conflicts_with_all = ["initial_backoff", "base", "constant", "linear"])]
    #[serde(rename = "delays_ms")]
    pub delays: Option<Delays>,
}

/// Which outcomes are a success, which are retried, and who decides it.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleArgs {
    /// The exit codes and signals that are a success, such as 0,24 or 0-3,SIGTERM [default: 0]
    #[arg(long, value_name = "LIST", value_parser = successes, help_heading = "Conditions")]
    pub success_codes: Option<Conditions>,

    /// Retry these failures alone, such as 75,100-110,SIGKILL,spawn; one that timed out or was lost
    /// is retried as well
    #[arg(long, value_name = "LIST", value_parser = conditions, help_heading = "Conditions")]
    pub retry_on: Option<Conditions>,

    /// Never retry these failures, such as 2,64-78,SIGSEGV,timeout,spawn,lost
    #[arg(long, value_name = "LIST", value_parser = conditions, help_heading = "Conditions")]
    pub stop_on: Option<Conditions>,

    /// Retry those failures alone of which the last 64 KiB of stdout or stderr match; may be given
    /// again
    #[arg(long, value_name = "REGEX", value_parser = pattern, help_heading = "Conditions")]
    pub retry_if: Vec<String>,

    /// Never retry a failure of which the last 64 KiB of stdout or stderr match; may be given again
    #[arg(long, value_name = "REGEX", value_parser = pattern, help_heading = "Conditions")]
    pub stop_if: Vec<String>,

    /// Have /bin/sh run LINE after each failed attempt, to decide by a JSON on its stdout; the
    /// run is on its stdin
    #[arg(long, value_name = "LINE", value_parser = line,
          help_heading = "Conditions")]
    pub decide: Option<String>,
}

impl PolicyArgs {
    /// The policy that these options mean, the variables where they say nothing, and where those
    /// say nothing either, the options that were set for the `pool`. Errors: a variable's value is
    /// wrong, two of them contradict each other, or there are too many patterns.
    pub fn policy(&self, pool: &Self) -> Result<Policy, Failure> {
        self.clone().or(defaults::layer()?.or(pool.clone())).alone()
    }

    /// The policy that these options mean where nothing else says anything. Errors: there are too
    /// many patterns.
    pub fn alone(self) -> Result<Policy, Failure> {
        self.rules.check_patterns()?;
        Ok(self.meaning())
    }

    /// The waits that these options mean between the probes of a pool. Errors: as of [`Self::alone`].
    pub fn of_probes(self) -> Result<Backoff, Failure> {
        let is_set = self.max_backoff.is_some() || self.waits != WaitsArgs::default();
        let waits = self.alone()?.backoff;
        let max = if is_set { waits.max } else { PROBE_WAIT_MAX };
        Ok(Backoff { max, ..waits })
    }

    /// These options as they are stored with a pool: a JSON object of those that are given.
    pub fn stored(&self) -> Value {
        let mut all = serde_json::to_value(self).expect("its keys are names, its numbers finite");
        let is_given = |value: &Value| !value.is_null() && value.as_array() != Some(&Vec::new());
        if let Value::Object(options) = &mut all {
            options.retain(|_, value| is_given(value));
        }
        all
    }

    /// The options that [`PolicyArgs::stored`] gave for a pool. Errors: they are none, or of a
    /// newer program, in words.
    pub fn of_stored(stored: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(stored).map_err(|error| error.to_string())?;
        let options = Self::deserialize(&value).map_err(|error| error.to_string())?;
        // An option that is passed over would be one that a run does not have.
        if options.stored() != value {
            return Err("there are options that this program does not know".to_owned());
        }
        Ok(options)
    }

    /// This layer, and the `lower` one where it says nothing.
    pub fn or(self, lower: Self) -> Self {
        Self {
            budget: self.budget.or(lower.budget),
            waits: self.waits.or(lower.waits),
            max_backoff: self.max_backoff.or(lower.max_backoff),
            jitter: self.jitter.or(lower.jitter),
            retry_after: self.retry_after.or(lower.retry_after),
            rules: self.rules.or(lower.rules),
            timeout: self.timeout.or(lower.timeout),
            deadline: self.deadline.or(lower.deadline),
            grace: self.grace.or(lower.grace),
            max_output: self.max_output.or(lower.max_output),
        }
    }

    fn meaning(self) -> Policy {
        let default = Policy::default();
        Policy {
            budget: self.budget.meaning(),
            timeout: self.timeout.filter(|limit| !limit.is_zero()),
            grace: self.grace.unwrap_or(default.grace),
            deadline: self.deadline.filter(|limit| !limit.is_zero()),
            max_output: self.max_output.and_then(OutputLimit::new),
            rules: self.rules.meaning(self.retry_after),
            backoff: self.waits.meaning(self.jitter, self.max_backoff),
        }
    }
}

impl BudgetArgs {
    /// A budget takes the place of a lower one whole.
    fn or(self, lower: Self) -> Self {
        let says_one = self.max_failures.is_some()
            || self.max_attempts.is_some()
            || self.forever == Some(true);
        if says_one {
            return self;
        }
        Self {
            forever: self.forever.or(lower.forever),
            ..lower
        }
    }

    fn meaning(self) -> Budget {
        let attempts = self.max_attempts.map(|attempts| attempts - 1);
        match self.max_failures.or(attempts) {
            _ if self.forever == Some(true) => Budget::Forever,
            Some(failures) => Budget::Failures(failures),
            None => Budget::Failures(Policy::MAX_FAILURES),
        }
    }
}

impl WaitsArgs {
    /// A sum or a list takes the place of a lower one whole: a term that is not given is zero. The
    /// base is no term, and stands beside those of any layer, but not beside a list.
    fn or(self, lower: Self) -> Self {
        let says_terms =
            self.initial_backoff.is_some() || self.constant.is_some() || self.linear.is_some();
        let base = self.base.or(lower.base);
        if self.delays.is_some() {
            return self;
        }
        if says_terms {
            return Self { base, ..self };
        }
        let delays = lower.delays.filter(|_| self.base.is_none());
        Self {
            base,
            delays,
            ..lower
        }
    }

    /// The backoff with these waits. A list is meant exactly, if nobody asks for a jitter.
    fn meaning(self, jitter: Option<f64>, max: Option<Duration>) -> Backoff {
        let default = Backoff::default();
        let delays = self.delays.map_or(Vec::new(), |Delays(delays)| delays);
        let exact = !delays.is_empty();
        let initial = if exact || self.constant.is_some() || self.linear.is_some() {
            Duration::ZERO
        } else {
            default.initial
        };
        Backoff {
            constant: self.constant.unwrap_or_default(),
            linear: self.linear.unwrap_or_default(),
            initial: self.initial_backoff.unwrap_or(initial),
            base: self.base.unwrap_or(default.base),
            // A list that names a longer wait means it.
            max: max.unwrap_or_else(|| delays.iter().fold(default.max, |max, one| max.max(*one))),
            jitter: jitter.unwrap_or(if exact { 0.0 } else { default.jitter }),
            delays,
        }
    }
}

impl RuleArgs {
    /// Each pattern for itself was taken, but they are looked for together.
    fn check_patterns(&self) -> Result<(), Failure> {
        for (option, texts) in [("--retry-if", &self.retry_if), ("--stop-if", &self.stop_if)] {
            if !texts.is_empty() && text::patterns(texts).is_err() {
                let message = format!("the patterns of {option} take too much memory together");
                return Err(Failure::new(code::USAGE, message)
                    .hint("give fewer of them, or some with shorter repetitions"));
            }
        }
        Ok(())
    }

    fn or(self, lower: Self) -> Self {
        let patterns = |own: Vec<String>, lower| if own.is_empty() { lower } else { own };
        Self {
            success_codes: self.success_codes.or(lower.success_codes),
            retry_on: self.retry_on.or(lower.retry_on),
            stop_on: self.stop_on.or(lower.stop_on),
            retry_if: patterns(self.retry_if, lower.retry_if),
            stop_if: patterns(self.stop_if, lower.stop_if),
            decide: self.decide.or(lower.decide),
        }
    }

    fn meaning(self, retry_after: Option<bool>) -> Rules {
        let default = Rules::default();
        Rules {
            success: self.success_codes.unwrap_or(default.success),
            retry_on: self.retry_on,
            stop_on: self.stop_on.unwrap_or_default(),
            retry_if: self.retry_if,
            stop_if: self.stop_if,
            retry_after: retry_after.unwrap_or(default.retry_after),
            decide: self.decide,
        }
    }
}
