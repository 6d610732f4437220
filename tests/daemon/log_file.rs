//! `daemon.log` of a detached daemon: it is put away when it is long, and no line is lost.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::crash::tools::LONG;
use crate::support::{Home, wait_until};

const MAX: usize = 10 << 20;

/// A home with a log of so many bytes that earlier daemons have written.
fn with_log(bytes: usize) -> (Home, PathBuf, PathBuf) {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let log = home.path("retrier.db.d/daemon.log");
    let old = home.path("retrier.db.d/daemon.log.1");
    grow(&log, bytes);
    (home, log, old)
}

/// Appends to the log, for its owner alone as a daemon has made it.
fn grow(log: &PathBuf, bytes: usize) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .expect("the log can be written");
    file.set_permissions(Permissions::from_mode(0o600))
        .expect("it is ours");
    let line = [&[b'.'; 99][..], b"\n"].concat();
    let text = line.repeat(bytes / 100 + 1);
    file.write_all(&text[..bytes]).expect("there is room");
}

fn detach(home: &Home) {
    home.retrier(["daemon", "--detach"]).output().ok();
}

fn stop(home: &Home) {
    home.retrier(["daemon", "stop"]).output().ok();
}

fn text(path: &PathBuf) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn no_line_is_lost_while_a_log_is_put_away() {
    const RUNS: usize = 30;
    let (home, log, old) = with_log(MAX - 1500);
    detach(&home);
    for _ in 1..RUNS {
        home.run(["--", "true"]);
    }
    home.retrier(["wait", "--all"]).output().ok();
    stop(&home);
    let (new, old_text) = (text(&log), text(&old));
    assert!(!new.is_empty() && old_text.starts_with("....."));
    let length = old_text.len();
    assert!(length > MAX && length < MAX + 1000, "{length}");
    let all = old_text + &new;
    for run in 1..=RUNS {
        let lines = all.matches(&format!(" run {run} succeeded,")).count();
        assert_eq!(lines, 1, "run {run}");
    }
    assert!(
        all.lines()
            .all(|line| line.starts_with("..") || line.starts_with("20"))
    );
    for path in [&log, &old] {
        let mode = fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_log_that_was_long_before_is_put_away_at_once_and_one_old_one_is_kept() {
    let (home, log, old) = with_log(MAX + 1);
    for round in 1..=2 {
        grow(&log, 100 * round);
        let before = text(&log);
        detach(&home);
        let (now, put_away) = (text(&log), text(&old));
        assert!(put_away.starts_with(&before), "round {round}");
        assert!(!now.contains("...."), "round {round}");
        let id = home.run(["--", "true"]);
        assert_eq!(home.wait(id), 0);
        let told = format!("run {id} succeeded");
        wait_until("it is logged", LONG, || text(&log).contains(&told));
        stop(&home);
        grow(&log, MAX);
    }
}

#[test]
fn a_short_log_goes_on_and_a_log_that_cannot_be_put_away_grows() {
    let (home, log, old) = with_log(MAX - 100_000);
    detach(&home);
    assert_eq!(home.wait(1), 0);
    stop(&home);
    assert!(!old.exists() && text(&log).contains("run 1 succeeded"));
    grow(&log, 200_000);
    // A folder is no file that could be replaced.
    fs::create_dir(&old).expect("a folder of the test");
    detach(&home);
    let id = home.run(["--", "true"]);
    assert_eq!(home.wait(id), 0);
    stop(&home);
    assert!(old.is_dir() && text(&log).contains(&format!("run {id} succeeded")));
}

/// Whoever has sent it there wants it to stay there.
#[test]
fn the_stderr_of_a_daemon_in_the_foreground_is_left_alone() {
    let (home, log, old) = with_log(MAX + 1);
    let line = "exec retrier daemon --until-idle 2>>\"$RETRIER_DB.d/daemon.log\"";
    home.sh(line).output().ok();
    assert!(text(&log).contains("run 1 succeeded") && !old.exists());
}

/// Its starter makes the file, and somebody removes it: nothing is put in its place.
#[test]
fn a_log_that_somebody_has_removed_is_not_made_again() {
    let (home, log, old) = with_log(0);
    detach(&home);
    fs::remove_file(&log).expect("it is there");
    let id = home.run(["--", "true"]);
    assert_eq!(home.wait(id), 0);
    stop(&home);
    // A shim may have been started with a new one.
    assert!(!text(&log).contains("succeeded") && !old.exists());
}
