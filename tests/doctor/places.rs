//! What stands where the database and its folder are looked for: nothing, or something else.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::Home;

use super::found;

/// Whoever has mistyped a path would take it that nothing is wrong there.
#[test]
fn that_there_is_no_database_is_said_to_whoever_asks() {
    let home = Home::new();
    let typo = home.path("typo.db");
    let call = home.retrier(["doctor"]).env("RETRIER_DB", &typo);
    let said = call.output().ok();
    assert_eq!(said.text(), "");
    let expected = format!(
        "retrier: nothing is wrong: there is no database at {}",
        typo.display()
    );
    assert_eq!(said.error_text().trim_end(), expected);
    assert!(!typo.exists());
}

/// The next daemon could not say a word there, and whoever looked inside would wait for a writer.
#[test]
fn what_stands_in_the_place_of_a_file_or_a_folder_is_named() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    let log = home.path("retrier.db.d/daemon.log");
    let mode = Mode::from_bits_truncate(0o600);
    mkfifo(&log, mode).expect("there is room");
    let logs = home.path("retrier.db.d/logs");
    symlink("/nowhere", &logs).expect("there is room");
    let found = found(&home);
    // A test that fails reads the log.
    fs::remove_file(&log).expect("it is ours");
    let told = |part: &str| {
        found
            .iter()
            .any(|line| line.starts_with("error files: ") && line.contains(part))
    };
    assert!(
        found.len() == 3 && told("daemon.log is no regular file") && told("logs is no folder"),
        "{found:#?}"
    );
}
