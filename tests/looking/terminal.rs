//! What reaches a terminal: no control character of a command, and colours only where they are wanted.

use crate::support::{Home, Need, skip};

#[test]
fn no_control_character_of_a_command_reaches_a_terminal() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let hostile = "a\u{1b}]0;owned\u{7}\u{9b}31mz";
    let name = format!("--name={hostile}");
    let args = [
        &name,
        "--max-failures",
        "0",
        "--",
        "sh",
        "-c",
        "echo $1; echo $1 >&2; exit 1",
    ];
    let id = home.run(args.iter().copied().chain(["sh", hostile]));
    assert_eq!(home.wait(id), 1);
    for verb in [
        "status ID",
        "list",
        "logs ID",
        "logs -f ID",
        "wait ID",
        "wait --stream ID",
        "run -- \"$HOSTILE\"",
    ] {
        let line = format!("retrier {}", verb.replace("ID", &id.to_string()));
        let call = home
            .sh("script -qec \"$LINE\" /dev/null </dev/null")
            .env("LINE", line);
        let shown = call
            .env("HOSTILE", hostile)
            .env("NO_COLOR", "1")
            .env("TERM", "dumb");
        let shown = shown.output().stdout;
        let text = String::from_utf8_lossy(&shown);
        assert!(text.contains("owned"), "{verb}: {text:?}");
        let hostile = text
            .chars()
            .find(|c| c.is_control() && !"\r\n\t".contains(*c));
        assert_eq!(hostile, None, "{verb}: {text:?}");
    }
}

#[test]
fn who_follows_at_a_terminal_is_told_of_the_attempts_and_the_end() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let options = [
        "--max-failures",
        "1",
        "--constant",
        "300ms",
        "--jitter",
        "0",
    ];
    let line = "sleep 0.3; echo out; exit 7";
    let id = home.run(options.iter().chain(&["--shell", line]));
    let follow = format!("retrier logs -f {id}");
    let at_terminal = home.sh(format!("script -qec '{follow}' /dev/null"));
    let told = at_terminal.output().ok().text().replace('\r', "");
    let told: Vec<&str> = told.lines().collect();
    let [out, first, again, end] = told[..] else {
        panic!("{told:#?}");
    };
    assert_eq!((out, again), ("out", "out"));
    let attempt = format!("retrier: run {id}: attempt 1 of 2 exited 7, next at ");
    assert!(first.starts_with(&attempt), "{first}");
    assert_eq!(
        end,
        format!("retrier: run {id} failed after 2 attempts: exit 7")
    );
    // A pipe gets what was written, and nothing else.
    let piped = home.sh(&follow).output().ok();
    assert_eq!((piped.text().as_str(), piped.stderr.len()), ("out", 0));
}

#[test]
fn a_list_of_what_nobody_runs_says_so() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let list = || {
        let line = "script -qec 'retrier list' /dev/null";
        home.sh(line).output().ok().text()
    };
    let note = "retrier: no daemon runs, `retrier daemon --detach` starts one";
    assert!(list().contains(note));
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert!(!list().contains(note));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    let on_terminal = |no_color: &str, term: &str| {
        let call = home.sh("script -qec 'retrier list; retrier status 1' /dev/null </dev/null");
        let call = call.env("NO_COLOR", no_color).env("TERM", term);
        call.output().ok().stdout.contains(&0x1b)
    };
    assert!(on_terminal("", "xterm"));
    assert!(!on_terminal("1", "xterm"));
    assert!(!on_terminal("", "dumb"));
    let piped = home.retrier(["status", "1"]).env("TERM", "xterm").output();
    assert!(!piped.stdout.contains(&0x1b));
}
