//! The daemon's side of a shim: start one, send it orders, take its reports, read what one that
//! is gone has left.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::model::policy::Witness;
use crate::model::{AttemptNumber, RunId, Timestamp};
use crate::sys::files::{append_private, create_private, open_regular, remove_if_there, reserve};
use crate::sys::identity::{ProcessIdentity, World, open_child, signal};
use crate::sys::leftover::{Traces, left_of};
use crate::sys::process::Found;
use crate::sys::signal::SIGCONT;
use crate::sys::socket::{message_pair, receive_message, send_message};
use crate::sys::spawn::OwnProgram;
use crate::sys::{failpoint, lock};

use super::order::Message;
use super::record::{self, Ending, Record, Stage, Written};
use super::testimony::complaint;

/// A shim of this daemon.
#[derive(Debug)]
pub struct Shim {
    /// The name of its file in the folder of shims.
    pub file: String,
    /// Which process it is.
    pub identity: ProcessIdentity,
    control: OwnedFd,
    pidfd: OwnedFd,
}

/// What every shim of a daemon is started with.
#[derive(Debug)]
pub struct Nursery<'a> {
    /// This program.
    pub program: &'a OwnProgram,
    /// Where this process lives.
    pub world: &'a World,
    /// The folder of shims' files.
    pub folder: &'a Path,
    /// The daemon's log.
    pub log: &'a Path,
    /// The soft limit of open files that commands get.
    pub open_files: u64,
}

impl Shim {
    /// Starts a shim, which waits for an order. Errors: no process, memory, descriptor or room.
    pub fn start(nursery: &Nursery<'_>) -> io::Result<Self> {
        failpoint::reach("daemon_start_shim")?;
        let (file, record) = create_file(nursery.folder)?;
        let path = nursery.folder.join(&file);
        let started = start_in(nursery, &path, record);
        if started.is_err() {
            let _ = remove_if_there(&path);
        }
        let (identity, control, pidfd) = started?;
        Ok(Self {
            file,
            identity,
            control,
            pidfd,
        })
    }

    /// Tells it something, without blocking. Errors: it is gone.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        send_message(&self.control, &message.encode()?)
    }

    /// Lets it go on, if its command has stopped it.
    pub fn wake(&self) {
        signal(&self.pidfd, SIGCONT);
    }

    /// The next of its reports; `None` when there is none now, or none any more.
    pub fn receive(&self) -> io::Result<Option<Record>> {
        match receive_message(&self.control, &mut [0; record::SIZE_MAX], false) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| record::decode(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Readable when there is a report.
    pub fn reports(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Readable when it has ended.
    pub fn end(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn start_in(
    nursery: &Nursery<'_>,
    path: &Path,
    record: File,
) -> io::Result<(ProcessIdentity, OwnedFd, OwnedFd)> {
    reserve(&record, record::FILE_SIZE)?;
    // Opened for reading alone, because every command inherits it.
    let lock = File::open(path)?;
    if !lock::try_shared(&lock)? {
        return Err(io::Error::other("a new shim's file is locked"));
    }
    let (ours, theirs) = message_pair()?;
    let log = append_private(nursery.log, false)?;
    let pid = nursery
        .program
        .shim(theirs, record, log, &lock, nursery.open_files)?;
    // It is our child and not reaped, so the number is its own.
    let identity = nursery.world.identify(pid)?;
    Ok((identity, ours, open_child(pid)?))
}

fn create_file(folder: &Path) -> io::Result<(String, File)> {
    let stem = format!("{}-{}", clock::now().millis(), std::process::id());
    let mut n = 0;
    loop {
        let name = format!("{stem}-{n}");
        match create_private(&folder.join(&name)) {
            Ok(file) => return Ok((name, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
            Err(error) => return Err(error),
        }
    }
}

/// What the file of a shim that is gone tells of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It ended like this.
    Ended(Ending),
    /// It ended like this, and its decider was not heard; something of that one may be left.
    Undecided(Ending),
    /// Its command was never started.
    NeverStarted,
    /// Its command may have run, and nobody saw how it ended.
    Lost,
}

/// Reads the evidence of attempt `attempt` of `run` from a shim's file. With `same_boot` false
/// nothing but an ending counts, because what was written last may not have reached the disk.
pub fn evidence(
    path: &Path,
    run: RunId,
    attempt: AttemptNumber,
    same_boot: bool,
) -> io::Result<Evidence> {
    let record = match open_regular(path) {
        Ok(file) => record::read(&file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Evidence::Lost),
        Err(error) => return Err(error),
    };
    let stage = match record {
        // It may be of a newer retrier, or damaged: what it told is unknown.
        Written::Unreadable => return Ok(Evidence::Lost),
        Written::Record(record) if (record.run, record.attempt) == (run, attempt) => {
            Some(record.stage)
        }
        Written::Nothing | Written::Record(_) => None,
    };
    Ok(match stage {
        Some(Stage::Ended(ending)) => Evidence::Ended(ending),
        Some(Stage::Deciding(mut ending)) => {
            let error = "its shim ended before it had answered";
            let complaint = complaint(Witness::Decider, error);
            ending.testimony.complaints.push(complaint);
            Evidence::Undecided(ending)
        }
        Some(Stage::Starting | Stage::Running { .. }) => Evidence::Lost,
        Some(Stage::NotStarted { .. }) | None if same_boot => Evidence::NeverStarted,
        Some(Stage::NotStarted { .. }) | None => Evidence::Lost,
    })
}

/// The command of attempt `attempt` of `run`, and when it was started, as a shim that lives has it in its
/// file; `None` while it is not running, or when the file cannot be read.
pub fn running(path: &Path, run: RunId, attempt: AttemptNumber) -> Option<(i32, Timestamp)> {
    let file = File::open(path).ok()?;
    match record::read(&file).ok()? {
        Written::Record(record) if (record.run, record.attempt) == (run, attempt) => {
            match record.stage {
                Stage::Running { pid, started_at } => Some((pid, started_at)),
                Stage::Starting
                | Stage::Deciding(_)
                | Stage::Ended(_)
                | Stage::NotStarted { .. } => None,
            }
        }
        Written::Record(_) | Written::Nothing | Written::Unreadable => None,
    }
}

/// Is the shim of this file, or a process that inherited its lock, alive? `false` when the file
/// is gone.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    match open_existing(path)? {
        Some(file) => lock::is_held(&file),
        None => Ok(false),
    }
}

/// What to do with processes that a killed shim has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Only look whether there are any.
    Look,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// Ends what a shim that was killed has left of the attempt that it ran, or of its decider: the processes of its
/// session, those that hold its file's lock or may write to `outputs`, and those with `marks` in their
/// environment, among
/// the `seen`. `true`: some are left. The shim must have lived in this boot and pid namespace.
pub fn press_leftover(
    path: &Path,
    shim: &ProcessIdentity,
    outputs: &[PathBuf],
    marks: &[Vec<u8>],
    seen: &[Found],
    press: Press,
) -> io::Result<bool> {
    // Without the file, which somebody may have removed, there is less to go by.
    let file = open_existing(path)?;
    let record = match file.as_ref().map(record::read).transpose()? {
        Some(Written::Record(record)) => Some(record),
        Some(Written::Nothing | Written::Unreadable) | None => None,
    };
    let left = left_of(
        seen,
        &Traces {
            leader: shim,
            file: file.as_ref(),
            group: record.and_then(|record| match record.stage {
                Stage::Running { pid, .. } => Some(pid),
                Stage::Starting
                | Stage::Deciding(_)
                | Stage::Ended(_)
                | Stage::NotStarted { .. } => None,
            }),
            outputs,
            marks,
        },
    )?;
    for one in &left {
        match press {
            Press::Look => {}
            Press::Terminate => one.terminate(),
            Press::Kill => one.kill(),
        }
    }
    let held = file.as_ref().map_or(Ok(false), lock::is_held)?;
    Ok(!left.is_empty() || held)
}

fn open_existing(path: &Path) -> io::Result<Option<File>> {
    match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
