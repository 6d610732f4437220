//! What happens around a daemon must not end it, make it deaf, or make it busy.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use crate::crash::tools::{closed, outcomes, wait_until_state};
use crate::support::{Home, wait_until};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_daemon_whose_log_cannot_be_written_serves_on() {
    let home = Home::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = home.command();
    command.args(["daemon", "--until-idle=1s"]);
    let mut daemon = command.stderr(full).stdout(Stdio::null()).spawn().unwrap();
    wait_until("it serves", LONG, || {
        home.retrier(["daemon", "status"]).output().code == 0
    });
    let id = home.run(["--no-daemon-start", "--", "true"]);
    assert_eq!(home.wait(id), 0);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

#[test]
fn a_daemon_without_its_doorbell_is_woken_and_hangs_it_again() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let doorbell = home.path("retrier.db.d/doorbell");
    fs::remove_file(&doorbell).unwrap();
    let running = home.run(["--", "sleep", "600"]);
    wait_until_state(&home, running, "running");
    assert!(doorbell.exists());
    fs::remove_file(&doorbell).unwrap();
    let id = running.to_string();
    home.retrier(["cancel", &id]).output().ok();
    let document = closed(&home, running);
    assert_eq!(outcomes(&document), ["canceled"]);
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_daemon_of_a_removed_database_leaves_the_doorbell_of_the_next_one_alone() {
    let home = Home::new();
    let mut first = home.daemon_with(&["--until-idle=1s"], &[]);
    fs::remove_dir_all(home.path("retrier.db.d")).unwrap();
    for name in ["retrier.db", "retrier.db-wal", "retrier.db-shm"] {
        fs::remove_file(home.path(name)).unwrap();
    }
    let _second = home.daemon();
    assert_eq!(first.wait(LONG), 0);
    assert!(home.path("retrier.db.d/doorbell").exists());
}
