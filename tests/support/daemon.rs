//! A daemon in the foreground, as a child of the test.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::guard::Guard;
use super::home::Home;
use super::wait::{Limit, holds_within, wait_until};

/// How long a daemon may take to answer, or to leave after SIGTERM.
const LIMIT: Duration = Duration::from_secs(20);

/// A `retrier daemon` of one [`Home`]; it is killed when it is dropped. What it started may live on: [`Home`] ends that.
#[derive(Debug)]
pub struct Daemon {
    guard: Guard,
    errors: PathBuf,
}

impl Daemon {
    /// Starts one and waits until it answers.
    #[track_caller]
    pub(super) fn start(home: &Home, args: &[&str], envs: &[(&str, &str)]) -> Daemon {
        let errors = home.path("daemon.err");
        let stderr = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&errors)
            .expect("the temp folder can be written");
        let said = fs::metadata(&errors).map_or(0, |log| log.len() as usize);
        let child = home
            .command()
            .arg("daemon")
            .args(args)
            .envs(envs.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the binary under test can be started");
        let mut daemon = Daemon {
            guard: Guard::new(child),
            errors,
        };
        // It holds the database, and `daemon status` names it, before it has looked at what is there.
        let is_told = !envs.iter().any(|(name, _)| *name == "RETRIER_LOG_LEVEL");
        daemon.await_answer(home, |log| {
            !is_told
                || log
                    .get(said..)
                    .unwrap_or_default()
                    .contains("INFO serving ")
        });
        daemon
    }

    /// Waits until it has nothing more to do: it sleeps, and nothing wakes it.
    #[track_caller]
    pub fn await_rest(&self) {
        let status = format!("/proc/{}/status", self.pid());
        let sleeps = || {
            let text = fs::read_to_string(&status).expect("it is alive");
            let line = text.lines().find(|line| line.starts_with("voluntary_"));
            line.expect("proc(5) names it").to_owned()
        };
        let (mut before, mut times) = (String::new(), 0);
        wait_until("the daemon rests", LIMIT, || {
            let last = std::mem::replace(&mut before, sleeps());
            times = if last == before { times + 1 } else { 0 };
            times == 20
        });
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.guard.pid()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.guard.is_running()
    }

    /// Ends it with SIGKILL and waits for that; what it has started lives on.
    pub fn kill9(&mut self) {
        self.guard.kill9();
    }

    /// Asks it with SIGTERM to leave, waits for that, and returns its exit code.
    #[track_caller]
    pub fn stop(&mut self) -> i32 {
        self.guard.signal(Signal::SIGTERM);
        self.wait(LIMIT)
    }

    /// Waits until it leaves, and returns its exit code.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> i32 {
        let code = self.guard.wait(Limit::after(limit));
        code.unwrap_or_else(|| panic!("daemon still there after {limit:?}: {}", self.errors()))
    }

    /// Stops it with SIGSTOP, and returns once it stands still.
    #[track_caller]
    pub fn pause(&self) {
        self.guard.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.pid());
        wait_until("the daemon stands still", LIMIT, || {
            fs::read_to_string(&stat).is_ok_and(|stat| {
                stat.rsplit(')')
                    .next()
                    .is_some_and(|tail| tail.starts_with(" T"))
            })
        });
    }

    /// Lets it go on with SIGCONT.
    pub fn resume(&self) {
        self.guard.signal(Signal::SIGCONT);
    }

    /// What all daemons of this home have printed to stderr.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.errors).unwrap_or_default()).into_owned()
    }

    #[track_caller]
    fn await_answer(&mut self, home: &Home, is_ready: impl Fn(&str) -> bool) {
        // One that a client has started may still be making room.
        let own = format!("daemon {} ", self.pid());
        let mut gone = None;
        let answered = holds_within(LIMIT, || {
            gone = self.guard.wait(Limit::after(Duration::ZERO));
            let status = || home.retrier(["daemon", "status"]).output().stdout;
            gone.is_some() || (is_ready(&self.errors()) && status().starts_with(own.as_bytes()))
        });
        if let Some(code) = gone {
            panic!(
                "daemon left with {code} before it answered: {}",
                self.errors()
            );
        }
        assert!(
            answered,
            "daemon does not answer within {LIMIT:?}: {}",
            self.errors()
        );
    }
}
