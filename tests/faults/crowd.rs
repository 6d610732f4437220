//! Many clients at once, who find no daemon.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Home, Journal, holds_within, proof, wait_until, wall_ns};

use super::load::{Books, Clients, Op, Record, Written, violations};

const LONG: Duration = Duration::from_secs(180);

/// A client writes the log into the database when it has 8,000 pages; and one more transaction may be in it.
const LOG_MAX: u64 = 40 << 20;

/// What came of a crowd: what is wrong, and which runs were stored.
struct Crowd {
    found: Vec<String>,
    ids: BTreeSet<i64>,
}

/// So many processes store so many runs each, all at once; gives what they complained about.
fn submit(
    clients: &Clients<'_>,
    home: &Home,
    each: (usize, &str, &str),
    processes: usize,
) -> String {
    let (runs, command, crash) = each;
    let gate = home.path("gate");
    mkfifo(&gate, Mode::S_IRWXU).expect("the temp folder can be written");
    // Who opens a fifo for reading waits for somebody who opens it for writing.
    let line = format!(
        "echo here; : <'{}'; for n in $(seq {runs}); do retrier run --shell \"$LINE\"; done",
        gate.display()
    );
    let submitter = || {
        let call = clients.shell(&line).env("LINE", command);
        call.crash(crash).spawn()
    };
    let submitters: Vec<_> = (0..processes).map(|_| submitter()).collect();
    wait_until("all are there", LONG, || {
        submitters.iter().all(|one| !one.stdout_so_far().is_empty())
    });
    let t0 = wall_ns();
    let open = OpenOptions::new().write(true).open(gate);
    let _open = open.expect("they wait there");
    let mut complaints = String::new();
    for submitter in submitters {
        let output = submitter.wait_within(LONG);
        complaints += &output.error_text();
        for id in output.text().lines().filter(|line| *line != "here") {
            clients.note(Record {
                op: Op::Run,
                id: id.parse().ok(),
                t0,
                t1: wall_ns(),
                exit: 0,
                out: id.to_owned(),
                err: String::new(),
            });
        }
    }
    complaints
}

/// The crowd stores its runs, and each run is waited for.
fn crowd(processes: usize, runs: usize, bug: &str, crash: &str) -> Crowd {
    let home = Home::new();
    let journal = Journal::new(&home);
    let clients = Clients::new(&home, bug);
    let mut found = Vec::new();
    let each = (runs, &*journal.brief(), crash);
    let complaints = submit(&clients, &home, each, processes);
    if !complaints.is_empty() {
        found.push(complaints);
    }
    let daemons = home.daemon_log().matches("INFO serving ").count();
    if daemons != 1 {
        found.push(format!("{daemons} daemons have served"));
    }
    let healed = found.is_empty().then(|| {
        let ids = clients.ids().into_iter().map(|id| id.to_string());
        let wait = ["wait", "--quiet"]
            .map(str::to_owned)
            .into_iter()
            .chain(ids);
        clients.call(wait).limit(LONG).output().ok();
        clients.heal()
    });
    let after = healed.and_then(|healed| healed.map_err(|error| found.push(error)).ok());
    let log = fs::metadata(home.path("retrier.db-wal")).map_or(0, |log| log.len());
    if log > LOG_MAX {
        found.push(format!("{log} bytes of log are left"));
    }
    found.extend(violations(&Books {
        calls: clients.calls(),
        written: Some(Written::from(&journal)),
        codes: Some(&|_, _| 0),
        hooks: None,
        after,
    }));
    Crowd {
        found,
        ids: clients.ids().into_iter().collect(),
    }
}

#[test]
fn sixty_four_processes_store_twenty_runs_each_at_once_and_one_daemon_runs_each_once() {
    for _ in 0..proof::repetitions(1, 5) {
        let crowd = crowd(64, 20, "", "");
        assert_eq!(crowd.ids.len(), 64 * 20, "{:#?}", crowd.found);
        proof::holds("T11", 1, &crowd.found);
    }
}

#[test]
fn a_crowd_catches_transactions_that_do_not_wait_for_each_other() {
    let bug = "begins_deferred";
    let crowd = crowd(16, 4, bug, "");
    let told = |found: &str| found.contains("locked") || found.contains("busy");
    proof::catches("T11", bug, &crowd.found, told);
}

#[test]
fn a_crowd_catches_daemons_that_serve_beside_each_other() {
    // The daemons find the database free, and are slow to take it.
    let crash = "store_identifying:1:sleep=500";
    let bug = "no_daemon_lock";
    let crowd = crowd(8, 1, bug, crash);
    let told = |found: &str| found.contains("daemons have served");
    proof::catches("T11", bug, &crowd.found, told);
}

#[test]
fn a_database_that_another_is_making_is_not_taken_for_a_foreign_one() {
    let home = Home::new();
    let slow = home.retrier(["run", "--no-daemon-start", "--", "true"]);
    let slow = slow.crash("store_identifying:1:stop").spawn();
    let stat = format!("/proc/{}/stat", slow.pid());
    wait_until("it looks at an empty file", LONG, || {
        fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
    });
    let mut fast = home.retrier(["run", "--", "true"]).spawn();
    // It may have to wait for the other, and may not make the layout under its eyes.
    holds_within(Duration::from_secs(1), || !fast.is_running());
    slow.signal(Signal::SIGCONT);
    slow.wait().ok();
    fast.wait().ok();
}
