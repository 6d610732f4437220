//! How everything comes to rest after an act: what can start has started, what can end by itself has ended.

use super::model::{Fate, Outcome, Pool, Run, State, World};

/// All orders that are looked at. Where they do not come to the same, nobody can say what comes of an act.
pub fn orders() -> impl Iterator<Item = Order> {
    let ends = [Ends::First, Ends::Last, Ends::All];
    ends.into_iter().flat_map(|ends| {
        let flags = [(false, false), (false, true), (true, false), (true, true)];
        flags.map(|(late, slow)| Order { ends, late, slow })
    })
}

/// In which order what can happen at once happens.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub ends: Ends,
    /// What is due in a moment is so only after all else.
    pub late: bool,
    /// Attempts start one by one, and others may end in between.
    pub slow: bool,
}

/// Which attempts end first.
#[derive(Clone, Copy, Debug)]
pub enum Ends {
    First,
    Last,
    All,
}

impl World {
    /// Everything starts and ends that can, in this order.
    #[must_use]
    pub fn settled(mut self, order: Order) -> World {
        loop {
            if !order.late {
                self.runs.iter_mut().for_each(|run| run.soon = false);
            }
            self.give_locks();
            if self.start(order.slow) && !order.slow {
                continue;
            }
            let transient = |run: &Run| run.state == State::Running && run.wish.fate != Fate::Hang;
            let ending = (0..self.runs.len()).filter(|n| transient(&self.runs[*n]));
            let ending: Vec<usize> = ending.collect();
            let chosen = match order.ends {
                Ends::First => &ending[..ending.len().min(1)],
                Ends::Last => &ending[ending.len().saturating_sub(1)..],
                Ends::All => &ending[..],
            };
            for n in chosen {
                let succeeds = self.runs[*n].wish.fate == Fate::Succeed;
                self.end(*n, Outcome::Exit(u8::from(!succeeds)));
            }
            if ending.is_empty() {
                let soon = self.runs.iter().any(|run| run.soon);
                let before = self.clone();
                self.runs.iter_mut().for_each(|run| run.soon = false);
                self.give_locks();
                if !soon && self == before && !self.clone().start(true) {
                    return self;
                }
            }
        }
    }

    /// Each lock goes to the first stored of those that are due in a pool that is not shut.
    fn give_locks(&mut self) {
        for lock in 0..2 {
            let shut = |run: &Run| self.pools[run.wish.pool].is_none_or(Pool::is_shut);
            let wants = |run: &Run| run.wish.lock == Some(lock) && run.state == State::Waiting;
            let has = |run: &Run| {
                let runs = run.wish.lock == Some(lock) && run.state == State::Running;
                runs || (wants(run) && run.turn && !shut(run))
            };
            if self.runs.iter().any(has) {
                continue;
            }
            let due = |run: &Run| wants(run) && !run.soon && run.due <= self.now && !shut(run);
            let heir = self.runs.iter().position(due);
            for (n, run) in self.runs.iter_mut().enumerate() {
                if run.wish.lock == Some(lock) {
                    run.turn = heir == Some(n);
                }
            }
        }
    }

    /// Starts what has a slot and its lock, or the first of them. Says whether there was one.
    fn start(&mut self, one: bool) -> bool {
        let mut any = false;
        for pool in 0..self.pools.len() {
            let Some(settings) = self.pools[pool].filter(|pool| !pool.is_shut()) else {
                continue;
            };
            while !(one && any) {
                let inside = |n: &usize| self.runs[*n].wish.pool == pool;
                let running = |n: &usize| self.runs[*n].state == State::Running;
                let ready = |n: &usize| {
                    let run = &self.runs[*n];
                    let due = run.state == State::Waiting && run.due <= self.now && !run.soon;
                    due && (run.wish.lock.is_none() || run.turn)
                };
                let all = || (0..self.runs.len()).filter(inside);
                if all().filter(running).count() >= settings.parallel {
                    break;
                }
                let Some(next) = all().filter(ready).min_by_key(|n| self.rank(*n)) else {
                    break;
                };
                self.runs[next].state = State::Running;
                self.runs[next].turn = false;
                any = true;
            }
        }
        any
    }
}
