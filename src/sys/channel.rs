//! What goes into a program and what comes out of it, so that neither side can make this process
//! wait: a file in memory, and a pipe.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::pipe2;

/// A file without a name that holds `bytes`, to be read from its start. Errors: no memory.
pub fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("retrier", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// What a program says, up to a limit, read as it comes.
#[derive(Debug)]
pub struct Ear {
    pipe: Option<File>,
    heard: Vec<u8>,
    max: usize,
}

impl Ear {
    /// An ear for at most `max` bytes, and the file to speak into. Errors: see pipe2(2).
    pub fn new(max: usize) -> io::Result<(Self, File)> {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        // This end alone: whoever speaks wants a pipe that waits for room.
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let ear = Self {
            pipe: Some(File::from(ours)),
            heard: Vec::new(),
            max,
        };
        Ok((ear, File::from(theirs)))
    }

    /// Readable while there is something to hear; none when nobody can say anything any more.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Hears what was said until now. `false`: it is more than the limit, and nothing more is heard.
    /// Errors: see read(2).
    pub fn listen(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.heard.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.heard.len() > self.max {
                self.pipe = None;
                return Ok(false);
            }
        }
        Ok(self.heard.len() <= self.max)
    }

    /// What was heard.
    pub fn heard(&self) -> &[u8] {
        &self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ear_waits_for_nobody_and_hears_no_more_than_its_limit() {
        let (mut ear, mut mouth) = Ear::new(10).unwrap();
        assert!(ear.listen().unwrap());
        mouth.write_all(b"0123456789").unwrap();
        assert!(ear.listen().unwrap());
        assert!(ear.fd().is_some());
        mouth.write_all(b"x").unwrap();
        assert!(!ear.listen().unwrap());
        assert!(ear.fd().is_none() && !ear.listen().unwrap());
        assert!(mouth.write_all(b"x").is_err(), "nobody listens");
        let (mut ear, mouth) = Ear::new(10).unwrap();
        drop(mouth);
        assert!(ear.listen().unwrap() && ear.fd().is_none());
    }
}
