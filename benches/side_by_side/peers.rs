//! The peers, each with a queue of its own that is removed in the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use retrier::clock;

use crate::ground::{Ground, output, pause, reap, succeed, timed, wait_until};
use crate::helper::{Pipe, words};

/// task-spooler, with a server of its own.
pub struct Spooler<'g> {
    ground: &'g Ground,
    program: PathBuf,
    folder: PathBuf,
    slots: usize,
}

impl<'g> Spooler<'g> {
    /// Errors: why there is none.
    pub fn new(ground: &'g Ground, slots: usize) -> Result<Self, String> {
        Ok(Self {
            ground,
            program: ground.tools.peer("tsp")?,
            folder: ground.fresh(),
            slots,
        })
    }

    pub fn call(&self, words: &[&str]) -> Command {
        let mut call = self.ground.command(&self.program);
        call.env("TS_SOCKET", self.folder.join("socket"))
            .env("TS_SLOTS", self.slots.to_string())
            // What waits holds a process and a connection.
            .env("TS_MAXCONN", "2000")
            .env("TMPDIR", &self.folder)
            .args(words);
        call
    }

    /// Runs that wait behind one that holds each slot, until the last of them has ended; how many
    /// a second.
    pub fn drain(&self, runs: usize) -> f64 {
        let mut gate = Pipe::new(&self.folder, "gate");
        let ended = Pipe::new(&self.folder, "ended");
        let holder = words(&["gate", gate.path(), ended.path()]);
        for _ in 0..self.slots {
            succeed(self.call(&["-n"]).args(&holder));
        }
        for _ in 0..runs {
            succeed(&mut self.call(&["true"]));
        }
        let waiter = self.call(&["-w"]).spawn().expect("it is there");
        pause(Duration::from_millis(50));
        let begun = clock::monotonic();
        gate.open(self.slots);
        reap(waiter);
        runs as f64 / begun.elapsed().as_secs_f64()
    }
}

impl Drop for Spooler<'_> {
    fn drop(&mut self) {
        let ended = self.call(&["-K"]).status();
        let socket = self.folder.join("socket");
        // After a failure the others have to be ended, too.
        if !thread::panicking() {
            assert!(ended.is_ok_and(|status| status.success()));
            wait_until("the end of tsp", || !socket.exists());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// pueue, with a daemon of its own.
pub struct Pueue<'g> {
    ground: &'g Ground,
    program: PathBuf,
    folder: PathBuf,
    daemon: Child,
}

impl<'g> Pueue<'g> {
    /// Errors: why there is none.
    pub fn new(ground: &'g Ground) -> Result<Self, String> {
        let program = ground.tools.peer("pueue")?;
        let folder = ground.fresh();
        let path = folder.display();
        let config = format!(
            "shared:\n  pueue_directory: {path}\n  runtime_directory: {path}\n  \
             use_unix_socket: true\nclient: {{}}\ndaemon: {{}}\n"
        );
        fs::write(folder.join("config"), config).expect("there is room");
        let mut call = ground.command(ground.tools.must("pueued"));
        call.arg("--config").arg(folder.join("config"));
        let daemon = call.stderr(Stdio::null()).spawn().expect("it is there");
        let pueue = Self {
            ground,
            program,
            folder,
            daemon,
        };
        wait_until("pueued", || {
            let status = pueue.call(&["status"]).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        });
        succeed(&mut pueue.call(&["parallel", "2"]));
        Ok(pueue)
    }

    pub fn call(&self, words: &[&str]) -> Command {
        let mut call = self.ground.command(&self.program);
        call.arg("--config")
            .arg(self.folder.join("config"))
            .args(words);
        call
    }

    /// From the first start to the last end, as it has noted them itself; how many a second.
    pub fn drain(&self, runs: usize) -> f64 {
        succeed(&mut self.call(&["pause"]));
        for _ in 0..runs {
            succeed(&mut self.call(&["add", "--", "true"]));
        }
        succeed(&mut self.call(&["start"]));
        let mut times = Vec::new();
        wait_until("the ends of pueue's", || {
            pause(Duration::from_millis(500));
            times = self.times();
            times.len() >= 2 * runs
        });
        times.sort_unstable_by(f64::total_cmp);
        runs as f64 / (times[times.len() - 1] - times[0])
    }

    /// When those that have ended were started, and when they ended.
    fn times(&self) -> Vec<f64> {
        let status = output(&mut self.call(&["status", "--json"]));
        let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
        let all = status["tasks"].as_object().expect("there are some");
        let done = all.values().map(|one| &one["status"]["Done"]);
        let times = done.flat_map(|done| [done["start"].as_str(), done["end"].as_str()]);
        let seconds = |text: &str| {
            let time: jiff::Timestamp = text.parse().expect("it is a time");
            time.as_microsecond() as f64 / 1e6
        };
        times.flatten().map(seconds).collect()
    }
}

impl Drop for Pueue<'_> {
    fn drop(&mut self) {
        let ended = self.call(&["shutdown"]).status();
        if !ended.is_ok_and(|status| status.success()) {
            let _ = self.daemon.kill();
        }
        let _ = self.daemon.wait();
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// litequeue, filled first, with two workers that start commands by posix_spawn. From the first
/// that was taken to the last that was done. Errors: why there is none.
pub fn litequeue(ground: &Ground) -> Result<impl FnMut(usize) -> f64 + '_, String> {
    let python = ground.tools.litequeue()?;
    let script = ground.fresh().join("worker.py");
    fs::write(&script, include_str!("worker.py")).expect("there is room");
    let command = ground.tools.must("true");
    Ok(move |runs: usize| {
        let folder = ground.fresh();
        let call = |verb: &str| {
            let mut call = ground.command(&python);
            call.env("PYTHONPATH", ground.tools.modules())
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .args([&script, Path::new(verb), &folder.join("queue")]);
            call
        };
        succeed(call("fill").arg(runs.to_string()).arg(&command));
        let workers = [0, 1].map(|_| call("work").stdout(Stdio::piped()).spawn());
        let mut times = Vec::new();
        for worker in workers {
            let ended = worker.and_then(Child::wait_with_output);
            let ended = ended.expect("it is there");
            assert!(ended.status.success(), "a worker: {}", ended.status);
            let told = String::from_utf8(ended.stdout).expect("it prints numbers");
            times.extend(told.split_whitespace().flat_map(str::parse::<f64>));
        }
        times.sort_unstable_by(f64::total_cmp);
        runs as f64 / (times[times.len() - 1] - times[0])
    })
}

/// nq, which starts one at a time: two queues, each behind one that holds it. Errors: why there is
/// none.
pub fn nq(ground: &Ground) -> Result<impl FnMut(usize) -> f64 + '_, String> {
    let program = ground.tools.peer("nq")?;
    Ok(move |runs: usize| {
        let queues = [ground.fresh(), ground.fresh()];
        let folder = ground.fresh();
        let mut gate = Pipe::new(&folder, "gate");
        let ended = Pipe::new(&folder, "ended");
        let holder = words(&["gate", gate.path(), ended.path()]);
        let call = |queue: &Path| {
            let mut call = ground.command(&program);
            call.env("NQDIR", queue);
            call
        };
        for queue in &queues {
            succeed(call(queue).args(&holder));
            for _ in 0..runs / 2 {
                succeed(call(queue).arg("true"));
            }
        }
        let waiters = queues.each_ref().map(|queue| call(queue).arg("-w").spawn());
        pause(Duration::from_millis(50));
        let begun = clock::monotonic();
        gate.open(2);
        for waiter in waiters {
            reap(waiter.expect("it is there"));
        }
        (runs / 2 * 2) as f64 / begun.elapsed().as_secs_f64()
    })
}

/// GNU parallel, with a line for each command. Errors: why there is none.
pub fn parallel(ground: &Ground) -> Result<impl FnMut(usize) -> f64 + '_, String> {
    let program = ground.tools.peer("parallel")?;
    // Another program of this name fails at this.
    let said = ground.command(&program).arg("--version").output();
    let said = said.expect("it can be started").stdout;
    if !String::from_utf8_lossy(&said).contains("GNU") {
        return Err("the parallel that is here is not GNU's".to_owned());
    }
    Ok(move |runs: usize| {
        let lines = ground.lines(vec!["true"; runs]);
        let mut call = ground.command(&program);
        call.args(["--will-cite", "-j2", "-a"]).arg(lines);
        runs as f64 / timed(&mut call)
    })
}

/// `xargs -n1` with so many at once, a line of input for each; how many a second.
pub fn xargs(ground: &Ground, at_once: usize, command: &str, line: &str, runs: usize) -> f64 {
    let lines = ground.lines(vec![line; runs]);
    let mut call = ground.command(ground.tools.must("xargs"));
    call.args(["-n1", &format!("-P{at_once}"), "-a"]).arg(lines);
    call.arg(ground.tools.must(command));
    runs as f64 / timed(&mut call)
}
