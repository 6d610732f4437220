//! What ARCHITECTURE.md says is shown by a test is shown by one that is there.

use std::env;
use std::fs;
use std::process::Command;

/// The names in the last column of the table below `heading`, with the first column of their row.
fn named(text: &str, heading: &str) -> Vec<(String, String)> {
    let section = text.split(heading).nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|line| {
        line.trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
    });
    let faults = cells.filter(|cells| cells[0].starts_with(|c: char| c.is_ascii_digit()));
    let named = faults.flat_map(|cells| {
        let last = cells.last().copied().unwrap_or_default();
        let names = last.split('`').skip(1).step_by(2).map(str::to_owned);
        let what = cells[0].to_owned();
        names
            .map(move |name| (what.clone(), name))
            .collect::<Vec<_>>()
    });
    named.collect()
}

/// The names that no test of this program begins with.
fn without_test(named: &[(String, String)], tests: &str) -> Vec<String> {
    let is_there = |name: &str| {
        tests
            .lines()
            .any(|test| test.starts_with(&format!("{name}::")))
    };
    let lost = named.iter().filter(|(_, name)| !is_there(name));
    lost.map(|(what, name)| format!("{what}: {name}")).collect()
}

#[test]
fn every_class_of_faults_has_tests_that_are_there() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
    let text = fs::read_to_string(page).expect("it is there");
    let named = named(&text, "## What can go wrong\n");
    let mut numbers: Vec<u32> = Vec::new();
    for (what, _) in &named {
        let number = what
            .split('.')
            .next()
            .and_then(|number| number.parse().ok());
        numbers.push(number.unwrap_or_else(|| panic!("no number: {what}")));
    }
    numbers.dedup();
    assert_eq!(numbers, (1..=48).collect::<Vec<_>>());
    let own = env::current_exe().expect("a test is a program");
    let listed = Command::new(own)
        .arg("--list")
        .output()
        .expect("it lists its tests");
    let tests = String::from_utf8(listed.stdout).expect("names are text");
    assert_eq!(without_test(&named, &tests), [""; 0]);
}

#[test]
fn a_name_of_no_test_is_found() {
    let table = "## A\n\n| what | where | shown by |\n|---|---|---|\n| 1. x | y | `cancel`, `nothing::at_all` |\n";
    let found = without_test(
        &named(table, "## A\n"),
        "cancel::holds: test\ncancelled::no: test\n",
    );
    assert_eq!(found, ["1. x: nothing::at_all"]);
}
