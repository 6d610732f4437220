//! `retrier daemon restart`: a new daemon in the place of the one that serves, of the same kind and with
//! the same options. Attempts that run notice nothing: the new one collects them.

use std::ffi::OsString;
use std::fs::File;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::daemon::holder::{Holder, Start};
use crate::daemon::launch;
use crate::daemon::unit::Unit;
use crate::store::{Access, Store};
use crate::sys::files::open_private;
use crate::sys::lock;
use crate::sys::manager::service_of;
use crate::sys::poll::wait_readable;
use crate::sys::signal::SIGTERM;

use crate::cli::client::Client;
use crate::cli::failure::{Failure, code};
use crate::cli::out;

use super::{end, look, running, start};

/// How often who waits for another restart looks again.
const TURN_AGAIN: Duration = Duration::from_millis(10);

/// Restarts the daemon that serves, or starts one when none does.
pub fn restart(client: &Client) -> anyhow::Result<u8> {
    // Refused in front of the user, and before anything is stopped.
    drop(Store::open(&client.folder, Access::Create)?);
    let _turn = turn(client)?;
    let unit = Unit::of(&client.folder);
    let Some(holder) = look(client)? else {
        out::note_to_terminal("no daemon ran");
        return match unit.filter(Unit::is_installed) {
            Some(unit) => by_manager(&unit.name, &unit),
            None => start(client, &[]),
        };
    };
    match &holder.start {
        Start::Unit(name) => match unit.filter(|unit| unit.name == *name) {
            Some(unit) => by_manager(name, &unit),
            None => bail!(not_ours(&holder)),
        },
        // One that a client of an earlier version has started says no more of itself.
        Start::Client | Start::Tick => again(client, &holder),
        Start::Detached => again(client, &holder),
        Start::Foreground if holder.automatic => again(client, &holder),
        Start::Foreground => bail!(not_ours(&holder)),
    }
}

/// Waits until no other restart is on its way: between its two daemons none serves, and nobody could tell of
/// which kind the next one is to be. The turn ends with the file.
fn turn(client: &Client) -> anyhow::Result<File> {
    let path = client.folder.restart();
    let context = || path.display().to_string();
    let turn = open_private(&path).with_context(context)?;
    let mut is_first = true;
    while !lock::try_exclusive(&turn).with_context(context)? {
        if std::mem::take(&mut is_first) {
            out::note_to_terminal("waiting for another restart");
        }
        wait_readable(&[], Some(TURN_AGAIN))?;
    }
    Ok(turn)
}

fn by_manager(name: &str, unit: &Unit) -> anyhow::Result<u8> {
    // It comes back when the new one is ready.
    unit.ask(&["restart"]).map_err(|why| {
        let message = format!("{name} cannot be restarted: {why}");
        let hint = format!("`systemctl --user status {name}` shows what is wrong");
        Failure::new(code::FAILED, message).hint(hint)
    })?;
    Ok(code::DONE)
}

/// Stops `holder`, and starts one like it.
fn again(client: &Client, holder: &Holder) -> anyhow::Result<u8> {
    if let Some(pidfd) = running(client)? {
        end(client, &pidfd, SIGTERM)?;
    }
    if !holder.automatic {
        return start(client, &holder.options);
    }
    let is_told = !holder.options.is_empty() && holder.start == Start::Client;
    if !is_told || Unit::of(&client.folder).is_some_and(|unit| unit.is_installed()) {
        // One that ticks is not started again by itself, of an earlier one the options are not known, and
        // where there is a service that is what is started now.
        let notes = launch::ensure(&client.folder, true);
        let notes = notes.map_err(|error| anyhow!("cannot start a daemon: {error}"))?;
        for note in notes {
            out::note(&format!("warning: {note}"));
        }
        return Ok(code::DONE);
    }
    let options = holder.options.iter().map(OsString::from);
    let options: Vec<OsString> = ["--automatic".into()].into_iter().chain(options).collect();
    // Whoever was faster serves as well.
    launch::detached(&client.folder, &options)
        .map_err(|error| anyhow!("cannot start a daemon: {error}"))?;
    Ok(code::DONE)
}

/// It was started by somebody who holds it, and would miss it.
fn not_ours(holder: &Holder) -> Failure {
    let pid = holder.process.pid;
    let failure = |what: &str| {
        let message = format!("daemon {pid} {what}, and can only be restarted there");
        Failure::new(code::STATE, message)
    };
    match service_of(Some(pid)) {
        Some(service) => {
            let user = if service.of_user { " --user" } else { "" };
            let name = service.name;
            failure(&format!("is {name}")).hint(format!("systemctl{user} restart {name}"))
        }
        None => failure("runs in the foreground")
            .hint("`retrier daemon stop` ends it, `retrier daemon --detach` starts one that can"),
    }
}
