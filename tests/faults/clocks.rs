//! Wall clocks that are set: nothing starts before its delay has passed, nothing hangs, timeouts do not notice.
//!
//! The clock that is set here is a fake one, an offset to the real one. The real one is what commands write down.

mod followed;

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::crash::tools::{LONG, outcomes};
use crate::support::{
    Daemon, FakeClock, Home, Journal, Limit, Need, holds_within, proof, seeded, skip, wait_until,
};

use super::life::beside_each_other;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// The delay of what waits, and the timeout of what runs.
const DELAY: Duration = Duration::from_secs(3);

/// The real time in nanoseconds since 1970, which nobody sets.
fn real_ns() -> i64 {
    let now = jiff::Timestamp::now().as_nanosecond();
    i64::try_from(now).expect("a year before 2262")
}

/// A fake clock, and what it showed when.
struct Clock {
    fake: FakeClock,
    /// By how much it was wrong, in nanoseconds, and between which real times it was set so.
    settings: Vec<(i64, i64, i64)>,
}

impl Clock {
    fn new(home: &Home) -> Clock {
        let fake = FakeClock::new(home);
        let settings = vec![(0, i64::MIN, i64::MIN)];
        Clock { fake, settings }
    }

    /// Sets it by so many milliseconds.
    fn jump(&mut self, by_ms: i64) {
        let before = real_ns();
        let by = Duration::from_millis(by_ms.unsigned_abs());
        if by_ms < 0 {
            self.fake.set_back(by);
        } else {
            self.fake.advance(by);
        }
        let offset = self.offset() + by_ms * 1_000_000;
        self.settings.push((offset, before, real_ns()));
    }

    fn offset(&self) -> i64 {
        self.settings.last().map_or(0, |setting| setting.0)
    }

    /// The first real time at which that may start which has waited since `since` for a delay: when the clock shows its
    /// due time, which no setting leaves further ahead than the delay.
    fn earliest(&self, since: i64, delay: Duration) -> i64 {
        let delay = i64::try_from(delay.as_nanos()).expect("a short delay");
        let mut due = i64::MAX;
        for (index, (offset, before, _)) in self.settings.iter().enumerate() {
            // While it is being set, both may be seen.
            let next = self.settings.get(index + 1);
            let end = next.map_or(i64::MAX, |(_, _, after)| *after);
            let begin = since.max(*before);
            if end < since {
                continue;
            }
            due = due.min(begin + offset + delay);
            let at = begin.max(due - offset);
            if at <= end {
                return at;
            }
        }
        i64::MAX
    }
}

/// How the clock is set while runs wait and attempts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    TenYearsAhead,
    AYearBack,
    AMonthBack,
    AHundredTimes,
}

impl Setting {
    fn carry_out(self, clock: &mut Clock) {
        let years = |years: u32| i64::try_from((YEAR * years).as_millis()).expect("few years");
        match self {
            Setting::TenYearsAhead => clock.jump(years(10)),
            Setting::AYearBack => clock.jump(-years(1)),
            Setting::AMonthBack => clock.jump(-years(1) / 12),
            Setting::AHundredTimes => {
                let mut rng = seeded("a hundred settings");
                for _ in 0..100 {
                    clock.jump(rng.i64(-400..=400));
                    holds_within(Duration::from_millis(rng.u64(0..40)), || false);
                }
            }
        }
    }
}

/// Runs in every state of waiting and running.
struct Runs {
    /// Fails once, and is retried after [`DELAY`].
    backoff: i64,
    /// Starts after [`DELAY`].
    delayed: i64,
    delayed_at: i64,
    /// Ends by itself after a second.
    running: i64,
    /// Runs until its timeout of [`DELAY`], and writes down when it was told to end.
    stuck: i64,
    stuck_at: i64,
    /// Is due in twenty years.
    far: i64,
}

#[track_caller]
fn submit(home: &Home, journal: &Journal) -> Runs {
    let delay = format!("{}ms", DELAY.as_millis());
    let run = |options: &[&str], body: &str| {
        let line = journal.line(body);
        let common = ["--jitter", "0", "--grace", "5s", "--max-failures"];
        home.run(common.iter().chain(options).chain(&["--shell", &line]))
    };
    let told = home.path("told");
    let stuck = format!(
        "trap 'date +%s%N >\"{}\"; exit 1' TERM; sleep 60 & wait",
        told.display()
    );
    let stuck_at = real_ns();
    let stuck = run(&["0", "--timeout", &delay], &stuck);
    let running = run(&["0"], "sleep 1");
    let retried = "[ $RETRIER_ATTEMPT = 2 ]";
    let backoff = run(&["1", "--constant", &delay], retried);
    let far = run(&["0", "--delay", "7300d"], "true");
    wait_until("all run", LONG, || {
        !journal.starts(running).is_empty() && !journal.starts(stuck).is_empty()
    });
    wait_until("one has failed", LONG, || {
        journal.ends(backoff).len() == 1 && home.state(backoff) == "scheduled"
    });
    let delayed_at = real_ns();
    let delayed = run(&["0", "--delay", &delay], "true");
    Runs {
        backoff,
        delayed,
        delayed_at,
        running,
        stuck,
        stuck_at,
        far,
    }
}

/// Sets the clock while everything is under way. Gives the violations; what does not come within the limit hangs.
fn set_clock(setting: Setting, bug: &str, limit: Duration) -> Vec<String> {
    let home = Home::new();
    let journal = Journal::new(&home);
    let mut clock = Clock::new(&home);
    let mut daemon = home.daemon_with(&[], &[("RETRIER_BUG", bug)]);
    let runs = submit(&home, &journal);
    setting.carry_out(&mut clock);

    let mut violations = Vec::new();
    let limit = Limit::after(limit);
    let ended = |id, times| holds_within(limit.left(), || journal.ends(id).len() == times);
    for (name, id, times) in [
        ("backoff", runs.backoff, 2),
        ("delay", runs.delayed, 1),
        ("running", runs.running, 1),
    ] {
        violations.extend((!ended(id, times)).then(|| format!("{name} hangs")));
    }
    let told = || fs::read_to_string(home.path("told")).unwrap_or_default();
    let timed_out = holds_within(limit.left(), || told().ends_with('\n'));
    violations.extend((!timed_out).then(|| "timeout hangs".to_owned()));

    let starts = |id, attempt: usize| journal.starts(id).get(attempt - 1).map(|start| start.at_ns);
    let failed_at = journal.ends(runs.backoff)[0].at_ns;
    let mut check = |name: &str, at: Option<i64>, earliest: i64| {
        let early = at.map_or(0, |at| earliest.saturating_sub(at));
        violations.extend((early > 0).then(|| format!("{name} came {early} ns too early")));
    };
    check(
        "backoff",
        starts(runs.backoff, 2),
        clock.earliest(failed_at, DELAY),
    );
    check(
        "delay",
        starts(runs.delayed, 1),
        clock.earliest(runs.delayed_at, DELAY),
    );
    let timeout = i64::try_from(DELAY.as_nanos()).expect("a short delay");
    check(
        "timeout",
        told().trim().parse().ok(),
        runs.stuck_at + timeout,
    );
    violations.extend(wrong_books(&home, &runs));
    violations.extend(journal.violations());
    violations.extend(trouble(&mut daemon));
    violations.extend(home.doctor());
    violations
}

/// What is wrong in what is shown of the runs. One that has ended may be forgotten, ten years later.
fn wrong_books(home: &Home, runs: &Runs) -> Vec<String> {
    let mut violations = Vec::new();
    violations
        .extend((home.state(runs.far) != "scheduled").then(|| "it is not waiting".to_owned()));
    let all = [
        runs.backoff,
        runs.delayed,
        runs.running,
        runs.stuck,
        runs.far,
    ];
    for id in all.map(|id| id.to_string()) {
        let shown = home.retrier(["status", "--json", &id]).output();
        if shown.code == 3 {
            continue;
        }
        let document = shown.ok().json();
        violations.extend(has_negative(&document).then(|| format!("negative: {document}")));
        let page = home.retrier(["status", &id]).output();
        let words = page.text();
        let negative = |word: &str| {
            let word = word.trim_start_matches('(');
            word.starts_with('-') && word[1..].starts_with(|c: char| c.is_ascii_digit())
        };
        let negative = words.split_whitespace().any(negative);
        violations.extend(negative.then(|| format!("negative: {words}")));
        if id == runs.stuck.to_string() && outcomes(&document) != ["timeout"] {
            violations.push(format!("no timeout: {document}"));
        }
    }
    violations
}

fn has_negative(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number < 0.0),
        Value::Array(values) => values.iter().any(has_negative),
        Value::Object(fields) => fields.values().any(has_negative),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn trouble(daemon: &mut Daemon) -> Vec<String> {
    let mut violations = Vec::new();
    violations.extend((!daemon.is_running()).then(|| "the daemon is gone".to_owned()));
    let said = daemon.errors();
    violations.extend(said.contains("panicked").then_some(said));
    violations
}

/// Sets the clock so; in the full lane so often.
#[track_caller]
fn assert_holds(setting: Setting, often: usize) {
    let times = proof::repetitions(1, often);
    let cases = vec![setting; times];
    let found = beside_each_other(cases, |setting| set_clock(*setting, "", LONG));
    proof::holds("T22", times, &found);
}

#[test]
fn a_clock_set_back_by_a_month_starts_nothing_early_and_lets_nothing_hang() {
    if skip(Need::Flock) {
        return;
    }
    assert_holds(Setting::AMonthBack, 5);
}

#[test]
fn a_clock_set_ten_years_ahead_starts_nothing_early_and_forgets_nothing_that_waits() {
    if skip(Need::Flock) {
        return;
    }
    assert_holds(Setting::TenYearsAhead, 5);
}

#[test]
fn a_clock_set_back_by_a_year_starts_nothing_early_and_lets_nothing_hang() {
    if skip(Need::Flock) {
        return;
    }
    assert_holds(Setting::AYearBack, 5);
}

#[test]
fn a_clock_set_a_hundred_times_starts_nothing_early_and_lets_nothing_hang() {
    if skip(Need::Flock) {
        return;
    }
    assert_holds(Setting::AHundredTimes, 5);
}

#[test]
fn a_clock_set_back_catches_a_daemon_that_does_not_follow_it() {
    if skip(Need::Flock) {
        return;
    }
    let limit = Duration::from_secs(8);
    let bug = "ignores_a_set_clock";
    let violations = set_clock(Setting::AYearBack, bug, limit);
    for hangs in ["backoff hangs", "delay hangs"] {
        proof::catches("T22", bug, &violations, |one| one == hangs);
    }
}

#[test]
fn a_clock_set_back_catches_a_daemon_that_forgets_delays() {
    if skip(Need::Flock) {
        return;
    }
    let bug = "forgets_delays";
    let violations = set_clock(Setting::AYearBack, bug, LONG);
    let words = ["backoff", "delay"];
    let early =
        |one: &str| words.iter().any(|name| one.starts_with(name)) && one.ends_with("too early");
    proof::catches("T22", bug, &violations, early);
}
