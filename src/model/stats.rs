//! Statistics: what a window of time comes to, as rates, averages and percentiles. Start reading at
//! [`Tally`], which takes attempts and runs in, and [`Recent`], which comes out.

use std::time::Duration;

use super::pool::{Gate, Gauge, Hold, Pool};
use super::time::Timestamp;

/// How far statistics reach back when nothing else is said.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);

/// How it stands with all pools but that of the hooks, or with one pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Of this pool alone.
    pub pool: Option<PoolStanding>,
    /// When.
    pub at: Timestamp,
    /// How far what is [`Recent`] reaches back.
    pub window: Duration,
    /// The unfinished runs.
    pub standing: Standing,
    /// How long ago the oldest of them was stored; zero when there is none.
    pub oldest_pending: Duration,
    /// What ended in the window.
    pub recent: Recent,
}

/// A pool, and whether it starts anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStanding {
    /// Its name.
    pub name: String,
    /// Why it starts nothing.
    pub hold: Option<Hold>,
}

/// Where the unfinished runs stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Due, and not started.
    pub queued: u64,
    /// Due later.
    pub scheduled: u64,
    /// Running.
    pub running: u64,
}

/// What ended in a window of time. Everything is zero where nothing did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// How many attempts.
    pub executions: u64,
    /// How many of them failed, as a fraction.
    pub error_rate: f64,
    /// How many runs.
    pub finished: u64,
    /// How many of them failed, as a fraction.
    pub permanent_failure_rate: f64,
    /// How long it took from being stored to the end, on average.
    pub run_average: Duration,
    /// How long half of the attempts had waited for a slot at the most.
    pub slot_wait_p50: Duration,
    /// And 95 of 100.
    pub slot_wait_p95: Duration,
    /// How long half of the attempts took at the most.
    pub attempt_p50: Duration,
    /// And 95 of 100.
    pub attempt_p95: Duration,
}

/// The attempts and runs of a window, as they are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    failures: u64,
    finished: u64,
    failed: u64,
    runs_ms: u128,
    took_ms: Vec<u64>,
    waited_ms: Vec<u64>,
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether it did its work; `None` of one that was cut short or was not ready.
    pub success: Option<bool>,
    /// When its run was due, if that is known.
    pub due: Option<Timestamp>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

impl Stats {
    /// The statistics of a database in which nothing was ever stored.
    pub fn of_nothing(at: Timestamp, window: Duration) -> Self {
        Self {
            pool: None,
            at,
            window,
            standing: Standing::default(),
            oldest_pending: Duration::ZERO,
            recent: Recent::default(),
        }
    }
}

impl PoolStanding {
    /// How it stands with `pool` at `now`, while `occupied` of its slots are taken.
    pub fn of(pool: &Pool, gate: &Gate, occupied: u32, now: Timestamp) -> Self {
        Self {
            name: pool.name.clone(),
            hold: pool.hold(gate, occupied, now),
        }
    }
}

/// The word for what a pool does that is held so, or by nothing.
pub fn pool_state(hold: Option<Hold>) -> &'static str {
    hold.map_or("running", Hold::word)
}

impl Standing {
    /// Where those stand that `gauge` counts; `unseen` of them are due, though they count as
    /// scheduled until a daemon has seen it.
    pub fn of(gauge: &Gauge, unseen: u64) -> Self {
        let unseen = unseen.min(gauge.scheduled);
        Self {
            queued: gauge.locked + gauge.ready + unseen,
            scheduled: gauge.held + gauge.scheduled - unseen,
            running: gauge.running,
        }
    }

    /// How many runs have not ended.
    pub fn pending(&self) -> u64 {
        self.queued + self.scheduled + self.running
    }
}

impl Tally {
    /// Counts an attempt. Where the clock was set back in between, it took no time.
    pub fn add_attempt(&mut self, attempt: Ended) {
        self.failures += u64::from(attempt.success == Some(false));
        self.took_ms.push(millis(attempt.ended, attempt.started));
        if let Some(due) = attempt.due {
            self.waited_ms.push(millis(attempt.started, due));
        }
    }

    /// Counts a run that was stored at `stored` and ended at `ended`.
    pub fn add_run(&mut self, stored: Timestamp, ended: Timestamp, failed: bool) {
        self.finished += 1;
        self.failed += u64::from(failed);
        self.runs_ms += u128::from(millis(ended, stored));
    }

    /// What it comes to.
    pub fn recent(mut self) -> Recent {
        let executions = self.took_ms.len() as u64;
        let runs = u128::from(self.finished.max(1));
        let average_ms = (self.runs_ms + runs / 2) / runs;
        Recent {
            executions,
            error_rate: fraction(self.failures, executions),
            finished: self.finished,
            permanent_failure_rate: fraction(self.failed, self.finished),
            run_average: Duration::from_millis(u64::try_from(average_ms).unwrap_or(u64::MAX)),
            slot_wait_p50: percentile(&mut self.waited_ms, 50),
            slot_wait_p95: percentile(&mut self.waited_ms, 95),
            attempt_p50: percentile(&mut self.took_ms, 50),
            attempt_p95: percentile(&mut self.took_ms, 95),
        }
    }
}

fn millis(later: Timestamp, earlier: Timestamp) -> u64 {
    u64::try_from(later.millis().saturating_sub(earlier.millis())).unwrap_or(0)
}

/// `part` of `all` with four decimals; zero of nothing.
fn fraction(part: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    (part as f64 / all as f64 * 10_000.0).round() / 10_000.0
}

/// The smallest of `all` that at least `percent` of 100 of them do not exceed (the nearest rank);
/// zero of nothing. It is always one that occurred.
fn percentile(all: &mut [u64], percent: usize) -> Duration {
    let Some(last) = all.len().checked_sub(1) else {
        return Duration::ZERO;
    };
    let rank = (all.len() as u128 * percent as u128).div_ceil(100);
    let at = usize::try_from(rank).unwrap_or(usize::MAX).max(1) - 1;
    let (_, found, _) = all.select_nth_unstable(at.min(last));
    Duration::from_millis(*found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, proptest};

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn ms(all: &[u64], percent: usize) -> u64 {
        percentile(&mut all.to_vec(), percent).as_millis() as u64
    }

    #[test]
    fn nothing_comes_to_zero() {
        assert_eq!(Tally::default().recent(), Recent::default());
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!((ms(&hundred, 50), ms(&hundred, 95)), (50, 95));
        assert_eq!((ms(&[7], 50), ms(&[7], 95)), (7, 7));
        assert_eq!((ms(&[2, 1], 50), ms(&[2, 1], 95)), (1, 2));
        assert_eq!((ms(&[15, 20, 35, 40, 50], 50), ms(&[3, 1, 2], 95)), (35, 3));
    }

    #[test]
    fn what_was_cut_short_is_counted_and_no_error() {
        let mut tally = Tally::default();
        for (success, due) in [(Some(true), Some(0)), (Some(false), None), (None, Some(30))] {
            tally.add_attempt(Ended {
                success,
                due: due.map(at),
                started: at(20),
                ended: at(120),
            });
        }
        tally.add_run(at(0), at(100), true);
        tally.add_run(at(0), at(201), false);
        tally.add_run(at(900), at(0), false);
        let recent = tally.recent();
        assert_eq!((recent.executions, recent.error_rate), (3, 0.3333));
        assert_eq!(
            (recent.finished, recent.permanent_failure_rate),
            (3, 0.3333)
        );
        assert_eq!(recent.run_average, Duration::from_millis(100));
        assert_eq!(recent.attempt_p95, Duration::from_millis(100));
        // The one that waited 20 ms, and the one whose clock was set back.
        assert_eq!(recent.slot_wait_p50, Duration::ZERO);
        assert_eq!(recent.slot_wait_p95, Duration::from_millis(20));
    }

    #[test]
    fn the_state_of_a_pool_says_why_it_starts_nothing() {
        let mut pool = Pool::new("p", 7);
        pool.breaker = Some(2);
        let mut gate = Gate::default();
        let state = |pool: &Pool, gate: &Gate, occupied| {
            let hold = PoolStanding::of(pool, gate, occupied, at(1000)).hold;
            (pool_state(hold), hold.and_then(Hold::until))
        };
        assert_eq!(state(&pool, &gate, 9), ("running", None));
        assert_eq!(state(&pool, &gate, 10), ("full", None));
        gate.streak = 2;
        assert_eq!(state(&pool, &gate, 0), ("open", None));
        gate.probe_at = Some(at(1500));
        assert_eq!(state(&pool, &gate, 0), ("open", Some(at(1500))));
        pool.parallel = 0;
        assert_eq!(state(&pool, &gate, 0), ("paused", None));
    }

    proptest! {
        #[test]
        fn a_percentile_occurred_and_splits_the_rest(
            all in prop::collection::vec(any::<u64>(), 1..200),
            percent in 1usize..=100,
        ) {
            let found = ms(&all, percent);
            let upto = all.iter().filter(|one| **one <= found).count();
            let below = all.iter().filter(|one| **one < found).count();
            prop_assert!(all.contains(&found));
            prop_assert!(upto * 100 >= percent * all.len());
            prop_assert!(below * 100 < percent * all.len());
        }

        #[test]
        fn every_figure_is_a_number_in_its_range(
            attempts in prop::collection::vec(
                (any::<Option<bool>>(), any::<Option<i64>>(), any::<i64>(), any::<i64>()), 0..50),
            runs in prop::collection::vec((any::<i64>(), any::<i64>(), any::<bool>()), 0..50),
        ) {
            let mut tally = Tally::default();
            for (success, due, started, ended) in &attempts {
                let (started, ended) = (at(*started), at(*ended));
                tally.add_attempt(Ended { success: *success, due: due.map(at), started, ended });
            }
            for (stored, ended, failed) in &runs {
                tally.add_run(at(*stored), at(*ended), *failed);
            }
            let recent = tally.recent();
            for rate in [recent.error_rate, recent.permanent_failure_rate] {
                prop_assert!((0.0..=1.0).contains(&rate));
            }
            prop_assert!(recent.slot_wait_p50 <= recent.slot_wait_p95);
            prop_assert!(recent.attempt_p50 <= recent.attempt_p95);
            prop_assert!(recent.executions == attempts.len() as u64);
        }
    }
}
