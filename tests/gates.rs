//! What a pool may start: its rate and its breaker as pure decisions, for any sequence of starts and
//! endings.

use std::time::Duration;

use proptest::prelude::*;
use retrier::model::pool::is_name;
use retrier::model::{Backoff, Gate, Hold, Pool, Rate, Room, RunId, Timestamp};

const ONE: RunId = RunId(1);
const OTHER: RunId = RunId(2);

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + ms)
}

fn pool() -> Pool {
    Pool::new("api", 7)
}

fn with_rate(starts: u32, per: Duration, burst: u32) -> Pool {
    Pool {
        rate: Some(Rate { starts, per, burst }),
        ..pool()
    }
}

fn with_breaker(breaker: u32) -> Pool {
    Pool {
        breaker: Some(breaker),
        backoff: Backoff {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            jitter: 0.0,
            ..Backoff::default()
        },
        ..pool()
    }
}

fn failed(pool: &Pool, gate: &Gate, run: RunId, ms: i64) -> Gate {
    pool.after_end(gate, run, Some(false), at(ms))
}

/// The gate of `pool` after so many failures of runs that were started before it opened, at 0 ms.
fn after_failures(pool: &Pool, count: u32) -> Gate {
    (0..count).fold(Gate::default(), |gate, _| failed(pool, &gate, ONE, 0))
}

#[test]
fn slots_are_what_is_left_of_them() {
    let room = |occupied| pool().room(&Gate::default(), occupied, at(0));
    let starts = |starts| {
        Ok(Room {
            starts,
            probe: false,
        })
    };
    assert_eq!(room(0), starts(10));
    assert_eq!(room(9), starts(1));
    assert_eq!(room(10), Err(Hold::Full));
    // It was lowered while more were running.
    assert_eq!(room(99), Err(Hold::Full));
}

#[test]
fn a_pool_is_shut_by_a_pause_or_for_want_of_slots() {
    let paused = Pool {
        paused: true,
        ..pool()
    };
    let none = Pool {
        parallel: 0,
        ..pool()
    };
    for shut in [paused, none] {
        assert!(shut.is_shut());
        assert_eq!(shut.room(&Gate::default(), 0, at(0)), Err(Hold::Paused));
    }
}

#[test]
fn starts_are_evenly_spaced_and_a_burst_comes_at_once() {
    let pool = with_rate(10, Duration::from_secs(1), 3);
    let mut gate = Gate::default();
    for left in [3, 2, 1] {
        let room = pool
            .room(&gate, 0, at(0))
            .expect("the burst is not used up");
        assert_eq!(room.starts, left);
        gate = pool.after_start(&gate, ONE, at(0));
    }
    let until = at(100);
    assert_eq!(pool.room(&gate, 0, at(0)), Err(Hold::Limited { until }));
    assert_eq!(pool.room(&gate, 0, at(99)), Err(Hold::Limited { until }));
    let room = pool.room(&gate, 0, at(100)).expect("one is due");
    assert_eq!(room.starts, 1);
    // After a rest as long as the burst all of it is there again.
    assert_eq!(pool.room(&gate, 0, at(300)).expect("it is").starts, 3);
}

#[test]
fn what_is_rounded_does_not_add_up() {
    // 299 intervals of 333 1/3 ms.
    let pool = with_rate(3, Duration::from_secs(1), 1);
    let mut gate = Gate::default();
    let mut now = 0;
    for _ in 0..300 {
        while pool.room(&gate, 0, at(now)).is_err() {
            now += 1;
        }
        gate = pool.after_start(&gate, ONE, at(now));
    }
    assert_eq!(now, 99_667);
}

/// The clock of the database knows milliseconds.
#[test]
fn more_than_one_start_fits_into_a_millisecond() {
    let pool = with_rate(3000, Duration::from_secs(1), 1);
    let mut gate = Gate::default();
    let mut started = 0;
    for now in 0..1000 {
        while pool.room(&gate, 0, at(now)).is_ok() {
            gate = pool.after_start(&gate, ONE, at(now));
            started += 1;
        }
    }
    assert!((2990..=3000).contains(&started), "{started}");
}

#[test]
fn nothing_waits_longer_than_a_clock_or_a_rate_of_now_demands() {
    let slow = with_rate(1, Duration::from_secs(3600), 1);
    let gate = slow.after_start(&Gate::default(), ONE, at(0));
    let fast = with_rate(1, Duration::from_secs(1), 1);
    let within = fast.within_reach(&gate, at(0));
    let until = at(1000);
    assert_eq!(fast.room(&within, 0, at(0)), Err(Hold::Limited { until }));
    // The clock was set back by a day.
    let yesterday = at(-86_400_000);
    let within = slow.within_reach(&gate, yesterday);
    let until = at(-86_400_000 + 3_600_000);
    assert_eq!(
        slow.room(&within, 0, yesterday),
        Err(Hold::Limited { until })
    );
    let open = with_breaker(2);
    let gate = after_failures(&open, 2);
    let within = open.within_reach(&gate, yesterday);
    assert_eq!(within.probe_at, Some(at(-86_400_000 + 1000)));
    // And forward: what was planned is kept.
    assert_eq!(open.within_reach(&gate, at(500)), gate);
}

proptest! {
    /// For any two starts, whenever somebody looked.
    #[test]
    fn no_two_starts_are_closer_than_the_rate_allows(
        starts in 1..200_u32,
        per_ms in 1..100_000_u64,
        burst in 1..6_u32,
        looks in proptest::collection::vec((0..5_000_i64, 0..4_u32), 1..60),
    ) {
        let pool = with_rate(starts, Duration::from_millis(per_ms), burst);
        let interval_us = (per_ms * 1000).div_ceil(u64::from(starts)) as i64;
        let mut gate = Gate::default();
        let (mut now, mut started) = (0, Vec::new());
        for (wait, wanted) in looks {
            now += wait;
            for _ in 0..wanted {
                match pool.room(&gate, 0, at(now)) {
                    Ok(room) => {
                        prop_assert!(room.starts >= 1 && room.starts <= burst);
                        gate = pool.after_start(&gate, ONE, at(now));
                        started.push(now);
                    }
                    Err(Hold::Limited { until }) => {
                        prop_assert!(until > at(now));
                        prop_assert!(pool.room(&gate, 0, until).is_ok(), "it says when");
                        let before = until.minus(Duration::from_millis(1));
                        prop_assert!(pool.room(&gate, 0, before).is_err(), "and not too late");
                    }
                    Err(other) => prop_assert!(false, "{other:?}"),
                }
            }
        }
        for (n, first) in started.iter().enumerate() {
            for (m, later) in started.iter().enumerate().skip(n + 1) {
                let intervals = (m - n) as i64 - i64::from(burst) + 1;
                // The clock rounds each of them down.
                let rounded = if interval_us % 1000 == 0 { 0 } else { 1000 };
                prop_assert!((later - first) * 1000 + rounded >= intervals * interval_us);
            }
        }
    }

    /// Whatever ends in whatever order: open is exactly when the last N that count have failed.
    #[test]
    fn a_pool_is_open_when_its_last_attempts_have_all_failed(
        breaker in 1..5_u32,
        endings in proptest::collection::vec(
            (prop_oneof![Just(Some(true)), Just(Some(false)), Just(None)], any::<bool>()), 0..40),
    ) {
        let pool = with_breaker(breaker);
        let mut gate = Gate::default();
        let mut counted: Vec<bool> = Vec::new();
        for (n, (success, is_probe)) in endings.into_iter().enumerate() {
            let now = at(n as i64 * 100_000);
            let run = if is_probe { ONE } else { OTHER };
            if is_probe && pool.room(&gate, 0, now).is_ok() {
                gate = pool.after_start(&gate, run, now);
            }
            gate = pool.after_end(&gate, run, success, now);
            counted.extend(success);
            let last = counted.iter().rev().take(breaker as usize);
            let all_failed = counted.len() >= breaker as usize && last.clone().all(|well| !well);
            prop_assert_eq!(pool.is_open(&gate), all_failed);
            prop_assert_eq!(gate.probe_at.is_some(), all_failed);
            if !all_failed {
                prop_assert_eq!(gate.probes, 0);
            }
        }
    }
}

#[test]
fn an_open_pool_sends_one_probe_at_a_time_after_its_own_backoff() {
    let pool = with_breaker(3);
    let gate = after_failures(&pool, 2);
    assert_eq!(pool.room(&gate, 0, at(0)).map(|room| room.probe), Ok(false));
    let mut gate = failed(&pool, &gate, ONE, 0);
    for (n, wait) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        let now = gate.probe_at.expect("it is open");
        let before = now.minus(Duration::from_millis(1));
        let held = Err(Hold::Open {
            probe_at: Some(now),
        });
        assert_eq!(pool.room(&gate, 0, before), held, "probe {n}");
        let room = pool.room(&gate, 5, now);
        assert_eq!(
            room,
            Ok(Room {
                starts: 1,
                probe: true
            })
        );
        gate = pool.after_start(&gate, OTHER, now);
        let held = Err(Hold::Open { probe_at: None });
        assert_eq!(
            pool.room(&gate, 5, now.plus(Duration::from_secs(999))),
            held
        );
        gate = pool.after_end(&gate, OTHER, Some(false), now);
        let next = [1, 2, 4, 8, 16, 32, 60, 60, 60][n + 1];
        assert_eq!(
            gate.probe_at,
            Some(now.plus(Duration::from_secs(next))),
            "{wait}"
        );
    }
    let closed = pool.after_end(&gate, ONE, Some(true), at(0));
    assert_eq!(closed, Gate::default());
}

#[test]
fn what_was_started_before_a_pool_opened_does_not_delay_its_probe() {
    let pool = with_breaker(5);
    let gate = after_failures(&pool, 5);
    let late = (1..20).fold(gate, |gate, n| failed(&pool, &gate, RunId(n), 900));
    assert_eq!(late.probe_at, gate.probe_at);
    assert_eq!(late.streak, 24);
    // Nor does it count as the probe that is under way.
    let probed = pool.after_start(&late, OTHER, at(1000));
    assert_eq!(failed(&pool, &probed, ONE, 1100).probe, Some(OTHER));
    // But its success is as good as that of a probe.
    assert!(!pool.is_open(&pool.after_end(&probed, ONE, Some(true), at(1100))));
}

#[test]
fn a_probe_that_says_nothing_is_followed_by_the_next_after_the_same_wait() {
    let pool = with_breaker(1);
    let gate = after_failures(&pool, 1);
    let probed = pool.after_start(&gate, OTHER, at(1000));
    let canceled = pool.after_end(&probed, OTHER, None, at(1500));
    let expected = Gate {
        probe_at: Some(at(2500)),
        ..gate
    };
    assert_eq!(canceled, expected);
    assert!(pool.room(&canceled, 0, at(2499)).is_err());
    assert!(pool.room(&canceled, 0, at(2500)).is_ok());
}

#[test]
fn a_name_of_a_pool_is_a_word() {
    for name in ["a", "default", "9", "API.v2_x-y", &"x".repeat(100)] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", "-a", ".a", "a b", "ä", "a/b", "a\n", &"x".repeat(101)] {
        assert!(!is_name(name), "{name:?}");
    }
}
