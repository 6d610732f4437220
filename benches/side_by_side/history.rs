//! A database with a long history and many that back off, of which nothing can start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use retrier::clock;
use retrier::model::RunId;
use rusqlite::Connection;

use crate::backlog::Backlog;
use crate::desk::Desk;
use crate::ground::Ground;
use crate::house::House;

/// What has ended did so before the window of `stats`.
const AGE: Duration = Duration::from_secs(10 * 60);

impl Backlog {
    /// So many that have ended and that back off.
    fn resting(finished: u32, backing_off: u32) -> Self {
        Self {
            finished,
            backing_off,
            behind_lock: 0,
            pools: 2,
            ..Self::NONE
        }
    }
}

fn make(ground: &Ground, backlog: Backlog) -> PathBuf {
    let path = ground.fresh().join("db");
    let mut desk = Desk::open(&path);
    let db = Connection::open(&path).expect("it is there");
    backlog.fill(&db, clock::now().minus(AGE));
    // The one that has the lock, and would start.
    let holder = i64::from(backlog.finished + backlog.backing_off + 1);
    desk.cancel(RunId(holder), clock::now());
    drop(desk);
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("nobody else has it");
    path
}

fn copy<'g>(ground: &'g Ground, path: &Path) -> House<'g> {
    let folder = ground.fresh();
    fs::copy(path, folder.join("db")).expect("there is room");
    House::at(ground, folder)
}

/// 1,000,000 that have ended and 100,000 that back off; made once.
pub fn long<'g>(ground: &'g Ground) -> House<'g> {
    let backlog = Backlog::resting(
        ground.pick(1_000_000, 1000) as u32,
        ground.pick(100_000, 100) as u32,
    );
    copy(ground, ground.full.get_or_init(|| make(ground, backlog)))
}

/// A page of each kind, so that what is listed is as much.
pub fn page<'g>(ground: &'g Ground) -> House<'g> {
    copy(ground, &make(ground, Backlog::resting(300, 100)))
}
