//! Keeping what an attempt writes within its limit, while it runs and once its ending is recorded.
//!
//! Nobody stands between a command and its files: what is too much of them is given back to the disk
//! afterwards, out of the middle, so the command is never blocked and knows nothing of it. Which bytes
//! these are is the rule of [`OutputLimit`], by which readers know it too.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::clock;
use crate::model::OutputLimit;
use crate::sys::failpoint;
use crate::sys::files::{extent, open_regular_to_write, punch};

/// How often the files of an attempt that runs are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The bounded output of an attempt that runs.
#[derive(Debug)]
pub struct Bound {
    limit: OutputLimit,
    /// Its stdout and stderr, whatever stands at their paths by now.
    outputs: [File; 2],
    /// When they are looked at again; never on a filesystem that cannot give anything back.
    look_at: Option<Instant>,
}

impl Bound {
    /// Keeps these files, opened for writing, within `limit`.
    pub fn new(limit: OutputLimit, outputs: [File; 2]) -> Self {
        Self {
            limit,
            outputs,
            look_at: clock::monotonic().checked_add(LOOK_EVERY),
        }
    }

    /// In what time it has to be looked at.
    pub fn look_in(&self) -> Option<Duration> {
        let now = clock::monotonic();
        self.look_at.map(|at| at.saturating_duration_since(now))
    }

    /// Gives back what is too much, if it is time to look.
    pub fn look(&mut self) {
        let now = clock::monotonic();
        if self.look_at.is_none_or(|at| at > now) {
            return;
        }
        self.look_at = match self.cut() {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
            // It may be possible the next time: the attempt has nothing to do with it.
            Ok(()) | Err(_) => now.checked_add(LOOK_EVERY),
        };
    }

    /// Gives back what is too much, for the last time.
    pub fn finish(self) {
        if self.look_at.is_some() {
            // As above.
            let _ = self.cut();
        }
    }

    fn cut(&self) -> io::Result<()> {
        failpoint::reach("shim_cutting")?;
        let [stdout, stderr] = &self.outputs;
        cut(stdout, self.limit).and(cut(stderr, self.limit))
    }
}

/// Gives back what is too much of an attempt's outputs, for a shim that was killed before it could.
/// What stands at `paths` may be anything; what is no file is left alone.
pub fn cut_left(limit: OutputLimit, paths: &[impl AsRef<Path>]) {
    for path in paths {
        // What cannot be cut stays.
        let _ = open_regular_to_write(path.as_ref()).and_then(|file| cut(&file, limit));
    }
}

fn cut(file: &File, limit: OutputLimit) -> io::Result<()> {
    let (length, taken) = extent(file)?;
    let left_out = limit.left_out(length);
    if left_out.is_empty() || taken <= limit.bytes() {
        return Ok(());
    }
    punch(file, &left_out)
}
