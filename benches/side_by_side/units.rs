//! What the machine itself needs: a process, a write that is durable, a row.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use retrier::clock;
use rusqlite::Connection;

use crate::figures::Contest;
use crate::ground::{Ground, timed};
use crate::helper::at_once;

/// How many pages the file has that is overwritten.
const PAGES: u64 = 256;

/// The bytes of a page.
const LENGTH: u64 = 4096;

/// A file whose room is there, and of which one page after the other is overwritten.
pub struct Page {
    file: File,
    next: u64,
}

impl Page {
    pub fn new(ground: &Ground) -> Self {
        let file = File::create(ground.fresh().join("pages")).expect("a file can be made");
        let written = file.write_all_at(&vec![1; (PAGES * LENGTH) as usize], 0);
        written
            .and_then(|()| file.sync_all())
            .expect("there is room");
        Self { file, next: 0 }
    }

    /// One bare fdatasync, with the write of what it makes durable.
    pub fn sync(&mut self) -> f64 {
        self.next = (self.next + 1) % PAGES;
        let begun = clock::monotonic();
        let page = [self.next as u8; LENGTH as usize];
        let written = self.file.write_all_at(&page, self.next * LENGTH);
        written
            .and_then(|()| self.file.sync_data())
            .expect("there is room");
        begun.elapsed().as_secs_f64()
    }
}

/// `true`: posix_spawn and its end.
pub fn bare_true(ground: &Ground) -> impl FnMut() -> f64 + use<> {
    let mut call = ground.command(ground.tools.must("true"));
    move || timed(&mut call)
}

/// Starts these so many times by posix_spawn, so many at once, and nothing else; how many a second.
pub fn floor(ground: &Ground, words: &[&str], runs: usize, parallel: usize) -> f64 {
    let program: PathBuf = match Path::new(words[0]) {
        path if path.is_absolute() => path.to_owned(),
        name => ground.tools.must(name.to_str().expect("text")),
    };
    let begun = clock::monotonic();
    at_once(parallel, |at| {
        let mut call: Command = ground.command(&program);
        call.args(&words[1..]);
        for _ in 0..runs / parallel + usize::from(at < runs % parallel) {
            timed(&mut call);
        }
    });
    runs as f64 / begun.elapsed().as_secs_f64()
}

/// Rows of one integer key and so many bytes, in one transaction that is durable; how many a second.
pub fn inserts(ground: &Ground, rows: usize, length: usize) -> f64 {
    let mut database = Connection::open(ground.fresh().join("rows")).expect("it can be made");
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             CREATE TABLE row (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
        )
        .expect("it is new");
    let bytes = vec![b'x'; length];
    let begun = clock::monotonic();
    let transaction = database.transaction().expect("nobody else writes");
    {
        let mut insert = transaction
            .prepare("INSERT INTO row (bytes) VALUES (?1)")
            .expect("it fits");
        for _ in 0..rows {
            insert.execute([&bytes]).expect("there is room");
        }
    }
    transaction.commit().expect("there is room");
    rows as f64 / begun.elapsed().as_secs_f64()
}

/// Tells what the units come to.
pub fn print(ground: &Ground) {
    let mut page = Page::new(ground);
    let mut contest = Contest::default();
    contest.add("`true`", bare_true(ground));
    contest.add("fdatasync", || page.sync());
    let rounds = ground.pick(300, 3);
    for (name, samples) in contest.run(rounds) {
        println!("{name}: {}, {rounds} in turns", samples.ms());
    }
    let mut contest = Contest::default();
    let runs = ground.pick(2000, 20);
    contest.add("floor", || floor(ground, &["true"], runs, 2));
    contest.add("floor, one at a time", || floor(ground, &["true"], runs, 1));
    for (name, samples) in contest.run(ground.pick(5, 1)) {
        println!("{name}: {}", samples.spread("runs/s"));
    }
}
