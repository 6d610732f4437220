//! Statistics as metrics: the text exposition format of Prometheus, version 0.0.4. All samples of a
//! metric stand together; units are base units; nothing is NaN. Start reading at [`METRICS`].

use std::fmt::Write;
use std::time::Duration;

use crate::model::stats::Recent;
use crate::store::PoolStats;

/// A value with the label that stands beside the pool's, if there is one.
type Sample = (Option<(&'static str, &'static str)>, String);

struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&PoolStats) -> Vec<Sample>,
}

const METRICS: &[Metric] = &[
    Metric {
        name: "retrier_runs",
        kind: "gauge",
        help: "Runs that have not ended.",
        samples: |one| {
            let standing = &one.stats.standing;
            labeled(
                "state",
                [
                    ("queued", standing.queued),
                    ("scheduled", standing.scheduled),
                    ("running", standing.running),
                ],
            )
        },
    },
    Metric {
        name: "retrier_oldest_pending_seconds",
        kind: "gauge",
        help: "Age of the oldest run that has not ended; 0 when there is none.",
        samples: |one| seconds(one.stats.oldest_pending),
    },
    Metric {
        name: "retrier_slots",
        kind: "gauge",
        help: "Attempts that may run at once.",
        samples: |one| plain(one.record.pool.parallel),
    },
    Metric {
        name: "retrier_slots_used",
        kind: "gauge",
        help: "Slots that are taken, those of canceled runs that are still being ended included.",
        samples: |one| plain(one.record.gauge.occupied()),
    },
    Metric {
        name: "retrier_pool_paused",
        kind: "gauge",
        help: "1 while the pool is paused or has no slots.",
        samples: |one| plain(u8::from(one.record.pool.is_shut())),
    },
    Metric {
        name: "retrier_pool_open",
        kind: "gauge",
        help: "1 while failures hold the pool open, and one attempt at a time may start.",
        samples: |one| plain(u8::from(one.record.pool.is_open(&one.record.gate))),
    },
    Metric {
        name: "retrier_attempts_total",
        kind: "counter",
        help: "Attempts that have ended.",
        samples: |one| plain(one.record.gauge.executions),
    },
    Metric {
        name: "retrier_attempts_failed_total",
        kind: "counter",
        help: "Attempts that have failed.",
        samples: |one| plain(one.record.gauge.failures),
    },
    Metric {
        name: "retrier_runs_finished_total",
        kind: "counter",
        help: "Endings of runs; one that is retried by hand ends once more.",
        samples: |one| {
            let gauge = &one.record.gauge;
            labeled(
                "result",
                [
                    ("success", gauge.succeeded),
                    ("failed", gauge.failed),
                    ("canceled", gauge.canceled),
                ],
            )
        },
    },
    Metric {
        name: "retrier_recent_window_seconds",
        kind: "gauge",
        help: "How far the metrics with recent in their name reach back.",
        samples: |one| seconds(one.stats.window),
    },
    Metric {
        name: "retrier_recent_attempts",
        kind: "gauge",
        help: "Attempts that ended in the window.",
        samples: |one| plain(recent(one).executions),
    },
    Metric {
        name: "retrier_recent_error_ratio",
        kind: "gauge",
        help: "Failed attempts of those that ended in the window.",
        samples: |one| plain(recent(one).error_rate),
    },
    Metric {
        name: "retrier_recent_runs_finished",
        kind: "gauge",
        help: "Runs that ended in the window.",
        samples: |one| plain(recent(one).finished),
    },
    Metric {
        name: "retrier_recent_permanent_failure_ratio",
        kind: "gauge",
        help: "Failed runs of those that ended in the window.",
        samples: |one| plain(recent(one).permanent_failure_rate),
    },
    Metric {
        name: "retrier_recent_run_average_seconds",
        kind: "gauge",
        help: "Average time from being stored to the end of the runs that ended in the window.",
        samples: |one| seconds(recent(one).run_average),
    },
    Metric {
        name: "retrier_recent_slot_wait_p50_seconds",
        kind: "gauge",
        help: "Median wait for a slot of the attempts that ended in the window.",
        samples: |one| seconds(recent(one).slot_wait_p50),
    },
    Metric {
        name: "retrier_recent_slot_wait_p95_seconds",
        kind: "gauge",
        help: "95th percentile of the wait for a slot of the attempts that ended in the window.",
        samples: |one| seconds(recent(one).slot_wait_p95),
    },
    Metric {
        name: "retrier_recent_attempt_p50_seconds",
        kind: "gauge",
        help: "Median duration of the attempts that ended in the window.",
        samples: |one| seconds(recent(one).attempt_p50),
    },
    Metric {
        name: "retrier_recent_attempt_p95_seconds",
        kind: "gauge",
        help: "95th percentile of the duration of the attempts that ended in the window.",
        samples: |one| seconds(recent(one).attempt_p95),
    },
];

/// The metrics of `pools`.
pub fn exposition(pools: &[PoolStats]) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let Metric {
            name, kind, help, ..
        } = metric;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for one in pools {
            let pool = escape(&one.record.pool.name);
            for (label, value) in (metric.samples)(one) {
                let more = label.map_or(String::new(), |(label, of)| format!(",{label}=\"{of}\""));
                let _ = writeln!(text, "{name}{{pool=\"{pool}\"{more}}} {value}");
            }
        }
    }
    text
}

fn recent(one: &PoolStats) -> &Recent {
    &one.stats.recent
}

fn plain(value: impl ToString) -> Vec<Sample> {
    vec![(None, value.to_string())]
}

fn seconds(duration: Duration) -> Vec<Sample> {
    plain(duration.as_secs_f64())
}

fn labeled<const N: usize>(label: &'static str, values: [(&'static str, u64); N]) -> Vec<Sample> {
    let samples = values.map(|(of, value)| (Some((label, of)), value.to_string()));
    samples.into()
}

/// The value of a label between its quotes.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_label_ends_at_its_quote() {
        assert_eq!(escape("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
    }
}
