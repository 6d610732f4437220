//! `--stop-if` and `--retry-if`: what is in the output of a failed attempt.

use retrier::model::policy::By;

use super::{Home, submit, why};

/// How much of an output counts.
const TAIL: usize = 64 * 1024;

/// A shell line that writes `before`, then so many bytes `x`, to this descriptor, and fails.
fn says(before: &str, padding: usize, to: u8) -> String {
    format!("{{ printf '{before}'; head -c {padding} /dev/zero | tr '\\0' x; }} >&{to}; exit 3")
}

/// The reason for which a run of this line failed, after its one attempt, and who has decided it.
#[track_caller]
fn verdict(home: &Home, options: &[&str], line: &str) -> (String, By) {
    let options: Vec<&str> = ["--max-failures=0"]
        .iter()
        .chain(options)
        .copied()
        .collect();
    let id = submit(home, &options, line);
    assert_eq!(home.wait(id), 3);
    let reason = home.status(id)["result"]["reason"].clone();
    let reason = reason.as_str().expect("it has failed").to_owned();
    (reason, why(home, id, 1).0)
}

fn stopped(by: By) -> (String, By) {
    ("stopped".to_owned(), by)
}

fn exhausted() -> (String, By) {
    ("exhausted".to_owned(), By::Budget)
}

#[test]
fn a_stop_pattern_is_found_in_stderr_and_in_stdout_between_bytes_that_are_no_text() {
    let home = Home::new();
    let _daemon = home.daemon();
    let stop_if = ["--stop-if", "nothing", "--stop-if", "^fatal: .disk[0-9]$"];
    for to in [1, 2] {
        let found = says("\\377\\n\\000fatal\\nfatal: \\376disk7\\n", 0, to);
        assert_eq!(verdict(&home, &stop_if, &found), stopped(By::StopIf));
        let missed = says("\\377\\n a fatal: \\376disk7\\n", 0, to);
        assert_eq!(verdict(&home, &stop_if, &missed), exhausted());
    }
}

#[test]
fn the_last_64_kib_of_an_output_count_and_nothing_before_them() {
    let home = Home::new();
    let _daemon = home.daemon();
    let word = "fatal";
    let room = TAIL - word.len();
    for to in [1, 2] {
        for (pattern, before, padding, expected) in [
            (word, word, room, stopped(By::StopIf)),
            (word, word, room + 1, exhausted()),
            ("^fatal", "\\nfatal", room, stopped(By::StopIf)),
            ("^fatal", "a fatal", room, exhausted()),
            ("^atal", word, room + 1, exhausted()),
        ] {
            let line = says(before, padding, to);
            let said = verdict(&home, &["--stop-if", pattern], &line);
            assert_eq!(
                said, expected,
                "{pattern} in {before} and {padding} more to {to}"
            );
        }
    }
}

#[test]
fn with_retry_if_only_an_attempt_that_shows_it_is_retried() {
    let home = Home::new();
    let _daemon = home.daemon();
    let retry_if = ["--retry-if", "(?i)connection reset"];
    let other = verdict(&home, &retry_if, &says("no such host\\n", 0, 2));
    assert_eq!(other, stopped(By::RetryIf));
    let wanted = verdict(&home, &retry_if, &says("Connection reset\\n", 0, 2));
    assert_eq!(wanted, exhausted());
    let line = "[ $RETRIER_ATTEMPT = 2 ] || { echo connection reset; exit 1; }";
    let policy = ["--constant=0", "--jitter=0", "--shell", line];
    let id = home.run(retry_if.into_iter().chain(policy));
    assert_eq!(home.wait(id), 0);
    assert_eq!(why(&home, id, 1).0, By::RetryIf);
}

#[test]
fn a_stop_pattern_comes_before_a_retry_pattern_and_a_decision_before_both() {
    let home = Home::new();
    let _daemon = home.daemon();
    let both = ["--stop-if", "a", "--retry-if", "a"];
    assert_eq!(verdict(&home, &both, "echo a; exit 3"), stopped(By::StopIf));
    let line = "[ $RETRIER_ATTEMPT = 2 ] && exit 0
        echo a; echo '{\"retry\":true,\"retry_in\":0}' >$RETRIER_DECISION; exit 3";
    let id = submit(&home, &["--stop-if", "a"], line);
    assert_eq!(home.wait(id), 0);
    assert_eq!(why(&home, id, 1).0, By::Command);
}

#[test]
fn the_output_of_a_success_is_not_looked_at() {
    let home = Home::new();
    let _daemon = home.daemon();
    let id = submit(&home, &["--stop-if", "fatal"], "echo fatal; echo fatal >&2");
    assert_eq!(home.wait(id), 0);
}
