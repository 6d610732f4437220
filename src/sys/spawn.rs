//! Finding the program that a command means, and starting this one: a shim for a daemon, a daemon for
//! a client. Commands are started by [`command`](super::command).
//!
//! std's posix_spawn path stays open as long as the program is an absolute path and there is no
//! `pre_exec`; a fork would copy the page tables of the caller.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::{AccessFlags, access};

use super::{manager, process};

/// Why a program cannot be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// There is no such file: a shell's exit code 127.
    NotFound,
    /// There is one, and it cannot be executed: 126.
    NotExecutable,
}

impl Unresolved {
    /// The exit code that shells use for it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::NotFound => 127,
            Self::NotExecutable => 126,
        }
    }

    /// It in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotFound => "command not found",
            Self::NotExecutable => "not executable",
        }
    }
}

/// What execvp(3) searches when PATH is not set.
const PATH_DEFAULT: &[u8] = b"/bin:/usr/bin";

/// Finds the file that `program` means in folder `cwd` with this PATH, as execvp(3) would.
pub fn resolve(program: &[u8], path: Option<&[u8]>, cwd: &Path) -> Result<PathBuf, Unresolved> {
    if program.is_empty() {
        return Err(Unresolved::NotFound);
    }
    if program.contains(&b'/') {
        return executable(cwd.join(OsStr::from_bytes(program)));
    }
    let mut answer = Unresolved::NotFound;
    for folder in path.unwrap_or(PATH_DEFAULT).split(|byte| *byte == b':') {
        // An empty entry is the current folder.
        let candidate = cwd
            .join(OsStr::from_bytes(folder))
            .join(OsStr::from_bytes(program));
        match executable(candidate) {
            Ok(found) => return Ok(found),
            Err(Unresolved::NotExecutable) => answer = Unresolved::NotExecutable,
            Err(Unresolved::NotFound) => {}
        }
    }
    Err(answer)
}

fn executable(path: PathBuf) -> Result<PathBuf, Unresolved> {
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Unresolved::NotExecutable)
        }
        Err(_) => Err(Unresolved::NotFound),
        Ok(found) if !found.is_file() => Err(Unresolved::NotExecutable),
        // access(2) says yes to root for any execute bit, as execve(2) does.
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Err(Unresolved::NotExecutable),
        Ok(_) => match access(&path, AccessFlags::X_OK) {
            Ok(()) => Ok(path),
            Err(_) => Err(Unresolved::NotExecutable),
        },
    }
}

/// This program's own file, opened once, so that it can be started again after an upgrade or a
/// deletion has taken its path away.
#[derive(Debug)]
pub struct OwnProgram(File);

impl OwnProgram {
    /// Opens it. Errors: /proc is not mounted.
    pub fn open() -> io::Result<Self> {
        Ok(Self(File::open("/proc/self/exe")?))
    }

    fn command(&self) -> Command {
        // The kernel resolves the link before it closes the descriptor.
        let mut command = Command::new(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        command.arg0("retrier");
        // It is not the process that a service manager has started: it must not say that it is ready.
        for name in manager::VARIABLES {
            command.env_remove(name);
        }
        command
    }

    /// Starts a shim: its stdin is the `control` socket, its stdout the `record`, its stderr the
    /// `log`; it inherits `lock` at the number that its first argument names, and gets the soft
    /// limit of open files that its command shall have. Gives its pid.
    pub fn shim(
        &self,
        control: OwnedFd,
        record: File,
        log: File,
        lock: &File,
        open_files: u64,
    ) -> io::Result<i32> {
        let lock = process::inheritable(lock)?;
        let mut command = self.command();
        command.args([
            "__shim",
            &lock.as_raw_fd().to_string(),
            &open_files.to_string(),
        ]);
        command.stdin(control).stdout(record).stderr(log);
        command.current_dir("/");
        Ok(command.spawn()?.id() as i32)
    }

    /// Starts this program with `arguments`, detached: stdin is /dev/null, stderr is `log`, and
    /// stdout a pipe on which it says when it is ready.
    pub fn detached(&self, arguments: &[OsString], log: File) -> io::Result<Child> {
        let mut command = self.command();
        command.args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        command.spawn()
    }
}

/// The bytes of a path, as they are stored and sent.
pub fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// The path of these bytes.
pub fn bytes_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
