//! `retrier daemon install` and `uninstall`: systemd keeps a daemon for this database.

use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use crate::cli::args::{InstallArgs, UninstallArgs};
use crate::cli::client::Client;
use crate::cli::failure::{Failure, HELD_HINT, code};
use crate::cli::out;
use crate::daemon::holder::Start;
use crate::daemon::unit::{Found, Unit};
use crate::store::{Access, Store};
use crate::sys::files::{file_identity, is_lingering, own_user, remove_if_there, replace_public};
use crate::sys::spawn::resolve;

use super::{look, options};

/// Installs the unit of this database, or prints it.
pub fn install(client: &Client, args: &InstallArgs) -> anyhow::Result<u8> {
    let unit = unit(client)?;
    let program = program()?;
    let text = unit.text(&program, &options(&args.serve));
    let text = text.map_err(|why| anyhow!("no unit can be written: {why}"))?;
    if args.print {
        return out::text(&text);
    }
    // A database that cannot be used is refused in front of the user.
    drop(Store::open(&client.folder, Access::Create)?);
    let at = unit.path.display();
    let before = match unit.find().with_context(|| at.to_string())? {
        Found::Nothing => None,
        Found::Ours(text) => Some(text),
        Found::Foreign => bail!(foreign(&unit)),
    };
    replace_public(&unit.path, text.as_bytes()).with_context(|| at.to_string())?;
    out::note(&format!("wrote {at}"));
    if let Some(folder) = build_folder(&program) {
        let message = format!(
            "warning: the program is in a build folder, {}, which `cargo clean` empties",
            folder.display()
        );
        out::note(&message);
        out::hint("`cargo install --path . --locked`, then `retrier daemon install` of that one");
    }
    let is_changed = before.is_some_and(|before| before != text);
    enable(client, &unit, is_changed)?;
    if let Some(user) = own_user().filter(|user| !is_lingering(&user.name)) {
        out::hint(&format!(
            "`loginctl enable-linger {}` keeps it when you log out, and starts it with the machine",
            user.name
        ));
    }
    Ok(code::DONE)
}

/// Has the service manager take the unit up. Errors: there is none, or it does not.
fn enable(client: &Client, unit: &Unit, is_changed: bool) -> anyhow::Result<()> {
    let name = &unit.name;
    if let Err(why) = Unit::reload() {
        let message =
            format!("{name} is installed, but no service manager of this user answers: {why}");
        bail!(Failure::new(code::FAILED, message).hint(format!(
            "when one does: systemctl --user daemon-reload && systemctl --user enable --now {name}"
        )));
    }
    let failed = |why| {
        let message = format!("{name} is installed, but: {why}");
        let hint = format!("`systemctl --user status {name}` shows what is wrong");
        Failure::new(code::FAILED, message).hint(hint)
    };
    // One that a person has started makes no room, and its unit would only fail.
    let holder = look(client)?.filter(|holder| !holder.automatic);
    if let Some(holder) = holder.filter(|holder| !matches!(holder.start, Start::Unit(_))) {
        unit.ask(&["enable"]).map_err(failed)?;
        let pid = holder.process.pid;
        out::note(&format!(
            "daemon {pid} serves, so {name} was enabled, and not started"
        ));
        out::hint(&format!("{HELD_HINT}; then systemctl --user start {name}"));
        return Ok(());
    }
    unit.ask(&["enable", "--now"]).map_err(failed)?;
    if is_changed {
        // Attempts that run live on.
        unit.ask(&["try-restart"]).map_err(failed)?;
    }
    out::note(&format!(
        "{name} serves {}",
        client.folder.database().display()
    ));
    Ok(())
}

/// Stops the service of this database and removes its unit, or prints it.
pub fn uninstall(client: &Client, args: &UninstallArgs) -> anyhow::Result<u8> {
    let unit = unit(client)?;
    let at = unit.path.display();
    let text = match unit.find().with_context(|| at.to_string())? {
        Found::Ours(text) => text,
        Found::Foreign => bail!(foreign(&unit)),
        Found::Nothing => {
            let database = client.folder.database().display();
            out::note_to_terminal(&format!("no unit is installed for {database}"));
            return Ok(code::DONE);
        }
    };
    if args.print {
        return out::text(&text);
    }
    let name = &unit.name;
    // Before its unit is gone, or nothing would be known of how to stop it.
    let stopped = Unit::reload().and_then(|()| unit.ask(&["disable", "--now"]));
    // What enabling it has made, and nobody has removed who could.
    let wanted = unit.path.with_file_name("default.target.wants").join(name);
    for path in [&wanted, &unit.path] {
        remove_if_there(path).with_context(|| path.display().to_string())?;
    }
    out::note(&format!("removed {at}"));
    match stopped.and_then(|()| Unit::reload()) {
        Ok(()) => {}
        Err(why) => {
            out::note(&format!("it could not be stopped: {why}"));
            out::hint(&format!(
                "if a service manager of this user runs: systemctl --user stop {name} && systemctl --user daemon-reload"
            ));
        }
    }
    Ok(code::DONE)
}

fn unit(client: &Client) -> anyhow::Result<Unit> {
    Unit::of(&client.folder)
        .context("there is no home folder for a unit; name one with XDG_CONFIG_HOME")
}

/// Somebody else's unit is not touched.
fn foreign(unit: &Unit) -> Failure {
    let message = format!(
        "{} was not written by `retrier daemon install` for this database",
        unit.path.display()
    );
    Failure::new(code::FAILED, message).hint("look at it, and move it away")
}

/// The path of this program under which it will be found after an upgrade: as it was called, if that
/// leads here, because what a link leads to is replaced. Errors: it is not there any more.
fn program() -> anyhow::Result<PathBuf> {
    let running = env::current_exe().context("/proc/self/exe")?;
    let here = fs::canonicalize(&running).ok();
    let is_this = |path: &Path| {
        let leads = fs::canonicalize(path).ok();
        leads.is_some()
            && leads.as_deref().and_then(file_identity) == here.as_deref().and_then(file_identity)
    };
    let called = env::args_os().next().unwrap_or_default();
    let cwd = env::current_dir().unwrap_or_default();
    let path = env::var_os("PATH");
    let path = path.as_ref().map(|path| path.as_bytes());
    let called = resolve(called.as_bytes(), path, &cwd).ok();
    let called = called.and_then(|path| std::path::absolute(path).ok());
    if let Some(called) = called.filter(|called| is_this(called)) {
        return Ok(called);
    }
    if here.is_none() {
        let message = format!("{}: this program is not there any more", running.display());
        bail!(Failure::new(code::FAILED, message).hint("call the one that has taken its place"));
    }
    Ok(running)
}

/// The folder that cargo builds into, if the program is in one.
fn build_folder(program: &Path) -> Option<&Path> {
    let mut above = program.ancestors().skip(1);
    above.find(|folder| folder.join(".rustc_info.json").exists())
}
