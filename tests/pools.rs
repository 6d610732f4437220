//! `retrier pool` and `run --pool`: what is set, what is shown, what it does to runs, and who is refused.

mod life;
mod listing;
mod pending;
mod policies;
mod races;
mod settings;

use serde_json::Value;

use crate::support::{Home, Output};

/// A call of `retrier pool` with these words.
#[track_caller]
fn pool(home: &Home, words: &str) -> Output {
    home.retrier(["pool"].into_iter().chain(words.split_whitespace()))
        .output()
}

/// What `pool list --json` says, by lines.
#[track_caller]
fn listed(home: &Home) -> Vec<Value> {
    let text = pool(home, "list --json").ok().text();
    let line = |line: &str| serde_json::from_str(line).expect("a JSON object per line");
    text.lines().map(line).collect()
}

/// What it says of one pool.
#[track_caller]
fn shown(home: &Home, name: &str) -> Value {
    let found = listed(home).into_iter().find(|pool| pool["name"] == name);
    found.unwrap_or_else(|| panic!("no pool {name}"))
}

/// Asserts that a call was refused with this code and this on stderr, and printed nothing.
#[track_caller]
fn assert_refused(output: Output, code: i32, words: &str) {
    let output = output.exits(code);
    assert_eq!(output.text(), "");
    let said = output.error_text();
    assert!(said.contains(words), "not {words:?}: {said}");
    assert!(said.contains("error: "), "{said}");
}
