//! What `run` captures of its caller: the command, its folder, environment, umask and input.

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::clock;
use crate::model::{Environment, Key, Spec, Start, Timestamp};
use crate::sys::files::{arguments_max, current_umask};
use crate::sys::spawn::{bytes_path, path_bytes, resolve};

use super::args::{PolicyArgs, RunArgs};
use super::environment;
use super::failure::{Failure, code};

/// The most that is kept of a run's input.
const STDIN_MAX: u64 = 16 * 1024 * 1024;

/// The kernel refuses an argument or a variable of MAX_ARG_STRLEN (32 pages of 4096 bytes) and
/// more, its final NUL included (execve(2)).
const STRING_MAX: usize = 32 * 4096 - 1;

/// Room that is left for what retrier adds to the environment.
const VARIABLES_MAX: usize = 16 * 1024;

/// The run that `args` ask for, with the `defaults` of its pool. Errors: it could never run, or what
/// it needs cannot be read.
pub fn spec(args: &RunArgs, defaults: &PolicyArgs) -> anyhow::Result<Spec> {
    check_switch(args)?;
    let mut spec = frame(args, defaults)?;
    spec.command = command(args);
    Checks::default().check(&spec, args.no_check)?;
    spec.stdin = input(args)?;
    Ok(spec)
}

/// As [`spec`], without its command and its input.
pub fn frame(args: &RunArgs, defaults: &PolicyArgs) -> anyhow::Result<Spec> {
    let cwd = cwd(args)?;
    let policy = args.retries.policy(defaults)?;
    let now = clock::now();
    let start = match (args.delay, args.at) {
        (Some(delay), _) => Start::After(delay),
        (None, Some(at)) => Start::At(at.next(now)),
        (None, None) => Start::Now,
    };
    check_start(start, policy.deadline, args, now)?;
    Ok(Spec {
        command: Vec::new(),
        cwd: path_bytes(&cwd),
        environment: environment::of(args),
        umask: current_umask(),
        stdin: None,
        name: args.name.clone(),
        policy,
        start,
        on_complete: args.on_complete.clone().map(OsString::into_vec),
        key: args.key.clone().map(|text| Key {
            text,
            once: args.once,
        }),
        priority: args.priority,
        pool: args.pool.clone(),
        lock: args.lock.clone(),
    })
}

/// What every attempt is to read.
pub fn input(args: &RunArgs) -> anyhow::Result<Option<Arc<[u8]>>> {
    let read = args.stdin.as_deref().map(stdin).transpose()?;
    Ok(read.map(Into::into))
}

/// Who reads a pipe may wait for ever, and nobody could store anything meanwhile.
pub fn check_regular(path: &Path) -> anyhow::Result<()> {
    let found = path.metadata();
    let found = found.map_err(|error| unreadable(path, &error))?;
    if !found.is_file() {
        let message = format!("stdin: {} is not a regular file", path.display());
        bail!(Failure::new(code::FAILED, message).hint("nothing was stored; name a file"));
    }
    Ok(())
}

/// Looks whether commands can be executed; of an environment, and of a program that was found, it is
/// not asked again.
#[derive(Debug, Default)]
pub struct Checks {
    found: HashSet<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    /// The environment that was looked at last.
    known: Option<Known>,
}

/// What is known of an environment.
#[derive(Debug)]
struct Known {
    environment: Environment,
    path: Option<Vec<u8>>,
    /// How many bytes it takes.
    taken: usize,
    /// How many the kernel gives to it and the arguments.
    max: usize,
}

/// So many programs are remembered.
const FOUND_MAX: usize = 1000;

impl Checks {
    /// Refuses what could never be executed; whether there is such a program is not looked at with
    /// `no_check`.
    pub fn check(&mut self, spec: &Spec, no_check: bool) -> anyhow::Result<()> {
        let known = match self
            .known
            .take_if(|one| one.environment == spec.environment)
        {
            Some(known) => known,
            None => Known::new(&spec.environment)?,
        };
        let known = self.known.insert(known);
        check_size(&spec.command, known)?;
        if no_check {
            return Ok(());
        }
        let name = spec.command.first().map_or(&[][..], Vec::as_slice);
        let path = known.path.as_deref();
        // No PATH is not the same as an empty one, and no path holds NUL.
        let path_key = path.unwrap_or(b"\0");
        let key = (name.to_vec(), path_key.to_vec(), spec.cwd.clone());
        if self.found.contains(&key) {
            return Ok(());
        }
        check_command(name, path, bytes_path(&spec.cwd))?;
        if self.found.len() < FOUND_MAX {
            self.found.insert(key);
        }
        Ok(())
    }
}

/// Refuses a run that would fail without an attempt.
fn check_start(
    start: Start,
    deadline: Option<Duration>,
    args: &RunArgs,
    now: Timestamp,
) -> anyhow::Result<()> {
    let wait = match start {
        Start::Now => Duration::ZERO,
        Start::After(delay) => delay,
        Start::At(at) => at.since(now),
    };
    if deadline.is_none_or(|deadline| wait < deadline) {
        return Ok(());
    }
    let failure = Failure::new(code::USAGE, "the run would start at or beyond its deadline");
    // Who has not named one should hear where it comes from.
    let variable = env::var_os("RETRIER_DEFAULT_DEADLINE").is_some_and(|value| !value.is_empty());
    bail!(failure.hint(match args.retries.deadline {
        None if variable => {
            "the deadline counts from now, and RETRIER_DEFAULT_DEADLINE stands for --deadline"
        }
        None => "the deadline counts from now, and is that of the pool; --deadline 0 is none",
        Some(_) => "the deadline counts from now, not from the start",
    }))
}

/// Refuses `--forever true -- COMMAND`, which would run `true`: a switch takes its value after `=`.
fn check_switch(args: &RunArgs) -> anyhow::Result<()> {
    let switch = match (args.retries.budget.forever, args.retries.retry_after) {
        (Some(_), _) => "--forever",
        (None, Some(_)) => "--retry-after",
        (None, None) => return Ok(()),
    };
    let first = args.command.first().and_then(|word| word.to_str());
    let is_value =
        ["true", "yes", "on", "1", "false", "no", "off", "0"].contains(&first.unwrap_or(""));
    let more = args.command.len() > 2 && args.command[1] == "--";
    if is_value && more {
        let value = first.unwrap_or_default();
        let message = format!("'{value}' stands where the command is expected");
        bail!(Failure::new(code::USAGE, message).hint(format!(
            "the value of a switch comes after an equals sign: {switch}={value}"
        )));
    }
    Ok(())
}

/// The words of the command that `args` name.
pub fn command(args: &RunArgs) -> Vec<Vec<u8>> {
    match &args.shell {
        Some(line) => Spec::shell(line.as_bytes().to_vec()),
        None => args
            .command
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect(),
    }
}

fn unusable(folder: &Path, error: &io::Error) -> Failure {
    Failure::of_file(format!("the folder {}", folder.display()), error)
        .hint("nothing was stored; --cwd names another folder, --no-check stores it anyway")
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::of_file(format!("stdin: {}", path.display()), error)
        .hint("nothing was stored; name a file that you can read")
}

fn cwd(args: &RunArgs) -> anyhow::Result<PathBuf> {
    let current = env::current_dir().context("the current folder")?;
    let cwd = args
        .cwd
        .as_ref()
        .map_or(current.clone(), |dir| current.join(dir));
    match cwd.metadata() {
        Ok(found) if found.is_dir() => Ok(cwd),
        Ok(_) if !args.no_check => {
            let error = io::Error::from(io::ErrorKind::NotADirectory);
            Err(unusable(&cwd, &error).into())
        }
        Err(error) if !args.no_check => Err(unusable(&cwd, &error).into()),
        Ok(_) | Err(_) => Ok(cwd),
    }
}

impl Known {
    /// Refuses what the kernel would refuse at every attempt.
    fn new(environment: &Environment) -> anyhow::Result<Self> {
        for (key, value) in environment.pairs() {
            if key.len() + 1 + value.len() > STRING_MAX {
                let key = String::from_utf8_lossy(key);
                let message = format!("the variable {key} is longer than {STRING_MAX} bytes");
                bail!(
                    Failure::new(code::USAGE, message)
                        .hint("--no-env leaves it out, and so does --env-only without its name")
                );
            }
        }
        let count = environment.pairs().count();
        Ok(Self {
            path: environment.get(b"PATH").map(<[u8]>::to_vec),
            taken: environment.0.len() + count * size_of::<usize>() + VARIABLES_MAX,
            max: arguments_max(),
            environment: environment.clone(),
        })
    }
}

/// Refuses at once what the kernel would refuse at every attempt.
fn check_size(command: &[Vec<u8>], known: &Known) -> anyhow::Result<()> {
    if let Some(long) = command.iter().find(|word| word.len() > STRING_MAX) {
        let message = format!(
            "an argument of {} bytes is too long, the kernel takes {STRING_MAX}",
            long.len()
        );
        bail!(Failure::new(code::USAGE, message).hint("--stdin FILE takes up to 16 MiB"));
    }
    // Each string has its NUL and a pointer to it.
    let overhead = 1 + size_of::<usize>();
    let words: usize = command.iter().map(|word| word.len() + overhead).sum();
    let (total, max) = (words + known.taken, known.max);
    if total > max {
        let message = format!(
            "arguments and environment of {total} bytes are too long, the kernel takes {max}"
        );
        bail!(
            Failure::new(code::USAGE, message)
                .hint("--no-env leaves the environment out; --stdin FILE takes up to 16 MiB")
        );
    }
    Ok(())
}

fn check_command(name: &[u8], path: Option<&[u8]>, cwd: &Path) -> anyhow::Result<()> {
    match resolve(name, path, cwd) {
        Ok(_) => Ok(()),
        Err(unresolved) => {
            let name = String::from_utf8_lossy(name);
            let message = format!("{name}: {}", unresolved.words());
            bail!(
                Failure::new(unresolved.exit_code(), message)
                    .hint("nothing was stored; --shell 'LINE' runs a line of shell, --no-check stores it anyway")
            )
        }
    }
}

fn stdin(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        let mut limited = io::stdin().lock().take(STDIN_MAX + 1);
        limited.read_to_end(&mut bytes)
    } else {
        let file = File::open(path);
        file.and_then(|file| file.take(STDIN_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > STDIN_MAX {
        let message = format!("{}: the input is larger than 16 MiB", path.display());
        bail!(
            Failure::new(code::FAILED, message)
                .hint("have the command read the file itself, with --shell 'command < file'")
        );
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer strings cannot come from a command line, which has the same limit; what is read from
    /// elsewhere one day can be longer.
    #[test]
    fn strings_over_the_kernels_limit_are_refused() {
        let none = Known::new(&Environment::default()).unwrap();
        let word = |length| vec![b"true".to_vec(), vec![b'x'; length]];
        assert!(check_size(&word(131_071), &none).is_ok());
        let refused = check_size(&word(131_072), &none).unwrap_err();
        assert_eq!(Failure::from(refused).code, code::USAGE);
        let variable = |length: usize| {
            let mut environment = Environment::default();
            environment.push(b"K", &vec![b'x'; length - 2]);
            Known::new(&environment)
        };
        assert!(variable(131_071).is_ok());
        let refused = variable(131_072).unwrap_err();
        assert_eq!(Failure::from(refused).code, code::USAGE);
    }
}
