//! What a policy comes to: the waits that it plans, how many attempts there are, how long all takes.
//!
//! Attempts are taken to last no time and to fail; what decisions and servers say is not known
//! beforehand.

use super::backoff::Backoff;
use super::policy::{Budget, Policy};
use super::time::millis_of;

/// So many waits are listed at the most, and added up one by one. Beyond them those that are
/// nearly equal are added up at once, so that billions of retries take no time.
pub const WAITS_MAX: u32 = 10_000;

/// Whole milliseconds: without jitter, and between which bounds with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Without jitter.
    pub nominal: u64,
    /// The least that jitter makes of it.
    pub min: u64,
    /// The greatest that jitter makes of it.
    pub max: u64,
}

impl Spread {
    fn exactly(ms: u64) -> Self {
        Self {
            nominal: ms,
            min: ms,
            max: ms,
        }
    }

    /// The wait before retry `n`.
    fn before(backoff: &Backoff, n: u32) -> Self {
        let (min, max) = backoff.bounds_ms(n);
        Self {
            nominal: backoff.nominal_ms(n).round() as u64,
            min: min as u64,
            max: max as u64,
        }
    }

    /// This, and `count` times `other`; saturating at what the database can hold.
    #[must_use]
    fn and(self, other: Self, count: u32) -> Self {
        let add = |to: u64, each: u64| {
            let sum = to.saturating_add(each.saturating_mul(u64::from(count)));
            sum.min(i64::MAX as u64)
        };
        Self {
            nominal: add(self.nominal, other.nominal),
            min: add(self.min, other.min),
            max: add(self.max, other.max),
        }
    }

    /// No part of it is more than `limit`.
    #[must_use]
    fn at_most(self, limit: u64) -> Self {
        Self {
            nominal: self.nominal.min(limit),
            min: self.min.min(limit),
            max: self.max.min(limit),
        }
    }

    /// Does jitter make no difference?
    pub fn is_exact(self) -> bool {
        self.min == self.nominal && self.nominal == self.max
    }
}

/// The wait before one retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Which retry, from 1.
    pub retry: u32,
    /// The wait itself.
    pub wait: Spread,
    /// All waits up to it.
    pub total: Spread,
}

/// What a policy comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The first waits.
    pub waits: Vec<Wait>,
    /// How many follow them; `None` is no end of them.
    pub left: Option<u32>,
    /// The wait before the last retry, or what the waits come to in the end.
    pub last: Spread,
    /// How many attempts there can be; `None` is no end of them.
    pub attempts: Option<u64>,
    /// How long it waits in all until it gives up; `None` is for ever.
    pub gives_up: Option<Spread>,
    /// Whether the deadline surely comes before some of the retries, which are left out.
    pub cut: bool,
}

impl Plan {
    /// The plan of `policy`, with its first `limit` waits.
    pub fn of(policy: &Policy, limit: u32) -> Self {
        let (retries, endless) = match policy.budget {
            Budget::Failures(max) => (max, false),
            // A run counts no further.
            Budget::Forever => (u32::MAX, true),
        };
        let deadline = policy.deadline.map(|limit| millis_of(limit) as u64);
        // Shorter waits than planned make more attempts before the deadline.
        let is_planned = !policy.rules.retry_after && policy.rules.decide.is_none();
        let cuts_at = deadline.filter(|_| is_planned);
        let limit = limit.min(WAITS_MAX) as usize;
        let mut waits: Vec<Wait> = Vec::new();
        let mut total = Spread::default();
        let mut last = Spread::default();
        let mut made = 0;
        let mut cut = false;
        while made < retries && !cut {
            let (wait, count) = stretch(&policy.backoff, made + 1, retries);
            let room = cuts_at.map_or(count, |at| below(at, total.min, wait.min).min(count));
            for nth in 1..=room.min((limit - waits.len()) as u32) {
                waits.push(Wait {
                    retry: made + nth,
                    wait,
                    total: total.and(wait, nth),
                });
            }
            cut = room < count;
            if room > 0 {
                last = wait;
            }
            total = total.and(wait, room);
            made += room;
        }
        let ends = !endless || cut;
        let gives_up = match (ends, deadline) {
            (true, Some(at)) => Some(total.at_most(at)),
            (true, None) => Some(total),
            (false, Some(at)) => Some(Spread::exactly(at)),
            (false, None) => None,
        };
        Self {
            left: ends.then(|| made - waits.len() as u32),
            waits,
            last,
            attempts: ends.then(|| u64::from(made) + 1),
            gives_up,
            cut,
        }
    }

    /// Are there waits after those that are listed?
    pub fn has_more(&self) -> bool {
        self.left != Some(0)
    }
}

/// The wait before retry `n`, and how many retries from there up to `last` have one that is equal,
/// or beyond [`WAITS_MAX`] nearly so.
fn stretch(backoff: &Backoff, n: u32, last: u32) -> (Spread, u32) {
    let rest = last - n + 1;
    let listed = u32::try_from(backoff.delays.len()).unwrap_or(u32::MAX);
    // Beyond a list no term ever shrinks: where both ends are equal, all between them is.
    if n >= listed && backoff.nominal_ms(n) == backoff.nominal_ms(last) {
        return (Spread::before(backoff, n), rest);
    }
    let count = (n / WAITS_MAX).max(1).min(rest);
    (Spread::before(backoff, n + (count - 1) / 2), count)
}

/// How often `each` can be added to `total` before it reaches `limit`.
fn below(limit: u64, total: u64, each: u64) -> u32 {
    let room = limit.saturating_sub(total).saturating_sub(1);
    match room.checked_div(each) {
        Some(times) if total < limit => u32::try_from(times).unwrap_or(u32::MAX),
        Some(_) => 0,
        None if total < limit => u32::MAX,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn policy(budget: Budget, backoff: Backoff) -> Policy {
        Policy {
            budget,
            backoff,
            ..Policy::default()
        }
    }

    fn linear(ms: u64) -> Backoff {
        Backoff {
            linear: Duration::from_millis(ms),
            initial: Duration::ZERO,
            max: Duration::from_secs(100 * 365 * 86_400),
            jitter: 0.0,
            ..Backoff::default()
        }
    }

    #[test]
    fn billions_of_retries_are_added_up_nearly_exactly() {
        let plan = Plan::of(&policy(Budget::Failures(u32::MAX), linear(1)), 3);
        let n = f64::from(u32::MAX);
        let exact = n * (n + 1.0) / 2.0;
        let found = plan.gives_up.unwrap().nominal as f64;
        assert!((found / exact - 1.0).abs() < 1e-3, "{found} is not {exact}");
        assert_eq!(plan.attempts, Some(1 << 32));
        assert_eq!(plan.left, Some(u32::MAX - 3));
    }

    #[test]
    fn what_is_capped_is_added_up_exactly() {
        let plan = Plan::of(&policy(Budget::Failures(1_000_000), Backoff::default()), 0);
        let growing: u64 = (0..=18).map(|k| 250 << k).sum();
        let day = 86_400_000;
        let expected = growing + (1_000_000 - 19) * day;
        assert_eq!(plan.gives_up.unwrap().nominal, expected);
        assert_eq!(plan.last.nominal, day);
    }

    #[test]
    fn a_deadline_is_reached_by_whatever_grows() {
        let year = Duration::from_secs(365 * 86_400);
        let mut forever = policy(Budget::Forever, linear(1));
        forever.deadline = Some(year);
        let plan = Plan::of(&forever, 1);
        // The sum of 1 ms, 2 ms, … n ms is a year.
        let n = (2.0 * year.as_millis() as f64).sqrt();
        let attempts = plan.attempts.unwrap() as f64;
        assert!((attempts / n - 1.0).abs() < 1e-3, "{attempts} is not {n}");
        forever.backoff = linear(0);
        let plan = Plan::of(&forever, 1);
        assert_eq!((plan.attempts, plan.cut), (None, false));
        let at = millis_of(year) as u64;
        assert_eq!(plan.gives_up, Some(Spread::exactly(at)));
    }
}
