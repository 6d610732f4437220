//! From an order to the process of its command.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::model::Environment;
use crate::model::spec::Variable;
use crate::sys::command::{Program, Starter};
use crate::sys::failpoint;
use crate::sys::files::{append_private, make_private_dirs, remove_with_content, set_umask};
use crate::sys::process::{self, is_shortage};
use crate::sys::spawn::{bytes_path, resolve};

use super::order::Order;

/// Why a command was not started.
pub enum Unstarted {
    /// Our own trouble: it is not charged.
    Ours(io::Error),
    /// The command's: an outcome like any other.
    Command {
        /// A shell's exit code for it.
        code: u8,
        /// It in words.
        error: String,
    },
}

/// Starts the command of `order`; gives its pid, and the files of its stdout and stderr.
pub fn start(starter: &mut Starter, order: &Order) -> Result<(i32, [File; 2]), Unstarted> {
    let output = |path| {
        let path = bytes_path(path);
        open_output(path).map_err(|error| {
            let text = format!("{}: {error}", path.display());
            Unstarted::Ours(io::Error::new(error.kind(), text))
        })
    };
    let (stdout, stderr) = (output(&order.stdout)?, output(&order.stderr)?);
    // An attempt of the same number may have left one: of a database that stood here before.
    remove_with_content(bytes_path(&order.decision)).map_err(Unstarted::Ours)?;
    // Not one for all attempts: a lock that a command takes on its stdin must end with it.
    let stdin = order.stdin.as_deref().unwrap_or(b"/dev/null");
    let stdin = File::open(bytes_path(stdin)).map_err(Unstarted::Ours)?;
    let cwd = bytes_path(&order.cwd);
    // A missing folder and a missing program are the same error to posix_spawn(3), so this process
    // goes there itself, and away again, so that it keeps nobody from removing it.
    process::enter_folder(cwd).map_err(|error| match error {
        error if is_shortage(&error) => Unstarted::Ours(error),
        error => Unstarted::Command {
            code: 126,
            error: format!("cannot enter {}: {error}", cwd.display()),
        },
    })?;
    let stdio = [&stdin, &stdout, &stderr];
    let started = start_here(starter, order, cwd, stdio);
    process::leave_folder();
    started.map(|pid| (pid, [stdout, stderr]))
}

/// Starts the command in the folder of this process, which is `cwd`.
fn start_here(
    starter: &mut Starter,
    order: &Order,
    cwd: &Path,
    stdio: [&File; 3],
) -> Result<i32, Unstarted> {
    let name = order.command.first().map_or(&[][..], Vec::as_slice);
    let unable = |code, words: &str| Unstarted::Command {
        code,
        error: format!("{}: {words}", String::from_utf8_lossy(name)),
    };
    let environment = Environment::merged(&[&order.environment, &order.variables]);
    let file = resolve(name, Variable::value(&environment, b"PATH"), cwd)
        .map_err(|unresolved| unable(unresolved.exit_code(), unresolved.words()))?;
    failpoint::reach("shim_spawning").map_err(Unstarted::Ours)?;
    let own_umask = set_umask(order.umask);
    let started = starter.start(&Program {
        file: &file,
        arguments: &order.command,
        environment: &environment,
        stdio: stdio.map(AsFd::as_fd),
    });
    set_umask(own_umask);
    started.map_err(|error| match error.kind() {
        _ if is_shortage(&error) => Unstarted::Ours(error),
        io::ErrorKind::NotFound => unable(127, &error.to_string()),
        _ => unable(126, &error.to_string()),
    })
}

fn open_output(path: &Path) -> io::Result<File> {
    failpoint::reach("shim_open_output")?;
    match append_private(path, true) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), make_private_dirs)?;
            append_private(path, true)
        }
        other => other,
    }
}
