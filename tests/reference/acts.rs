//! What can be done to retrier and around it, and how sequences of it are made and made shorter.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use proptest_state_machine::ReferenceStateMachine;

use super::model::{Fate, Key, Outcome, State, Wish, World};
use super::rest::orders;

/// One of them. Runs are meant by their place among all that were stored; there may be none at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// `retrier run`.
    Submit(Wish),
    /// `retrier cancel`.
    Cancel(usize),
    /// `retrier retry --delay`, in units.
    Retry(usize, i64),
    /// `retrier cleanup`.
    Cleanup(usize),
    /// `retrier pool set --parallel`.
    SetPool(usize, usize),
    /// `retrier pool pause`, or `resume`.
    Pause(usize, bool),
    /// `retrier pool delete`.
    Delete(usize),
    /// Its next attempt does something else than its last.
    Change(usize, Fate),
    /// Its attempt is told to exit with this.
    Tell(usize, u8),
    /// So many units pass.
    Advance(i64),
    /// Its shim is killed.
    LoseShim(usize),
    /// The daemon leaves, something happens without it, and another one comes.
    Outage(Leave, Option<Box<Act>>),
}

/// How a daemon leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// By SIGKILL.
    Killed,
    /// By SIGTERM; what runs goes on.
    Stopped,
    /// By `retrier daemon stop --kill`; what runs is cut short.
    StoppedAll,
}

impl World {
    /// What `act` does by itself.
    fn act(&mut self, act: &Act) {
        self.said = None;
        match act {
            Act::Submit(wish) => self.submit(wish),
            Act::Cancel(n) => self.cancel(*n),
            Act::Retry(n, delay) => self.retry(*n, *delay),
            Act::Cleanup(n) => self.forget(*n),
            Act::SetPool(n, parallel) => self.set_pool(*n, *parallel),
            Act::Pause(n, paused) => self.pause(*n, *paused),
            Act::Delete(n) => self.delete(*n),
            Act::Change(n, fate) => self.runs[*n].wish.fate = *fate,
            Act::Tell(n, code) => self.end(*n, Outcome::Exit(*code)),
            Act::Advance(units) => self.now += units,
            Act::LoseShim(n) => self.end(*n, Outcome::Lost),
            Act::Outage(leave, meanwhile) => {
                if *leave == Leave::StoppedAll {
                    self.interrupt_all();
                }
                if let Some(act) = meanwhile {
                    self.act(act);
                }
            }
        }
    }

    /// How everything is once it has come to rest after `act`; `None` when that depends on what happens first.
    pub fn after(&self, act: &Act) -> Option<World> {
        let mut acted = self.clone();
        acted.act(act);
        let mut rests = orders().map(|order| acted.clone().settled(order));
        let rest = rests.next().expect("there are orders");
        rests.all(|other| other == rest).then_some(rest)
    }

    /// Can it be done at all?
    fn allows(&self, act: &Act) -> bool {
        match act {
            Act::Tell(n, _) | Act::LoseShim(n) => self.hangs(*n),
            Act::Change(n, _) => {
                let run = self.run(*n);
                run.is_some_and(|run| !matches!(run.state, State::Running | State::Succeeded))
            }
            Act::Outage(Leave::StoppedAll, Some(act)) if matches!(**act, Act::Tell(..)) => false,
            Act::Outage(_, Some(act)) => self.allows(act),
            Act::Submit(_)
            | Act::Cancel(_)
            | Act::Retry(..)
            | Act::Cleanup(_)
            | Act::SetPool(..)
            | Act::Pause(..)
            | Act::Delete(_)
            | Act::Advance(_)
            | Act::Outage(_, None) => true,
        }
    }
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Succeed),
        3 => Just(Fate::Fail),
        4 => Just(Fate::Hang),
    ]
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let key = (0u8..2, any::<bool>(), any::<bool>());
    let key = key.prop_map(|(name, once, strict)| Key { name, once, strict });
    let times = (
        prop_oneof![3 => Just(0i64), 1 => 1i64..3],
        0i64..3,
        0usize..3,
    );
    let place = (
        prop::option::weighted(0.5, prop_oneof![3 => Just(0u8), 1 => Just(1)]),
        0usize..2,
        prop_oneof![3 => Just(0i64), 1 => -2i64..3],
    );
    let names = (any::<bool>(), prop::option::weighted(0.4, key));
    (any_fate(), times, place, names).prop_map(
        |(fate, (delay, backoff, max_failures), (lock, pool, worth), (hook, key))| Wish {
            fate,
            delay,
            backoff,
            max_failures,
            hook,
            key,
            lock,
            pool,
            worth,
        },
    )
}

/// The model as the crate wants it: what can follow, and what comes of it.
#[derive(Debug)]
pub struct Reference;

impl ReferenceStateMachine for Reference {
    type State = World;
    type Transition = Act;

    fn init_state() -> BoxedStrategy<World> {
        // The other pool is there at first, or the first runs for it would all be refused.
        let mut world = World::new(2);
        world.set_pool(1, 1);
        Just(world).boxed()
    }

    fn transitions(world: &World) -> BoxedStrategy<Act> {
        let any_run = || 0..world.runs.len() + 1;
        let any_pool = || 0usize..2;
        let mut acts = vec![
            (12, any_wish().prop_map(Act::Submit).boxed()),
            (4, any_run().prop_map(Act::Cancel).boxed()),
            (
                5,
                (any_run(), 0i64..2)
                    .prop_map(|(n, delay)| Act::Retry(n, delay))
                    .boxed(),
            ),
            (2, any_run().prop_map(Act::Cleanup).boxed()),
            (
                3,
                (any_pool(), 0usize..4)
                    .prop_map(|(n, slots)| Act::SetPool(n, slots))
                    .boxed(),
            ),
            (
                4,
                (any_pool(), any::<bool>())
                    .prop_map(|(n, paused)| Act::Pause(n, paused))
                    .boxed(),
            ),
            (1, any_pool().prop_map(Act::Delete).boxed()),
            (6, (1i64..3).prop_map(Act::Advance).boxed()),
        ];
        let mut meanwhile = vec![
            (2, Just(None).boxed()),
            (
                1,
                any_wish().prop_map(|wish| Some(Act::Submit(wish))).boxed(),
            ),
            (
                1,
                (1i64..3)
                    .prop_map(|units| Some(Act::Advance(units)))
                    .boxed(),
            ),
        ];
        let open: Vec<usize> = (0..world.runs.len())
            .filter(|n| world.allows(&Act::Change(*n, Fate::Hang)))
            .collect();
        if !open.is_empty() {
            let change = (select(open), any_fate()).prop_map(|(n, fate)| Act::Change(n, fate));
            acts.push((2, change.boxed()));
        }
        let hanging: Vec<usize> = (0..world.runs.len()).filter(|n| world.hangs(*n)).collect();
        if !hanging.is_empty() {
            let tell =
                || (select(hanging.clone()), 0u8..2).prop_map(|(n, code)| Act::Tell(n, code));
            acts.push((8, tell().boxed()));
            acts.push((2, select(hanging.clone()).prop_map(Act::LoseShim).boxed()));
            meanwhile.push((3, tell().prop_map(Some).boxed()));
        }
        let leave = select(vec![Leave::Killed, Leave::Stopped, Leave::StoppedAll]);
        let outage = (leave, Union::new_weighted(meanwhile));
        let outage = outage.prop_map(|(leave, act)| Act::Outage(leave, act.map(Box::new)));
        acts.push((4, outage.boxed()));
        Union::new_weighted(acts).boxed()
    }

    fn apply(world: World, act: &Act) -> World {
        world.after(act).expect("preconditions have been looked at")
    }

    fn preconditions(world: &World, act: &Act) -> bool {
        world.allows(act) && world.after(act).is_some()
    }
}
