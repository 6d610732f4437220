//! The options of `retrier stats`.

use std::time::Duration;

use clap::Args;

use crate::text::duration;

use super::values::pool;

/// Show how many runs wait and run, and how they fared lately
///
/// All pools together, without hooks, or one pool. Runs: pending (all that have not ended), queued,
/// scheduled, running, and the age of the oldest. Of the attempts that ended in the window: how
/// many failed, how long they took, and how long they waited for a slot; of the runs: how many
/// failed for good, and how long it took from being stored to the end. What was canceled or
/// interrupted, or was not ready, is no error. A percentile is the nearest rank: a value that
/// occurred, and that so many of 100 do not exceed. What has no value is 0.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  retrier stats --pool mail --window 1h\n  \
    retrier stats --prometheus > new.prom && mv new.prom retrier.prom\n\n\
    In a pipe each line is a field of the JSON object, a tab, and its value.\n\n\
    Exit codes: 2 no such pool.")]
pub struct StatsArgs {
    /// Of POOL alone; hooks is the pool of the hooks
    #[arg(long, value_name = "POOL", value_parser = pool)]
    pub pool: Option<String>,

    /// Count what ended in the last D
    #[arg(long, value_name = "D", value_parser = window, default_value = "5m")]
    pub window: Duration,

    /// Print one JSON object
    #[arg(long, conflicts_with = "prometheus")]
    pub json: bool,

    /// Print metrics of each pool, hooks too, in the text format of Prometheus
    #[arg(long)]
    pub prometheus: bool,
}

/// A span of time that is not empty.
fn window(text: &str) -> Result<Duration, String> {
    let window = duration(text)?;
    if window.is_zero() {
        return Err("nothing ends in no time".to_owned());
    }
    Ok(window)
}
