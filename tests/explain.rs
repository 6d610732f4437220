//! `explain`: what a policy comes to before anything runs, and why a run is where it is.

mod plan;
mod states;
mod stories;
mod told;
mod translation;

use serde_json::Value;

use crate::support::Home;

/// The line of `explain ID`, which is also the one of `status ID` and of `explain --json ID`.
///
/// What is counted from now on (`in 3s`, `for 3s`) may differ from one call to the next, and is compared up to there.
#[track_caller]
fn line(home: &Home, id: i64) -> String {
    let id = id.to_string();
    let asked = |args: &[&str]| home.retrier(args).output().ok();
    let line = asked(&["explain", &id]).text();
    assert_eq!(line.lines().count(), 1, "{line}");
    let page = asked(&["status", &id]).text();
    let in_page = page
        .lines()
        .find_map(|line| line.strip_prefix("why       "));
    assert_eq!(in_page.map(untimed), Some(untimed(&line)), "{page}");
    let json = asked(&["explain", "--json", &id]).json();
    assert_eq!(json["why"].as_str().map(untimed), Some(untimed(&line)));
    line
}

fn untimed(line: &str) -> (&str, Option<&str>) {
    match line.find(" in ").or(line.find(", for ")) {
        None => (line, None),
        Some(at) => (
            &line[..at],
            line[at + 5..].split_once([',', ';']).map(|(_, rest)| rest),
        ),
    }
}

/// What `explain --json` says of a run.
#[track_caller]
fn json(home: &Home, id: i64) -> Value {
    let call = home.retrier(["explain", "--json", &id.to_string()]);
    call.output().ok().json()
}

#[test]
fn a_run_that_is_not_there_exits_3_with_and_without_a_database() {
    let home = Home::new();
    for args in [["explain", "17"].as_slice(), &["explain", "--json", "17"]] {
        let missing = home.retrier(args).output().exits(3);
        assert!(missing.stdout.is_empty());
        assert!(missing.error_text().contains("no run 17"), "{missing:?}");
    }
    home.run(["--no-daemon-start", "--", "true"]);
    home.retrier(["explain", "2"]).output().exits(3);
}

#[test]
fn a_run_and_a_policy_are_not_explained_in_one_call() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    for wrong in [
        "1 --max-failures 3",
        "1 --forever",
        "--jitter 0 1",
        "--grace 1s 1",
        "--limit 3 1",
        "1 2",
        "0",
        "--limit -1",
        "--base 0.5",
        "--jitter 2",
        "--constant x",
        "--forever --max-failures 3",
        "-- true",
    ] {
        let args = ["explain"].into_iter().chain(wrong.split(' '));
        let refused = home.retrier(args).output().exits(2);
        assert!(refused.stdout.is_empty(), "{wrong}");
    }
    let given = home.retrier(["explain", "1", "--constant", "3"]).output();
    let told = given.exits(2).error_text();
    assert!(
        told.contains("--constant") && !told.contains("--linear"),
        "{told}"
    );
}

/// Defaults that somebody keeps in the environment are no options that were given.
#[test]
fn defaults_of_the_environment_do_not_keep_a_run_from_being_explained() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let call = home.retrier(["explain", "1"]);
    let call = call.env("RETRIER_DEFAULT_MAX_FAILURES", "3");
    call.env("RETRIER_DEFAULT_CONSTANT", "1s").output().ok();
}
