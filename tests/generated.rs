//! The committed completions and manual pages are what the program makes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use retrier::cli::args::Shell;
use retrier::cli::generate::{completions, man_pages};

use crate::support::{Home, assert_generated};

#[test]
fn completions_are_what_the_program_makes() {
    for (shell, name, file) in [
        (Shell::Bash, "bash", "completions/retrier.bash"),
        (Shell::Zsh, "zsh", "completions/_retrier"),
        (Shell::Fish, "fish", "completions/retrier.fish"),
    ] {
        assert_generated(file, completions(shell));
        let home = Home::new();
        let printed = home.retrier(["completions", name]).output().ok();
        assert_eq!(printed.stdout, completions(shell));
    }
}

#[test]
fn manual_pages_are_what_the_program_makes() {
    let pages = man_pages().expect("pages are made in memory");
    let mut names = BTreeSet::new();
    for (name, page) in &pages {
        assert_generated(&format!("man/{name}"), page);
        names.insert(name.clone());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let found = fs::read_dir(folder).expect("the folder of manual pages is there");
    let found = found.map(|entry| entry.expect("it is listed").file_name());
    let found: BTreeSet<String> = found
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        found, names,
        "a page of a verb that is gone, or one is missing"
    );
    assert!(names.contains("retrier-run.1"), "{names:?}");
}
