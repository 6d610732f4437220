//! Waiting for runs to end: asks the daemon to be told, and believes the database alone.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::clock;
use crate::daemon::doorbell::Ring;
use crate::model::RunId;
use crate::store::{Store, StoreError};
use crate::sys::poll::wait_readable;
use crate::sys::signal::{SIGHUP, SIGINT, SIGTERM, Signals, is_ignored};

use super::client::Client;

/// Without a daemon that tells, the database is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
    /// Runs that may have ended.
    candidates: VecDeque<RunId>,
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
    /// The tick that was asked for.
    Tick,
}

impl<'c> Waiting<'c> {
    /// Waits for at most `timeout`; with `start` a daemon is started when there is none.
    pub fn new(client: &'c Client, timeout: Option<Duration>, start: bool) -> anyhow::Result<Self> {
        // What the caller has told us to ignore (nohup) stays ignored.
        let numbers = [SIGINT, SIGTERM, SIGHUP]
            .into_iter()
            .filter(|number| !is_ignored(*number));
        let signals = Signals::catch(&numbers.collect::<Vec<_>>());
        Ok(Self {
            client,
            ring: None,
            called_at: None,
            signals: signals.context("signals")?,
            deadline: timeout.and_then(|timeout| clock::monotonic().checked_add(timeout)),
            start,
            candidates: VecDeque::new(),
        })
    }

    /// Waits until one of `pending` has ended or something else happens; `tick` limits the wait.
    pub fn next(
        &mut self,
        store: &Store,
        pending: &[RunId],
        tick: Option<Duration>,
    ) -> anyhow::Result<Woken> {
        if self.ring.is_none() {
            self.candidates.extend(pending);
        }
        loop {
            while let Some(id) = self.candidates.pop_front() {
                if pending.contains(&id) && has_ended(store, id)? {
                    return Ok(Woken::Ended(id));
                }
            }
            let now = clock::monotonic();
            let left = self.deadline.map(|at| at.saturating_duration_since(now));
            if left == Some(Duration::ZERO) {
                return Ok(Woken::TimedOut);
            }
            if self.connect(store, pending)? {
                continue;
            }
            let alone = self.ring.as_ref().is_none_or(|ring| !ring.is_connected());
            let limit = [
                left,
                tick,
                alone.then_some(LOOK_AGAIN),
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
            if alone {
                self.candidates.extend(pending);
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
        for id in ring.told() {
            if has_ended(store, id)? {
                self.candidates.push_back(id);
            } else {
                ring.ask_for(&[id]);
            }
        }
        Ok(())
    }

    /// Asks the daemon anew: who was told of an ending is not told again of the next one.
    pub fn call_again(&mut self) {
        self.ring = None;
        self.called_at = None;
    }

    /// Connects to the daemon if there is no connection. `true`: there is a new one, and what
    /// ended before it was made has to be looked at once more.
    fn connect(&mut self, store: &Store, pending: &[RunId]) -> anyhow::Result<bool> {
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
        ring.ask_for(pending);
        let connected = ring.is_connected();
        self.ring = Some(ring);
        if connected {
            self.candidates.extend(pending);
        }
        Ok(connected)
    }
}

fn has_ended(store: &Store, id: RunId) -> anyhow::Result<bool> {
    match store.read().run(id) {
        Ok(run) => Ok(run.state.is_final()),
        Err(StoreError::NoRun { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
