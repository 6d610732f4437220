//! What the README shows a stranger first: its session is typed anew, its recipes are executed.

mod cron;
mod recipes;
mod translation;
mod units;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;

use crate::support::{Call, Home, readme, readme_block};

const LONG: Duration = Duration::from_secs(60);

/// The recipes that the tests here execute.
const EXECUTED: &[&str] = &[
    "cron-key",
    "cron-mail",
    "cron-care",
    "backup",
    "healthchecks",
    "desktop",
    "chat",
    "service",
    "timer",
    "drain",
    "leave",
];

/// A home with the programs that recipes call: each writes down how it was called, and does as it is told.
struct Kitchen {
    home: Home,
}

impl Kitchen {
    fn new(home: Home) -> Kitchen {
        fs::create_dir(home.path("bin")).expect("the temp folder can be written");
        Kitchen { home }
    }

    /// A program that writes down its name and arguments before it does `body`.
    fn program(&self, name: &str, body: &str) -> PathBuf {
        let calls = self.home.path("calls");
        let text = format!(
            "#!/bin/sh\necho \"{name} $*\" >> '{}'\n{body}\n",
            calls.display()
        );
        let path = self.home.path("bin").join(name);
        write(&path, &text, 0o755);
        path
    }

    /// How the programs were called until now.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.home.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What PATH has to be for the programs and for retrier.
    fn path(&self) -> String {
        let own = Path::new(env!("CARGO_BIN_EXE_retrier")).parent();
        let own = own.expect("a file is in a folder");
        let bin = self.home.path("bin");
        format!("{}:{}:/usr/bin:/bin", bin.display(), own.display())
    }

    /// A call of these lines of shell, in the folder of the user.
    fn sh(&self, lines: &str) -> Call {
        let call = self.home.sh(lines).cwd(self.home.path("home"));
        call.env("PATH", self.path())
    }
}

/// Writes a file of this mode in the temp folder.
fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("the temp folder can be written");
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).expect("it is ours");
}

/// A text of the README with something else in the place of a part, which has to be there.
#[track_caller]
fn with(text: &str, changes: &[(&str, &str)]) -> String {
    changes
        .iter()
        .fold(text.to_owned(), |text, (part, instead)| {
            assert!(text.contains(part), "no {part:?} in\n{text}");
            text.replace(part, instead)
        })
}

/// The lines that are typed in a session, each with what the program said.
fn exchanges(session: &str) -> Vec<(String, String)> {
    let mut exchanges: Vec<(String, String)> = Vec::new();
    for line in session.split_inclusive('\n') {
        match (line.strip_prefix("$ "), exchanges.last_mut()) {
            (Some(typed), _) => exchanges.push((typed.trim_end().to_owned(), String::new())),
            (None, Some((_, said))) => said.push_str(line),
            (None, None) => panic!("a session begins with a prompt: {line}"),
        }
    }
    exchanges
}

/// A text without what is another each time: times, spans, how much room they take, the user's folder.
fn likened(text: &str, folder: &Path) -> String {
    let text = text.replace(&folder.display().to_string(), "/home/u");
    let rules = [
        (
            r"([0-9]{4}-[0-9]{2}-[0-9]{2} )?[0-9]{2}:[0-9]{2}:[0-9]{2}",
            "TIME",
        ),
        (r"(?-u:\b)([0-9]+(ms|s|m|h)(?-u:\b) ?)+", "SPAN "),
        (r"\((just now|SPAN +ago)\)", "(AGO)"),
        (" +", " "),
        (" \n", "\n"),
    ];
    rules.iter().fold(text, |text, (pattern, instead)| {
        let pattern = Regex::new(pattern).expect("it is one");
        pattern.replace_all(&text, *instead).into_owned()
    })
}

#[test]
fn the_session_is_what_the_program_says() {
    let home = Home::new();
    let folder = home.path("home");
    let exchanges = exchanges(&readme_block("session"));
    assert!(exchanges.len() >= 8, "{exchanges:#?}");
    for (line, said) in exchanges {
        let call = home.sh(format!("exec 2>&1\n{line}")).cwd(&folder);
        let output = call.output();
        let is = String::from_utf8(output.stdout).unwrap();
        assert_eq!(likened(&is, &folder), likened(&said, &folder), "{line}");
    }
}

/// A session that is not read, or not compared, would be right whatever it says.
#[test]
fn a_word_of_a_session_that_is_wrong_is_found() {
    let session = "$ echo a $ b\na\n$ true\n$ cat x\n1\n\n2 $ 3\n";
    let read = exchanges(session);
    let is = [
        ("echo a $ b", "a\n"),
        ("true", ""),
        ("cat x", "1\n\n2 $ 3\n"),
    ];
    assert_eq!(read, is.map(|(a, b)| (a.to_owned(), b.to_owned())));
    let like = |text: &str| likened(text, Path::new("/tmp/x"));
    let page = "run 2 failed\n1 10:09:37 94ms exit 1, then a wait of 1s 20ms (2s ago)\nin /tmp/x\n";
    let same = "run 2 failed\n1 2026-11-22 23:00:00    2ms  exit 1, then a wait of 3ms (just now)\nin /home/u\n";
    assert_eq!(like(page), like(same));
    for (part, wrong) in [
        ("failed", "succeeded"),
        ("exit 1", "exit 2"),
        ("run 2", "run 3"),
    ] {
        assert_ne!(like(page), like(&page.replace(part, wrong)), "{wrong}");
    }
    assert_ne!(like("a\nb\n"), like("a b\n"));
}

#[test]
fn every_recipe_is_executed() {
    let page = readme();
    let shown: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("<!-- recipe: ")?.strip_suffix(" -->"))
        .collect();
    assert_eq!(shown, EXECUTED);
}
