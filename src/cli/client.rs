//! What every verb needs: which database, its store, its daemon.

use std::env;
use std::path::{Path, PathBuf};

use crate::daemon::doorbell::Ring;
use crate::daemon::launch;
use crate::model::RunId;
use crate::store::{Access, Folder, Store, StoreError};

use super::failure::{Failure, code};

/// A client of one database.
#[derive(Debug)]
pub struct Client {
    /// Its paths.
    pub folder: Folder,
}

impl Client {
    /// A client of the database at `db`, or of the default one. Errors: there is no home folder.
    pub fn new(db: Option<&Path>) -> Result<Self, Failure> {
        let path = match db {
            Some(path) if path.as_os_str().is_empty() => {
                return Err(Failure::new(
                    code::USAGE,
                    "the name of the database is empty",
                ));
            }
            Some(path) => path.to_owned(),
            None => default_database()?,
        };
        let absolute = std::path::absolute(&path).map_err(|error| Failure::io(&path, &error))?;
        Ok(Self {
            folder: Folder::of(&absolute),
        })
    }

    /// The store, made when it is not there.
    pub fn create(&self) -> Result<Store, Failure> {
        self.opened(Store::open(&self.folder, Access::Create)?)
    }

    /// The store; `None` when nothing was ever stored.
    pub fn existing(&self) -> Result<Option<Store>, Failure> {
        Ok(Store::open(&self.folder, Access::Existing)?)
    }

    /// The store that must hold run `id`.
    pub fn holding(&self, id: RunId) -> Result<Store, Failure> {
        self.existing()?.ok_or_else(|| self.no_run(id))
    }

    fn opened(&self, store: Option<Store>) -> Result<Store, Failure> {
        let path = self.folder.database().display();
        store.ok_or_else(|| Failure::new(code::FAILED, format!("{path} is gone")))
    }

    /// The failure that run `id` is not stored.
    pub fn no_run(&self, id: RunId) -> Failure {
        let path = self.folder.database().to_owned();
        StoreError::NoRun { id, path }.into()
    }

    /// The connection to the daemon's doorbell.
    pub fn ring(&self) -> Ring {
        Ring::connect(&self.folder)
    }

    /// Starts a daemon when there is none. To be called after the commit that it is to see.
    pub fn ensure_daemon(&self) -> Result<(), Failure> {
        launch::ensure(&self.folder).map_err(|error| {
            Failure::new(code::FAILED, format!("cannot start a daemon: {error}"))
                .hint("`retrier daemon` in the foreground shows what is wrong")
        })
    }
}

/// `$XDG_STATE_HOME/retrier/retrier.db`, by default below the home folder, which is looked up in
/// the user database when HOME is not set. Relative values are ignored, as the XDG specification
/// demands.
fn default_database() -> Result<PathBuf, Failure> {
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
