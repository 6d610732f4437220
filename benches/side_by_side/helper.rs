//! This program as the command that is run: it tells through a named pipe what time it was.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, thread};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use retrier::sys::poll::wait_readable;

use crate::ground::{LIMIT, wall};

/// The first argument of all that is done here.
const MARK: &str = "__command";

/// The length of a stamp: microseconds in 19 digits and a newline.
const STAMP: usize = 20;

/// What is done when this program is called as a command; `None` when it is not.
pub fn act(arguments: &[String], begun: f64) -> Option<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let code = match words.as_slice() {
        [MARK, "stamp", pipe] => {
            stamp(pipe, begun);
            0
        }
        [MARK, "gate", gate, pipe] => {
            let read = File::open(gate).and_then(|mut gate| gate.read_exact(&mut [0]));
            read.expect("the gate is opened");
            stamp(pipe, wall());
            0
        }
        // Fails the first time, and tells when it ended; then tells when it began.
        [MARK, "once", seen, pipe] if fs::exists(seen).expect("it can be looked for") => {
            stamp(pipe, begun);
            0
        }
        [MARK, "once", seen, pipe] => {
            fs::write(seen, "").expect("there is room");
            stamp(pipe, wall());
            1
        }
        // Fails the first time, and is to be retried at that time.
        [MARK, "at", time, pipe] if env::var("RETRIER_ATTEMPT").as_deref() == Ok("1") => {
            let decision = env::var_os("RETRIER_DECISION").expect("it is an attempt");
            fs::write(decision, format!("{{\"retry_at\":\"{time}\"}}")).expect("there is room");
            stamp(pipe, 0.0);
            1
        }
        [MARK, "at", _, pipe] => {
            stamp(pipe, begun);
            0
        }
        _ => return None,
    };
    Some(ExitCode::from(code))
}

fn stamp(pipe: &str, time: f64) {
    let text = format!("{:019}\n", (time * 1e6) as u64);
    let opened = OpenOptions::new().write(true).open(pipe);
    let written = opened.and_then(|mut pipe| pipe.write_all(text.as_bytes()));
    written.expect("somebody reads");
}

/// The words that have this program do `what`.
pub fn words(what: &[&str]) -> Vec<String> {
    let this = env::current_exe().expect("/proc is there");
    let this = this.to_str().expect("a path of text").to_owned();
    let what = what.iter().map(|word| (*word).to_owned());
    [this, MARK.to_owned()].into_iter().chain(what).collect()
}

/// A named pipe, and this program as who reads or opens it.
pub struct Pipe {
    path: PathBuf,
    file: File,
}

impl Pipe {
    pub fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe can be made");
        // For both, so that nobody waits for the other side.
        let file = OpenOptions::new().read(true).write(true).open(&path);
        Self {
            path,
            file: file.expect("it was made"),
        }
    }

    pub fn path(&self) -> &str {
        self.path.to_str().expect("a path of text")
    }

    /// The next stamp, in seconds of wall time.
    pub fn next(&mut self) -> f64 {
        let come = wait_readable(&[self.file.as_fd()], Some(LIMIT)).expect("it can be waited for");
        assert!(come[0], "a command was not started");
        let mut text = [0; STAMP];
        self.file.read_exact(&mut text).expect("stamps are whole");
        let text = str::from_utf8(&text).expect("digits").trim();
        text.parse::<u64>().expect("a number") as f64 / 1e6
    }

    /// Lets so many through.
    pub fn open(&mut self, count: usize) {
        let lines = vec![b'\n'; count];
        self.file.write_all(&lines).expect("there is room");
    }
}

/// Does `act` in so many threads at once; what each gave.
pub fn at_once<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = (0..count).map(|at| scope.spawn(move || act(at))).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.collect::<Result<_, _>>().expect("no thread fails")
    })
}
