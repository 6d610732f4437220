//! Which pools have something to start, kept from pass to pass so that none has to look at all of
//! them. What is kept here is a hint alone: in each pass a pool is looked at before something of it
//! is started, and after a pass that failed all that is known is dropped.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::pool::{self, Gate, Hold};
use crate::model::{PoolRecord, Room, Timestamp};
use crate::store::{Head, Reader, StoreError};
use crate::sys::failpoint;

/// What is known of the pools.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// How many passes there were.
    pass: u64,
    /// How often settings had been changed when they were last looked at; none at first.
    settings: Option<i64>,
    /// Pools that have to be looked at: something has changed.
    changed: BTreeSet<String>,
    /// Pools that have to be looked at in the next pass, and not in this one.
    later: Vec<String>,
    /// Pools that hold their runs back until a time.
    limited: BTreeMap<String, Timestamp>,
    /// The same, by their times.
    limits: BTreeSet<(Timestamp, String)>,
    /// Pools that can start something.
    startable: BTreeMap<String, Startable>,
    /// The heads of these pools, who starts first in front.
    heads: BTreeSet<Head>,
}

/// A pool that can start something.
#[derive(Debug)]
pub(super) struct Startable {
    pub(super) head: Head,
    pub(super) record: PoolRecord,
    room: Room,
    /// The pass that has looked at it.
    seen_in: u64,
}

impl Pools {
    /// Has a pool looked at in this pass or the next.
    pub(super) fn change(&mut self, pool: String) {
        self.changed.insert(pool);
    }

    /// A pass begins: what was put off to it has to be looked at.
    pub(super) fn begin(&mut self) {
        self.pass += 1;
        self.changed.extend(self.later.drain(..));
    }

    /// Looks at what has changed since the last time, and at what was to wait until `now`.
    /// `settings` is how often settings have been changed.
    pub(super) fn look(
        &mut self,
        read: Reader<'_>,
        settings: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.settings != Some(settings) {
            self.changed.extend(read.ready_pools()?);
            // A pool of which nothing is ready any more.
            self.changed.extend(self.startable.keys().cloned());
            self.settings = Some(settings);
        }
        let over = self.limits.iter().take_while(|(until, _)| *until <= now);
        self.changed.extend(over.map(|(_, pool)| pool.clone()));
        for pool in std::mem::take(&mut self.changed) {
            self.look_at(read, pool, now)?;
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        read: Reader<'_>,
        pool: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.pass_over(&pool);
        if let Some(until) = self.limited.remove(&pool) {
            self.limits.remove(&(until, pool.clone()));
        }
        match read.pool(&pool)? {
            Some(record) => self.place(read, record, now),
            None => Ok(()),
        }
    }

    /// A run of `pool` was started, and its gate is this now.
    pub(super) fn started(
        &mut self,
        read: Reader<'_>,
        pool: &str,
        gate: Gate,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(mut found) = self.startable.remove(pool) else {
            return Ok(());
        };
        self.heads.remove(&found.head);
        found.record.gate = gate;
        // As it stands in the database by now.
        let gauge = &mut found.record.gauge;
        gauge.ready = gauge.ready.saturating_sub(1);
        gauge.running += 1;
        self.place(read, found.record, now)
    }

    /// Puts a pool of which nothing is kept where it belongs.
    fn place(
        &mut self,
        read: Reader<'_>,
        record: PoolRecord,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let pool = record.pool.name.clone();
        if record.gauge.ready == 0 {
            return Ok(());
        }
        let occupied = match failpoint::has_bug("ignores_slots") {
            true => 0,
            false => record.gauge.occupied(),
        };
        match record.pool.room(&record.gate, occupied, now) {
            Ok(room) => {
                if let Some(head) = read.head(&pool, room.probe)? {
                    self.heads.insert(head.clone());
                    let found = Startable {
                        head,
                        record,
                        room,
                        seen_in: self.pass,
                    };
                    self.startable.insert(pool, found);
                }
            }
            Err(
                Hold::Limited { until }
                | Hold::Open {
                    probe_at: Some(until),
                },
            ) => {
                self.limits.insert((until, pool.clone()));
                self.limited.insert(pool, until);
            }
            // Whatever changes that has it looked at again: an ending, a setting.
            Err(Hold::Paused | Hold::Full | Hold::Open { probe_at: None }) => {}
        }
        Ok(())
    }

    /// Has a pool looked at in the next pass; it is left out of this one.
    pub(super) fn change_later(&mut self, pool: &str) {
        self.pass_over(pool);
        self.later.push(pool.to_owned());
    }

    /// Leaves a pool out until something changes.
    fn pass_over(&mut self, pool: &str) {
        if let Some(found) = self.startable.remove(pool) {
            self.heads.remove(&found.head);
        }
    }

    /// The pool whose head starts next; of the hooks alone when all slots of the others are taken.
    pub(super) fn first(
        &mut self,
        read: Reader<'_>,
        hooks_alone: bool,
        now: Timestamp,
    ) -> Result<Option<&Startable>, StoreError> {
        while let Some((pool, seen_in)) = self.front(hooks_alone) {
            if seen_in == self.pass {
                return Ok(self.startable.get(&pool));
            }
            // Its head may have been canceled, forgotten, or lost its lock since then.
            self.look_at(read, pool, now)?;
        }
        Ok(None)
    }

    fn front(&self, hooks_alone: bool) -> Option<(String, u64)> {
        let pool = if hooks_alone {
            pool::HOOKS
        } else {
            &self.heads.first()?.pool
        };
        let found = self.startable.get(pool)?;
        Some((pool.to_owned(), found.seen_in))
    }

    /// How many attempts could be started now if there were a shim for each, up to `most`; `slots`
    /// are left for others than hooks.
    pub(super) fn wanted(&self, slots: usize, most: usize) -> usize {
        let wants = |found: &Startable| {
            let wants = found.record.gauge.ready.min(u64::from(found.room.starts));
            usize::try_from(wants).unwrap_or(usize::MAX)
        };
        let hooks = self.startable.get(pool::HOOKS).map_or(0, wants);
        let mut others = 0;
        for (pool, found) in &self.startable {
            if others >= slots.min(most) {
                break;
            }
            if pool != pool::HOOKS {
                others = wants(found).saturating_add(others);
            }
        }
        hooks.saturating_add(others.min(slots)).min(most)
    }

    /// When a pool may start something again that cannot now.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.limits.first().map(|(until, _)| *until)
    }
}
