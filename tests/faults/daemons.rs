//! Many daemons at once, and daemons that leave at the moment at which somebody submits.
//!
//! What ran is what the commands wrote: each appends the id of its run to one file.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_UNLCK, F_WRLCK, flock};
use nix::sys::signal::Signal;
use retrier::store::{Access, Folder, Store};

use crate::crash::tools::{LONG, is_stopped};
use crate::support::{Home, Output, Process, Running, holds_within, proof, seeded, wait_until};

/// The ids of runs, in the order in which their commands ran.
struct Ran(PathBuf);

impl Ran {
    fn new(home: &Home) -> Ran {
        Ran(home.path("ran"))
    }

    /// The command that writes its run down.
    fn line(&self) -> String {
        format!("echo $RETRIER_RUN_ID >>'{}'", self.0.display())
    }

    fn ids(&self) -> Vec<i64> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(|id| id.parse().ok()).collect()
    }

    /// Stores so many runs, and starts nothing.
    #[track_caller]
    fn submit(&self, home: &Home, count: usize) -> Vec<i64> {
        let args = ["--no-daemon-start", "--shell", &self.line()];
        (0..count).map(|_| home.run(args)).collect()
    }

    /// Waits until these runs have run, or nobody is there who would run them; says which did not run, or ran more than
    /// once.
    fn violations(&self, home: &Home, ids: &[i64]) -> Vec<String> {
        let count = |id: &i64| self.ids().iter().filter(|ran| *ran == id).count();
        // In this order: what an orderly daemon had open when it left was written before.
        let decided = || {
            let served = is_served(home);
            ids.iter().all(|id| count(id) > 0) || !served
        };
        let in_time = holds_within(LONG, decided);
        let mut violations: Vec<String> = Vec::new();
        violations.extend((!in_time).then(|| "a daemon serves, and a run waits".to_owned()));
        let wrong = ids.iter().filter(|id| count(id) != 1);
        violations.extend(wrong.map(|id| format!("run {id} ran {} times", count(id))));
        violations
    }
}

/// Whether a daemon holds the database's lock.
fn is_served(home: &Home) -> bool {
    let Ok(file) = fs::File::open(home.path("retrier.db.d/lock")) else {
        return false;
    };
    let mut lock = flock {
        l_type: F_WRLCK as i16,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock)).expect("it can be looked at");
    i32::from(lock.l_type) != F_UNLCK
}

fn serves(daemon: &Running) -> bool {
    String::from_utf8_lossy(&daemon.stderr_so_far()).contains(" serving ")
}

fn start_daemons(home: &Home, count: usize, bug: &str) -> Vec<Running> {
    let start = |_| home.retrier(["daemon"]).env("RETRIER_BUG", bug).spawn();
    (0..count).map(start).collect()
}

/// What is wrong with a daemon that could not have the database: it exits with 4 and names who has it.
fn wrong_refusal(refused: &Output, holder: i32) -> Option<String> {
    let told = refused.error_text();
    let right = refused.code == 4 && told.contains(&format!("pid {holder}\n"));
    (!right).then(|| format!("exit {} beside {holder}: {told:?}", refused.code))
}

/// Makes a daemon stand still while it holds no transaction, so that others can submit; gives the runs that were
/// submitted to see this.
#[track_caller]
fn pause_between_passes(home: &Home, daemon: &Running, ran: &Ran) -> Vec<i64> {
    let mut ids = Vec::new();
    let paused = holds_within(LONG, || {
        daemon.signal(Signal::SIGSTOP);
        wait_until("it stands still", LONG, || is_stopped(daemon.pid()));
        let args = ["run", "--no-daemon-start", "--shell", &ran.line()];
        let mut call = home.retrier(args).spawn();
        let free = holds_within(Duration::from_secs(2), || !call.is_running());
        if !free {
            daemon.signal(Signal::SIGCONT);
        }
        ids.push(call.wait().ok().text().parse().expect("an id"));
        free
    });
    assert!(paused, "it never stands still between two passes");
    ids
}

/// Eight daemons at once: one serves, and goes on after a while in which it stands still beside seven others. Gives
/// the violations.
fn race(home: &Home, rng: &mut Rng, bug: &str) -> Vec<String> {
    let ran = Ran::new(home);
    let early = rng.usize(0..=3);
    let mut ids = ran.submit(home, early);
    let mut daemons = start_daemons(home, 8, bug);
    wait_until("every daemon serves or has left", LONG, || {
        daemons
            .iter_mut()
            .all(|daemon| serves(daemon) || !daemon.is_running())
    });
    let (mut serving, refused): (Vec<_>, Vec<_>) = daemons.into_iter().partition(serves);
    if serving.len() != 1 {
        return vec![format!("{} daemons serve", serving.len())];
    }
    let mut winner = serving.remove(0);
    let refused = refused.into_iter().map(Running::wait);
    let mut violations: Vec<String> = refused
        .filter_map(|refused| wrong_refusal(&refused, winner.pid()))
        .collect();

    ids.extend(pause_between_passes(home, &winner, &ran));
    ids.extend(ran.submit(home, 3 - early));
    let late = start_daemons(home, 7, bug).into_iter().map(Running::wait);
    violations.extend(late.filter_map(|refused| wrong_refusal(&refused, winner.pid())));
    winner.signal(Signal::SIGCONT);
    violations.extend(ran.violations(home, &ids));
    violations.extend(home.doctor());
    if rng.bool() {
        // Its name stays in the lock's file.
        winner.kill9();
    } else {
        winner.signal(Signal::SIGTERM);
        violations.extend((winner.wait().code != 0).then(|| "it left in trouble".to_owned()));
    }
    violations
}

#[test]
fn of_eight_daemons_started_at_once_one_serves_and_the_others_name_it() {
    let mut rng = seeded("eight daemons");
    let home = Home::new();
    let rounds = proof::repetitions(6, 50);
    let found = (0..rounds).flat_map(|_| race(&home, &mut rng, ""));
    proof::holds("T9", rounds, &found.collect::<Vec<_>>());
}

#[test]
fn eight_daemons_at_once_catches_a_lock_that_nobody_heeds() {
    let home = Home::new();
    let bug = "no_daemon_lock";
    let violations = race(&home, &mut seeded("eight daemons"), bug);
    proof::catches("T9", bug, &violations, |_| true);
}

/// Between the lock and the name in its file somebody else may ask for it.
#[test]
fn a_daemon_that_has_not_written_down_its_name_yet_is_waited_for() {
    let home = Home::new();
    let mut first = home.daemon();
    first.kill9();
    let slow = home
        .retrier(["daemon"])
        .crash("lock_taken:1:sleep=500")
        .spawn();
    wait_until("the lock is held", LONG, || is_served(&home));
    let second = home.retrier(["daemon"]).output();
    assert_eq!(wrong_refusal(&second, slow.pid()), None);
}

/// Eight clients at once, for the nth time, beside no daemon: one is started. Gives the violations.
fn start_by_clients(home: &Home, time: usize, bug: &str) -> Vec<String> {
    let ran = Ran::new(home);
    let submit = |_| {
        let call = home.retrier(["run", "--shell", &ran.line()]);
        let call = call.crash("submit_committed:1:stop");
        call.env("RETRIER_BUG", bug).spawn()
    };
    let clients: Vec<Running> = (0..8).map(submit).collect();
    wait_until(
        "all have committed, and none has looked for a daemon",
        LONG,
        || clients.iter().all(|client| is_stopped(client.pid())),
    );
    for client in &clients {
        client.signal(Signal::SIGCONT);
    }
    let clients = clients.into_iter().map(|client| client.wait().ok().text());
    let ids: Vec<i64> = clients.map(|id| id.parse().expect("an id")).collect();
    let mut violations = ran.violations(home, &ids);
    let log = fs::read_to_string(home.path("retrier.db.d/daemon.log")).expect("a log");
    if log.matches(" serving ").count() != time {
        violations.push(format!("not one daemon serves:\n{log}"));
    }
    violations
}

#[test]
fn eight_clients_at_once_start_one_daemon() {
    let home = Home::new();
    let rounds = proof::repetitions(5, 20);
    for time in 1..=rounds {
        proof::holds("T9", 1, &start_by_clients(&home, time, ""));
        wait_until("one daemon is left", LONG, || {
            let daemons = home.processes().into_iter().filter(Process::is_daemon);
            daemons.count() == 1
        });
        home.retrier(["daemon", "stop"]).output().ok();
    }
}

#[test]
fn eight_clients_at_once_catches_a_lock_that_nobody_heeds() {
    // The first one may be so fast that the others find its daemon.
    let caught = (0..10).find(|_| {
        let violations = start_by_clients(&Home::new(), 1, "no_daemon_lock");
        !violations.is_empty()
    });
    assert!(caught.is_some());
}

/// The minute itself is too long for a test; that shorter times are kept is tested beside.
#[test]
fn a_daemon_that_a_client_starts_is_told_to_stay_for_a_minute() {
    let home = Home::new();
    home.run(["--", "true"]);
    let daemons = || {
        let all = home.processes().into_iter();
        all.filter(Process::is_daemon).collect::<Vec<_>>()
    };
    // The one that it came from may not have left yet.
    wait_until("there is one", LONG, || daemons().len() == 1);
    let daemon = &daemons()[0];
    let words: Vec<&str> = daemon.cmdline.split(' ').collect();
    assert!(words.contains(&"--automatic"), "{words:?}");
    assert!(words.contains(&"--until-idle=60000ms"), "{words:?}");
}

/// As the client has it that starts a daemon.
fn make_database(home: &Home) {
    drop(Store::open(&Folder::of(home.db()), Access::Create).expect("it can be made"));
}

/// One daemon that leaves by itself, as those do that clients start, and submits around the moments at which it may,
/// until it has left. Gives how many there were, and the violations.
fn leave_and_submit(home: &Home, rng: &mut Rng, widened: &str, bug: &str) -> (usize, Vec<String>) {
    let ran = Ran::new(home);
    make_database(home);
    let daemon = home.retrier(["daemon", "--automatic", "--until-idle=30ms"]);
    let mut daemon = daemon.crash(widened).env("RETRIER_BUG", bug).spawn();
    wait_until("it serves", LONG, || {
        serves(&daemon) || !daemon.is_running()
    });
    let mut submits = 0;
    let mut violations = Vec::new();
    while submits == 0 || daemon.is_running() {
        holds_within(Duration::from_millis(rng.u64(0..50)), || false);
        let id = home.run(["--shell", &ran.line()]);
        violations.extend(ran.violations(home, &[id]));
        submits += 1;
    }
    if is_served(home) {
        home.retrier(["daemon", "stop"]).output().ok();
    }
    (submits, violations)
}

#[test]
fn two_hundred_submits_around_the_end_of_an_idle_daemon_all_run() {
    let mut rng = seeded("leaving daemons");
    let seeds: Vec<u64> = (0..4).map(|_| rng.u64(..)).collect();
    thread::scope(|scope| {
        for seed in seeds {
            scope.spawn(move || {
                let mut rng = Rng::with_seed(seed);
                let home = Home::new();
                let points = ["", "retiring:1:sleep=30", "retired:1:sleep=30"];
                let mut all = 0;
                while all < 50 {
                    let point = points[rng.usize(..points.len())];
                    let (submits, violations) = leave_and_submit(&home, &mut rng, point, "");
                    assert!(violations.is_empty(), "{all}: {violations:#?}");
                    all += submits;
                }
            });
        }
    });
}

#[test]
fn submits_around_the_end_catches_a_daemon_that_leaves_outside_its_transaction() {
    let mut rng = seeded("leaving daemons");
    let bug = "leaves_outside_transaction";
    let caught = (0..20).find(|_| {
        // One that was left waiting would be served by the next daemon.
        let home = Home::new();
        let (_, violations) = leave_and_submit(&home, &mut rng, "retiring:1:sleep=300", bug);
        !violations.is_empty()
    });
    assert!(caught.is_some());
}

/// A submit while a daemon stands still between its last look for runs and its end. Gives the violations.
fn submit_at_the_last_moment(point: &str, bug: &str) -> Vec<String> {
    let home = Home::new();
    let ran = Ran::new(&home);
    make_database(&home);
    let daemon = home.retrier(["daemon", "--automatic", "--until-idle=50ms"]);
    let daemon = daemon.crash(&format!("{point}:1:stop"));
    let daemon = daemon.env("RETRIER_BUG", bug).spawn();
    wait_until("it is on its way out", LONG, || is_stopped(daemon.pid()));
    let mut client = home.retrier(["run", "--shell", &ran.line()]).spawn();
    // Without the bug it may have to wait for the daemon.
    let limit = if bug.is_empty() {
        Duration::from_millis(300)
    } else {
        LONG
    };
    holds_within(limit, || !client.is_running());
    daemon.signal(Signal::SIGCONT);
    let id = client.wait().ok().text().parse().expect("an id");
    daemon.wait().ok();
    ran.violations(&home, &[id])
}

#[test]
fn a_submit_at_the_last_moment_of_an_idle_daemon_is_served() {
    for point in ["retiring", "retired"] {
        let violations = submit_at_the_last_moment(point, "");
        assert!(violations.is_empty(), "{point}: {violations:#?}");
    }
}

#[test]
fn a_submit_at_the_last_moment_catches_a_daemon_that_leaves_outside_its_transaction() {
    let bug = "leaves_outside_transaction";
    let violations = submit_at_the_last_moment("retiring", bug);
    proof::catches("T9", bug, &violations, |one| one == "run 1 ran 0 times");
}
