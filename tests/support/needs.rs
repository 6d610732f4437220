//! What some tests need from the machine, beyond Rust, a shell and coreutils.
//!
//! Also a module of `tests/needs.rs`, so it may use nothing else of the harness.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::OnceLock;

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The `curl` program.
    Curl,
    /// The `nohup` program.
    Nohup,
    /// The `script` program: a terminal for one call.
    Script,
    /// The `tmux` program: a terminal that shows what was drawn on it.
    Tmux,
    /// The `flock` program: the tripwire against two attempts at once.
    Flock,
    /// The `bash` program: a command that closes every descriptor, completions.
    Bash,
    /// The `zsh` program: completions.
    Zsh,
    /// The `fish` program: completions.
    Fish,
    /// The `mandoc` program: a second opinion on the manual pages.
    Mandoc,
    /// The `groff` program: manual pages.
    Groff,
    /// The `strace` program, and leave to trace: a kill at each system call.
    Strace,
    /// The `sqlite3` program, of another version than ours: what others read.
    Sqlite3,
    /// The `systemd-analyze` program: what systemd thinks of a unit.
    SystemdAnalyze,
    /// The `cron` program of Debian: the README's lines for it.
    Cron,
    /// The `jq` program: a hook of the README.
    Jq,
    /// Being root: other users' files, namespaces, limits of other users.
    Root,
    /// Pid and mount namespaces: reused pids, another boot.
    Namespaces,
    /// A filesystem of ext4 in a file: full disks, power cuts.
    LoopMount,
}

impl Need {
    /// Every need, in the order in which they are reported.
    pub const ALL: [Need; 18] = [
        Need::Curl,
        Need::Nohup,
        Need::Script,
        Need::Tmux,
        Need::Flock,
        Need::Bash,
        Need::Zsh,
        Need::Fish,
        Need::Mandoc,
        Need::Groff,
        Need::Strace,
        Need::Sqlite3,
        Need::SystemdAnalyze,
        Need::Cron,
        Need::Jq,
        Need::Root,
        Need::Namespaces,
        Need::LoopMount,
    ];

    /// Whether this machine has it, found out by trying it.
    pub fn met(self) -> bool {
        match self {
            Need::Curl => program("curl").is_some(),
            Need::Nohup => program("nohup").is_some(),
            Need::Script => program("script").is_some(),
            Need::Tmux => program("tmux").is_some(),
            Need::Flock => program("flock").is_some(),
            Need::Bash => program("bash").is_some(),
            Need::Zsh => program("zsh").is_some(),
            Need::Fish => program("fish").is_some(),
            Need::Mandoc => program("mandoc").is_some(),
            // For a terminal: groff-base has no more.
            Need::Groff => works("echo .TH x 1 | groff -man -ww -z -Tutf8"),
            Need::Strace => works("strace -o /dev/null true"),
            Need::Sqlite3 => program("sqlite3").is_some(),
            Need::SystemdAnalyze => program("systemd-analyze").is_some(),
            Need::Cron => works("test -x /usr/sbin/cron"),
            Need::Jq => program("jq").is_some(),
            Need::Root => works("test \"$(id -u)\" = 0"),
            Need::Namespaces => works("unshare --pid --mount --fork --mount-proc true"),
            Need::LoopMount => can_loop_mount(),
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
            Need::Tmux => {
                "tmux is missing (what a terminal shows); install it with apt-get install tmux"
            }
            Need::Flock => {
                "flock is missing (never two at once); install it with apt-get install util-linux"
            }
            Need::Bash => {
                "bash is missing (commands that close all descriptors, completions); install it with apt-get install bash"
            }
            Need::Zsh => "zsh is missing (completions); install it with apt-get install zsh",
            Need::Fish => "fish is missing (completions); install it with apt-get install fish",
            Need::Mandoc => {
                "mandoc is missing (manual pages); install it with apt-get install mandoc"
            }
            Need::Groff => {
                "groff does not work (manual pages); install it with apt-get install groff-base"
            }
            Need::Strace => {
                "strace does not work (kills at each system call); install it with apt-get install strace"
            }
            Need::Sqlite3 => {
                "sqlite3 is missing (what others read); install it with apt-get install sqlite3"
            }
            Need::SystemdAnalyze => {
                "systemd-analyze is missing (units); install it with apt-get install systemd"
            }
            Need::Cron => {
                "cron is missing (the README's crontabs); install it with apt-get install cron"
            }
            Need::Jq => "jq is missing (a hook of the README); install it with apt-get install jq",
            Need::Root => {
                "this is not root (other users' databases, process limits); run it as root"
            }
            Need::Namespaces => {
                "pid and mount namespaces do not work (reused pids, another boot); run it as root, with util-linux"
            }
            Need::LoopMount => {
                "no loop mount of ext4 (full disks, power cuts); run it as root, with e2fsprogs and mount"
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

/// Whether this line of shell exits with 0.
fn works(line: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let root = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let path = env::join_paths(env::split_paths(&path).chain(root)).unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).env("PATH", path);
    let quiet = shell.stdin(Stdio::null()).stdout(Stdio::null());
    let status = quiet.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Tried once: it takes a while.
fn can_loop_mount() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let folder = env::temp_dir().join(format!("retrier-loop-{}", process::id()));
        let made = fs::create_dir(&folder);
        let line = format!(
            "cd '{}' && truncate -s 1M image && mkfs.ext4 -q image && mkdir on && \
             mount -o loop image on && umount on",
            folder.display()
        );
        let can = made.is_ok() && works(&line);
        fs::remove_dir_all(&folder).ok();
        can
    })
}
