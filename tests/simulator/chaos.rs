//! What goes on around the database: shims, messages that come late, twice or never, a daemon that dies between any two
//! steps.

use std::collections::BTreeMap;
use std::time::Duration;

use retrier::model::{AttemptNumber, Event, Outcome, Run, State, Testimony, Timestamp};

use super::base::{Base, Bug};
use super::rules::Broken;
use super::wishes;

/// One attempt of a run.
pub(super) type Key = (usize, AttemptNumber);

/// What a shim tells of its attempt: how its command ended, or that none was started.
#[derive(Clone, Debug)]
pub(super) struct Report {
    at: Timestamp,
    end: Option<(Outcome, Testimony)>,
}

/// A command that is alive.
#[derive(Clone, Copy, Debug)]
struct Alive {
    attempt: AttemptNumber,
}

/// Everything.
pub struct World {
    pub base: Base,
    pub now: Timestamp,
    pub(super) rng: fastrand::Rng,
    /// Orders that are on their way to a shim.
    pub(super) orders: Vec<Key>,
    /// By run: a second one would be two attempts at once.
    alive: BTreeMap<usize, Alive>,
    /// What shims have recorded and nobody has settled.
    records: BTreeMap<Key, Report>,
    /// Which of that is on its way to the daemon; also what was settled long ago.
    pub(super) messages: Vec<(Key, Report)>,
    /// Runs as somebody has read them, some time ago.
    pub(super) read: Vec<(usize, Run)>,
    /// Nothing goes wrong any more, and nobody meddles.
    calm: bool,
}

impl World {
    pub fn new(mut rng: fastrand::Rng, bug: Option<Bug>) -> World {
        World {
            base: Base::new(wishes::pools(&mut rng), bug),
            now: Timestamp::from_millis(1_700_000_000_000),
            rng,
            orders: Vec::new(),
            alive: BTreeMap::new(),
            records: BTreeMap::new(),
            messages: Vec::new(),
            read: Vec::new(),
            calm: false,
        }
    }

    /// Something happens.
    pub fn step(&mut self) -> Result<(), Broken> {
        match self.rng.u8(..100) {
            0..32 => self.pass()?,
            32..46 => self.carry_out_order()?,
            46..62 => self.end_command(),
            62..67 => self.recover(),
            67..72 => self.disturb_messages(),
            72..76 => self.submit(),
            76..80 => self.read_one(),
            80..86 => self.meddle()?,
            86..90 => self.cancel_or_retry()?,
            90..98 => self.let_time_pass(),
            98 => self.set_clock_back()?,
            _ => self.change_pool(),
        }
        self.alive_is_open()
    }

    /// No message is lost any more, nobody meddles, and time passes: all has to end. Gives how many have.
    pub fn end(&mut self) -> Result<usize, Broken> {
        self.calm = true;
        for row in &mut self.base.pools {
            row.pool.paused = false;
            row.pool.parallel = row.pool.parallel.max(1);
        }
        for _ in 0..100_000 {
            if self.base.active.is_empty() {
                return Ok(self.base.rows.len());
            }
            self.pass()?;
            while !self.orders.is_empty() {
                self.carry_out_order()?;
            }
            for run in self.alive.keys().copied().collect::<Vec<_>>() {
                self.end_command_of(run);
            }
            self.recover();
            self.now = self.now.plus(Duration::from_secs(30));
            self.alive_is_open()?;
        }
        let left = &self.base.active;
        let one = left.first().map(|n| &self.base.rows[*n]);
        Err(format!(
            "{} runs do not end, one of them is {one:?}",
            left.len()
        ))
    }

    /// What is alive of a run is the attempt that is open, and nothing else.
    fn alive_is_open(&self) -> Result<(), Broken> {
        for (run, alive) in &self.alive {
            let open = self
                .base
                .rows
                .get(*run)
                .and_then(|row| row.run.state.open_attempt());
            if open != Some(alive.attempt) {
                return Err(format!(
                    "attempt {} of run {run} is alive, and {open:?} is open",
                    alive.attempt
                ));
            }
        }
        Ok(())
    }

    /// One transaction of the daemon: what was told, what is late, what starts. It may never be committed, and what
    /// follows it may never be done.
    fn pass(&mut self) -> Result<(), Broken> {
        self.base.begin();
        let mut settled = Vec::new();
        for _ in 0..self.rng.usize(..4).min(self.messages.len()) {
            let message = self
                .messages
                .swap_remove(self.rng.usize(..self.messages.len()));
            if self.settle(&message)? {
                settled.push(message.0);
            }
        }
        self.end_late()?;
        let claimed = self.claim()?;
        if self.base.bug == Some(Bug::EffectFirst) {
            for key in &claimed {
                self.start_command(*key)?;
            }
        }
        if !self.calm && self.rng.u8(..10) == 0 {
            self.base.roll_back();
            return Ok(());
        }
        for key in settled {
            self.forget_record(key);
        }
        if self.base.bug == Some(Bug::EffectFirst) {
            return Ok(());
        }
        // Who dies here has sent some of the orders; the others are found out to have been for nothing.
        for key in claimed {
            if !self.calm && self.rng.u8(..15) == 0 {
                self.report(key, None);
            } else {
                self.orders.push(key);
            }
        }
        Ok(())
    }

    fn settle(&mut self, ((n, attempt), report): &(Key, Report)) -> Result<bool, Broken> {
        let run = self.base.rows[*n].run.clone();
        self.settle_as_read((*n, &run), *attempt, report)
    }

    pub(super) fn settle_as_read(
        &mut self,
        (n, run): (usize, &Run),
        attempt: AttemptNumber,
        report: &Report,
    ) -> Result<bool, Broken> {
        let at = report.at.min(self.now.plus(Duration::from_millis(1)));
        let event = match report.end.clone() {
            Some((outcome, testimony)) => Event::Ended {
                at,
                attempt,
                outcome,
                testimony: Box::new(testimony),
            },
            None => Event::NeverStarted {
                at: self.now,
                attempt,
            },
        };
        self.base.apply((n, run), &event, at)
    }

    /// What waits and is past its deadline fails, unless so much else is to be done that it is left for later.
    fn end_late(&mut self) -> Result<(), Broken> {
        if !self.calm && self.rng.bool() {
            return Ok(());
        }
        let late = |n: &usize| self.base.rows[*n].run.is_past(self.now);
        let late: Vec<usize> = self.base.active.iter().copied().filter(late).collect();
        for n in late {
            let run = self.base.rows[n].run.clone();
            let event = Event::Deadline { at: self.now };
            self.base.apply((n, &run), &event, self.now)?;
        }
        Ok(())
    }

    fn claim(&mut self) -> Result<Vec<Key>, Broken> {
        let mut claimed = Vec::new();
        for pool in 0..self.base.pools.len() {
            while claimed.len() < 8 && self.has_room(pool)? {
                let Some(n) = self.head(pool) else { break };
                let run = self.base.rows[n].run.clone();
                let event = Event::Start { at: self.now };
                if !self.base.apply((n, &run), &event, self.now)? {
                    break;
                }
                claimed.extend(
                    self.base.rows[n]
                        .run
                        .state
                        .open_attempt()
                        .map(|open| (n, open)),
                );
            }
        }
        Ok(claimed)
    }

    /// What the pool itself says; an open one lets one go ahead at the most.
    pub(super) fn has_room(&self, pool: usize) -> Result<bool, Broken> {
        let row = &self.base.pools[pool];
        let Ok(room) = row.pool.room(&row.gate, self.base.occupied(pool), self.now) else {
            return Ok(false);
        };
        if room.starts == 0 || room.probe != row.is_open() || (room.probe && room.starts > 1) {
            return Err(format!(
                "{room:?} after {} failures in a row: {:?}",
                row.streak, row.pool
            ));
        }
        Ok(true)
    }

    /// Who has been due for longest, and whose lock is free.
    fn head(&self, pool: usize) -> Option<usize> {
        let may = |n: &usize| {
            let row = &self.base.rows[*n];
            let free = row
                .lock
                .is_none_or(|lock| self.base.lock_holder(lock).is_none());
            let due = row.run.state.due().is_some_and(|due| due <= self.now);
            row.pool == pool && due && free
        };
        let ready = self.base.active.iter().copied().filter(may);
        ready.min_by_key(|n| (self.base.rows[*n].run.state.due(), *n))
    }

    /// A shim gets its order, late perhaps: one that was called off meanwhile is not carried out.
    fn carry_out_order(&mut self) -> Result<(), Broken> {
        if self.orders.is_empty() {
            return Ok(());
        }
        let key = self.orders.swap_remove(self.rng.usize(..self.orders.len()));
        let (n, attempt) = key;
        if self.base.rows[n].run.state == (State::Running { attempt }) {
            return self.start_command(key);
        }
        self.report(key, None);
        Ok(())
    }

    fn start_command(&mut self, (n, attempt): Key) -> Result<(), Broken> {
        match self.alive.insert(n, Alive { attempt }) {
            Some(other) => Err(format!(
                "run {n}: attempts {} and {attempt} at once",
                other.attempt
            )),
            None => Ok(()),
        }
    }

    /// A command ends, or its shim is killed and nothing is left of it.
    fn end_command(&mut self) {
        let nth = self.rng.usize(..self.alive.len().max(1));
        if let Some(n) = self.alive.keys().nth(nth).copied() {
            self.end_command_of(n);
        }
    }

    fn end_command_of(&mut self, n: usize) {
        let Some(alive) = self.alive.remove(&n) else {
            return;
        };
        let run = &self.base.rows[n].run;
        let canceled = run.state.is_final();
        let past = run.is_past(self.now);
        let (outcome, testimony) = match (self.calm, canceled, past) {
            (_, true, _) if self.calm || self.rng.u8(..4) > 0 => {
                (Outcome::Canceled, Testimony::default())
            }
            (_, _, true) if self.calm || self.rng.u8(..4) > 0 => {
                (Outcome::Deadline, Testimony::default())
            }
            (true, _, _) => (Outcome::Exit { code: 0 }, Testimony::default()),
            (false, _, _) => wishes::end(&mut self.rng, self.now),
        };
        self.report((n, alive.attempt), Some((outcome, testimony)));
    }

    fn report(&mut self, key: Key, end: Option<(Outcome, Testimony)>) {
        let ms = self.rng.u64(..2);
        let at = self.now.plus(Duration::from_millis(ms));
        let report = Report { at, end };
        self.records.insert(key, report.clone());
        self.messages.push((key, report));
    }

    /// A daemon begins: it finds in the records what it was not told.
    fn recover(&mut self) {
        let records = self.records.iter();
        self.messages
            .extend(records.map(|(key, report)| (*key, report.clone())));
        let surplus = self.messages.len().saturating_sub(200);
        self.messages.drain(..surplus);
    }

    /// What was told of an attempt is settled. One that never started gives its number to the next, so the daemon
    /// says of each shim once that it has not started one, in the very transaction that drops what it was told.
    pub(super) fn forget_record(&mut self, key: Key) {
        if self
            .records
            .remove(&key)
            .is_some_and(|report| report.end.is_none())
        {
            self.messages.retain(|(of, _)| *of != key);
        }
    }

    fn disturb_messages(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let nth = self.rng.usize(..self.messages.len());
        if self.rng.bool() {
            self.messages.swap_remove(nth);
        } else {
            let again = self.messages[nth].clone();
            self.messages.push(again);
        }
    }
}
