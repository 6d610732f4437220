//! What the descriptors have to say: callers, signals, the timer, shims.

use std::io;
use std::time::Duration;

use crate::clock;
use crate::shim::order::Cause;
use crate::shim::record::{Record, Stage};
use crate::store::{OpenAttempt, StoreError};
use crate::sys::failpoint;
use crate::sys::process::{reap, reap_all};
use crate::sys::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use crate::sys::timer::Tick;

use super::cycle::{CALLER, Daemon, END, LISTENER, Mode, REPORT, SIGNALS, TIMER, token};
use super::serve::ServeError;
use super::settle::{Finding, What};
use super::slots::{Duty, Key};

/// How long nobody is let in when there are too many callers.
const DEAF: Duration = Duration::from_secs(1);

impl Daemon {
    /// One of the descriptors is ready.
    pub(super) fn take(&mut self, kind: u64, number: u64) -> Result<(), ServeError> {
        let system = |what| move |error| ServeError::System(what, error);
        match kind {
            LISTENER => self.answer().map_err(system("the doorbell"))?,
            SIGNALS => {
                for signal in self.signals.take() {
                    self.obey(signal)?;
                }
            }
            TIMER => {
                let tick = self.timer.take().map_err(system("timerfd"))?;
                self.clock_set |= tick == Tick::ClockSet;
                self.dirty |= tick != Tick::Nothing;
            }
            CALLER => {
                let heard = self.doorbell.hear(number);
                self.dirty |= heard.rang;
                self.asked.extend(heard.look_at);
            }
            REPORT => self.hear_shim(number).map_err(system("a shim"))?,
            END => self.shim_ended(number).map_err(system("a shim"))?,
            _ => self.watched_ended(number),
        }
        Ok(())
    }

    fn answer(&mut self) -> io::Result<()> {
        if !self
            .doorbell
            .accept(&self.poller, |number| token(CALLER, number))?
        {
            // Who could not be let in may have rung.
            self.dirty = true;
            tracing::debug!("too many callers for the descriptors that there are");
            self.poller.remove(self.doorbell.listener())?;
            self.deaf_until = clock::monotonic().checked_add(DEAF);
        }
        Ok(())
    }

    /// Tells waiters of runs that have ended without a word from here.
    pub(super) fn tell_ended(&mut self) -> Result<(), StoreError> {
        while let Some(id) = self.asked.last().copied() {
            let ended = match self.store.read().run(id) {
                Ok(run) => run.state.is_final(),
                Err(StoreError::NoRun { .. }) => true,
                Err(error) => return Err(error),
            };
            self.asked.pop();
            if ended {
                self.doorbell.tell_end(id);
            }
        }
        Ok(())
    }

    /// Does what a signal asks for.
    pub(super) fn obey(&mut self, signal: i32) -> Result<(), ServeError> {
        if [SIGTERM, SIGINT, SIGUSR1, SIGUSR2].contains(&signal) {
            self.obeyed.push(signal);
        }
        match signal {
            SIGTERM | SIGINT => {
                tracing::info!("told to leave; attempts that run live on");
                self.mode = Mode::Stopping;
            }
            SIGUSR1 => {
                tracing::info!("told to leave when the attempts that run have ended");
                self.mode = Mode::Draining;
            }
            SIGUSR2 => {
                tracing::info!("told to end the attempts that run, and to leave");
                self.mode = Mode::Draining;
                self.slots.end_all(Cause::Interrupted);
                self.terminate_all_watched();
            }
            SIGCHLD => reap_all().map_err(|error| ServeError::System("signals", error))?,
            SIGHUP => self
                .wake()
                .map_err(|error| ServeError::System("the doorbell", error))?,
            _ => {}
        }
        Ok(())
    }

    /// A client could not ring, or the terminal is gone, which changes nothing.
    fn wake(&mut self) -> io::Result<()> {
        self.dirty = true;
        // What it could not ring for may be an ending that somebody waits for.
        self.asked.extend(self.doorbell.awaited());
        if self.doorbell.is_in_place(&self.folder) {
            return Ok(());
        }
        if self.deaf_until.is_none() {
            self.poller.remove(self.doorbell.listener())?;
        }
        self.doorbell.hang_again(&self.folder)?;
        if self.deaf_until.is_none() {
            self.poller
                .add(self.doorbell.listener(), token(LISTENER, 0))?;
        }
        Ok(())
    }

    /// Takes the reports of one of our shims.
    fn hear_shim(&mut self, number: u64) -> io::Result<()> {
        while let Some(slot) = self.slots.get(number) {
            let Some(record) = slot.shim.receive()? else {
                // Its end is told by another descriptor; this one would be ready for ever.
                break;
            };
            self.report(number, record)?;
        }
        Ok(())
    }

    fn report(&mut self, number: u64, record: Record) -> io::Result<()> {
        let key = Key {
            run: record.run,
            attempt: record.attempt,
        };
        failpoint::reach("report_received")?;
        let what = match record.stage {
            Stage::Starting => return Ok(()),
            Stage::Deciding(ending) => What::Deciding {
                ended_at: ending.ended_at,
                outcome: ending.outcome,
            },
            Stage::Running { pid, started_at } => What::Started { pid, started_at },
            Stage::NotStarted { error } => {
                self.claim_trouble(&io::Error::other(error));
                self.slots.set_duty(number, Duty::Settling { alone: true });
                What::NeverStarted
            }
            Stage::Ended(ending) => {
                self.claims.clear();
                let alone = !ending.leftover;
                self.slots.set_duty(number, Duty::Settling { alone });
                What::Ended(ending)
            }
        };
        self.find(Finding { key, what });
        Ok(())
    }

    /// One of our shims has ended: asked to, or killed.
    fn shim_ended(&mut self, number: u64) -> io::Result<()> {
        self.hear_shim(number)?;
        let Some(slot) = self.slots.remove(number) else {
            return Ok(());
        };
        self.poller.remove(slot.shim.reports())?;
        self.poller.remove(slot.shim.end())?;
        reap()?;
        let key = match slot.duty {
            Duty::Busy { key, .. } => key,
            Duty::Settling { .. } => {
                self.old_files.push(slot.shim.file);
                return Ok(());
            }
            Duty::Idle { .. } | Duty::Leaving => {
                self.remove_shim_file(&slot.shim.file);
                return Ok(());
            }
        };
        let run = self.store.read().run(key.run);
        let open = OpenAttempt {
            run: key.run,
            attempt: key.attempt,
            canceled: false,
            file: slot.shim.file,
            shim: slot.shim.identity,
            policy: run.map(|run| run.policy).unwrap_or_default(),
        };
        if self.bury(open) == Some(What::NeverStarted) {
            // One shim that dies before its work is an accident; one after the other must not
            // spin.
            self.claim_trouble(&io::Error::other("a shim has died"));
        }
        Ok(())
    }
}
