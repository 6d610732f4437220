//! Starting commands with posix_spawn(3), for a shim.
//!
//! Not std's `Command`, which would copy the environment twice and look up the limit of open files
//! six times for each. A fork would copy the page tables of the caller; posix_spawn shares its memory
//! until the program is executed, and tells why one could not be.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use nix::libc;
use nix::sys::signal::SigSet;

use crate::model::spec::Variable;

use super::failpoint;

/// A command with everything that it is to be started with. Its folder and its umask are those of
/// this process.
pub struct Program<'a> {
    /// The file to execute, absolute.
    pub file: &'a Path,
    /// The arguments, the program's own name first.
    pub arguments: &'a [Vec<u8>],
    /// The whole environment.
    pub environment: &'a [Variable<'a>],
    /// Its stdin, stdout and stderr. None of them is a standard descriptor of this process.
    pub stdio: [BorrowedFd<'a>; 3],
}

/// Starts programs as leaders of process groups of their own, with no signal ignored, caught or
/// blocked.
pub struct Starter {
    attributes: libc::posix_spawnattr_t,
    /// What the descriptors with these numbers become: mostly those of the program before.
    stdio: Option<([RawFd; 3], Stdio)>,
}

impl Starter {
    /// Errors: none that this platform knows.
    pub fn new() -> io::Result<Self> {
        let signals = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        let flags = match failpoint::has_bug("inherits_signals") {
            true => libc::POSIX_SPAWN_SETPGROUP,
            false => libc::POSIX_SPAWN_SETPGROUP | signals,
        };
        let mut attributes = MaybeUninit::uninit();
        let at = attributes.as_mut_ptr();
        // SAFETY: `at` is valid for writes, the first call makes it a value that the others may
        // change, and the sets live as long as the calls. They are plain memory that may move.
        unsafe {
            check(libc::posix_spawnattr_init(at))?;
            check(libc::posix_spawnattr_setflags(at, flags as libc::c_short))?;
            check(libc::posix_spawnattr_setpgroup(at, 0))?;
            check(libc::posix_spawnattr_setsigdefault(
                at,
                SigSet::all().as_ref(),
            ))?;
            check(libc::posix_spawnattr_setsigmask(
                at,
                SigSet::empty().as_ref(),
            ))?;
        }
        Ok(Self {
            // SAFETY: it was made by the first call.
            attributes: unsafe { attributes.assume_init() },
            stdio: None,
        })
    }

    /// Starts `program`. Gives its pid, which stays valid until it is reaped. Errors: execve(2)'s and
    /// clone(2)'s; `InvalidInput` when a string has a NUL byte inside.
    pub fn start(&mut self, program: &Program<'_>) -> io::Result<i32> {
        let file = CString::new(program.file.as_os_str().as_bytes())?;
        let arguments = program.arguments.iter().map(|one| CString::new(&one[..]));
        let arguments = arguments.collect::<Result<Vec<CString>, _>>()?;
        let arguments = pointers(arguments.iter().map(|one| one.as_ptr()));
        let environment = program.environment.iter().map(|one| one.entry.as_ptr());
        let environment = pointers(environment);
        let stdio = Stdio::of(&mut self.stdio, program.stdio)?;
        let mut pid = 0;
        // SAFETY: all pointers are to values that outlive the call; both lists end with a null pointer
        // and hold strings that end with a NUL byte, which the call does not write to.
        check(unsafe {
            libc::posix_spawn(
                &mut pid,
                file.as_ptr(),
                &stdio.actions,
                &self.attributes,
                arguments.as_ptr(),
                environment.as_ptr(),
            )
        })?;
        Ok(pid)
    }
}

/// A list of strings as C takes it.
fn pointers(strings: impl Iterator<Item = *const libc::c_char>) -> Vec<*mut libc::c_char> {
    let end = std::iter::once(ptr::null_mut());
    strings.map(<*const _>::cast_mut).chain(end).collect()
}

/// What a new process does with its descriptors.
struct Stdio {
    actions: libc::posix_spawn_file_actions_t,
}

impl Stdio {
    /// Makes `from` the standard descriptors; `kept` is the one of another start, with its numbers.
    fn of<'a>(
        kept: &'a mut Option<([RawFd; 3], Self)>,
        from: [BorrowedFd<'_>; 3],
    ) -> io::Result<&'a Self> {
        let numbers = from.map(|fd| fd.as_raw_fd());
        let made = match kept.take() {
            Some((same, made)) if same == numbers => made,
            Some(_) | None => Self::new(numbers)?,
        };
        Ok(&kept.insert((numbers, made)).1)
    }

    fn new(numbers: [RawFd; 3]) -> io::Result<Self> {
        if numbers.iter().any(|number| *number < 3) {
            // One could be overwritten before it is copied.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut actions = MaybeUninit::uninit();
        // SAFETY: it is valid for writes, and a value after the call. It is not bound to its place.
        let mut new = unsafe {
            check(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Self {
                actions: actions.assume_init(),
            }
        };
        for (standard, number) in (0..).zip(numbers) {
            // SAFETY: it was initialized above.
            check(unsafe {
                libc::posix_spawn_file_actions_adddup2(&mut new.actions, number, standard)
            })?;
        }
        Ok(new)
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        // SAFETY: it was initialized, and nobody uses it after this.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.actions) };
    }
}

/// These calls return an error's number, and set no errno.
fn check(answer: libc::c_int) -> io::Result<()> {
    match answer {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;

    use nix::errno::Errno;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;

    use super::*;
    use crate::model::Environment;

    /// Starts `arguments` in this folder; gives its exit code and what it has written.
    fn run(
        starter: &mut Starter,
        folder: &Path,
        arguments: &[&str],
        environment: &[u8],
    ) -> io::Result<(i32, String)> {
        let output = folder.join("out");
        let files = [
            File::open("/dev/null")?,
            File::create(&output)?,
            File::create(folder.join("err"))?,
        ];
        let arguments: Vec<Vec<u8>> = arguments.iter().map(|one| one.as_bytes().into()).collect();
        let environment = Environment(environment.to_vec());
        let pid = starter.start(&Program {
            file: Path::new(std::str::from_utf8(&arguments[0]).unwrap()),
            arguments: &arguments,
            environment: &Environment::merged(&[&environment]),
            stdio: files.each_ref().map(AsFd::as_fd),
        })?;
        match waitpid(Pid::from_raw(pid), None)? {
            WaitStatus::Exited(_, code) => Ok((code, fs::read_to_string(output)?)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_gets_its_arguments_this_environment_and_these_files_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut starter = Starter::new().unwrap();
        let line = "cat; echo \"$0\" \"$1\" \"$A\" \"${UNSET-unset}\"; exit 7";
        let arguments = ["/bin/sh", "-c", line, "", "b c"];
        let mut others = Vec::new();
        for _ in 0..3 {
            let ran = run(&mut starter, folder.path(), &arguments, b"A=1\0A=2\0").unwrap();
            assert_eq!(ran, (7, " b c 2 unset\n".to_owned()));
            // The next ones have other numbers, and these have something else behind them.
            others.push(File::open("/dev/null").unwrap());
        }
    }

    #[test]
    fn what_cannot_be_executed_is_told_in_the_kernels_words() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str, mode| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let mut starter = Starter::new().unwrap();
        let mut refused = |arguments: &[&str]| {
            let ran = run(&mut starter, folder.path(), arguments, b"A=1\0");
            ran.expect_err("it cannot be executed")
        };
        let long = "x".repeat(131_072);
        for (arguments, errno) in [
            (&[&*file("plain", "#!/bin/sh\n", 0o644)][..], Errno::EACCES),
            (&["/"], Errno::EACCES),
            (&["/no/such/program"], Errno::ENOENT),
            (&[&file("script", "#!/no/such\n", 0o755)], Errno::ENOENT),
            (&[&file("text", "echo\n", 0o755)], Errno::ENOEXEC),
            (&["/bin/sh", &long], Errno::E2BIG),
        ] {
            let told = refused(arguments).raw_os_error();
            assert_eq!(told, Some(errno as i32), "{}", arguments[0]);
        }
        for arguments in [&["/bin/sh", "a\0b"][..], &["/bin\0/sh"]] {
            let told = refused(arguments).kind();
            assert_eq!(told, io::ErrorKind::InvalidInput);
        }
    }

    /// One of them would be overwritten before it is copied.
    #[test]
    fn no_standard_descriptor_of_ours_can_be_passed_on() {
        let stdin = std::io::stdin();
        let mut starter = Starter::new().unwrap();
        let refused = starter.start(&Program {
            file: Path::new("/bin/true"),
            arguments: &[b"true".to_vec()],
            environment: &[],
            stdio: [stdin.as_fd(); 3],
        });
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
