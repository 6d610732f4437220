//! Waiting for a condition, never for a guessed time: the only reader of the clock and the only sleeper of the tests.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

const POLL: Duration = Duration::from_millis(10);

/// A moment after which waiting is over. Several waits in a row can share one.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    end: Instant,
}

impl Limit {
    /// The limit that is `duration` from now.
    #[expect(clippy::disallowed_methods, reason = "limits are measured here")]
    pub fn after(duration: Duration) -> Limit {
        Limit {
            end: Instant::now() + duration,
        }
    }

    /// What is left of it; zero once it is over.
    #[expect(clippy::disallowed_methods, reason = "limits are measured here")]
    pub fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// Waits until the condition holds, looking every 10 ms; panics with `what` when it does not within the limit.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    assert!(
        holds_within(limit, condition),
        "not within {limit:?}: {what}"
    );
}

/// Whether the condition comes to hold within the limit. It is looked at at least once.
#[expect(
    clippy::disallowed_methods,
    reason = "the one poll loop of the tests; it has a limit"
)]
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let limit = Limit::after(limit);
    loop {
        if condition() {
            return true;
        }
        if limit.left().is_zero() {
            return false;
        }
        thread::sleep(POLL);
    }
}

/// Wall time in nanoseconds since 1970, as `date +%s%N` has it.
#[expect(clippy::disallowed_methods, reason = "compared with what `date` says")]
pub fn wall_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.expect("it is after 1970");
    i64::try_from(since.as_nanos()).expect("it is before 2262")
}
