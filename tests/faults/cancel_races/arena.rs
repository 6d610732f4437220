//! Where the races are run: runs with a hook, whose commands trip over each other, and cancels from several lanes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::crash::tools::{LONG, outcomes};
use crate::support::{Daemon, Home, holds_within, wait_until};

/// The instant around which runs are canceled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instant {
    Start,
    End,
    Retry,
}

/// What makes the instant wider.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Widened {
    No,
    /// The daemon sleeps now and then between a commit and its effect.
    DaemonSleeps,
    /// So do shims.
    ShimsSleep,
    /// The daemon is stopped and goes on.
    DaemonStops,
    /// There is no daemon at first.
    NoDaemon,
}

pub const ALL: [Widened; 5] = [
    Widened::No,
    Widened::DaemonSleeps,
    Widened::ShimsSleep,
    Widened::DaemonStops,
    Widened::NoDaemon,
];

const DAEMON_POINTS: [&str; 4] = [
    "pass_before_commit",
    "pass_committed",
    "order_sent",
    "report_received",
];

const SHIM_POINTS: [&str; 7] = [
    "shim_before_starting",
    "shim_starting",
    "shim_spawning",
    "shim_spawned",
    "shim_running",
    "shim_ended",
    "shim_reported",
];

/// How many runs are canceled in one home.
pub const RACES: usize = 20;

/// How many of them at once.
const LANES: usize = 5;

/// What a command does first, in the home's folder: it says that it has started, and whether something of the run is
/// alive already. It may be killed on the way, so that `flock` has failed says nothing yet.
const TRIPWIRE: &str = "exec 9>>$RETRIER_RUN_ID.lock
flock -n -E 77 9; [ $? != 77 ] || echo run $RETRIER_RUN_ID >>alive
echo $RETRIER_RUN_ID $RETRIER_ATTEMPT >>starts";

/// A delay that makes the race; nobody relies on its length.
#[expect(
    clippy::disallowed_methods,
    reason = "a random delay is what is wanted here"
)]
fn delay(rng: &mut fastrand::Rng, ms: std::ops::Range<u64>) {
    thread::sleep(Duration::from_micros(
        rng.u64(ms.start * 1000..ms.end * 1000),
    ));
}

/// One run that was canceled, and what its caller was told.
#[derive(Debug)]
pub struct Race {
    pub id: i64,
    /// The exit codes of all cancels.
    pub codes: Vec<i32>,
    /// The first status after them.
    pub first: Value,
}

impl fmt::Display for Race {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, codes, state) = (self.id, &self.codes, &self.first["state"]);
        let attempts = outcomes(&self.first);
        write!(f, "run {id}, cancels {codes:?}, then {state}, {attempts:?}")
    }
}

/// All runs at one moment, by their ids.
pub type Look = BTreeMap<i64, Value>;

pub struct Arena {
    pub home: Home,
    instant: Instant,
    widened: Widened,
}

/// A run that may be canceled now, and for the instant of its end what it waits for.
struct Entrant {
    id: i64,
    gate: Option<File>,
}

impl Arena {
    pub fn new(instant: Instant, widened: Widened) -> Arena {
        let home = Home::new();
        Arena {
            home,
            instant,
            widened,
        }
    }

    fn daemon(&self, rng: &mut fastrand::Rng, bug: &str) -> Daemon {
        let points: &[&str] = match self.widened {
            Widened::DaemonSleeps => &DAEMON_POINTS,
            Widened::ShimsSleep => &SHIM_POINTS,
            Widened::No | Widened::DaemonStops | Widened::NoDaemon => &[],
        };
        let mut plan = Vec::new();
        for point in points {
            let nths = (1..=60).filter(|_| rng.u8(..3) == 0).collect::<Vec<u8>>();
            plan.extend(
                nths.iter()
                    .map(|nth| format!("{point}:{nth}:sleep={}", rng.u8(1..25))),
            );
        }
        let envs = [("RETRIER_CRASH", &plan.join(",")[..]), ("RETRIER_BUG", bug)];
        self.home.slots(30);
        self.home.daemon_with(&[], &envs)
    }

    /// Stores a run, and waits until its instant is near.
    fn enter(&self, rng: &mut fastrand::Rng, number: usize) -> Entrant {
        let hook = format!(
            "cd '{}'; flock -n $RETRIER_PARENT_ID.lock true || echo hook of $RETRIER_PARENT_ID >>alive; \
             echo $RETRIER_PARENT_ID $RETRIER_RESULT >>hooks",
            self.home.path("").display()
        );
        let mut options = vec!["--grace", "100ms", "--jitter", "0", "--on-complete", &hook];
        let start_none = self.widened == Widened::NoDaemon && self.instant == Instant::Start;
        options.extend(start_none.then_some("--no-daemon-start"));
        let rest = match self.widened {
            // So that it is due again after the daemon's end.
            Widened::NoDaemon => "500ms",
            _ => "40ms",
        };
        let (policy, body, gate) = match self.instant {
            Instant::Start => (&["--max-failures", "3"][..], "sleep 0.02".to_owned(), None),
            Instant::Retry => (
                &["--constant", rest, "--forever"][..],
                "[ $RETRIER_ATTEMPT = 2 ]".to_owned(),
                None,
            ),
            Instant::End => {
                let path = self.home.path(format!("gate.{number}"));
                mkfifo(&path, Mode::S_IRWXU).expect("the temp folder can be written");
                let gate = File::options().read(true).write(true).open(&path);
                let code = rng.u8(..2);
                let body = format!("read _ <gate.{number}; exit {code}");
                let gate = gate.expect("a fifo of ours");
                (&["--max-failures", "0"][..], body, Some(gate))
            }
        };
        let trap = ["", "trap 'exit 0' TERM\n", "trap '' TERM\n"][rng.usize(..3)];
        let line = format!(
            "cd '{}'\n{trap}{TRIPWIRE}\n{body}",
            self.home.path("").display()
        );
        let last = ["--shell", &line[..]];
        let id = self.home.run(
            options
                .into_iter()
                .chain(policy.iter().copied())
                .chain(last),
        );
        if self.instant != Instant::Start {
            wait_until("it has started", LONG, || !self.started(id).is_empty());
        }
        Entrant { id, gate }
    }

    /// Cancels the run in its instant, once or twice at once, and looks.
    fn strike(&self, rng: &mut fastrand::Rng, mut entrant: Entrant) -> Race {
        let id = entrant.id.to_string();
        let mut open = || {
            if let Some(gate) = &mut entrant.gate {
                gate.write_all(b"\n").expect("a fifo of ours");
            }
        };
        let cancel_first = rng.bool();
        if !cancel_first {
            open();
        }
        match self.instant {
            Instant::Start | Instant::End => delay(rng, 0..20),
            Instant::Retry => delay(rng, 30..50),
        }
        let calls = if rng.u8(..3) == 0 { 2 } else { 1 };
        let calls: Vec<_> = (0..calls)
            .map(|_| self.home.retrier(["cancel", &id]).spawn())
            .collect();
        if cancel_first {
            delay(rng, 0..20);
            open();
        }
        let codes = calls.into_iter().map(|call| call.wait().code).collect();
        let first = self.home.status(entrant.id);
        Race {
            id: entrant.id,
            codes,
            first,
        }
    }

    /// Enters runs and cancels each, several at once, while there is a daemon.
    pub fn race(&self, rng: &mut fastrand::Rng, bug: &str) -> (Vec<Race>, Option<Daemon>) {
        let daemon = self.daemon(rng, bug);
        let over = AtomicBool::new(false);
        let races = thread::scope(|scope| {
            if self.widened == Widened::DaemonStops {
                let (mut rng, daemon, over) = (rng.fork(), &daemon, &over);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        delay(&mut rng, 0..40);
                        daemon.pause();
                        delay(&mut rng, 0..20);
                        daemon.resume();
                    }
                });
            }
            let lanes = (0..LANES)
                .map(|lane| (lane, rng.fork()))
                .collect::<Vec<_>>();
            let lanes = lanes.into_iter().map(|(lane, mut rng)| {
                scope.spawn(move || {
                    let mine = (lane..RACES).step_by(LANES);
                    mine.map(|number| {
                        let entrant = self.enter(&mut rng, number);
                        self.strike(&mut rng, entrant)
                    })
                    .collect::<Vec<_>>()
                })
            });
            let lanes = lanes.collect::<Vec<_>>();
            let races: Vec<_> = lanes.into_iter().map(|lane| lane.join()).collect();
            over.store(true, Ordering::Relaxed);
            races
        });
        let races = races
            .into_iter()
            .flat_map(|lane| lane.expect("no lane fails"));
        (races.collect(), Some(daemon))
    }

    /// The same without a daemon: clients start one meanwhile.
    pub fn race_alone(&self, rng: &mut fastrand::Rng) -> (Vec<Race>, Option<Daemon>) {
        let mut daemon = (self.instant != Instant::Start).then(|| self.daemon(rng, ""));
        let entrants: Vec<_> = (0..RACES).map(|number| self.enter(rng, number)).collect();
        if let Some(daemon) = &mut daemon {
            daemon.kill9();
        }
        let races = thread::scope(|scope| {
            let mut lanes: [Vec<Entrant>; LANES] = Default::default();
            for (number, entrant) in entrants.into_iter().enumerate() {
                lanes[number % LANES].push(entrant);
            }
            let lanes = lanes.into_iter().map(|entrants| {
                let mut rng = rng.fork();
                let strike = move |entrant| self.strike(&mut rng, entrant);
                scope.spawn(|| entrants.into_iter().map(strike).collect::<Vec<_>>())
            });
            let lanes = lanes.collect::<Vec<_>>();
            self.home.run(["--", "true"]);
            let races = lanes
                .into_iter()
                .flat_map(|lane| lane.join().expect("no lane fails"));
            races.collect()
        });
        (races, None)
    }

    /// The lines of a file that commands and hooks have written.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.home.path(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The attempts of a run that have started, by their own word.
    pub fn started(&self, run: i64) -> BTreeSet<i64> {
        let starts = self.lines("starts");
        let mine = starts
            .iter()
            .filter_map(|line| line.strip_prefix(&format!("{run} ")));
        mine.map(|number| number.parse().expect("a number"))
            .collect()
    }

    fn look(&self) -> Look {
        let list = self
            .home
            .retrier(["list", "--json", "--limit", "0"])
            .output()
            .ok();
        let runs = list.text();
        let runs = runs
            .lines()
            .map(|line| serde_json::from_str(line).expect("a run"));
        runs.map(|run: Value| (run["id"].as_i64().expect("an id"), run))
            .collect()
    }

    /// Looks again and again until everything is quiet, and once more after another daemon.
    pub fn looks(&self, daemon: Option<Daemon>, limit: Duration) -> Vec<Look> {
        let mut looks = Vec::new();
        let quiet = holds_within(limit, || {
            let look = self.look();
            let quiet = look.values().all(is_quiet);
            looks.push(look);
            quiet
        });
        if !quiet {
            // Which is a violation, and no daemon would leave.
            return looks;
        }
        match daemon {
            Some(mut daemon) => daemon.kill9(),
            None => drop(self.home.retrier(["daemon", "stop"]).output().ok()),
        }
        self.home.retrier(["daemon", "--until-idle"]).output().ok();
        looks.push(self.look());
        looks
    }
}

/// Whether nothing more will happen to the run.
pub fn is_quiet(run: &Value) -> bool {
    let attempts = run["attempts"].as_array().expect("a list");
    !run["result"].is_null()
        && attempts
            .iter()
            .all(|attempt| !attempt["ended_at"].is_null())
}
