//! Holding a database: one daemon at a time, from its lock to its end.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use crate::clock;
use crate::store::{Access, Folder, Store, StoreError, is_doubtful};
use crate::sys::identity::{Liveness, World, terminate};
use crate::sys::poll::wait_readable;
use crate::sys::process::{limit_open_files, reap_all};
use crate::sys::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, Signals};

use super::cycle::Daemon;
use super::holder::{self, DaemonLock, Holder, Start};
use super::pause::Pause;

/// After so long without trouble the next trouble is the first again.
const PEACE: Duration = Duration::from_secs(60);

/// What a daemon is told when it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many attempts may be open at once in all pools, hooks not counted; `None` leaves it to
    /// the pools.
    pub parallel: Option<usize>,
    /// How long a finished run is kept, from its ending; `None` is for ever.
    pub retention: Option<Duration>,
    /// Ends the daemon when there was no unfinished run for so long; `None` is never.
    pub until_idle: Option<Duration>,
    /// Who started it, and how; it makes room accordingly.
    pub start: Start,
    /// What it was told, as it would be told again.
    pub options: Vec<String>,
    /// Leaves when nothing that is due now is left to be done, at the latest after so long; `None` is
    /// never.
    pub tick: Option<Duration>,
    /// How often statistics are logged; `None` is never.
    pub stats_interval: Option<Duration>,
}

/// Why a daemon ended that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another daemon holds the database.
    #[error("{}", held(.0))]
    Held(Option<Box<Holder>>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// It leaves, and has not done what is due for this reason.
    #[error("{0}")]
    Troubled(String),
}

impl Config {
    /// Does it make room for one that a person starts?
    pub fn is_automatic(&self) -> bool {
        matches!(self.start, Start::Client | Start::Tick)
    }
}

impl ServeError {
    /// May it work again later, without anybody's help or with room made on the disk?
    fn may_pass(&self) -> bool {
        match self {
            Self::Held(_) | Self::Troubled(_) => false,
            Self::System(..) => true,
            Self::Store(error) => match error {
                StoreError::NotOurs { .. }
                | StoreError::Newer { .. }
                | StoreError::Older { .. }
                | StoreError::Damaged { .. }
                | StoreError::NotPrivate { .. }
                | StoreError::Network { .. }
                | StoreError::Displaced { .. }
                | StoreError::NoFolder { .. } => false,
                // The one that stands there now may be ours to serve.
                StoreError::Replaced { path } => path.exists(),
                StoreError::NoRun { .. }
                | StoreError::NoKey { .. }
                | StoreError::NoPool { .. }
                | StoreError::PoolFull { .. }
                | StoreError::Full { .. }
                | StoreError::Busy { .. }
                | StoreError::ReadOnly { .. }
                | StoreError::NotCopied { .. }
                | StoreError::There { .. }
                | StoreError::NotKept { .. }
                | StoreError::Unknown { .. }
                | StoreError::Io { .. }
                | StoreError::Sqlite { .. } => true,
            },
        }
    }
}

fn held(holder: &Option<Box<Holder>>) -> String {
    match holder {
        Some(holder) => format!("a daemon holds this database, pid {}", holder.process.pid),
        None => "a daemon holds this database".to_owned(),
    }
}

/// Serves the database of `folder` until there is nothing to do, or somebody asks to stop; `ready`
/// is called once clients can be served. Errors: it could not, and says why.
pub fn serve(folder: &Folder, config: Config, ready: impl FnOnce()) -> Result<(), ServeError> {
    let system = |what| move |error| ServeError::System(what, error);
    let world = World::current().map_err(system("/proc"))?;
    look_into(folder, &config)?;
    // Before the lock: from then on clients send signals to its holder.
    let caught = [SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2];
    let signals = Rc::new(Signals::catch(&caught).map_err(system("signals"))?);
    let lock = Rc::new(hold(folder, &config, &world)?);
    let mut open_files = 0;
    limit_open_files(None)
        .map(|before| open_files = before)
        .map_err(system("the limit of open files"))?;
    let mut ready = Some(ready);
    let mut trouble = Pause::default();
    let mut asked = Vec::new();
    loop {
        let began = clock::monotonic();
        let opened = Daemon::open(folder, &config, &world, open_files, &signals, &lock);
        let served = opened.and_then(|mut daemon| {
            daemon.recover()?;
            for signal in asked.drain(..) {
                daemon.obey(signal)?;
            }
            if let Some(ready) = ready.take() {
                tracing::info!("serving {}", folder.database().display());
                if is_doubtful(folder) {
                    tracing::warn!("a program serves its filesystem (FUSE): its locks must reach every machine that uses it");
                }
                lock.tell_ready(folder);
                ready();
            }
            let ran = daemon.run().and_then(|()| daemon.end_tick());
            asked.append(&mut daemon.obeyed);
            ran
        });
        match served {
            Ok(()) => return Ok(()),
            // After a failed commit nobody knows what is stored: everything is read again. The
            // shims finish what they run and are found again by their files.
            Err(error) if ready.is_none() && error.may_pass() && config.tick.is_none() => {
                let now = clock::monotonic();
                if now.saturating_duration_since(began) > PEACE {
                    trouble.clear();
                }
                let pause = trouble.hit(now, error.to_string());
                lock.tell(trouble.why());
                tracing::error!("{error}; starting over in {} s", pause.as_secs());
                asked.extend(rest(&signals, pause).map_err(system("signals"))?);
                if asked
                    .iter()
                    .any(|signal| [SIGTERM, SIGINT].contains(signal))
                {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Looks whether the database can be used, before anything is held, and brings an earlier layout up to
/// date; a daemon that knows that one alone leaves. Errors: it cannot be used.
fn look_into(folder: &Folder, config: &Config) -> Result<(), ServeError> {
    // A client that starts a daemon has one: if it is gone by now, it is not made again.
    let access = if config.is_automatic() {
        Access::Existing
    } else {
        Access::Create
    };
    let path = folder.database().to_owned();
    let store = Store::open(folder, access)?.ok_or(StoreError::Replaced { path })?;
    if let Some(kept) = store.kept() {
        let (path, kept) = (folder.database().display(), kept.display());
        tracing::info!("{path} has a new layout; as it was it is kept in {kept}");
        let system = |error| ServeError::System("the daemon's lock", error);
        holder::outlive_earlier(folder).map_err(system)?;
    }
    Ok(())
}

/// Rests for `pause`, or until somebody asks for something. Gives the signals that came; a shim
/// that ends is no reason to wake.
fn rest(signals: &Signals, pause: Duration) -> io::Result<Vec<i32>> {
    let until = clock::monotonic().checked_add(pause);
    loop {
        let now = clock::monotonic();
        let left = until.map(|until| until.saturating_duration_since(now));
        if left.is_none_or(|left| left.is_zero()) {
            return Ok(Vec::new());
        }
        wait_readable(&[signals.as_fd()], left)?;
        let mut asked = signals.take();
        reap_all()?;
        asked.retain(|signal| ![SIGCHLD, SIGHUP].contains(signal));
        if !asked.is_empty() {
            return Ok(asked);
        }
    }
}

/// Takes the daemon's lock; one that a client has started makes room for one that a person starts, and
/// one that ticks for both.
fn hold(folder: &Folder, config: &Config, world: &World) -> Result<DaemonLock, ServeError> {
    let system = |error| ServeError::System("the daemon's lock", error);
    let own = world.identify(std::process::id() as i32).map_err(system)?;
    let me = Holder {
        process: own,
        automatic: config.is_automatic(),
        start: config.start.clone(),
        options: config.options.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        since: clock::now(),
        parallel: config.parallel,
        trouble: None,
    };
    loop {
        if let Some(lock) = DaemonLock::take(folder, &me).map_err(system)? {
            return Ok(lock);
        }
        let found = holder::await_name(folder, world).map_err(system)?;
        if found.is_none() && !holder::is_held(folder).map_err(system)? {
            // It has left meanwhile.
            continue;
        }
        let other = found.as_ref().filter(|other| other.yields_to(&me));
        let seen = other.map(|other| world.look_up(&other.process));
        let Some(Liveness::Alive(pidfd)) = seen else {
            return Err(ServeError::Held(found.map(Box::new)));
        };
        terminate(&pidfd);
        let limit = Some(Duration::from_secs(10));
        if !wait_readable(&[pidfd.as_fd()], limit).map_err(system)?[0] {
            return Err(ServeError::Held(found.map(Box::new)));
        }
    }
}
