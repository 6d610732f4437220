//! One daemon per database: whoever holds the lock of `FILE.d/lock`.
//!
//! The lock dies with its holder. What the file says is only for people and for signals, and is
//! believed while the lock is held.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::model::Timestamp;
use crate::store::{Folder, StoreError};
use crate::sys::files::{FileIdentity, file_identity, identity_of, open_private, open_regular};
use crate::sys::identity::{Liveness, ProcessIdentity, World, signal};
use crate::sys::manager::Manager;
use crate::sys::poll::wait_readable;
use crate::sys::signal::SIGHUP;
use crate::sys::{failpoint, lock};

/// How long a daemon may take from its lock to its name.
const NAMED_WITHIN: Duration = Duration::from_secs(1);

/// How long a daemon that cannot serve any more may take to leave.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// How often its name is looked for.
const NAMED_AGAIN: Duration = Duration::from_millis(10);

/// The daemon that holds a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Which process it is.
    pub process: ProcessIdentity,
    /// Whether it makes room for one that a person starts.
    pub automatic: bool,
    /// Who has started it, and how.
    #[serde(default)]
    pub start: Start,
    /// What it was told, for the one that is to take its place.
    #[serde(default)]
    pub options: Vec<String>,
    /// The version of its program.
    pub version: String,
    /// Since when it holds the database.
    pub since: Timestamp,
    /// How many attempts it has open at once in all pools, hooks not counted, if that is limited.
    #[serde(default)]
    pub parallel: Option<usize>,
    /// Why it starts nothing at the moment, if there is such a reason.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// Who has started a daemon, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// A person, in the foreground, or a service manager that somebody else has told to.
    #[default]
    Foreground,
    /// A person, in the background.
    Detached,
    /// A client that needed one.
    Client,
    /// Whoever wants done what is due now, and no more.
    Tick,
    /// The user's service manager, as the unit of this name.
    Unit(String),
}

impl Holder {
    /// Does it make room for `other`? One that only ticks does for all that stay, one that a client has
    /// started for all that a person has.
    pub fn yields_to(&self, other: &Self) -> bool {
        self.patience() < other.patience()
    }

    fn patience(&self) -> u8 {
        match (&self.start, self.automatic) {
            (Start::Tick, _) => 0,
            (_, true) => 1,
            (_, false) => 2,
        }
    }
}

/// What is written down is filled up to this size, so that one write replaces it and a full disk
/// cannot keep a longer one out.
const SIZE: usize = 2048;

/// A text about trouble is cut to so many characters, so that it fits even when each is escaped.
const TROUBLE_MAX: usize = 200;

/// The held lock; given back when it is dropped.
#[derive(Debug)]
pub struct DaemonLock {
    file: File,
    /// Which file it is, whatever stands at its path by now.
    identity: Option<FileIdentity>,
    holder: RefCell<Holder>,
    manager: Manager,
}

impl DaemonLock {
    /// Takes the lock and writes down who has it. `None`: somebody else holds it. Who manages this
    /// process as a service is told what the file is told.
    pub fn take(folder: &Folder, holder: &Holder) -> io::Result<Option<Self>> {
        let file = open_private(&folder.lock())?;
        if !lock::try_exclusive(&file)? && !failpoint::has_bug("no_daemon_lock") {
            return Ok(None);
        }
        failpoint::reach("lock_taken")?;
        write(&file, holder)?;
        Ok(Some(Self {
            identity: identity_of(&file).ok(),
            file,
            holder: RefCell::new(holder.clone()),
            manager: match holder.start {
                Start::Foreground | Start::Unit(_) => Manager::of_environment(),
                Start::Detached | Start::Client | Start::Tick => Manager::default(),
            },
        }))
    }

    /// Tells the service manager that clients are served.
    pub fn tell_ready(&self, folder: &Folder) {
        let status = format!("serving {}", folder.database().display());
        self.manager
            .tell(&format!("READY=1\nSTATUS={}", one_line(&status)));
    }

    /// Tells the service manager that the daemon is about to leave.
    pub fn tell_stopping(&self) {
        self.manager
            .tell("STOPPING=1\nSTATUS=leaving; attempts that run live on");
    }

    /// Writes down why nothing is started at the moment, for whoever looks at a run that waits. It
    /// is only for people: when it cannot be written the daemon goes on.
    pub fn tell(&self, trouble: Option<&str>) {
        let trouble = trouble.map(|text| text.chars().take(TROUBLE_MAX).collect());
        let mut holder = self.holder.borrow_mut();
        if holder.trouble != trouble {
            let status = trouble.as_deref().unwrap_or("serving");
            self.manager.tell(&format!("STATUS={}", one_line(status)));
            holder.trouble = trouble;
            if let Err(error) = write(&self.file, &holder) {
                tracing::warn!("the lock file: {error}");
            }
        }
    }

    /// Looks whether another daemon would find this lock. Errors: it would not, because the file
    /// was removed or replaced.
    pub fn check_place(&self, folder: &Folder) -> Result<(), StoreError> {
        let path = folder.lock();
        if self.identity.is_some() && self.identity == file_identity(&path) {
            return Ok(());
        }
        Err(StoreError::Displaced { path })
    }

    /// Gives the lock back while the process lives on.
    pub fn release(&self) -> io::Result<()> {
        lock::release(&self.file)
    }
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, "?")
}

fn write(file: &File, holder: &Holder) -> io::Result<()> {
    let mut text = serde_json::to_vec(holder)?;
    text.resize(text.len().max(SIZE), b' ');
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)
}

/// Does a daemon hold this database?
pub fn is_held(folder: &Folder) -> io::Result<bool> {
    match open_regular(&folder.lock()) {
        Ok(file) => lock::is_held(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Who holds this database; `None` when nobody does, or has not written it down yet.
pub fn find(folder: &Folder) -> io::Result<Option<Holder>> {
    let mut file = match open_regular(&folder.lock()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if !lock::is_held(&file)? {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok())
}

/// Who holds this database. One that has just taken it has yet to write down who it is, and the file
/// may still name an earlier one: it gets a second. `None`: nobody holds it, or it is not known who.
pub fn await_name(folder: &Folder, world: &World) -> io::Result<Option<Holder>> {
    let began = clock::monotonic();
    loop {
        let found = find(folder)?;
        let seen = found.as_ref().map(|holder| world.look_up(&holder.process));
        let waited = clock::monotonic().saturating_duration_since(began);
        match seen {
            None | Some(Liveness::Dead | Liveness::OtherBoot) if waited <= NAMED_WITHIN => {}
            None | Some(Liveness::Dead) => return Ok(None),
            Some(_) => return Ok(found),
        }
        if !is_held(folder)? {
            return Ok(None);
        }
        wait_readable(&[], Some(NAMED_AGAIN))?;
    }
}

/// Has the daemon that holds this database look into it, without its doorbell. Nothing happens when
/// it has not written down who it is, and so has yet to look, or lives in another pid namespace.
pub fn wake(folder: &Folder) -> io::Result<()> {
    // A second look: what it says may be rewritten at this moment.
    if let Some(holder) = find(folder)?.or(find(folder)?)
        && let Liveness::Alive(pidfd) = World::current()?.look_up(&holder.process)
    {
        signal(&pidfd, SIGHUP);
    }
    Ok(())
}

/// Has a daemon leave that knows an earlier layout alone: it finds that out when it is woken. Waits for
/// that. `false`: there was none. To be called after the layout was changed.
pub fn outlive_earlier(folder: &Folder) -> io::Result<bool> {
    if !is_held(folder)? {
        return Ok(false);
    }
    let earlier = await_name(folder, &World::current()?)?;
    let began = clock::monotonic();
    wake(folder)?;
    while is_held(folder)?
        && find(folder)?.map(|now| now.process) == earlier.as_ref().map(|then| then.process.clone())
    {
        if clock::monotonic().saturating_duration_since(began) > LEAVES_WITHIN {
            break;
        }
        wait_readable(&[], Some(NAMED_AGAIN))?;
    }
    Ok(true)
}
