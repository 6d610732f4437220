//! A database of a few lines: rows, transactions that can be lost, and the guarded write of a transition.

use std::collections::VecDeque;

use retrier::model::{
    AttemptChange, AttemptNumber, Event, Gate, HookChange, Policy, Pool, Run, RunId, State,
    Timestamp, Transition, next,
};

use super::rules::{self, Broken};

/// The pool of all hooks.
pub const HOOKS: usize = 0;

/// A run, with what is remembered of it for the rules alone.
#[derive(Clone, Debug)]
pub struct Row {
    pub run: Run,
    pub pool: usize,
    pub lock: Option<u8>,
    /// The pool in which its open attempt was started.
    pub open_in: Option<usize>,
    pub parent: Option<usize>,
    /// Its last hook.
    pub hook: Option<usize>,
    /// How often it has ended, and how many hooks were stored for that.
    pub endings: u32,
    pub hooks: u32,
    /// A decision has carried it beyond its budget.
    pub exceeded: bool,
}

impl Row {
    pub fn new(run: Run, pool: usize) -> Row {
        Row {
            run,
            pool,
            lock: None,
            open_in: None,
            parent: None,
            hook: None,
            endings: 0,
            hooks: 0,
            exceeded: false,
        }
    }

    fn is_active(&self) -> bool {
        !self.run.state.is_final() || self.run.state.open_attempt().is_some()
    }
}

/// A pool, and what the rules count of it by themselves.
#[derive(Clone, Debug)]
pub struct PoolRow {
    pub pool: Pool,
    pub gate: Gate,
    /// Attempts that have failed since the last success.
    pub streak: u32,
    /// The run whose attempt was started while the pool was open, and is.
    pub probe: Option<usize>,
    /// When attempts started, since the clock went back or the settings were changed.
    pub starts: VecDeque<Timestamp>,
}

impl PoolRow {
    pub fn is_open(&self) -> bool {
        self.pool.breaker.is_some_and(|max| self.streak >= max)
    }
}

/// Deliberate bugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A transition is written whatever its run has become since it was read.
    Unguarded,
    /// A command is started before the claim of its attempt is committed.
    EffectFirst,
}

/// All that is stored.
#[derive(Debug)]
pub struct Base {
    pub rows: Vec<Row>,
    pub pools: Vec<PoolRow>,
    /// The runs that have not ended, or of which an attempt is open, in order. All steps go through them.
    pub active: Vec<usize>,
    pub bug: Option<Bug>,
    /// What was there when the transaction began.
    undo: Vec<(usize, Row)>,
    rows_before: usize,
    pools_before: Vec<PoolRow>,
}

impl Base {
    pub fn new(pools: Vec<Pool>, bug: Option<Bug>) -> Base {
        let pools = pools.into_iter().map(|pool| PoolRow {
            pool,
            gate: Gate::default(),
            streak: 0,
            probe: None,
            starts: VecDeque::new(),
        });
        Base {
            rows: Vec::new(),
            pools: pools.collect(),
            active: Vec::new(),
            bug,
            undo: Vec::new(),
            rows_before: 0,
            pools_before: Vec::new(),
        }
    }

    pub fn begin(&mut self) {
        self.undo.clear();
        self.rows_before = self.rows.len();
        self.pools_before.clone_from(&self.pools);
    }

    /// All that was written since the beginning is lost.
    pub fn roll_back(&mut self) {
        while let Some((n, row)) = self.undo.pop() {
            self.rows[n] = row;
            self.look_at(n);
        }
        self.rows.truncate(self.rows_before);
        let rows = self.rows_before;
        self.active.retain(|n| *n < rows);
        self.pools.clone_from(&self.pools_before);
    }

    pub fn insert(&mut self, row: Row) -> usize {
        self.rows.push(row);
        let n = self.rows.len() - 1;
        self.look_at(n);
        n
    }

    fn look_at(&mut self, n: usize) {
        match (self.active.binary_search(&n), self.rows[n].is_active()) {
            (Err(place), true) => self.active.insert(place, n),
            (Ok(place), false) => drop(self.active.remove(place)),
            (Ok(_), true) | (Err(_), false) => {}
        }
    }

    /// Who has an attempt open with this lock?
    pub fn lock_holder(&self, lock: u8) -> Option<usize> {
        let holds = |n: &&usize| {
            let row = &self.rows[**n];
            row.lock == Some(lock) && row.run.state.open_attempt().is_some()
        };
        self.active.iter().find(holds).copied()
    }

    /// How many slots of a pool are taken.
    pub fn occupied(&self, pool: usize) -> u32 {
        let taken = |n: &&usize| self.rows[**n].open_in == Some(pool);
        u32::try_from(self.active.iter().filter(taken).count()).expect("a few")
    }

    /// Writes what `event` makes of run `n`, if the run is still what it was when it was read. Whether it was written.
    pub fn apply(
        &mut self,
        (n, before): (usize, &Run),
        event: &Event,
        at: Timestamp,
    ) -> Result<bool, Broken> {
        let Ok(transition) = next(before, event) else {
            return Ok(false);
        };
        let now_there = &self.rows[n].run;
        let is_same = now_there.state == before.state
            && (now_there.attempts, now_there.failures, now_there.snoozes)
                == (before.attempts, before.failures, before.snoozes);
        if !is_same && self.bug != Some(Bug::Unguarded) {
            return Ok(false);
        }
        self.undo.push((n, self.rows[n].clone()));
        rules::transition(self, n, event, (&transition, at))?;
        self.write(n, &transition, at);
        self.write_hook(n, transition.hook, at)?;
        rules::row(self, n)?;
        Ok(true)
    }

    fn write(&mut self, n: usize, transition: &Transition, at: Timestamp) {
        let row = &mut self.rows[n];
        row.endings += u32::from(!row.run.state.is_final() && transition.state.is_final());
        row.run.state = transition.state.clone();
        row.run.failures = transition.failures;
        row.run.snoozes = transition.snoozes;
        row.run.deadline_at = transition.deadline_at;
        match &transition.attempt {
            AttemptChange::None => {}
            AttemptChange::Open(AttemptNumber(number)) => {
                row.run.attempts = *number;
                row.open_in = Some(row.pool);
                self.note_start(n, at);
            }
            AttemptChange::Close { .. } => self.note_end(n, transition.success(), at),
            AttemptChange::Forget(AttemptNumber(number)) => {
                row.run.attempts = number - 1;
                self.note_end(n, None, at);
            }
        }
        self.look_at(n);
    }

    fn note_start(&mut self, n: usize, at: Timestamp) {
        let row = &mut self.pools[self.rows[n].pool];
        if row.is_open() {
            row.probe = Some(n);
        }
        row.starts.push_back(at);
        if row.starts.len() > 64 {
            row.starts.pop_front();
        }
        row.gate = row.pool.after_start(&row.gate, id(n), at);
    }

    fn note_end(&mut self, n: usize, success: Option<bool>, at: Timestamp) {
        let Some(pool) = self.rows[n].open_in.take() else {
            return;
        };
        let row = &mut self.pools[pool];
        row.probe = row.probe.filter(|probe| *probe != n);
        match success {
            Some(true) => row.streak = 0,
            Some(false) => row.streak += 1,
            None => {}
        }
        row.gate = row.pool.after_end(&row.gate, id(n), success, at);
    }

    fn write_hook(&mut self, n: usize, change: HookChange, at: Timestamp) -> Result<(), Broken> {
        let state = match change {
            HookChange::None => return Ok(()),
            HookChange::Enqueue => State::Waiting {
                due: at,
                delay_ms: Some(0),
            },
            HookChange::EnqueueHeld => State::Held,
            HookChange::Release => {
                let Some(hook) = self.rows[n].hook else {
                    return Err(format!("run {n} has no hook to release"));
                };
                let run = self.rows[hook].run.clone();
                return self
                    .apply((hook, &run), &Event::Release { at }, at)
                    .map(drop);
            }
        };
        let mut hook = Row::new(stored(state, Policy::default(), n as u64), HOOKS);
        hook.parent = Some(n);
        let hook = self.insert(hook);
        self.rows[n].hook = Some(hook);
        self.rows[n].hooks += 1;
        Ok(())
    }
}

/// A run as it is stored.
pub fn stored(state: State, policy: Policy, seed: u64) -> Run {
    Run {
        state,
        attempts: 0,
        failures: 0,
        snoozes: 0,
        deadline_at: None,
        policy,
        seed,
        has_hook: false,
    }
}

fn id(n: usize) -> RunId {
    RunId(i64::try_from(n).expect("a few") + 1)
}
