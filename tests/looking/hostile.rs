//! Names, commands, folders, outputs, decisions and arguments that are meant to harm whoever looks: none
//! gives a terminal an order, adds a line to a list or a field to a line, or makes JSON into something
//! else.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde_json::Value;

use crate::support::{Home, Need, skip};

/// Into the clipboard, off the screen, another title, backwards, and the same with C1; two lines, two
/// fields, and DEL.
const HOSTILE: &str = "\u{1b}]52;c;b3duZWQ=\u{7}\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}gnp.\u{2066}\u{9b}31m\n9\tsucceeded\t\u{7f}\r\u{2028}\u{61c}'\"\\{owned}";

/// What a key or a lock may have of it.
const LABEL: &str = "\u{202e}owned\u{2066}\"\\\u{2028}";

/// Every run is named and does what it can to harm.
fn home_with_hostile_runs() -> Home {
    let home = Home::new();
    home.slots(20);
    let folder = home.path(HOSTILE.replace('/', ""));
    fs::create_dir(&folder).expect("a folder can have any name");
    let bytes = OsString::from_vec([HOSTILE.as_bytes(), b"\xff\xc2\x9b\x9b2J"].concat());
    let long = "x".repeat(1000 - HOSTILE.len());
    let output = "cat; cat >&2; exit 3";
    let decide = r#"cat > "$RETRIER_DECISION"; exit 3"#;
    let decision = serde_json::json!({ "retry": false, "error": HOSTILE }).to_string();
    // The name of a field that there is not, so that it is complained of.
    let nonsense = format!("{{{}: 1}}", Value::from(HOSTILE));
    let mut split = vec![b'x'; 64 * 1024 - 1];
    split.extend_from_slice("\u{9b}2J\u{202e}\n".as_bytes());
    let store = |args: &[&OsStr], input: &[u8]| {
        let call = home.retrier([
            "run",
            "--no-daemon-start",
            "--max-failures=0",
            "--stdin=-",
            "--no-check",
        ]);
        let call = args.iter().fold(call, |call, arg| call.arg(arg));
        call.stdin(input).output().ok();
    };
    let os = OsStr::new;
    let name = OsString::from(format!("--name={HOSTILE}{long}"));
    let all = HOSTILE.as_bytes();
    let cwd = OsString::from_vec([b"--cwd=", folder.as_os_str().as_bytes()].concat());
    let hook = OsString::from(format!("--on-complete=: '{}'", HOSTILE.replace('\'', "")));
    let shell = os("--shell");
    store(&[&name, &cwd, &hook, shell, os(output)], all);
    store(&[&name, shell, os(decide)], decision.as_bytes());
    store(&[&name, shell, os(decide)], nonsense.as_bytes());
    store(&[&name, os("--"), &bytes, &bytes, os("")], all);
    store(&[&name, shell, os(output)], &split);
    let key = format!("--key={LABEL}");
    let lock = format!("--lock={LABEL}");
    let decider = format!(
        "--decide=cat >&2; printf '%s' '{}'",
        HOSTILE.replace('\'', "")
    );
    let stop = format!("--stop-if={}", HOSTILE.replace(['[', '{', '\\'], ""));
    let options = [os(&key), os(&lock), os(&decider), os(&stop)];
    store(&[&options[..], &[shell, os(output)]].concat(), all);
    let daemon = home.retrier(["daemon", "--until-idle"]);
    let daemon = daemon.env("RETRIER_LOG_LEVEL", "DEBUG").output().ok();
    for line in daemon.error_text().lines() {
        assert!(line.starts_with("20"), "a forged line of the log: {line:?}");
    }
    assert_harmless("the daemon's log", &daemon.stderr);
    home
}

/// Is there nothing in it but text, lines and tabs?
#[track_caller]
fn assert_harmless(what: &str, shown: &[u8]) {
    let text = std::str::from_utf8(shown).unwrap_or_else(|_| panic!("{what}: {shown:?}"));
    let orders = |c: &char| {
        let turns = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2028}\u{2066}\u{2069}";
        (c.is_control() && !"\r\n\t".contains(*c)) || turns.contains(*c)
    };
    let found = text.chars().find(orders);
    assert_eq!(found, None, "{what}: {text:?}");
}

/// Verbs that show what is stored, or repeat what they were told.
const SHOWN: [&str; 39] = [
    "list",
    "list --json",
    "list --name \"$HOSTILE\"",
    "status 1",
    "status 1 2 3 4 5 6",
    "status --json 1 2 3 4 5 6",
    "status --key \"$LABEL\"",
    "logs 1",
    "logs -f 1",
    "logs 5",
    "logs -f 5",
    "logs 6",
    "events 2",
    "events 3",
    "events 4",
    "events 6",
    "events --json 3",
    "explain 1",
    "explain 4",
    "explain --json 6",
    "explain --stop-if \"$HOSTILE\"",
    "stats",
    "stats --json",
    "stats --prometheus",
    "pool list",
    "pool list --json",
    "wait 1",
    "wait 1 2 3 4 5 6",
    "wait --json 1 2",
    "wait --stream 1",
    "run --wait --max-failures 0 --name \"$HOSTILE\" --shell 'printf %s \"$1$HOSTILE\"; exit 3'",
    "run --key \"$HOSTILE\" -- true",
    "run -- \"$HOSTILE\"",
    "run --cwd \"$HOSTILE\" -- true",
    "cancel \"$HOSTILE\"",
    "pool set \"$HOSTILE\"",
    "status --key \"$HOSTILE\"",
    "\"$HOSTILE\"",
    "--db \"$HOSTILE/x.db\" list",
];

#[test]
fn nothing_that_is_stored_or_said_gives_a_terminal_an_order() {
    if skip(Need::Script) {
        return;
    }
    let home = home_with_hostile_runs();
    let mut seen = 0;
    for verb in SHOWN {
        let line = format!("retrier {verb}");
        let call = home.sh("script -qec \"$LINE\" /dev/null </dev/null");
        let call = call.env("LINE", &line).env("HOSTILE", HOSTILE);
        let call = call.env("LABEL", LABEL).env("NO_COLOR", "1");
        let shown = call.env("TERM", "dumb").output().stdout;
        assert_harmless(&line, &shown);
        seen += usize::from(String::from_utf8_lossy(&shown).contains("owned"));
    }
    // Most of them show it.
    assert!(seen > 20, "{seen}");
}

#[test]
fn nothing_that_is_stored_adds_a_line_or_a_field() {
    let home = home_with_hostile_runs();
    let lines = |verb: &[&str]| home.retrier(verb).output().ok().text();
    // Six, and a hook.
    let list = lines(&["list"]);
    assert_eq!(list.lines().count(), 7, "{list}");
    for line in list.lines() {
        assert_eq!(line.split('\t').count(), 6, "{line:?}");
    }
    for id in 1..=7 {
        let id = id.to_string();
        let count = lines(&["events", "--json", &id]).lines().count();
        let events = lines(&["events", &id]);
        assert_eq!(events.lines().count(), count, "{events}");
        for line in home
            .retrier(["events", &id])
            .output()
            .stdout
            .split(|b| *b == b'\n')
        {
            let fields = line.split(|byte| *byte == b'\t').count();
            assert!(line.is_empty() || fields == 10, "{line:?}");
        }
        assert_eq!(lines(&["explain", &id]).lines().count(), 1);
    }
    for line in lines(&["stats", "--prometheus"]).lines() {
        let is_sample = line.starts_with("retrier_") && line.split_once("} ").is_some();
        assert!(is_sample || line.starts_with('#'), "{line}");
    }
    let all = ["1", "2", "3", "4", "5", "6", "7"];
    for verb in [
        &["list", "--json"][..],
        &[&["status", "--json"][..], &all].concat(),
        &["events", "--json", "3"],
        &["explain", "--json", "6"],
        &["stats", "--json"],
        &["pool", "list", "--json"],
    ] {
        let said = home.retrier(verb).output().ok();
        assert_harmless(&verb.join(" "), &said.stdout);
        for line in said.text().lines() {
            let value: Value = serde_json::from_str(line).expect("a line is one JSON value");
            assert_eq!(value["version"], 1, "{line}");
        }
    }
    // It is told as it is, and not only harmless.
    assert_eq!(
        home.status(1)["name"]
            .as_str()
            .map(|name| name.starts_with(HOSTILE)),
        Some(true)
    );
    // An output is not touched on its way into a pipe.
    let raw = home.retrier(["logs", "1", "--stdout"]).output().ok().stdout;
    assert_eq!(raw, HOSTILE.as_bytes());
}

#[test]
fn a_name_is_no_longer_than_a_thousand_bytes() {
    let home = Home::new();
    let line = |length: usize| {
        let fields = serde_json::json!({ "shell": "true", "name": "x".repeat(length) });
        let call = home.retrier(["run", "--no-daemon-start", "--batch", "-"]);
        call.stdin(fields.to_string()).output()
    };
    line(1000).ok();
    let refused = line(1_000_000).exits(2).error_text();
    assert!(
        refused.contains("at most 1000 bytes") && refused.len() < 5000,
        "{refused}"
    );
}
