//! `wait --all`.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::crash::tools::{Gate, LONG, await_patience, commands, wait_until_state};
use crate::support::{Home, wait_until};

use super::{quietly, set_pool, store_copies};

#[test]
fn it_waits_for_what_is_unfinished_at_its_call_and_for_no_hook() {
    let home = Home::new();
    let (first, second) = (Gate::new(&home, "first"), Gate::new(&home, "second"));
    let _daemon = home.daemon();
    set_pool(&home, "hooks", true);
    let ended = home.run(["--max-failures", "0", "--", "false"]);
    assert_eq!(home.wait(ended), 1);
    let one = home.run(["--on-complete", "true", "--shell", &first.line()]);
    let other = home.run(["--shell", &first.line()]);
    wait_until_state(&home, one, "running");
    let waits = home.retrier(["wait", "--all"]).spawn();
    await_patience(&waits);
    // Stored since then.
    let later = home.run(["--shell", &second.line()]);
    wait_until_state(&home, later, "running");
    first.open();
    let said = waits.wait().ok();
    let mut lines: Vec<String> = said.text().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(
        lines,
        [format!("{one} succeeded"), format!("{other} succeeded")]
    );
    assert_eq!(home.state(later), "running");
    second.open();
    home.wait(later);
    set_pool(&home, "hooks", false);
}

#[test]
fn one_that_fails_makes_it_1_and_a_pool_limits_it() {
    let home = Home::new();
    let _daemon = home.daemon();
    set_pool(&home, "mail", true);
    let failing = ["--pool", "mail", "--max-failures", "0", "--", "false"];
    let (good, bad) = (
        home.run(["--pool", "mail", "--", "true"]),
        home.run(failing),
    );
    let late = home.run(["--delay", "1h", "--", "true"]);
    let waits = home.retrier(["wait", "--all", "--pool", "mail"]).spawn();
    await_patience(&waits);
    set_pool(&home, "mail", false);
    // The settings are looked at in the next pass.
    home.run(["--", "true"]);
    let said = waits.wait().exits(1).text();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [format!("{good} succeeded"), format!("{bad} failed")]
    );
    assert_eq!(home.state(late), "scheduled");
}

/// As of several, and not as of one whose output would be printed.
#[test]
fn one_alone_is_told_by_a_line_too() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let _daemon = home.daemon();
    let line = format!("{}; echo out; exit 7", gate.line());
    let id = home.run(["--max-failures", "0", "--shell", &line]);
    let call = || home.retrier(["wait", "--all"]).spawn();
    let stopped = call();
    await_patience(&stopped);
    stopped.signal(Signal::SIGINT);
    stopped.wait().exits(130);
    let late = home.retrier(["wait", "--all", "--timeout", "10ms"]);
    late.output().exits(124);
    let waits = call();
    await_patience(&waits);
    gate.open();
    assert_eq!(waits.wait().exits(1).text(), format!("{id} failed"));
}

/// Endings are looked up by their times, and this one is stored after later ones. Of all runs a thousand are looked at
/// in a second, so that without a look at what ran before it would be told half a minute later or more.
#[test]
fn an_ending_that_is_stored_late_is_told_although_later_ones_were_before() {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    store_copies(&home, 60_000, &["--delay", "1h", "--", "true"]);
    let daemon = home.daemon();
    let late = home.run(["--shell", &gate.line()]);
    let other = home.run(["--delay", "1h", "--", "true"]);
    wait_until_state(&home, late, "running");
    let waits = home.retrier(["wait", "--all"]).spawn();
    let is_told = |line: String| {
        let said = String::from_utf8(waits.stdout_so_far()).expect("text");
        said.lines().any(|one| one == line)
    };
    await_patience(&waits);
    daemon.await_rest();
    daemon.pause();
    gate.open();
    // Who waits is the only one.
    wait_until("it has ended", LONG, || commands(&home).len() == 1);
    home.retrier(["cancel", &other.to_string()]).output().ok();
    wait_until("a later ending is told", LONG, || {
        is_told(format!("{other} canceled"))
    });
    daemon.resume();
    wait_until("it is told", Duration::from_secs(15), || {
        is_told(format!("{late} succeeded"))
    });
    waits.signal(Signal::SIGTERM);
    waits.wait().exits(143);
}

#[test]
fn nothing_to_wait_for_is_no_error_and_needs_no_daemon() {
    let home = Home::new();
    assert_eq!(quietly(&home, &["wait", "--all"]).text(), "");
    assert!(!home.db().exists());
    home.run(["--no-daemon-start", "--", "true"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert_eq!(quietly(&home, &["wait", "--all"]).text(), "");
    assert_eq!(
        quietly(&home, &["wait", "--all", "--pool", "default"]).text(),
        ""
    );
    home.assert_no_process_left();
}
