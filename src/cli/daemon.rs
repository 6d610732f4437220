//! `retrier daemon`: serve, or stop and look at the daemon that serves.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::clock;
use crate::daemon::holder::{self, Holder};
use crate::daemon::launch::{self, READY, Started};
use crate::daemon::log_file;
use crate::daemon::serve::{Config, ServeError, serve};
use crate::store;
use crate::sys::files::set_umask;
use crate::sys::identity::{DAEMON_NAME, Liveness, World, signal};
use crate::sys::poll::wait_readable;
use crate::sys::process::{close_inherited, new_session, replace_stdio, set_name};
use crate::sys::signal::{SIGTERM, SIGUSR1, SIGUSR2, reset_inherited};
use crate::text::escape_text;

use super::args::{DaemonArgs, DaemonVerb, StopArgs};
use super::client::Client;
use super::failure::{Failure, HELD_HINT, code};
use super::{out, render};

/// A daemon that takes longer to leave is told of.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// Serves the database, or acts on the daemon that does.
pub fn daemon(client: &Client, args: &DaemonArgs) -> anyhow::Result<u8> {
    match &args.verb {
        Some(DaemonVerb::Stop(stop)) => return stop_daemon(client, stop),
        Some(DaemonVerb::Status) => return daemon_status(client),
        None => {}
    }
    if args.detach {
        return detach(client, args);
    }
    if args.detached {
        new_session();
    }
    // SAFETY: nothing was opened yet in this process; std keeps no descriptor from 3 on.
    unsafe { close_inherited(&[]) }.context("cannot serve")?;
    reset_inherited().context("cannot serve")?;
    set_name(DAEMON_NAME).context("cannot serve")?;
    set_umask(0o077);
    std::env::set_current_dir("/").context("cannot serve")?;
    crate::daemon::log::start();
    let config = Config {
        parallel: args.parallel.map(|max| max as usize),
        retention: Some(args.retention).filter(|stay| !stay.is_zero()),
        until_idle: args.until_idle,
        automatic: args.automatic,
        stats_interval: args.stats_interval,
    };
    let detached = args.detached;
    let served = serve(&client.folder, config, || {
        if detached {
            log_file::keep_short(&client.folder);
            say_ready();
        }
    });
    match served {
        // Several clients can start a daemon at once; who was faster serves them all.
        Err(ServeError::Held(_)) if args.automatic => Ok(code::STATE),
        other => Ok(other.map(|()| code::DONE)?),
    }
}

/// Tells whoever started this daemon that it serves, and lets go of the pipe.
fn say_ready() {
    let mut stdout = io::stdout().lock();
    // A starter that does not wait any more is no harm.
    let _ = stdout
        .write_all(READY.as_bytes())
        .and_then(|()| stdout.flush());
    let _ = replace_stdio();
}

fn detach(client: &Client, args: &DaemonArgs) -> anyhow::Result<u8> {
    // Made here, so that a database that cannot be used is refused in front of the user.
    drop(client.create()?);
    if let Some(holder) = look(client)?.filter(|holder| !holder.automatic) {
        bail!(held(&holder));
    }
    let mut arguments: Vec<OsString> =
        vec![format!("--retention={}ms", args.retention.as_millis()).into()];
    if let Some(max) = args.parallel {
        arguments.push(format!("--parallel={max}").into());
    }
    if let Some(stay) = args.until_idle {
        arguments.push(format!("--until-idle={}ms", stay.as_millis()).into());
    }
    if let Some(interval) = args.stats_interval {
        arguments.push(format!("--stats-interval={}ms", interval.as_millis()).into());
    }
    let started = launch::detached(&client.folder, &arguments)
        .map_err(|error| anyhow!("cannot start a daemon: {error}"))?;
    match (started, look(client)?) {
        // Another one was faster, and it was told something else.
        (Started::Held, Some(holder)) => bail!(held(&holder)),
        _ => Ok(code::DONE),
    }
}

fn held(holder: &Holder) -> Failure {
    let message = format!("a daemon holds this database, pid {}", holder.process.pid);
    Failure::new(code::STATE, message).hint(HELD_HINT)
}

/// Who holds the database. Errors: it is not this user's, and what it says is not to be believed;
/// somebody does, and nobody knows who.
fn look(client: &Client) -> anyhow::Result<Option<Holder>> {
    store::check(&client.folder)?;
    let world = World::current().context("/proc")?;
    let found = holder::await_name(&client.folder, &world);
    let found = found.with_context(|| client.folder.lock().display().to_string())?;
    if found.is_none() && holder::is_held(&client.folder)? {
        bail!(unknown_holder());
    }
    Ok(found)
}

fn unknown_holder() -> Failure {
    let message = "a daemon holds this database, but it cannot be told which process it is";
    Failure::new(code::FAILED, message).hint("it may have just been started, or run in a container")
}

fn stop_daemon(client: &Client, args: &StopArgs) -> anyhow::Result<u8> {
    let Some(pidfd) = running(client)? else {
        out::note_to_terminal("no daemon runs");
        return Ok(code::DONE);
    };
    let number = match (args.drain, args.kill) {
        (true, _) => SIGUSR1,
        (false, true) => SIGUSR2,
        (false, false) => SIGTERM,
    };
    signal(&pidfd, number);
    if !wait_readable(&[pidfd.as_fd()], Some(STOPS_WITHIN))?[0] {
        let holder = look(client)?.map(|holder| holder.process.pid);
        let who = holder.map_or_else(String::new, |pid| format!(" {pid}"));
        out::note(&format!("waiting for daemon{who} to leave"));
        wait_readable(&[pidfd.as_fd()], None)?;
    }
    Ok(code::DONE)
}

/// The daemon that runs. Errors: there is one, and nobody knows which process it is.
fn running(client: &Client) -> anyhow::Result<Option<OwnedFd>> {
    let world = World::current().context("/proc")?;
    let holder = look(client)?;
    if let Some(Liveness::Alive(pidfd)) = holder.map(|holder| world.look_up(&holder.process)) {
        return Ok(Some(pidfd));
    }
    if !holder::is_held(&client.folder)? {
        return Ok(None);
    }
    bail!(unknown_holder())
}

fn daemon_status(client: &Client) -> anyhow::Result<u8> {
    let Some(holder) = look(client)? else {
        let database = client.folder.database().display();
        let message = format!("no daemon serves {database}");
        bail!(Failure::new(code::FAILED, message).hint("`retrier daemon --detach` starts one"));
    };
    let kind = if holder.automatic {
        "started by a client"
    } else {
        "started by a person"
    };
    let now = clock::now();
    out::line(&format!(
        "daemon {} of retrier {}, {kind}, serves {} since {} ({})",
        holder.process.pid,
        holder.version,
        client.folder.database().display(),
        render::clock_time(holder.since),
        render::span(now.since(holder.since)),
    ))?;
    if let Some(trouble) = holder.trouble {
        return out::line(&format!("trouble: {}", escape_text(&trouble)));
    }
    Ok(code::DONE)
}
