//! Where it is measured: a folder whose path has always the same length, a small environment, and
//! the two programs that count.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use retrier::clock;
use retrier::sys::poll::wait_readable;
use tempfile::TempDir;

/// Longer than any machine takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Who sleeps for so long has nothing more to do.
const REST: Duration = Duration::from_millis(100);

/// `mov eax, 434`: the number of pidfd_open(2), before it is called.
const PIDFD_OPEN: [u8; 5] = [0xb8, 0xb2, 0x01, 0x00, 0x00];

/// `mov eax, 213`: that of epoll_create(2).
const EPOLL_CREATE: [u8; 5] = [0xb8, 0xd5, 0x00, 0x00, 0x00];

/// `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// The programs that count.
pub struct Tools {
    pub valgrind: PathBuf,
    pub strace: PathBuf,
}

impl Tools {
    /// Errors: one is not there, and which package has it.
    pub fn find() -> Result<Self, String> {
        let find = |name: &str| {
            let path = env::var_os("PATH").unwrap_or_default();
            let mut places = env::split_paths(&path).map(|folder| folder.join(name));
            let found = places.find(|place| place.is_file());
            found.ok_or_else(|| format!("{name} is missing: apt-get install {name}"))
        };
        match (find("valgrind"), find("strace")) {
            (Ok(valgrind), Ok(strace)) => Ok(Self { valgrind, strace }),
            (Err(one), Err(other)) => Err(format!("{one}\nerror: {other}")),
            (Err(one), Ok(_)) | (Ok(_), Err(one)) => Err(one),
        }
    }

    /// What the counts depend on beside the program.
    pub fn versions(&self) -> String {
        let first_line = |command: &mut Command| {
            let output = command.output().map(|output| output.stdout);
            let text = String::from_utf8(output.unwrap_or_default()).unwrap_or_default();
            text.lines().next().unwrap_or_default().to_owned()
        };
        [
            first_line(Command::new(&self.valgrind).arg("--version")),
            first_line(Command::new(&self.strace).arg("--version")),
            first_line(Command::new("getconf").arg("GNU_LIBC_VERSION")),
            first_line(Command::new("rustc").arg("--version")),
        ]
        .join(", ")
    }
}

/// A folder with a database of its own and the program.
pub struct Scene<'a> {
    pub tools: &'a Tools,
    folder: TempDir,
}

impl<'a> Scene<'a> {
    pub fn new(tools: &'a Tools) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("retrier-budget-")
            .tempdir_in("/tmp");
        let scene = Self {
            tools,
            folder: folder.expect("a temporary folder"),
        };
        let binary = env!("CARGO_BIN_EXE_retrier");
        fs::copy(binary, scene.path("retrier")).expect("there is room");
        let mut program = fs::read(binary).expect("the binary is there");
        replace_pidfd_open(&mut program);
        // Named and made like the other one, for the same number of instructions.
        fs::create_dir(scene.path("v")).expect("there is room");
        let copy = scene.path("v/retrier");
        fs::copy(binary, &copy).expect("there is room");
        fs::write(copy, program).expect("there is room");
        scene
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has `program` see nothing of who runs the bench.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("LANG", "C.UTF-8")
            .env("RETRIER_DB", self.path("db"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(self.path("err")).expect("there is room"));
        command
    }

    /// Runs it to its end, and gives what it wrote to stderr.
    pub fn run(&self, command: &mut Command) -> String {
        let mut child = command.spawn().expect("it can be executed");
        let status = wait(&mut child);
        let said = fs::read_to_string(self.path("err")).expect("it is there");
        let status = status.unwrap_or_else(|| panic!("{command:?} does not end: {said}"));
        assert!(status.success(), "{command:?}: {status}: {said}");
        said
    }

    /// Calls the program without counting.
    pub fn call(&self, arguments: &[&str]) {
        self.run(self.command(&self.path("retrier")).args(arguments));
    }

    /// Stores `runs` runs that do nothing.
    pub fn store(&self, runs: usize) {
        let lines = self.path("lines");
        fs::write(&lines, "true\n".repeat(runs)).expect("there is room");
        self.call(&["run", "--no-daemon-start", "--batch", "lines"]);
    }

    /// Were the first `runs` runs carried out?
    pub fn assert_succeeded(&self, runs: usize) {
        // Of runs that have not ended it would tell by its exit code.
        let mut words: Vec<String> = ["wait", "--quiet", "--timeout", "1ms"]
            .map(str::to_owned)
            .to_vec();
        words.extend((1..=runs).map(|id| id.to_string()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.call(&words);
    }

    /// Starts a daemon, and waits until it serves.
    pub fn serve(&self) -> Daemon {
        let mut command = self.command(&self.path("retrier"));
        command.args(["daemon", "--retention", "0"]);
        let daemon = Daemon(command.spawn().expect("the binary is there"));
        let mut status = self.command(&self.path("retrier"));
        status.args(["daemon", "status"]);
        until("a daemon that serves", || {
            status.status().expect("the binary is there").success()
        });
        daemon
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        // Whatever went wrong, nothing outlives the folder. None may be there.
        let mut stop = self.command(&self.path("retrier"));
        let _ = stop.args(["daemon", "stop", "--kill"]).status();
    }
}

/// A daemon that ends with this.
pub struct Daemon(Child);

impl Daemon {
    /// Stops it where it rests: a commit of its own, sooner or later, would have a client read
    /// again what it knows already.
    pub fn hold(&self) {
        let path = format!("/proc/{}/status", self.0.id());
        let mut before = None;
        until("a daemon at rest", || {
            // How it is, and how often it went to sleep.
            let status = fs::read_to_string(&path).expect("it lives");
            let is_asleep = status.contains("\nState:\tS");
            let slept = status
                .lines()
                .find(|line| line.starts_with("voluntary_ctxt"));
            let slept = slept.map(str::to_owned).filter(|_| is_asleep);
            let rests = slept.is_some() && slept == before;
            before = slept;
            wait_readable(&[], Some(REST)).expect("nothing is waited for");
            rests
        });
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGSTOP).expect("it is our child");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        assert!(ended.is_ok(), "{ended:?}");
    }
}

/// Waits until `condition` holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = clock::monotonic();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "waited too long for {what}");
        pause().expect("nothing is waited for");
    }
}

/// Its end; `None`: it took too long, and was killed.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let begun = clock::monotonic();
    loop {
        match child.try_wait().expect("it is our child") {
            Some(status) => return Some(status),
            None if begun.elapsed() < LIMIT => pause().expect("nothing is waited for"),
            None => {
                let _ = child.kill().and_then(|()| child.wait());
                return None;
            }
        }
    }
}

fn pause() -> io::Result<()> {
    wait_readable(&[], Some(Duration::from_millis(5))).map(drop)
}

/// Valgrind before 3.21 does not know pidfd_open(2), and a daemon starts no shim without one. In its
/// place the program gets a descriptor that is never readable, like that of a shim that lives; it
/// takes as many instructions. System calls are counted in the program as it is.
fn replace_pidfd_open(program: &mut [u8]) {
    let mut replaced = 0;
    let mut from = 0;
    while let Some(at) = position(&program[from..], &PIDFD_OPEN).map(|at| from + at) {
        from = at + PIDFD_OPEN.len();
        // Between them stand the arguments.
        let end = program.len().min(from + 12);
        if position(&program[from..end], &SYSCALL).is_some() {
            program[at..from].copy_from_slice(&EPOLL_CREATE);
            replaced += 1;
        }
    }
    assert!(
        replaced > 0,
        "the program calls no pidfd_open that can be seen"
    );
}

fn position(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}
