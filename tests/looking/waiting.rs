//! `wait`: for one run or several, with a limit, or passing their output on.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{LONG, lines};
use crate::support::{Home, Limit, wait_until};

#[test]
fn several_runs_get_a_line_each_as_they_end() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = home.path("gate").display().to_string();
    let line = format!("echo kept to itself; while ! test -e '{gate}'; do sleep 0.02; done");
    let last = home.run(["--shell", &line]);
    let good = home.run(["--", "true"]);
    let bad = home.run(["--max-failures", "0", "--", "false"]);
    let gone = home.run(["--delay", "1h", "--", "true"]);
    let ids = [last, good, bad, gone].map(|id| id.to_string());
    let waiter = home.retrier(["wait"].into_iter().chain(ids.iter().map(String::as_str)));
    let waiter = waiter.spawn();
    let line_of = |id: i64, state: &str| format!("{id} {state}\n");
    let printed = |part: &str| String::from_utf8_lossy(&waiter.stdout_so_far()).contains(part);
    wait_until("both ends are told", LONG, || {
        printed(&line_of(good, "succeeded")) && printed(&line_of(bad, "failed"))
    });
    home.retrier(["cancel", &gone.to_string()]).output().ok();
    wait_until("the cancel is told", LONG, || {
        printed(&line_of(gone, "canceled"))
    });
    fs::write(&gate, "").unwrap();
    let waited = waiter.wait_within(LONG).exits(1);
    assert_eq!(lines(&waited.text()).len(), 4);
    assert!(waited.text().ends_with(line_of(last, "succeeded").trim()));
    let call = home
        .retrier(["wait", &ids[0], &ids[1], &ids[0]])
        .output()
        .ok();
    assert_eq!(lines(&call.text()).len(), 2);
    let call = home.retrier(["wait", &ids[0], "17"]).output().exits(1);
    assert!(
        call.error_text().contains("no run 17"),
        "{}",
        call.error_text()
    );
}

#[test]
fn a_wait_that_gives_up_leaves_the_runs_alone() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = home.path("gate").display().to_string();
    let line = format!("while ! test -e '{gate}'; do sleep 0.02; done; echo done");
    let id = home.run(["--shell", &line]);
    let other = home.run(["--delay", "1h", "--", "true"]);
    for ids in [&[id][..], &[id, other]] {
        let limit = Limit::after(LONG);
        let ids = ids.iter().map(i64::to_string);
        let args = ["wait", "--timeout", "300ms"].map(str::to_owned);
        let waited = home
            .retrier(args.into_iter().chain(ids))
            .output()
            .exits(124);
        assert!(LONG - limit.left() >= Duration::from_millis(300));
        assert_eq!(waited.stdout, b"");
    }
    assert_eq!(home.state(other), "scheduled");
    fs::write(&gate, "").unwrap();
    let args = ["wait", "--timeout", "1h", &id.to_string()];
    assert_eq!(home.retrier(args).output().ok().text(), "done");
    home.retrier(["wait", "--timeout", "0", &id.to_string()])
        .output()
        .ok();
}

#[test]
fn waiting_for_an_unknown_run_is_retriers_own_failure() {
    let home = Home::new();
    for _ in 0..2 {
        let waited = home.retrier(["wait", "17"]).output().exits(125);
        let told = waited.error_text();
        assert!(
            told.contains("no run 17") && told.contains("retrier.db"),
            "{told}"
        );
        home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    }
}

#[test]
fn waiting_prints_the_last_attempt_alone_and_of_a_canceled_run_nothing() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line =
        "echo out $RETRIER_ATTEMPT; echo err $RETRIER_ATTEMPT >&2; exit $((10 + RETRIER_ATTEMPT))";
    let args = ["--constant", "0", "--max-attempts", "2", "--shell", line];
    let id = home.run(args);
    let waited = home.retrier(["wait", &id.to_string()]).output().exits(12);
    assert_eq!(waited.stdout, b"out 2\n");
    let told = waited.error_text();
    assert!(
        told.contains("err 2\n") && told.ends_with("failed after 2 attempts: exit 12\n"),
        "{told}"
    );
    let quiet = home
        .retrier(["wait", "-q", &id.to_string()])
        .output()
        .exits(12);
    assert_eq!(quiet.stderr, b"err 2\n");
    let json = home
        .retrier(["wait", "--json", &id.to_string()])
        .output()
        .exits(12);
    assert_eq!(json.json(), home.status(id));

    let id = home.run(["--shell", "echo secret; exec sleep 600"]);
    let waiter = home.retrier(["wait", &id.to_string()]).spawn();
    wait_until("it has written", LONG, || {
        home.retrier(["logs", &id.to_string()]).output().text() == "secret"
    });
    home.retrier(["cancel", &id.to_string()]).output().ok();
    let waited = waiter.wait_within(LONG).exits(130);
    assert_eq!(waited.stdout, b"");
}

/// In a log the line that a terminal would show is a line for each attempt.
#[test]
fn a_pipe_gets_a_line_for_each_attempt_after_which_the_run_goes_on() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = home.path("gate").display().to_string();
    let line = format!(
        "while test $RETRIER_ATTEMPT = 2 && ! test -e '{gate}'; do sleep 0.02; done
        exit $((RETRIER_ATTEMPT < 3 ? 20 + RETRIER_ATTEMPT : 0))"
    );
    let args = ["run", "--wait", "--constant", "300ms", "--jitter", "0"];
    let run = || home.retrier(args);
    let waiter = run().arg("--shell").arg(&line).spawn();
    wait_until("it is told while the run goes on", LONG, || {
        waiter.stderr_so_far().ends_with(b" in 300ms\n")
    });
    fs::write(&gate, "").unwrap();
    let told = waiter.wait_within(LONG).ok().error_text();
    let told = lines(&told);
    assert_eq!(told.len(), 2, "{told:?}");
    for (line, number) in told.iter().zip([1, 2]) {
        let code = 20 + number;
        let said = format!("retrier: run 1: attempt {number} of 5 exited {code}, next at ");
        let rest = line.strip_prefix(&said);
        // A time, and the wait.
        assert!(
            rest.is_some_and(|rest| rest.ends_with(" in 300ms")),
            "{told:?}"
        );
    }
    let quiet = run().args(["-q", "--shell", &line]).output().ok();
    assert_eq!(quiet.error_text(), "");
    // Those that had ended before are not told of.
    let late = home.retrier(["wait", "1"]).output().ok();
    assert_eq!(late.error_text(), "");
}

/// A thousand of them must not cost anything.
#[test]
fn somebody_who_waits_in_a_pipe_sleeps_until_he_is_told() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run(["--", "sleep", "600"]);
    super::await_running(&home, id);
    for ids in [&[id][..], &[id, id]] {
        let ids = ids.iter().map(i64::to_string);
        let waiter = home
            .retrier(["wait".to_owned()].into_iter().chain(ids))
            .spawn();
        await_waiting(waiter.pid());
        let status = format!("/proc/{}/status", waiter.pid());
        let sleeps = || {
            let text = fs::read_to_string(&status).expect("it is alive");
            let line = text.lines().find(|line| line.starts_with("voluntary_"));
            line.expect("proc(5) names it").to_owned()
        };
        let (mut before, mut times) = (String::new(), 0);
        wait_until("it sleeps for half a second", LONG, || {
            let last = std::mem::replace(&mut before, sleeps());
            times = if last == before { times + 1 } else { 0 };
            times == 50
        });
    }
}

#[test]
fn streaming_passes_all_attempts_on_while_they_run() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = home.path("gate").display().to_string();
    let line = format!(
        "echo out $RETRIER_ATTEMPT; echo err $RETRIER_ATTEMPT >&2
        while ! test -e {gate}.$RETRIER_ATTEMPT; do sleep 0.02; done
        exit $((RETRIER_ATTEMPT < 2 ? 5 : 6))"
    );
    let args = [
        "--wait",
        "--stream",
        "--max-failures",
        "1",
        "--constant",
        "0",
        "--shell",
        &line,
    ];
    let own = home.retrier(["run"].iter().chain(&args)).spawn();
    wait_until("the first attempt's output is there", LONG, || {
        own.stdout_so_far() == b"out 1\n"
    });
    let other = home.retrier(["wait", "--stream", "1"]).spawn();
    fs::write(format!("{gate}.1"), "").unwrap();
    wait_until("the second attempt's output is there", LONG, || {
        own.stdout_so_far() == b"out 1\nout 2\n"
    });
    fs::write(format!("{gate}.2"), "").unwrap();
    for waiter in [own, other] {
        let waited = waiter.wait_within(LONG).exits(6);
        assert_eq!(waited.text(), "out 1\nout 2");
        let told = waited.error_text();
        let first = "retrier: run 1: attempt 1 of 2 exited 5, next at once";
        assert!(
            told.starts_with(&format!("err 1\n{first}\nerr 2\n")),
            "{told}"
        );
    }
    // One that comes too late gets it all the same.
    let late = home.retrier(["wait", "--stream", "1"]).output().exits(6);
    assert_eq!(late.text(), "out 1\nout 2");
}

#[test]
fn waiting_starts_a_daemon_when_there_is_none() {
    let home = Home::new();
    let id = home.run(["--no-daemon-start", "--", "echo", "ran"]);
    let waited = home.retrier(["wait", &id.to_string()]).limit(LONG).output();
    assert_eq!(waited.ok().text(), "ran");
}

/// A wait that swallowed the signal could only be ended with SIGKILL, and Ctrl-C would cancel nothing.
#[test]
fn a_signal_ends_the_waiting_and_leaves_the_run_alone() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run(["--", "sleep", "600"]);
    super::await_running(&home, id);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let ids = [id.to_string(), id.to_string()];
        for verb in [&["wait", &ids[0]][..], &["wait", &ids[0], "17"]] {
            let waiter = home.retrier(verb).spawn();
            await_waiting(waiter.pid());
            waiter.signal(signal);
            let waited = waiter.wait_within(LONG).exits(128 + signal as i32);
            assert_eq!(waited.stdout, b"");
        }
    }
    assert_eq!(home.state(id), "running");
}

/// Ctrl-C right after the call: it must not need a second one.
#[test]
fn a_signal_that_comes_when_it_has_hardly_begun_to_be_caught_ends_the_waiting() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run(["--", "sleep", "600"]);
    let waiter = home.retrier(["wait", &id.to_string()]);
    let waiter = waiter.crash("signal_half_caught:1:sleep=500").spawn();
    crate::crash::tools::await_patience(&waiter);
    waiter.signal(Signal::SIGINT);
    waiter.wait_within(LONG).exits(130);
    assert_eq!(home.state(id), "running");
}

/// No pass settles a run that only waited, so its cancel alone can tell who waits for it.
#[test]
fn a_wait_ends_with_a_cancel_that_could_not_ring() {
    let home = Home::new();
    let _daemon = home.daemon();
    for cancel in [&["cancel", "1"][..], &["cancel", "--all"]] {
        let id = home.run(["--delay", "1h", "--", "true"]);
        let waiter = home.retrier(["wait", &id.to_string()]).spawn();
        await_waiting(waiter.pid());
        fs::remove_file(home.path("retrier.db.d/doorbell")).expect("it hangs there");
        let id = id.to_string();
        let cancel = cancel
            .iter()
            .map(|word| if *word == "1" { &id } else { *word });
        home.retrier(cancel).output().ok();
        waiter.wait_within(LONG).exits(130);
    }
}

#[test]
fn ctrl_c_in_a_waiting_run_cancels_what_it_has_stored_and_sigterm_does_not() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (signal, code, state) in [
        (Signal::SIGINT, 130, "canceled"),
        (Signal::SIGTERM, 143, "running"),
        (Signal::SIGHUP, 129, "running"),
    ] {
        let waiter = home
            .retrier(["run", "--wait", "--", "sleep", "600"])
            .spawn();
        await_waiting(waiter.pid());
        let newest = || {
            let list = home.retrier(["list", "--json", "--limit", "1"]);
            list.output().ok().json()["state"].clone()
        };
        wait_until("it runs", LONG, || newest() == "running");
        waiter.signal(signal);
        waiter.wait_within(LONG).exits(code);
        assert_eq!(newest(), state, "after {signal}");
    }
}

/// A shell goes on with its script after a program that has exited by itself, whatever its code was.
#[test]
fn who_waits_is_ended_by_the_sigint_of_ctrl_c_itself() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = home.run(["--", "sleep", "600"]).to_string();
    for call in [
        &["run", "-w", "--", "sleep", "600"][..],
        &["wait", &id],
        &["logs", "-f", &id],
    ] {
        let mut waiter = home
            .command()
            .args(call)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(waiter.id()).unwrap();
        await_waiting(pid);
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
        let ended = waiter.wait().unwrap();
        assert_eq!(ended.signal(), Some(Signal::SIGINT as i32), "{call:?}");
    }
}

#[test]
fn who_waits_where_no_daemon_is_started_is_told() {
    let home = Home::new();
    let note = "retrier: no daemon runs, `retrier daemon --detach` starts one\n";
    let run = ["run", "-w", "--no-daemon-start", "--", "true"];
    let waiter = home.retrier(run).spawn();
    wait_until("it is told", LONG, || {
        waiter.stderr_so_far() == note.as_bytes()
    });
    let wait = home.retrier(["wait", "--timeout", "10ms", "1"]);
    let wait = wait.env("RETRIER_NO_DAEMON_START", "1").output().exits(124);
    assert!(wait.error_text().starts_with(note));
    let _daemon = home.daemon();
    waiter.wait_within(LONG).ok();
}

/// Waits until this program catches SIGTERM, as a waiting one does, and sleeps in poll(2).
fn await_waiting(pid: i32) {
    let status = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let catches = |status: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask & (1 << (Signal::SIGTERM as i32 - 1)) != 0)
    };
    wait_until("it catches SIGTERM and sleeps", LONG, || {
        let status = status();
        catches(&status) && status.contains("State:\tS")
    });
}
