//! Signals as data: a handler sets a flag and writes one byte, the loop reads both.
//!
//! Handlers, not signalfd: a blocked mask and an ignored signal would be inherited by every
//! command, a handler is reset by exec.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};

use super::failpoint;
use super::poll::wait_unblocked;

pub use nix::libc::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2,
    SIGWINCH,
};

/// Signals that were caught since the last look.
#[derive(Debug)]
pub struct Signals {
    wake: UnixStream,
    flags: Vec<(i32, Arc<AtomicBool>)>,
}

impl Signals {
    /// Catches `numbers` from now on, until the process ends. Errors: see sigaction(2).
    pub fn catch(numbers: &[i32]) -> io::Result<Self> {
        let (wake, ring) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut flags = Vec::new();
        for number in numbers {
            let flag = Arc::new(AtomicBool::new(false));
            let held = SigSet::from(Signal::try_from(*number)?);
            // One that came between the two would set the flag and wake nobody.
            let mask = held.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
            // The flag is registered first: when the byte arrives, it is set.
            signal_hook::flag::register(*number, Arc::clone(&flag))?;
            failpoint::reach("signal_half_caught")?;
            signal_hook::low_level::pipe::register(*number, ring.try_clone()?)?;
            mask.thread_set_mask()?;
            flags.push((*number, flag));
        }
        Ok(Self { wake, flags })
    }

    /// The numbers that came since the last call, each once.
    pub fn take(&self) -> Vec<i32> {
        let mut bytes = [0; 64];
        // Emptied before the flags are read: a signal in between wakes once more, never less.
        while matches!((&self.wake).read(&mut bytes), Ok(count) if count > 0) {}
        take(&self.flags)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Signals that come only while somebody waits for them: they are blocked in between, so that who
/// looks and then waits misses none, and no pipe has to be written and read for each. What this process
/// starts must be started with nothing blocked.
#[derive(Debug)]
pub struct HeldSignals {
    flags: Vec<(i32, Arc<AtomicBool>)>,
}

impl HeldSignals {
    /// Catches `numbers` from now on, until the process ends, which has one thread and blocks no
    /// other signal. Errors: see sigaction(2).
    pub fn catch(numbers: &[i32]) -> io::Result<Self> {
        let mut flags = Vec::new();
        for number in numbers {
            let held = SigSet::from(Signal::try_from(*number)?);
            sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held), None)?;
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(*number, Arc::clone(&flag))?;
            flags.push((*number, flag));
        }
        Ok(Self { flags })
    }

    /// Waits until one of `fds` is readable or hung up, or a signal comes, for at most `timeout`
    /// (`None`: no limit). Says for each whether it is. All signals that were sent before have come
    /// when it returns.
    pub fn wait(&self, fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
        let ready = wait_unblocked(fds, timeout)?;
        if ready.contains(&true) {
            // The kernel lets signals in only when there is nothing else to tell.
            wait_unblocked(&[], Some(Duration::ZERO))?;
        }
        Ok(ready)
    }

    /// The numbers that came since the last call, each once.
    pub fn take(&self) -> Vec<i32> {
        take(&self.flags)
    }
}

fn take(flags: &[(i32, Arc<AtomicBool>)]) -> Vec<i32> {
    let set = |flag: &AtomicBool| flag.swap(false, Ordering::SeqCst);
    let came = flags.iter().filter(|(_, flag)| set(flag));
    let came: Vec<i32> = came.map(|(number, _)| *number).collect();
    if came.contains(&SIGINT) {
        INTERRUPTED.store(true, Ordering::SeqCst);
    }
    came
}

/// Whether a SIGINT was caught, and taken by whoever waited for it.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends this process by SIGINT if one was caught before: a shell goes on with its script when a program that got
/// one exits by itself, whatever its exit code is. It returns where none was, or nothing ends it.
pub fn end_interrupted() {
    if INTERRUPTED.load(Ordering::SeqCst) {
        // SAFETY: SIG_DFL runs no code of ours.
        let _ = unsafe { nix::sys::signal::signal(Signal::SIGINT, SigHandler::SigDfl) };
        let _ = nix::sys::signal::raise(Signal::SIGINT);
    }
}

/// Undoes what a parent did to signals: nothing is blocked, and nothing is ignored but SIGPIPE,
/// which Rust ignores in every program and resets in every child that it starts.
pub fn reset_inherited() -> io::Result<()> {
    if failpoint::has_bug("inherits_signals") {
        return Ok(());
    }
    for number in 1..=libc::SIGRTMAX() {
        // 32 and 33 are glibc's own.
        if matches!(number, SIGKILL | libc::SIGSTOP | libc::SIGPIPE | 32 | 33) {
            continue;
        }
        // SAFETY: `old` is a valid out-pointer for the whole call, a null action only asks; then
        // SIG_DFL, which runs no code of ours, replaces SIG_IGN alone.
        unsafe {
            let mut old: libc::sigaction = std::mem::zeroed();
            let asked = libc::sigaction(number, std::ptr::null(), &mut old);
            if asked == 0 && old.sa_sigaction == libc::SIG_IGN {
                libc::signal(number, libc::SIG_DFL);
            }
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Lets a broken pipe end the program, as it ends `cat`: for verbs that only read and print.
pub fn die_of_broken_pipe() {
    // SAFETY: SIG_DFL runs no code of ours, and no other thread exists yet.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

/// Stops this process, as Ctrl-Z does where it is not caught; goes on when somebody continues it.
pub fn stop_self() -> io::Result<()> {
    Ok(nix::sys::signal::raise(Signal::SIGSTOP)?)
}

/// Does the caller of this process want SIGINT, SIGHUP or SIGTERM ignored (as `nohup` does)?
pub fn is_ignored(number: i32) -> bool {
    // SAFETY: `old` is a valid out-pointer for the whole call, and a null action only asks.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, std::ptr::null(), &mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    }
}

/// The name of signal `number`, such as `SIGKILL` or `SIGRTMIN+3`.
pub fn name(number: i32) -> Option<String> {
    if let Ok(signal) = Signal::try_from(number) {
        return Some(signal.as_str().to_owned());
    }
    let above = number.checked_sub(libc::SIGRTMIN())?;
    match above {
        0 => Some("SIGRTMIN".to_owned()),
        1.. if number <= libc::SIGRTMAX() => Some(format!("SIGRTMIN+{above}")),
        _ => None,
    }
}

/// The number of the signal with this name, in any case, with or without its `SIG`. A real-time
/// signal counts from either end, as in `RTMIN+3` and `RTMAX-11`.
pub fn number(name: &str) -> Option<i32> {
    let name = name.to_ascii_uppercase();
    let bare = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = bare.strip_prefix("RTMIN").or(bare.strip_prefix("RTMAX"));
    let Some(distance) = real_time else {
        let signal: Signal = format!("SIG{bare}").parse().ok()?;
        return Some(signal as i32);
    };
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let (from, sign) = if bare.starts_with("RTMIN") {
        (first, '+')
    } else {
        (last, '-')
    };
    if distance.is_empty() {
        return Some(from);
    }
    let digits = distance.strip_prefix(sign)?;
    // A sign of its own would be read as a part of the number.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let distance: i32 = digits.parse().ok()?;
    let number = if sign == '+' {
        from.checked_add(distance)?
    } else {
        from.checked_sub(distance)?
    };
    (first..=last).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;
    use crate::sys::socket::{message_pair, send_message};

    /// It is caught for this thread alone, to which `raise` sends.
    #[test]
    fn a_held_signal_comes_with_the_next_wait_also_beside_something_to_read() {
        let signals = HeldSignals::catch(&[SIGUSR1, SIGUSR2]).unwrap();
        let look = |fds: &[BorrowedFd<'_>]| signals.wait(fds, Some(Duration::ZERO)).unwrap();
        let (left, right) = message_pair().unwrap();
        assert_eq!(look(&[right.as_fd()]), [false]);
        raise(Signal::SIGUSR1).unwrap();
        assert!(signals.take().is_empty(), "nobody has waited");
        assert_eq!(look(&[right.as_fd()]), [false]);
        assert_eq!(signals.take(), [SIGUSR1]);
        assert!(signals.take().is_empty());
        send_message(&left, b"x").unwrap();
        raise(Signal::SIGUSR2).unwrap();
        raise(Signal::SIGUSR1).unwrap();
        assert_eq!(look(&[right.as_fd()]), [true]);
        assert_eq!(signals.take(), [SIGUSR1, SIGUSR2]);
        // It ends a wait that has no limit.
        raise(Signal::SIGUSR2).unwrap();
        let (_left, silent) = message_pair().unwrap();
        assert_eq!(signals.wait(&[silent.as_fd()], None).unwrap(), [false]);
        assert_eq!(signals.take(), [SIGUSR2]);
    }

    #[test]
    fn every_name_leads_back_to_its_number() {
        let all = (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX());
        for own in all {
            let word = name(own).unwrap();
            assert_eq!(number(&word), Some(own), "{word}");
            let bare = word.trim_start_matches("SIG").to_lowercase();
            assert_eq!(number(&bare), Some(own), "{bare}");
        }
        for none in [-1, 0, 32, 33, 65, i32::MIN, i32::MAX] {
            assert_eq!(name(none), None, "{none}");
        }
        assert_eq!(number("SIGRTMAX-30"), number("RTMIN"));
        for wrong in [
            "",
            "SIG",
            "SIGSIGHUP",
            "FOO",
            "9",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+31",
            "RTMIN++1",
            "RTMIN3",
            "SIGRTMIN+",
            "RTMAX-99999999999",
        ] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
