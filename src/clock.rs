//! The only reader of time.
//!
//! Wall time, UTC milliseconds, for what is stored; monotonic time for what is waited. Test builds
//! (feature `failpoints`) can move the wall clock: `RETRIER_FAKE_CLOCK` names a file that holds an
//! offset in milliseconds, read again at each call.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// The wall time, rounded down to the millisecond.
pub fn now() -> Timestamp {
    Timestamp::from_millis(real_micros().div_euclid(1000).saturating_add(offset_ms()))
}

/// The wall time, rounded up to the millisecond: for an ending, so that a delay that is counted
/// from it is never short.
pub fn now_rounded_up() -> Timestamp {
    let ms = real_micros().saturating_add(999).div_euclid(1000);
    Timestamp::from_millis(ms.saturating_add(offset_ms()))
}

/// The point of monotonic time that it is now. It stands still while the machine is suspended, so
/// a suspended attempt does not use up its timeout.
#[expect(
    clippy::disallowed_methods,
    reason = "this module is the one reader of time"
)]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// `at` as the kernel's CLOCK_REALTIME counts it, for a timer; zero when it lies before 1970.
pub fn kernel_time(at: Timestamp) -> Duration {
    let ms = at.millis().saturating_sub(offset_ms());
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this module is the one reader of time"
)]
fn real_micros() -> i64 {
    let now = SystemTime::now();
    match now.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    }
}

/// When this machine was booted, by today's wall clock. Errors: /proc is not readable.
pub fn booted_at() -> std::io::Result<Timestamp> {
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let seconds = uptime
        .split(' ')
        .next()
        .and_then(|text| text.parse::<f64>().ok());
    let uptime = Duration::from_secs_f64(seconds.unwrap_or(0.0).max(0.0));
    Ok(now().minus(uptime))
}

#[cfg(not(feature = "failpoints"))]
fn offset_ms() -> i64 {
    0
}

#[cfg(feature = "failpoints")]
fn offset_ms() -> i64 {
    let Some(path) = std::env::var_os("RETRIER_FAKE_CLOCK") else {
        return 0;
    };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Was the fake clock set since the last question? Of the real one the kernel tells (`sys::timer`).
#[cfg(feature = "failpoints")]
pub fn was_set() -> bool {
    use std::sync::atomic::{AtomicI64, Ordering};

    static SEEN: AtomicI64 = AtomicI64::new(0);
    let offset = offset_ms();
    SEEN.swap(offset, Ordering::Relaxed) != offset
}

/// Was the fake clock set since the last question? Of the real one the kernel tells (`sys::timer`).
#[cfg(not(feature = "failpoints"))]
pub fn was_set() -> bool {
    false
}

/// How often a waiting program must look at the clock by itself, because no kernel timer follows
/// it: only when it is a fake one.
pub fn poll_interval() -> Option<Duration> {
    let fake = cfg!(feature = "failpoints") && offset_is_set();
    fake.then_some(Duration::from_millis(20))
}

#[cfg(not(feature = "failpoints"))]
fn offset_is_set() -> bool {
    false
}

#[cfg(feature = "failpoints")]
fn offset_is_set() -> bool {
    std::env::var_os("RETRIER_FAKE_CLOCK").is_some()
}
