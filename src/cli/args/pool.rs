//! The options of `retrier pool`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use crate::model::pool::PARALLEL_MAX;
use crate::text::duration;

use super::policy::PolicyArgs;
use super::values::{count, pool};

/// So many starts and so many at once at the most.
const STARTS_MAX: u32 = 1_000_000;

/// Make and limit pools: how much runs at once, and how fast
///
/// Every run is in a pool: `default` where `run --pool` names no other, and `hooks`, where all hooks
/// are. A run that waits for its next attempt takes no slot of its pool.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs",
    after_help = "Examples:\n  retrier pool set mail --parallel 3 --rate 10/1m\n  \
        retrier run --pool mail -- ./send 17\n\n\
        Exit codes: 4 a pool that cannot be deleted."
)]
pub struct PoolArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: PoolVerb,
}

/// What to do with pools.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "a text here would hide the longer one of the options"
)]
pub enum PoolVerb {
    Set(Box<SetArgs>),
    List(PoolListArgs),
    /// Start nothing more in pools; what runs goes on
    #[command(
        after_help = "Examples:\n  retrier pool pause mail\n  retrier pool pause --all\n\n\
        To pause a pool twice is no error."
    )]
    Pause(NamesArgs),
    /// Start again what is in pools
    #[command(after_help = "Examples:\n  retrier pool resume mail\n  \
        retrier pool resume --all\n\n\
        A pool with --parallel 0 stays as it is.")]
    Resume(NamesArgs),
    /// Delete a pool in which every run has ended
    #[command(after_help = "Examples:\n  retrier pool delete mail\n  \
        retrier wait --all --pool mail; retrier pool delete mail\n\n\
        Exit codes: 4 it has runs that have not ended, or is default or hooks.")]
    Delete(DeleteArgs),
}

/// Make a pool, or change what was set for it
///
/// What is not given stays as it was set before. It counts from the next start on; what runs goes
/// on. The retry options are the defaults of the runs that are stored in the pool from then on: the
/// command line comes first, then RETRIER_DEFAULT_*, then the pool. Those for the waits are also the
/// waits between the probes of --breaker.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier pool set [OPTIONS] NAME",
    after_help = "Examples:\n  \
        retrier pool set mail --parallel 3 --rate 10/1m --max-failures 8\n  \
        retrier pool set api --breaker 5 --initial-backoff 1s --max-backoff 5m"
)]
pub struct SetArgs {
    /// The pool
    #[arg(value_name = "NAME", value_parser = pool)]
    pub name: String,

    /// Run at most N attempts at once; 0 starts nothing [default of a new one: 10]
    #[arg(long, value_name = "N", value_parser = parallel, allow_negative_numbers = true,
          help_heading = "Pool")]
    pub parallel: Option<u32>,

    /// Start at most N attempts per D, retries included, evenly spaced, such as 10/1m or 5/s; 0 is
    /// no limit
    #[arg(long, value_name = "N/D", value_parser = rate, help_heading = "Pool")]
    pub rate: Option<RateArg>,

    /// With a rate: start up to N at once when none was started for long [default: 1]
    #[arg(long, value_name = "N", value_parser = starts, allow_negative_numbers = true,
          help_heading = "Pool")]
    pub burst: Option<u32>,

    /// When the last N attempts have all failed, start one at a time until one succeeds; 0 is never
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true,
          help_heading = "Pool")]
    pub breaker: Option<u32>,

    /// Store no run that would be the pool's N+1st unfinished one: `run` exits with 4; 0 is no limit
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true,
          help_heading = "Pool")]
    pub max_pending: Option<u32>,

    /// Forget the retry options that were set for the pool before
    #[arg(long, help_heading = "Pool")]
    pub no_defaults: bool,

    /// The defaults of its runs
    #[command(flatten)]
    pub retries: PolicyArgs,
}

/// List the pools: how many of their runs stand where, and what was set
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  retrier pool list\n  \
    retrier pool list --json | jq -r 'select(.queued > 0) | .name'\n\n\
    The state is running, paused, full (all slots are taken), limited (by its rate) or open (by its\n\
    breaker).\n\n\
    In a pipe the fields are separated by tabs: name, parallel, running, queued, scheduled, state,\n\
    until when, rate, burst, breaker, retry options, max pending.")]
pub struct PoolListArgs {
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
}

/// Some pools, or all.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("pools").required(true).args(["names", "all"]))]
pub struct NamesArgs {
    /// The pools
    #[arg(value_name = "NAME", value_parser = pool)]
    pub names: Vec<String>,

    /// All pools but that of the hooks
    #[arg(long)]
    pub all: bool,
}

/// A pool.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The pool
    #[arg(value_name = "NAME", value_parser = pool)]
    pub name: String,
}

/// What `--rate` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateArg {
    /// No limit.
    Off,
    /// So many starts in a time; neither is 0.
    Even {
        /// How many.
        starts: u32,
        /// In which time.
        per: Duration,
    },
}

fn parallel(text: &str) -> Result<u32, String> {
    match count(text) {
        Ok(number) if number <= PARALLEL_MAX => Ok(number),
        Ok(_) | Err(_) => Err(format!(
            "it must be a whole number from 0 to {PARALLEL_MAX}"
        )),
    }
}

fn starts(text: &str) -> Result<u32, String> {
    match count(text) {
        Ok(number @ 1..=STARTS_MAX) => Ok(number),
        Ok(_) | Err(_) => Err(format!("it must be a whole number from 1 to {STARTS_MAX}")),
    }
}

/// `10/1m`, or `5/s` for `5/1s`.
fn rate(text: &str) -> Result<RateArg, String> {
    if text == "0" {
        return Ok(RateArg::Off);
    }
    let Some((number, time)) = text.split_once('/') else {
        return Err("it must be starts and a time, such as 10/1m or 5/s".to_owned());
    };
    let number = number.trim();
    let starts = starts(number).map_err(|error| format!("'{number}': {error}"))?;
    let time = time.trim();
    let parsed = match time {
        "s" | "m" | "h" | "d" => duration(&format!("1{time}")),
        _ => duration(time),
    };
    match parsed {
        Ok(per) if !per.is_zero() => Ok(RateArg::Even { starts, per }),
        Ok(_) => Err(format!("'{time}': it must be longer than 0")),
        Err(error) => Err(format!("'{time}': {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_starts_and_a_time() {
        let even = |starts, ms| {
            let per = Duration::from_millis(ms);
            Ok(RateArg::Even { starts, per })
        };
        for (text, expected) in [
            ("10/1m", even(10, 60_000)),
            ("5/s", even(5, 1000)),
            ("7/m", even(7, 60_000)),
            ("100/h", even(100, 3_600_000)),
            ("2/d", even(2, 86_400_000)),
            ("1 / 90", even(1, 90_000)),
            ("3/250ms", even(3, 250)),
            ("1000000/1ms", even(1_000_000, 1)),
            ("1/1h 30m", even(1, 5_400_000)),
            ("0", Ok(RateArg::Off)),
        ] {
            assert_eq!(rate(text), expected, "{text}");
        }
        for (wrong, words) in [
            ("10", "such as 10/1m"),
            ("", "such as 10/1m"),
            ("0/1s", "'0': it must be a whole number from 1"),
            ("1000001/s", "from 1 to 1000000"),
            ("-1/s", "from 1"),
            ("1.5/s", "'1.5'"),
            ("/s", "''"),
            ("10/", "''"),
            ("10/0", "'0': it must be longer than 0"),
            ("10/M", "'M': the unit M is not exact"),
            ("10/1y", "'1y'"),
            ("10/1m/2", "'1m/2'"),
            ("10/-1s", "'-1s'"),
        ] {
            let error = rate(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
