//! Batches whose call is killed, fails, or is large: all runs are stored or none, and it says which.

use std::fs;

use nix::sys::signal::Signal;

use super::stored;
use crate::crash::tools::LONG;
use crate::support::{Home, Output, wait_until};

const LINES: &str = "true\ntrue\n{\"command\": [\"true\"], \"key\": \"k\"}\n";

/// A batch of three runs that meets this fate.
fn at(home: &Home, crash: &str) -> Output {
    let args = ["run", "--no-daemon-start", "--batch", "-"];
    home.retrier(args).stdin(LINES).crash(crash).output()
}

#[test]
fn a_batch_killed_at_any_point_is_stored_whole_or_not_at_all() {
    for (point, runs) in [
        ("store_migrating", 0),
        ("submit_before_commit", 0),
        ("submit_committed", 3),
        ("store_sync", 3),
    ] {
        let home = Home::new();
        let killed = at(&home, &format!("{point}:1:kill")).exits(137);
        assert_eq!(
            (killed.text(), stored(&home)),
            (String::new(), runs),
            "{point}"
        );
        home.retrier(["daemon", "--until-idle"]).output().ok();
        let succeeded = home.retrier(["list", "--state", "succeeded"]).output().ok();
        assert_eq!(succeeded.text().lines().count(), runs, "{point}");
    }
}

#[test]
fn a_batch_that_fails_at_any_point_says_whether_it_may_be_stored() {
    for (point, code, runs) in [
        ("submit_before_commit", 1, 0),
        ("submit_committed", 5, 3),
        ("store_sync", 5, 3),
    ] {
        for errno in ["EIO", "ENOSPC"] {
            let home = Home::new();
            let both = format!("{point}:1:err={errno},{point}:2:err={errno}");
            let failed = at(&home, &both).exits(code);
            assert_eq!(
                (failed.text(), stored(&home)),
                (String::new(), runs),
                "{both}"
            );
        }
    }
    // What finds no room is done once more in the room of the log, from its first line on.
    let home = Home::new();
    let again = at(&home, "submit_before_commit:1:err=ENOSPC").ok();
    assert_eq!((again.text().as_str(), stored(&home)), ("1\n2\n3", 3));
}

#[test]
fn ctrl_c_before_the_commit_stores_nothing() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let args = ["run", "--no-daemon-start", "--wait", "--batch", "-"];
    let call = home
        .retrier(args)
        .stdin(LINES)
        .crash("submit_before_commit:1:sleep=600000");
    let call = call.spawn();
    let status = format!("/proc/{}/wchan", call.pid());
    let sleeps = || fs::read_to_string(&status).is_ok_and(|place| place.contains("nanosleep"));
    wait_until("it is about to commit", LONG, sleeps);
    call.signal(Signal::SIGINT);
    assert_eq!(call.wait_within(LONG).exits(130).text(), "");
    assert_eq!(stored(&home), 1);
}

#[test]
fn when_the_ids_cannot_be_told_it_says_that_the_runs_are_stored() {
    let home = Home::new();
    fs::write(home.path("lines"), LINES).unwrap();
    for options in ["", "--wait"] {
        let line = format!("retrier run --no-daemon-start {options} --batch lines >/dev/full");
        let failed = home.sh(line).cwd(home.path("")).output().exits(5);
        let said = failed.error_text();
        let told = said.contains(" are stored, but the ids could not be told: cannot write");
        assert!(told && said.contains("error: runs "), "{said}");
        assert!(said.contains("\nhint: `retrier list` shows them"), "{said}");
    }
    assert_eq!(stored(&home), 5, "the key is taken the second time");
}

/// The most memory that this process has had, in KiB.
fn peak_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.trim().strip_suffix(" kB"));
    peak.and_then(|number| number.trim().parse().ok())
        .expect("the kernel counts it in kB")
}

#[test]
fn a_hundred_thousand_lines_take_at_most_64_mib() {
    let home = Home::new();
    let lines: String = (1..=100_000)
        .map(|n| format!("echo 'line {n}' of a batch\n"))
        .collect();
    fs::write(home.path("lines"), lines).unwrap();
    let args = ["run", "--no-daemon-start", "--wait", "--batch"];
    let call = home.retrier(args).arg(home.path("lines"));
    let mut call = call.limit(LONG * 10).spawn();
    let is_told = || call.stdout_so_far().ends_with(b"\n100000\n");
    wait_until("all are stored", LONG * 10, is_told);
    crate::crash::tools::await_patience(&call);
    let peak = peak_kib(call.pid());
    call.kill9();
    assert!(peak < 64 * 1024, "{peak} KiB");
}

/// Nobody else can store anything while they are read.
#[test]
fn lines_that_name_more_than_64_mib_of_input_are_refused_and_one_file_of_all_counts_once() {
    let home = Home::new();
    let line = |name: &str| {
        let path = home.path(name);
        let file = fs::File::create(&path).expect("a file");
        file.set_len(16 * 1024 * 1024).expect("a sparse one");
        format!("{}\n", serde_json::json!({"shell": "true", "stdin": path}))
    };
    let args = ["run", "--no-daemon-start", "--batch", "-"];
    let call = |lines: String| home.retrier(args).stdin(lines).limit(LONG).output();
    let lines = ["a", "b", "c", "d", "e"].map(line);
    let said = call(lines.concat()).exits(1).error_text();
    let expected = "retrier: error: standard input, line 5: the inputs of the batch are larger than 64 MiB together\n\
                    hint: nothing was stored; split the batch, or have the commands read the files themselves\n";
    assert_eq!((said.as_str(), stored(&home)), (expected, 0));
    call(lines[0].repeat(5)).ok();
    assert_eq!(stored(&home), 5);
}
