//! What retrier is to do, told a second time: in few words, without a clock, a process or a database, and without the
//! program's own state machine.
//!
//! Time comes in units, which are so long that what a test takes is nothing beside them. What follows an act by itself
//! is in `rest`.

/// How many minutes are a unit: longer than a test, shorter than the longest wait that runs have by default.
pub const UNIT_MINUTES: i64 = 600;

/// What an attempt does, as a file says when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Succeed,
    Fail,
    /// It waits until it is told how to end.
    Hang,
}

/// What is asked for with `retrier run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub fate: Fate,
    /// `--delay` and `--constant`, in units.
    pub delay: i64,
    pub backoff: i64,
    pub max_failures: usize,
    pub hook: bool,
    pub key: Option<Key>,
    pub lock: Option<u8>,
    pub pool: usize,
    /// What its priority is worth, in units.
    pub worth: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: u8,
    pub once: bool,
    /// `--if-exists fail`.
    pub strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    Running,
    Succeeded,
    Failed,
    Canceled,
}

impl State {
    pub fn is_final(self) -> bool {
        !matches!(self, State::Waiting | State::Running)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Exit(u8),
    Canceled,
    Lost,
    Interrupted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub wish: Wish,
    pub state: State,
    pub due: i64,
    /// It is due in a moment, and not yet.
    pub(super) soon: bool,
    /// It is the next for its lock.
    pub(super) turn: bool,
    pub failures: usize,
    /// How its attempts ended; one that runs is not among them.
    pub outcomes: Vec<Outcome>,
    /// How it ended, each time.
    pub endings: Vec<State>,
    pub forgotten: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    pub parallel: usize,
    pub paused: bool,
}

impl Pool {
    pub(super) fn is_shut(self) -> bool {
        self.paused || self.parallel == 0
    }
}

/// Everything there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    pub now: i64,
    /// In the order in which they were stored.
    pub runs: Vec<Run>,
    /// `default`, and another one that may not be there.
    pub pools: [Option<Pool>; 2],
    /// The exit code of the last call, and of `run` the run whose id it printed.
    pub said: Option<(i32, Option<usize>)>,
}

impl World {
    pub fn new(parallel: usize) -> World {
        let pool = Pool {
            parallel,
            paused: false,
        };
        World {
            now: 0,
            runs: Vec::new(),
            pools: [Some(pool), None],
            said: None,
        }
    }

    /// The run, if it is stored.
    pub fn run(&self, n: usize) -> Option<&Run> {
        self.runs.get(n).filter(|run| !run.forgotten)
    }

    /// Is it in an attempt that ends when it is told to?
    pub fn hangs(&self, n: usize) -> bool {
        self.run(n)
            .is_some_and(|run| run.state == State::Running && run.wish.fate == Fate::Hang)
    }

    /// The priority of a run: no two come to the same rank, whatever they are due at.
    pub fn priority(&self, n: usize) -> i64 {
        let worth = self.runs.get(n).map_or(0, |run| run.wish.worth);
        worth * UNIT_MINUTES + (n as i64 * 7 % 60) * 10
    }

    pub(super) fn rank(&self, n: usize) -> i64 {
        self.runs[n].due * UNIT_MINUTES - self.priority(n)
    }

    /// Who has the key of `wish`: a run that has not ended, or for `--once` the newest that is stored.
    fn key_holder(&self, key: Key) -> Option<usize> {
        let has = |run: &Run| run.wish.key.is_some_and(|its| its.name == key.name);
        let stored = (0..self.runs.len()).filter(|n| self.run(*n).is_some_and(has));
        let all: Vec<usize> = stored.collect();
        let open = all.iter().find(|n| !self.runs[**n].state.is_final());
        open.or(all.last().filter(|_| key.once)).copied()
    }

    pub fn submit(&mut self, wish: &Wish) {
        let holder = wish.key.and_then(|key| self.key_holder(key));
        self.said = Some(match (self.pools[wish.pool], wish.key, holder) {
            (None, _, _) => (2, None),
            (Some(_), Some(key), Some(_)) if key.strict => (4, None),
            (Some(_), _, Some(holder)) => (0, Some(holder)),
            (Some(_), _, None) => (0, Some(self.runs.len())),
        });
        if self.said == Some((0, Some(self.runs.len()))) {
            self.runs.push(Run {
                wish: wish.clone(),
                state: State::Waiting,
                due: self.now + wish.delay,
                soon: false,
                turn: false,
                failures: 0,
                outcomes: Vec::new(),
                endings: Vec::new(),
                forgotten: false,
            });
        }
    }

    fn finish(&mut self, n: usize, state: State) {
        let run = &mut self.runs[n];
        run.state = state;
        run.turn = false;
        run.endings.push(state);
    }

    /// The attempt of a run that is running ends.
    pub fn end(&mut self, n: usize, outcome: Outcome) {
        let now = self.now;
        let run = &mut self.runs[n];
        run.outcomes.push(outcome);
        run.failures += usize::from(matches!(outcome, Outcome::Exit(1..) | Outcome::Lost));
        match outcome {
            Outcome::Exit(0) => self.finish(n, State::Succeeded),
            Outcome::Canceled => self.finish(n, State::Canceled),
            Outcome::Exit(_) | Outcome::Lost if run.failures > run.wish.max_failures => {
                self.finish(n, State::Failed);
            }
            Outcome::Exit(_) | Outcome::Lost | Outcome::Interrupted => {
                let charged = outcome != Outcome::Interrupted;
                let wait = if charged { run.wish.backoff } else { 0 };
                run.state = State::Waiting;
                run.due = now + wait;
                run.soon = wait == 0;
            }
        }
    }

    pub fn cancel(&mut self, n: usize) {
        let code = match self.run(n).map(|run| run.state) {
            None => 3,
            Some(State::Waiting) => {
                self.finish(n, State::Canceled);
                0
            }
            Some(State::Running) => {
                self.end(n, Outcome::Canceled);
                0
            }
            Some(State::Canceled) => 0,
            Some(State::Succeeded | State::Failed) => 4,
        };
        self.said = Some((code, None));
    }

    pub fn retry(&mut self, n: usize, delay: i64) {
        let now = self.now;
        let Some(run) = self.run(n) else {
            self.said = Some((3, None));
            return;
        };
        let rival = run.wish.key.and_then(|key| {
            let held = Key { once: false, ..key };
            self.key_holder(held)
        });
        let may = match run.state {
            State::Failed | State::Canceled => {
                rival.is_none() && self.pools[run.wish.pool].is_some()
            }
            State::Waiting => run.due > now,
            State::Running | State::Succeeded => false,
        };
        self.said = Some((if may { 0 } else { 4 }, None));
        if may {
            let run = &mut self.runs[n];
            if run.state.is_final() {
                run.failures = 0;
            }
            run.state = State::Waiting;
            run.due = now + delay;
        }
    }

    pub fn forget(&mut self, n: usize) {
        let code = match self.run(n).map(|run| run.state.is_final()) {
            None => 3,
            Some(false) => 4,
            Some(true) => 0,
        };
        if code == 0 {
            self.runs[n].forgotten = true;
        }
        self.said = Some((code, None));
    }

    pub fn set_pool(&mut self, n: usize, parallel: usize) {
        let paused = self.pools[n].is_some_and(|pool| pool.paused);
        self.pools[n] = Some(Pool { parallel, paused });
        self.said = Some((0, None));
    }

    pub fn pause(&mut self, n: usize, paused: bool) {
        let code = match &mut self.pools[n] {
            Some(pool) => {
                pool.paused = paused;
                0
            }
            None => 2,
        };
        self.said = Some((code, None));
    }

    pub fn delete(&mut self, n: usize) {
        let busy = |run: &Run| run.wish.pool == n && !run.state.is_final();
        let code = match self.pools[n] {
            _ if n == 0 => 4,
            None => 2,
            Some(_) if self.runs.iter().any(busy) => 4,
            Some(_) => 0,
        };
        if code == 0 {
            self.pools[n] = None;
        }
        self.said = Some((code, None));
    }

    pub fn interrupt_all(&mut self) {
        for n in 0..self.runs.len() {
            if self.runs[n].state == State::Running {
                self.end(n, Outcome::Interrupted);
            }
        }
    }
}
