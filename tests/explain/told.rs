//! A run whose history is told in events that the state machine answers, instead of lived through with a daemon.

use std::time::Duration;

use retrier::model::{
    Backoff, Environment, Event, Outcome, Policy, Rules, RunId, Spec, Start, Testimony, Timestamp,
    next,
};
use retrier::store::{Access, Facts, Folder, Store};
use retrier::sys::identity::World;

use super::line;
use crate::support::{Home, wall_ns};

/// A day: what waits for days says the same in all calls of a test.
pub const DAY: Duration = Duration::from_secs(86_400);

/// What is added where no daemon runs.
const ALONE: &str = "; no daemon runs, `retrier daemon --detach` starts one";

/// A run whose history is told.
pub struct Story {
    pub home: Home,
    store: Store,
    pub id: i64,
    /// In the past, so that what is due at once is due now.
    pub now: Timestamp,
}

/// Three days before each retry.
pub fn policy(rules: Rules) -> Policy {
    Policy {
        backoff: Backoff {
            constant: 3 * DAY,
            initial: Duration::ZERO,
            max: 9 * DAY,
            jitter: 0.0,
            ..Backoff::default()
        },
        rules,
        ..Policy::default()
    }
}

impl Story {
    /// A run that was just stored.
    pub fn of(policy: Policy) -> Story {
        let home = Home::new();
        let opened = Store::open(&Folder::of(home.db()), Access::Create);
        let mut store = opened.expect("it can be made").expect("it was to be made");
        let now = Timestamp::from_millis(wall_ns() / 1_000_000 - 20_000);
        let spec = Spec {
            command: vec![b"true".to_vec()],
            cwd: b"/".to_vec(),
            environment: Environment::default(),
            umask: 0o022,
            stdin: None,
            name: None,
            policy,
            start: Start::Now,
            on_complete: None,
            key: None,
            priority: 0,
            pool: "default".to_owned(),
            lock: None,
        };
        let id = store.submit(&spec, || now).expect("it is stored").id.0;
        Story {
            home,
            store,
            id,
            now,
        }
    }

    /// The state machine answers `event`, and the answer is stored.
    #[track_caller]
    pub fn happens(&mut self, event: &Event) {
        let id = RunId(self.id);
        let world = World::current().expect("/proc is there");
        let shim = world
            .identify(std::process::id() as i32)
            .expect("this process lives");
        let none = Testimony::default();
        let facts = match event {
            Event::Start { .. } => Facts::Claim {
                file: "1",
                shim: &shim,
            },
            Event::Ended { testimony, .. } => Facts::Ending {
                pid: None,
                started_at: None,
                return_value: b"",
                testimony,
            },
            _ => Facts::Ending {
                pid: None,
                started_at: None,
                return_value: b"",
                testimony: &none,
            },
        };
        let pass = self.store.begin().expect("nobody else writes");
        // What starts is due, and was seen to be.
        pass.promote(self.now, 1000).expect("nobody else writes");
        let run = pass.read().run(id).expect("it is stored");
        let transition = next(&run, event).expect("it fits the state");
        assert!(
            pass.apply(id, &run, &transition, self.now, facts)
                .expect("there is room")
        );
        pass.commit().expect("there is room");
    }

    /// The next attempt is claimed.
    #[track_caller]
    pub fn starts(&mut self) {
        self.happens(&Event::Start { at: self.now });
    }

    /// The next attempt, which ends so, with what is said of it.
    #[track_caller]
    pub fn attempt(&mut self, outcome: Outcome, testimony: Testimony) {
        self.starts();
        let run = self.store.read().run(RunId(self.id)).expect("it is stored");
        let attempt = run.state.open_attempt().expect("it runs");
        self.happens(&Event::Ended {
            at: self.now,
            attempt,
            outcome,
            testimony: Box::new(testimony),
        });
    }

    /// What the binary says of it, without the hint that no daemon runs.
    #[track_caller]
    pub fn line(&self) -> String {
        let line = line(&self.home, self.id);
        line.strip_suffix(ALONE).unwrap_or(&line).to_owned()
    }

    /// The line without the clock of "next at … in".
    #[track_caller]
    pub fn undated(&self) -> String {
        let line = self.line();
        let (past, rest) = line
            .split_once(" at ")
            .unwrap_or_else(|| panic!("no time in {line}"));
        let rest = rest.split_once(" in ").map_or(rest, |(_, rest)| rest);
        format!("{past} in {rest}")
    }
}
