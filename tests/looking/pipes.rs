//! An output that cannot be written to, or is read no further: every verb says so, or ends as it would
//! have, and none panics.

use crate::support::Home;

/// Every verb that prints, and the code with which it ends when its output has no room.
const VERBS: [(&str, i32); 39] = [
    ("list", 1),
    ("list --json", 1),
    ("status 1", 1),
    ("status --json 1", 1),
    ("explain", 1),
    ("explain --json", 1),
    ("explain 1", 1),
    ("explain --json 1", 1),
    ("events 1", 1),
    ("events --json 1", 1),
    ("logs 1", 1),
    ("logs -f 1", 1),
    ("stats", 1),
    ("stats --json", 1),
    ("stats --prometheus", 1),
    ("pool list", 1),
    ("pool list --json", 1),
    ("daemon status", 1),
    ("completions bash", 1),
    ("--help", 1),
    ("help run", 1),
    ("run --help", 1),
    ("--version", 1),
    ("cancel --all --dry-run", 1),
    ("retry --all-failed --dry-run", 1),
    ("wait 1 2", 1),
    ("wait --json 1 2", 1),
    ("wait 1", 125),
    ("wait --json 1", 125),
    ("wait --stream 1", 125),
    ("run --wait -- echo x", 125),
    ("run --wait --json -- true", 125),
    ("run --wait --stream -- echo x", 125),
    ("run --no-daemon-start -- true", 5),
    ("run --no-daemon-start --json -- true", 5),
    ("run --no-daemon-start --batch lines", 5),
    ("run --wait --batch lines", 5),
    ("run --wait --batch lines --json", 1),
    ("status 1 1 1", 1),
];

/// Verbs that print nothing, in an order in which each can be done.
const SILENT: [&str; 5] = [
    "pool set mail",
    "pool pause mail",
    "pool resume mail",
    "cancel 4",
    "pool delete mail",
];

/// A home with two successes, a failure, one that waits, and no daemon.
fn home() -> Home {
    let home = Home::new();
    std::fs::write(home.path("lines"), "echo a\necho b\n").expect("there is room");
    for _ in 0..2 {
        home.run(["--no-daemon-start", "--", "echo", "hello"]);
    }
    home.run(["--no-daemon-start", "--max-failures=0", "--", "false"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    home.run(["--no-daemon-start", "--delay=1h", "--", "true"]);
    home
}

/// Calls the verb with this behind it, in the folder of the home.
#[track_caller]
fn ended(home: &Home, verb: &str, redirected: &str) -> (i32, String) {
    let call = home.sh(format!("retrier {verb} {redirected}"));
    let ended = call.cwd(home.path("")).output();
    let said = ended.error_text();
    assert!(!said.contains("panicked"), "{verb} {redirected}: {said}");
    (ended.code, said)
}

#[test]
fn an_output_without_room_is_an_error_that_is_told() {
    let home = home();
    let _daemon = home.daemon();
    for (verb, code) in VERBS {
        let (ended, said) = ended(&home, verb, ">/dev/full");
        assert_eq!(ended, code, "{verb}: {said}");
        assert!(said.contains("No space left on device"), "{verb}: {said}");
    }
    for verb in SILENT {
        assert_eq!(ended(&home, verb, ">/dev/full 2>/dev/full").0, 0, "{verb}");
    }
}

#[test]
fn an_output_that_is_closed_or_not_read_is_no_error() {
    let home = home();
    let _daemon = home.daemon();
    for (verb, _) in VERBS {
        for redirected in [">&- 2>&-", "2>/dev/full <&-"] {
            let (code, said) = ended(&home, verb, redirected);
            assert_eq!(code, 0, "{verb} {redirected}: {said}");
        }
        // A verb that only looks dies of it, as programs do; one that waits goes on.
        let line = format!("{{ retrier {verb}; echo $? >code; }} | true; exit $(cat code)");
        let call = home.sh(line).cwd(home.path("")).output();
        assert!([0, 141].contains(&call.code), "{verb}: {call:?}");
        assert!(!call.error_text().contains("error"), "{verb}: {call:?}");
    }
}
