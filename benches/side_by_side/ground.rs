//! The ground that all contestants stand on: one folder on one filesystem, one small environment.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};

use nix::time::{ClockId, clock_gettime};
use retrier::clock;
use retrier::sys::poll::wait_readable;
use tempfile::TempDir;

use crate::tools::Tools;

/// Longer than anything takes that is measured here.
pub const LIMIT: Duration = Duration::from_secs(600);

pub struct Ground {
    folder: TempDir,
    made: AtomicU32,
    pub tools: Tools,
    /// Once, and little of each: for errors, not for figures.
    pub in_test: bool,
    /// The database with a long history, once it was asked for.
    pub full: OnceLock<PathBuf>,
}

impl Ground {
    pub fn new(tools: Tools, in_test: bool) -> Self {
        // `/tmp` is often no disk, and then nothing is durable.
        let parent = env::var_os("TMPDIR").map_or_else(|| "/var/tmp".into(), PathBuf::from);
        let folder = tempfile::Builder::new()
            .prefix("side_by_side")
            .tempdir_in(parent);
        Self {
            folder: folder.expect("a temporary folder"),
            made: AtomicU32::new(0),
            tools,
            in_test,
            full: OnceLock::new(),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A number for the long form, and one for the short.
    pub fn pick(&self, long: usize, short: usize) -> usize {
        if self.in_test { short } else { long }
    }

    /// A new folder.
    pub fn fresh(&self) -> PathBuf {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(number.to_string());
        retrier::sys::files::make_private_dirs(&path).expect("a folder can be made");
        path
    }

    /// A file of lines.
    pub fn lines(&self, lines: impl IntoIterator<Item = impl AsRef<str>>) -> PathBuf {
        let path = self.fresh().join("lines");
        let mut text = String::new();
        for line in lines {
            text.push_str(line.as_ref());
            text.push('\n');
        }
        fs::write(&path, text).expect("there is room");
        path
    }

    /// A call in the environment that all have.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", self.tools.search_path())
            .env("HOME", self.folder.path())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// From its start to its end.
pub fn timed(command: &mut Command) -> f64 {
    let begun = clock::monotonic();
    let status = command.status().expect("it can be started");
    let took = begun.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took.as_secs_f64()
}

pub fn succeed(command: &mut Command) {
    timed(command);
}

/// What it prints.
pub fn output(command: &mut Command) -> String {
    let output = command.stdout(Stdio::piped()).output();
    let output = output.expect("it can be started");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Waits for a program that must end by itself.
pub fn reap(mut child: Child) {
    let status = child.wait().expect("it is a child");
    assert!(status.success(), "{status}");
}

pub fn pause(time: Duration) {
    let begun = clock::monotonic();
    while let Some(left) = time.checked_sub(begun.elapsed()) {
        wait_readable(&[], Some(left)).expect("nothing is waited for");
    }
}

/// Looks every few milliseconds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = clock::monotonic();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "{what}: too late");
        pause(Duration::from_millis(3));
    }
}

/// The wall time in seconds, as all processes see it.
pub fn wall() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("there is such a clock");
    Duration::from(now).as_secs_f64()
}
