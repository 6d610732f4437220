//! Whatever a caller has done to its signals and descriptors, the commands of the daemon that it starts are clean.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use crate::crash::tools::closed;
use crate::faults::life::beside_each_other;
use crate::support::{Home, proof, wait_until};

use super::{Child, LONG};

/// What a caller has done before it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Ignores(Signal),
    /// As nohup and the background of a shell have it.
    IgnoresAllOfTheTerminal,
    Blocks(Signal),
    BlocksAll,
    Closes(i32),
    ClosesAll,
    /// So many descriptors.
    Leaks(i32),
    LeadsASession,
    LimitsDescriptors,
}

const ALL: [Caller; 12] = [
    Caller::Ignores(Signal::SIGPIPE),
    Caller::Ignores(Signal::SIGCHLD),
    Caller::Ignores(Signal::SIGTERM),
    Caller::IgnoresAllOfTheTerminal,
    Caller::Blocks(Signal::SIGTERM),
    Caller::BlocksAll,
    Caller::Closes(0),
    Caller::Closes(2),
    Caller::ClosesAll,
    Caller::Leaks(200),
    Caller::LeadsASession,
    Caller::LimitsDescriptors,
];

impl Caller {
    /// Does it, between fork and exec: async-signal-safe calls alone.
    fn prepare(self, leak: i32) -> std::io::Result<()> {
        let ignore = |signal: Signal| {
            // SAFETY: SIG_IGN runs no code of ours.
            unsafe { libc::signal(signal as i32, libc::SIG_IGN) };
        };
        match self {
            Caller::Ignores(signal) => ignore(signal),
            Caller::IgnoresAllOfTheTerminal => {
                for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
                    ignore(signal);
                }
            }
            Caller::Blocks(signal) => {
                let mut set = SigSet::empty();
                set.add(signal);
                sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None)?;
            }
            Caller::BlocksAll => sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?,
            // SAFETY: nobody in the new process uses them any more.
            Caller::Closes(number) => drop(unsafe { libc::close(number) }),
            Caller::ClosesAll => {
                for number in 0..3 {
                    // SAFETY: as above.
                    unsafe { libc::close(number) };
                }
            }
            Caller::Leaks(count) => {
                for number in 0..count {
                    // SAFETY: it makes a descriptor that exec leaves open.
                    unsafe { libc::dup2(leak, 10 + number) };
                }
            }
            Caller::LeadsASession => drop(nix::unistd::setsid()?),
            Caller::LimitsDescriptors => {
                let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
                nix::sys::resource::setrlimit(limit, 64, 64)?;
            }
        }
        Ok(())
    }
}

/// Has such a caller store a run, and start the daemon for it. Gives what is wrong with its command.
fn violations(caller: Caller, bug: &str) -> Vec<String> {
    let home = Home::new();
    let leak = File::create(home.path("leak")).expect("the temp folder can be written");
    let number = leak.as_raw_fd();
    let mut command = home.command();
    command.args(["run", "--", "sleep", "600"]);
    command.env("RETRIER_BUG", bug).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: only async-signal-safe calls.
    unsafe { command.pre_exec(move || caller.prepare(number)) };
    let mut called = command
        .spawn()
        .expect("the binary under test can be started");
    wait_until("the call returns", LONG, || {
        called
            .try_wait()
            .expect("a child can be waited for")
            .is_some()
    });
    let child = Child::of(&home, 1);
    let mut found = child.uncleanness(&home, 1);
    for process in home.processes() {
        let open = fs::read_dir(format!("/proc/{}/fd", process.pid));
        let open = open.into_iter().flatten().flatten();
        let leaked = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        if leaked.filter(|file| file.ends_with("leak")).count() > 0 {
            found.push(format!("{process:?} has the leaked descriptors"));
        }
    }
    // Its signals work too: `yes` ends when nobody reads it, and all is ended that is told to end.
    let line = [
        "run",
        "--wait",
        "--max-failures=0",
        "--shell",
        "yes | head -1",
    ];
    let piped = home.retrier(line).output();
    if piped.code != 0 || piped.text() != "y" {
        found.push(format!("a pipe without a reader: {}", piped.error_text()));
    }
    home.retrier(["cancel", "1"]).output().ok();
    closed(&home, 1);
    let stopped = home.retrier(["daemon", "stop"]).limit(LONG).output();
    if stopped.code != 0 {
        found.push(format!(
            "the daemon does not stop: {}",
            stopped.error_text()
        ));
    }
    found.extend(home.doctor());
    found
}

#[test]
fn whatever_a_caller_has_done_commands_are_clean() {
    let cases = ALL.repeat(proof::repetitions(1, 3));
    let times = cases.len();
    let found = beside_each_other(cases, |caller| violations(*caller, ""));
    proof::holds("T17", times, &found);
}

#[test]
fn the_test_of_callers_catches_signals_that_are_inherited() {
    let bug = "inherits_signals";
    let found = violations(Caller::Ignores(Signal::SIGPIPE), bug);
    proof::catches("T17", bug, &found, |one| one.starts_with("SigIgn"));
}
