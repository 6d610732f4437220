//! What every verb needs: which database, its store, its daemon.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::daemon::doorbell::Ring;
use crate::daemon::holder::{self, Holder, Start};
use crate::daemon::launch;
use crate::model::RunId;
use crate::store::{Access, Folder, Store, StoreError};
use crate::sys::identity::ProcessStat;
use crate::text::escape_text;

use super::failure::{Failure, code};
use super::out;

/// A client of one database.
#[derive(Debug)]
pub struct Client {
    /// Its paths.
    pub folder: Folder,
    /// Whether a daemon is started when there is none.
    pub starts_daemons: bool,
    /// Whether it merely looks at what is there.
    pub looks: bool,
}

/// What there is of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// None runs.
    None,
    /// One serves.
    Well {
        /// How many attempts it has open at once in all pools, if that is limited.
        parallel: Option<usize>,
        /// Whether it stays for what is due later.
        stays: bool,
    },
    /// One runs and starts nothing at the moment, for this reason.
    Troubled(String),
    /// Somebody has stopped the one that runs, this process.
    Stopped(i32),
}

impl Client {
    /// A client of the database at `db`, or of the default one. Errors: there is no home folder.
    pub fn new(db: Option<&Path>) -> anyhow::Result<Self> {
        // Set to nothing is not set.
        let path = match db.filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => path.to_owned(),
            None => default_database()?,
        };
        let absolute = std::path::absolute(&path).with_context(|| path.display().to_string())?;
        tracing::debug!("the database is {}", absolute.display());
        Ok(Self {
            folder: Folder::of(&absolute),
            starts_daemons: !is_set("RETRIER_NO_DAEMON_START"),
            looks: false,
        })
    }

    /// The store, made when it is not there.
    pub fn create(&self) -> anyhow::Result<Store> {
        let store = self.opened(Store::open(&self.folder, Access::Create)?);
        let path = self.folder.database().display();
        let store = store.with_context(|| format!("{path} is gone"))?;
        tracing::debug!("opened the database, which is made if it is not there");
        Ok(store)
    }

    /// The store; `None` when nothing was ever stored.
    pub fn existing(&self) -> anyhow::Result<Option<Store>> {
        let access = match self.looks {
            true => Access::Look,
            false => Access::Existing,
        };
        let store = self.opened(Store::open(&self.folder, access)?);
        match store {
            Some(_) => tracing::debug!("opened the database"),
            None => tracing::debug!("there is no database yet"),
        }
        Ok(store)
    }

    /// The store that must hold run `id`.
    pub fn holding(&self, id: RunId) -> anyhow::Result<Store> {
        Ok(self.existing()?.ok_or_else(|| self.no_run(id))?)
    }

    /// Tells of an earlier layout that was changed on the way, once, and has a daemon serve that knows the
    /// new one, if one did that knew the earlier one alone.
    fn opened(&self, store: Option<Store>) -> Option<Store> {
        if let Some(kept) = store.as_ref().and_then(Store::kept) {
            let path = |path: &Path| escape_text(&path.display().to_string());
            let (database, kept) = (path(self.folder.database()), path(kept));
            out::note(&format!(
                "{database} has a new layout; as it was it is kept in {kept}, until you remove it"
            ));
            let served = holder::outlive_earlier(&self.folder);
            if served.unwrap_or(true)
                && let Err(error) = self.ensure_daemon(true)
            {
                out::failure(error);
            }
        }
        store
    }

    /// The error that run `id` is not stored.
    pub fn no_run(&self, id: RunId) -> StoreError {
        let path = self.folder.database().to_owned();
        StoreError::NoRun { id, path }
    }

    /// Does a daemon run? When that cannot be seen, the answer is yes.
    pub fn is_served(&self) -> bool {
        holder::is_held(&self.folder).unwrap_or(true)
    }

    /// What a run that waits can hope for.
    pub fn service(&self) -> Service {
        match holder::find(&self.folder) {
            Ok(Some(Holder {
                trouble: Some(why), ..
            })) => Service::Troubled(why),
            // For who looks alone: storing and waiting cost one look in /proc less.
            Ok(Some(holder)) if self.looks && is_stopped(&holder) => {
                Service::Stopped(holder.process.pid)
            }
            Ok(Some(Holder {
                parallel, start, ..
            })) => Service::Well {
                parallel,
                stays: start != Start::Tick,
            },
            _ if self.is_served() => Service::Well {
                parallel: None,
                stays: true,
            },
            _ => Service::None,
        }
    }

    /// Says that nothing goes on by itself, to whoever waits without starting a daemon.
    pub fn note_unserved(&self, starts: bool) {
        let is_started = starts && self.starts_daemons;
        if !is_started && !self.is_served() {
            out::note("no daemon runs, `retrier daemon --detach` starts one");
        }
    }

    /// The connection to the daemon's doorbell.
    pub fn ring(&self) -> Ring {
        Ring::connect(&self.folder)
    }

    /// Wakes a daemon that was not `rung`, if there is one. To be called after the commit that it is to
    /// see.
    pub fn wake_daemon(&self, rung: bool) {
        // Without a word to it, what is committed stays true.
        if !rung && self.is_served() {
            let _ = holder::wake(&self.folder);
        }
    }

    /// Starts a daemon when there is none, and wakes one that was not `rung`. To be called after
    /// the commit that it is to see. Where none is to be started, there being none is no error.
    pub fn ensure_daemon(&self, rung: bool) -> anyhow::Result<()> {
        if !self.starts_daemons {
            self.wake_daemon(rung);
            return Ok(());
        }
        let ensured = launch::ensure(&self.folder, rung).map_err(|error| {
            Failure::new(code::FAILED, format!("cannot start a daemon: {error}"))
                .hint("`retrier daemon` in the foreground shows what is wrong")
        })?;
        for note in &ensured {
            out::note(&format!("warning: {note}"));
        }
        if !ensured.is_empty() {
            out::hint(
                "`retrier daemon install` has systemd keep a daemon of its own; `retrier doctor` tells more",
            );
        }
        Ok(())
    }
}

/// Has somebody stopped this daemon?
fn is_stopped(holder: &Holder) -> bool {
    let found = ProcessStat::of(holder.process.pid);
    found.is_ok_and(|stat| stat.stopped && stat.start == holder.process.start)
}

/// Is the switch `name` of the environment on?
fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Where the database is when nobody names one. Errors: there is no home folder.
fn default_database() -> anyhow::Result<PathBuf> {
    let failure = || {
        Failure::new(
            code::FAILED,
            "there is no home folder to keep the database in",
        )
        .hint("name a file with --db or RETRIER_DB")
    };
    Ok(Folder::standard().ok_or_else(failure)?)
}
