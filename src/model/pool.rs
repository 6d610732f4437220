//! Pools: how many attempts run at once, how fast they start, and what keeps a pool from starting
//! more. Start reading at [`Pool::room`].

use std::time::Duration;

use super::backoff::Backoff;
use super::run::RunId;
use super::time::Timestamp;

/// What was set for a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name, as [`is_name`] allows it.
    pub name: String,
    /// How many of its attempts may run at once; none is a pause.
    pub parallel: u32,
    /// Somebody has paused it.
    pub paused: bool,
    /// How fast its attempts may start.
    pub rate: Option<Rate>,
    /// It opens when so many attempts in a row have failed; never 0.
    pub breaker: Option<u32>,
    /// No more unfinished runs than so many are stored in it; never 0.
    pub max_pending: Option<u32>,
    /// The waits between the probes of a pool that is open.
    pub backoff: Backoff,
    /// The source of their jitter.
    pub seed: u64,
}

/// So many starts in a time, evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; never 0.
    pub starts: u32,
    /// In which time, in whole milliseconds; never 0.
    pub per: Duration,
    /// How many may start at once when none has started for long; never 0.
    pub burst: u32,
}

/// What a pool remembers of its starts and endings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// When the next start would come if all came evenly, in microseconds since 1970 UTC: the
    /// theoretical arrival time of GCRA (ITU-T I.371, the virtual scheduling algorithm).
    pub arrival_us: i64,
    /// How many attempts have failed since the last success.
    pub streak: u32,
    /// How many probes have failed since it opened.
    pub probes: u32,
    /// No probe starts before this; of an open pool.
    pub probe_at: Option<Timestamp>,
    /// The run whose attempt is the probe that is under way.
    pub probe: Option<RunId>,
}

/// A pool with all that is stored of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolRecord {
    /// Its settings.
    pub pool: Pool,
    /// JSON: the options that its runs take as their defaults.
    pub options: String,
    /// What it remembers of its starts and endings.
    pub gate: Gate,
    /// How many of its runs stand where.
    pub gauge: Gauge,
}

/// How many runs of a pool, or of all but that of the hooks, stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Hooks whose parent's attempt is still open.
    pub held: u64,
    /// Waiting; the daemon has not seen yet that they are due.
    pub scheduled: u64,
    /// Due, and another run has their lock.
    pub locked: u64,
    /// Due, and nothing but the pool is in their way.
    pub ready: u64,
    /// Running.
    pub running: u64,
    /// Canceled, and their attempts are still being ended.
    pub closing: u64,
    /// Attempts that have ended since the pool was made.
    pub executions: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// How often runs have succeeded since the pool was made.
    pub succeeded: u64,
    /// How often they have failed.
    pub failed: u64,
    /// How often they were canceled.
    pub canceled: u64,
}

impl Gauge {
    /// How many runs have not ended.
    pub fn pending(&self) -> u64 {
        self.held + self.scheduled + self.locked + self.ready + self.running
    }

    /// How many slots are taken.
    pub fn occupied(&self) -> u32 {
        u32::try_from(self.running + self.closing).unwrap_or(u32::MAX)
    }
}

/// What a pool may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// So many attempts; never 0.
    pub starts: u32,
    /// It is a probe, of the run with the fewest failures.
    pub probe: bool,
}

/// Why a pool starts nothing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Somebody has paused it, or has given it no slots.
    Paused,
    /// Its last attempts have all failed: one at a time goes ahead.
    Open {
        /// When; none while one is under way.
        probe_at: Option<Timestamp>,
    },
    /// All its slots are taken.
    Full,
    /// The next start would come too soon.
    Limited {
        /// When it is due.
        until: Timestamp,
    },
}

/// What keeps a run that is due from being started.
#[derive(Clone, Debug, PartialEq)]
pub enum Blocked {
    /// Another run has its lock; none while it is handed on.
    Lock {
        /// The lock.
        lock: String,
        /// Who has it.
        holder: Option<RunId>,
        /// Whether that one runs; if not, it is the next for this lock and waits for its slot.
        runs: bool,
    },
    /// Its pool starts nothing at the moment.
    Pool {
        /// The pool.
        record: Box<PoolRecord>,
        /// Why not.
        hold: Hold,
    },
    /// Nothing in the database: it is about to be started, or the daemon has no slot for it.
    Nothing {
        /// Its pool.
        pool: String,
        /// How many attempts of all pools but that of the hooks are open.
        occupied: u32,
    },
}

/// The pool of runs for which none is named.
pub const DEFAULT: &str = "default";

/// The pool of all hooks.
pub const HOOKS: &str = "hooks";

/// The slots of a pool for which no number was set.
pub const PARALLEL: u32 = 10;

/// The longest wait between two probes, jitter included, unless another was set.
pub const PROBE_WAIT_MAX: Duration = Duration::from_secs(60);

/// No pool has more slots.
pub const PARALLEL_MAX: u32 = 10_000;

/// The longest name of a pool in bytes.
pub const NAME_MAX: usize = 100;

/// Can this be the name of a pool? 1 to [`NAME_MAX`] letters and digits of ASCII, `.`, `_`, `-`,
/// the first one a letter or digit.
pub fn is_name(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphanumeric();
    let is_next = |c: char| is_first(c) || ['.', '_', '-'].contains(&c);
    text.len() <= NAME_MAX && text.starts_with(is_first) && text.chars().all(is_next)
}

/// The waits between the probes of a pool for which none were set: a service that is back is found
/// within minutes.
pub fn probe_backoff() -> Backoff {
    Backoff {
        max: PROBE_WAIT_MAX,
        ..Backoff::default()
    }
}

impl Hold {
    /// The word for it in JSON and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Open { .. } => "open",
            Self::Full => "full",
            Self::Limited { .. } => "limited",
        }
    }

    /// When that is over, if it is known.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Open { probe_at } => probe_at,
            Self::Limited { until } => Some(until),
            Self::Paused | Self::Full => None,
        }
    }
}

impl Pool {
    /// A pool of this name for which nothing was set.
    pub fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            parallel: PARALLEL,
            paused: false,
            rate: None,
            breaker: None,
            max_pending: None,
            backoff: probe_backoff(),
            seed,
        }
    }

    /// Can it start nothing until somebody changes its settings?
    pub fn is_shut(&self) -> bool {
        self.paused || self.parallel == 0
    }

    /// Has it been opened by failures?
    pub fn is_open(&self, gate: &Gate) -> bool {
        self.breaker.is_some_and(|max| gate.streak >= max)
    }

    /// What it may start at `now` while `occupied` of its slots are taken, or why nothing.
    pub fn room(&self, gate: &Gate, occupied: u32, now: Timestamp) -> Result<Room, Hold> {
        if self.is_shut() {
            return Err(Hold::Paused);
        }
        let probe = self.is_open(gate);
        if probe && gate.probe.is_some() {
            return Err(Hold::Open { probe_at: None });
        }
        if let Some(at) = gate.probe_at.filter(|at| probe && *at > now) {
            return Err(Hold::Open { probe_at: Some(at) });
        }
        let free = self.parallel.saturating_sub(occupied);
        if free == 0 {
            return Err(Hold::Full);
        }
        let allowed = match self.rate {
            Some(rate) => rate.allowed(gate.arrival_us, now)?,
            None => u32::MAX,
        };
        let starts = if probe { 1 } else { free.min(allowed) };
        Ok(Room { starts, probe })
    }

    /// What people are told of it: why it starts nothing, or that it is open although the next probe
    /// may start.
    pub fn hold(&self, gate: &Gate, occupied: u32, now: Timestamp) -> Option<Hold> {
        match self.room(gate, occupied, now) {
            Err(hold) => Some(hold),
            Ok(Room { probe: true, .. }) => Some(Hold::Open { probe_at: None }),
            Ok(Room { probe: false, .. }) => None,
        }
    }

    /// Its gate after an attempt of `run` was claimed at `at`.
    pub fn after_start(&self, gate: &Gate, run: RunId, at: Timestamp) -> Gate {
        Gate {
            arrival_us: match self.rate {
                Some(rate) => rate.after_start(gate.arrival_us, at),
                None => gate.arrival_us,
            },
            probe: if self.is_open(gate) {
                Some(run)
            } else {
                gate.probe
            },
            ..*gate
        }
    }

    /// Its gate after an attempt of `run` has ended at `at`: with success, without, or neither,
    /// because somebody cut it short or its command was not ready.
    pub fn after_end(&self, gate: &Gate, run: RunId, success: Option<bool>, at: Timestamp) -> Gate {
        let was_probe = gate.probe == Some(run);
        let ended = Gate {
            probe: gate.probe.filter(|_| !was_probe),
            ..*gate
        };
        match success {
            // It has told nothing, and the next one is as far away as if it had failed.
            None if was_probe && self.is_open(gate) => {
                let wait = self.backoff.delay(gate.probes.saturating_add(1), self.seed);
                Gate {
                    probe_at: Some(at.plus(wait)),
                    ..ended
                }
            }
            None => ended,
            Some(true) => Gate {
                streak: 0,
                probes: 0,
                probe_at: None,
                ..ended
            },
            Some(false) => {
                let failed = Gate {
                    streak: gate.streak.saturating_add(1),
                    ..ended
                };
                let probes = match (self.is_open(gate), self.is_open(&failed)) {
                    (false, true) => 0,
                    (true, _) if was_probe => gate.probes.saturating_add(1),
                    // It was started before the pool opened, and says nothing new.
                    (true, _) | (false, false) => return failed,
                };
                let wait = self.backoff.delay(probes.saturating_add(1), self.seed);
                Gate {
                    probes,
                    probe_at: Some(at.plus(wait)),
                    ..failed
                }
            }
        }
    }

    /// Its gate after the clock or the settings were changed: nothing waits longer than it would
    /// if it began to wait at `now`.
    pub fn within_reach(&self, gate: &Gate, now: Timestamp) -> Gate {
        let wait = self.backoff.delay(gate.probes.saturating_add(1), self.seed);
        let furthest_us = self.rate.map_or(0, |rate| rate.furthest_us(now));
        Gate {
            arrival_us: gate.arrival_us.min(furthest_us),
            probe_at: gate.probe_at.map(|at| at.min(now.plus(wait))),
            ..*gate
        }
    }
}

impl Rate {
    /// The time between two starts, in microseconds, rounded up.
    fn interval_us(self) -> i64 {
        let per = i64::try_from(self.per.as_micros()).unwrap_or(i64::MAX);
        let starts = i64::from(self.starts.max(1));
        per / starts + i64::from(per % starts != 0)
    }

    /// How many may start at `now`, at least one, or when the next one may.
    fn allowed(self, arrival_us: i64, now: Timestamp) -> Result<u32, Hold> {
        let (interval, burst) = (self.interval_us().max(1), i64::from(self.burst.max(1)));
        let ahead = arrival_us.saturating_sub(micros(now)).max(0);
        // A start that lies `burst - 1` intervals ahead may still come now.
        let allowed = burst - ahead / interval - i64::from(ahead % interval != 0);
        if allowed > 0 {
            return Ok(u32::try_from(allowed).unwrap_or(u32::MAX));
        }
        let wait_us = ahead.saturating_sub(interval.saturating_mul(burst - 1));
        let wait_ms = wait_us / 1000 + i64::from(wait_us % 1000 != 0);
        Err(Hold::Limited {
            until: Timestamp::from_millis(now.millis().saturating_add(wait_ms)),
        })
    }

    fn after_start(self, arrival_us: i64, at: Timestamp) -> i64 {
        let late_us = micros(at).saturating_sub(arrival_us);
        // Less than that is the clock's rounding, and would add up.
        let even = if late_us < 1000 {
            arrival_us
        } else {
            micros(at)
        };
        even.saturating_add(self.interval_us())
    }

    /// The furthest that the next even start can lie ahead, right after a whole burst.
    fn furthest_us(self, now: Timestamp) -> i64 {
        let burst = i64::from(self.burst.max(1));
        micros(now).saturating_add(self.interval_us().saturating_mul(burst))
    }
}

fn micros(at: Timestamp) -> i64 {
    at.millis().saturating_mul(1000)
}
