//! The program itself: acts are calls of it and what befalls its processes, and what it shows is compared with the
//! model.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value;

use crate::support::{Daemon, FakeClock, Home, gauge_faults, holds_within, wait_until};

use super::acts::{Act, Leave};
use super::model::{Fate, Outcome, Run, State, UNIT_MINUTES, Wish, World};

/// How long anything may take that is bound to happen.
const LONG: Duration = Duration::from_secs(20);

/// How long what a deliberate bug prevents is waited for: who is too impatient here finds out when it is tried without.
const SHORT: Duration = Duration::from_secs(2);

const MINUTE: u64 = 60;

/// What is looked at of one run.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    state: String,
    reason: Option<String>,
    failures: u64,
    /// Of one that is open it is nothing.
    outcomes: Vec<Option<String>>,
    /// Of those that have a hook: how they ended, as each hook was told.
    told: Vec<String>,
}

/// A database with its daemon.
pub struct System {
    daemon: Daemon,
    clock: FakeClock,
    home: Home,
    bug: Option<&'static str>,
    /// The ids of the runs, in the order in which they were stored.
    ids: Vec<i64>,
    pool_was_deleted: bool,
}

impl System {
    /// One like `world`, in which nothing was stored yet; with a deliberate bug.
    pub fn new(world: &World, bug: Option<&'static str>) -> System {
        let home = Home::new();
        let clock = FakeClock::new(&home);
        for (name, pool) in ["default", "other"].iter().zip(world.pools) {
            let slots = pool.map(|pool| pool.parallel.to_string());
            let slots = slots.expect("both are there at first");
            home.retrier(["pool", "set", name, "--parallel", &slots])
                .output()
                .ok();
        }
        System {
            daemon: start_daemon(&home, bug),
            clock,
            home,
            bug,
            ids: Vec::new(),
            pool_was_deleted: false,
        }
    }

    /// Does `act`, and asserts that all comes to be as in `world`, which is after it.
    pub fn act(&mut self, act: &Act, world: &World) {
        self.carry_out(act, world, true);
        self.assert_rests_as(act, world);
    }

    fn carry_out(&mut self, act: &Act, world: &World, served: bool) {
        match act {
            Act::Submit(wish) => self.submit(wish, world, served),
            Act::Cancel(n) => self.call(&["cancel", &self.id(*n)], world),
            Act::Retry(n, delay) => {
                let delay = hours(*delay);
                self.call(&["retry", &self.id(*n), "--delay", &delay], world);
            }
            Act::Cleanup(n) => self.call(&["cleanup", &self.id(*n)], world),
            Act::SetPool(n, parallel) => {
                let parallel = parallel.to_string();
                self.call(&["pool", "set", pool(*n), "--parallel", &parallel], world);
            }
            Act::Pause(n, true) => self.call(&["pool", "pause", pool(*n)], world),
            Act::Pause(n, false) => self.call(&["pool", "resume", pool(*n)], world),
            Act::Delete(n) => {
                self.call(&["pool", "delete", pool(*n)], world);
                self.pool_was_deleted |= world.said == Some((0, None));
            }
            Act::Change(n, fate) => self.write_fate(*n, *fate),
            Act::Tell(n, code) => self.tell(*n, *code),
            Act::Advance(units) => {
                let minutes = u64::try_from(units * UNIT_MINUTES).expect("time goes forward");
                self.clock.advance(Duration::from_secs(minutes * MINUTE));
            }
            Act::LoseShim(n) => self.lose_shim(*n, world),
            Act::Outage(leave, meanwhile) => {
                self.stop(*leave);
                if let Some(act) = meanwhile {
                    self.carry_out(act, world, false);
                }
                self.daemon = start_daemon(&self.home, self.bug);
            }
        }
    }

    /// The id of a run, or of none that there is.
    fn id(&self, n: usize) -> String {
        self.ids.get(n).copied().unwrap_or(1_000_000).to_string()
    }

    fn call(&self, args: &[&str], world: &World) {
        let (code, _) = world.said.expect("the model knows what it says");
        self.retrier(args).output().exits(code);
    }

    fn retrier(&self, args: &[&str]) -> crate::support::Call {
        let call = self.home.retrier(args);
        match self.bug {
            Some(bug) => call.env("RETRIER_BUG", bug),
            None => call,
        }
    }

    fn submit(&mut self, wish: &Wish, world: &World, served: bool) {
        let n = self.ids.len();
        self.write_fate(n, wish.fate);
        let pipe = self.home.path(format!("pipe-{n}"));
        if !pipe.exists() {
            mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("the temp folder can be written");
        }
        let folder = self.home.path("");
        let folder = folder.to_str().expect("a temp folder is UTF-8");
        let line = format!(
            "cd '{folder}' && echo $PPID >shim-{n}-$RETRIER_ATTEMPT && read code <fate-{n} || exit 99
             while [ .$code = .hang ] || [ .$code = . ]; do read code <pipe-{n}; done
             exit $code"
        );
        let mut args = vec![
            "run".to_owned(),
            format!("--constant={}", hours(wish.backoff)),
            "--jitter=0".to_owned(),
            format!("--max-failures={}", wish.max_failures),
            format!("--priority={}", world.priority(n)),
            format!("--delay={}", hours(wish.delay)),
            format!("--pool={}", pool(wish.pool)),
        ];
        args.extend(wish.lock.map(|lock| format!("--lock=l{lock}")));
        if let Some(key) = wish.key {
            args.push(format!("--key=k{}", key.name));
            args.extend(key.once.then(|| "--once".to_owned()));
            args.extend(key.strict.then(|| "--if-exists=fail".to_owned()));
        }
        if wish.hook {
            let hook = format!("echo $RETRIER_PARENT_ID $RETRIER_RESULT >>'{folder}/told'");
            args.push(format!("--on-complete={hook}"));
        }
        args.extend((!served).then(|| "--no-daemon-start".to_owned()));
        args.extend(["--shell".to_owned(), line]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, printed) = world.said.expect("the model knows what it says");
        let text = self.retrier(&args).output().exits(code).text();
        if printed == Some(n) {
            let id = text.parse();
            self.ids
                .push(id.unwrap_or_else(|_| panic!("printed {text:?} instead of an id")));
        }
        let expected = printed.map_or(String::new(), |n| self.ids[n].to_string());
        assert_eq!(text, expected, "what `run` has printed");
    }

    fn write_fate(&self, n: usize, fate: Fate) {
        let word = match fate {
            Fate::Succeed => "0",
            Fate::Fail => "1",
            Fate::Hang => "hang",
        };
        fs::write(self.home.path(format!("fate-{n}")), format!("{word}\n"))
            .expect("the temp folder can be written");
    }

    /// Has the attempt of a run that hangs exit with `code`.
    fn tell(&self, n: usize, code: u8) {
        let pipe = self.home.path(format!("pipe-{n}"));
        let mut open = OpenOptions::new();
        open.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let mut listening = None;
        wait_until("the command listens", LONG, || {
            listening = open.open(&pipe).ok();
            listening.is_some()
        });
        let mut listening = listening.expect("it was waited for");
        writeln!(listening, "{code}").expect("there is room in a pipe");
    }

    fn lose_shim(&self, n: usize, world: &World) {
        let attempt = world.runs[n].outcomes.len();
        let file = self.home.path(format!("shim-{n}-{attempt}"));
        let mut parent = None;
        wait_until("the command has named its shim", LONG, || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            parent = text.strip_suffix('\n').and_then(|pid| pid.parse().ok());
            parent.is_some()
        });
        let parent: i32 = parent.expect("it was waited for");
        let shims = self.home.processes().into_iter();
        let mut shims = shims.filter(|process| process.is_shim());
        assert!(shims.any(|shim| shim.pid == parent), "no shim of this home");
        kill(Pid::from_raw(parent), Signal::SIGKILL).expect("its command lives, and so does it");
    }

    fn stop(&mut self, leave: Leave) {
        match leave {
            Leave::Killed => self.daemon.kill9(),
            Leave::Stopped => assert_eq!(self.daemon.stop(), 0),
            Leave::StoppedAll => {
                let stop = self.home.retrier(["daemon", "stop", "--kill"]);
                stop.output().ok();
                assert_eq!(self.daemon.wait(LONG), 0);
                // What was interrupted rests for a second.
                self.clock.advance(Duration::from_secs(2));
            }
        }
    }

    /// Asserts that all comes to be as in `world`.
    fn assert_rests_as(&self, act: &Act, world: &World) {
        let expected: BTreeMap<usize, Look> = (0..world.runs.len())
            .filter_map(|n| Some((n, expected(world.run(n)?, world.now))))
            .collect();
        let mut seen = BTreeMap::new();
        let mut hooks = Vec::new();
        let limit = if self.bug.is_some() { SHORT } else { LONG };
        let came = holds_within(limit, || {
            (seen, hooks) = self.look(world);
            let endings = world.runs.iter().filter(|run| run.wish.hook);
            let endings: usize = endings.map(|run| run.endings.len()).sum();
            let all_ran = hooks.iter().all(|state| state == "succeeded");
            seen == expected && hooks.len() == endings && all_ran
        });
        assert!(
            came,
            "after {act:?}, of these runs {:?}\nseen {seen:#?}\nexpected {expected:#?}\nhooks {hooks:?}\nworld {world:#?}",
            self.ids
        );
    }

    /// Every run that is stored, and the states of all hooks.
    fn look(&self, world: &World) -> (BTreeMap<usize, Look>, Vec<String>) {
        let list = self.home.retrier(["list", "--json", "--limit", "0"]);
        let list = list.output().ok().text();
        let told = fs::read_to_string(self.home.path("told")).unwrap_or_default();
        let mut seen = BTreeMap::new();
        let mut hooks = Vec::new();
        for line in list.lines() {
            let run: Value = serde_json::from_str(line).expect("a line is one JSON value");
            let id = run["id"].as_i64().expect("a run has an id");
            match self.ids.iter().position(|known| *known == id) {
                Some(n) => {
                    let prefix = format!("{id} ");
                    let told = told.lines().filter_map(|line| line.strip_prefix(&prefix));
                    let told = told.map(str::to_owned).collect();
                    seen.insert(n, looked(&run, told));
                    assert!(world.runs.len() > n, "a run that was not stored");
                }
                None => {
                    assert_eq!(run["pool"], "hooks", "nobody has stored {run}");
                    hooks.push(run["state"].as_str().unwrap_or_default().to_owned());
                }
            }
        }
        (seen, hooks)
    }

    /// Asserts what can be asserted once all has ended as in `world`.
    pub fn assert_all_ended(mut self, world: &World) {
        for (n, id) in self.ids.iter().enumerate() {
            let Some(run) = world.run(n) else { continue };
            let code = match (run.state, run.outcomes.last()) {
                (State::Succeeded, _) => 0,
                (State::Canceled, _) => 130,
                (State::Failed, Some(Outcome::Exit(code))) => i32::from(*code),
                (State::Failed, Some(Outcome::Lost)) => 125,
                other => panic!("run {n} has not ended: {other:?}"),
            };
            assert_eq!(self.home.wait(*id), code, "of run {n}: {run:?}");
        }
        let faults = gauge_faults(&self.home).into_iter();
        // A pool that was made anew has no past, and runs that ended in the old one may still be there.
        let past = |fault: &String| {
            let words = ["executions", "failures", "succeeded", "failed", "canceled"];
            let is_past = words.iter().any(|word| fault.starts_with(word));
            is_past && fault.contains("of pool 'other'")
        };
        let faults: Vec<String> = faults
            .filter(|fault| !(self.pool_was_deleted && past(fault)))
            .collect();
        assert_eq!(faults, [""; 0]);
        assert_eq!(self.daemon.stop(), 0);
        self.home.assert_no_process_left();
        assert!(
            !self.daemon.errors().contains("panic"),
            "{}",
            self.daemon.errors()
        );
    }
}

fn start_daemon(home: &Home, bug: Option<&'static str>) -> Daemon {
    let bug = bug.map(|bug| ("RETRIER_BUG", bug));
    // The clock runs ahead by months.
    home.daemon_with(&["--retention", "0"], bug.as_slice())
}

fn pool(n: usize) -> &'static str {
    ["default", "other"][n]
}

fn hours(units: i64) -> String {
    format!("{}m", units * UNIT_MINUTES)
}

fn expected(run: &Run, now: i64) -> Look {
    let word = |state| match state {
        State::Waiting if run.due <= now => "queued",
        State::Waiting => "scheduled",
        State::Running => "running",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Canceled => "canceled",
    };
    let outcome = |outcome: &Outcome| {
        Some(match outcome {
            Outcome::Exit(code) => format!("exit {code}"),
            Outcome::Canceled => "canceled".to_owned(),
            Outcome::Lost => "lost".to_owned(),
            Outcome::Interrupted => "interrupted".to_owned(),
        })
    };
    let mut outcomes: Vec<_> = run.outcomes.iter().map(outcome).collect();
    outcomes.extend((run.state == State::Running).then_some(None));
    let told = run.endings.iter().filter(|_| run.wish.hook);
    let told = told.map(|ending| match ending {
        State::Succeeded => "success",
        other => word(*other),
    });
    Look {
        state: word(run.state).to_owned(),
        reason: (run.state == State::Failed).then(|| "exhausted".to_owned()),
        failures: run.failures as u64,
        outcomes,
        told: told.map(str::to_owned).collect(),
    }
}

fn looked(run: &Value, told: Vec<String>) -> Look {
    let attempts = run["attempts"].as_array().expect("a list of attempts");
    let outcome = |attempt: &Value| {
        let outcome = &attempt["outcome"];
        let word = outcome["type"].as_str()?;
        let code = outcome["code"].as_u64();
        Some(code.map_or(word.to_owned(), |code| format!("{word} {code}")))
    };
    for (number, attempt) in (1..).zip(attempts) {
        assert_eq!(attempt["number"], number, "attempts have a gap: {run}");
    }
    Look {
        state: run["state"].as_str().unwrap_or_default().to_owned(),
        reason: run["result"]["reason"].as_str().map(str::to_owned),
        failures: run["failures"].as_u64().expect("a count"),
        outcomes: attempts.iter().map(outcome).collect(),
        told,
    }
}
