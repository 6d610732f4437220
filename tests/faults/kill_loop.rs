//! A daemon that is killed again and again, while runs of all kinds are stored, canceled, retried, looked at and
//! forgotten; and beside that, if wanted, everything else that can go wrong.

mod clients;
mod ledger;
mod nemeses;
mod world;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use crate::support::{FakeClock, Home, Journal, Limit, Mark, Need, proof, seeded, skip};

use super::load::{Books, Class, Clients, Op, Written, violations};
use ledger::Ledger;
use nemeses::Nemesis;
use world::World;

const CLIENTS: usize = 8;

/// How many runs a batch has.
const BATCH: usize = 4;

/// What goes wrong, and how much is stored meanwhile.
#[derive(Clone, Copy, Debug)]
struct Scene {
    runs: usize,
    /// A slow machine goes on until so many calls were made.
    calls: usize,
    daemons_die: bool,
    shims_die: bool,
    /// Everything that has ended is forgotten all the time.
    sweeps: bool,
    crowds: bool,
    disk_fills: bool,
    clock_is_set: bool,
}

impl Scene {
    /// Nothing goes wrong.
    const CALM: Scene = Scene {
        runs: 200,
        calls: 300,
        daemons_die: false,
        shims_die: false,
        sweeps: false,
        crowds: false,
        disk_fills: false,
        clock_is_set: false,
    };
    const KILLS: Scene = Scene {
        daemons_die: true,
        shims_die: true,
        ..Scene::CALM
    };
    const SWEPT: Scene = Scene {
        sweeps: true,
        shims_die: false,
        ..Scene::KILLS
    };
    const FULL: Scene = Scene {
        disk_fills: true,
        ..Scene::CALM
    };
    const EVERYTHING: Scene = Scene {
        crowds: true,
        disk_fills: true,
        clock_is_set: true,
        ..Scene::KILLS
    };

    fn has(self, nemesis: Nemesis) -> bool {
        match nemesis {
            Nemesis::Daemons => self.daemons_die,
            Nemesis::Shims => self.shims_die,
            Nemesis::Sweeps => self.sweeps,
            Nemesis::Crowds => self.crowds,
            Nemesis::Disk => self.disk_fills,
            Nemesis::Clock => self.clock_is_set,
        }
    }

    /// With as many runs as fit in this time.
    fn lasting(self, whole: Duration) -> Scene {
        let runs = usize::try_from(whole.as_secs()).expect("a short time") * 4;
        let runs = runs.clamp(CLIENTS, self.runs);
        let calls = (runs * 3 / 2).max(100);
        Scene {
            runs,
            calls,
            ..self
        }
    }
}

/// A name, and the ids that were told.
type Batch = (String, Vec<i64>);

/// One home in which things go wrong.
struct Fray<'h> {
    home: &'h Home,
    scene: Scene,
    clients: Clients<'h>,
    world: World,
    numbers: AtomicU64,
    batches: Mutex<Vec<Batch>>,
    limit: Limit,
    /// When it is over in any case.
    end: Limit,
    stop: &'h (dyn Fn(&Journal) -> bool + Sync),
}

impl Fray<'_> {
    fn is_over(&self) -> bool {
        let is_enough = || self.clients.count() >= self.scene.calls;
        let in_time = || self.limit.left().is_zero() && is_enough();
        in_time() || self.end.left().is_zero() || (self.stop)(&self.world.journal)
    }

    /// Lets all happen; gives how often each nemesis did its work.
    fn rage(
        &self,
        rng: &mut fastrand::Rng,
        whole: Duration,
        clock: Option<&FakeClock>,
    ) -> [usize; 6] {
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let rng = rng.fork();
                scope.spawn(|| self.client(rng, whole));
            }
            let start = |nemesis: Nemesis| {
                let rng = rng.fork();
                let is_wanted = self.scene.has(nemesis);
                is_wanted.then(|| scope.spawn(move || self.carry_out(nemesis, rng, clock)))
            };
            let all = Nemesis::ALL.map(start);
            all.map(|one| one.map_or(0, |one| one.join().expect("it does not panic")))
        })
    }

    /// Whether so much was done that it shows something.
    fn idleness(&self, happened: [usize; 6]) -> Option<String> {
        let calls = self.clients.calls();
        let done = |ops: &[Op]| {
            let done = calls.iter().filter(|call| ops.contains(&call.op));
            done.filter(|call| call.class() == Class::Ok).count()
        };
        let done = [
            done(&[Op::Run, Op::RunWithKey]),
            done(&[Op::Cancel]),
            // On a disk that is full most are refused, in a short time by chance all: it is enough that
            // somebody has tried.
            match self.scene.disk_fills {
                true => calls.iter().filter(|call| call.op == Op::Retry).count(),
                false => done(&[Op::Retry]),
            },
            done(&[Op::Wait, Op::Look]),
        ];
        let scene = self.scene;
        let idle = |(nemesis, times)| scene.has(nemesis) && times == 0;
        let idle = Nemesis::ALL.into_iter().zip(happened).any(idle);
        // What is swept away can hardly be retried.
        let least = [scene.runs / 4, 1, usize::from(!scene.sweeps), 1];
        let lazy = done.iter().zip(least).any(|(done, least)| *done < least);
        (idle || lazy).then(|| format!("too little was done: {happened:?}, {done:?}"))
    }
}

/// What was wrong, and how often what.
struct Came {
    found: Vec<String>,
    happened: [usize; 6],
}

/// Lets a scene go on until its time is over or `stop`.
fn fray(
    scene: Scene,
    rng: &mut fastrand::Rng,
    whole: Duration,
    bug: &str,
    stop: &(dyn Fn(&Journal) -> bool + Sync),
) -> Came {
    let home = if scene.disk_fills {
        Home::at("disk/retrier.db")
    } else {
        Home::new()
    };
    if scene.disk_fills {
        home.mount("disk", 24);
    }
    let clock = scene.clock_is_set.then(|| FakeClock::new(&home));
    let fray = Fray {
        home: &home,
        scene,
        clients: Clients::new(&home, bug),
        world: World::new(&home, rng.i64(0..1000)),
        numbers: AtomicU64::new(0),
        batches: Mutex::default(),
        limit: Limit::after(whole),
        end: Limit::after(whole * 2 + Duration::from_secs(60)),
        stop,
    };
    let happened = fray.rage(rng, whole, clock.as_ref());
    let mut found = Vec::new();
    let stopped = stop(&fray.world.journal);
    if !stopped {
        found.extend(fray.idleness(happened));
        home.retrier(["pool", "resume", "--all"]).output().ok();
        // A clock that was set back has moved deadlines away.
        if let Some(clock) = &clock {
            clock.advance(Duration::from_secs(86_400));
        }
    }
    let healed = (!stopped).then(|| fray.clients.heal());
    let after = healed.and_then(|healed| healed.map_err(|error| found.push(error)).ok());
    let books = Books {
        calls: fray.clients.calls(),
        written: Some(Written::from(&fray.world.journal)),
        codes: None,
        hooks: None,
        after,
    };
    found.extend(violations(&books));
    if let Some(after) = &books.after {
        let ledger = Ledger {
            fray: &fray,
            calls: &books.calls,
            after,
        };
        found.extend(ledger.violations());
    }
    Came { found, happened }
}

/// Whether somebody has tripped over another.
fn has_tripped(journal: &Journal) -> bool {
    !journal.violations().is_empty()
}

/// So many scenes beside each other, each from a seed of its own.
fn beside(name: &str, scenes: usize, scene: Scene, whole: Duration) -> Vec<Came> {
    let mut rng = seeded(name);
    let rngs: Vec<fastrand::Rng> = (0..scenes).map(|_| rng.fork()).collect();
    let scene = scene.lasting(whole);
    thread::scope(|scope| {
        let start = |mut rng| scope.spawn(move || fray(scene, &mut rng, whole, "", &|_| false));
        let all: Vec<_> = rngs.into_iter().map(start).collect();
        let all = all
            .into_iter()
            .map(|one| one.join().expect("it does not panic"));
        all.collect()
    })
}

/// Reports a row whose repetitions are the deeds of this nemesis.
#[track_caller]
fn assert_holds(row: &str, of: Nemesis, all: Vec<Came>) {
    let times = all.iter().map(|came| came.happened[of as usize]).sum();
    let found: Vec<String> = all.into_iter().flat_map(|came| came.found).collect();
    proof::holds(row, times, &found);
}

#[test]
fn a_minute_of_killed_daemons_loses_doubles_and_reopens_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let whole = proof::time(Duration::from_secs(60), Duration::from_secs(180));
    let scenes = proof::repetitions(1, 3);
    assert_holds(
        "T5",
        Nemesis::Daemons,
        beside("killed daemons", scenes, Scene::KILLS, whole),
    );
}

#[test]
fn what_has_ended_can_be_forgotten_all_the_time() {
    if skip(Need::Flock) {
        return;
    }
    let whole = proof::time(Duration::from_secs(10), Duration::from_secs(60));
    assert_holds(
        "T25",
        Nemesis::Sweeps,
        beside("swept", 1, Scene::SWEPT, whole),
    );
}

#[test]
fn a_disk_that_fills_at_any_moment_loses_doubles_and_reopens_nothing() {
    if skip(Need::Flock) || skip(Need::LoopMount) {
        return;
    }
    let whole = proof::time(Duration::from_secs(10), Duration::from_secs(60));
    assert_holds(
        "T13",
        Nemesis::Disk,
        beside("a disk that fills", 1, Scene::FULL, whole),
    );
}

#[test]
fn everything_at_once_loses_doubles_and_reopens_nothing() {
    if skip(Need::Flock) || skip(Need::LoopMount) {
        return;
    }
    let whole = proof::time(Duration::from_secs(10), Duration::from_secs(120));
    assert_holds(
        "T32",
        Nemesis::Daemons,
        beside("everything at once", 1, Scene::EVERYTHING, whole),
    );
}

#[test]
fn a_kill_loop_catches_a_daemon_that_forgets_living_shims() {
    if skip(Need::Flock) {
        return;
    }
    let mut rng = seeded("a kill loop with a bug");
    let bug = "forgets_living_shims";
    let stop = |journal: &Journal| {
        let entries = journal.entries().into_iter();
        let starts = entries.filter(|entry| entry.mark == Mark::Start);
        let mut seen = BTreeSet::new();
        !starts
            .into_iter()
            .all(|start| seen.insert((start.run, start.attempt)))
    };
    let came = fray(Scene::KILLS, &mut rng, Duration::from_secs(30), bug, &stop);
    let twice = |found: &str| found.contains("was started twice");
    proof::catches("T5", bug, &came.found, twice);
}

/// What has the same slot, lock or key, although it may not.
#[test]
fn a_kill_loop_catches_slots_locks_and_keys_that_nobody_heeds() {
    if skip(Need::Flock) {
        return;
    }
    let bugs = [
        ("ignores_slots", "slot"),
        ("forgets_locks", "lock-"),
        ("forgets_keys", "key-"),
    ];
    thread::scope(|scope| {
        for (bug, word) in bugs {
            scope.spawn(move || {
                let mut rng = seeded(bug);
                let whole = Duration::from_secs(60);
                let came = fray(Scene::CALM, &mut rng, whole, bug, &has_tripped);
                let words = format!("two attempts at once: {word}");
                proof::catches("T5", bug, &came.found, |found| found.starts_with(&words));
            });
        }
    });
}

/// What shows only when all is over.
#[test]
fn a_kill_loop_catches_hooks_that_are_doubled_and_unfinished_runs_that_are_forgotten() {
    if skip(Need::Flock) {
        return;
    }
    let bugs = [
        ("T5", "doubles_hooks", "has the hooks [", false),
        ("T25", "forgets_unfinished", "was forgotten before", true),
    ];
    thread::scope(|scope| {
        for (row, bug, words, sweeps) in bugs {
            scope.spawn(move || {
                let whole = Duration::from_secs(10);
                let mut rng = seeded(bug);
                let shows = |found: &str| found.contains(words);
                let mut found = Vec::new();
                // Whether it shows is chance: a machine that is busy with others makes few calls in that time.
                for _ in 0..6 {
                    let scene = Scene {
                        calls: 100,
                        sweeps,
                        ..Scene::CALM.lasting(whole)
                    };
                    found = fray(scene, &mut rng, whole, bug, &|_| false).found;
                    if found.iter().any(|one| shows(one)) {
                        break;
                    }
                }
                proof::catches(row, bug, &found, shows);
            });
        }
    });
}
