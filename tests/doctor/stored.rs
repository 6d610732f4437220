//! What is stored and contradicts itself: each contradiction is put into a sound database, and found by its rule.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use crate::support::{Home, wait_until};

use super::{LONG, found, live};

/// What is done to the database, and where in which words it is found.
const BREAKS: &[(&str, &str)] = &[
    (
        "UPDATE attempt SET ended_at = NULL, outcome = NULL WHERE run_id = 1 AND number = 1",
        "attempts: attempt 1 of run 1 is open, and the run does not know of it",
    ),
    (
        "UPDATE run SET state = 'running', open_attempt = 1, finished_at = NULL, reason = NULL WHERE id = 1",
        "attempts: run 1 has attempt 1 open, and that has ended",
    ),
    (
        "DROP INDEX attempt_open; UPDATE attempt SET ended_at = NULL, outcome = NULL WHERE run_id = 1; \
         CREATE INDEX attempt_open ON attempt (run_id) WHERE ended_at IS NULL",
        "attempts: run 1 has 4 attempts open",
    ),
    (
        "DELETE FROM attempt WHERE run_id = 1 AND number = 2",
        "attempts: run 1 counts 4 attempts, and 3 are stored, up to number 4",
    ),
    (
        "DELETE FROM event WHERE run_id = 1 AND kind = 'started' AND attempt = 2",
        "attempts: attempt 2 of run 1 was started 0 and has ended 1 times",
    ),
    (
        "DELETE FROM event WHERE run_id = 1 AND number = 2",
        "history: the history of run 1 has ",
    ),
    (
        "UPDATE event SET kind = 'started' WHERE run_id = 1 AND number = 1",
        "history: the history of run 1 begins with started",
    ),
    (
        "INSERT INTO event (run_id, number, at, kind) SELECT 1, max(number) + 1, 0, 'enqueued' FROM event WHERE run_id = 1",
        "endings: run 1 had ended, and then: enqueued",
    ),
    (
        "UPDATE run SET state = 'succeeded', reason = NULL WHERE id = 1",
        "endings: run 1 is succeeded, and its history says failed",
    ),
    (
        "UPDATE run SET on_complete = NULL WHERE id = 1",
        "hooks: run 1 has ended 2 times and has 2 hooks",
    ),
    (
        "UPDATE event SET hook_id = (SELECT max(hook_id) FROM event WHERE run_id = 1) \
         WHERE run_id = 1 AND kind = 'hook_enqueued'",
        "is the hook of 2 endings",
    ),
    (
        "UPDATE run SET parent_id = 3 WHERE id = (SELECT hook_id FROM run WHERE id = 1)",
        "is a hook that run 3 does not know of",
    ),
    (
        "UPDATE run SET stage = 'ready' WHERE id = 1",
        "stages: run 1 is failed and stands in the stage ready",
    ),
    (
        "INSERT INTO run (state, created_at, seed, policy, command, cwd, umask, environment_id, pool, lock, due_at, stage) \
         SELECT 'waiting', 0, 0, policy, command, cwd, umask, environment_id, 'mail', 'held by nobody', 0, 'locked' FROM run WHERE id = 1",
        "waits for the lock 'held by nobody', which nobody has",
    ),
    (
        "DROP INDEX run_lock_held; UPDATE run SET lock = 'l', stage = 'ready' WHERE id IN (1, 3); \
         CREATE INDEX run_lock_held ON run (lock) WHERE lock IS NOT NULL AND (stage = 'ready' OR open_attempt IS NOT NULL)",
        "locks: 2 runs have the lock 'l'",
    ),
    (
        "DROP INDEX run_key_held; UPDATE run SET key = 'k', finished_at = NULL WHERE id IN (1, 3); \
         CREATE INDEX run_key_held ON run (key) WHERE key IS NOT NULL AND (finished_at IS NULL OR open_attempt IS NOT NULL)",
        "keys: 2 runs have the key 'k'",
    ),
    (
        "UPDATE content SET refs = refs + 1 WHERE id = 1",
        "content: content 1 is referred to ",
    ),
    (
        "DELETE FROM gate WHERE pool = 'mail'",
        "pools: the pool 'mail' has no counts",
    ),
    (
        "UPDATE run SET pool = 'nowhere', finished_at = NULL WHERE id = 1",
        "pools: run 1 waits in the pool 'nowhere', which is not there",
    ),
    (
        "UPDATE gauge SET ready = 1 WHERE pool = 'mail'",
        "pools: the pool 'mail' counts ready 1, and 0 are there",
    ),
    (
        "UPDATE gauge SET failed = 0 WHERE pool = 'mail'",
        "pools: the pool 'mail' counts failed 0, and 1 are there",
    ),
    (
        "UPDATE run SET policy = '{}' WHERE id = 1",
        "words: the policy of run 1 cannot be read",
    ),
    (
        "UPDATE attempt SET outcome = '{\"type\":\"eaten\"}' WHERE run_id = 1 AND number = 1",
        "words: an outcome of run 1 cannot be read",
    ),
    (
        "UPDATE run SET failures = 9 WHERE id = 1",
        "attempts: run 1 counts 9 failures, and 4 of its attempts have failed",
    ),
    (
        "UPDATE run SET hook_id = 999 WHERE id = 1",
        "hooks: run 1 names run 999 its hook, and its history does not",
    ),
    (
        "DELETE FROM sqlite_sequence",
        "could be given to another run",
    ),
    (
        "DELETE FROM pool WHERE name = 'hooks'",
        "pools: there is no pool hooks",
    ),
    (
        "UPDATE pool SET backoff = 'xx' WHERE name = 'mail'",
        "words: the waits of pool mail cannot be read",
    ),
    (
        "UPDATE attempt SET success = 1 WHERE run_id = 1 AND number = 1",
        "attempts: attempt 1 of run 1 ended with exit 1 and counts as a success, not as a failure",
    ),
    (
        "UPDATE attempt SET success = NULL WHERE run_id = 1 AND number = 4",
        "attempts: attempt 4 of run 1 ended with exit 1 and counts as neither, not as a failure",
    ),
    (
        "UPDATE run SET policy = json_set(policy, '$.success_codes[0].exit.to', 1) WHERE id = 1",
        "attempts: attempt 1 of run 1 ended with exit 1 and counts as a failure, not as a success",
    ),
    (
        "UPDATE attempt SET success = 0 WHERE outcome = '{\"type\":\"canceled\"}'",
        "ended with canceled and counts as a failure, not as neither",
    ),
    (
        "UPDATE run SET reason = 'stopped' WHERE id = 1",
        "endings: run 1 has failed (stopped), and its history says budget",
    ),
    (
        "UPDATE run SET umask = 512 WHERE id = 1",
        "words: run 1 has the umask 01000",
    ),
    (
        "UPDATE run SET command = x'' WHERE id = 1",
        "words: run 1 has no command",
    ),
    (
        "UPDATE pool SET options = '{\"timeout\":\"soon\"}' WHERE name = 'mail'",
        "words: the retry options of pool mail cannot be read: ",
    ),
    (
        "DROP INDEX run_name",
        "integrity: 1 of its tables, indexes, triggers and views are missing",
    ),
    (
        "UPDATE event SET kind = 'eaten' WHERE run_id = 1 AND number = 2",
        "words: the history of run 1 says \"eaten\"",
    ),
    (
        "DELETE FROM content WHERE id = 1",
        "integrity: a row of run refers to no row of content",
    ),
    (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema \
         SET sql = replace(sql, 'name IS NOT NULL', 'id > 0') WHERE name = 'run_name'; \
         PRAGMA writable_schema = OFF",
        "integrity: ",
    ),
];

#[test]
fn each_contradiction_is_found_by_its_rule() {
    let home = Home::new();
    let mut daemon = home.daemon();
    live(&home);
    assert_eq!(daemon.stop(), 0);
    home.assert_no_process_left();
    assert_eq!(found(&home), [""; 0]);
    let sound = std::fs::read(home.db()).expect("it is there");
    let log = std::fs::read(home.path("retrier.db-wal")).expect("it is there");
    let mut wrong = Vec::new();
    for (change, expected) in BREAKS {
        std::fs::write(home.db(), &sound).expect("it can be written");
        std::fs::write(home.path("retrier.db-wal"), &log).expect("it can be written");
        std::fs::remove_file(home.path("retrier.db-shm")).ok();
        let database = Connection::open(home.db()).expect("it is a database");
        let lax = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;";
        database
            .execute_batch(&format!("{lax} {change}"))
            .expect(change);
        drop(database);
        let found = found(&home);
        let line = format!("error {expected}");
        let is_there = found
            .iter()
            .any(|found| found.starts_with("error ") && found.contains(expected));
        if !is_there {
            wrong.push(format!("{line} is not among {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_empty_file_is_no_database_yet() {
    let home = Home::new();
    let file = fs::File::create(home.db()).expect("it can be made");
    let private = Permissions::from_mode(0o600);
    file.set_permissions(private).expect("it is ours");
    assert_eq!(found(&home), [""; 0]);
}

/// A daemon tries it again and again, and does not get on.
#[test]
fn a_pool_that_cannot_be_read_is_named_where_the_daemon_tells_of_trouble() {
    let home = Home::new();
    home.retrier(["pool", "set", "mail"]).output().ok();
    let id = home.run(["--no-daemon-start", "--pool", "mail", "--", "true"]);
    let change = |sql: &str| {
        let database = Connection::open(home.db()).expect("it is a database");
        database.execute_batch(sql).expect("it fits the layout");
    };
    let mut daemon = home.daemon();
    home.wait(id);
    change("UPDATE pool SET backoff = 'xx' WHERE name = 'mail'");
    let stays = home.run(["--no-daemon-start", "--pool", "mail", "--", "true"]);
    let shallow = || home.retrier(["doctor"]).output().text();
    wait_until("it has trouble", LONG, || {
        shallow().contains("starts nothing")
    });
    let found = shallow();
    assert!(
        found.contains("the waits of pool mail cannot be read"),
        "{found}"
    );
    assert!(
        found.contains("if what is stored cannot be read"),
        "{found}"
    );
    change("UPDATE pool SET backoff = NULL WHERE name = 'mail'");
    assert_eq!(home.wait(stays), 0);
    assert_eq!(daemon.stop(), 0);
}
