//! A child process that cannot outlive its test.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use super::wait::Limit;

/// A child that is killed and reaped when its guard is dropped.
///
/// Its pid cannot be another process's: only this guard reaps it, and signals nothing afterwards.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    code: Option<i32>,
}

impl Guard {
    /// Guards a child that was just spawned.
    pub fn new(child: Child) -> Guard {
        Guard { child, code: None }
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid is a positive i32")
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.wait(Limit::after(std::time::Duration::ZERO)).is_none()
    }

    /// Sends a signal; does nothing once it was seen to have ended.
    pub fn signal(&self, signal: Signal) {
        if self.code.is_none() {
            kill(Pid::from_raw(self.pid()), signal).expect("a child that is not reaped exists");
        }
    }

    /// Its exit code (128+n when signal n ended it), or nothing when the limit came first.
    pub fn wait(&mut self, limit: Limit) -> Option<i32> {
        if self.code.is_none() && ended_within(self.pid(), limit) {
            self.reap();
        }
        self.code
    }

    /// Ends it with SIGKILL and waits for that.
    pub fn kill9(&mut self) {
        if self.code.is_none() {
            self.signal(Signal::SIGKILL);
            self.reap();
        }
    }

    fn reap(&mut self) {
        let status = self.child.wait().expect("a child can be waited for");
        self.code = Some(code_of(status));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Whether our child ends within the limit; it stays a zombie, so its pid stays its own.
fn ended_within(pid: i32, limit: Limit) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid is not 0");
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a child that is not reaped exists");
    loop {
        let timeout = Timespec::try_from(limit.left()).expect("a limit is short");
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll of a pidfd: {error}"),
        }
    }
}

fn code_of(status: ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => panic!("neither exited nor signaled: {status}"),
    }
}
