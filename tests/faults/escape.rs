//! Processes that are hard to see: nothing of an attempt outlives it unseen, and nobody else is taken for it.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::crash::tools::{LONG, closed, outcomes, shim, signal};
use crate::support::{Home, Need, skip, wait_until};

/// A process whose first thread ends, and whose other one writes its attempt into the file `beat`; it has none of the
/// descriptors above 2 that it was given.
const HEADLESS: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void *beat(void *path) {
    for (int i = 0; i < 6000; i++) {
        FILE *file = fopen(path, "a");
        fprintf(file, "%s\n", getenv("RETRIER_ATTEMPT"));
        fclose(file);
        usleep(100000);
    }
    return 0;
}
int main(int count, char **arguments) {
    pthread_t thread;
    for (int fd = 3; fd < 100; fd++) close(fd);
    if (count != 2 || pthread_create(&thread, 0, beat, arguments[1])) return 1;
    pthread_exit(0);
}
"#;

/// Builds it; the linker that Rust needs can do that.
fn headless(home: &Home) -> String {
    let (source, program) = (home.path("headless.c"), home.path("headless"));
    fs::write(&source, HEADLESS).expect("there is room");
    let mut cc = Command::new("cc");
    let made = cc
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .arg("-lpthread")
        .status();
    assert!(made.expect("there is a C compiler").success());
    format!("{} {}", program.display(), home.path("beat").display())
}

/// The attempts that have written into `beat`, in order.
fn beats(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.path("beat")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Asserts that the first attempt was silent from the first word of the second on.
#[track_caller]
fn assert_one_after_the_other(home: &Home) {
    let all = beats(home);
    let second = all.iter().position(|attempt| attempt == "2");
    let second = second.unwrap_or_else(|| panic!("no second attempt: {all:?}"));
    assert!(
        all[second..].iter().all(|attempt| attempt == "2"),
        "{all:?}"
    );
}

/// Kills the shim of the first attempt of a run with this line, and lets the second one run for a while.
fn lose_its_shim(home: &Home, line: &str) {
    let _daemon = home.daemon();
    let policy = ["--max-failures", "1", "--constant", "0", "--grace", "300ms"];
    let id = home.run(policy.into_iter().chain(["--shell", line]));
    wait_until("it runs", LONG, || !beats(home).is_empty());
    signal(shim(home), Signal::SIGKILL);
    wait_until("the next one has run for a while", LONG, || {
        beats(home).iter().filter(|attempt| *attempt == "2").count() >= 5
    });
    assert_one_after_the_other(home);
    home.retrier(["cancel", &id.to_string()]).output().ok();
    assert_eq!(outcomes(&closed(home, id)), ["lost", "canceled"]);
}

#[test]
fn a_process_whose_first_thread_has_ended_is_not_overlooked() {
    let home = Home::new();
    let line = format!("exec {}", headless(&home));
    lose_its_shim(&home, &line);
}

#[test]
fn a_process_that_has_only_its_output_left_is_not_overlooked() {
    if skip(Need::Bash) {
        return;
    }
    let home = Home::new();
    let beat = home.path("beat").display().to_string();
    let body = format!(
        "for fd in /proc/$$/fd/*; do fd=${{fd##*/}}; [ $fd -gt 2 ] && eval \"exec $fd>&-\"; done
        for i in {{1..600}}; do echo $1 >>'{beat}'; sleep 0.1; done"
    );
    let script = home.path("body");
    fs::write(&script, body).expect("there is room");
    let script = script.display();
    let line = format!("setsid env -i PATH=$PATH bash '{script}' $RETRIER_ATTEMPT & sleep 600");
    lose_its_shim(&home, &line);
}

#[test]
fn a_timeout_ends_a_process_whose_first_thread_has_ended() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = format!("setsid {} & sleep 600", headless(&home));
    let limits = ["--max-failures", "0", "--timeout", "1s", "--grace", "200ms"];
    let id = home.run(limits.into_iter().chain(["--shell", &line]));
    assert_eq!(home.wait(id), 124);
    let count = beats(&home).len();
    assert!(count > 0, "it has not run");
    let left = home.processes();
    let headless = left.iter().find(|one| one.cmdline.contains("headless"));
    assert_eq!(headless, None);
}

/// A command that stops its shim does not live for ever.
#[test]
fn a_stopped_shim_ends_its_attempt_when_the_run_is_canceled() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run(["--shell", "kill -STOP $PPID; sleep 600"]);
    let stopped = || {
        let shims = home.processes().into_iter().filter(|one| one.is_shim());
        let mut stats = shims.map(|one| fs::read_to_string(format!("/proc/{}/stat", one.pid)));
        stats.any(|stat| stat.is_ok_and(|stat| stat.contains(") T ")))
    };
    wait_until("it has stopped its shim", LONG, stopped);
    home.retrier(["cancel", &id.to_string()]).output().ok();
    assert_eq!(outcomes(&closed(&home, id)), ["canceled"]);
}
