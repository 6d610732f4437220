//! A daemon as a service: the unit that is written, what systemd is asked for, and that verbs start the service.
//!
//! A machine of tests has no running systemd. What is asked of `systemctl` is answered by a script that writes it
//! down and starts, stops and restarts what the unit says, as a user's service manager would.

mod lodging;
mod notify;
mod restarting;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Call, Home, Need, Process, skip};

const LONG: Duration = Duration::from_secs(20);

/// In place of `systemctl`: `$0`'s folder holds what it was asked for, and files that make it fail.
const SCRIPT: &str = r#"#!/bin/sh
at=${0%/*}
echo "$*" >>"$at/calls"
if test -e "$at/fails"; then cat "$at/fails" >&2; exit 1; fi
for name; do :; done
unit=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user/$name
begin() {
    line=$(sed -n 's/^ExecStart=//p' "$unit")
    : >"$at/service.log"
    eval "setsid $line" </dev/null >/dev/null 2>>"$at/service.log" &
    until grep -q serving "$at/service.log"; do sleep 0.05; done
}
case "$*" in
*" enable --now "* | *" start "*) retrier daemon status >/dev/null 2>&1 || begin ;;
*" disable --now "*) retrier daemon stop ;;
*restart*) retrier daemon stop; begin ;;
*KillMode*) cat "$at/killmode" ;;
esac
"#;

/// A home with such a manager.
struct Manager {
    home: Home,
    at: PathBuf,
}

impl Manager {
    fn new() -> Manager {
        let home = Home::new();
        let at = home.path("manager");
        fs::create_dir(&at).expect("the temp folder can be written");
        let script = at.join("systemctl");
        fs::write(&script, SCRIPT).expect("the temp folder can be written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
        symlink(env!("CARGO_BIN_EXE_retrier"), at.join("retrier")).expect("it is not there yet");
        Manager { home, at }
    }

    fn retrier(&self, args: &str) -> Call {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.at.display());
        self.home
            .retrier(args.split(' '))
            .env("PATH", path)
            .limit(LONG)
    }

    /// What systemd was asked for since the last look.
    fn calls(&self) -> Vec<String> {
        let file = self.at.join("calls");
        let text = fs::read_to_string(&file).unwrap_or_default();
        fs::remove_file(file).ok();
        text.lines().map(str::to_owned).collect()
    }

    fn put(&self, file: &str, text: &str) {
        fs::write(self.at.join(file), text).expect("the temp folder can be written");
    }

    /// The only unit that is installed, and its name.
    fn unit(&self) -> (String, PathBuf) {
        let folder = self.home.path("home/.config/systemd/user");
        let mut files: Vec<_> = fs::read_dir(folder)
            .expect("it was made")
            .flatten()
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let file = files.remove(0);
        (
            file.file_name().into_string().expect("a name is ASCII"),
            file.path(),
        )
    }

    fn status(&self) -> String {
        self.retrier("daemon status").output().ok().text()
    }

    fn daemons(&self) -> Vec<Process> {
        let all = self.home.processes().into_iter();
        all.filter(Process::is_daemon).collect()
    }
}

#[test]
fn install_writes_a_unit_and_starts_it_and_uninstall_undoes_that() {
    let manager = Manager::new();
    let told = manager
        .retrier("daemon install --parallel 3 --retention 36h")
        .output()
        .ok();
    assert_eq!(told.stdout, b"");
    let (name, path) = manager.unit();
    let calls = [
        "--user daemon-reload".to_owned(),
        format!("--user enable --now {name}"),
    ];
    assert_eq!(manager.calls(), calls);
    let text = fs::read_to_string(&path).unwrap();
    let db = manager.home.db().display();
    let exec = format!(
        "\nExecStart=\"{}\" --db \"{db}\" daemon --unit {name} --parallel=3 --retention=36h\n",
        env!("CARGO_BIN_EXE_retrier")
    );
    assert!(text.contains(&exec), "{text}");
    for line in [
        "Type=notify",
        "KillMode=process",
        "Restart=on-failure",
        "WantedBy=default.target",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    let hints = told.error_text();
    assert!(
        hints.contains(&name) && hints.contains("enable-linger"),
        "{hints}"
    );
    // A program that the next build replaces is no service to rely on.
    assert!(hints.contains("build folder"), "{hints}");
    assert!(
        manager.status().contains(&format!("started as {name}")),
        "{}",
        manager.status()
    );

    manager.retrier("daemon uninstall").output().ok();
    let calls = [
        "--user daemon-reload".to_owned(),
        format!("--user disable --now {name}"),
        "--user daemon-reload".to_owned(),
    ];
    assert_eq!(manager.calls(), calls);
    assert!(!path.exists());
    manager.retrier("daemon status").output().exits(1);
    manager.retrier("daemon uninstall").output().ok();
    assert_eq!(manager.calls(), [""; 0]);
}

#[test]
fn print_shows_what_install_writes_and_changes_nothing() {
    let manager = Manager::new();
    let printed = manager
        .retrier("daemon install --print --log-format json")
        .output()
        .ok();
    assert_eq!(printed.error_text(), "");
    assert!(!manager.home.path("home/.config").exists() && !manager.home.db().exists());
    assert_eq!(manager.calls(), [""; 0]);
    manager
        .retrier("daemon install --log-format json")
        .output()
        .ok();
    let (_, path) = manager.unit();
    assert_eq!(fs::read(&path).unwrap(), printed.stdout);
    manager.calls();
    let shown = manager.retrier("daemon uninstall --print").output().ok();
    assert_eq!(shown.stdout, printed.stdout);
    assert!(path.exists() && manager.calls().is_empty());
}

#[test]
fn installed_twice_it_is_written_anew_and_restarted_if_it_has_changed() {
    let manager = Manager::new();
    manager.retrier("daemon install").output().ok();
    let (name, path) = manager.unit();
    let before = manager.daemons();
    manager.calls();
    manager.retrier("daemon install").output().ok();
    assert_eq!(manager.calls().len(), 2);
    assert_eq!(manager.daemons(), before);
    manager.retrier("daemon install --parallel 2").output().ok();
    assert_eq!(manager.calls()[2..], [format!("--user try-restart {name}")]);
    assert_ne!(manager.daemons(), before);
    assert!(fs::read_to_string(path).unwrap().contains("--parallel=2"));
    assert_eq!(manager.daemons().len(), 1);
}

#[test]
fn without_a_service_manager_the_unit_is_written_and_what_to_type_is_told() {
    let manager = Manager::new();
    manager.put("fails", "Failed to connect to bus: No medium found\n");
    let install = manager.retrier("daemon install").output();
    let told = install.exits(1).error_text();
    let (name, path) = manager.unit();
    let line = format!("systemctl --user daemon-reload && systemctl --user enable --now {name}");
    assert!(
        told.contains("No medium found") && told.contains(&line),
        "{told}"
    );
    assert_eq!(manager.daemons(), []);
    let told = manager
        .retrier("daemon uninstall")
        .output()
        .ok()
        .error_text();
    assert!(
        told.contains(&format!("systemctl --user stop {name}")),
        "{told}"
    );
    assert!(!path.exists());
    // Neither is there one on a machine without systemd.
    let none = manager
        .retrier("daemon install")
        .env("PATH", "/nowhere")
        .output();
    assert!(
        none.error_text().contains("there is no systemctl"),
        "{}",
        none.error_text()
    );
}

#[test]
fn a_unit_of_somebody_else_and_a_daemon_of_a_person_are_left_alone() {
    let manager = Manager::new();
    manager.retrier("daemon install").output().ok();
    let (name, path) = manager.unit();
    manager.retrier("daemon stop").output().ok();
    let daemon = manager.home.daemon();
    manager.calls();
    let told = manager.retrier("daemon install").output().ok().error_text();
    assert_eq!(manager.calls()[1..], [format!("--user enable {name}")]);
    assert!(
        told.contains(&format!("daemon {} serves", daemon.pid())),
        "{told}"
    );
    assert!(
        told.contains(&format!("systemctl --user start {name}")),
        "{told}"
    );
    for text in ["[Service]\nExecStart=/bin/true\n", "\u{fffd}"] {
        fs::write(&path, text).unwrap();
        manager.calls();
        for verb in ["install", "uninstall"] {
            let refused = manager.retrier(&format!("daemon {verb}")).output().exits(1);
            assert!(
                refused.error_text().contains(&name),
                "{}",
                refused.error_text()
            );
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(manager.calls(), [""; 0]);
    }
}

#[test]
fn the_default_database_has_the_plain_name_and_each_other_one_its_own() {
    let manager = Manager::new();
    let name = |call: Call| {
        let text = call.output().ok().text();
        let (_, after) = text
            .split_once("daemon --unit ")
            .expect("it names its unit");
        after
            .split_whitespace()
            .next()
            .expect("it names its unit")
            .to_owned()
    };
    let print = || manager.retrier("daemon install --print");
    let unset = |state: &str| {
        let call = manager
            .home
            .sh("unset RETRIER_DB; exec retrier daemon install --print");
        call.env("XDG_STATE_HOME", state)
    };
    assert_eq!(name(unset("")), "retrier.service");
    let state = manager.home.path("state");
    let default = state.join("retrier/retrier.db");
    assert_eq!(name(unset(&state.display().to_string())), "retrier.service");
    let named = print()
        .env("XDG_STATE_HOME", &state)
        .env("RETRIER_DB", default);
    assert_eq!(name(named), "retrier.service");
    let others = ["a/mail.db", "b/mail.db", "a/retrier.db"]
        .map(|file| name(print().env("RETRIER_DB", manager.home.path(file))));
    assert!(
        others[0].starts_with("retrier-mail-") && others[2].starts_with("retrier-a-"),
        "{others:?}"
    );
    assert!(others[0] != others[1] && others.iter().all(|name| name != "retrier.service"));
    let config = manager.home.path("config");
    manager
        .retrier("daemon install")
        .env("XDG_CONFIG_HOME", &config)
        .output()
        .ok();
    assert_eq!(
        fs::read_dir(config.join("systemd/user")).unwrap().count(),
        1
    );
}

#[test]
fn what_systemd_would_not_start_is_no_unit() {
    let manager = Manager::new();
    let folder = manager.home.path("a \"q\" \\b");
    fs::create_dir(&folder).unwrap();
    symlink(env!("CARGO_BIN_EXE_retrier"), folder.join("retrier")).unwrap();
    let call = manager
        .home
        .sh("exec \"$AT\"/retrier daemon install")
        .env("AT", folder);
    let told = call.output().exits(1).error_text();
    assert!(told.contains("no unit can be written"), "{told}");
    assert!(!manager.home.path("home/.config").exists());
}

/// Whatever is in a path: a word of a unit is quoted by rules of its own.
#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    if skip(Need::SystemdAnalyze) {
        return;
    }
    let manager = Manager::new();
    let folder = manager.home.path("odd %h $HOME @é");
    fs::create_dir(&folder).unwrap();
    let program = folder.join("retrier");
    symlink(env!("CARGO_BIN_EXE_retrier"), &program).unwrap();
    let line = format!(
        "exec '{}' --db '{}/my \"runs\" \\x.db' daemon install",
        program.display(),
        folder.display()
    );
    manager.put("fails", "not now\n");
    let call = manager.home.sh(line);
    call.env("PATH", format!("{}:/usr/bin:/bin", manager.at.display()))
        .output()
        .exits(1);
    let (_, path) = manager.unit();
    let verify = || {
        let line = format!("exec systemd-analyze verify --user '{}'", path.display());
        let call = manager
            .home
            .sh(line)
            .env("XDG_RUNTIME_DIR", manager.home.path(""));
        let output = call.output();
        (output.code, output.text() + &output.error_text())
    };
    assert_eq!(verify(), (0, String::new()));
    // It looks: a program that is not there, and a word that it does not know, are told of.
    let text = fs::read_to_string(&path).unwrap();
    for (from, to) in [("Type=notify", "Type=notices"), ("%%h", "%h")] {
        fs::write(&path, text.replace(from, to)).unwrap();
        assert_ne!(verify(), (0, String::new()), "{to}");
    }
}
