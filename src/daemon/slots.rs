//! The shims of this daemon: one per busy slot, one more kept warm.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::model::{AttemptNumber, RunId};
use crate::shim::handle::Shim;
use crate::shim::order::{Cause, Message};
use crate::store::Folder;
use crate::sys::files::remove_if_there;
use crate::sys::poll::Poller;

/// How long a shim that is not needed stays, when it is not the last one.
const IDLE_STAY: Duration = Duration::from_secs(5);

/// One attempt of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub run: RunId,
    pub attempt: AttemptNumber,
}

/// What a shim is doing, as far as its daemon knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It waits for an order.
    Idle { since: Instant },
    /// It was sent this attempt; `told`: and then to end it.
    Busy { key: Key, told: bool },
    /// It has reported an end that is not committed yet; `alone`: no process is left behind.
    Settling { alone: bool },
    /// It was told to leave.
    Leaving,
}

#[derive(Debug)]
pub struct Slot {
    pub shim: Shim,
    pub duty: Duty,
}

/// All shims of this daemon, by numbers that are never reused.
#[derive(Debug, Default)]
pub struct Slots {
    slots: BTreeMap<u64, Slot>,
    next: u64,
}

impl Slots {
    /// Adds a shim that waits for orders. `tokens` are the poller's for its reports and its end.
    pub fn add(
        &mut self,
        shim: Shim,
        now: Instant,
        poller: &Poller,
        tokens: impl Fn(u64) -> (u64, u64),
    ) -> io::Result<()> {
        let (reports, end) = tokens(self.next);
        poller.add(shim.reports(), reports)?;
        poller.add(shim.end(), end)?;
        let duty = Duty::Idle { since: now };
        self.slots.insert(self.next, Slot { shim, duty });
        self.next += 1;
        Ok(())
    }

    pub fn get(&self, number: u64) -> Option<&Slot> {
        self.slots.get(&number)
    }

    pub fn set_duty(&mut self, number: u64, duty: Duty) {
        if let Some(slot) = self.slots.get_mut(&number) {
            slot.duty = duty;
        }
    }

    pub fn remove(&mut self, number: u64) -> Option<Slot> {
        self.slots.remove(&number)
    }

    /// How many attempts occupy a slot.
    pub fn busy(&self) -> usize {
        let busy = |slot: &&Slot| matches!(slot.duty, Duty::Busy { .. });
        self.slots.values().filter(busy).count()
    }

    /// The shims that can be sent an order once the pass has committed.
    pub fn available(&self) -> Vec<u64> {
        let available = |slot: &Slot| {
            matches!(
                slot.duty,
                Duty::Idle { .. } | Duty::Settling { alone: true }
            )
        };
        let numbers = self.slots.iter().filter(|(_, slot)| available(slot));
        numbers.map(|(number, _)| *number).collect()
    }

    /// The shim that runs an attempt of `run`.
    pub fn of_run(&self, run: RunId) -> Option<u64> {
        let runs = |duty: &Duty| matches!(duty, Duty::Busy { key, .. } if key.run == run);
        let found = self.slots.iter().find(|(_, slot)| runs(&slot.duty));
        found.map(|(number, _)| *number)
    }

    /// After the commit: shims that have settled wait for orders, or leave if something of their
    /// attempt lives on.
    pub fn settled(&mut self, now: Instant) {
        for slot in self.slots.values_mut() {
            match slot.duty {
                Duty::Settling { alone: true } => slot.duty = Duty::Idle { since: now },
                Duty::Settling { alone: false } => leave(slot),
                Duty::Idle { .. } | Duty::Busy { .. } | Duty::Leaving => {}
            }
        }
    }

    /// Tells the shim that runs an attempt of `run` to end it, once.
    pub fn end(&mut self, run: RunId, cause: Cause) {
        let Some(slot) = self
            .of_run(run)
            .and_then(|number| self.slots.get_mut(&number))
        else {
            return;
        };
        if let Duty::Busy { told, .. } = &mut slot.duty
            && !std::mem::replace(told, true)
        {
            // A shim that is gone shows it by its end.
            let _ = slot.shim.send(&Message::End(cause));
            slot.shim.wake();
        }
    }

    /// Tells every busy shim to end its attempt.
    pub fn end_all(&mut self, cause: Cause) {
        let runs: Vec<RunId> = self
            .slots
            .values()
            .filter_map(|slot| match &slot.duty {
                Duty::Busy { key, .. } => Some(key.run),
                Duty::Idle { .. } | Duty::Settling { .. } | Duty::Leaving => None,
            })
            .collect();
        for run in runs {
            self.end(run, cause);
        }
    }

    /// Lets shims go that were idle for long; the one that was used last stays. Gives when to
    /// look again.
    pub fn thin_out(&mut self, now: Instant) -> Option<Instant> {
        let mut idle: Vec<(Instant, u64)> = self
            .slots
            .iter()
            .filter_map(|(number, slot)| match slot.duty {
                Duty::Idle { since } => Some((since, *number)),
                Duty::Busy { .. } | Duty::Settling { .. } | Duty::Leaving => None,
            })
            .collect();
        idle.sort();
        idle.pop();
        let mut again = None;
        for (since, number) in idle {
            let until = since + IDLE_STAY;
            match self.slots.get_mut(&number) {
                Some(slot) if until <= now => leave(slot),
                Some(_) | None => again = again.min(Some(until)).or(Some(until)),
            }
        }
        again
    }

    /// Lets all idle shims go, because their daemon does, and removes their files.
    pub fn dismiss(&mut self, folder: &Folder) {
        for slot in self.slots.values_mut() {
            if matches!(slot.duty, Duty::Idle { .. }) {
                leave(slot);
            }
            if slot.duty == Duty::Leaving {
                let _ = remove_if_there(&folder.shims().join(&slot.shim.file));
            }
        }
    }
}

fn leave(slot: &mut Slot) {
    // A shim that is gone already has done what it is told.
    let _ = slot.shim.send(&Message::Leave);
    slot.duty = Duty::Leaving;
}
