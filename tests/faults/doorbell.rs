//! Callers who do to the doorbell what no client does. It carries hints alone, so the worst that they may reach is that
//! the daemon looks at its database.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::crash::tools::LONG;
use crate::support::{Daemon, Home, proof, seeded};

use super::life::beside_each_other;

/// What callers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Somebody removes the socket, again and again.
    Removed,
    /// So many call while the daemon stands still that nobody more is let in.
    Backlog,
    /// They say a part of a hint, and stay.
    SlowLoris,
    /// They say whatever comes to their mind.
    Garbage,
    /// They come and go, ten thousand of them.
    Knocking,
    /// They wait for runs that have ended, are not there, or never end, and do not read.
    Deaf,
}

const ALL: [Habit; 6] = [
    Habit::Removed,
    Habit::Backlog,
    Habit::SlowLoris,
    Habit::Garbage,
    Habit::Knocking,
    Habit::Deaf,
];

fn path(home: &Home) -> PathBuf {
    home.path("retrier.db.d/doorbell")
}

/// A caller, if there is room for one; nobody waits for room.
fn call(home: &Home) -> Result<UnixStream, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let caller = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let address = UnixAddr::new(&path(home))?;
    connect(std::os::fd::AsRawFd::as_raw_fd(&caller), &address)?;
    Ok(UnixStream::from(caller))
}

/// Lets callers do it. Gives those that stay.
fn practise(
    habit: Habit,
    home: &Home,
    daemon: &Daemon,
    rng: &mut fastrand::Rng,
) -> Vec<UnixStream> {
    let mut callers = Vec::new();
    match habit {
        Habit::Removed => drop(fs::remove_file(path(home))),
        Habit::Backlog => {
            daemon.pause();
            while let Ok(caller) = call(home) {
                callers.push(caller);
            }
        }
        Habit::SlowLoris | Habit::Garbage | Habit::Deaf => {
            for _ in 0..100 {
                let Ok(mut caller) = call(home) else { continue };
                let said = match habit {
                    Habit::SlowLoris => vec![1; rng.usize(1..8)],
                    Habit::Garbage => (0..rng.usize(0..5000)).map(|_| rng.u8(..)).collect(),
                    _ => [1_i64, 2, 999, -1, i64::MIN, i64::MAX]
                        .map(i64::to_ne_bytes)
                        .concat(),
                };
                // One that is let go while he talks has said enough.
                caller.write_all(&said).ok();
                callers.push(caller);
            }
        }
        Habit::Knocking => {
            for _ in 0..proof::repetitions(2000, 10_000) {
                drop(call(home));
            }
        }
    }
    callers
}

/// Has callers do this, and gives what is wrong with how the daemon serves meanwhile and afterwards.
fn violations(habit: Habit, bug: &str) -> Vec<String> {
    let home = Home::new();
    let mut daemon = home.daemon_with(&[], &[("RETRIER_BUG", bug)]);
    let mut rng = seeded("callers");
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    let mut found = Vec::new();
    for round in 0..3 {
        let callers = practise(habit, &home, &daemon, &mut rng);
        let mut client = home.retrier(["run", "--", "true"]).spawn();
        if habit == Habit::Backlog {
            // It may have to wait for nobody.
            let done = crate::support::holds_within(LONG, || !client.is_running());
            found.extend(
                (!done).then(|| "a client waits for a daemon that stands still".to_owned()),
            );
            daemon.resume();
        }
        let stored = client.wait_within(LONG);
        let id = stored.text();
        found.extend((stored.code != 0).then(|| stored.error_text()));
        // Who waits looks for himself now and then, so what is asked is whether the daemon has heard.
        let patience = if bug.is_empty() { "20s" } else { "2s" };
        let waited = home.retrier(["wait", "--timeout", patience, &id]).output();
        if waited.code != 0 {
            found.push(format!(
                "round {round}: run {id} was not served: {}",
                waited.error_text()
            ));
        }
        drop(callers);
    }
    if daemon.errors().contains("panicked") || !daemon.is_running() {
        found.push(format!("the daemon: {}", daemon.errors()));
    }
    found.extend(home.doctor());
    if daemon.stop() != 0 {
        found.push("the daemon left in trouble".to_owned());
    }
    found
}

#[test]
fn whatever_callers_do_runs_are_served() {
    let cases = ALL.repeat(proof::repetitions(1, 2));
    let times = cases.len();
    let found = beside_each_other(cases, |habit| violations(*habit, ""));
    proof::holds("T29", times, &found);
}

/// A submit rings by hanging up.
#[test]
fn the_test_of_callers_catches_a_daemon_that_does_not_hear_them_hang_up() {
    let bug = "deaf_to_hangups";
    let found = violations(Habit::SlowLoris, bug);
    proof::catches("T29", bug, &found, |one| one.contains("was not served"));
}

/// A caller from another user has no way to it.
#[test]
fn the_doorbell_is_behind_a_folder_of_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let _daemon = home.daemon();
    let folder = fs::metadata(home.path("retrier.db.d")).expect("it is there");
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    let limit = Duration::from_secs(20);
    crate::support::wait_until("it hangs", limit, || path(&home).exists());
    let doorbell = fs::metadata(path(&home)).expect("it hangs");
    assert_eq!(doorbell.permissions().mode() & 0o077, 0);
}
