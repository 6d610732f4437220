//! What some tests need from the machine, beyond Rust, a shell and coreutils.
//!
//! Also a module of `tests/needs.rs`, so it may use nothing else of the harness.

use std::env;
use std::path::{Path, PathBuf};

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The `curl` program.
    Curl,
    /// The `nohup` program.
    Nohup,
    /// The `script` program: a terminal for one call.
    Script,
    /// The `flock` program: the tripwire against two attempts at once.
    Flock,
}

impl Need {
    /// Every need, in the order in which they are reported.
    pub const ALL: [Need; 4] = [Need::Curl, Need::Nohup, Need::Script, Need::Flock];

    /// Whether this machine has it, found out by trying it.
    pub fn met(self) -> bool {
        match self {
            Need::Curl => program("curl").is_some(),
            Need::Nohup => program("nohup").is_some(),
            Need::Script => program("script").is_some(),
            Need::Flock => program("flock").is_some(),
        }
    }

    /// What is missing, which tests that costs, and what to do about it.
    pub fn missing(self) -> &'static str {
        match self {
            Need::Curl => "curl is missing (real transfers); install it with apt-get install curl",
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
