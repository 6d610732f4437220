//! Locks that die with their holder: open file description locks (fcntl_locking(2)).
//!
//! A lock belongs to the open file, not to the process: it lives as long as any process holds a
//! duplicate of the descriptor, and looking at it (`F_OFD_GETLK`) never takes it, not even for a
//! moment, so a probe cannot make a starting daemon believe that there is another one.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// Takes the exclusive lock on `file`, which must be open for writing. `false`: somebody has it.
pub fn try_exclusive(file: &File) -> io::Result<bool> {
    try_lock(file, libc::F_WRLCK)
}

/// Takes a shared lock on `file`, which must be open for reading. `false`: it is locked
/// exclusively.
pub fn try_shared(file: &File) -> io::Result<bool> {
    try_lock(file, libc::F_RDLCK)
}

/// Takes the exclusive lock on one byte of `file`, which must be open for writing. `false`: somebody
/// has a lock on it.
pub fn try_exclusive_byte(file: &File, at: i64) -> io::Result<bool> {
    try_range(file, &byte(at, libc::F_WRLCK))
}

/// Takes a shared lock on one byte of `file`, or makes that of an exclusive one. `false`: it is
/// locked exclusively.
pub fn try_shared_byte(file: &File, at: i64) -> io::Result<bool> {
    try_range(file, &byte(at, libc::F_RDLCK))
}

/// Gives the lock back while the file stays open.
pub fn release(file: &File) -> io::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)))?;
    Ok(())
}

/// Gives the lock on one byte of `file` back.
pub fn release_byte(file: &File, at: i64) -> io::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&byte(at, libc::F_UNLCK)))?;
    Ok(())
}

/// Does anybody else hold a lock on `file`, of either kind?
pub fn is_held(file: &File) -> io::Result<bool> {
    let mut lock = whole_file(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn try_lock(file: &File, kind: libc::c_int) -> io::Result<bool> {
    try_range(file, &whole_file(kind))
}

fn try_range(file: &File, range: &libc::flock) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(range)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn byte(at: i64, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_start: at,
        l_len: 1,
        ..whole_file(kind)
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_sees_the_lock_and_never_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let holder = File::create(&path).unwrap();
        let probe = File::options().read(true).write(true).open(&path).unwrap();
        assert!(!is_held(&probe).unwrap());
        assert!(try_exclusive(&holder).unwrap());
        assert!(is_held(&probe).unwrap());
        assert!(!try_exclusive(&probe).unwrap());
        let duplicate = holder.try_clone().unwrap();
        drop(holder);
        assert!(is_held(&probe).unwrap());
        drop(duplicate);
        assert!(!is_held(&probe).unwrap());
    }
}
