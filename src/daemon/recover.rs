//! Attempts of earlier daemons, and of shims that died: who is still there, what did they leave.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::clock;
use crate::model::{Outcome, RunId};
use crate::shim::bound::cut_left;
use crate::shim::handle::{Evidence, Press, evidence, is_locked, press_leftover, running};
use crate::shim::record::Ending;
use crate::shim::testimony::{Sources, gather};
use crate::store::{OpenAttempt, StoreError, Stream};
use crate::sys::failpoint;
use crate::sys::identity::{Liveness, signal, terminate};
use crate::sys::process::{self, Found, is_shortage};
use crate::sys::signal::SIGCONT;

use super::cycle::{Daemon, WATCHED, token};
use super::order::marks;
use super::remnant::Remnant;
use super::settle::{Finding, What};
use super::slots::Key;

/// How often the lock of a shim in another pid namespace is looked at.
const LOCK_AGAIN: Duration = Duration::from_secs(1);

/// An attempt whose shim belongs to an earlier daemon. It counts against the limits.
#[derive(Debug)]
pub struct Watched {
    open: OpenAttempt,
    /// Its shim; `None` in another pid namespace and while it cannot be looked up: its lock alone
    /// tells.
    pidfd: Option<OwnedFd>,
    /// It is to be ended, as soon as it can be told.
    unwanted: bool,
    told: bool,
}

impl Daemon {
    /// Finds out about every attempt that is open in the database, and clears away the files of
    /// shims that nobody needs.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        // After whatever a daemon that has lost its lock was about to commit.
        let open = self.store.begin()?.read().open_attempts()?;
        self.remove_old_files(&open);
        for attempt in open {
            self.note_stranger(&attempt);
            if failpoint::has_bug("forgets_living_shims") {
                self.find_gone(attempt, What::NeverStarted);
                continue;
            }
            match self.world.look_up(&attempt.shim) {
                Liveness::Alive(pidfd) => self.watch(attempt, Some(pidfd)),
                Liveness::Dead | Liveness::OtherBoot => drop(self.bury(attempt)),
                Liveness::Foreign | Liveness::Unknown => self.look_at_lock(attempt),
            }
        }
        self.dirty = true;
        // Whatever was done to it before counts from here on.
        clock::was_set();
        self.clock_set = true;
        Ok(())
    }

    /// Without its file its shim works for another database, of which this one is a copy: it is waited for,
    /// and never signaled.
    fn note_stranger(&mut self, open: &OpenAttempt) {
        let path = self.folder.shims().join(&open.file);
        let absent = path.symlink_metadata().is_err();
        if absent && !failpoint::has_bug("signals_strangers") {
            self.strangers.insert(open.file.clone());
        }
    }

    /// How many open attempts belong to shims of another database: nobody here can end them.
    pub(super) fn strangers_open(&self) -> usize {
        let watched = self.watched.values().map(|watched| &watched.open);
        let left = self.remnants.iter().map(|remnant| &remnant.open);
        let open = watched.chain(left);
        open.filter(|open| self.strangers.contains(&open.file))
            .count()
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
        let (run, attempt) = (open.run, open.attempt);
        tracing::info!(
            run = run.0,
            attempt = attempt.0,
            "run {run} goes on, attempt {attempt}"
        );
        if self.strangers.contains(&open.file) {
            tracing::warn!("its shim belongs to another database, and is only waited for");
        }
        // The daemon before may have died between hearing of it and writing it down.
        let started = running(&self.folder.shims().join(&open.file), run, attempt);
        if let Some((pid, started_at)) = started {
            let what = What::Started { pid, started_at };
            self.find(Finding {
                key: Key { run, attempt },
                what,
            });
        }
        let number = self.next_watched;
        if let Some(pidfd) = &pidfd
            && let Err(error) = self.poller.add(pidfd.as_fd(), token(WATCHED, number))
        {
            // It is looked at by its lock then, as one of another pid namespace is.
            tracing::warn!("cannot watch the shim of run {}: {error}", open.run);
            return self.look_at_lock(open);
        }
        self.keep(open, pidfd);
    }

    fn keep(&mut self, open: OpenAttempt, pidfd: Option<OwnedFd>) {
        let is_stranger = self.strangers.contains(&open.file);
        let watched = Watched {
            open,
            pidfd,
            unwanted: false,
            // One that is told nothing is as good as told.
            told: is_stranger,
        };
        self.watched.insert(self.next_watched, watched);
        self.next_watched += 1;
    }

    fn look_at_lock(&mut self, open: OpenAttempt) {
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

    /// The shim of an open attempt is gone: reads what it has recorded. What is left of one that it
    /// did not see to its end, or of its decider, is ended before that is settled. Says what became
    /// of it, unless it is lost or cannot be seen now.
    pub(super) fn bury(&mut self, open: OpenAttempt) -> Option<What> {
        let path = self.folder.shims().join(&open.file);
        let same_boot = open.shim.boot_id == self.world.boot_id;
        let same_world = same_boot && open.shim.pid_ns == self.world.pid_ns;
        let evidence = evidence(&path, open.run, open.attempt, same_boot);
        let finished = matches!(evidence, Ok(Evidence::Ended(_) | Evidence::NeverStarted));
        let what = match evidence {
            Ok(Evidence::Ended(ending) | Evidence::Undecided(ending)) => Some(What::Ended(ending)),
            Ok(Evidence::NeverStarted) => Some(What::NeverStarted),
            Ok(Evidence::Lost) => None,
            // It is there, and can be read when there are descriptors again.
            Err(error) if is_shortage(&error) => {
                self.keep(open, None);
                return None;
            }
            Err(error) => {
                tracing::error!("{}: {error}", path.display());
                None
            }
        };
        let pressed = same_world && !failpoint::has_bug("ignores_leftovers");
        if !finished && pressed {
            let remnant = Remnant::new(open, what.clone(), clock::monotonic());
            self.remnants.push(remnant);
            self.look_at = None;
        } else {
            self.settle_gone(open, what.clone());
        }
        what
    }

    /// The run was canceled when its command had ended, and what that one left is ended too, before the
    /// attempt is settled.
    pub(super) fn end_outliving(&mut self, open: OpenAttempt, ending: Ending) {
        let now = clock::monotonic();
        let what = What::Ended(Ending {
            leftover: false,
            ..ending
        });
        self.remnants.push(Remnant::new(open, Some(what), now));
        self.look_at = Some(now);
    }

    /// Does this file of a shim tell of an attempt that is not settled yet?
    pub(super) fn is_evidence(&self, file: &str) -> bool {
        let mut remnants = self.remnants.iter();
        remnants.any(|remnant| remnant.open.file == file)
    }

    /// Nothing of an attempt is left but what is known of it; `None` is lost.
    fn settle_gone(&mut self, open: OpenAttempt, what: Option<What>) {
        if let Some(limit) = open.policy.max_output {
            cut_left(limit, &self.outputs(&open));
        }
        match what {
            Some(what) => self.find_gone(open, what),
            None => self.find_lost(open),
        }
    }

    /// Nothing of a lost attempt is left but what was said of it, which its shim can gather no more.
    fn find_lost(&mut self, open: OpenAttempt) {
        let (run, attempt) = (open.run, open.attempt);
        let [stdout, stderr] = self.outputs(&open);
        let sources = Sources {
            decision: self.folder.decision(run, attempt),
            stdout,
            stderr,
            rules: &open.policy.rules,
        };
        match gather(&Outcome::Lost, &sources) {
            Ok(said) => self.find_gone(open, What::Lost(Box::new(said))),
            // A command that wants to be run no more must not be, so it waits for descriptors.
            Err(error) => {
                tracing::warn!("run {run}: cannot look for its decision: {error}");
                self.keep(open, None);
            }
        }
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

    /// Ends what is left of attempts without a shim, and settles those of which nothing is.
    fn press_remnants(&mut self, now: Instant) {
        let (due, later) = std::mem::take(&mut self.remnants)
            .into_iter()
            .partition(|remnant| remnant.look_at <= now);
        self.remnants = later;
        // Read once for all of them: what is born later has a parent that is seen here.
        let seen = if due.is_empty() {
            Ok(Vec::new())
        } else {
            process::all()
        };
        for mut remnant in due {
            let press = match remnant.next_press(now) {
                _ if self.strangers.contains(&remnant.open.file) => Press::Look,
                press => press,
            };
            let left = match &seen {
                Ok(seen) => self.press(&remnant.open, seen, press),
                Err(error) => Err(io::Error::from(error.kind())),
            };
            // As long as nothing can be seen, something may be alive.
            let left = left.unwrap_or_else(|error| {
                if press == Press::Terminate {
                    tracing::warn!("cannot look for processes: {error}");
                }
                true
            });
            if !left {
                self.settle_gone(remnant.open, remnant.what);
                continue;
            }
            if press == Press::Terminate {
                let run = remnant.open.run;
                tracing::warn!(run = run.0, "run {run} lost its shim, ending what it left");
            }
            self.remnants.push(remnant);
        }
    }

    fn press(&self, open: &OpenAttempt, seen: &[Found], press: Press) -> io::Result<bool> {
        let (run, attempt) = (open.run, open.attempt);
        let marks = marks(&self.name, Key { run, attempt });
        let path = self.folder.shims().join(&open.file);
        let outputs = self.outputs(open);
        press_leftover(&path, &open.shim, &outputs, &marks, seen, press)
    }

    fn outputs(&self, open: &OpenAttempt) -> [PathBuf; 2] {
        let output = |stream| self.folder.output(open.run, open.attempt, stream);
        [Stream::Stdout, Stream::Stderr].map(output)
    }

    /// Looks at the shims that only their locks tell of, and at those that could not be looked up.
    fn look_at_locks(&mut self) {
        let blind = self
            .watched
            .iter()
            .filter(|(_, watched)| watched.pidfd.is_none());
        let blind = blind.map(|(number, watched)| (*number, watched.open.clone()));
        for (number, open) in blind.collect::<Vec<_>>() {
            match self.world.look_up(&open.shim) {
                Liveness::Alive(pidfd) => self.see(number, pidfd),
                Liveness::Dead | Liveness::OtherBoot => self.watched_ended(number),
                Liveness::Foreign | Liveness::Unknown => {
                    if matches!(is_locked(&self.folder.shims().join(open.file)), Ok(false)) {
                        self.watched_ended(number);
                    }
                }
            }
        }
    }

    /// There is a descriptor for the shim of a watched attempt now.
    fn see(&mut self, number: u64, pidfd: OwnedFd) {
        if self.poller.add(&pidfd, token(WATCHED, number)).is_ok()
            && let Some(watched) = self.watched.get_mut(&number)
        {
            watched.pidfd = Some(pidfd);
            if watched.unwanted {
                watched.end();
            }
            // It may have been canceled meanwhile.
            self.dirty = true;
        }
    }

    /// Looks at what no descriptor tells of, when it is time to.
    pub(super) fn look_again(&mut self, now: Instant) {
        if self.look_at.is_none_or(|at| at <= now) {
            self.press_remnants(now);
            self.look_at_locks();
            let foreign = self.watched.values().any(|watched| watched.pidfd.is_none());
            let locks = foreign.then(|| now.checked_add(LOCK_AGAIN)).flatten();
            let remnants = self.remnants.iter().map(|remnant| remnant.look_at);
            self.look_at = remnants.chain(locks).min();
        }
    }
}

impl Watched {
    fn end(&mut self) {
        self.unwanted = true;
        if let (false, Some(pidfd)) = (self.told, &self.pidfd) {
            terminate(pidfd);
            // Its command may have stopped it.
            signal(pidfd, SIGCONT);
            self.told = true;
        }
    }
}
