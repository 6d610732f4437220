//! `daemon restart`: the new one is of the same kind, and attempts notice nothing.

use std::fs;

use super::Manager;
use crate::support::{Home, Journal, Need, skip, wait_until};

use super::LONG;

/// A run that waits for a file; gives its id and the file once it runs.
fn gated(home: &Home, journal: &Journal) -> (i64, std::path::PathBuf) {
    let gate = home.path("gate");
    let line = journal.line(&format!(
        "while ! test -e '{}'; do sleep 0.02; done; exit 7",
        gate.display()
    ));
    let id = home.run(["--max-failures", "0", "--shell", &line]);
    wait_until("it runs", LONG, || journal.starts(id).len() == 1);
    (id, gate)
}

/// Restarts, and shows that it did: another process of the same kind, and the attempt that ran counts once.
fn assert_restarts(manager: &Manager, kind: &str, words: &[&str]) {
    let home = &manager.home;
    let journal = Journal::new(home);
    let (id, gate) = gated(home, &journal);
    let before = manager.daemons();
    assert_eq!(before.len(), 1);
    assert_eq!(
        manager.retrier("daemon restart").output().ok().error_text(),
        ""
    );
    let after = manager.daemons();
    assert_eq!(after.len(), 1, "{after:?}");
    assert_ne!(after[0].pid, before[0].pid);
    let status = manager.status();
    assert!(status.contains(kind), "{status}");
    assert!(
        status.starts_with(&format!("daemon {} ", after[0].pid)),
        "{status}"
    );
    for word in words {
        assert!(after[0].cmdline.contains(word), "{after:?}");
    }
    assert_eq!(home.state(id), "running");
    fs::write(gate, "").expect("the temp folder can be written");
    assert_eq!(home.wait(id), 7);
    assert_eq!((journal.starts(id).len(), journal.ends(id).len()), (1, 1));
    assert_eq!(home.status(id)["attempts"][1], serde_json::Value::Null);
    assert_eq!(home.status(id)["attempts"][0]["outcome"]["code"], 7);
    journal.assert_no_overlap();
}

#[test]
fn one_that_a_verb_has_started_is_followed_by_one_like_it() {
    if skip(Need::Flock) {
        return;
    }
    assert_restarts(
        &Manager::new(),
        "by a client",
        &["--automatic", "--until-idle=1m"],
    );
}

#[test]
fn one_in_the_background_is_followed_by_one_with_its_options() {
    if skip(Need::Flock) {
        return;
    }
    let manager = Manager::new();
    let options = "--detach --parallel 3 --retention 90m --until-idle=1500s --log-format json";
    manager.retrier(&format!("daemon {options}")).output().ok();
    let words = [
        "--parallel=3",
        "--retention=90m",
        "--until-idle=25m",
        "--log-format=json",
    ];
    assert_restarts(&manager, "by a person", &words);
    // And that one by one like it.
    manager.retrier("daemon restart").output().ok();
    assert!(manager.daemons()[0].cmdline.contains("--parallel=3"));
}

#[test]
fn a_service_is_restarted_by_systemd() {
    if skip(Need::Flock) {
        return;
    }
    let manager = Manager::new();
    manager.retrier("daemon install").output().ok();
    let (name, _) = manager.unit();
    manager.calls();
    assert_restarts(&manager, &name, &["--unit"]);
    assert_eq!(manager.calls(), [format!("--user restart {name}")]);
    manager.put("fails", "Access denied\n");
    let told = manager
        .retrier("daemon restart")
        .output()
        .exits(1)
        .error_text();
    assert!(
        told.contains("Access denied") && told.contains("hint: "),
        "{told}"
    );
}

/// What a verb would start today is the service.
#[test]
fn one_that_a_verb_has_started_is_followed_by_the_service_once_that_is_installed() {
    let manager = Manager::new();
    manager.put("fails", "not yet\n");
    manager.retrier("daemon install").output().exits(1);
    let (name, _) = manager.unit();
    let told = manager.retrier("run -- true").output().ok().error_text();
    assert!(told.contains("not yet"), "{told}");
    let told = manager.retrier("daemon restart").output().ok().error_text();
    assert!(told.contains("not yet"), "{told}");
    assert!(
        manager.status().contains("by a client"),
        "{}",
        manager.status()
    );
    fs::remove_file(manager.at.join("fails")).expect("it is there");
    manager.retrier("daemon restart").output().ok();
    assert!(manager.status().contains(&name), "{}", manager.status());
    assert_eq!(manager.daemons().len(), 1);
}

#[test]
fn one_in_the_foreground_is_somebody_elses_to_restart() {
    let manager = Manager::new();
    let mut daemon = manager.home.daemon();
    let told = manager
        .retrier("daemon restart")
        .output()
        .exits(4)
        .error_text();
    assert!(
        told.contains("foreground") && told.contains("daemon --detach"),
        "{told}"
    );
    manager.put("cgroup", "0::/system.slice/mine.service\n");
    let call = manager.retrier("daemon restart");
    let told = call
        .env("RETRIER_FAKE_CGROUP", manager.at.join("cgroup"))
        .output()
        .exits(4);
    assert!(
        told.error_text()
            .contains("hint: systemctl restart mine.service"),
        "{}",
        told.error_text()
    );
    assert!(daemon.is_running());
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn where_none_ran_one_is_started() {
    let manager = Manager::new();
    manager.retrier("daemon restart").output().ok();
    assert!(
        manager.status().contains("by a person"),
        "{}",
        manager.status()
    );
    manager.retrier("daemon stop").output().ok();
    manager.retrier("daemon install").output().ok();
    manager.retrier("daemon stop").output().ok();
    manager.retrier("daemon restart").output().ok();
    assert!(
        manager.status().contains("started as "),
        "{}",
        manager.status()
    );
}

/// One found none that served, for the moment between two, and started another kind; or lost, and failed.
#[test]
fn restarts_at_once_all_succeed_and_the_daemon_stays_of_its_kind() {
    let kinds = [
        ("run -- true", "by a client", "--until-idle=1m"),
        (
            "daemon --detach --parallel 3",
            "by a person",
            "--parallel=3",
        ),
    ];
    for (starts, kind, option) in kinds {
        let manager = Manager::new();
        manager.retrier(starts).output().ok();
        for _ in 0..3 {
            let calls: Vec<_> = (0..4)
                .map(|_| manager.retrier("daemon restart").spawn())
                .collect();
            for call in calls {
                assert_eq!(call.wait().ok().error_text(), "");
            }
            let daemons = manager.daemons();
            assert_eq!(daemons.len(), 1, "{daemons:?}");
            assert!(daemons[0].cmdline.contains(option), "{daemons:?}");
            assert!(manager.status().contains(kind), "{}", manager.status());
        }
    }
}

/// Whoever asks for one by its name gets one, as of systemctl.
#[test]
fn where_no_verb_starts_a_daemon_a_restart_does() {
    let manager = Manager::new();
    let call = manager.retrier("daemon restart");
    call.env("RETRIER_NO_DAEMON_START", "1").output().ok();
    assert!(
        manager.status().contains("by a person"),
        "{}",
        manager.status()
    );
}
