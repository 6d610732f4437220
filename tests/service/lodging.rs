//! Who starts a daemon where: a verb has systemd start the service that is installed, else it starts one itself,
//! and says so where that one would end with a service of somebody else.

use super::{LONG, Manager};
use crate::support::wait_until;

#[test]
fn with_the_unit_installed_a_verb_has_systemd_start_it() {
    let manager = Manager::new();
    manager.retrier("daemon install").output().ok();
    let (name, _) = manager.unit();
    for verb in ["run -- true", "run --wait -- true"] {
        manager.retrier("daemon stop").output().ok();
        manager.calls();
        let ran = manager.retrier(verb).output().ok();
        assert_eq!(manager.calls(), [format!("--user start {name}")], "{verb}");
        assert_eq!(ran.error_text(), "", "{verb}");
        assert!(manager.status().contains(&name), "{}", manager.status());
    }
    assert_eq!(manager.home.wait(1), 0);
    // While it serves, systemd is not asked for anything.
    manager.retrier("run -- true").output().ok();
    assert_eq!(manager.calls(), [""; 0]);
    assert_eq!(manager.daemons().len(), 1);
}

#[test]
fn a_service_that_cannot_be_started_is_told_of_and_a_daemon_is_started_instead() {
    let manager = Manager::new();
    manager.retrier("daemon install").output().ok();
    let (name, _) = manager.unit();
    manager.retrier("daemon stop").output().ok();
    manager.put("fails", "Unit is masked.\n");
    let told = manager.retrier("run -- true").output().ok();
    assert_eq!(told.text(), "1");
    let told = told.error_text();
    assert!(
        told.contains(&name) && told.contains("Unit is masked."),
        "{told}"
    );
    assert!(told.contains("hint: "), "{told}");
    assert!(
        manager.status().contains("started by a client"),
        "{}",
        manager.status()
    );
    assert_eq!(manager.home.wait(1), 0);
    // It makes room for the service once that can be started.
    std::fs::remove_file(manager.at.join("fails")).unwrap();
    manager.retrier("daemon stop").output().ok();
    manager.retrier("run --wait -- true").output().ok();
    assert!(manager.status().contains(&name), "{}", manager.status());
}

#[test]
fn a_daemon_that_would_end_with_a_service_of_somebody_else_is_warned_of() {
    let manager = Manager::new();
    manager.put("cgroup", "0::/system.slice/backup.service\n");
    let cgroup = manager.at.join("cgroup");
    let run = || {
        let call = manager
            .retrier("run -- true")
            .env("RETRIER_FAKE_CGROUP", &cgroup);
        call.output().ok().error_text()
    };
    // Where nobody can tell what its stop does, it does what systemd does by default.
    for killmode in ["", "KillMode=control-group\n", "KillMode=mixed\n"] {
        manager.put("killmode", killmode);
        let told = run();
        assert!(
            told.contains("backup.service") && told.contains("daemon install"),
            "{told}"
        );
        // Only who starts one is warned.
        assert_eq!(run(), "");
        assert_eq!(manager.calls(), ["show --property=KillMode backup.service"]);
        let doctor = || {
            manager
                .retrier("doctor")
                .env("RETRIER_FAKE_CGROUP", &cgroup)
                .output()
        };
        let found = doctor().text();
        assert!(found.contains("backup.service"), "{found}");
        manager.put("killmode", "KillMode=process\n");
        let found = doctor().ok().text();
        assert!(!found.contains("backup.service"), "{found}");
        manager.retrier("daemon stop").output().ok();
        manager.calls();
    }
    // Cron's leaves alone what it has started, and no mail is sent for it.
    assert_eq!(run(), "");
    manager.retrier("daemon stop").output().ok();
    for session in ["session-3.scope", "user@0.service/init.scope", ""] {
        manager.put("cgroup", &format!("0::/user.slice/{session}\n"));
        assert_eq!(run(), "", "{session}");
        manager.retrier("daemon stop").output().ok();
    }
    wait_until("they have left", LONG, || manager.daemons().is_empty());
}

#[test]
fn where_no_daemon_is_to_be_started_no_verb_starts_one() {
    let manager = Manager::new();
    let none = |verb: &str| manager.retrier(verb).env("RETRIER_NO_DAEMON_START", "1");
    none("run --key k --on-complete true -- true").output().ok();
    none("run -- sleep 600").output().ok();
    none("retry 1").output().exits(4);
    none("cancel 1").output().ok();
    none("retry 1").output().ok();
    none("pool set default --parallel 3").output().ok();
    none("wait --timeout 100ms 2").output().exits(124);
    none("cancel --all").output().ok();
    assert_eq!(manager.home.processes(), []);
    // One that runs is woken all the same, and 0 is not on.
    manager
        .retrier("run --wait -- true")
        .env("RETRIER_NO_DAEMON_START", "0")
        .output()
        .ok();
    none("run --wait -- true").output().ok();
    assert_eq!(manager.daemons().len(), 1);
}
