//! Exhausted limits: descriptors and processes. No attempt is charged for them, and all goes on when they are lifted.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::crash::tools::{Gate, LONG, commands, outcomes};
use crate::support::{
    Call, Home, Journal, Limit, Need, Process, Running, holds_within, proof, seeded, skip,
    wait_until,
};

mod processes;

const TROUBLE: &str = "cannot start an attempt";

/// Gives the daemon and its shims another limit, as `prlimit` writes it. `false`: this user may not do that.
fn lift(home: &Home, prlimit: &str) -> bool {
    let ours = |one: &Process| one.is_shim() || one.is_daemon();
    let all = home.processes().into_iter().filter(ours);
    let lift = |one: Process| home.sh(format!("{prlimit} --pid {}", one.pid)).output();
    let failed = all.map(lift).filter(|lifted| lifted.code != 0);
    failed
        .map(|lifted| lifted.error_text())
        .all(|said| said.contains("No such process"))
}

/// What is wrong with runs that have to succeed with their first attempt; `journal` says how often each was started.
fn faults(
    ids: &[i64],
    call: impl Fn(&[&str]) -> Call,
    starts: impl Fn(i64) -> usize,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let limit = Limit::after(LONG);
    for id in ids {
        let name = id.to_string();
        let left = format!("{}ms", limit.left().as_millis().max(1));
        let code = call(&["wait", "--timeout", &left, &name]).output().code;
        let document = call(&["status", "--json", &name]).output().ok().json();
        let seen = (
            code,
            outcomes(&document),
            &document["failures"],
            starts(*id),
        );
        if seen != (0, vec!["exit 0".to_owned()], &0.into(), 1) {
            wrong.push(format!("run {id}: {seen:?}"));
        }
    }
    wrong
}

/// Waits until a daemon that was started through a shell serves; `false`: it has ended. It holds the database, and
/// `daemon status` names it, before it has all that it needs.
fn serves(daemon: &mut Running) -> bool {
    let says_so = |daemon: &Running| said(daemon).contains("INFO serving");
    assert!(
        holds_within(LONG, || !daemon.is_running() || says_so(daemon)),
        "no daemon"
    );
    daemon.is_running()
}

/// How often the run has written its id into the file.
fn starts_in(file: &Path, id: i64) -> usize {
    let all = fs::read_to_string(file).unwrap_or_default();
    all.lines().filter(|line| *line == id.to_string()).count()
}

/// Stores a run that has one attempt, for a daemon to come.
fn stored(home: &Home, line: &str) -> i64 {
    home.run(["--no-daemon-start", "--max-failures", "0", "--shell", line])
}

fn said(daemon: &Running) -> String {
    String::from_utf8_lossy(&daemon.stderr_so_far()).into_owned()
}

/// What is wrong with how a daemon's log tells of the trouble.
fn log_faults(log: &str) -> Vec<String> {
    let much = log.matches(TROUBLE).count() > 40 || log.contains("panicked");
    much.then(|| format!("the log: {log}"))
        .into_iter()
        .collect()
}

/// A daemon that may open so many files; gives what is wrong, and whether it was in trouble.
fn few_descriptors(limit: u32) -> (Vec<String>, bool) {
    let home = Home::new();
    home.slots(12);
    let journal = Journal::new(&home);
    let line = journal.line("sleep 0.2");
    let ids: Vec<i64> = (0..12).map(|_| stored(&home, &line)).collect();
    let daemon = format!("ulimit -n {limit}; exec retrier daemon");
    let mut daemon = home.sh(daemon).spawn();
    let mut wrong = Vec::new();
    let mut trouble = true;
    if serves(&mut daemon) {
        let ended = || ids.iter().all(|id| journal.ends(*id).len() == 1);
        let in_trouble = || said(&daemon).contains(TROUBLE);
        let settled = || ended() || in_trouble();
        wait_until("all has ended, or there is trouble", LONG, settled);
        trouble = in_trouble();
        // From here on one attempt at a time is possible, and its end is the end of the trouble.
        let enough = limit >= 30;
        if !enough && !lift(&home, "prlimit --nofile=1024:1024") {
            home.retrier(["daemon", "stop"]).output().ok();
        }
    } else {
        let ended = daemon.wait();
        let text = ended.error_text();
        let clear = text.contains("Too many open files") || text.contains("unable to open");
        if ended.code != 1 || !clear {
            wrong.push(format!("the daemon ends with {}: {text}", ended.code));
        }
        daemon = home.retrier(["daemon"]).spawn();
    }
    wrong.extend(faults(
        &ids,
        |args| home.retrier(args),
        |id| journal.starts(id).len(),
    ));
    wrong.extend(journal.violations());
    wrong.extend(log_faults(&said(&daemon)));
    home.retrier(["daemon", "stop"]).output().ok();
    wrong.extend(home.doctor());
    let wrong = wrong.into_iter();
    (
        wrong
            .map(|wrong| format!("{limit} descriptors: {wrong}"))
            .collect(),
        trouble,
    )
}

#[test]
fn a_daemon_with_few_descriptors_charges_nothing_and_goes_on_when_it_has_more() {
    if skip(Need::Flock) {
        return;
    }
    let mut random = seeded("few descriptors");
    let all: Vec<_> = (0..8u32)
        .map(|step| 10 + step * 4 + random.u32(..4))
        .map(|limit| thread::spawn(move || few_descriptors(limit)))
        .collect();
    let all: Vec<_> = all
        .into_iter()
        .map(|one| one.join().expect("no panic"))
        .collect();
    assert!(
        all.iter().any(|(_, trouble)| *trouble),
        "limits that hurt nobody"
    );
    let times = all.len();
    let wrong: Vec<_> = all.into_iter().flat_map(|(wrong, _)| wrong).collect();
    proof::holds("T24", times, &wrong);
}

/// A daemon with few descriptors comes to many living attempts of the one before. What is wrong?
fn many_living_attempts(envs: &[(&str, &str)]) -> Vec<String> {
    let home = Home::new();
    let (journal, gate) = (Journal::new(&home), Gate::new(&home, "gate"));
    home.slots(16);
    let mut first = home.daemon();
    let line = journal.line(&gate.line());
    let run = || home.run(["--max-failures", "1", "--grace", "100ms", "--shell", &line]);
    let ids: Vec<i64> = (0..16).map(|_| run()).collect();
    let all = || ids.iter().all(|id| journal.starts(*id).len() == 1);
    wait_until("all attempts run", LONG, all);
    first.kill9();
    let call = home.sh("ulimit -n 26; exec retrier daemon");
    let call = envs
        .iter()
        .fold(call, |call, (key, value)| call.env(key, value));
    let mut second = call.spawn();
    assert!(serves(&mut second), "{}", second.wait().error_text());
    // Long enough to kill what it takes for lost.
    holds_within(Duration::from_millis(1500), || commands(&home).len() < 16);
    gate.open();
    let mut wrong = faults(
        &ids,
        |args| home.retrier(args),
        |id| journal.starts(id).len(),
    );
    wrong.extend(journal.violations());
    second.kill9();
    wrong
}

#[test]
fn living_attempts_that_cannot_be_looked_up_live_on_and_count() {
    if skip(Need::Flock) {
        return;
    }
    proof::holds("T24", 1, &many_living_attempts(&[]));
}

#[test]
fn the_test_of_living_attempts_catches_a_daemon_that_takes_them_for_dead() {
    if skip(Need::Flock) {
        return;
    }
    let bug = "shortage_is_death";
    let wrong = many_living_attempts(&[("RETRIER_BUG", bug)]);
    proof::catches("T24", bug, &wrong, |_| true);
}

/// A client with few descriptors stores its run and says so, or neither.
#[test]
fn a_client_with_few_descriptors_does_its_work_or_says_why_not() {
    let home = Home::new();
    let _daemon = home.daemon();
    let (mut told, mut refused) = (0, 0);
    for limit in 4..20 {
        for verb in [
            "run -- true",
            "list",
            "status 1",
            "cancel 999",
            "logs 999",
            "wait 999",
            "cleanup 999",
        ] {
            let output = home
                .sh(format!("ulimit -n {limit}; exec retrier {verb}"))
                .output();
            let text = output.error_text();
            assert!(
                output.code != 101 && output.code < 126 && !text.contains("panicked"),
                "{limit} {verb}: {text}"
            );
            if verb.starts_with("run") {
                told += usize::from(output.code == 0);
                refused += usize::from(output.code == 1);
                assert_eq!(
                    output.code == 0,
                    output.text().parse::<i64>().is_ok(),
                    "{limit}: {text}"
                );
                assert!(
                    output.code == 0 || text.contains("error: "),
                    "{limit}: {text}"
                );
            }
        }
    }
    assert!(told > 0 && refused > 0, "{told} told, {refused} refused");
    let stored = home.retrier(["list", "--json"]).output().ok().text();
    assert_eq!(stored.lines().count(), told);
}

/// Each of these failpoints is a shortage; none may cost an attempt. What is wrong?
fn short_of(failpoints: &str, envs: &[(&str, &str)]) -> Vec<String> {
    let home = Home::new();
    let journal = Journal::new(&home);
    let line = journal.line(":");
    let ids: Vec<i64> = (0..3).map(|_| stored(&home, &line)).collect();
    let envs: Vec<_> = envs
        .iter()
        .copied()
        .chain([("RETRIER_CRASH", failpoints)])
        .collect();
    let mut daemon = home.daemon_with(&[], &envs);
    let mut wrong = faults(
        &ids,
        |args| home.retrier(args),
        |id| journal.starts(id).len(),
    );
    wrong.extend(log_faults(&daemon.errors()));
    let log = daemon.errors();
    if !log.contains(TROUBLE) || !log.contains("os error") {
        wrong.push(format!("the log does not say why: {log}"));
    }
    daemon.stop();
    wrong.extend(home.doctor());
    wrong
        .iter()
        .map(|wrong| format!("{failpoints}: {wrong}"))
        .collect()
}

#[test]
fn a_shortage_at_any_point_of_a_start_costs_no_attempt() {
    if skip(Need::Flock) {
        return;
    }
    let all: Vec<_> = [
        "daemon_start_shim:1:err=EAGAIN",
        "daemon_start_shim:2:err=EMFILE,daemon_start_shim:3:err=EAGAIN",
        "shim_spawning:1:err=EAGAIN",
        "shim_spawning:1:err=EMFILE",
        "shim_open_output:1:err=EMFILE",
        "shim_open_output:2:err=ENOSPC",
    ]
    .into_iter()
    .map(|failpoints| thread::spawn(move || short_of(failpoints, &[])))
    .collect();
    let times = all.len();
    let wrong: Vec<_> = all
        .into_iter()
        .flat_map(|one| one.join().expect("no panic"))
        .collect();
    proof::holds("T24", times, &wrong);
}

#[test]
fn the_test_of_shortages_catches_an_attempt_that_is_charged_for_one() {
    if skip(Need::Flock) {
        return;
    }
    let bug = "charges_shortage";
    let wrong = short_of("shim_spawning:1:err=EAGAIN", &[("RETRIER_BUG", bug)]);
    proof::catches("T24", bug, &wrong, |wrong| wrong.contains(": run "));
}

/// The kernel itself refuses processes, to daemon and shims: the nth time that each of them asks.
#[test]
fn a_process_that_the_kernel_refuses_costs_no_attempt() {
    if skip(Need::Strace) {
        return;
    }
    let refuse = |(error, when): (&'static str, &'static str)| {
        let home = Home::new();
        // It starts no process of its own, which would be refused too.
        let line = format!("echo $RETRIER_RUN_ID >>'{}'", home.path("starts").display());
        let ids: Vec<i64> = (0..3).map(|_| stored(&home, &line)).collect();
        let calls = "clone,clone3,vfork";
        let line = format!(
            "exec strace -f -o /dev/null -e trace={calls} -e inject={calls}:error={error}:when={when} \
             retrier daemon --until-idle"
        );
        let daemon = home.sh(line).spawn();
        let ended = daemon.wait_within(LONG);
        let starts = |id| starts_in(&home.path("starts"), id);
        let mut wrong = faults(&ids, |args| home.retrier(args), starts);
        let log = ended.error_text();
        if ended.code != 0 || !log.contains(TROUBLE) {
            wrong.push(format!("{error} {when}: {}: {log}", ended.code));
        }
        wrong
    };
    let cases = [("EAGAIN", "1"), ("EAGAIN", "2"), ("ENOMEM", "1")];
    let all: Vec<_> = cases
        .into_iter()
        .map(|case| thread::spawn(move || refuse(case)))
        .collect();
    let times = all.len();
    let wrong: Vec<_> = all
        .into_iter()
        .flat_map(|one| one.join().expect("no panic"))
        .collect();
    proof::holds("T24", times, &wrong);
}
