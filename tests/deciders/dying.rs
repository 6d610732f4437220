//! The shim, the daemon, or the run ends while a decider decides: the outcome of the attempt is kept.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{complaints, history, submit};
use crate::crash::tools::{
    Gate, LONG, closed, commands, is_stopped, numbers, outcomes, shim, signal,
    wait_until_no_command,
};
use crate::support::{FakeClock, Home, wait_until};

/// Nobody has heard it, and nobody has to: the run goes on by its policy, once nothing of the decider is left.
const UNHEARD: &str = "its shim ended before it had answered";

/// A decider that says that it decides, and then does this.
fn deciding(home: &Home, then: &str) -> (String, Gate) {
    let gate = Gate::new(home, "decides");
    let path = home.path("decides");
    (format!(": >'{}'; {then}", path.display()), gate)
}

#[test]
fn one_that_kills_its_own_shim_loses_its_answer_and_not_the_outcome() {
    let home = Home::new();
    let _daemon = home.daemon();
    let pid = home.path("pid").display().to_string();
    let decider = format!("trap '' TERM; echo $$ >'{pid}'; kill -9 $PPID; sleep 600; exit");
    // The next attempt finds nothing of it; what nobody has reaped yet has no arguments.
    let line =
        format!("[ -e '{pid}' ] || exit 7; ! grep -q . \"/proc/$(cat '{pid}')/cmdline\" 2>&-");
    let rest = ["--grace", "300ms", "--max-failures", "1", "--shell", &line];
    let id = submit(&home, &decider, &rest);
    assert_eq!(home.wait(id), 0);
    let document = home.status(id);
    assert_eq!(outcomes(&document), ["exit 7", "exit 0"]);
    assert!(document["attempts"][0]["pid"].is_i64());
    assert_eq!(complaints(&home, id), [UNHEARD]);
    assert_eq!(document["failures"], 1);
    wait_until_no_command(&home);
}

#[test]
fn an_outcome_survives_the_daemon_and_then_the_shim_that_die_while_it_decides() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let (decider, decides) = deciding(&home, "exec sleep 600");
    let rest = ["--max-failures", "0", "--shell", "echo kept; exit 7"];
    let id = submit(&home, &decider, &rest);
    wait_until("it decides", LONG, || decides.is_open());
    let shim = shim(&home);
    daemon.kill9();
    signal(shim, Signal::SIGKILL);
    let _second = home.daemon();
    let waited = home.retrier(["wait", &id.to_string()]).output().exits(7);
    assert_eq!(waited.text(), "kept");
    assert_eq!(outcomes(&home.status(id)), ["exit 7"]);
    let unheard = format!("decider_failed {UNHEARD}");
    let expected = ["enqueued", "started", &unheard, "failed budget"];
    assert_eq!(history(&home, id), expected);
    assert_eq!(commands(&home), []);
}

#[test]
fn its_answer_counts_though_its_daemon_was_killed_while_it_decided() {
    for daemon_comes_first in [true, false] {
        let home = Home::new();
        let mut daemon = home.daemon();
        let gate = Gate::new(&home, "gate");
        let answer = format!("{}; echo '{{\"retry\":false}}'", gate.line());
        let (decider, decides) = deciding(&home, &answer);
        let id = submit(&home, &decider, &["--shell", "exit 7"]);
        wait_until("it decides", LONG, || decides.is_open());
        daemon.kill9();
        if daemon_comes_first {
            daemon = home.daemon();
            assert_eq!(home.state(id), "running");
            gate.open();
        } else {
            gate.open();
            home.assert_no_process_left();
            daemon = home.daemon();
        }
        assert_eq!(home.wait(id), 7);
        let document = home.status(id);
        assert_eq!(document["result"]["reason"], "stopped");
        assert_eq!(numbers(&document), [1]);
        assert_eq!(history(&home, id).last().expect("a line"), "failed decide");
        drop(daemon);
    }
}

#[test]
fn a_cancel_ends_one_that_decides_at_once() {
    for taken_over in [false, true] {
        let home = Home::new();
        let mut daemon = home.daemon();
        let (decider, decides) = deciding(&home, "trap '' TERM; sleep 600; exit");
        let id = submit(&home, &decider, &["--shell", "exit 7"]);
        wait_until("it decides", LONG, || decides.is_open());
        if taken_over {
            daemon.kill9();
            daemon = home.daemon();
        }
        home.retrier(["cancel", &id.to_string()]).output().ok();
        wait_until_no_command(&home);
        assert_eq!(outcomes(&closed(&home, id)), ["exit 7"]);
        assert_eq!(home.state(id), "canceled");
        // Nobody waited until its time was up.
        let told = complaints(&home, id);
        assert_eq!(taken_over, !told.is_empty());
        assert!(!told.contains(&"no answer within 10 s".to_owned()));
        drop(daemon);
    }
}

/// A cancel that comes between the end of the command and its decider must not be forgotten.
#[test]
fn a_run_that_is_canceled_before_it_decides_is_not_decided() {
    for (crash, leaves) in [("shim_ended:1:stop", false), ("", true)] {
        let home = Home::new();
        let daemon = home.daemon_with(&[], &[("RETRIER_CRASH", crash)]);
        let (file, end) = (home.path("pid"), Gate::new(&home, "end"));
        let left = format!("(trap '' TERM; {}) &", end.line());
        let left = if leaves { left.as_str() } else { "" };
        let line = format!("echo $$ >'{}'; {left} exit 7", file.display());
        let (decider, decides) = deciding(&home, "exec sleep 600");
        let rest = ["--grace", "10m", "--shell", &line];
        let id = submit(&home, &decider, &rest);
        wait_until("the command has ended", LONG, || {
            let pid = fs::read_to_string(&file).unwrap_or_default();
            pid.ends_with('\n') && !Path::new("/proc").join(pid.trim()).exists()
        });
        let shim = shim(&home);
        wait_until("it stands still", LONG, || leaves || is_stopped(shim));
        home.retrier(["cancel", &id.to_string()]).output().ok();
        daemon.await_rest();
        signal(shim, Signal::SIGCONT);
        end.open();
        assert_eq!(outcomes(&closed(&home, id)), ["exit 7"]);
        assert!(!decides.is_open());
        assert_eq!(complaints(&home, id), [""; 0]);
    }
}

#[test]
fn a_planned_stop_ends_one_that_decides_and_the_run_goes_on_by_its_policy() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let (decider, decides) = deciding(&home, "trap '' TERM; sleep 600; exit");
    let rest = ["--max-failures", "0", "--shell", "exit 7"];
    let id = submit(&home, &decider, &rest);
    wait_until("it decides", LONG, || decides.is_open());
    home.retrier(["daemon", "stop", "--kill"]).output().ok();
    assert_eq!(daemon.wait(LONG), 0);
    assert_eq!(outcomes(&home.status(id)), ["exit 7"]);
    assert_eq!(home.state(id), "failed");
    let words = "interrupted before it had answered";
    assert_eq!(complaints(&home, id), [words]);
    home.assert_no_process_left();
}

/// Its answer could change nothing any more.
#[test]
fn the_deadline_ends_one_that_decides() {
    let home = Home::new();
    let clock = FakeClock::new(&home);
    let _daemon = home.daemon();
    let (decider, decides) = deciding(&home, "trap '' TERM; sleep 600; exit");
    let rest = ["--deadline", "1h", "--shell", "exit 7"];
    let id = submit(&home, &decider, &rest);
    wait_until("it decides", LONG, || decides.is_open());
    clock.advance(Duration::from_secs(2 * 60 * 60));
    assert_eq!(home.wait(id), 124);
    wait_until_no_command(&home);
    let document = home.status(id);
    assert_eq!(document["result"]["reason"], "deadline");
    assert_eq!(outcomes(&document), ["exit 7"]);
    let late = "the deadline passed before it had answered";
    assert_eq!(complaints(&home, id), [late]);
}
