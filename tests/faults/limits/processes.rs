//! A user who may not have more processes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::thread;

use crate::crash::tools::LONG;
use crate::support::{Call, Home, Need, proof, seeded, skip, wait_until};

use super::{TROUBLE, faults, lift, log_faults, said, serves, starts_in};

/// Another user, whom nobody else is, with a home and a copy of the program of his own.
struct Other {
    home: Home,
    uid: u32,
    program: PathBuf,
}

impl Other {
    fn new(uid: u32) -> Other {
        let home = Home::at("own/retrier.db");
        fs::set_permissions(home.path(""), Permissions::from_mode(0o711)).expect("ours");
        let program = home.path("retrier");
        // Not by this process: a child of another test could still have it open for writing.
        let copy = format!(
            "cp '{}' '{}'",
            env!("CARGO_BIN_EXE_retrier"),
            program.display()
        );
        home.sh(copy).output().ok();
        chown(home.path("own"), Some(uid), Some(uid)).expect("this is root");
        Other { home, uid, program }
    }

    /// A call as this user, who may have so many processes.
    fn call(&self, processes: Option<u32>, args: &[&str]) -> Call {
        let limit = processes.map_or(String::new(), |n| format!("prlimit --nproc={n}:1000 "));
        let words = args.iter().copied();
        let args = shlex::try_join(words).expect("no NUL");
        let program = self.program.display();
        let line = format!("exec {} {limit}'{program}' {args}", self.becomes());
        self.home.sh(line).cwd(self.home.path("own"))
    }

    /// The words of a shell that make it this user.
    fn becomes(&self) -> String {
        format!("setpriv --reuid={0} --regid={0} --clear-groups", self.uid)
    }

    fn starts(&self, id: i64) -> usize {
        starts_in(&self.home.path("own/starts"), id)
    }
}

/// A daemon whose user may have so many processes; gives what is wrong, and whether it was in trouble.
fn few_processes(uid: u32, limit: u32, envs: &[(&str, &str)]) -> (Vec<String>, bool) {
    let other = Other::new(uid);
    let run = || {
        // It starts no process of its own.
        let line = "echo $RETRIER_RUN_ID >>starts";
        let args = [
            "run",
            "--no-daemon-start",
            "--max-failures",
            "0",
            "--shell",
            line,
        ];
        other
            .call(None, &args)
            .output()
            .ok()
            .text()
            .parse()
            .expect("an id")
    };
    let ids: Vec<i64> = (0..4).map(|_| run()).collect();
    let daemon = other.call(Some(limit), &["daemon", "--parallel", "4"]);
    let mut daemon = envs
        .iter()
        .fold(daemon, |call, (key, value)| call.env(key, value))
        .spawn();
    assert!(serves(&mut daemon));
    let all = || ids.iter().all(|id| other.starts(*id) == 1);
    // Once may have been for a client that was there.
    let troubles = || said(&daemon).matches(TROUBLE).count();
    let hurt = || troubles() > 1 || said(&daemon).contains(" failed ");
    wait_until("there is trouble, or all has run", LONG, || all() || hurt());
    let was_in_trouble = troubles() > 0;
    // Who waits is one of them, and with more than three others attempts can start.
    if limit < 5 {
        let prlimit = format!("{} prlimit --nproc=1000:1000", other.becomes());
        assert!(lift(&other.home, &prlimit), "a user may lift his own limit");
    }
    let mut wrong = faults(&ids, |args| other.call(None, args), |id| other.starts(id));
    wrong.extend(log_faults(&said(&daemon)));
    daemon.kill9();
    let wrong = wrong
        .iter()
        .map(|wrong| format!("{limit} processes: {wrong}"));
    (wrong.collect(), was_in_trouble)
}

fn unused_uid() -> u32 {
    100_000 + seeded("another user").u32(..1_000_000) * 16
}

#[test]
fn a_user_with_few_processes_is_charged_nothing_and_served_when_there_are_more() {
    if skip(Need::Root) {
        return;
    }
    let uid = unused_uid();
    let all = (1..=6).map(|limit| thread::spawn(move || few_processes(uid + limit, limit, &[])));
    let all: Vec<_> = all
        .collect::<Vec<_>>()
        .into_iter()
        .map(|one| one.join().expect("no panic"))
        .collect();
    assert!(
        all.iter().filter(|(_, trouble)| *trouble).count() >= 3,
        "limits that hurt nobody"
    );
    let times = all.len();
    let wrong: Vec<_> = all.into_iter().flat_map(|(wrong, _)| wrong).collect();
    proof::holds("T24", times, &wrong);
}

#[test]
fn the_test_of_few_processes_catches_an_attempt_that_is_charged_for_them() {
    if skip(Need::Root) {
        return;
    }
    let bug = "charges_shortage";
    let (wrong, _) = few_processes(unused_uid(), 2, &[("RETRIER_BUG", bug)]);
    proof::catches("T24", bug, &wrong, |wrong| wrong.contains(": run "));
}

#[test]
fn a_client_that_cannot_start_a_daemon_has_stored_its_run_and_warns() {
    if skip(Need::Root) {
        return;
    }
    let other = Other::new(unused_uid());
    let stored = other.call(Some(1), &["run", "--", "true"]).output().ok();
    assert_eq!(stored.text(), "1");
    let warning = stored.error_text();
    assert!(
        warning.contains("warning: run 1 is stored")
            && warning.contains("Resource temporarily unavailable"),
        "{warning}"
    );
    let waited = other
        .call(Some(1), &["run", "--wait", "--", "true"])
        .output()
        .exits(125);
    assert!(
        waited.error_text().contains("cannot start a daemon"),
        "{}",
        waited.error_text()
    );
    let idle = other.call(None, &["daemon", "--until-idle"]);
    idle.output().ok();
    for id in ["1", "2"] {
        other.call(None, &["wait", id]).output().ok();
    }
}
