//! What every verb needs: which database, its store, its daemon.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::daemon::doorbell::Ring;
use crate::daemon::holder::{self, Holder};
use crate::daemon::launch;
use crate::model::RunId;
use crate::store::{Access, Folder, Store, StoreError};
use crate::text::escape_text;

use super::failure::{Failure, code};
use super::out;

/// A client of one database.
#[derive(Debug)]
pub struct Client {
    /// Its paths.
    pub folder: Folder,
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
    },
    /// One runs and starts nothing at the moment, for this reason.
    Troubled(String),
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
        Ok(Self {
            folder: Folder::of(&absolute),
        })
    }

    /// The store, made when it is not there.
    pub fn create(&self) -> anyhow::Result<Store> {
        let store = self.opened(Store::open(&self.folder, Access::Create)?);
        let path = self.folder.database().display();
        store.with_context(|| format!("{path} is gone"))
    }

    /// The store; `None` when nothing was ever stored.
    pub fn existing(&self) -> anyhow::Result<Option<Store>> {
        Ok(self.opened(Store::open(&self.folder, Access::Existing)?))
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
            Ok(Some(Holder { parallel, .. })) => Service::Well { parallel },
            _ if self.is_served() => Service::Well { parallel: None },
            _ => Service::None,
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
    /// the commit that it is to see.
    pub fn ensure_daemon(&self, rung: bool) -> anyhow::Result<()> {
        launch::ensure(&self.folder, rung).map_err(|error| {
            Failure::new(code::FAILED, format!("cannot start a daemon: {error}"))
                .hint("`retrier daemon` in the foreground shows what is wrong")
                .into()
        })
    }
}

/// `$XDG_STATE_HOME/retrier/retrier.db`, by default below the home folder, which is looked up in
/// the user database when HOME is not set. Relative values are ignored, as the XDG specification
/// demands.
fn default_database() -> anyhow::Result<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let state = env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .and_then(absolute);
    let home = || env::home_dir().and_then(absolute);
    let state = state.or_else(|| home().map(|home| home.join(".local/state")));
    let state = state.ok_or_else(|| {
        Failure::new(
            code::FAILED,
            "there is no home folder to keep the database in",
        )
        .hint("name a file with --db or RETRIER_DB")
    })?;
    Ok(state.join("retrier/retrier.db"))
}
