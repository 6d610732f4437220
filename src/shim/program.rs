//! The shim's own life: set-up, waiting for orders, leaving.
//!
//! Descriptors: 0 is the socket to the daemon, 1 the shim's file, 2 the daemon's log, and 3 the
//! lock, the one that commands inherit.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::sys::command::Starter;
use crate::sys::files::set_umask;
use crate::sys::identity::SHIM_NAME;
use crate::sys::signal::{HeldSignals, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, reset_inherited};
use crate::sys::socket::{receive_message, room, send_message};
use crate::sys::{failpoint, process};

use super::attempt::{Attempt, remove_empty_output};
use super::bound::Bound;
use super::decider;
use super::order::{Cause, Message, Order};
use super::record::{self, Record, Stage, VERSION};

/// The first argument that makes this program a shim.
pub const ARGUMENT: &str = "__shim";

/// A shim between its orders.
pub struct Shim {
    /// The daemon; `None` when it is gone.
    pub(super) daemon: Option<OwnedFd>,
    pub(super) starter: Starter,
    record: File,
    signals: HeldSignals,
    /// For messages from the daemon.
    room: Vec<u8>,
    /// Why the attempt that it runs is to be ended, once somebody wants that.
    pub(super) called_off: Option<Cause>,
    /// What keeps the output of the attempt that it runs within its limit.
    pub(super) bound: Option<Bound>,
    /// Kept open for the whole life: the lock that says that this shim, or what its command left,
    /// is alive.
    _lock: OwnedFd,
}

/// Runs this process as a shim until there is nothing more to do. `arguments` are what follows
/// [`ARGUMENT`]: the number of the inherited lock, and the soft limit of open files for commands.
/// Errors: the process was not started by a daemon, or its record cannot be synced.
pub fn main(arguments: &[OsString]) -> io::Result<()> {
    let number = |at: usize| {
        arguments
            .get(at)
            .and_then(|text| text.to_str()?.parse::<u64>().ok())
    };
    let (Some(lock), Some(open_files)) = (number(0), number(1)) else {
        return Err(io::Error::other("a shim is started by the daemon alone"));
    };
    let mut shim = Shim::set_up(lock as i32, open_files)?;
    let acknowledged = shim.serve()?;
    if !acknowledged {
        // The next daemon reads it, maybe after a power cut.
        shim.record.sync_data()?;
    }
    failpoint::reach("shim_left")
}

impl Shim {
    fn set_up(lock: i32, open_files: u64) -> io::Result<Self> {
        process::new_session();
        process::become_subreaper(SHIM_NAME)?;
        // SAFETY: this is the first thing that the process does; std alone is running.
        unsafe { process::close_inherited(&[lock])? };
        // SAFETY: the daemon has passed this number, and nobody else here knows it.
        let lock = unsafe { process::adopt(lock)? };
        process::limit_open_files(Some(open_files))?;
        set_umask(0o077);
        reset_inherited()?;
        let signals = HeldSignals::catch(&[SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT])?;
        Ok(Self {
            daemon: Some(io::stdin().as_fd().try_clone_to_owned()?),
            record: File::from(io::stdout().as_fd().try_clone_to_owned()?),
            starter: Starter::new()?,
            signals,
            room: room(),
            called_off: None,
            bound: None,
            _lock: lock,
        })
    }

    /// Runs orders until the daemon is gone or wants this shim to leave. `true`: the daemon has
    /// committed all that was recorded.
    fn serve(&mut self) -> io::Result<bool> {
        loop {
            match self.next_message()? {
                Some(Message::Attempt(order)) => {
                    let alone = self.run(&order)?;
                    if self.daemon.is_none() {
                        return Ok(false);
                    }
                    if !alone {
                        return Ok(self.await_leave()?.is_some());
                    }
                }
                // The attempt that it speaks of has ended meanwhile.
                Some(Message::End(_)) => {}
                Some(Message::Leave) => return Ok(true),
                None => return Ok(false),
            }
        }
    }

    /// With a child left there is no further attempt here: waits until the daemon has committed.
    fn await_leave(&mut self) -> io::Result<Option<()>> {
        loop {
            match self.next_message()? {
                Some(Message::Leave) => return Ok(Some(())),
                Some(Message::End(_) | Message::Attempt(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next message; `None` when the daemon is gone or a signal asks this shim to leave.
    fn next_message(&mut self) -> io::Result<Option<Message>> {
        let Some(daemon) = &self.daemon else {
            return Ok(None);
        };
        loop {
            let ready = self.signals.wait(&[daemon.as_fd()], None)?;
            let came = self.signals.take();
            if came.contains(&SIGCHLD) {
                process::reap_all()?;
            }
            if came.iter().any(|number| *number != SIGCHLD) {
                return Ok(None);
            }
            if ready[0] {
                let bytes = receive_message(daemon, &mut self.room, true)?;
                return bytes.map(|bytes| Message::decode(&bytes)).transpose();
            }
        }
    }

    /// Runs one attempt to its end. `true`: no process of it is left.
    fn run(&mut self, order: &Order) -> io::Result<bool> {
        failpoint::reach("shim_before_starting")?;
        self.called_off = None;
        // If this cannot be written, the command is not started: without it the next daemon
        // would take the attempt for one that never ran.
        if !failpoint::has_bug("no_starting_record") {
            self.tell(order, Stage::Starting, false)?;
        }
        failpoint::reach("shim_starting")?;
        let ending = Attempt::new(order).run(self)?;
        failpoint::reach("shim_ended")?;
        let ending = match ending {
            Stage::Ended(ending) => Stage::Ended(decider::ask(self, order, ending)?),
            other => other,
        };
        let leftover = match &ending {
            Stage::Ended(ending) => Some(ending.leftover),
            _ => None,
        };
        if let Some(bound) = self.bound.take() {
            // If this process dies meanwhile its outcome is safe, and its daemon cuts. If it cannot be
            // recorded now, telling it is still to come.
            let _ = self.tell(order, ending.clone(), false);
            bound.finish();
        }
        self.tell(order, ending, true)?;
        failpoint::reach("shim_reported")?;
        if leftover == Some(false) {
            // Nobody can write to them any more, and no other attempt ever has their names. Its
            // daemon settles it meanwhile: an empty file says the same as none.
            remove_empty_output(order);
        }
        Ok(leftover != Some(true))
    }

    /// Waits for at most `wait` until a child has ended, or until somebody wants the attempt to be
    /// ended, which is noted in `called_off`; the first who wants it counts. Returns as well when
    /// one of `others` is readable.
    pub(super) fn hear(
        &mut self,
        others: &[BorrowedFd<'_>],
        wait: Option<Duration>,
    ) -> io::Result<()> {
        let daemon = self.daemon.as_ref().map(AsFd::as_fd);
        let fds: Vec<_> = daemon.into_iter().chain(others.iter().copied()).collect();
        let look = self.bound.as_ref().and_then(Bound::look_in);
        let wait = wait.into_iter().chain(look).min();
        let ready = self.signals.wait(&fds, wait)?;
        if let Some(bound) = &mut self.bound {
            bound.look();
        }
        if self.signals.take().iter().any(|number| *number != SIGCHLD) {
            self.called_off.get_or_insert(Cause::Interrupted);
        }
        if self.daemon.is_some() && ready[0] {
            self.listen()?;
        }
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        let Some(daemon) = &self.daemon else {
            return Ok(());
        };
        match receive_message(daemon, &mut self.room, true)? {
            Some(bytes) => {
                // An order would break the protocol, and what the daemon wants then is unknown.
                if let Message::End(cause) = Message::decode(&bytes)? {
                    self.called_off.get_or_insert(cause);
                }
            }
            None => self.daemon = None,
        }
        Ok(())
    }

    /// Records a stage, and with `report` tells the daemon of it.
    pub(super) fn tell(&mut self, order: &Order, stage: Stage, report: bool) -> io::Result<()> {
        let encoded = record::encode(&Record {
            version: VERSION,
            run: order.run,
            attempt: order.attempt,
            stage,
        })?;
        let written = record::write(&self.record, &encoded);
        if let (true, Some(daemon)) = (report, &self.daemon) {
            // Told by either way, the outcome is safe; a daemon that is gone reads the record.
            if send_message(daemon, &encoded).is_ok() {
                return Ok(());
            }
        }
        written
    }
}
