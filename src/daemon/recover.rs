//! Attempts of earlier daemons, and of shims that died: who is still there, what did they leave.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::clock;
use crate::model::RunId;
use crate::shim::handle::{Evidence, Press, evidence, is_locked, press_leftover};
use crate::store::{OpenAttempt, StoreError};
use crate::sys::failpoint;
use crate::sys::identity::{Liveness, terminate};

use super::cycle::{Daemon, WATCHED, token};
use super::settle::{Finding, What};
use super::slots::Key;

/// How often what a killed shim has left is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often the lock of a shim in another pid namespace is looked at.
const LOCK_AGAIN: Duration = Duration::from_secs(1);

/// An attempt whose shim belongs to an earlier daemon. It counts against the limits.
#[derive(Debug)]
pub struct Watched {
    open: OpenAttempt,
    /// Its shim; `None` in another pid namespace, where its lock alone tells.
    pidfd: Option<OwnedFd>,
    told: bool,
}

/// A lost attempt of which processes are left: they are ended before it is settled.
#[derive(Debug)]
pub struct Remnant {
    open: OpenAttempt,
    kill_at: Instant,
}

impl Daemon {
    /// Finds out about every attempt that is open in the database, and clears away the files of
    /// shims that nobody needs.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        let open = self.store.read().open_attempts()?;
        self.remove_old_files(&open);
        for attempt in open {
            if failpoint::has_bug("forgets_living_shims") {
                self.find_gone(attempt, What::NeverStarted);
                continue;
            }
            match self.world.look_up(&attempt.shim) {
                Liveness::Alive(pidfd) => self.watch(attempt, Some(pidfd)),
                Liveness::Dead | Liveness::OtherBoot => drop(self.bury(attempt)),
                Liveness::Foreign => self.look_at_foreign(attempt),
            }
        }
        self.dirty = true;
        self.clock_set = true;
        Ok(())
    }

    fn remove_old_files(&self, open: &[OpenAttempt]) {
        let Ok(entries) = std::fs::read_dir(self.folder.shims()) else {
            return;
        };
        for name in entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
        {
            if !open.iter().any(|attempt| attempt.file == name) {
                self.remove_shim_file(&name);
            }
        }
    }

    fn watch(&mut self, open: OpenAttempt, pidfd: Option<OwnedFd>) {
        tracing::info!("run {} goes on, attempt {}", open.run, open.attempt);
        let number = self.next_watched;
        if let Some(pidfd) = &pidfd
            && let Err(error) = self.poller.add(pidfd.as_fd(), token(WATCHED, number))
        {
            // It is looked at by its lock then, as one of another pid namespace is.
            tracing::warn!("cannot watch the shim of run {}: {error}", open.run);
            return self.look_at_foreign(open);
        }
        self.next_watched += 1;
        let told = false;
        self.watched.insert(number, Watched { open, pidfd, told });
    }

    fn look_at_foreign(&mut self, open: OpenAttempt) {
        match is_locked(&self.folder.shims().join(&open.file)) {
            Ok(false) => drop(self.bury(open)),
            Ok(true) => self.watch(open, None),
            Err(error) => {
                tracing::warn!("the shim of run {}: {error}", open.run);
                self.watch(open, None);
            }
        }
    }

    /// The shim of a watched attempt has ended.
    pub(super) fn watched_ended(&mut self, number: u64) {
        if let Some(watched) = self.watched.remove(&number) {
            if let Some(pidfd) = &watched.pidfd {
                let _ = self.poller.remove(pidfd);
            }
            self.bury(watched.open);
        }
    }

    /// Sends SIGTERM, once, to the shim of a watched attempt of `run`: "end the tree".
    pub(super) fn terminate_watched(&mut self, run: RunId) {
        for watched in self
            .watched
            .values_mut()
            .filter(|watched| watched.open.run == run)
        {
            watched.end();
        }
    }

    /// Ends all watched attempts.
    pub(super) fn terminate_all_watched(&mut self) {
        for watched in self.watched.values_mut() {
            watched.end();
        }
    }

    /// The shim of an open attempt is gone: reads what it has left, and ends what is left of a
    /// lost one before it is settled. Says what became of it.
    pub(super) fn bury(&mut self, open: OpenAttempt) -> What {
        let path = self.folder.shims().join(&open.file);
        let same_boot = open.shim.boot_id == self.world.boot_id;
        let same_world = same_boot && open.shim.pid_ns == self.world.pid_ns;
        let what = match evidence(&path, open.run, open.attempt, same_boot) {
            Ok(Evidence::Ended(ending)) => What::Ended(ending),
            Ok(Evidence::NeverStarted) => What::NeverStarted,
            Ok(Evidence::Lost) => What::Lost,
            Err(error) => {
                tracing::error!("{}: {error}", path.display());
                What::Lost
            }
        };
        let pressed = same_world && !failpoint::has_bug("ignores_leftovers");
        if matches!(what, What::Lost) && pressed {
            let left = press_leftover(&path, &open.shim, Press::Terminate);
            if left.unwrap_or_else(|error| self.cannot_look(&error)) {
                let now = clock::monotonic();
                let kill_at = now.checked_add(open.grace).unwrap_or(now);
                tracing::warn!("run {} lost its shim, ending what it left", open.run);
                self.remnants.push(Remnant { open, kill_at });
                return what;
            }
        }
        self.find_gone(open, what.clone());
        what
    }

    /// What was found out about an attempt whose shim is gone.
    fn find_gone(&mut self, open: OpenAttempt, what: What) {
        let (run, attempt) = (open.run, open.attempt);
        if failpoint::has_bug("drops_evidence_early") {
            self.remove_shim_file(&open.file);
        }
        self.old_files.push(open.file);
        let key = Key { run, attempt };
        self.find(Finding { key, what });
    }

    /// Looks what is left of lost attempts, and kills it when its grace is over.
    fn press_remnants(&mut self) {
        let now = clock::monotonic();
        for remnant in std::mem::take(&mut self.remnants) {
            let path = self.folder.shims().join(&remnant.open.file);
            let press = if remnant.kill_at <= now {
                Press::Kill
            } else {
                Press::Look
            };
            let left = press_leftover(&path, &remnant.open.shim, press);
            if left.unwrap_or_else(|error| self.cannot_look(&error)) {
                self.remnants.push(remnant);
            } else {
                self.find_gone(remnant.open, What::Lost);
            }
        }
    }

    /// Looks at the shims that only their locks tell of.
    fn look_at_locks(&mut self) {
        let foreign = self
            .watched
            .iter()
            .filter(|(_, watched)| watched.pidfd.is_none());
        let files = foreign.map(|(number, watched)| (*number, watched.open.file.clone()));
        for (number, file) in files.collect::<Vec<_>>() {
            if matches!(is_locked(&self.folder.shims().join(file)), Ok(false)) {
                self.watched_ended(number);
            }
        }
    }

    /// Looks at what no descriptor tells of, when it is time to.
    pub(super) fn look_again(&mut self, now: Instant) {
        if self.look_at.is_none_or(|at| at <= now) {
            self.press_remnants();
            self.look_at_locks();
            let foreign = self.watched.values().any(|watched| watched.pidfd.is_none());
            let remnants = (!self.remnants.is_empty()).then_some(LOOK_AGAIN);
            let after = remnants.or(foreign.then_some(LOCK_AGAIN));
            self.look_at = after.and_then(|after| now.checked_add(after));
        }
    }

    /// As long as nothing can be seen, something may be alive.
    fn cannot_look(&self, error: &io::Error) -> bool {
        tracing::warn!("cannot look for processes: {error}");
        true
    }
}

impl Watched {
    fn end(&mut self) {
        if let (false, Some(pidfd)) = (self.told, &self.pidfd) {
            terminate(pidfd);
            self.told = true;
        }
    }
}
