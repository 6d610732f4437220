//! One call of `retrier` (or of a shell line around it), and what came of it.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::guard::Guard;
use super::wait::Limit;

/// How long a call may take when the test does not say otherwise.
const LIMIT: Duration = Duration::from_secs(60);

/// A call that is not made yet.
#[derive(Debug)]
pub struct Call {
    command: Command,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Call {
    /// A call of this command, with nothing on stdin.
    pub(super) fn new(command: Command) -> Call {
        Call {
            command,
            stdin: None,
            limit: LIMIT,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Call {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Call {
        self.command.args(args);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Call {
        self.command.env(name, value);
        self
    }

    /// Sets its failpoint: `name:nth:{kill,stop,sleep=ms,err=ENOSPC}`.
    pub fn crash(self, failpoint: &str) -> Call {
        self.env("RETRIER_CRASH", failpoint)
    }

    /// Empties its environment, `RETRIER_DB` and HOME included: name the database with `--db`.
    pub fn env_clear(mut self) -> Call {
        self.command.env_clear();
        self
    }

    /// Gives it these bytes on stdin, then the end of file.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Call {
        self.stdin = Some(bytes.into());
        self
    }

    /// Calls it in this folder.
    pub fn cwd(mut self, folder: impl AsRef<Path>) -> Call {
        self.command.current_dir(folder);
        self
    }

    /// Limits the whole call, instead of the 60 s that hold without it.
    pub fn limit(mut self, limit: Duration) -> Call {
        self.limit = limit;
        self
    }

    /// Makes the call and waits for its end and for the end of its output.
    #[track_caller]
    pub fn output(self) -> Output {
        let limit = self.limit;
        self.spawn().wait_within(limit)
    }

    /// Makes the call and goes on; the child ends with its guard at the latest.
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        let stdin = match self.stdin {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        };
        let shown = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        let mut child = self
            .command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        if let (Some(bytes), Some(mut pipe)) = (self.stdin, child.stdin.take()) {
            // A command that reads no more closes the pipe: that is its right.
            thread::spawn(move || pipe.write_all(&bytes).ok());
        }
        let stdout = Capture::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Capture::of(child.stderr.take().expect("stderr is piped"));
        Running {
            shown,
            guard: Guard::new(child),
            stdout,
            stderr,
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Running {
    shown: String,
    guard: Guard,
    stdout: Capture,
    stderr: Capture,
}

impl Running {
    /// The pid of the called program.
    pub fn pid(&self) -> i32 {
        self.guard.pid()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.guard.is_running()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.guard.signal(signal);
    }

    /// Ends it with SIGKILL and waits for that.
    pub fn kill9(&mut self) {
        self.guard.kill9();
    }

    /// What it has printed to stdout until now.
    pub fn stdout_so_far(&self) -> Vec<u8> {
        self.stdout.so_far()
    }

    /// What it has printed to stderr until now.
    pub fn stderr_so_far(&self) -> Vec<u8> {
        self.stderr.so_far()
    }

    /// Waits for its end, 60 s at most.
    #[track_caller]
    pub fn wait(self) -> Output {
        self.wait_within(LIMIT)
    }

    /// Waits for its end and for the end of its output; panics with what was printed when that takes longer.
    #[track_caller]
    pub fn wait_within(mut self, limit: Duration) -> Output {
        let end = Limit::after(limit);
        let Some(code) = self.guard.wait(end) else {
            self.guard.kill9();
            panic!("did not end within {limit:?}: {}", self.printed());
        };
        if !(self.stdout.is_complete(end) && self.stderr.is_complete(end)) {
            panic!(
                "ended with {code}, but somebody still holds its stdout or stderr after {limit:?}: {}",
                self.printed()
            );
        }
        Output {
            code,
            stdout: self.stdout.so_far(),
            stderr: self.stderr.so_far(),
            shown: self.shown,
        }
    }

    fn printed(&self) -> String {
        printed(&self.shown, &self.stdout.so_far(), &self.stderr.so_far())
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; 128+n when signal n ended it.
    pub code: i32,
    /// Everything on its stdout.
    pub stdout: Vec<u8>,
    /// Everything on its stderr.
    pub stderr: Vec<u8>,
    shown: String,
}

impl Output {
    /// Asserts that it exited with 0.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.exits(0)
    }

    /// Asserts its exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Output {
        assert_eq!(
            self.code,
            code,
            "exit code of {}",
            printed(&self.shown, &self.stdout, &self.stderr)
        );
        self
    }

    /// Its stdout as text, without the space around it.
    #[track_caller]
    pub fn text(&self) -> String {
        let text = String::from_utf8(self.stdout.clone()).expect("stdout is UTF-8");
        text.trim().to_owned()
    }

    /// Its stderr as text, whatever is in it.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Its stdout as one JSON value.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON value ({error}): {}", self.text()))
    }
}

fn printed(shown: &str, stdout: &[u8], stderr: &[u8]) -> String {
    format!(
        "{shown}\n--- stdout\n{}\n--- stderr\n{}",
        String::from_utf8_lossy(stdout),
        String::from_utf8_lossy(stderr)
    )
}

/// One output stream, read by a thread of its own.
#[derive(Debug)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    end: Receiver<()>,
}

impl Capture {
    fn of(mut pipe: impl Read + Send + 'static) -> Capture {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (at_end, end) = mpsc::channel();
        let kept = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                let mut kept = kept.lock().expect("nobody panics while holding it");
                kept.extend_from_slice(&chunk[..length]);
            }
            // Nobody may be waiting any more.
            at_end.send(()).ok();
        });
        Capture { bytes, end }
    }

    fn so_far(&self) -> Vec<u8> {
        let kept = self.bytes.lock().expect("nobody panics while holding it");
        kept.clone()
    }

    fn is_complete(&self, limit: Limit) -> bool {
        self.end.recv_timeout(limit.left()).is_ok()
    }
}
