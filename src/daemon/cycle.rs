//! The loop itself: what a daemon holds, when it works, how long it waits, when it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::model::{RunId, Timestamp};
use crate::store::{Access, Folder, Store, StoreError};
use crate::sys::identity::World;
use crate::sys::poll::Poller;
use crate::sys::process::open_files_limit;
use crate::sys::signal::Signals;
use crate::sys::spawn::OwnProgram;
use crate::sys::timer::WallTimer;

use super::doorbell::Doorbell;
use super::holder::DaemonLock;
use super::pause::Pause;
use super::pools::Pools;
use super::recover::Watched;
use super::remnant::Remnant;
use super::serve::{Config, ServeError};
use super::settle::Finding;
use super::slots::Slots;
use super::stats::next_stats;

/// How far the daemon is with leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Serving,
    /// Leave now; attempts live on under their shims.
    Stopping,
    /// Start nothing and leave when no attempt is open.
    Draining,
}

/// A daemon at work.
pub(super) struct Daemon {
    pub(super) config: Config,
    pub(super) folder: Folder,
    pub(super) store: Store,
    pub(super) name: String,
    pub(super) world: World,
    pub(super) program: OwnProgram,
    pub(super) open_files: u64,
    pub(super) booted_at: Timestamp,
    pub(super) poller: Poller,
    pub(super) timer: WallTimer,
    pub(super) signals: Rc<Signals>,
    pub(super) lock: Rc<DaemonLock>,
    /// What somebody has asked for, and must not be forgotten when it starts over.
    pub(super) obeyed: Vec<i32>,
    pub(super) doorbell: Doorbell,
    pub(super) deaf_until: Option<Instant>,
    pub(super) slots: Slots,
    pub(super) watched: BTreeMap<u64, Watched>,
    pub(super) next_watched: u64,
    pub(super) remnants: Vec<Remnant>,
    /// The files of shims that work for another database, of which this one is a copy.
    pub(super) strangers: BTreeSet<String>,
    /// When to look again at what no descriptor tells of.
    pub(super) look_at: Option<Instant>,
    /// Runs of which somebody wants to know whether they have ended.
    pub(super) asked: Vec<RunId>,
    /// What was found out and is not committed yet.
    pub(super) inbox: Vec<Finding>,
    /// The files of shims that are gone, to be removed once the inbox is committed: they are the
    /// evidence of what it holds.
    pub(super) old_files: Vec<String>,
    /// Whether a pass has something to do.
    pub(super) dirty: bool,
    pub(super) clock_set: bool,
    pub(super) next_due: Option<Timestamp>,
    pub(super) pools: Pools,
    /// How many shims were missing to start all that could have been started.
    pub(super) shims_missing: usize,
    pub(super) next_deadline: Option<Timestamp>,
    pub(super) expire_at: Option<Timestamp>,
    pub(super) trash: bool,
    /// Whether it is known what an output's limit comes to here.
    pub(super) limit_told: bool,
    /// When the next step of a long upkeep is due.
    pub(super) upkeep_at: Option<Instant>,
    /// When one that only ticks has been there for long enough.
    pub(super) tick_until: Option<Instant>,
    pub(super) stats_at: Option<Instant>,
    /// After trouble with starting attempts: when to claim again.
    pub(super) claims: Pause,
    /// After trouble with the database: when to try again.
    pub(super) passes: Pause,
    /// Since when others have not let go of the database.
    busy_since: Option<Instant>,
    pub(super) mode: Mode,
    pub(super) idle_since: Option<Instant>,
}

pub(super) const LISTENER: u64 = 0;
pub(super) const SIGNALS: u64 = 1;
pub(super) const TIMER: u64 = 2;
pub(super) const CALLER: u64 = 3;
pub(super) const REPORT: u64 = 4;
pub(super) const END: u64 = 5;
/// A shim of an earlier daemon.
pub(super) const WATCHED: u64 = 6;

/// How long the daemon waits for other writers at a time: it is deaf meanwhile.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// So long, in pages, the write-ahead log grows before it is written into the database: most pages are
/// written again by then, and are written there once.
const LOG_PAGES: u32 = 4096;

/// After so long others who do not let go of the database are trouble.
const BUSY_TOLD: Duration = Duration::from_secs(5);

/// The least rest between two steps of upkeep.
const UPKEEP_REST_MIN: Duration = Duration::from_millis(10);

/// A poller's token: what it is, and which one.
pub(super) fn token(kind: u64, number: u64) -> u64 {
    number << 3 | kind
}

/// How many callers are let in at once: half of the descriptors are for attempts and the daemon.
fn callers_max() -> usize {
    usize::try_from(open_files_limit() / 2).unwrap_or(usize::MAX)
}

/// The tokens of a slot's reports and of its end.
pub(super) fn slot_tokens(number: u64) -> (u64, u64) {
    (token(REPORT, number), token(END, number))
}

impl Daemon {
    pub(super) fn open(
        folder: &Folder,
        config: &Config,
        world: &World,
        open_files: u64,
        signals: &Rc<Signals>,
        lock: &Rc<DaemonLock>,
    ) -> Result<Self, ServeError> {
        let system = |what| move |error| ServeError::System(what, error);
        // It was made before the lock was taken: one that is gone since then is not made again.
        let path = folder.database().to_owned();
        let store = Store::open(folder, Access::Existing)?;
        let store = store.ok_or(StoreError::Replaced { path })?;
        store.keep_reserve();
        let poller = Poller::new().map_err(system("epoll"))?;
        let timer = WallTimer::new().map_err(system("timerfd"))?;
        let doorbell = Doorbell::hang(folder, callers_max()).map_err(system("the doorbell"))?;
        let add = |result: io::Result<()>| result.map_err(system("epoll"));
        add(poller.add(doorbell.listener(), token(LISTENER, 0)))?;
        add(poller.add(signals.as_fd(), token(SIGNALS, 0)))?;
        add(poller.add(&timer, token(TIMER, 0)))?;
        let mut daemon = Self {
            config: config.clone(),
            folder: folder.clone(),
            name: store.read().name()?,
            store,
            world: world.clone(),
            program: OwnProgram::open().map_err(system("/proc/self/exe"))?,
            open_files,
            booted_at: clock::booted_at().map_err(system("/proc/uptime"))?,
            poller,
            timer,
            signals: Rc::clone(signals),
            lock: Rc::clone(lock),
            obeyed: Vec::new(),
            doorbell,
            deaf_until: None,
            slots: Slots::default(),
            watched: BTreeMap::new(),
            next_watched: 0,
            remnants: Vec::new(),
            strangers: BTreeSet::new(),
            look_at: None,
            asked: Vec::new(),
            inbox: Vec::new(),
            old_files: Vec::new(),
            dirty: true,
            clock_set: false,
            next_due: None,
            pools: Pools::default(),
            shims_missing: 0,
            next_deadline: None,
            expire_at: None,
            trash: true,
            limit_told: false,
            upkeep_at: None,
            tick_until: (config.tick).and_then(|limit| clock::monotonic().checked_add(limit)),
            stats_at: next_stats(config.stats_interval, clock::monotonic()),
            claims: Pause::default(),
            passes: Pause::default(),
            busy_since: None,
            mode: Mode::Serving,
            idle_since: None,
        };
        daemon.expire_at = daemon.first_expiry()?;
        Ok(daemon)
    }

    pub(super) fn run(&mut self) -> Result<(), ServeError> {
        self.store.wait_at_most(BUSY_MAX)?;
        self.store.checkpoint_after(LOG_PAGES)?;
        loop {
            let mut now = clock::monotonic();
            self.look_again(now);
            let mut more = false;
            if self.passes.until(now).is_none() {
                self.check_place()?;
                match self.work() {
                    Ok(busy) => {
                        if self.passes.in_a_row() > 0 {
                            self.passes.clear();
                            self.store.keep_reserve();
                        }
                        self.busy_since = None;
                        more = busy;
                    }
                    Err(error) => {
                        self.database_trouble(error)?;
                        more = self.passes.until(clock::monotonic()).is_none();
                    }
                }
                now = clock::monotonic();
            }
            self.lock.tell(self.trouble());
            match self.may_leave(now) {
                // It may have seen that there is more to do.
                Ok(false) => {
                    more |= self.dirty
                        && self.passes.until(now).is_none()
                        && clock::poll_interval().is_none();
                }
                Ok(true) => {
                    self.lock.tell_stopping();
                    self.slots.dismiss(&self.folder);
                    return Ok(());
                }
                Err(ServeError::Store(error)) => self.database_trouble(error)?,
                Err(error) => return Err(error),
            }
            more |= self.set_timer()?;
            let timeout = if more {
                Some(Duration::ZERO)
            } else {
                self.timeout(now)
            };
            let ready = self.poller.wait(timeout);
            for token in ready.map_err(|error| ServeError::System("epoll", error))? {
                self.take(token & 7, token >> 3)?;
            }
            self.clock_set |= clock::was_set();
            self.dirty |= clock::poll_interval().is_some();
        }
    }

    /// Before anything is written: the paths still lead to what this daemon holds, or it would work
    /// beside another one, or on a database that nobody sees.
    fn check_place(&self) -> Result<(), StoreError> {
        self.lock.check_place(&self.folder)?;
        self.store.check_place()
    }

    /// One pass, if there is something to do, and one step of upkeep. `true`: there is more.
    fn work(&mut self) -> Result<bool, StoreError> {
        self.dirty |= self.claims.is_over(clock::monotonic());
        if self.dirty {
            self.pass()?;
        }
        self.tell_ended()?;
        self.tell_stats()?;
        let now = clock::monotonic();
        if self.upkeep_at.is_none_or(|at| at <= now) {
            let more = self.upkeep()?;
            // As long a rest as the step took, so that somebody who waits for the database gets
            // in between.
            let took = clock::monotonic().saturating_duration_since(now);
            let rest = took.max(UPKEEP_REST_MIN);
            self.upkeep_at = more.then(|| clock::monotonic().checked_add(rest)).flatten();
        }
        Ok(self.dirty && clock::poll_interval().is_none())
    }

    /// A full disk or a busy database passes; nothing is lost by waiting for it. That many others
    /// write is no trouble, and it was waited for them already.
    fn database_trouble(&mut self, error: StoreError) -> Result<(), StoreError> {
        let now = clock::monotonic();
        self.dirty = true;
        match &error {
            StoreError::Busy { .. } => {
                let since = *self.busy_since.get_or_insert(now);
                if now.saturating_duration_since(since) < BUSY_TOLD {
                    return Ok(());
                }
            }
            StoreError::Full { .. } => self.store.make_room(),
            _ => return Err(error),
        }
        let pause = self.passes.hit(now, error.to_string());
        tracing::error!("{error}; trying again in {} s", pause.as_secs());
        Ok(())
    }

    /// Why nothing is started at the moment, if there is such a reason.
    fn trouble(&self) -> Option<&str> {
        let leaves = self.mode != Mode::Serving;
        let leaving = leaves.then_some("the daemon is on its way out, and the next one goes on");
        self.passes.why().or(self.claims.why()).or(leaving)
    }

    /// Is now a time for starting attempts?
    pub(super) fn may_claim(&self, now: Instant) -> bool {
        self.mode == Mode::Serving && self.claims.until(now).is_none()
    }

    fn timeout(&mut self, now: Instant) -> Option<Duration> {
        let idle_exit = self.idle_since.zip(self.config.until_idle);
        let idle_exit = idle_exit.and_then(|(since, stay)| since.checked_add(stay));
        let pause = self.passes.until(now);
        // What needs the database waits for the end of its pause, or would wake the loop again and
        // again.
        let able = |at: Option<Instant>| at.filter(|_| pause.is_none());
        let instants = [
            self.claims.until(now),
            pause,
            self.deaf_until,
            self.look_at,
            able(self.upkeep_at),
            able(self.stats_at),
            self.slots.thin_out(now),
            able(idle_exit),
            self.tick_until.filter(|until| *until > now),
        ];
        let instants = instants.into_iter().flatten();
        let waits = instants.map(|at| at.saturating_duration_since(now));
        waits.chain(clock::poll_interval()).min()
    }

    /// Sets the timer. `true`: the clock was set, and there is something to do.
    fn set_timer(&mut self) -> Result<bool, ServeError> {
        // Between two steps of upkeep the next one is what is waited for.
        let expire_at = self.expire_at.filter(|_| self.upkeep_at.is_none());
        // While nothing may be started, what could be waits for the end of that.
        let may_claim = self.may_claim(clock::monotonic());
        let limited = self.pools.next().filter(|_| may_claim);
        let times = [self.next_due, self.next_deadline, expire_at, limited];
        let mut at = times.into_iter().flatten().min();
        if self.passes.until(clock::monotonic()).is_some() {
            // Nothing can be done before the pause is over, and a time that has passed would
            // wake the loop again and again.
            at = None;
        }
        let set = self.timer.set(at.map(clock::kernel_time));
        let clock_set = set.map_err(|error| ServeError::System("timerfd", error))?;
        self.clock_set |= clock_set;
        self.dirty |= clock_set;
        Ok(clock_set)
    }
}
