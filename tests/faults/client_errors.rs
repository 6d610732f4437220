//! `retrier run` whose system calls fail: what it says is true, and it says why.
//!
//! strace has the n-th call of one name fail with an error; each is swept until a call of `run` does not come so far.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Home, Need, proof, skip};

use super::life::beside_each_other;

/// The calls that a disk can let fail, and with what.
const CALLS: [(&str, &[&str]); 8] = [
    ("openat", &["EIO", "EACCES", "ENOSPC", "EMFILE"]),
    ("pwrite64", &["EIO", "ENOSPC", "EINTR"]),
    ("pread64", &["EIO", "EINTR"]),
    ("fsync", &["EIO"]),
    ("fdatasync", &["EIO"]),
    ("ftruncate", &["EIO", "ENOSPC"]),
    ("mmap", &["ENOMEM"]),
    ("fcntl", &["EIO", "EINTR", "EACCES"]),
];

/// More than the minute for which a writer waits for others.
const PATIENCE: Duration = Duration::from_secs(150);

/// More times than any of them is made.
const MANY: usize = 400;

/// The exit codes of `run` that say what they say: stored, surely not, used wrongly, or perhaps.
const STORED: i32 = 0;
const PERHAPS: i32 = 5;

/// Lets the nth call fail, on a database that is there or not. Gives what is wrong, and whether it came so far.
fn fail(call: &str, error: &str, nth: usize, there: bool, bug: &str) -> (Vec<String>, bool) {
    let home = Home::new();
    if there {
        home.run(["--no-daemon-start", "--", "true"]);
    }
    let trace = home.path("trace");
    let line = format!(
        "exec strace -qq -o '{}' -e trace={call} -e inject={call}:error={error}:when={nth} \
         retrier run --no-daemon-start -- true",
        trace.display()
    );
    // cargo names folders in which the loader would look for each library.
    let call = home.sh(line).env("LD_LIBRARY_PATH", "");
    // A lock that could not be given back is waited for, for a minute.
    let output = call.env("RETRIER_BUG", bug).limit(PATIENCE).output();
    let traced = std::fs::read_to_string(&trace).unwrap_or_default();
    let injected = traced.lines().find(|line| line.ends_with("(INJECTED)"));
    let Some(injected) = injected else {
        return (Vec::new(), false);
    };
    let said = output.error_text();
    let id: Option<i64> = output.text().parse().ok();
    let mut found = Vec::new();
    // The loader has no way to say it in our words.
    let by_loader = output.code == 127 && said.contains("error while loading")
        // Its first call is made before it can say anything at all.
        || (output.code == 139 && nth == 1 && injected.starts_with("mmap"))
        // And what the standard library does before `main` ends the program in its own words.
        || (output.code == 134 && said.contains("failed to allocate an alternative stack"));
    let has_ended_well = [STORED, 1, PERHAPS].contains(&output.code) && !said.contains("panicked");
    if !(has_ended_well || by_loader) {
        found.push(format!("exit {}: {said}", output.code));
    }
    if (output.code == STORED) != id.is_some() {
        found.push(format!("exit {}, and the id is {id:?}", output.code));
    }
    if output.code != STORED && !by_loader && !said.contains("error: ") {
        found.push(format!("exit {} without a word", output.code));
    }
    if output.code == STORED && injected.contains("fdatasync") {
        found.push(format!("it was not synced, and told: {injected}"));
    }
    let list = home.retrier(["list", "--json"]).output();
    let count = list.text().lines().count() - usize::from(there).min(list.text().lines().count());
    let right = match output.code {
        STORED => count == 1,
        PERHAPS => count <= 1,
        _ => count == 0,
    };
    if list.code != 0 || !right {
        let code = output.code;
        found.push(format!(
            "exit {code}, and {count} are stored: {}",
            list.error_text()
        ));
    }
    // Nobody serves here.
    let doctor = home.doctor().into_iter();
    found.extend(doctor.filter(|one| !one.contains("no daemon serves")));
    let found = found
        .into_iter()
        .map(|one| format!("{nth}: {one} ({injected})"));
    (found.collect(), true)
}

/// Sweeps one call and one error. Gives what is wrong; counts how often it failed.
fn sweep(case: &(&str, &str, bool), bug: &str, times: &AtomicUsize) -> Vec<String> {
    let (call, error, there) = case;
    // The short form takes some.
    let step = proof::repetitions(19, if *call == "fcntl" { 8 } else { 2 });
    let mut found = Vec::new();
    for nth in (1..MANY).step_by(step) {
        let (wrong, reached) = fail(call, error, nth, *there, bug);
        found.extend(wrong);
        if !reached {
            break;
        }
        times.fetch_add(1, Ordering::Relaxed);
    }
    found
}

#[test]
fn a_run_whose_system_calls_fail_says_what_is_true() {
    if skip(Need::Strace) {
        return;
    }
    let of_call = |(call, errors): (&'static str, &'static [&'static str])| {
        let databases = |error: &&'static str| [true, false].map(|there| (call, *error, there));
        let errors = &errors[..proof::repetitions(1, errors.len())];
        errors.iter().flat_map(databases).collect::<Vec<_>>()
    };
    let cases: Vec<_> = CALLS.into_iter().flat_map(of_call).collect();
    let times = AtomicUsize::new(0);
    let found = beside_each_other(cases, |case| sweep(case, "", &times));
    proof::holds("T2", times.into_inner(), &found);
}

#[test]
fn failing_system_calls_catch_a_sync_whose_failure_is_hidden() {
    if skip(Need::Strace) {
        return;
    }
    let bug = "hides_failed_syncs";
    let found: Vec<String> = (1..4)
        .flat_map(|nth| fail("fdatasync", "EIO", nth, true, bug).0)
        .collect();
    proof::catches("T2", bug, &found, |one| one.contains("it was not synced"));
}
