//! Waiting for descriptors: epoll(7) for the daemon, poll(2) for programs with a handful.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;

/// A set of descriptors, each with a token, of which some become readable or hang up.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

impl Poller {
    /// An empty set. Errors: see epoll_create1(2).
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// Reports `token` while `fd` is readable or hung up. Errors: see epoll_ctl(2).
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Forgets `fd`, which must have been added. Errors: see epoll_ctl(2).
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// The tokens that are ready, at most 256; empty after `timeout` (`None`: no limit) or when a
    /// signal came.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<u64>> {
        let mut events = [EpollEvent::empty(); 256];
        let timeout = timeout.map_or(Ok(EpollTimeout::NONE), |limit| {
            EpollTimeout::try_from(limit.min(DAY) + ROUND_UP)
        });
        let timeout = timeout.map_err(|_| io::ErrorKind::InvalidInput)?;
        match self.epoll.wait(&mut events, timeout) {
            Ok(count) => Ok(events[..count].iter().map(EpollEvent::data).collect()),
            Err(Errno::EINTR) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// A wait is cut to this, so that it fits the kernel's int of milliseconds.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The kernel counts whole milliseconds, and a wait must not end early and spin.
const ROUND_UP: Duration = Duration::from_micros(999);

/// Waits until one of `fds` is readable or hung up, for at most `timeout` (`None`: no limit). Says
/// for each whether it is; all `false` after the timeout or when a signal came.
pub fn wait_readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled = polled(fds);
    let timeout = timeout.map_or(Ok(PollTimeout::NONE), |limit| {
        PollTimeout::try_from(limit.min(DAY) + ROUND_UP)
    });
    let timeout = timeout.map_err(|_| io::ErrorKind::InvalidInput)?;
    let answer = poll(&mut polled, timeout);
    ready(&polled, answer)
}

/// [`wait_readable`] with no signal blocked as long as it waits.
pub fn wait_unblocked(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled = polled(fds);
    let timeout = timeout.map(|limit| TimeSpec::from_duration(limit.min(DAY)));
    let answer = ppoll(&mut polled, timeout, Some(SigSet::empty()));
    ready(&polled, answer)
}

fn polled<'a>(fds: &[BorrowedFd<'a>]) -> Vec<PollFd<'a>> {
    let all = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN));
    all.collect()
}

fn ready(polled: &[PollFd<'_>], answer: Result<i32, Errno>) -> io::Result<Vec<bool>> {
    match answer {
        Ok(_) => Ok(polled.iter().map(|fd| fd.any().unwrap_or(true)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; polled.len()]),
        Err(errno) => Err(errno.into()),
    }
}
