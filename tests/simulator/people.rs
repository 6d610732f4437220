//! People, who act on what they have read some time ago, and clocks that are set.

use std::time::Duration;

use retrier::model::{Event, Run, State};

use super::base::{HOOKS, Row};
use super::chaos::World;
use super::rules::Broken;
use super::wishes;

impl World {
    pub(super) fn submit(&mut self) {
        if self.base.active.len() < 40 {
            let row: Row = wishes::row(&mut self.rng, self.now);
            self.base.insert(row);
        }
    }

    /// Somebody reads a run, and will act on it later.
    pub(super) fn read_one(&mut self) {
        if let Some(n) = self.any_run() {
            self.read.push((n, self.base.rows[n].run.clone()));
            if self.read.len() > 24 {
                self.read.swap_remove(self.rng.usize(..24));
            }
        }
    }

    /// Mostly one of the last.
    fn any_run(&mut self) -> Option<usize> {
        let count = self.base.rows.len();
        let from = if self.rng.u8(..4) > 0 {
            count.saturating_sub(60)
        } else {
            0
        };
        (count > 0).then(|| self.rng.usize(from..count))
    }

    /// Somebody acts on what he has read some time ago.
    pub(super) fn meddle(&mut self) -> Result<(), Broken> {
        if self.read.is_empty() {
            return Ok(());
        }
        let (n, run) = self.read.swap_remove(self.rng.usize(..self.read.len()));
        match self.rng.u8(..3) {
            0 => self.cancel_or_retry_as_read((n, &run)),
            1 => {
                let told = self.messages.iter().rev().find(|((of, _), _)| *of == n);
                let Some(((_, attempt), report)) = told.cloned() else {
                    return Ok(());
                };
                self.base.begin();
                if self.settle_as_read((n, &run), attempt, &report)? {
                    self.forget_record((n, attempt));
                }
                Ok(())
            }
            _ => self.claim_as_read((n, &run)),
        }
    }

    /// As a claim of somebody who has looked at all else just now.
    fn claim_as_read(&mut self, (n, run): (usize, &Run)) -> Result<(), Broken> {
        let row = &self.base.rows[n];
        let free = row
            .lock
            .is_none_or(|lock| self.base.lock_holder(lock).is_none());
        if !free || !self.has_room(row.pool)? || row.run.deadline_at != run.deadline_at {
            return Ok(());
        }
        self.base.begin();
        let event = Event::Start { at: self.now };
        if self.base.apply((n, run), &event, self.now)? {
            self.orders.extend(
                self.base.rows[n]
                    .run
                    .state
                    .open_attempt()
                    .map(|open| (n, open)),
            );
        }
        Ok(())
    }

    pub(super) fn cancel_or_retry(&mut self) -> Result<(), Broken> {
        let Some(n) = self.any_run() else {
            return Ok(());
        };
        let run = self.base.rows[n].run.clone();
        self.cancel_or_retry_as_read((n, &run))
    }

    fn cancel_or_retry_as_read(&mut self, read: (usize, &Run)) -> Result<(), Broken> {
        let at = self.now;
        let event = if self.rng.bool() {
            Event::Cancel { at }
        } else {
            let delay = Duration::from_millis(self.rng.u64(..60_000));
            Event::Retry { at, delay }
        };
        // A hook is not retried while the attempt of its parent is open.
        let parent = self.base.rows[read.0].parent;
        let closing =
            parent.is_some_and(|parent| self.base.rows[parent].run.state.open_attempt().is_some());
        if closing && matches!(event, Event::Retry { .. }) {
            return Ok(());
        }
        self.base.begin();
        self.base.apply(read, &event, at).map(drop)
    }

    pub(super) fn let_time_pass(&mut self) {
        let most = if self.rng.u8(..10) == 0 {
            3_600_000
        } else {
            2_000
        };
        self.now = self.now.plus(Duration::from_millis(self.rng.u64(..most)));
    }

    /// The clock was ahead, and is set right; the daemon follows it.
    pub(super) fn set_clock_back(&mut self) -> Result<(), Broken> {
        self.now = self
            .now
            .minus(Duration::from_millis(self.rng.u64(..7_200_000)));
        let at = self.now;
        self.base.begin();
        for row in &mut self.base.pools {
            row.gate = row.pool.within_reach(&row.gate, at);
            row.starts.clear();
        }
        for n in self.base.active.clone() {
            let run = self.base.rows[n].run.clone();
            self.base.apply((n, &run), &Event::ClockSet { at }, at)?;
            let waiting = &self.base.rows[n].run.state;
            if let State::Waiting {
                due,
                delay_ms: Some(delay_ms),
            } = waiting
                && due.millis() > at.millis() + delay_ms
            {
                return Err(format!(
                    "run {n} waits for {due:?} at {at:?}, with a delay of {delay_ms} ms"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn change_pool(&mut self) {
        let n = self.rng.usize(HOOKS + 1..self.base.pools.len());
        let row = &mut self.base.pools[n];
        wishes::change(&mut self.rng, &mut row.pool);
        row.gate = row.pool.within_reach(&row.gate, self.now);
        row.starts.clear();
    }
}
