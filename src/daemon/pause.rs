//! Pauses after trouble that is nobody's fault and passes.

use std::time::{Duration, Instant};

/// A pause after trouble that comes again: longer each time.
#[derive(Clone, Debug, Default)]
pub(super) struct Pause {
    times: u32,
    until: Option<Instant>,
    why: Option<String>,
}

/// How long a pause is after so many others: 1 s, doubled each time, at most 30 s.
fn length(times_before: u32) -> Duration {
    Duration::from_secs(1u64 << times_before.min(5)).min(Duration::from_secs(30))
}

impl Pause {
    /// Trouble: begins the next pause and says how long it is. More of it during a pause is the
    /// same trouble.
    pub(super) fn hit(&mut self, now: Instant, why: String) -> Duration {
        if let Some(until) = self.until(now) {
            return until.saturating_duration_since(now);
        }
        let pause = length(self.times);
        self.times = self.times.saturating_add(1);
        self.until = now.checked_add(pause);
        self.why = Some(why);
        pause
    }

    /// The trouble is over.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many pauses there were since all was well.
    pub(super) fn in_a_row(&self) -> u32 {
        self.times
    }

    /// What the trouble is, until it is over.
    pub(super) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Says once that the pause is over.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        self.until.take_if(|until| *until <= now).is_some()
    }

    /// When the pause ends, if it has not yet.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}
