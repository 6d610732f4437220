//! Two at once, and calls that are killed half-way: a pool is there or it is not, and no run is in one that is gone.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::crash::tools::LONG;
use crate::support::{Call, Home, Output, Running, wait_until};

use super::{assert_refused, listed, pool, shown};

/// How many runs of pool `a` are stored.
fn runs(home: &Home) -> usize {
    let list = home
        .retrier(["list", "--json", "--limit", "0"])
        .output()
        .ok();
    let is_in = |line: &&str| line.contains(r#""pool":"a""#);
    list.text().lines().filter(is_in).count()
}

fn submit(home: &Home) -> Call {
    let run = ["run", "--no-daemon-start", "--delay", "1h", "--pool", "a"];
    home.retrier(run.into_iter().chain(["--", "true"]))
}

fn is_there(home: &Home) -> bool {
    listed(home).iter().any(|pool| pool["name"] == "a")
}

#[test]
fn a_pool_that_is_deleted_while_runs_are_stored_in_it_leaves_none_behind() {
    for round in 0..6 {
        let home = Home::new();
        pool(&home, "set a").ok();
        // Whoever comes first keeps the others waiting, so that all of them have looked before.
        let fate = match round % 3 {
            0 => "pool_before_commit:1:sleep=150",
            1 => "submit_before_commit:1:sleep=20",
            _ => "none:1:kill",
        };
        let before = if round < 3 { 10 } else { 0 };
        let submit_many = |count| (0..count).map(|_| submit(&home).crash(fate).spawn());
        let mut calls: Vec<_> = submit_many(before).collect();
        let delete = home.retrier(["pool", "delete", "a"]).crash(fate).spawn();
        calls.extend(submit_many(20 - before));
        let deleted = delete.wait();
        let outputs: Vec<Output> = calls.into_iter().map(|call| call.wait()).collect();
        let stored = outputs.iter().filter(|output| output.code == 0).count();
        assert_eq!(runs(&home), stored);
        assert_eq!(is_there(&home), deleted.code == 4, "{deleted:?}");
        if deleted.code == 4 {
            assert!(stored > 0);
            assert_eq!(shown(&home, "a")["scheduled"], stored);
        } else {
            assert_eq!((deleted.code, stored), (0, 0), "{deleted:?}");
        }
        for refused in outputs.into_iter().filter(|output| output.code != 0) {
            assert_refused(refused, 2, "there is no pool a; there is default");
        }
    }
}

/// A call of `run ARGS` that reads its input from this pipe, and has read the settings of its pool before.
#[track_caller]
fn reading_input(home: &Home, args: &[&str]) -> (Running, File) {
    let path = home.path("input");
    mkfifo(&path, Mode::S_IRWXU).expect("a pipe can be made");
    let options = ["run", "--no-daemon-start", "--stdin", "input"];
    let call = home.retrier(options.iter().chain(args));
    let call = call.cwd(home.path(".")).spawn();
    let mut input = None;
    wait_until("it reads its input", LONG, || {
        // Without a reader that fails.
        let mut options = OpenOptions::new();
        let opened = options
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        input = opened.ok();
        input.is_some()
    });
    (call, input.expect("it is open"))
}

/// The defaults are read before the transaction that stores the run.
#[test]
fn a_pool_that_is_deleted_after_its_defaults_were_read_is_refused() {
    let home = Home::new();
    pool(&home, "set a").ok();
    let (call, input) = reading_input(&home, &["--pool", "a", "--", "cat"]);
    pool(&home, "delete a").ok();
    drop(input);
    assert_refused(call.wait(), 2, "there is no pool a; there is default");
    assert_eq!(runs(&home), 0);
}

/// A run that is told to be stored must not be in a file that nobody finds any more.
#[test]
fn a_database_that_is_removed_while_a_run_reads_its_input_is_made_anew() {
    for args in [["--", "cat"], ["--batch", "lines"]] {
        let home = Home::new();
        home.run(["--no-daemon-start", "--", "true"]);
        fs::write(home.path("lines"), "cat\n").expect("the temp folder can be written");
        let (call, input) = reading_input(&home, &args);
        for end in ["", "-wal", "-shm"] {
            let file = format!("{}{end}", home.db().display());
            fs::remove_file(file).expect("it is there");
        }
        drop(input);
        assert_eq!(call.wait().ok().text(), "1", "{args:?}");
        assert_eq!(home.state(1), "queued", "{args:?}");
    }
}

#[test]
fn a_change_that_is_killed_before_its_commit_never_was_and_after_it_is_there() {
    let home = Home::new();
    let killed = |words: &str, point: &str| {
        let call = home.retrier(["pool"].into_iter().chain(words.split(' ')));
        call.crash(&format!("{point}:1:kill")).output().exits(137);
    };
    killed("set a --parallel 3", "pool_before_commit");
    assert!(!is_there(&home));
    killed("set a --parallel 3", "pool_committed");
    assert_eq!(shown(&home, "a")["parallel"], 3);
    for (words, change, after) in [
        ("set a --parallel 4 --rate 1/s", "parallel", 4.into()),
        ("pause a", "paused", true.into()),
        ("resume --all", "paused", Value::from(false)),
    ] {
        let before = shown(&home, "a");
        killed(words, "pool_before_commit");
        assert_eq!(shown(&home, "a"), before, "{words}");
        let call = home.retrier(["pool"].into_iter().chain(words.split(' ')));
        call.crash("pool_before_commit:1:err=EIO").output().exits(1);
        assert_eq!(shown(&home, "a"), before, "{words}");
        killed(words, "pool_committed");
        assert_eq!(shown(&home, "a")[change], after, "{words}");
    }
    killed("delete a", "pool_before_commit");
    assert!(is_there(&home));
    killed("delete a", "pool_committed");
    assert!(!is_there(&home));
}

/// Nobody but the daemon can do what its killer has left: it hears that the connection to the doorbell is gone.
#[test]
fn a_resume_that_is_killed_after_its_commit_starts_what_waits() {
    for point in ["pool_committed", "store_sync"] {
        let home = Home::new();
        let daemon = home.daemon();
        pool(&home, "set a").ok();
        pool(&home, "pause a").ok();
        let id = home.run(["--pool", "a", "--", "true"]);
        daemon.await_rest();
        let resume = home.retrier(["pool", "resume", "a"]);
        resume.crash(&format!("{point}:1:kill")).output().exits(137);
        assert_eq!(home.wait(id), 0);
    }
}
