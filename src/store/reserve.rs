//! Room for the day when the disk is full: what makes room, or ends what uses it up, can still be
//! written down.

use std::path::PathBuf;

use crate::sys::files::{open_private, remove_if_there, reserve, sync_dir};

use super::error::StoreError;
use super::open::Store;

/// The size of the reserve in bytes.
const SIZE: i64 = 256 * 1024;

impl Store {
    /// Sets the reserve aside, if it is not there. That there is no room for it is no error: it is
    /// tried again by whoever comes next.
    pub fn keep_reserve(&self) {
        let path = self.reserve();
        let kept = path
            .metadata()
            .is_ok_and(|found| found.len() >= SIZE.unsigned_abs());
        if !kept
            && let Ok(file) = open_private(&path)
            && reserve(&file, SIZE).is_err()
        {
            let _ = remove_if_there(&path);
        }
    }

    /// Does `act`, and once more in the room of the log if the disk was full: that is said only
    /// when nothing was committed.
    pub fn with_room<T>(
        &mut self,
        act: impl Fn(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match act(self) {
            Err(StoreError::Full { .. }) => {
                self.make_room();
                act(self)
            }
            other => other,
        }
    }

    /// As [`Store::with_room`], and then in the room of the reserve: for a cancel, and for what
    /// forgets runs.
    pub fn with_reserve<T>(
        &mut self,
        act: impl Fn(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.with_room(&act) {
            Err(StoreError::Full { .. }) if self.spend_reserve() => self.with_room(act),
            other => other,
        }
    }

    /// Moves what is in the log into the database as far as there is room, so that the log can
    /// begin anew in the room that it has.
    pub fn make_room(&self) {
        let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
        // All stays as it is if it cannot be done.
        let _ = self.connection.query_row(checkpoint, [], |_| Ok(()));
    }

    /// Gives the reserve to whoever writes first. `false`: it was gone already.
    fn spend_reserve(&self) -> bool {
        let path = self.reserve();
        let there = path.exists() && remove_if_there(&path).is_ok();
        // Filesystems give room back when they have written down that it is free.
        let _ = sync_dir(self.folder().path());
        there
    }

    fn reserve(&self) -> PathBuf {
        self.folder().path().join("reserve")
    }
}
