//! The doorbell: how clients wake the daemon, and how the daemon wakes clients.
//!
//! A client connects before its transaction begins; that the connection closes, also because the
//! client was killed, is the ring. What travels on it are hints, numbers of 8 bytes in the
//! machine's order, and never authority: `+id` asks to be told when run `id` has ended, `-id` says
//! that run `id` may have changed, `id` with `WATCH` asks to be told of its attempts as well. The
//! daemon answers `+id` for an ending, and `-id` for an attempt after which the run goes on. Both
//! sides look into the database for the truth.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::model::RunId;
use crate::store::Folder;
use crate::sys::failpoint;
use crate::sys::files::{FileIdentity, file_identity, remove_if_there};
use crate::sys::poll::Poller;
use crate::sys::process::is_shortage;
use crate::sys::socket::{Connected, connect_in, listen_in, refuse};

/// The daemon's side.
#[derive(Debug)]
pub struct Doorbell {
    listener: UnixListener,
    /// Which file its address is.
    file: Option<FileIdentity>,
    callers: BTreeMap<u64, Caller>,
    waiters: HashMap<RunId, Vec<u64>>,
    watchers: HashMap<RunId, Vec<u64>>,
    next: u64,
    callers_max: usize,
}

/// How much of a caller is read at a time, so that one who never stops talking does not keep the
/// daemon from its work.
const READ_MAX: usize = 64 * 1024;

/// How many hints of one caller are kept. One who has more is let go, and looks for himself.
const HINTS_MAX: usize = 128 * 1024;

/// In a hint: that attempts are asked for. No run has such an id, so an older daemon says that it has
/// ended, which nobody waits for.
const WATCH: i64 = 1 << 62;

#[derive(Debug)]
struct Caller {
    stream: UnixStream,
    unread: Vec<u8>,
    awaited: Vec<RunId>,
    watched: Vec<RunId>,
    changed: Vec<RunId>,
}

/// What a caller's connection had to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// It closed: there may be something new in the database.
    pub rang: bool,
    /// Runs that may have ended: somebody waits for them, and should be told if they have.
    pub look_at: Vec<RunId>,
}

impl Doorbell {
    /// Hangs the doorbell of `folder`. The caller holds the daemon's lock, so an old socket is a
    /// dead one's. It lets in `callers_max` at once. Errors: see bind(2).
    pub fn hang(folder: &Folder, callers_max: usize) -> io::Result<Self> {
        let (listener, file) = listen(folder)?;
        Ok(Self {
            listener,
            file,
            callers: BTreeMap::new(),
            waiters: HashMap::new(),
            watchers: HashMap::new(),
            next: 0,
            callers_max,
        })
    }

    /// Is the doorbell still where it was hung?
    pub fn is_in_place(&self, folder: &Folder) -> bool {
        self.file.is_some() && file_identity(&folder.doorbell()) == self.file
    }

    /// Hangs it anew; who has called is still heard. The listener is another one then.
    pub fn hang_again(&mut self, folder: &Folder) -> io::Result<()> {
        (self.listener, self.file) = listen(folder)?;
        Ok(())
    }

    /// Takes it down, if it is there: another daemon's stays, one of a folder that came instead.
    pub fn take_down(&self, folder: &Folder) -> io::Result<()> {
        if self.is_in_place(folder) {
            remove_if_there(&folder.doorbell())?;
        }
        Ok(())
    }

    /// Takes it down for good: whoever has called, or is about to, finds out that nobody hears him.
    pub fn hang_up(&mut self, folder: &Folder) -> io::Result<()> {
        self.take_down(folder)?;
        refuse(&self.listener)?;
        while self.listener.accept().is_ok() {}
        self.callers.clear();
        self.waiters.clear();
        self.watchers.clear();
        Ok(())
    }

    /// The runs that somebody waits for.
    pub fn awaited(&self) -> impl Iterator<Item = RunId> {
        self.waiters.keys().copied()
    }

    /// Readable when somebody wants to connect.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Lets everybody in who wants to connect; `token` makes a poller's token of a caller's
    /// number. `false`: there are too many for all of them.
    pub fn accept(&mut self, poller: &Poller, token: impl Fn(u64) -> u64) -> io::Result<bool> {
        loop {
            if self.callers.len() >= self.callers_max && !self.let_one_go() {
                return Ok(false);
            }
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) if is_shortage(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            poller.add(&stream, token(self.next))?;
            let caller = Caller {
                stream,
                unread: Vec::new(),
                awaited: Vec::new(),
                watched: Vec::new(),
                changed: Vec::new(),
            };
            self.callers.insert(self.next, caller);
            self.next += 1;
        }
    }

    /// Lets the waiter go who came first: he looks for himself, and calls again. `false`: nobody
    /// waits, all are about to ring.
    fn let_one_go(&mut self) -> bool {
        let waits = |(_, caller): &(&u64, &Caller)| !caller.awaited.is_empty();
        let first = self.callers.iter().find(waits).map(|(number, _)| *number);
        first.is_some_and(|number| {
            self.forget(number);
            true
        })
    }

    /// Hears what caller `number` has to say.
    pub fn hear(&mut self, number: u64) -> Heard {
        let Some(caller) = self.callers.get_mut(&number) else {
            return Heard::default();
        };
        let mut heard = Heard::default();
        let mut bytes = [0; 4096];
        let mut open = loop {
            if caller.unread.len() >= READ_MAX {
                break true;
            }
            match caller.stream.read(&mut bytes) {
                Ok(0) => break false,
                Ok(count) => caller.unread.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        for hint in take_hints(&mut caller.unread) {
            if hint > 0 && hint & WATCH != 0 {
                let id = RunId(hint & !WATCH);
                caller.watched.push(id);
                self.watchers.entry(id).or_default().push(number);
            } else if hint > 0 {
                let id = RunId(hint);
                caller.awaited.push(id);
                self.waiters.entry(id).or_default().push(number);
                heard.look_at.push(id);
            } else {
                caller.changed.push(RunId(hint.saturating_neg()));
            }
        }
        let hints = caller.awaited.len() + caller.watched.len() + caller.changed.len();
        open &= hints <= HINTS_MAX;
        if !open {
            heard.rang = !failpoint::has_bug("deaf_to_hangups");
            let changed = self.forget(number);
            heard.look_at.extend(changed);
        }
        heard.look_at.retain(|id| self.waiters.contains_key(id));
        heard
    }

    /// Tells everybody who waits for run `id` that it has ended.
    pub fn tell_end(&mut self, id: RunId) {
        for number in self.waiters.remove(&id).unwrap_or_default() {
            let Some(caller) = self.callers.get_mut(&number) else {
                continue;
            };
            caller.awaited.retain(|awaited| *awaited != id);
            // Somebody who does not read what he asked for is let go; he looks for himself then.
            if !matches!(caller.stream.write(&id.0.to_ne_bytes()), Ok(8)) {
                self.forget(number);
            }
        }
    }

    /// Tells everybody who watches run `id` that an attempt of it has ended, and that it goes on.
    pub fn tell_attempt(&mut self, id: RunId) {
        let Some(numbers) = self.watchers.get(&id) else {
            return;
        };
        for number in numbers.clone() {
            let Some(caller) = self.callers.get_mut(&number) else {
                continue;
            };
            if !matches!(caller.stream.write(&(-id.0).to_ne_bytes()), Ok(8)) {
                self.forget(number);
            }
        }
    }

    /// Lets a caller go; gives the runs that it has said to have changed.
    fn forget(&mut self, number: u64) -> Vec<RunId> {
        let Some(caller) = self.callers.remove(&number) else {
            return Vec::new();
        };
        leave(&mut self.waiters, &caller.awaited, number);
        leave(&mut self.watchers, &caller.watched, number);
        caller.changed
    }
}

/// Takes caller `number` out of those who are to be told of these runs.
fn leave(callers: &mut HashMap<RunId, Vec<u64>>, runs: &[RunId], number: u64) {
    for id in runs {
        if let Some(numbers) = callers.get_mut(id) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                callers.remove(id);
            }
        }
    }
}

fn listen(folder: &Folder) -> io::Result<(UnixListener, Option<FileIdentity>)> {
    remove_if_there(&folder.doorbell())?;
    let listener = listen_in(&folder.open()?, Folder::DOORBELL)?;
    Ok((listener, file_identity(&folder.doorbell())))
}

fn take_hints(unread: &mut Vec<u8>) -> Vec<i64> {
    let whole = unread.len() / 8 * 8;
    let taken: Vec<u8> = unread.drain(..whole).collect();
    let hints = taken
        .chunks_exact(8)
        .filter_map(|bytes| bytes.try_into().ok());
    hints.map(i64::from_ne_bytes).collect()
}

/// What a daemon has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// This run has ended.
    Ended(RunId),
    /// An attempt of this run has ended, and the run goes on.
    Attempt(RunId),
}

/// A client's connection to the doorbell. Dropping it rings.
#[derive(Debug)]
pub struct Ring {
    stream: Option<UnixStream>,
}

impl Ring {
    /// Connects, if a daemon listens. A daemon with so many callers that this one finds no place
    /// will look into the database anyway.
    pub fn connect(folder: &Folder) -> Self {
        let dir: io::Result<File> = folder.open();
        let connected = dir.and_then(|dir| connect_in(&dir, Folder::DOORBELL));
        Self {
            stream: match connected {
                Ok(Connected::Yes(stream)) => Some(stream),
                Ok(Connected::Full | Connected::No) | Err(_) => None,
            },
        }
    }

    /// Does a daemon listen?
    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// Rings. `false`: the daemon that was called does not hear it, because there was none or it has
    /// gone. To be called after the commit that it is to see: it may have given way meanwhile to one that
    /// has looked before.
    pub fn ring(mut self) -> bool {
        self.told();
        match self.is_connected() {
            true => tracing::debug!("rang the doorbell of the daemon"),
            false => tracing::debug!("no daemon has heard the doorbell"),
        }
        self.is_connected()
    }

    /// Says that these runs may have changed when the connection closes.
    pub fn mark_changed(&mut self, ids: &[RunId]) {
        self.send(ids.iter().map(|id| -id.0));
    }

    /// Asks to be told when these runs have ended.
    pub fn ask_for(&mut self, ids: &[RunId]) {
        self.send(ids.iter().map(|id| id.0));
    }

    /// Asks to be told of each attempt of this run after which it goes on.
    pub fn watch(&mut self, id: RunId) {
        self.send(std::iter::once(id.0 | WATCH));
    }

    fn send(&mut self, hints: impl Iterator<Item = i64>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let bytes: Vec<u8> = hints.flat_map(i64::to_ne_bytes).collect();
        // A daemon that is stopped must not stop its clients: without the hint they look for
        // themselves.
        if stream.write_all(&bytes).is_err() {
            self.stream = None;
        }
    }

    /// Readable when the daemon has told something or is gone.
    pub fn stream(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    /// Takes what the daemon has told. Closed connections are noticed.
    pub fn told(&mut self) -> Vec<Told> {
        let Some(stream) = &mut self.stream else {
            return Vec::new();
        };
        let mut told = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => self.stream = None,
                Ok(count) => {
                    told.extend_from_slice(&bytes[..count]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.stream = None,
            }
            let told = take_hints(&mut told).into_iter();
            let heard = told.map(|hint| match hint {
                ended @ 0.. => Told::Ended(RunId(ended)),
                attempt => Told::Attempt(RunId(attempt.saturating_neg())),
            });
            return heard.collect();
        }
    }
}
