//! What is left of an attempt whose shim is gone, and when it is pressed how.

use std::time::{Duration, Instant};

use crate::shim::handle::Press;
use crate::store::OpenAttempt;

use super::settle::What;

/// How soon what a killed shim has left is looked for again; each look after that takes twice as
/// long to come, because it reads all of /proc.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The longest time between two looks.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);

/// An attempt whose shim died before the end, so that processes of it may be left: they are ended
/// before it is settled.
#[derive(Debug)]
pub struct Remnant {
    pub(super) open: OpenAttempt,
    /// What is settled then; none of a lost one.
    pub(super) what: Option<What>,
    /// When its grace is over; none before it was asked to end.
    kill_at: Option<Instant>,
    pub(super) look_at: Instant,
    /// How long the next look but one is away from the next.
    pace: Duration,
}

impl Remnant {
    pub(super) fn new(open: OpenAttempt, what: Option<What>, now: Instant) -> Self {
        Self {
            open,
            what,
            kill_at: None,
            look_at: now,
            pace: LOOK_AGAIN,
        }
    }

    /// What to do at `now`; plans the next look too.
    pub(super) fn next_press(&mut self, now: Instant) -> Press {
        let (press, kill_at) = match self.kill_at {
            None => (
                Press::Terminate,
                now.checked_add(self.open.policy.grace).unwrap_or(now),
            ),
            Some(at) if now < at => (Press::Look, at),
            Some(at) => (Press::Kill, at),
        };
        self.kill_at = Some(kill_at);
        // Each look takes longer to come than the one before, but the end of the grace is kept.
        self.look_at = now.checked_add(self.pace).unwrap_or(now);
        self.pace = (self.pace * 2).min(LOOK_AGAIN_MAX);
        if now < kill_at && kill_at <= self.look_at {
            self.look_at = kill_at;
            self.pace = LOOK_AGAIN;
        }
        press
    }
}
