//! A world of its own for one test: folder, database, environment, and no process left behind.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::call::Call;
use super::daemon::Daemon;
use super::disk::Disk;
use super::processes::{self, Process};
use super::wait::holds_within;

/// The program under test.
const RETRIER: &str = env!("CARGO_BIN_EXE_retrier");

/// How long killed, or orderly leaving, processes may take to be gone.
const LIMIT: Duration = Duration::from_secs(15);

/// A temp folder with one database; everything that a test starts goes through it and ends with it.
///
/// Calls see `RETRIER_DB`, a HOME in the folder, and the rest of the environment without `RETRIER_*`, `XDG_*` and proxies.
#[derive(Debug)]
pub struct Home {
    /// Unmounted before the folder is removed.
    disks: Mutex<Vec<Arc<Disk>>>,
    folder: TempDir,
    db: PathBuf,
    clock: OnceLock<PathBuf>,
}

impl Home {
    /// An empty one: there is no database yet, and no daemon.
    pub fn new() -> Home {
        Home::at("retrier.db")
    }

    /// An empty one, whose database will be at `db` in the temp folder: on a [`Disk`], say.
    pub fn at(db: &str) -> Home {
        let folder = tempfile::Builder::new()
            .prefix("retrier-")
            .tempdir()
            .expect("a temp folder can be made");
        fs::create_dir(folder.path().join("home")).expect("the temp folder can be written");
        let db = folder.path().join(db);
        // The folder of the default database is made by whoever stores the first run.
        if !db.starts_with(folder.path().join("home")) {
            let mut place = fs::DirBuilder::new();
            let place = place.recursive(true).mode(0o700);
            let parent = db.parent().expect("a file is in a folder");
            place.create(parent).expect("there is room");
        }
        Home {
            db,
            folder,
            clock: OnceLock::new(),
            disks: Mutex::default(),
        }
    }

    /// The database's file.
    pub fn db(&self) -> &Path {
        &self.db
    }

    /// A path in the temp folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Mounts a disk of so many MiB on the folder `at` in the temp folder, until the home ends.
    #[track_caller]
    pub fn mount(&self, at: &str, mib: u64) -> Arc<Disk> {
        let mut disks = self.disks.lock().expect("nobody panics while holding it");
        let image = self.path(format!("disk-{}.image", disks.len()));
        let disk = Arc::new(Disk::mount(image, self.path(at), mib));
        disks.push(Arc::clone(&disk));
        disk
    }

    /// A call of `retrier` with these arguments.
    pub fn retrier(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Call {
        let mut command = self.command();
        command.args(args);
        Call::new(command)
    }

    /// A call of `sh -c LINE`, in which `retrier` is found by that name.
    pub fn sh(&self, line: impl AsRef<OsStr>) -> Call {
        let mut command = self.program("sh");
        command.arg("-c").arg(line).env("PATH", path_with_retrier());
        Call::new(command)
    }

    /// Stores a run (`retrier run ARGS…`) and returns its id.
    #[track_caller]
    pub fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> i64 {
        let mut call = self.retrier(["run"]);
        for arg in args {
            call = call.arg(arg);
        }
        let id = call.output().ok().text();
        id.parse()
            .unwrap_or_else(|_| panic!("`retrier run` printed {id:?} instead of an id alone"))
    }

    /// What `retrier status --json ID` says.
    #[track_caller]
    pub fn status(&self, id: i64) -> serde_json::Value {
        let id = id.to_string();
        self.retrier(["status", "--json", &id]).output().ok().json()
    }

    /// The state of a run, by the word that users see.
    #[track_caller]
    pub fn state(&self, id: i64) -> String {
        let status = self.status(id);
        let state = status["state"].as_str();
        state
            .unwrap_or_else(|| panic!("no state in {status}"))
            .to_owned()
    }

    /// The exit code of `retrier wait ID`.
    #[track_caller]
    pub fn wait(&self, id: i64) -> i32 {
        self.retrier(["wait", &id.to_string()]).output().code
    }

    /// Starts a daemon in the foreground and waits until it answers.
    #[track_caller]
    pub fn daemon(&self) -> Daemon {
        self.daemon_with(&[], &[])
    }

    /// The same, with more arguments and variables of the environment.
    #[track_caller]
    pub fn daemon_with(&self, args: &[&str], envs: &[(&str, &str)]) -> Daemon {
        Daemon::start(self, args, envs)
    }

    /// Gives the default pool of a home without a database so many slots; once is enough.
    #[track_caller]
    pub fn slots(&self, slots: u32) {
        // With runs that wait it would start a daemon of its own.
        if self.db.exists() {
            return;
        }
        let slots = slots.to_string();
        let call = self.retrier(["pool", "set", "default", "--parallel", &slots]);
        call.output().ok();
    }

    /// Every living process that belongs to this home: daemons, shims, commands, clients.
    pub fn processes(&self) -> Vec<Process> {
        processes::belonging_to(self.folder.path(), &self.db)
    }

    /// The daemon that says that it holds the database, if there is one.
    pub fn holder(&self) -> Option<OwnedFd> {
        let text = fs::read(self.beside("lock")).ok()?;
        let holder: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let pid = i32::try_from(holder["process"]["pid"].as_i64()?).ok()?;
        processes::open_daemon(pid, self.folder.path(), &self.db)
    }

    /// What the daemons that nobody looks at have logged.
    pub fn daemon_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.beside("daemon.log")).unwrap_or_default()).into()
    }

    /// What `retrier doctor --deep` finds wrong: what is stored contradicts itself, or something keeps runs from going
    /// on. How it stands with the machine is not what a test of retrier is about.
    #[track_caller]
    pub fn doctor(&self) -> Vec<String> {
        let output = self.retrier(["doctor", "--deep", "--json"]).output();
        let said = || format!("doctor exits with {}: {}", output.code, output.error_text());
        if ![0, 1].contains(&output.code) {
            return vec![said()];
        }
        let document = output.json();
        let Some(findings) = document["findings"].as_array() else {
            return vec![said()];
        };
        let own = ["clock", "filesystem", "limits", "room"];
        let is_own =
            |finding: &&serde_json::Value| !own.iter().any(|check| finding["check"] == *check);
        let found = findings.iter().filter(is_own);
        found.map(|finding| format!("doctor: {finding}")).collect()
    }

    /// Asserts that all of them are gone, or leave by themselves within some seconds.
    #[track_caller]
    pub fn assert_no_process_left(&self) {
        let none = holds_within(LIMIT, || self.processes().is_empty());
        assert!(none, "processes left: {:#?}", self.processes());
    }

    /// The bare command, for what [`Call`] cannot do.
    pub fn command(&self) -> Command {
        self.program(RETRIER)
    }

    pub(super) fn set_clock(&self, file: PathBuf) {
        self.clock.set(file).expect("one fake clock for one home");
    }

    fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            if is_kept_out(&name) {
                command.env_remove(name);
            }
        }
        command
            .env("RETRIER_DB", &self.db)
            .env("HOME", self.path("home"))
            // Of which service the tests themselves are a part is no matter of theirs.
            .env("RETRIER_FAKE_CGROUP", "/dev/null");
        if let Some(file) = self.clock.get() {
            command.env("RETRIER_FAKE_CLOCK", file);
        }
        command
    }

    /// A path in the folder that belongs to the database.
    fn beside(&self, name: &str) -> PathBuf {
        let mut folder = self.db.clone().into_os_string();
        folder.push(".d");
        PathBuf::from(folder).join(name)
    }

    /// The disk that was mounted first.
    #[track_caller]
    pub fn disk(&self) -> Arc<Disk> {
        let disks = self.disks.lock().expect("nobody panics while holding it");
        Arc::clone(disks.first().expect("one was mounted"))
    }

    /// Ends a process with SIGKILL, if its pid still is one of this home.
    pub fn end(&self, process: &Process) {
        process.end(self.folder.path(), &self.db);
    }

    /// Ends every process: daemons first, because they would start others. Whether all are gone.
    pub fn end_processes(&self) -> bool {
        let folder = self.folder.path();
        let daemons_gone = holds_within(LIMIT, || {
            let daemons = self.processes().into_iter().filter(Process::is_daemon);
            daemons.map(|daemon| daemon.end(folder, &self.db)).count() == 0
        });
        let all_gone = holds_within(LIMIT, || {
            let rest = self.processes().into_iter();
            rest.map(|process| process.end(folder, &self.db)).count() == 0
        });
        daemons_gone && all_gone
    }

    #[expect(
        clippy::print_stderr,
        reason = "what the daemons said explains a failed test"
    )]
    fn print_daemon_logs(&self) {
        for file in [self.path("daemon.err"), self.beside("daemon.log")] {
            if let Ok(text) = fs::read(&file) {
                eprintln!("--- {}\n{}", file.display(), String::from_utf8_lossy(&text));
            }
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let failed = thread::panicking();
        if failed {
            self.print_daemon_logs();
        }
        let ended = self.end_processes();
        // A second panic would abort all tests.
        assert!(
            ended || failed,
            "processes that SIGKILL does not end: {:#?}",
            self.processes()
        );
    }
}

/// What may not reach a test from the shell that started it.
fn is_kept_out(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("RETRIER_")
        || name.starts_with("XDG_")
        || name.to_ascii_lowercase().ends_with("_proxy")
}

fn path_with_retrier() -> std::ffi::OsString {
    let own = Path::new(RETRIER).parent().expect("a file is in a folder");
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = [own.to_owned()]
        .into_iter()
        .chain(env::split_paths(&inherited));
    env::join_paths(folders).expect("folders of a PATH have no colon")
}
