//! The deadline of an attempt's run, which the wall clock tells and every change of it moves.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::clock;
use crate::model::Timestamp;
use crate::sys::timer::{Tick, WallTimer};

/// A deadline that is waited for.
#[derive(Debug)]
pub struct Deadline {
    at: Timestamp,
    timer: WallTimer,
}

impl Deadline {
    /// Waits for `at`. Errors: see timerfd_create(2).
    pub fn new(at: Timestamp) -> io::Result<Self> {
        let timer = WallTimer::new()?;
        timer.set(Some(clock::kernel_time(at)))?;
        Ok(Self { at, timer })
    }

    /// Has it passed? To be asked whenever its descriptor is readable, and after
    /// [`Deadline::look_again`].
    pub fn has_passed(&self) -> io::Result<bool> {
        let told = self.timer.take()?;
        if clock::now() >= self.at {
            return Ok(true);
        }
        if told != Tick::Nothing {
            self.timer.set(Some(clock::kernel_time(self.at)))?;
        }
        Ok(false)
    }

    /// After how long it has to be looked at although its descriptor says nothing: under a fake
    /// clock alone.
    pub fn look_again(&self) -> Option<Duration> {
        clock::poll_interval()
    }
}

impl AsFd for Deadline {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
