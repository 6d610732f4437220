//! Every error that a user can cause or meet: what was done wrong, the exit code, what is said, and what to
//! type next. The table is `tests/golden/errors.txt`; a row begins with what was done wrong.

use std::fs;
use std::path::Path;

use crate::support::{Home, Need, Output, assert_generated, skip};

const TABLE: &str = "tests/golden/errors.txt";

/// Run 1 has failed, 2 has succeeded, 3 is scheduled in the pool mail and has a key, 4 is queued.
const WORLD: &str = "touch plain &&
    retrier run --max-failures 0 --no-daemon-start -- false &&
    retrier run --no-daemon-start -- true &&
    retrier daemon --until-idle &&
    retrier pool set mail &&
    retrier run --no-daemon-start --delay 1h --key nightly --pool mail -- true &&
    retrier run --no-daemon-start -- true";

fn world() -> Home {
    let home = Home::new();
    home.sh(WORLD).cwd(home.path("home")).output().ok();
    home
}

/// A row of the table as it is on this machine.
fn row(home: &Home, what: &str, call: &str) -> String {
    let output = home.sh(call).cwd(home.path("home")).output();
    let folder = home.path("").display().to_string();
    let said = output.error_text();
    let said = said.replace(&home.db().display().to_string(), "DB");
    let said = said.replace(folder.trim_end_matches('/'), "HOME");
    assert_well_said(what, &output, &said);
    format!("# {what}\n$ {call}\n= {}\n{said}", output.code)
}

fn assert_well_said(what: &str, output: &Output, said: &str) {
    assert_ne!(output.code, 0, "{what}: {said}");
    assert_ne!(output.code, 101, "{what}: {said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() >= 2, "{what}: {said}");
    for two in lines.chunks(2) {
        let is_said = two[0].starts_with("retrier: error: ");
        let is_hinted = two.len() == 2 && two[1].starts_with("hint: ");
        assert!(is_said && is_hinted, "{what}: {said}");
    }
    // A place in the source is part of one defect's line, not of a trace.
    assert!(!said.contains("backtrace"), "{what}: {said}");
}

#[test]
fn every_error_says_what_happened_to_what_and_what_to_type_next() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let table = fs::read_to_string(path).expect("the table is there");
    let mut rows = Vec::new();
    let home = world();
    for block in table.split("\n\n") {
        let mut lines = block.lines();
        let what = lines.next().and_then(|line| line.strip_prefix("# "));
        let call = lines.next().and_then(|line| line.strip_prefix("$ "));
        let (Some(what), Some(call)) = (what, call) else {
            panic!("no row: {block}");
        };
        rows.push(row(&home, what, call));
    }
    assert!(rows.len() >= 100, "{} rows", rows.len());
    assert_generated(TABLE, rows.join("\n").as_bytes());
}

#[test]
fn a_daemon_that_holds_the_database_is_named() {
    let home = Home::new();
    let daemon = home.daemon();
    let pid = daemon.pid();
    let expected = format!(
        "retrier: error: a daemon holds this database, pid {pid}\n\
         hint: `retrier daemon stop` ends it; running attempts live on\n"
    );
    for call in [&["daemon", "--detach"][..], &["daemon"]] {
        let refused = home.retrier(call).output().exits(4);
        let said = refused.error_text();
        assert!(said.ends_with(&expected), "{call:?}: {said}");
    }
}

#[test]
fn a_daemon_with_a_defect_says_so_in_its_log_and_its_runs_go_on() {
    let home = Home::new();
    let id = home.run(["--no-daemon-start", "--", "true"]);
    let daemon = home.retrier(["daemon", "--until-idle"]);
    let daemon = daemon.crash("pass_before_commit:1:panic");
    let output = daemon.env("RUST_BACKTRACE", "full").output().exits(1);
    let log = output.error_text();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("defect")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(
        told[0].contains("ERROR a defect: a test asked for it (src/"),
        "{log}"
    );
    assert!(
        !log.contains("backtrace") && !log.contains("panicked"),
        "{log}"
    );
    assert_eq!(home.wait(id), 0);
}

#[test]
fn a_mistyped_default_is_noted_for_whoever_looks() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    let variable = "RETRIER_DEFAULT_MAX_FAILURE";
    let said = |line: &str| {
        let call = home.sh(line).env(variable, "8");
        let output = call.output().ok();
        output.text().replace('\r', "") + &output.error_text()
    };
    let note = format!(
        "retrier: warning: {variable} is the default of no option; did you mean {variable}S?\n"
    );
    let run = "retrier run --no-daemon-start -- true";
    let at_terminal = |line: &str| said(&format!("script -qec '{line}' /dev/null"));
    assert!(at_terminal(run).starts_with(&note));
    assert!(at_terminal("retrier explain").starts_with(&note));
    assert!(!at_terminal("retrier run -q --no-daemon-start -- true").contains("warning"));
    assert!(!at_terminal("retrier list").contains("warning"));
    assert_eq!(said(run), "3");
}
