//! Paths that are taken away from under a daemon.

use std::fs;
use std::time::Duration;

use rusqlite::Connection;

use crate::crash::tools::{Gate, outcomes};
use crate::support::{Home, Journal, Need, skip, wait_until};

const LONG: Duration = Duration::from_secs(30);

fn remove_database(home: &Home) {
    for name in ["retrier.db", "retrier.db-wal", "retrier.db-shm"] {
        fs::remove_file(home.path(name)).expect("it is there");
    }
}

#[test]
fn a_daemon_whose_database_is_removed_under_an_unfinished_run_leaves() {
    let home = Home::new();
    let mut daemon = home.daemon();
    home.run(["--delay", "1500ms", "--", "true"]);
    remove_database(&home);
    assert_eq!(daemon.wait(LONG), 1);
    let said = daemon.errors();
    assert!(
        said.contains("retrier.db was removed or replaced"),
        "{said}"
    );
    assert!(!home.db().exists(), "it has made a new one");
    home.assert_no_process_left();
}

#[test]
fn who_waits_for_a_run_whose_database_is_removed_is_told_so() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = home.run(["--delay", "1h", "--", "true"]);
    let waiting = home.retrier(["wait", &id.to_string()]).spawn();
    let open_files = format!("/proc/{}/fd", waiting.pid());
    wait_until("it is at the doorbell", LONG, || {
        let links = fs::read_dir(&open_files).into_iter().flatten().flatten();
        let mut links = links.filter_map(|entry| fs::read_link(entry.path()).ok());
        links.any(|link| link.to_string_lossy().starts_with("socket:"))
    });
    remove_database(&home);
    daemon.stop();
    let told = waiting.wait().exits(125).error_text();
    assert!(
        told.contains("retrier.db was removed or replaced"),
        "{told}"
    );
    assert!(!home.db().exists(), "it has made a new one");
}

#[test]
fn a_daemon_whose_database_is_replaced_serves_the_new_one() {
    let home = Home::new();
    let mut daemon = home.daemon();
    home.run(["--delay", "1h", "--", "true"]);
    // One that looks while there is none leaves.
    daemon.await_rest();
    remove_database(&home);
    let id = home.run(["--", "true"]);
    assert_eq!(id, 1, "it is a new database");
    assert_eq!(home.wait(id), 0);
    assert!(daemon.is_running());
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_daemon_makes_no_database_anew_when_it_starts_over() {
    let home = Home::new();
    let mut daemon = home.daemon();
    remove_database(&home);
    home.run(["--no-daemon-start", "--", "true"]);
    wait_until("it has met the new one", LONG, || {
        daemon.errors().contains("starting over in 1 s")
    });
    remove_database(&home);
    assert_eq!(daemon.wait(LONG), 1);
    assert!(!home.db().exists(), "it has made a new one");
}

/// Two daemons could hold the database then, each by a lock of its own.
#[test]
fn a_daemon_whose_lock_is_removed_gives_way_and_nothing_runs_twice() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let mut first = home.daemon();
    let line = journal.line("sleep 1");
    let running = home.run(["--shell", &line]);
    wait_until("it runs", LONG, || journal.starts(running).len() == 1);
    fs::remove_file(home.path("retrier.db.d/lock")).expect("it is there");
    let later = home.run(["--shell", &line]);
    assert_eq!(first.wait(LONG), 1);
    let said = first.errors();
    assert!(said.contains("lock was removed or replaced"), "{said}");
    for id in [running, later] {
        assert_eq!(home.wait(id), 0);
        assert_eq!(journal.starts(id).len(), 1);
    }
    journal.assert_no_overlap();
}

#[test]
fn a_daemon_that_waits_for_another_writer_can_be_stopped() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let id = home.run(["--delay", "100ms", "--", "true"]);
    let writer = Connection::open(home.db()).expect("it is there");
    writer
        .execute_batch("BEGIN IMMEDIATE")
        .expect("nobody else writes");
    let busy = "retrier.db is busy: another program does not let go of it; trying again";
    wait_until("it has met the other one", LONG, || {
        daemon.errors().contains(busy)
    });
    assert_eq!(daemon.stop(), 0);
    writer.execute_batch("COMMIT").expect("it can go on");
    let mut daemon = home.daemon();
    assert_eq!(home.wait(id), 0);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_daemon_goes_on_when_the_other_writer_is_done() {
    let home = Home::new();
    let daemon = home.daemon();
    let id = home.run(["--delay", "100ms", "--", "true"]);
    let writer = Connection::open(home.db()).expect("it is there");
    writer
        .execute_batch("BEGIN IMMEDIATE")
        .expect("nobody else writes");
    wait_until("it has met the other one", LONG, || {
        daemon.errors().contains("is busy")
    });
    writer.execute_batch("COMMIT").expect("it can go on");
    assert_eq!(home.wait(id), 0);
}

/// The first daemon is on its way into its pass when another one takes over.
#[test]
fn a_daemon_that_has_lost_its_lock_claims_nothing_more() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let crash = "daemon_start_shim:1:stop";
    let first = home.daemon_with(&[], &[("RETRIER_CRASH", crash)]);
    let gate = Gate::new(&home, "gate");
    let line = journal.line(&gate.line());
    let ids = [0, 1].map(|_| home.run(["--no-daemon-start", "--shell", &line]));
    let stat = format!("/proc/{}/stat", first.pid());
    wait_until("it stands still", LONG, || {
        fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
    });
    fs::remove_file(home.path("retrier.db.d/lock")).expect("it is there");
    // It takes one of the two, and leaves the other one to whoever takes it.
    let mut second = home.daemon_with(&["--parallel=1"], &[]);
    wait_until("one runs", LONG, || journal.entries().len() == 1);
    let mut first = first;
    first.resume();
    assert_eq!(first.wait(LONG), 1);
    gate.open();
    for id in ids {
        assert_eq!(home.wait(id), 0);
        assert_eq!(journal.starts(id).len(), 1);
    }
    journal.assert_no_overlap();
    assert_eq!(second.stop(), 0);
}

/// It may be of a newer retrier; that the attempt never ran it does not show.
#[test]
fn a_record_that_cannot_be_read_leaves_a_lost_attempt() {
    if skip(Need::Flock) {
        return;
    }
    for rubbish in [&b"{\"version\":2,\"run\":1}"[..], &[b'x'; 1024]] {
        let home = Home::new();
        let journal = Journal::new(&home);
        let mut daemon = home.daemon();
        let line = journal.line("sleep 0.5");
        let id = home.run(["--max-failures", "0", "--shell", &line]);
        wait_until("it runs", LONG, || journal.starts(id).len() == 1);
        daemon.kill9();
        let gone = || !home.processes().iter().any(|one| one.is_shim());
        wait_until("its shim has ended", LONG, gone);
        let files = fs::read_dir(home.path("retrier.db.d/shims")).expect("it is there");
        for file in files.flatten() {
            fs::write(file.path(), rubbish).expect("it is ours");
        }
        let mut daemon = home.daemon();
        home.wait(id);
        assert_eq!(outcomes(&home.status(id)), ["lost"]);
        assert_eq!(journal.starts(id).len(), 1);
        assert_eq!(daemon.stop(), 0);
    }
}
