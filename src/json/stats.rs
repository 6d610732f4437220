//! Statistics as JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::stats::pool_state;
use crate::model::time::millis_of;
use crate::model::{Hold, Stats};

use super::{VERSION, time};

/// How it stands with all pools but that of the hooks, or with one pool.
pub fn stats(stats: &Stats) -> Value {
    let fields = stats_fields(stats).into_iter();
    let named = fields.map(|(name, value)| (name.to_owned(), value));
    Value::Object(named.collect::<Map<_, _>>())
}

/// The fields of [`stats`], in an order for people. A pool has a `state` too, and when that may
/// change by itself.
pub fn stats_fields(stats: &Stats) -> Vec<(&'static str, Value)> {
    let (standing, recent) = (&stats.standing, &stats.recent);
    let ms = |duration: Duration| json!(millis_of(duration));
    let mut fields = vec![
        ("version", json!(VERSION)),
        ("at", time(stats.at)),
        ("window_ms", ms(stats.window)),
        ("pool", json!(stats.pool.as_ref().map(|pool| &pool.name))),
    ];
    if let Some(pool) = &stats.pool {
        fields.extend([
            ("state", json!(pool_state(pool.hold))),
            ("until", json!(pool.hold.and_then(Hold::until).map(time))),
        ]);
    }
    fields.extend([
        ("pending", json!(standing.pending())),
        ("queued", json!(standing.queued)),
        ("scheduled", json!(standing.scheduled)),
        ("running", json!(standing.running)),
        ("oldest_pending_ms", ms(stats.oldest_pending)),
        ("recent_executions", json!(recent.executions)),
        ("recent_error_rate", fraction(recent.error_rate)),
        ("recent_finished", json!(recent.finished)),
        (
            "recent_permanent_failure_rate",
            fraction(recent.permanent_failure_rate),
        ),
        ("recent_run_average_ms", ms(recent.run_average)),
        ("recent_slot_wait_p50_ms", ms(recent.slot_wait_p50)),
        ("recent_slot_wait_p95_ms", ms(recent.slot_wait_p95)),
        ("recent_attempt_p50_ms", ms(recent.attempt_p50)),
        ("recent_attempt_p95_ms", ms(recent.attempt_p95)),
    ]);
    fields
}

/// None is 0 and all is 1, as whole numbers.
fn fraction(fraction: f64) -> Value {
    if fraction == 0.0 || fraction == 1.0 {
        return json!(fraction as u8);
    }
    json!(fraction)
}
