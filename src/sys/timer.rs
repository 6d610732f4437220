//! A timer on the wall clock that also tells when the clock was set (timerfd_create(2)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// What a readable [`WallTimer`] has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// The time has come.
    Expired,
    /// Somebody set the wall clock.
    ClockSet,
    /// Nothing.
    Nothing,
}

/// One absolute timer on CLOCK_REALTIME, canceled by the kernel when the clock is set.
#[derive(Debug)]
pub struct WallTimer {
    timer: TimerFd,
}

/// Far enough to be never (the year 2262), near enough for the kernel's nanoseconds in 64 bits.
const NEVER: Duration = Duration::from_secs(9_200_000_000);

impl WallTimer {
    /// A timer that never expires, until it is set. Errors: see timerfd_create(2).
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
        let new = Self { timer };
        new.set(None)?;
        Ok(new)
    }

    /// Expires at `at`, counted from 1970 on the wall clock; `None` is never. A time that has
    /// passed expires at once. `true`: the clock was set since the last look, which no
    /// [`WallTimer::take`] will tell any more.
    pub fn set(&self, at: Option<Duration>) -> io::Result<bool> {
        // A zero value would disarm the timer.
        let at = at.map_or(NEVER, |at| at.clamp(Duration::from_nanos(1), NEVER));
        // An armed timer is what makes the kernel tell of a set clock, so it is always armed.
        let flags =
            TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        let expiration = Expiration::OneShot(TimeSpec::from_duration(at));
        match self.timer.set(expiration, flags) {
            Ok(()) => Ok(false),
            // It is armed all the same (fs/timerfd.c: the check comes after the start).
            Err(Errno::ECANCELED) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes what there is to tell.
    pub fn take(&self) -> io::Result<Tick> {
        // Not TimerFd::wait, which takes a canceled timer for one that has expired.
        match nix::unistd::read(&self.timer, &mut [0; 8]) {
            Ok(_) => Ok(Tick::Expired),
            Err(Errno::ECANCELED) => Ok(Tick::ClockSet),
            // Interrupted, it stays readable.
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Tick::Nothing),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for WallTimer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
