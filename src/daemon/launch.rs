//! Starting a daemon from a client.
//!
//! The new process has no terminal, no descriptor of its parent, and its own session, so that
//! neither a shell's `$(…)` nor cron waits for it.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::store::Folder;
use crate::sys::files::append_private;
use crate::sys::poll::wait_readable;
use crate::sys::spawn::OwnProgram;

use super::holder::{self, Start};
use super::lodging;
use super::unit::Unit;

/// How long a client waits until the daemon that it has started is ready.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How long a daemon that a client has started stays without an unfinished run.
pub const IDLE_EXIT: Duration = Duration::from_secs(60);

/// What the daemon writes to its stdout when it is ready.
pub const READY: &str = "ready\n";

/// Starts a daemon for the database of `folder` if none holds it, and waits until it is ready; one that
/// only ticks is not enough. One that was not `rung` is woken: its doorbell may be gone, or have no
/// room for another caller. Gives what somebody should know of it. Errors: why there is none, in words.
pub fn ensure(folder: &Folder, rung: bool) -> Result<Vec<String>, String> {
    let held = holder::is_held(folder).and_then(|held| {
        if held && !rung {
            tracing::debug!("waking the daemon with SIGHUP");
            holder::wake(folder)?;
        }
        Ok(held && !holder::find(folder)?.is_some_and(|holder| holder.start == Start::Tick))
    });
    match held {
        Ok(true) => Ok(Vec::new()),
        Ok(false) => start(folder),
        Err(error) => Err(format!("{}: {error}", folder.lock().display())),
    }
}

/// Starts the service of this database, if one is installed, else a daemon of its own.
fn start(folder: &Folder) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    if let Some(unit) = Unit::of(folder).filter(Unit::is_installed) {
        tracing::debug!("starting {} (systemctl --user start)", unit.name);
        match unit.start() {
            Ok(()) if holder::is_held(folder).unwrap_or(false) => return Ok(notes),
            Ok(()) => notes.push(format!(
                "{} was started, but does not serve; a daemon was started instead",
                unit.name
            )),
            Err(why) => notes.push(format!(
                "{} could not be started, a daemon was instead: {why}",
                unit.name
            )),
        }
    }
    if let Some(service) = lodging::doomed(None) {
        notes.push(format!(
            "the daemon that was started is part of {service}, whose stop ends it and all attempts"
        ));
    }
    let idle = format!("--until-idle={}ms", IDLE_EXIT.as_millis());
    tracing::debug!("starting a daemon in the background");
    // Several clients can start one at once; who was faster serves them all.
    detached(folder, &["--automatic".into(), idle.into()])?;
    Ok(notes)
}

/// What became of a daemon that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It serves.
    Serving,
    /// Another one holds the database, and it has left.
    Held,
}

/// Starts `retrier daemon` with `arguments`, detached, and waits until it serves, or another one
/// does. Errors: none does, and why, in words.
pub fn detached(folder: &Folder, arguments: &[OsString]) -> Result<Started, String> {
    let mut all: Vec<OsString> = vec!["--db".into(), folder.database().into(), "daemon".into()];
    all.push("--detached".into());
    all.extend_from_slice(arguments);
    let log = append_private(&folder.daemon_log(), false)
        .map_err(|error| format!("{}: {error}", folder.daemon_log().display()))?;
    let program = OwnProgram::open().map_err(|error| format!("/proc/self/exe: {error}"))?;
    let mut child = program
        .detached(&all, log)
        .map_err(|error| format!("cannot start a process: {error}"))?;
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        let ready = wait_readable(&[stdout.as_fd()], Some(READY_WITHIN));
        if ready.is_ok_and(|ready| ready[0]) {
            // The daemon closes its end right after the word, or by ending.
            let _ = stdout.read_to_string(&mut said);
        }
    }
    let holder = holder::find(folder).ok().flatten();
    let is_it = holder.is_some_and(|holder| holder.process.pid.unsigned_abs() == child.id());
    tracing::debug!("daemon {} was started, and said {said:?}", child.id());
    if said == READY || is_it {
        return Ok(Started::Serving);
    }
    if holder::is_held(folder).unwrap_or(false) {
        return Ok(Started::Held);
    }
    let ended = child.try_wait().ok().flatten();
    let how = ended.map_or("it is not ready yet".to_owned(), |status| {
        status.to_string()
    });
    Err(format!("{how}; see {}", folder.daemon_log().display()))
}
