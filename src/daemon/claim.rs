//! Claims: what the pools can start gets an attempt and a shim, in the transaction of a pass.

use std::io;

use crate::model::pool::Gate;
use crate::model::{AttemptNumber, Event, Refusal, State, Timestamp, next, pool};
use crate::store::{Facts, Folder, Launch, Pass, Reader, StoreError};
use crate::sys::failpoint;
use crate::sys::files::room;

use super::pass::{Effects, STARTS_MAX};
use super::pools::{Pools, Startable};
use super::settle::Settled;
use super::slots::{Key, Slots};

/// With less room than this, in bytes, for what attempts write none is started.
const ROOM_MIN: u64 = 64 * 1024;

/// What is needed to claim.
pub(super) struct Claims<'a> {
    pub(super) slots: &'a Slots,
    pub(super) folder: &'a Folder,
    /// How many attempts may be open at once in all pools, hooks not counted.
    pub(super) parallel: Option<usize>,
    /// How many are claimed at the most.
    pub(super) most: usize,
    /// Not all that is due has been seen. Hooks wait for nobody: they are ready when they are stored.
    pub(super) hooks_alone: bool,
    /// How often the settings of a pool were changed.
    pub(super) settings: i64,
    pub(super) booted_at: Timestamp,
    pub(super) now: Timestamp,
}

/// An attempt that is to be sent to its shim when it is committed.
pub(super) struct Claimed {
    pub(super) slot: u64,
    pub(super) key: Key,
    pub(super) launch: Box<Launch>,
}

/// What came of a claim.
enum Claim {
    Made {
        claimed: Claimed,
        settled: Box<Settled>,
        /// What its pool remembers now.
        gate: Gate,
        /// It has to be on the disk before it starts.
        sync: bool,
    },
    /// The clock was set back since the run was ready.
    NotDue,
    Refused,
}

/// How many attempts more may be open at once in all pools but that of the hooks.
pub(super) fn claims_left(parallel: Option<usize>, read: Reader<'_>) -> Result<usize, StoreError> {
    Ok(match parallel {
        Some(max) => max.saturating_sub(read.gauge()?.occupied() as usize),
        None => usize::MAX,
    })
}

impl Claims<'_> {
    /// Claims what the pools can start, in the order of their heads, as far as there are shims.
    pub(super) fn make(
        &self,
        pass: &Pass<'_>,
        pools: &mut Pools,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let mut shims = self.slots.available().into_iter();
        let mut left = claims_left(self.parallel, pass.read())?;
        loop {
            pools.look(pass.read(), self.settings, self.now)?;
            let Some(found) = pools.first(pass.read(), self.hooks_alone || left == 0, self.now)?
            else {
                return Ok(());
            };
            if effects.starts.is_empty()
                && let Err(error) = self.look_for_room()
            {
                effects.trouble = Some(error);
                return Ok(());
            }
            if effects.starts.len() >= self.most {
                effects.more = true;
                if shims.next().is_none() {
                    effects.shims_missing = pools.wanted(left, STARTS_MAX);
                }
                return Ok(());
            }
            let Some(slot) = shims.next() else {
                effects.shims_missing = pools.wanted(left, STARTS_MAX);
                return Ok(());
            };
            let head = found.head.clone();
            match self.claim(pass, found, slot)? {
                Claim::Made {
                    claimed,
                    settled,
                    gate,
                    sync,
                } => {
                    left = left.saturating_sub(usize::from(head.pool != pool::HOOKS));
                    effects.sync |= sync;
                    effects.starts.push(claimed);
                    effects.settled.push(*settled);
                    pools.started(pass.read(), &head.pool, gate, self.now)?;
                }
                Claim::NotDue => {
                    pass.demote(head.run)?;
                    pools.change(head.pool);
                    // It may have let go of a lock.
                    effects.more = true;
                }
                // Its deadline has passed, and in this pass others came first.
                Claim::Refused => {
                    effects.more = true;
                    pools.change_later(&head.pool);
                }
            }
        }
    }

    /// Opens the next attempt of the head of a pool for the shim of `slot`.
    fn claim(&self, pass: &Pass<'_>, found: &Startable, slot: u64) -> Result<Claim, StoreError> {
        let id = found.head.run;
        let launch = pass.launch(id)?;
        let run = &launch.current.run;
        let transition = match next(run, &Event::Start { at: self.now }) {
            Ok(transition) => transition,
            Err(Refusal::NotDue) => return Ok(Claim::NotDue),
            Err(
                Refusal::Stale
                | Refusal::AlreadyCanceled
                | Refusal::AlreadyEnded
                | Refusal::PastDeadline
                | Refusal::Closing,
            ) => return Ok(Claim::Refused),
        };
        let Some(shim) = self.slots.get(slot).map(|slot| &slot.shim) else {
            return Ok(Claim::Refused);
        };
        let facts = Facts::Claim {
            file: &shim.file,
            shim: &shim.identity,
        };
        if !pass.apply_to(&launch.current, &transition, self.now, facts)? {
            return Ok(Claim::Refused);
        }
        let record = &found.record;
        let gate = record.pool.after_start(&record.gate, id, self.now);
        if gate != record.gate {
            pass.set_gate(&record.pool.name, &gate)?;
        }
        // It may be what brought the machine down.
        let due_at_boot = matches!(run.state, State::Waiting { due, .. } if due <= self.booted_at);
        // A hook tells of its parent's ending.
        let sync = due_at_boot || launch.parent.is_some();
        let attempt = transition.state.open_attempt().unwrap_or(AttemptNumber(0));
        let claimed = Claimed {
            slot,
            key: Key { run: id, attempt },
            launch: Box::new(launch),
        };
        let settled = Box::new(Settled::new(id, transition));
        Ok(Claim::Made {
            claimed,
            settled,
            gate,
            sync,
        })
    }

    /// Without room for its output a command would fail, and its run would be charged for it.
    fn look_for_room(&self) -> io::Result<()> {
        let logs = self.folder.logs();
        let left = match room(&logs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => room(self.folder.path())?,
            other => other?,
        };
        if left < ROOM_MIN && !failpoint::has_bug("charges_shortage") {
            let error = format!("no room for output in {}", logs.display());
            return Err(io::Error::new(io::ErrorKind::StorageFull, error));
        }
        Ok(())
    }
}
