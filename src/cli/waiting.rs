//! Waiting for runs to end: asks the daemon to be told, and believes the database alone.
//!
//! It costs nothing that grows with the runs that are waited for, but for one look at each when it
//! begins: the daemon is asked for some of them at a time, and what ended elsewhere is looked up
//! by the time of its ending, and among what ran before.

use std::collections::{BTreeSet, VecDeque};
use std::mem::ManuallyDrop;
use std::ops::Bound;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::clock;
use crate::daemon::doorbell::{Ring, Told};
use crate::model::{RunId, Timestamp};
use crate::store::Store;
use crate::sys::poll::wait_readable;
use crate::sys::signal::Signals;

use super::client::Client;
use super::many::interrupts;

/// What the daemon does not tell is looked up this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The daemon is asked for so many runs at a time: it lets a caller go whose socket is full, and
/// in the kernel's default of 208 KiB there is room for about 270 endings that nobody has read yet.
const ASKED_MAX: usize = 200;

/// A look is at so many runs at the most.
const LOOK_MAX: usize = 1000;

/// Somebody who waits.
#[derive(Debug)]
pub struct Waiting<'c> {
    client: &'c Client,
    ring: Option<Ring>,
    /// Since when it has this connection, or knows that there is none.
    called_at: Option<Instant>,
    signals: Signals,
    deadline: Option<Instant>,
    /// Whether a daemon is started when there is none.
    start: bool,
    /// The run whose attempts are to be told of.
    watched: Option<RunId>,
    /// Whether one of them may have ended.
    changed: bool,
    /// What is waited for.
    pending: BTreeSet<RunId>,
    /// Runs that may have ended.
    candidates: VecDeque<RunId>,
    /// What the daemon was asked for on this connection and has not told yet.
    asked: BTreeSet<RunId>,
    /// It was asked for what is pending up to this run.
    asked_to: Option<RunId>,
    looks: Looks,
}

/// Where the looks at many runs stand.
#[derive(Debug)]
struct Looks {
    at: Option<Instant>,
    /// The run that was looked at last, in turn.
    to: Option<RunId>,
    /// Endings before this time were looked up, but for those that were stored since then: a daemon
    /// that comes late stores when an attempt has ended, not when it has seen it.
    ended_to: Timestamp,
    /// So these, which ran at the last look, are looked at in the next one.
    running: Option<Vec<RunId>>,
}

/// Why waiting was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// This run has ended, or is not stored any more.
    Ended(RunId),
    /// The time is up.
    TimedOut,
    /// This signal came.
    Signal(i32),
    /// An attempt of the run that is watched may have ended.
    Changed,
    /// The tick that was asked for.
    Tick,
}

impl<'c> Waiting<'c> {
    /// Waits for `runs` for at most `timeout`; with `start` a daemon is started when there is none.
    pub fn new(
        client: &'c Client,
        runs: impl IntoIterator<Item = RunId>,
        timeout: Option<Duration>,
        start: bool,
    ) -> anyhow::Result<Self> {
        let pending: BTreeSet<RunId> = runs.into_iter().collect();
        Ok(Self {
            client,
            ring: None,
            called_at: None,
            signals: interrupts()?,
            deadline: timeout.and_then(|timeout| clock::monotonic().checked_add(timeout)),
            start,
            watched: None,
            changed: false,
            candidates: pending.iter().copied().collect(),
            pending,
            asked: BTreeSet::new(),
            asked_to: None,
            looks: Looks {
                at: None,
                to: None,
                ended_to: clock::now(),
                running: None,
            },
        })
    }

    /// Wants to be told of the attempts of run `id` as well.
    pub fn watch(&mut self, id: RunId) {
        self.watched = Some(id);
    }

    /// The runs that are still waited for.
    pub fn pending(&self) -> &BTreeSet<RunId> {
        &self.pending
    }

    /// Waits for run `id` no longer.
    pub fn forget(&mut self, id: RunId) {
        self.pending.remove(&id);
        self.asked.remove(&id);
    }

    /// Waits on for run `id`, of which it was told and which was retried by hand since then: the
    /// daemon tells of each ending once.
    pub fn ask_again(&mut self, id: RunId) {
        if let Some(ring) = &mut self.ring {
            self.asked.insert(id);
            ring.ask_for(&[id]);
        }
    }

    /// Nothing but the end of the process comes after this. A daemon that is there has `store` open
    /// too, so it need not be closed, and the daemon is called off by that end alone.
    pub fn leave(self, store: Store) {
        if self.ring.as_ref().is_some_and(Ring::is_connected) {
            store.leave();
            let _ = ManuallyDrop::new(self.ring);
        }
    }

    /// One of the runs that have ended, if that is known already.
    pub fn ended(&mut self, store: &Store) -> anyhow::Result<Option<RunId>> {
        // Before the first look at each of them.
        if self.pending.len() > LOOK_MAX && self.looks.running.is_none() {
            self.looks.running = Some(store.read().running()?);
        }
        while let Some(id) = self.candidates.pop_front() {
            if self.pending.contains(&id) && store.read().has_ended(id)? {
                tracing::debug!("run {id} has ended, or is gone");
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Waits until one of the runs has ended or something else happens; `tick` limits the wait.
    pub fn next(&mut self, store: &Store, tick: Option<Duration>) -> anyhow::Result<Woken> {
        loop {
            if let Some(id) = self.ended(store)? {
                return Ok(Woken::Ended(id));
            }
            if self.watched.is_some() && std::mem::take(&mut self.changed) {
                return Ok(Woken::Changed);
            }
            let now = clock::monotonic();
            let left = self.deadline.map(|at| at.saturating_duration_since(now));
            if left == Some(Duration::ZERO) {
                return Ok(Woken::TimedOut);
            }
            if self.connect(store)? {
                continue;
            }
            self.ask();
            let sees_all = self.sees_all();
            let limit = [
                left,
                tick,
                (!sees_all).then_some(LOOK_AGAIN),
                clock::poll_interval(),
            ];
            let mut fds = vec![self.signals.as_fd()];
            fds.extend(self.ring.as_ref().and_then(Ring::stream));
            let ready = wait_readable(&fds, limit.into_iter().flatten().min())?;
            // Taken only when they are told of: what is taken is not told again.
            let came = if ready[0] {
                self.signals.take()
            } else {
                Vec::new()
            };
            if let Some(signal) = came.first() {
                return Ok(Woken::Signal(*signal));
            }
            self.hear(store)?;
            if !sees_all {
                self.look_in_turn(store)?;
            }
            if tick.is_some() {
                // What may have ended is looked at first in the next call.
                return Ok(Woken::Tick);
            }
        }
    }

    /// Takes what the daemon has told. Of each ending it tells once: of a run that was retried by
    /// hand since then it is asked again.
    fn hear(&mut self, store: &Store) -> anyhow::Result<()> {
        let Some(ring) = &mut self.ring else {
            return Ok(());
        };
        for told in ring.told() {
            match told {
                Told::Attempt(_) => self.changed = true,
                Told::Ended(id) if store.read().has_ended(id)? => {
                    self.asked.remove(&id);
                    self.candidates.push_back(id);
                }
                Told::Ended(id) => ring.ask_for(&[id]),
            }
        }
        Ok(())
    }

    /// Asks the daemon for more, once it has told of half of what it was asked for.
    fn ask(&mut self) {
        let connected = self.ring.as_mut().filter(|ring| ring.is_connected());
        let Some(ring) = connected.filter(|_| self.asked.len() <= ASKED_MAX / 2) else {
            return;
        };
        let rest = self.pending.range(beyond(self.asked_to));
        let more = rest.take(ASKED_MAX - self.asked.len()).copied();
        let more: Vec<RunId> = more.collect();
        if let Some(last) = more.last() {
            self.asked_to = Some(*last);
            self.asked.extend(&more);
            ring.ask_for(&more);
        }
    }

    /// Does the daemon tell of each run that is waited for?
    fn sees_all(&self) -> bool {
        let connected = self.ring.as_ref().is_some_and(Ring::is_connected);
        let mut rest = self.pending.range(beyond(self.asked_to));
        connected && rest.next().is_none()
    }

    /// Looks, if they are few, or if it is time to.
    fn look_in_turn(&mut self, store: &Store) -> anyhow::Result<()> {
        let now = clock::monotonic();
        let since = |at| now.saturating_duration_since(at);
        let is_time = self.looks.at.is_none_or(|at| since(at) >= LOOK_AGAIN);
        if is_time || self.pending.len() <= LOOK_MAX {
            self.look(store)?;
        }
        Ok(())
    }

    /// Finds runs that may have ended. Of many: those whose endings are new, those that ran before,
    /// and, because clocks are set and runs are forgotten, some of the others in turn.
    fn look(&mut self, store: &Store) -> anyhow::Result<()> {
        self.looks.at = Some(clock::monotonic());
        self.changed = true;
        if self.pending.len() <= LOOK_MAX {
            self.candidates.extend(&self.pending);
            return Ok(());
        }
        let since = self.looks.ended_to.min(clock::now());
        let look = store.at_once(|read| Ok((read.ended_since(since)?, read.running()?)));
        let (ended, running) = look?;
        let ran = self.looks.running.replace(running).unwrap_or_default();
        let times = ended.iter().map(|(_, at)| *at);
        self.looks.ended_to = times.fold(since, Timestamp::max);
        let found = ended.into_iter().map(|(id, _)| id).chain(ran);
        self.candidates
            .extend(found.filter(|id| self.pending.contains(id)));
        let rest = self.pending.range(beyond(self.looks.to));
        let turn: Vec<RunId> = rest.take(LOOK_MAX).copied().collect();
        self.looks.to = turn.last().copied();
        self.candidates.extend(turn);
        Ok(())
    }

    /// Connects to the daemon if there is no connection. `true`: there is a new one, and what
    /// ended before it was made has to be looked at once more.
    fn connect(&mut self, store: &Store) -> anyhow::Result<bool> {
        if self.ring.as_ref().is_some_and(Ring::is_connected) {
            return Ok(false);
        }
        // A daemon with too many callers lets the first ones go.
        let now = clock::monotonic();
        let since = |at| now.saturating_duration_since(at);
        if self.called_at.is_some_and(|at| since(at) < LOOK_AGAIN) {
            return Ok(false);
        }
        self.called_at = Some(now);
        // A daemon would serve, or make, another database than the one that is looked at here.
        store.check_place()?;
        let mut ring = self.client.ring();
        if self.start && !ring.is_connected() {
            let ensured = self.client.ensure_daemon(false);
            // It may have been taken away meanwhile, and that is why there is none.
            store.check_place()?;
            ensured?;
            ring = self.client.ring();
        }
        if let Some(id) = self.watched {
            ring.watch(id);
        }
        self.ring = Some(ring);
        self.asked.clear();
        self.asked_to = None;
        self.ask();
        let connected = self.ring.as_ref().is_some_and(Ring::is_connected);
        if connected {
            tracing::debug!("waiting at the doorbell for {} runs", self.pending.len());
            self.look(store)?;
        } else {
            tracing::debug!("no doorbell, looking every {} s", LOOK_AGAIN.as_secs());
        }
        Ok(connected)
    }
}

/// The range above `id`.
fn beyond(id: Option<RunId>) -> (Bound<RunId>, Bound<RunId>) {
    (
        id.map_or(Bound::Unbounded, Bound::Excluded),
        Bound::Unbounded,
    )
}
