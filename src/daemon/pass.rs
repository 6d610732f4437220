//! One pass: one transaction for all that has ended and all that starts, then its effects.

use std::io;

use crate::clock;
use crate::model::{Event, PoolRecord, RunId, Timestamp, next, pool};
use crate::shim::handle::{Nursery, Shim};
use crate::shim::order::{Cause, Message};
use crate::shim::record::Ending;
use crate::store::{Facts, OpenAttempt, Outlook, Pass, StoreError};
use crate::sys::failpoint;
use crate::sys::files::remove_if_there;

use super::claim::{Claimed, Claims, claims_left};
use super::cycle::{Daemon, slot_tokens};
use super::order::{OrderError, order};
use super::pools::Pools;
use super::settle::{Finding, Settled, What, log, outlived, settle};
use super::slots::Duty;

/// How many rows a pass changes at the most.
const ROWS_MAX: usize = 1000;

/// How many shims are started in a row, and how many attempts: the first ones begin while the daemon
/// goes on with the rest.
pub(super) const STARTS_MAX: usize = 8;

/// What follows the commit.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) settled: Vec<Settled>,
    pub(super) starts: Vec<Claimed>,
    /// Runs that were canceled while an attempt is open.
    closing: Vec<RunId>,
    /// Attempts of such runs that have ended, and left processes behind.
    outlived: Vec<(OpenAttempt, Ending)>,
    next_due: Option<Timestamp>,
    next_deadline: Option<Timestamp>,
    /// There is more to do than this pass could.
    pub(super) more: bool,
    /// The clock was set, and not all of its consequences are drawn.
    follow_clock_again: bool,
    /// The commit has to be on the disk before the effects.
    pub(super) sync: bool,
    /// How many shims would be needed to start all that can be started.
    pub(super) shims_missing: usize,
    /// Why nothing could be claimed.
    pub(super) trouble: Option<io::Error>,
}

impl Daemon {
    /// Makes a pass. Errors: nothing was committed and everything is as before, but for
    /// [`StoreError::Unknown`].
    pub(super) fn pass(&mut self) -> Result<(), StoreError> {
        self.start_shims()?;
        let mut pools = std::mem::take(&mut self.pools);
        // After an error nothing is known of the pools, and the next pass looks at them anew.
        let (effects, findings, now) = self.write(&mut pools)?;
        self.pools = pools;
        self.carry_out(effects, findings, now)
    }

    /// The transaction of a pass. Gives what follows it, how many of the findings are settled by
    /// it, and its time.
    fn write(&mut self, pools: &mut Pools) -> Result<(Effects, usize, Timestamp), StoreError> {
        let clock_set = self.clock_set;
        let findings = self.inbox.len().min(ROWS_MAX);
        let may_claim = self.may_claim(clock::monotonic());
        let most = self.starts_at_once();
        let mut effects = Effects::default();
        pools.begin();
        let pass = self.store.begin()?;
        // Once more: while it waited for the lock, another daemon may have taken over.
        self.lock.check_place(&self.folder)?;
        // Read here: while it waited for the lock, others have stored runs that are due by now.
        let now = clock::now();
        for finding in &self.inbox[..findings] {
            if let Some(outlived) = outlived(&pass, &self.world, finding)? {
                effects.outlived.push(outlived);
                continue;
            }
            if let Some((settled, pool)) = settle(&pass, &self.folder, finding, now)? {
                pools.change(pool);
                effects.settled.push(settled);
            }
        }
        if clock_set {
            effects.follow_clock_again = follow_clock(&pass, now, &mut effects.settled)?;
            pass.follow_clock(now)?;
            *pools = Pools::default();
        }
        let outlook = pass.read().outlook()?;
        let some_unseen = move_on(&pass, outlook, now, pools, &mut effects)?;
        // A shim's record is the evidence until its ending is committed, so nothing is claimed for
        // any shim while an ending is left for the next pass.
        if findings == self.inbox.len() && may_claim {
            let claims = Claims {
                slots: &self.slots,
                folder: &self.folder,
                parallel: self.config.parallel,
                most,
                hooks_alone: some_unseen,
                settings: outlook.settings,
                booted_at: self.booted_at,
                now,
            };
            claims.make(&pass, pools, &mut effects)?;
        }
        look_ahead(&pass, outlook, now, &mut effects)?;
        at(failpoint::reach("pass_before_commit"), &pass)?;
        pass.commit()?;
        Ok((effects, findings, now))
    }

    /// Starts the shims that were missing in the last pass. Without one nothing is claimed: the
    /// trouble is ours, and no run is charged for it.
    fn start_shims(&mut self) -> Result<(), StoreError> {
        if !self.may_claim(clock::monotonic()) {
            return Ok(());
        }
        let most = self.starts_at_once();
        let missing = std::mem::take(&mut self.shims_missing);
        let available = self.slots.available().len();
        // That one run is due is what happens most often, and needs no pass to be found out.
        let is_wanted = available == 0 && self.can_start_next(clock::now())?;
        let wanted = missing.max(usize::from(is_wanted)).min(most);
        let shims = self.folder.shims();
        let log = self.folder.daemon_log();
        for _ in available..wanted {
            let started = Shim::start(&Nursery {
                program: &self.program,
                world: &self.world,
                folder: &shims,
                log: &log,
                open_files: self.open_files,
            });
            let since = clock::monotonic();
            let added =
                started.and_then(|shim| self.slots.add(shim, since, &self.poller, slot_tokens));
            if let Err(error) = added {
                self.claim_trouble(&error);
                break;
            }
        }
        Ok(())
    }

    /// How many attempts are started in one pass.
    fn starts_at_once(&self) -> usize {
        // After trouble one goes ahead, with what is there; its end is the end of it.
        if self.claims.in_a_row() > 0 {
            1
        } else {
            STARTS_MAX
        }
    }

    /// Could a run that has become due be started now, if its pool has no other?
    fn can_start_next(&self, now: Timestamp) -> Result<bool, StoreError> {
        let read = self.store.read();
        let Some(next) = read.wanted_pool(now)? else {
            return Ok(false);
        };
        let Some(PoolRecord {
            pool, gate, gauge, ..
        }) = read.pool(&next)?
        else {
            return Ok(false);
        };
        let left = claims_left(self.config.parallel, read)?;
        let is_hook = pool.name == pool::HOOKS;
        Ok((left > 0 || is_hook) && pool.room(&gate, gauge.occupied(), now).is_ok())
    }

    /// Our own trouble: nothing is claimed for a while.
    pub(super) fn claim_trouble(&mut self, error: &io::Error) {
        let why = format!("cannot start an attempt: {error}");
        let pause = self.claims.hit(clock::monotonic(), why);
        tracing::warn!(
            "cannot start an attempt, next look in {} s: {error}",
            pause.as_secs()
        );
    }

    /// The effects of a committed pass, `findings` of the inbox settled by it.
    fn carry_out(
        &mut self,
        effects: Effects,
        findings: usize,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reached = failpoint::reach("pass_committed");
        reached.map_err(|error| self.unknown(&error))?;
        if effects.sync {
            self.store.sync()?;
        }
        self.inbox.drain(..findings);
        for (open, ending) in effects.outlived {
            self.end_outliving(open, ending);
        }
        if self.inbox.is_empty() {
            self.slots.settled(clock::monotonic());
            for file in std::mem::take(&mut self.old_files) {
                self.remove_shim_file(&file);
            }
        }
        for claimed in effects.starts {
            self.send_order(claimed);
        }
        for id in effects.closing {
            self.slots.end(id, Cause::Canceled);
            self.terminate_watched(id);
        }
        // Who waits comes before the log.
        for settled in effects.settled.iter().filter(ends) {
            self.doorbell.tell_end(settled.id);
            let expiry = self.config.retention.map(|stay| now.plus(stay));
            self.expire_at = self.expire_at.or(expiry);
        }
        for settled in effects.settled.iter().filter(|settled| !ends(settled)) {
            self.doorbell.tell_attempt(settled.id);
        }
        effects.settled.iter().for_each(log);
        self.next_due = effects.next_due;
        self.next_deadline = effects.next_deadline;
        self.clock_set = effects.follow_clock_again;
        self.shims_missing = effects.shims_missing;
        if let Some(error) = effects.trouble {
            self.claim_trouble(&error);
        }
        let more = effects.more || effects.follow_clock_again || effects.shims_missing > 0;
        self.dirty = more || !self.inbox.is_empty();
        Ok(())
    }

    fn send_order(&mut self, claimed: Claimed) {
        let Claimed {
            slot, key, launch, ..
        } = claimed;
        self.slots.set_duty(slot, Duty::Busy { key, told: false });
        self.tell_of_limit(&launch.current.run.policy);
        let message = order(&self.store, &self.name, key, *launch);
        let message = message.map(|order| Message::Attempt(Box::new(order)));
        let failed = match (message, self.slots.get(slot)) {
            (Ok(message), Some(slot)) => match slot.shim.send(&message) {
                Ok(()) => None,
                // The shim is gone, which its end will show, with the evidence.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
                Err(error) => Some(error.to_string()),
            },
            (Ok(_), None) => None,
            (Err(OrderError::Store(error)), _) => Some(error.to_string()),
            (Err(OrderError::Input(error)), _) => Some(format!("captured input: {error}")),
        };
        if let Some(error) = failed {
            self.claim_trouble(&io::Error::other(error));
            self.slots.set_duty(slot, Duty::Settling { alone: true });
            self.find(Finding {
                key,
                what: What::NeverStarted,
            });
        }
        // A test can only stop or kill here: the order is on its way.
        let _ = failpoint::reach("order_sent");
    }

    /// Puts a finding into the inbox of the next pass.
    pub(super) fn find(&mut self, finding: Finding) {
        self.inbox.push(finding);
        self.dirty = true;
    }

    pub(super) fn remove_shim_file(&self, file: &str) {
        if self.is_evidence(file) {
            return;
        }
        let path = self.folder.shims().join(file);
        if let Err(error) = remove_if_there(&path) {
            tracing::warn!("{}: {error}", path.display());
        }
    }

    fn unknown(&self, error: &io::Error) -> StoreError {
        StoreError::Unknown {
            path: self.folder.database().to_owned(),
            cause: error.to_string(),
        }
    }
}

fn ends(settled: &&Settled) -> bool {
    settled.transition.state.is_final()
}

/// After a backward jump of the clock: nothing waits longer than its delay. `true`: there is more.
fn follow_clock(
    pass: &Pass<'_>,
    now: Timestamp,
    settled: &mut Vec<Settled>,
) -> Result<bool, StoreError> {
    if failpoint::has_bug("ignores_a_set_clock") {
        return Ok(false);
    }
    let forgets = failpoint::has_bug("forgets_delays");
    let at = if forgets {
        Timestamp::from_millis(0)
    } else {
        now
    };
    let room = ROWS_MAX.saturating_sub(settled.len());
    let ids = pass.read().overdelayed(now, room)?;
    let more = ids.len() == room;
    for id in ids {
        let run = pass.read().run(id)?;
        if let Ok(transition) = next(&run, &Event::ClockSet { at }) {
            pass.apply(id, &run, &transition, now, Facts::None)?;
            settled.push(Settled::new(id, transition));
        }
    }
    Ok(more)
}

/// Runs that still wait when their deadline passes end with it. `true`: there is more.
fn end_with_deadline(
    pass: &Pass<'_>,
    now: Timestamp,
    settled: &mut Vec<Settled>,
) -> Result<bool, StoreError> {
    let room = ROWS_MAX.saturating_sub(settled.len());
    let ids = pass.read().past_deadline(now, room)?;
    let more = ids.len() == room;
    for id in ids {
        let run = pass.read().run(id)?;
        if let Ok(transition) = next(&run, &Event::Deadline { at: now }) {
            pass.apply(id, &run, &transition, now, Facts::None)?;
            settled.push(Settled::new(id, transition));
        }
    }
    Ok(more)
}

/// Moves on what time or somebody else has moved. `true`: not all that is due has been seen, and who
/// comes first is not known yet.
fn move_on(
    pass: &Pass<'_>,
    outlook: Outlook,
    now: Timestamp,
    pools: &mut Pools,
    effects: &mut Effects,
) -> Result<bool, StoreError> {
    let has_come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let is_late = has_come(outlook.next_deadline);
    if is_late {
        effects.more |= end_with_deadline(pass, now, &mut effects.settled)?;
    }
    let room = ROWS_MAX.saturating_sub(effects.settled.len());
    let is_due = has_come(outlook.next_due);
    let some_unseen = is_due && pass.promote(now, room)?;
    effects.more |= some_unseen;
    if outlook.locks || is_late || is_due {
        effects.more |= pass.hand_locks_on(room)?;
    }
    if outlook.pools || outlook.locks || is_late || is_due {
        for pool in pass.take_wanted_pools()? {
            pools.change(pool);
        }
    }
    Ok(some_unseen)
}

/// What follows the pass, and when there is something to do again. `outlook` was seen before it moved
/// anything on.
fn look_ahead(
    pass: &Pass<'_>,
    outlook: Outlook,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<(), StoreError> {
    let has_come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    // A run that has started has no deadline to wait for.
    let has_started = outlook.next_deadline.is_some() && !effects.starts.is_empty();
    let has_moved = has_come(outlook.next_deadline) || has_come(outlook.next_due);
    let ahead = if has_started || has_moved || effects.more {
        pass.read().outlook()?
    } else {
        outlook
    };
    effects.next_due = ahead.next_due;
    effects.next_deadline = ahead.next_deadline;
    if outlook.closing {
        effects.closing = pass.read().closing()?;
    }
    Ok(())
}

fn at(reached: io::Result<()>, pass: &Pass<'_>) -> Result<(), StoreError> {
    reached.map_err(|error| pass.trouble(error))
}
