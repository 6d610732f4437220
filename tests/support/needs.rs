//! What some tests need from the machine, beyond Rust, a shell and coreutils.
//!
//! Also a module of `tests/needs.rs`, so it may use nothing else of the harness.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The `curl` program.
    Curl,
    /// The `tmux` program: a terminal for tests of what people see.
    Tmux,
    /// The `strace` program, and the right to trace a child.
    Strace,
    /// To run as root.
    Root,
    /// To mount a file system of our own: root, a free loop device, `mkfs.ext4`.
    LoopMount,
    /// The `nohup` program.
    Nohup,
    /// The `script` program: a terminal for one call.
    Script,
    /// The `flock` program: the tripwire against two attempts at once.
    Flock,
}

impl Need {
    /// Every need, in the order in which they are reported.
    pub const ALL: [Need; 8] = [
        Need::Curl,
        Need::Tmux,
        Need::Strace,
        Need::Root,
        Need::LoopMount,
        Need::Nohup,
        Need::Script,
        Need::Flock,
    ];

    /// Whether this machine has it, found out by trying it.
    pub fn met(self) -> bool {
        match self {
            Need::Curl => program("curl").is_some(),
            Need::Tmux => program("tmux").is_some(),
            Need::Strace => succeeds("strace", &["-o", "/dev/null", "true"]),
            Need::Root => nix::unistd::geteuid().is_root(),
            Need::LoopMount => loop_mount_works(),
            Need::Nohup => program("nohup").is_some(),
            Need::Script => program("script").is_some(),
            Need::Flock => program("flock").is_some(),
        }
    }

    /// What is missing, which tests that costs, and what to do about it.
    pub fn missing(self) -> &'static str {
        match self {
            Need::Curl => "curl is missing (real transfers); install it with apt-get install curl",
            Need::Tmux => {
                "tmux is missing (what a terminal shows); install it with apt-get install tmux"
            }
            Need::Strace => {
                "strace is missing or may not trace (injected faults); install it with apt-get install strace"
            }
            Need::Root => "not root (other users, limits); run the tests as root",
            Need::LoopMount => {
                "a file system cannot be mounted from a file (full disks); run as root with loop devices, and apt-get install e2fsprogs util-linux"
            }
            Need::Nohup => {
                "nohup is missing (clean children); install it with apt-get install coreutils"
            }
            Need::Script => {
                "script is missing (what a terminal shows); install it with apt-get install bsdutils"
            }
            Need::Flock => {
                "flock is missing (never two at once); install it with apt-get install util-linux"
            }
        }
    }
}

/// Whether the test that asks must be left out. Panics where nothing may be left out (`CI=true`).
///
/// ```ignore
/// if skip(Need::Curl) { return; }
/// ```
#[track_caller]
pub fn skip(need: Need) -> bool {
    if need.met() {
        return false;
    }
    assert!(!ci(), "CI=true and {}", need.missing());
    true
}

/// Whether this is a machine of CI, where a missing need is a failure.
pub fn ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}

/// Where a program is: in PATH, or where only root's PATH looks.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn succeeds(name: &str, args: &[&str]) -> bool {
    let Some(file) = program(name) else {
        return false;
    };
    Command::new(file)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn loop_mount_works() -> bool {
    Need::Root.met()
        && program("mkfs.ext4").is_some()
        && succeeds("losetup", &["--find"])
        && succeeds("unshare", &["--mount", "true"])
}
