//! What is told to hooks and deciders goes through their environment and stdin, never into a line that
//! a shell reads.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::Home;

/// Texts that would do something if a shell read them, or an option parser, or `printf`.
const HOSTILE: [&[u8]; 11] = [
    b"$(touch pwn)",
    b"`touch pwn`",
    b";touch pwn",
    b"x\ntouch pwn\n",
    b"' ; touch pwn ; '",
    b"\" ; touch pwn ; \"",
    b"| touch pwn & touch pwn",
    b"-rf",
    b"--help",
    b"\x1b]0;touch pwn\x07{}%s%n\\",
    b"\xff\xfe$(touch pwn)\xc2",
];

/// As JSON that retrier prints has it.
fn as_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// `before` and these bytes, as one word.
fn word(before: &str, bytes: &[u8]) -> OsString {
    OsString::from_vec([before.as_bytes(), bytes].concat())
}

/// Every file of this name below a folder.
fn found(folder: &Path, name: &str) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let counts = entries.map(|entry| {
        let below = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let below = if below { found(&entry.path(), name) } else { 0 };
        below + usize::from(entry.file_name() == name)
    });
    counts.sum()
}

fn read(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or(Value::Null)
}

/// Has everything run that is stored.
fn drain(home: &Home) {
    let daemon = home.retrier(["daemon", "--until-idle"]);
    daemon.limit(Duration::from_secs(60)).output().ok();
}

#[test]
fn hooks_and_deciders_are_told_and_nothing_of_it_is_run() {
    let home = Home::new();
    home.slots(20);
    let mut stored = Vec::new();
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let folder = home.path(OsString::from_vec([b"in ", text].concat()));
        fs::create_dir(&folder).expect("a folder can have any name");
        let to = |what: &str| home.path(format!("{what}.{number}")).display().to_string();
        let hook = format!(
            "cat >'{}'; echo \"$RETRIER_RESULT\" >'{}'",
            to("hook"),
            to("result")
        );
        let decide = format!("cat >'{}'; echo '{{\"retry\": false}}'", to("decider"));
        let mut words = vec![
            word("", b"run"),
            word("", b"--no-daemon-start"),
            word("--cwd=", folder.as_os_str().as_bytes()),
            word("--env=TEXT=", text),
            word("--on-complete=", hook.as_bytes()),
            word("--decide=", decide.as_bytes()),
        ];
        let is_text = std::str::from_utf8(text).is_ok();
        if is_text {
            words.push(word("--name=", text));
        }
        if is_text && !text.iter().any(u8::is_ascii_control) {
            words.extend([word("--key=", text), word("--lock=", text)]);
        }
        // Fails, and says it to both.
        let line = b"printf '%s' \"$1\"; printf '%s' \"$TEXT\" >&2; exit 3";
        words.extend([word("", b"--"), word("", b"sh"), word("", b"-c")]);
        words.extend([word("", line), word("", text), word("", text)]);
        let id = home.retrier(&words).output().ok().text();
        stored.push((id.parse::<i64>().expect("an id"), number, text, is_text));
    }
    drain(&home);
    for (id, number, text, is_text) in stored {
        let asked = read(&home.path(format!("decider.{number}")));
        assert_eq!(
            asked["run"]["command"][4],
            as_json(text),
            "{text:?}: {asked}"
        );
        assert_eq!(asked["run"]["id"], id);
        assert_eq!(asked["outcome"], json!({"type": "exit", "code": 3}));
        if is_text {
            assert_eq!(asked["run"]["name"], as_json(text));
        }
        let told = read(&home.path(format!("hook.{number}")));
        assert_eq!(told["type"], "failed", "{text:?}: {told}");
        let result = fs::read_to_string(home.path(format!("result.{number}")));
        assert_eq!(result.expect("the hook has run"), "failed\n");
        let logs = home.retrier(["logs", &id.to_string()]).output().ok();
        assert_eq!((&logs.stdout[..], &logs.stderr[..]), (text, text));
    }
    assert_eq!(found(&home.path(""), "pwn"), 0);
    // It would have been found.
    fs::write(home.path("in --help/pwn"), "").expect("there is room");
    assert_eq!(found(&home.path(""), "pwn"), 1);
}

#[test]
fn a_return_value_is_told_to_its_hook_and_not_run() {
    let home = Home::new();
    home.slots(20);
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let file = home.path(format!("hook.{number}"));
        let hook = format!("--on-complete=cat >'{}'", file.display());
        let call = home.retrier(["run", "--no-daemon-start", &hook, "--stdin=-", "--", "cat"]);
        let call = call.cwd(home.path(""));
        call.stdin(text).output().ok();
    }
    drain(&home);
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let told = read(&home.path(format!("hook.{number}")));
        let expected = json!({ "type": "success", "return_value": as_json(text) });
        assert_eq!(told, expected, "{text:?}");
    }
    assert_eq!(found(&home.path(""), "pwn"), 0);
}

/// Neither the line nor the template is read by a shell.
#[test]
fn a_line_of_a_batch_is_text_in_its_template() {
    let home = Home::new();
    home.slots(20);
    let lines: Vec<&[u8]> = HOSTILE
        .into_iter()
        .filter(|text| !text.contains(&b'\n'))
        .collect();
    let batch = home.retrier([
        "run",
        "--no-daemon-start",
        "--batch=-",
        "--template",
        "printf '%s' {} x{}x",
    ]);
    let ids = batch
        .cwd(home.path(""))
        .stdin(lines.join(&b'\n'))
        .output()
        .ok()
        .text();
    drain(&home);
    assert_eq!(ids.lines().count(), lines.len());
    for (id, line) in ids.lines().zip(lines) {
        let said = home.retrier(["logs", id]).output().ok().stdout;
        assert_eq!(said, [line, b"x", line, b"x"].concat());
    }
    assert_eq!(found(&home.path(""), "pwn"), 0);
}
