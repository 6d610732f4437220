//! One pass: one transaction for all that has ended and all that starts, then its effects.

use std::io;

use crate::clock;
use crate::model::{AttemptNumber, Event, RunId, State, Timestamp, next, schedule};
use crate::shim::handle::{Nursery, Shim};
use crate::shim::order::{Cause, Message};
use crate::shim::record::Ending;
use crate::store::{Facts, Launch, OpenAttempt, Pass, StoreError};
use crate::sys::failpoint;
use crate::sys::files::{remove_if_there, room};

use super::cycle::{Daemon, slot_tokens};
use super::order::{OrderError, order};
use super::settle::{Finding, Settled, What, log, outlived, settle};
use super::slots::{Duty, Key};

/// How many rows a pass changes at the most.
const ROWS_MAX: usize = 1000;

/// With less room than this, in bytes, for what attempts write none is started.
const ROOM_MIN: u64 = 64 * 1024;

/// What follows the commit.
#[derive(Default)]
struct Effects {
    settled: Vec<Settled>,
    starts: Vec<Claimed>,
    /// Runs that were canceled while an attempt is open.
    closing: Vec<RunId>,
    /// Attempts of such runs that have ended, and left processes behind.
    outlived: Vec<(OpenAttempt, Ending)>,
    next_due: Option<Timestamp>,
    next_deadline: Option<Timestamp>,
    /// More is due than this pass could claim.
    more: bool,
    /// The commit has to be on the disk before the effects.
    sync: bool,
}

struct Claimed {
    slot: u64,
    key: Key,
    launch: Launch,
}

impl Daemon {
    /// Makes a pass. Errors: nothing was committed and everything is as before, but for
    /// [`StoreError::Unknown`].
    pub(super) fn pass(&mut self) -> Result<(), StoreError> {
        self.start_shims(clock::now())?;
        let free = self.free_slots();
        let booted_at = self.booted_at;
        let clock_set = self.clock_set;
        let findings = self.inbox.len().min(ROWS_MAX);
        let mut effects = Effects::default();
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
            effects
                .settled
                .extend(settle(&pass, &self.folder, finding, now)?);
        }
        let mut follow_again = false;
        if clock_set {
            follow_again = follow_clock(&pass, now, &mut effects.settled)?;
            effects.more |= follow_again;
        }
        effects.more |= end_with_deadline(&pass, now, &mut effects.settled)?;
        // A shim's record is the evidence until its ending is committed, so nothing is claimed for
        // any shim while an ending is left for the next pass.
        let whole = findings == self.inbox.len();
        let slots = if whole {
            self.slots.available()
        } else {
            Vec::new()
        };
        let due = pass.read().due(now, free.min(slots.len()))?;
        for (id, slot) in due.into_iter().zip(slots) {
            let shim = self.slots.get(slot).map(|slot| &slot.shim);
            if let Some(shim) = shim {
                claim(&pass, id, slot, shim, (now, booted_at), &mut effects)?;
            }
        }
        effects.closing = pass.read().closing()?;
        effects.next_due = pass.read().next_due()?;
        effects.next_deadline = pass.read().next_deadline()?;
        at(failpoint::reach("pass_before_commit"), &pass)?;
        pass.commit()?;
        self.clock_set = follow_again;
        self.carry_out(effects, findings, now)
    }

    /// How many attempts may be started now; what is reported as ended occupies no slot.
    pub(super) fn free_slots(&self) -> usize {
        if !self.may_claim(clock::monotonic()) {
            return 0;
        }
        let open = self.slots.busy() + self.watched.len() + self.remnants.len();
        let free = schedule::free_slots(self.config.parallel, open);
        // After trouble one attempt goes ahead, with what is there; its end is the end of it.
        if self.claims.in_a_row() > 0 {
            free.min(1)
        } else {
            free
        }
    }

    /// Starts as many shims as the due runs need and the limit allows. Without one nothing is
    /// claimed: the trouble is ours, and no run is charged for it.
    fn start_shims(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let free = self.free_slots();
        if free == 0 {
            return Ok(());
        }
        let wanted = self.store.read().due(now, free)?.len();
        if wanted > 0
            && let Err(error) = self.look_for_room()
        {
            self.claim_trouble(&error);
            return Ok(());
        }
        let available = self.slots.available().len();
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

    /// Without room for its output a command would fail, and its run would be charged for it.
    fn look_for_room(&self) -> io::Result<()> {
        let logs = self.folder.logs();
        let path = if logs.exists() {
            &logs
        } else {
            self.folder.path()
        };
        if room(path)? < ROOM_MIN && !failpoint::has_bug("charges_shortage") {
            let error = format!("no room for output in {}", path.display());
            return Err(io::Error::new(io::ErrorKind::StorageFull, error));
        }
        Ok(())
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
        for settled in &effects.settled {
            log(settled);
            if settled.transition.state.is_final() {
                self.doorbell.tell_end(settled.id);
                let expiry = self.config.retention.map(|stay| now.plus(stay));
                self.expire_at = self.expire_at.or(expiry);
            }
        }
        self.next_due = effects.next_due;
        self.next_deadline = effects.next_deadline;
        let due_now = self.next_due.is_some_and(|due| due <= clock::now());
        self.dirty = effects.more || !self.inbox.is_empty() || (due_now && self.free_slots() > 0);
        Ok(())
    }

    fn send_order(&mut self, claimed: Claimed) {
        let Claimed { slot, key, launch } = claimed;
        self.slots.set_duty(slot, Duty::Busy { key, told: false });
        let message = order(&self.store, &self.name, key, launch);
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

/// Opens the next attempt of run `id` for the shim of `slot`, at the first of the two times; a
/// run that was due before the second, the machine's start, may be what brought it down.
fn claim(
    pass: &Pass<'_>,
    id: RunId,
    slot: u64,
    shim: &Shim,
    (now, booted_at): (Timestamp, Timestamp),
    effects: &mut Effects,
) -> Result<(), StoreError> {
    let run = pass.read().run(id)?;
    let Ok(transition) = next(&run, &Event::Start { at: now }) else {
        return Ok(());
    };
    let facts = Facts::Claim {
        file: &shim.file,
        shim: &shim.identity,
    };
    if !pass.apply(id, &run, &transition, now, facts)? {
        return Ok(());
    }
    let launch = pass.read().launch(id)?;
    let due_at_boot = matches!(run.state, State::Waiting { due, .. } if due <= booted_at);
    // A hook tells of its parent's ending.
    effects.sync |= due_at_boot || launch.parent.is_some();
    let attempt = transition.state.open_attempt().unwrap_or(AttemptNumber(0));
    effects.starts.push(Claimed {
        slot,
        key: Key { run: id, attempt },
        launch,
    });
    effects.settled.push(Settled::new(id, transition));
    Ok(())
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

fn at(reached: io::Result<()>, pass: &Pass<'_>) -> Result<(), StoreError> {
    reached.map_err(|error| pass.trouble(error))
}
