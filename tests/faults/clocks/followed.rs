//! What follows a clock that was set, one by one.

use std::fs;
use std::time::Duration;

use crate::crash::tools::{LONG, millis, wait_until_state};
use crate::support::{FakeClock, Home, Journal, Need, skip, store_many, wait_until};

use super::{YEAR, real_ns};

const DAY: Duration = Duration::from_secs(86_400);

/// A time of day is the clock's: it is waited for however often the clock is set.
#[test]
fn a_run_at_a_time_starts_when_the_clock_shows_it() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let clock = FakeClock::new(&home);
    let _daemon = home.daemon();
    let in_a_day = jiff::Timestamp::now() + DAY;
    let line = journal.line("true");
    let id = home.run(["--at", &in_a_day.to_string(), "--shell", &line]);
    clock.set_back(YEAR);
    // Another one shows that the daemon has seen it.
    let other = home.run(["--delay", "200ms", "--", "true"]);
    assert_eq!(home.wait(other), 0);
    assert_eq!(home.state(id), "scheduled");
    let before = home.status(id)["due_at"].clone();
    clock.advance(YEAR);
    assert_eq!(
        home.status(id)["due_at"],
        before,
        "a time of day does not move"
    );
    assert!(journal.starts(id).is_empty());
    clock.advance(DAY);
    assert_eq!(home.wait(id), 0);
    assert_eq!(journal.starts(id).len(), 1);
}

/// The shim has seen the attempt end, and the clock is set before it tells of that.
#[test]
fn an_ending_that_lies_ahead_when_it_is_told_delays_the_retry_by_no_more_than_its_delay() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let clock = FakeClock::new(&home);
    let _daemon = home.daemon_with(&[], &[("RETRIER_CRASH", "shim_ended:1:sleep=1500")]);
    let line = journal.line("[ $RETRIER_ATTEMPT = 2 ]");
    let policy = ["--constant", "300ms", "--jitter", "0", "--shell"];
    let id = home.run(policy.into_iter().chain([line.as_str()]));
    wait_until("it has ended", LONG, || journal.ends(id).len() == 1);
    let command = format!("/proc/{}", journal.ends(id)[0].pid);
    wait_until("its shim knows", LONG, || {
        !fs::exists(&command).unwrap_or(true)
    });
    clock.set_back(YEAR);
    assert_eq!(home.wait(id), 0);
    assert_eq!(journal.starts(id).len(), 2);
}

#[test]
fn what_ends_after_the_clock_was_set_back_is_forgotten_in_time() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let _daemon = home.daemon_with(&["--retention", "1h"], &[]);
    clock.advance(YEAR);
    let ahead = home.run(["--", "true"]);
    assert_eq!(home.wait(ahead), 0);
    clock.set_back(YEAR);
    let id = home.run(["--", "true"]);
    assert_eq!(home.wait(id), 0);
    clock.advance(Duration::from_secs(3600 + 120));
    wait_until("it is forgotten", LONG, || {
        home.retrier(["status", &id.to_string()]).output().code == 3
    });
    assert_eq!(home.state(ahead), "succeeded", "its hour has not come");
}

/// The kernel's own word that the clock was set, put into the mouth of the timer: the daemon's clock is right, and the
/// client's, which has stored the run, was a year ahead.
#[track_caller]
fn be_told(system_call: &str, of_what: &str) {
    let home = Home::new();
    let journal = Journal::new(&home);
    let daemon = home.daemon();
    let ahead = home.path("ahead");
    fs::write(&ahead, YEAR.as_millis().to_string()).expect("the temp folder can be written");
    let call = home.retrier(["run", "--delay", "1s", "--shell", &journal.line("true")]);
    let id = call.env("RETRIER_FAKE_CLOCK", &ahead).output().ok().text();
    let id: i64 = id.parse().expect("an id");
    // Makes a pass, sets the timer and, unless that takes long, has it expire. Then looks when the run is due.
    let told = || {
        let other = home.run(["--delay", "200ms", "--", "true"]);
        assert_eq!(home.wait(other), 0);
        let due = home.status(id)["due_at"].clone();
        due.is_null() || millis(&due) < real_ns() / 1_000_000 + 10_000
    };
    assert!(!told(), "nobody has told the daemon yet");
    let pid = daemon.pid().to_string();
    let line = format!(
        "exec strace -qq -o /dev/null -p {pid} {of_what} \
         -e trace={system_call} -e inject={system_call}:error=ECANCELED:when=1"
    );
    let told_after = real_ns();
    let _strace = home.sh(line).spawn();
    wait_until("it is traced", LONG, || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    });
    wait_until("the daemon is told", LONG, told);
    wait_until_state(&home, id, "succeeded");
    let waited = journal.starts(id)[0].at_ns - told_after;
    assert!(waited >= 1_000_000_000, "{system_call}: {waited} ns");
}

#[test]
fn a_timer_that_the_kernel_cancels_makes_the_daemon_follow_the_clock() {
    if skip(Need::Strace) || skip(Need::Flock) {
        return;
    }
    be_told("timerfd_settime", "");
    be_told("read", "-P 'anon_inode:[timerfd]'");
}

/// More than one pass can change.
#[test]
fn after_a_clock_that_is_set_back_not_one_of_many_waits_longer_than_its_delay() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    clock.advance(YEAR);
    let later = retrier::clock::now().plus(YEAR);
    store_many(&home, 1040, Duration::from_secs(3600), later);
    let _daemon = home.daemon();
    clock.set_back(YEAR);
    let latest = jiff::Timestamp::now() + Duration::from_secs(2 * 3600);
    wait_until("all are due within their delay", LONG, || {
        let list = home
            .retrier(["list", "--json", "--limit", "0"])
            .output()
            .ok();
        let text = list.text();
        let due = |line: &str| {
            let run: serde_json::Value = serde_json::from_str(line).expect("JSON");
            millis(&run["due_at"])
        };
        text.lines().all(|line| due(line) < latest.as_millisecond())
    });
}
