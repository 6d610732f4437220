//! `logs`: what a command wrote, byte for byte, now or while it is written.

use std::fs;

use nix::sys::signal::Signal;

use super::LONG;
use crate::support::{Home, wait_until};

#[test]
fn logs_are_the_bytes_of_the_last_or_the_named_attempt() {
    let home = Home::new();
    let _daemon = home.daemon();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    fs::write(home.path("bytes"), &bytes).unwrap();
    let input = home.path("bytes").display().to_string();
    let line =
        "cat; echo err $RETRIER_ATTEMPT >&2; echo out $RETRIER_ATTEMPT; test $RETRIER_ATTEMPT = 2";
    let id = home.run(["--constant", "0", "--stdin", &input, "--shell", line]);
    assert_eq!(home.wait(id), 0);
    let logs = |args: &[&str]| {
        home.retrier(["logs", &id.to_string()].iter().chain(args))
            .output()
    };
    let out = |n: u32| [&bytes[..], format!("out {n}\n").as_bytes()].concat();
    let both = logs(&[]).ok();
    assert!(both.stdout == out(2));
    assert_eq!(both.error_text(), "err 2\n");
    let first = logs(&["--attempt", "1"]).ok();
    assert!(first.stdout == out(1));
    assert_eq!(first.error_text(), "err 1\n");
    let alone = logs(&["--stdout"]).ok();
    assert!(alone.stdout == out(2) && alone.stderr.is_empty());
    let alone = logs(&["--stderr", "--attempt", "1"]).ok();
    assert_eq!(
        (&alone.stdout[..], &alone.stderr[..]),
        (&b"err 1\n"[..], &b""[..])
    );
    let missing = logs(&["--attempt", "3"]).exits(1).error_text();
    assert!(missing.contains("2 attempts, not 3"), "{missing}");
    logs(&["--attempt", "0"]).exits(2);
    home.retrier(["logs", "17"]).output().exits(3);
}

#[test]
fn the_last_lines_of_each_stream_can_be_asked_for() {
    let home = Home::new();
    let _daemon = home.daemon();
    // A line that is longer than what is read at a time, and a last one without its end.
    let line = "seq 1 50000; head -c 200000 /dev/zero | tr '\\0' x; echo; printf 'a\\n\\nend'; \
                echo e1 >&2; echo e2 >&2";
    let id = home.run(["--shell", line]).to_string();
    assert_eq!(home.wait(id.parse().unwrap()), 0);
    let whole = home.retrier(["logs", "--stdout", &id]).output().ok().stdout;
    let last = |lines: usize| {
        let mut ends = (0..whole.len()).rev().filter(|at| whole[*at] == b'\n');
        ends.nth(lines - 1).map_or(0, |at| at + 1)
    };
    for lines in [1, 2, 3, 4, 5, 6, 1000, 50_003, 50_004, 60_000] {
        let tail = home
            .retrier(["logs", "-n", &lines.to_string(), &id])
            .output()
            .ok();
        assert!(tail.stdout == whole[last(lines)..], "{lines}");
        let errors = if lines == 1 { "e2\n" } else { "e1\ne2\n" };
        assert_eq!(tail.error_text(), errors, "{lines}");
    }
    let none = home.retrier(["logs", "--tail", "0", &id]).output().ok();
    assert_eq!(
        (none.text(), none.error_text()),
        (String::new(), String::new())
    );
    // What follows is not counted.
    let line = "seq 1 9; touch begun; while [ ! -e go ]; do sleep 0.01; done; echo more; exit 1";
    let run = home.sh(format!(
        "retrier run --max-failures 1 --constant 0 --shell '{line}'"
    ));
    let id = run
        .cwd(home.path("home"))
        .output()
        .ok()
        .text()
        .trim()
        .to_owned();
    wait_until("it has begun", LONG, || {
        home.path("home").join("begun").exists()
    });
    let follower = home.retrier(["logs", "-f", "--tail", "2", &id]).spawn();
    wait_until("it follows", LONG, || follower.stdout_so_far() == b"8\n9\n");
    fs::write(home.path("home").join("go"), "").unwrap();
    let all = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
    assert_eq!(
        follower.wait().ok().text(),
        format!("8\n9\nmore\n{all}more")
    );
}

#[test]
fn logs_of_a_run_that_has_not_started_or_wrote_nothing_are_empty() {
    let home = Home::new();
    let _daemon = home.daemon();
    let delayed = home.run(["--delay", "1h", "--", "echo", "later"]);
    let silent = home.run(["--", "true"]);
    assert_eq!(home.wait(silent), 0);
    for id in [delayed, silent] {
        let logs = home.retrier(["logs", &id.to_string()]).output().ok();
        assert_eq!((logs.stdout.len(), logs.stderr.len()), (0, 0));
    }
}

#[test]
fn following_goes_on_over_retries_and_ends_with_the_run() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = home.path("gate").display().to_string();
    let line = format!(
        "echo out $RETRIER_ATTEMPT; echo err $RETRIER_ATTEMPT >&2
        while ! test -e {gate}.$RETRIER_ATTEMPT; do sleep 0.02; done
        echo end $RETRIER_ATTEMPT; exit $((RETRIER_ATTEMPT < 3))"
    );
    let id = home
        .run(["--constant", "100ms", "--shell", &line])
        .to_string();
    let mut follower = home.retrier(["logs", "-f", &id]).spawn();
    let errors = home.retrier(["logs", "-f", "--stderr", &id]).spawn();
    let mut expected = String::new();
    for attempt in 1..=3 {
        expected += &format!("out {attempt}\n");
        wait_until("the output is passed on while it runs", LONG, || {
            follower.stdout_so_far() == expected.as_bytes()
        });
        assert!(follower.is_running());
        expected += &format!("end {attempt}\n");
        fs::write(format!("{gate}.{attempt}"), "").unwrap();
    }
    let followed = follower.wait_within(LONG).ok();
    assert_eq!(String::from_utf8(followed.stdout).unwrap(), expected);
    assert_eq!(
        String::from_utf8(followed.stderr).unwrap(),
        "err 1\nerr 2\nerr 3\n"
    );
    assert_eq!(errors.wait_within(LONG).ok().text(), "err 1\nerr 2\nerr 3");
    let ended = home.retrier(["logs", "-f", &id]).limit(LONG).output().ok();
    assert_eq!(ended.text(), "out 3\nend 3");
}

#[test]
fn following_a_delayed_run_waits_for_its_first_attempt() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home
        .run(["--delay", "400ms", "--", "echo", "late"])
        .to_string();
    let followed = home.retrier(["logs", "-f", &id]).limit(LONG).output().ok();
    assert_eq!(followed.text(), "late");
}

#[test]
fn a_follower_that_is_interrupted_leaves_the_run_alone() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run(["--shell", "echo on; exec sleep 600"]);
    let follower = home.retrier(["logs", "-f", &id.to_string()]).spawn();
    wait_until("it follows", LONG, || follower.stdout_so_far() == b"on\n");
    follower.signal(Signal::SIGINT);
    follower.wait_within(LONG).exits(130);
    assert_eq!(home.state(id), "running");
}

/// The attempt runs on under its shim, and so does what somebody follows.
#[test]
fn following_goes_on_while_no_daemon_runs() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let line = "echo first; while [ ! -e go ]; do sleep 0.02; done; echo second; sleep 600";
    let id = home.run(["--cwd", &home.path("").to_string_lossy(), "--shell", line]);
    let mut following = home.retrier(["logs", "-f", &id.to_string()]).spawn();
    wait_until("the first line is shown", LONG, || {
        following.stdout_so_far() == b"first\n"
    });
    daemon.kill9();
    fs::write(home.path("go"), "").expect("a file of the test");
    wait_until("the second line is shown", LONG, || {
        following.stdout_so_far() == b"first\nsecond\n"
    });
    following.kill9();
}
