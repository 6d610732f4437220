//! Daemons and shims that are killed while a flood is kept within its limit.

use std::fs;

use nix::sys::signal::Signal;

use super::{LIMIT, extent, parts, run_bounded, stdout, wait_until_cut};
use crate::crash::tools::{Gate, LONG, outcomes, shim, signal};
use crate::support::{Home, Need, skip, wait_until};

#[test]
fn without_its_daemon_a_shim_keeps_the_limit_and_the_next_one_settles() {
    const FLOOD: u64 = 30_000_000;
    let home = Home::new();
    let mut daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let go_on = Gate::new(&home, "go-on");
    let flood = format!("yes | head -c {FLOOD}");
    let line = format!(
        "{flood}; {}; {flood}; {}; exit 5",
        gate.line(),
        go_on.line()
    );
    let id = run_bounded(&home, &[], &line);
    wait_until_cut(&home, id, FLOOD);
    daemon.kill9();
    gate.open();
    wait_until_cut(&home, id, 2 * FLOOD);
    let mut next = home.daemon();
    go_on.open();
    assert_eq!(home.wait(id), 5);
    let shown = home.retrier(["logs", &id.to_string()]).output().ok();
    let (parts, counts) = parts(&shown.stdout);
    let kept: usize = parts.iter().map(Vec::len).sum();
    assert_eq!(counts[0] + kept as u64, 2 * FLOOD);
    assert_eq!(next.stop(), 0);
}

/// Nobody else could give back what it has left, and until then nothing may look as if it was zeros.
#[test]
fn what_a_killed_shim_has_left_is_cut_before_its_attempt_is_settled() {
    const FLOOD: u64 = 30_000_000;
    let home = Home::new();
    let mut daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let line = format!(
        "{}; yes | head -c {FLOOD}; : >flooded; sleep 600",
        gate.line()
    );
    let cwd = home.path("").display().to_string();
    let id = run_bounded(&home, &["--cwd", &cwd], &line);
    wait_until("it runs", LONG, || {
        home.state(id) == "running" && stdout(&home, id).exists()
    });
    let shim = shim(&home);
    signal(shim, Signal::SIGSTOP);
    gate.open();
    wait_until("it has flooded", LONG, || home.path("flooded").exists());
    assert!(
        extent(&stdout(&home, id)).1 > LIMIT,
        "it is cut too early for this test"
    );
    let early = home.retrier(["logs", &id.to_string()]).output().ok();
    signal(shim, Signal::SIGKILL);
    assert_eq!(home.wait(id), 125);
    assert_eq!(outcomes(&home.status(id)), ["lost"]);
    assert!(
        extent(&stdout(&home, id)).1 <= LIMIT,
        "its middle is still there"
    );
    let late = home.retrier(["logs", &id.to_string()]).output().ok();
    assert!(early.stdout == late.stdout, "it is the same, there or not");
    let (parts, counts) = parts(&late.stdout);
    assert!(counts.len() == 1 && !parts.iter().flatten().any(|byte| *byte == 0));
    assert_eq!(daemon.stop(), 0);
}

/// The outcome is safe by then, and the daemon does the rest.
#[test]
fn a_shim_killed_before_its_last_cut_loses_no_outcome() {
    let home = Home::new();
    let line = "yes | head -c 3000000; exit 6";
    let id = run_bounded(&home, &["--no-daemon-start"], line);
    let _daemon = home.daemon_with(&[], &[("RETRIER_CRASH", "shim_cutting:1:kill")]);
    assert_eq!(home.wait(id), 6);
    assert_eq!(outcomes(&home.status(id)), ["exit 6"]);
    assert!(
        extent(&stdout(&home, id)).1 <= LIMIT,
        "its middle is still there"
    );
}

#[test]
fn an_output_that_is_taken_away_or_replaced_fails_nothing() {
    let home = Home::new();
    let _daemon = home.daemon();
    for line in [
        "rm {}; yes | head -c 3000000; exit 4",
        "rm {}; mkdir {}; yes | head -c 3000000; exit 4",
        "rm {}; mkfifo {}; yes | head -c 3000000; exit 4",
        "mv {} {}.old; ln -s /dev/zero {}; yes | head -c 3000000; exit 4",
    ] {
        let path = home.path("retrier.db.d/logs/0").display().to_string();
        let path = format!("{path}/$RETRIER_RUN_ID.1.out");
        let id = run_bounded(&home, &[], &line.replace("{}", &path));
        wait_until("it has ended", LONG, || home.state(id) == "failed");
        assert_eq!(outcomes(&home.status(id)), ["exit 4"], "{line}");
        fs::remove_dir(stdout(&home, id))
            .or_else(|_| fs::remove_file(stdout(&home, id)))
            .ok();
    }
}

#[test]
fn a_limit_is_kept_on_a_disk_that_the_flood_would_fill() {
    if skip(Need::LoopMount) {
        return;
    }
    const PIECE: u64 = 3_000_000;
    let home = Home::new();
    let _disk = home.mount("retrier.db.d/logs", 8);
    let _daemon = home.daemon();
    let gates: Vec<Gate> = (0..4)
        .map(|n| Gate::new(&home, &format!("gate.{n}")))
        .collect();
    let piece = |gate: &Gate| format!("yes | head -c {PIECE} || exit 9; {}", gate.line());
    let line: Vec<String> = gates.iter().map(piece).collect();
    let id = run_bounded(&home, &[], &line.join("; "));
    for (n, gate) in (1..).zip(&gates) {
        wait_until_cut(&home, id, n * PIECE);
        gate.open();
    }
    assert_eq!(home.wait(id), 0);
    assert_eq!(extent(&stdout(&home, id)).0, 4 * PIECE);
}
