//! Statistics as a page.

use std::fmt::Write;

use crate::model::stats::pool_state;
use crate::model::{Hold, Stats};

use super::words::{short_time, span};

/// Statistics as a page.
pub fn stats_page(stats: &Stats) -> String {
    let (standing, recent) = (&stats.standing, &stats.recent);
    let mut page = String::new();
    let mut field = |name: &str, value: String| {
        let _ = writeln!(page, "{name:<9} {value}");
    };
    field(
        "pool",
        match &stats.pool {
            None => "all but hooks".to_owned(),
            Some(pool) => {
                let until = pool.hold.and_then(Hold::until);
                let until = until.map_or(String::new(), |until| {
                    format!(" until {}", short_time(until, stats.at))
                });
                format!("{}, {}{until}", pool.name, pool_state(pool.hold))
            }
        },
    );
    let runs = |count: u64| match count {
        1 => "1 run".to_owned(),
        count => format!("{count} runs"),
    };
    field(
        "pending",
        match standing.pending() {
            0 => "nothing".to_owned(),
            pending => format!(
                "{}: {} queued, {} scheduled, {} running",
                runs(pending),
                standing.queued,
                standing.scheduled,
                standing.running
            ),
        },
    );
    if standing.pending() > 0 {
        let age = span(stats.oldest_pending);
        field("oldest", format!("stored {age} ago"));
    }
    field("window", format!("the last {}", span(stats.window)));
    field(
        "attempts",
        match recent.executions {
            0 => "none ended".to_owned(),
            ended => format!("{ended} ended, {} failed", percent(recent.error_rate)),
        },
    );
    if recent.executions > 0 {
        let half = |p50, p95| format!("p50 {}, p95 {}", span(p50), span(p95));
        field("took", half(recent.attempt_p50, recent.attempt_p95));
        let waited = half(recent.slot_wait_p50, recent.slot_wait_p95);
        field("waited", format!("{waited}, for a slot"));
    }
    field(
        "runs",
        match recent.finished {
            0 => "none ended".to_owned(),
            ended => format!(
                "{ended} ended, {} failed, {} from stored to ended on average",
                percent(recent.permanent_failure_rate),
                span(recent.run_average)
            ),
        },
    );
    page
}

/// A fraction with four decimals as so many of 100.
fn percent(fraction: f64) -> String {
    let rounded = (fraction * 10_000.0).round() / 100.0;
    format!("{rounded}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_has_the_digits_that_it_needs() {
        assert_eq!(percent(0.0), "0%");
        assert_eq!(percent(0.4286), "42.86%");
        assert_eq!(percent(0.07), "7%");
        assert_eq!(percent(1.0), "100%");
    }
}
