//! Completions, in the shells that people have.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::{Home, Need, skip};

/// A command that would do something if a shell ran it, and turns a terminal's screen over.
const HOSTILE: &str = "$(touch pwned) `touch pwned`; touch pwned\t\u{1b}[2J %F{red}\\n:x";

fn script(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("completions").join(name).display().to_string()
}

/// A home with runs in several states: 1 failed, 2 succeeded with a key, 3 scheduled and hostile.
fn stocked() -> Home {
    let home = Home::new();
    assert_eq!(home.run(["--max-failures", "0", "--", "false"]), 1);
    assert_eq!(home.run(["--key", "nightly: it's", "--", "true"]), 2);
    let hostile = ["--delay", "1h", "--lock", "l", "--", "echo", HOSTILE];
    assert_eq!(home.run(hostile), 3);
    home.retrier(["pool", "set", "mail"]).output().ok();
    home.wait(1);
    home.wait(2);
    home
}

/// What the program offers where the last of `words` is being typed: the kind, and the values.
fn offered(home: &Home, words: &[&str]) -> Vec<String> {
    let call = home.retrier(["__complete", "fish", "retrier"]);
    let call = words.iter().fold(call, |call, word| call.arg(word));
    let output = call.output().ok();
    assert_eq!(output.error_text(), "", "{words:?}");
    let text = String::from_utf8(output.stdout).expect("it is UTF-8");
    let value = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    text.lines().map(value).collect()
}

#[test]
fn each_place_of_a_call_has_its_candidates() {
    let home = stocked();
    for (words, expected) in [
        (&["ca"][..], &["values", "cancel"][..]),
        (&["cancel", ""], &["values", "3"]),
        (&["wait", ""], &["values", "3"]),
        (&["retry", ""], &["values", "1", "3"]),
        (&["cleanup", ""], &["values", "2", "1"]),
        (&["status", ""], &["values", "3", "2", "1"]),
        (&["status", "3", ""], &["values", "2", "1"]),
        (&["logs", "-f", "2"], &["values", "2"]),
        (&["logs", "--attempt", ""], &["values"]),
        (&["cancel", "--all", ""], &["values"]),
        (&["cancel", "--pool", ""], &["values", "default", "mail"]),
        (&["cancel", "--pool=m"], &["values", "--pool=mail"]),
        (&["stats", "--pool", "h"], &["values", "hooks"]),
        (&["pool", "pause", "default", "m"], &["values", "mail"]),
        (
            &["cancel", "--state", ""],
            &["values", "scheduled", "queued", "running"],
        ),
        (&["cleanup", "--state", "f"], &["values", "failed"]),
        (&["list", "--st"], &["values", "--state"]),
        (&["run", "--retries", "1", "--max-f"], &["values"]),
        (&["run", "--forever", "--max-a"], &["values"]),
        (&["run", "--retri"], &["values", "--retries"]),
        (
            &["run", "--if-exists="],
            &["values", "--if-exists=skip", "--if-exists=fail"],
        ),
        (&["run", "--key", ""], &["values", "nightly: it's"]),
        (
            &["run", "--env", "A=1", "--en"],
            &["values", "--env", "--env-only"],
        ),
        (&["run", "--stdin", ""], &["files"]),
        (&["run", "--cwd="], &["folders"]),
        (&["run", "-w", "git", "pu"], &["command 3"]),
        (&["run", "-w", "--", "--x", "pu"], &["command 4"]),
        (&["run", ""], &["command 2"]),
        (&["help", "daemon", "st"], &["values", "stop", "status"]),
        (&["completions", "f"], &["values", "fish"]),
        (&["nonsense", "x"], &["values"]),
        (&["cancel", "--nonsense=x"], &["values"]),
    ] {
        assert_eq!(offered(&home, words), expected, "{words:?}");
    }
}

#[test]
fn what_cannot_be_read_offers_nothing_and_is_left_alone() {
    let home = Home::new();
    assert_eq!(offered(&home, &["cancel", ""]), ["values"]);
    assert_eq!(offered(&home, &["cancel", "--pool", ""]), ["values"]);
    assert!(!home.db().exists(), "a database was made");
    fs::write(home.db(), "something else").expect("it is written");
    assert_eq!(offered(&home, &["cancel", ""]), ["values"]);
    assert_eq!(fs::read(home.db()).expect("it is there"), b"something else");
    assert_eq!(
        offered(&home, &["--db", "/proc/self/mem", "cancel", ""]),
        ["values"]
    );
    let nobody = home.retrier(["__complete", "tcsh", "retrier", ""]);
    let output = nobody.output().ok();
    assert_eq!((output.text(), output.error_text()), Default::default());
    assert!(home.processes().is_empty(), "something was started");
}

#[test]
fn candidates_look_into_the_database_that_the_line_names() {
    let home = stocked();
    let db = home.db().display().to_string();
    let call = home.retrier(["__complete", "zsh", "retrier", "--db", &db, "cancel", ""]);
    let elsewhere = home.path("elsewhere.db");
    let found = call.env("RETRIER_DB", elsewhere).output().ok().text();
    assert!(found.starts_with("values\n3\tscheduled: echo "), "{found}");
}

#[test]
fn a_line_says_what_a_run_is_and_no_more_than_fits() {
    let home = stocked();
    home.run(["--delay", "1h", "--name", HOSTILE, "--", "true"]);
    let call = home.retrier(["__complete", "zsh", "retrier", "status", ""]);
    let told = String::from_utf8(call.output().ok().stdout).expect("it is UTF-8");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[3..], ["2\tsucceeded: true", "1\tfailed: false"]);
    let (_, named) = lines[1].split_once('\t').expect("a tab");
    assert!(named.ends_with("touch pwned\\t\\u{1b…"), "{named}");
    assert!(!named.contains(char::is_control), "{named}");
    let (id, about) = lines[2].split_once('\t').expect("a tab");
    assert_eq!(id, "3");
    assert!(
        about.starts_with("scheduled: echo $'$(touch pwned)"),
        "{about}"
    );
    assert_eq!(about.chars().count(), 60);
    assert!(!about.contains(char::is_control), "{about}");
    assert_eq!(offered(&home, &["list", "--name", ""]), ["values"]);
}

/// Types `keys` into an interactive shell, in a terminal of its own.
fn typed(home: &Home, shell: &str, keys: &str) -> String {
    let call = home.sh(format!("exec script -qec '{shell}' /dev/null"));
    let call = call.env("TERM", "dumb").cwd(home.path("home"));
    let call = call.limit(Duration::from_secs(30)).stdin(keys);
    String::from_utf8_lossy(&call.output().stdout).replace('\r', "")
}

/// Runs what the keys complete: each TAB must do its part, or the line is wrong.
const KEYS: &str = "retrier list --sta\tfai\t\n\
                    retrier statu\t1\t --js\t\n\
                    retrier cancel --po\tmai\t--al\t--dry\t\n\
                    retrier status --key 'ni\t\n\
                    retrier run -q --no-dae\t-- dirnam\tx\n\
                    retrier status \t";

fn assert_completed(home: &Home, shown: &str) {
    for part in [
        " 1  failed ",
        "{\"attempts\":[",
        "no run would be canceled",
        "succeeded",
        "scheduled: echo ",
        "failed: false",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    assert!(!shown.contains("error: "), "{shown}");
    assert!(!shown.contains("\u{1b}[2J"), "{shown}");
    assert!(!home.path("home/pwned").exists(), "a description was run");
    assert_eq!(
        home.status(4)["command"],
        serde_json::json!(["dirname", "x"])
    );
}

#[test]
fn bash_completes_what_is_typed() {
    if skip(Need::Bash) || skip(Need::Script) {
        return;
    }
    let home = stocked();
    let rc = format!("PS1='$ '; HISTFILE=; source {}\n", script("retrier.bash"));
    fs::write(home.path("home/rc"), rc).expect("it is written");
    let shown = typed(
        &home,
        "bash --noprofile --rcfile rc -i",
        &format!("{KEYS}\t3\nexit\n"),
    );
    assert_completed(&home, &shown);
}

#[test]
fn zsh_completes_what_is_typed() {
    if skip(Need::Zsh) || skip(Need::Script) {
        return;
    }
    let home = stocked();
    let folder = script("");
    let rc = format!(
        "PS1='%% '; unset zle_bracketed_paste; setopt no_beep; fpath=({folder} $fpath)\n\
         autoload -U compinit; compinit -u -D\n"
    );
    fs::write(home.path("home/.zshrc"), rc).expect("it is written");
    let shown = typed(
        &home,
        "zsh -o no_global_rcs -i",
        &format!("{KEYS}3\nexit\n"),
    );
    assert_completed(&home, &shown);
}

#[test]
fn fish_completes_what_is_typed() {
    if skip(Need::Fish) {
        return;
    }
    let home = stocked();
    fs::create_dir(home.path("home/folder")).expect("it is made");
    let source = script("retrier.fish");
    let lines = [
        ("retrier canc", "cancel\t"),
        ("retrier cancel ", "3\tscheduled: echo $'$(touch pwned)"),
        ("retrier cancel --po", "--pool\t"),
        ("retrier cancel --pool=ma", "--pool=mail"),
        ("retrier list --state ", "queued"),
        ("retrier status --key n", "nightly: it's"),
        ("retrier run --cwd fol", "folder/"),
        ("retrier run --cwd=fol", "--cwd=folder/"),
        ("retrier run --stdin=fol", "--stdin=folder/"),
        ("retrier run -w -- retrier canc", "cancel\t"),
        ("retrier run ech", "echo"),
    ];
    for (line, expected) in lines {
        let call = home.sh(format!(
            "fish --no-config -c 'source {source}; complete -C $LINE'"
        ));
        let output = call.env("LINE", line).cwd(home.path("home")).output().ok();
        let text = output.text();
        let found = text.lines().any(|one| one.starts_with(expected));
        assert!(found, "{line}: {text}");
        assert_eq!(output.error_text(), "", "{line}");
    }
    assert!(!home.path("home/pwned").exists(), "a description was run");
}
