//! What moves on the screen of somebody who waits, and what is left when it is over.

use std::fs;

use crate::support::{Home, Need, Tmux, skip};

/// A command line whose attempt N ends with 22 once the file `gate.N` is there.
fn gated(home: &Home) -> String {
    let gate = home.path("gate").display().to_string();
    format!("while ! test -e {gate}.$RETRIER_ATTEMPT; do sleep 0.02; done; echo out; exit 22")
}

fn open_gate(home: &Home, attempt: u32) {
    fs::write(home.path(format!("gate.{attempt}")), "").expect("the temp folder can be written");
}

/// A run of two attempts, waited for.
fn waits(home: &Home, settings: &str) -> String {
    let line = gated(home);
    format!(
        "{settings}\necho before\n\
         retrier run --wait --max-attempts 2 --constant 2 --jitter 0 --shell '{line}'\n\
         echo end $?\n"
    )
}

#[test]
fn one_line_tells_how_the_run_fares_and_only_the_output_is_left() {
    if skip(Need::Tmux) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let terminal = Tmux::start(&home, (80, 10), &waits(&home, ""));
    let line = |screen: &str| screen.lines().last().unwrap_or_default().to_owned();
    let shown = terminal.await_screen("the first attempt runs", |screen| {
        screen.contains("run 1 · attempt 1/2 · ") && screen.contains("s · runs for ")
    });
    assert!(shown.starts_with("before\n"), "{shown}");
    assert_eq!(shown.lines().count(), 2, "{shown}");
    open_gate(&home, 1);
    let shown = terminal.await_screen("it waits for the second", |screen| {
        screen.contains("s · last exit 22 · next in ")
    });
    let spinner = line(&shown).chars().next();
    assert!(spinner.is_some_and(|c| "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏".contains(c)), "{shown}");
    terminal.await_screen("the second runs", |screen| {
        let line = line(screen);
        line.contains("run 1 · attempt 2/2 · ") && line.contains(" · last exit 22 · runs for ")
    });
    open_gate(&home, 2);
    assert_eq!(terminal.await_end(), 0);
    assert_eq!(
        terminal.history(),
        "before\nout\nretrier: run 1 failed after 2 attempts: exit 22\nend 22"
    );
}

#[test]
fn the_line_is_ascii_where_the_locale_is() {
    if skip(Need::Tmux) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let terminal = Tmux::start(&home, (80, 10), &waits(&home, "export LC_ALL=C"));
    open_gate(&home, 1);
    let shown = terminal.await_screen("it waits for the second", |screen| {
        screen.contains("run 1 - attempt 1/2 - ") && screen.contains(" - last exit 22 - next in ")
    });
    assert!(shown.is_ascii(), "{shown}");
    let list = "export LC_ALL=C\nretrier list; retrier status 1\n";
    let listed = Tmux::start(&home, (60, 40), list);
    assert_eq!(listed.await_end(), 0);
    let listed = listed.history();
    assert!(listed.contains("...") && listed.is_ascii(), "{listed}");
}

/// A log file of a terminal, or the shell of an editor.
#[test]
fn a_terminal_that_is_dumb_gets_a_line_for_each_attempt() {
    if skip(Need::Tmux) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    open_gate(&home, 1);
    open_gate(&home, 2);
    let terminal = Tmux::start(&home, (80, 10), &waits(&home, "export TERM=dumb"));
    assert_eq!(terminal.await_end(), 0);
    let shown = terminal.history();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 6, "{shown}");
    assert_eq!(lines[..2], ["before", "retrier: run 1"]);
    let said = "retrier: run 1: attempt 1 of 2 exited 22, next at ";
    assert!(lines[2].starts_with(said), "{shown}");
    assert!(lines[2].ends_with(" in 2s"), "{shown}");
    let last = "retrier: run 1 failed after 2 attempts: exit 22";
    assert_eq!(lines[3..], ["out", last, "end 22"]);
}

#[test]
fn a_bar_tells_how_many_runs_fare_and_those_that_fail_stand_above_it() {
    if skip(Need::Tmux) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    open_gate(&home, 1);
    let last = serde_json::json!({"shell": gated(&home).replace(".$RETRIER_ATTEMPT", ".last")});
    let lines = format!("true\n{{\"shell\": \"exit 3\"}}\n{last}\n");
    fs::write(home.path("lines"), lines).expect("the temp folder can be written");
    let file = home.path("lines").display().to_string();
    let script = format!("retrier run -w --max-failures 0 --batch {file}\necho end $?\n");
    let terminal = Tmux::start(&home, (80, 10), &script);
    let bar = "2/3 done · 1 running · 1 failed · ";
    let shown = terminal.await_screen("two are done", |screen| screen.contains(bar));
    let (above, below) = shown.split_once(bar).expect("it is there");
    assert!(
        above.starts_with("1\n2\n3\nretrier: run 2 failed: exit 3\n["),
        "{shown}"
    );
    assert!(below.contains("/s · ETA "), "{shown}");
    fs::write(home.path("gate.last"), "").expect("the temp folder can be written");
    assert_eq!(terminal.await_end(), 0);
    let failed = "retrier: run 2 failed: exit 3\nretrier: run 3 failed: exit 22";
    assert_eq!(terminal.history(), format!("1\n2\n3\n{failed}\nend 1"));
    let waited = Tmux::start(&home, (80, 10), "retrier wait 1 2 3\necho end $?\n");
    assert_eq!(waited.await_end(), 0);
    let told = "1 succeeded\n2 failed: exit 3\n3 failed: exit 22\nend 1";
    let mut lines: Vec<String> = waited.history().lines().map(str::to_owned).collect();
    lines[..3].sort();
    assert_eq!(lines.join("\n"), told);
}
