//! Places where a test can make the program die, stop, wait or fail.
//!
//! `RETRIER_CRASH=name:nth:action[,…]` acts the `nth` time (from 1) that this process reaches
//! `name`; the actions are `kill`, `stop`, `panic`, `sleep=MS` and `err=ENOSPC` (or another errno name).
//! `RETRIER_BUG=name[,…]` puts deliberate bugs in: a test of faults that does not catch the one that
//! it is there for proves nothing. `RETRIER_FAKE_LAYOUT=1` makes the program its own successor, which
//! knows one more layout. Without the feature `failpoints` nothing of this is in the binary.

use std::io;

/// Reaches the failpoint `name`. Errors: the one that a test asked for.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_name: &str) -> io::Result<()> {
    Ok(())
}

/// Reaches the failpoint `name`. Errors: the one that a test asked for.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str) -> io::Result<()> {
    use std::collections::HashMap;
    use std::sync::{Mutex, PoisonError};

    static REACHED: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

    let Ok(plan) = std::env::var("RETRIER_CRASH") else {
        return Ok(());
    };
    let count = {
        let mut reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
        let count = reached.get_or_insert_default().entry(name.to_owned());
        *count.and_modify(|n| *n += 1).or_insert(1)
    };
    for point in plan.split(',') {
        let mut fields = point.splitn(3, ':');
        let named = fields.next() == Some(name);
        let nth = fields.next().and_then(|nth| nth.parse::<u32>().ok());
        if let (true, Some(action)) = (named && nth == Some(count), fields.next()) {
            act(action)?;
        }
    }
    Ok(())
}

/// Was this deliberate bug asked for?
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn has_bug(_name: &str) -> bool {
    false
}

/// Was this deliberate bug asked for?
#[cfg(feature = "failpoints")]
pub fn has_bug(name: &str) -> bool {
    let bugs = std::env::var("RETRIER_BUG").unwrap_or_default();
    bugs.split(',').any(|bug| bug == name)
}

/// Is this program to act as the next version of itself?
#[cfg(feature = "failpoints")]
pub fn is_next_version() -> bool {
    std::env::var_os("RETRIER_FAKE_LAYOUT").is_some()
}

#[cfg(feature = "failpoints")]
fn act(action: &str) -> io::Result<()> {
    use nix::errno::Errno;
    use nix::sys::signal::{Signal, raise};

    match action.split_once('=').unwrap_or((action, "")) {
        ("kill", _) => raise(Signal::SIGKILL)?,
        ("panic", _) => panic!("a test asked for it"),
        ("stop", _) => raise(Signal::SIGSTOP)?,
        ("sleep", ms) => pause(ms.parse().unwrap_or(0)),
        ("err", "ENOSPC") => return Err(Errno::ENOSPC.into()),
        ("err", "EIO") => return Err(Errno::EIO.into()),
        ("err", "EMFILE") => return Err(Errno::EMFILE.into()),
        ("err", "EOPNOTSUPP") => return Err(Errno::EOPNOTSUPP.into()),
        ("err", "EAGAIN") => return Err(Errno::EAGAIN.into()),
        (other, _) => {
            return Err(io::Error::other(format!(
                "unknown failpoint action {other}"
            )));
        }
    }
    Ok(())
}

#[cfg(feature = "failpoints")]
#[expect(
    clippy::disallowed_methods,
    reason = "a test asked for exactly this pause"
)]
fn pause(ms: u64) {
    std::thread::sleep(std::time::Duration::from_millis(ms));
}
