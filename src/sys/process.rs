//! Processes: ending trees of them, finding what is left, reaping children, own set-up.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setsid};
use rustix::process::{WaitOptions, wait};

use super::failpoint;
use super::files::{FileIdentity, identity_of};
use super::identity::{self, ProcessStat};

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(u8),
    /// This signal ended it; with or without a core file.
    Signal(i32, bool),
}

/// What waiting for children gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// This child has ended and its number is free again.
    Child(i32, Exit),
    /// There are children, and none has ended.
    Living,
    /// There are no children.
    NoChildren,
}

/// Takes one child that has ended, without blocking.
pub fn reap() -> io::Result<Reaped> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(None) => return Ok(Reaped::Living),
            Ok(Some((pid, status))) => {
                let code = status
                    .exit_status()
                    .and_then(|code| u8::try_from(code).ok());
                let core = status.as_raw() as u32 & 0x80 != 0;
                let signal = status.terminating_signal().map(|n| Exit::Signal(n, core));
                if let Some(exit) = code.map(Exit::Code).or(signal) {
                    return Ok(Reaped::Child(pid.as_raw_nonzero().get(), exit));
                }
            }
            Err(rustix::io::Errno::CHILD) => return Ok(Reaped::NoChildren),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Takes all children that have ended.
pub fn reap_all() -> io::Result<()> {
    while matches!(reap()?, Reaped::Child(..)) {}
    Ok(())
}

/// Asks the process group `group` to end: SIGTERM, and SIGCONT so that a stopped process gets it.
pub fn terminate_group(group: i32) {
    signal_group(group, Signal::SIGTERM);
    signal_group(group, Signal::SIGCONT);
}

/// Ends the process group `group` at once.
pub fn kill_group(group: i32) {
    signal_group(group, Signal::SIGKILL);
}

fn signal_group(group: i32, signal: Signal) {
    // 0 and 1 would mean this process's own group and every process.
    if group > 1 && failpoint::has_bug("ends_leaders_alone") {
        let _ = nix::sys::signal::kill(Pid::from_raw(group), signal);
    } else if group > 1 {
        // The only failure is that nobody is left in it.
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

/// A process that was found in /proc, identified by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub pid: i32,
    /// What /proc said of it.
    pub stat: ProcessStat,
}

impl Found {
    /// Sends SIGTERM, and SIGCONT so that a stopped process gets it.
    pub fn terminate(&self) {
        self.signal(&[libc::SIGTERM, libc::SIGCONT]);
    }

    /// Sends SIGKILL.
    pub fn kill(&self) {
        self.signal(&[libc::SIGKILL]);
    }

    fn signal(&self, numbers: &[i32]) {
        if let Some(pidfd) = identity::open_verified(self.pid, self.stat.start) {
            for number in numbers {
                identity::signal(&pidfd, *number);
            }
        }
    }
}

/// All living processes that /proc shows; zombies are left out.
pub fn all() -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that ended since the folder was read is not there any more.
        if let Ok(stat) = ProcessStat::of(pid)
            && !stat.zombie
        {
            found.push(Found { pid, stat });
        }
    }
    Ok(found)
}

/// The living descendants of a process, without itself.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// All but the services.
    pub members: Vec<Found>,
    /// Daemons and shims; what descends from them is not looked at.
    pub services: Vec<Found>,
}

/// The living descendants of process `root`.
pub fn descendants(root: i32) -> io::Result<Family> {
    let all = all()?;
    let mut family = vec![root];
    let mut found = Family::default();
    let mut at = 0;
    while at < family.len() {
        let parent = family[at];
        for child in all.iter().filter(|one| one.stat.parent == parent) {
            // A pid that is reused while /proc is read could close a circle.
            if child.stat.service {
                found.services.push(*child);
            } else if !family.contains(&child.pid) {
                family.push(child.pid);
                found.members.push(*child);
            }
        }
        at += 1;
    }
    Ok(found)
}

/// Makes this process the leader of a new session without a terminal. A process that leads one
/// already stays as it is.
pub fn new_session() {
    // The only failure is EPERM: it leads its group already.
    let _ = setsid();
}

/// Makes this process the parent of every orphan among its descendants, and names it for `ps`.
pub fn become_subreaper(name: &CStr) -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    set_name(name)
}

/// Goes to `folder`, with the whole process. Errors: see chdir(2).
pub fn enter_folder(folder: &Path) -> io::Result<()> {
    std::env::set_current_dir(folder)
}

/// Goes to the root, which is in nobody's way.
pub fn leave_folder() {
    // Who may not enter it stays where it is, which is no harm.
    let _ = enter_folder(Path::new("/"));
}

/// Names this process for `ps`.
pub fn set_name(name: &CStr) -> io::Result<()> {
    Ok(nix::sys::prctl::set_name(name)?)
}

/// Closes every descriptor from 3 on but `keep`: what a careless parent has left open.
///
/// # Safety
/// No value in this process may own a descriptor from 3 on but those in `keep`.
pub unsafe fn close_inherited(keep: &[RawFd]) -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let fd: Option<RawFd> = name.to_str().and_then(|name| name.parse().ok());
        inherited.extend(fd.filter(|fd| *fd > 2 && !keep.contains(fd)));
    }
    for fd in inherited {
        // The folder's own descriptor is closed already, which is no harm.
        // SAFETY: the caller says that nobody owns it.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Puts /dev/null in the place of stdin and stdout, so that nobody waits for this process to close
/// a pipe. Errors: /dev/null cannot be opened.
pub fn replace_stdio() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(())
}

/// Which file stderr is, and how long. Errors: see fstat(2).
pub fn stderr_file() -> io::Result<(FileIdentity, u64)> {
    let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    Ok((identity_of(&file)?, file.metadata()?.len()))
}

/// Makes `file` the stderr of this process, in one step. Errors: see dup2(2).
pub fn replace_stderr(file: &File) -> io::Result<()> {
    Ok(nix::unistd::dup2_stderr(file)?)
}

/// Takes over a descriptor that the parent has passed by its number.
///
/// # Safety
/// Nothing else in this process may own `fd`.
pub unsafe fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD touches no memory.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and the caller says that nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Moves `fd` to a number of its own choice that a started program inherits, at least 3.
pub fn inheritable(fd: impl AsFd) -> io::Result<OwnedFd> {
    let raw = fd.as_fd().as_raw_fd();
    // SAFETY: F_DUPFD touches no memory; the number is new and nobody else's.
    unsafe {
        let copy = libc::fcntl(raw, libc::F_DUPFD, 3);
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(copy))
    }
}

/// Sets the soft limit of open files, and gives the one before. `None` is as many as allowed.
pub fn limit_open_files(soft: Option<u64>) -> io::Result<u64> {
    let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(
        Resource::RLIMIT_NOFILE,
        soft.map_or(hard, |soft| soft.min(hard)),
        hard,
    )?;
    Ok(before)
}

/// The soft limit of open files; none that can be read is a small one.
pub fn open_files_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft)
}

/// Is this error our own trouble, too few processes, descriptors, memory or room, and not a fault
/// of the command?
pub fn is_shortage(error: &io::Error) -> bool {
    let shortages = [
        Errno::EAGAIN,
        Errno::ENOMEM,
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOSPC,
        Errno::EDQUOT,
    ];
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_some_and(|errno| shortages.contains(&errno))
}
