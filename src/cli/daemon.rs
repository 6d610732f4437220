//! `retrier daemon`: serve, or stop and look at the daemon that serves.

mod restart;
mod service;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::clock;
use crate::daemon::holder::{self, Holder, Start};
use crate::daemon::launch::{self, READY, Started};
use crate::daemon::log::{self, Format};
use crate::daemon::log_file;
use crate::daemon::serve::{Config, ServeError, serve};
use crate::store::{self, Access, Store};
use crate::sys::files::{append_private, set_umask};
use crate::sys::identity::{DAEMON_NAME, Liveness, ProcessStat, World, signal};
use crate::sys::poll::wait_readable;
use crate::sys::process::{close_inherited, new_session, replace_stdio, set_name};
use crate::sys::signal::{SIGTERM, SIGUSR1, SIGUSR2, reset_inherited};
use crate::text::escape_text;

use super::args::{DaemonArgs, DaemonVerb, LogFormat, ServeArgs, StopArgs};
use super::client::Client;
use super::failure::{Failure, HELD_HINT, code};
use super::{out, render};

/// A daemon that takes longer to leave is told of.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// How long runs are kept that have ended, if nobody says otherwise.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Serves the database, or acts on the daemon that does.
pub fn daemon(client: &Client, args: &DaemonArgs) -> anyhow::Result<u8> {
    match &args.verb {
        Some(DaemonVerb::Stop(stop)) => return stop_daemon(client, stop),
        Some(DaemonVerb::Restart) => return restart::restart(client),
        Some(DaemonVerb::Status) => return daemon_status(client),
        Some(DaemonVerb::Install(args)) => return service::install(client, args),
        Some(DaemonVerb::Uninstall(args)) => return service::uninstall(client, args),
        None => {}
    }
    if args.detach {
        return detach(client, args);
    }
    if args.tick.is_some() && Store::open(&client.folder, Access::Existing)?.is_none() {
        // Nothing was ever stored, and nothing is made for a tick.
        return Ok(code::DONE);
    }
    set_up(args.detached).context("cannot serve")?;
    let format = args.serve.log_format.map(|format| match format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    });
    // Cron mails whatever a tick has to say.
    let file = match args.tick {
        Some(_) if !out::is_noted_at_terminal() => {
            let path = client.folder.daemon_log();
            let file = append_private(&path, false);
            Some(file.with_context(|| path.display().to_string())?)
        }
        Some(_) | None => None,
    };
    log::start(format, file);
    let detached = args.detached;
    let served = serve(&client.folder, config(args), || {
        if detached {
            log_file::keep_short(&client.folder);
            say_ready();
        }
    });
    match served {
        Ok(()) => Ok(code::DONE),
        Err(held @ ServeError::Held(_)) if args.tick.is_some() => {
            out::note_to_terminal(&format!("{held}: it does what is due"));
            Ok(code::DONE)
        }
        // Several clients can start a daemon at once; who was faster serves them all.
        Err(ServeError::Held(_)) if args.automatic => Ok(code::STATE),
        Err(error) if log::is_json() && args.tick.is_none() => {
            let Failure {
                code,
                message,
                hint,
            } = Failure::from(anyhow::Error::new(error));
            tracing::error!(hint, "{message}");
            Ok(code)
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes this process one that can serve, whoever has started it.
fn set_up(detached: bool) -> io::Result<()> {
    if detached {
        new_session();
    }
    // SAFETY: nothing is open in this process; std keeps no descriptor from 3 on.
    unsafe { close_inherited(&[]) }?;
    reset_inherited()?;
    set_name(DAEMON_NAME)?;
    set_umask(0o077);
    std::env::set_current_dir("/")
}

fn config(args: &DaemonArgs) -> Config {
    let start = match (&args.unit, args.tick) {
        (Some(unit), _) => Start::Unit(unit.clone()),
        (None, Some(_)) => Start::Tick,
        (None, None) if args.automatic => Start::Client,
        (None, None) if args.detached => Start::Detached,
        (None, None) => Start::Foreground,
    };
    let until_idle = args.until_idle.map(|stay| option("until-idle", stay));
    Config {
        parallel: args.serve.parallel.map(|max| max as usize),
        retention: Some(args.serve.retention).filter(|stay| !stay.is_zero()),
        until_idle: args.until_idle,
        start,
        options: options(&args.serve).into_iter().chain(until_idle).collect(),
        tick: args.tick,
        stats_interval: args.serve.stats_interval,
    }
}

/// These options as they are typed, but for what is the default.
fn options(args: &ServeArgs) -> Vec<String> {
    let retention = Some(args.retention).filter(|stay| *stay != RETENTION);
    let format = args.log_format.map(|format| match format {
        LogFormat::Text => "--log-format=text".to_owned(),
        LogFormat::Json => "--log-format=json".to_owned(),
    });
    let given = [
        args.parallel.map(|max| format!("--parallel={max}")),
        retention.map(|stay| option("retention", stay)),
        args.stats_interval
            .map(|time| option("stats-interval", time)),
        format,
    ];
    given.into_iter().flatten().collect()
}

fn option(name: &str, time: Duration) -> String {
    let ms = time.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ];
    let whole = units
        .iter()
        .find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit));
    let (unit, word) = whole.unwrap_or(&(1, "ms"));
    format!("--{name}={}{word}", ms / unit)
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
    start(client, &config(args).options)
}

/// Starts a daemon in the background with these options.
fn start(client: &Client, options: &[String]) -> anyhow::Result<u8> {
    let options: Vec<OsString> = options.iter().map(OsString::from).collect();
    let started = launch::detached(&client.folder, &options)
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
    end(client, &pidfd, number)?;
    Ok(code::DONE)
}

/// Sends the daemon this signal, and waits until it has left.
fn end(client: &Client, pidfd: &OwnedFd, number: i32) -> anyhow::Result<()> {
    tracing::debug!("telling the daemon to leave, with signal {number}");
    signal(pidfd, number);
    if !wait_readable(&[pidfd.as_fd()], Some(STOPS_WITHIN))?[0] {
        let holder = look(client)?.map(|holder| holder.process.pid);
        let who = holder.map_or_else(String::new, |pid| format!(" {pid}"));
        match holder.filter(|pid| ProcessStat::of(*pid).is_ok_and(|stat| stat.stopped)) {
            Some(pid) => {
                out::note(&format!("daemon {pid} is stopped, and hears nothing"));
                out::hint(&format!("`kill -CONT {pid}` lets it go on, and leave"));
            }
            None => out::note(&format!("waiting for daemon{who} to leave")),
        }
        wait_readable(&[pidfd.as_fd()], None)?;
    }
    Ok(())
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
    let kind = match &holder.start {
        Start::Unit(name) => format!("started as {name}"),
        Start::Tick => "started for what is due now".to_owned(),
        _ if holder.automatic => "started by a client".to_owned(),
        _ => "started by a person".to_owned(),
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
