//! A daemon that is killed again and again, while runs are stored, canceled, looked at and forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use crate::support::{Home, Journal, Limit, Mark, Need, holds_within, seeded, skip};

use super::load::{Books, Class, Clients, Op, Written, violations};

const CLIENTS: usize = 8;
const RUNS: usize = 200;

/// One loop: what is stored, and when it is over.
struct Loop<'h> {
    home: &'h Home,
    clients: Clients<'h>,
    journal: Journal,
    /// Makes the exit codes random.
    salt: i64,
    limit: Limit,
    stop: &'h (dyn Fn(&Journal) -> bool + Sync),
}

impl Loop<'_> {
    fn is_over(&self) -> bool {
        self.limit.left().is_zero() || (self.stop)(&self.journal)
    }

    /// What attempt `number` of run `id` exits with.
    fn code(&self, id: i64, number: i64) -> i64 {
        (id * 7 + number * 3 + self.salt) % 5 % 3
    }

    /// Lets so many milliseconds pass, or less when the loop is over.
    fn pause(&self, rng: &mut fastrand::Rng, ms: std::ops::Range<u64>) {
        let pause = Duration::from_millis(rng.u64(ms));
        holds_within(pause.min(self.limit.left()), || false);
    }

    /// Kills the daemon every 50 to 500 ms, some after a pause of their own.
    fn kill_daemons(&self, mut rng: fastrand::Rng) -> usize {
        let mut killed = 0;
        while !self.is_over() {
            self.pause(&mut rng, 50..500);
            // It may have ended by itself: then there is nothing to signal.
            let Some(daemon) = self.home.holder() else {
                continue;
            };
            if rng.u8(..8) == 0 {
                pidfd_send_signal(&daemon, Signal::STOP).ok();
                self.pause(&mut rng, 50..300);
                if rng.bool() {
                    pidfd_send_signal(&daemon, Signal::CONT).ok();
                    continue;
                }
            }
            killed += usize::from(pidfd_send_signal(&daemon, Signal::KILL).is_ok());
        }
        killed
    }

    /// Stores a run; some clients are killed while they do.
    fn submit(&self, rng: &mut fastrand::Rng) {
        let salt = self.salt;
        let body = format!(
            "sleep 0.{:03}; exit $(( (RETRIER_RUN_ID * 7 + RETRIER_ATTEMPT * 3 + {salt}) % 5 % 3 ))",
            rng.u32(..300)
        );
        let hook = format!(
            "echo $RETRIER_PARENT_ID $RETRIER_RUN_ID $RETRIER_ATTEMPT >>'{}'",
            self.home.path("hooks").display()
        );
        let line = self.journal.line(&body);
        let args = [
            "run",
            "--constant",
            "100ms",
            "--jitter",
            "0",
            "--max-failures",
            "2",
        ];
        let args = [
            &args[..],
            &["--grace", "500ms", "--on-complete", &hook, "--shell", &line],
        ]
        .concat();
        let patience = (rng.u8(..16) == 0).then(|| Duration::from_millis(rng.u64(..20)));
        self.clients.make((Op::Run, None), &args, patience);
    }

    /// Does something with a run: mostly with one of the last.
    fn meddle(&self, rng: &mut fastrand::Rng) {
        let ids = self.clients.ids();
        let from = if rng.bool() {
            ids.len().saturating_sub(10)
        } else {
            0
        };
        let Some(id) = rng.choice(ids.get(from..).unwrap_or_default()) else {
            return;
        };
        let text = id.to_string();
        let (op, args): (Op, &[&str]) = match rng.u8(..10) {
            0..=2 => (Op::Wait, &["wait", "--json", "--timeout", "500ms", &text]),
            3..=5 => (Op::Look, &["status", "--json", &text]),
            6 => (Op::Look, &["list", "--json", "--limit", "20"]),
            7 => (Op::Logs, &["logs", &text]),
            8 => (Op::Cancel, &["cancel", &text]),
            _ => (Op::Cleanup, &["cleanup", &text]),
        };
        let about = (!args.contains(&"list")).then_some(*id);
        self.clients.make((op, about), args, None);
    }

    fn client(&self, mut rng: fastrand::Rng, whole: Duration) {
        let mut unstored = RUNS / CLIENTS;
        while !self.is_over() {
            // Spread over the whole time.
            let share = self.limit.left().as_secs_f64() / whole.as_secs_f64();
            if unstored as f64 > share * (RUNS / CLIENTS) as f64 {
                self.submit(&mut rng);
                unstored -= 1;
            } else {
                self.meddle(&mut rng);
            }
            self.pause(&mut rng, 0..600);
        }
        for _ in 0..unstored {
            self.submit(&mut rng);
        }
    }
}

/// Runs the loop until its time is over or `stop`; gives what was wrong.
fn kill_loop(
    rng: &mut fastrand::Rng,
    whole: Duration,
    bug: &str,
    stop: &(dyn Fn(&Journal) -> bool + Sync),
) -> Vec<String> {
    let home = Home::new();
    let looped = Loop {
        home: &home,
        clients: Clients::new(&home, bug),
        journal: Journal::new(&home),
        salt: rng.i64(0..1000),
        limit: Limit::after(whole),
        stop,
    };
    let killed = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let rng = rng.fork();
            scope.spawn(|| looped.client(rng, whole));
        }
        let killer = rng.fork();
        scope
            .spawn(|| looped.kill_daemons(killer))
            .join()
            .expect("it does not panic")
    });
    let mut found = Vec::new();
    let stopped = stop(&looped.journal);
    let calls = looped.clients.calls();
    let done = |op, class| {
        calls
            .iter()
            .filter(|call| (call.op, call.class()) == (op, class))
            .count()
    };
    let done = [
        killed,
        done(Op::Run, Class::Ok),
        done(Op::Cancel, Class::Ok),
        done(Op::Cleanup, Class::Ok),
        done(Op::Wait, Class::Ok),
    ];
    // Much less, and the loop would show nothing.
    let least = [20, RUNS / 2, 1, 1, 1];
    if !stopped && done.iter().zip(least).any(|(done, least)| *done < least) {
        found.push(format!("too little was done: {done:?}"));
    }
    let healed = (!stopped).then(|| looped.clients.heal());
    let healed = healed.and_then(|healed| healed.map_err(|error| found.push(error)).ok());
    found.extend(violations(&Books {
        calls: looped.clients.calls(),
        written: Some(Written::from(&looped.journal)),
        codes: Some(&|id, number| looped.code(id, number)),
        hooks: Some(fs::read_to_string(home.path("hooks")).unwrap_or_default()),
        after: healed,
    }));
    found
}

#[test]
fn a_minute_of_killed_daemons_loses_doubles_and_reopens_nothing() {
    if skip(Need::Flock) {
        return;
    }
    let mut rng = seeded("a minute of killed daemons");
    let found = kill_loop(&mut rng, Duration::from_secs(60), "", &|_| false);
    assert!(found.is_empty(), "{found:#?}");
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
    let found = kill_loop(&mut rng, Duration::from_secs(30), bug, &stop);
    let doubled = |found: &String| found.contains("was started twice");
    assert!(found.iter().any(doubled), "{found:#?}");
}
