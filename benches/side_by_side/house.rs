//! retrier itself: a database of its own, and the daemon that serves it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use retrier::clock;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use crate::desk::Desk;
use crate::ground::{Ground, LIMIT, output, pause, succeed, wait_until, wall};
use crate::process::Process;

pub struct House<'g> {
    ground: &'g Ground,
    folder: PathBuf,
    daemon: Option<Child>,
}

impl<'g> House<'g> {
    pub fn new(ground: &'g Ground) -> Self {
        Self::at(ground, ground.fresh())
    }

    /// Of the database in `folder`, which is removed with all else there in the end.
    pub fn at(ground: &'g Ground, folder: PathBuf) -> Self {
        Self {
            ground,
            folder,
            daemon: None,
        }
    }

    /// With this many slots.
    pub fn with_slots(ground: &'g Ground, slots: usize) -> Self {
        let house = Self::new(ground);
        house.succeed(&["pool", "set", "default", "--parallel", &slots.to_string()]);
        house
    }

    pub fn database(&self) -> PathBuf {
        self.folder.join("db")
    }

    /// A call of the binary of this build.
    pub fn call<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.ground.command(env!("CARGO_BIN_EXE_retrier"));
        command.env("RETRIER_DB", self.database()).args(words);
        command
    }

    pub fn succeed(&self, words: &[&str]) {
        succeed(&mut self.call(words.iter().copied()));
    }

    pub fn output(&self, words: &[&str]) -> String {
        output(&mut self.call(words.iter().copied()))
    }

    /// A call of `run` that leaves the daemon alone.
    pub fn submission(&self, words: &[&str]) -> Command {
        let run = ["run", "--quiet", "--no-daemon-start"];
        self.call(run.into_iter().chain(words.iter().copied()))
    }

    /// Stores a run; its id.
    pub fn submit(&self, words: &[&str]) -> String {
        output(&mut self.submission(words)).trim().to_owned()
    }

    /// Stores a run for each line of a file.
    pub fn submit_lines(&self, lines: &Path, options: &[&str]) {
        let mut call = self.submission(options);
        succeed(call.arg("--batch").arg(lines));
    }

    fn daemon(&self, options: &[&str]) -> Child {
        let log = File::create(self.folder.join("log")).expect("there is room");
        let mut call = self.call(["daemon"].into_iter().chain(options.iter().copied()));
        let daemon = call.stderr(log).stdin(Stdio::null()).spawn();
        daemon.expect("the binary is there")
    }

    /// Starts a daemon, which is there when this returns.
    pub fn start(&mut self, options: &[&str]) {
        self.daemon = Some(self.daemon(options));
        wait_until("a daemon", || {
            let mut status = self.call(["daemon", "status"]);
            let status = status.stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        });
    }

    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("it was started").id()
    }

    /// The daemon and then its shims, which are its only children.
    pub fn processes(&self) -> Vec<Process> {
        let daemon = Process(self.pid());
        let shims = daemon.children();
        [daemon].into_iter().chain(shims).collect()
    }

    /// Has a daemon do all that is stored. Gives when it was started, when the first attempt was,
    /// and when the last one ended.
    pub fn drain(&self) -> [f64; 3] {
        let begun = wall();
        let ended = self.daemon(&["--until-idle"]).wait();
        assert!(ended.is_ok_and(|status| status.success()));
        let times = "SELECT min(started_at), max(ended_at) FROM attempt";
        let [first, last] = self.look(times, |row| Ok([row.get(0)?, row.get(1)?]));
        [begun, first, last]
    }

    /// Waits until all is done.
    pub fn wait_all(&self) {
        let desk = Desk::open(&self.database());
        wait_until("the last ending", || desk.pending("default") == 0);
    }

    fn open(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(self.database(), flags).expect("it is there")
    }

    /// Two times of the one row that this finds, in seconds.
    pub fn look(
        &self,
        sql: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<[i64; 2]>,
    ) -> [f64; 2] {
        let row = self.open().query_row(sql, [], read);
        row.expect("there is one").map(|ms| ms as f64 / 1e3)
    }

    /// How many bytes the columns of one run take, without what all of them share.
    pub fn length_of_a_run(&self) -> usize {
        let database = self.open();
        let run = database.query_row("SELECT * FROM run LIMIT 1", [], |row| {
            let columns = row.as_ref().column_count();
            let lengths = (0..columns).map(|column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => 0,
                    // As SQLite writes it, in as few bytes as it needs.
                    ValueRef::Integer(value) => match value.unsigned_abs() {
                        0..2 => 0,
                        2..0x80 => 1,
                        0x80..0x8000 => 2,
                        0x8000..0x8000_0000 => 4,
                        0x8000_0000..0x8000_0000_0000 => 6,
                        _ => 8,
                    },
                    ValueRef::Real(_) => 8,
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
                })
            });
            lengths.sum::<rusqlite::Result<usize>>()
        });
        run.expect("there is one")
    }

    /// Ends the daemon, and what it runs.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            if thread::panicking() {
                // It may be what does not answer.
                let stop = self.call(["daemon", "stop", "--kill"]).spawn();
                end(&mut daemon, LIMIT);
                drop(stop.map(|mut stop| end(&mut stop, Duration::ZERO)));
                return;
            }
            self.succeed(&["daemon", "stop", "--kill"]);
            daemon.wait().expect("it is a child");
        }
    }
}

/// Waits so long for the end of a child, and then sees to it.
fn end(child: &mut Child, patience: Duration) {
    let begun = clock::monotonic();
    while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < patience {
        pause(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for House<'_> {
    fn drop(&mut self) {
        self.stop();
        // The whole ground is removed in the end; this is early, for the room.
        drop(fs::remove_dir_all(&self.folder));
    }
}
