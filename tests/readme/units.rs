//! The systemd timer of the README: systemd finds nothing wrong with it, and its line does what it says.

use std::fs;

use super::{Kitchen, with};
use crate::support::{Home, Need, readme_block, skip};

#[test]
fn the_units_are_what_systemd_takes() {
    if skip(Need::SystemdAnalyze) {
        return;
    }
    let home = Home::new();
    let program = env!("CARGO_BIN_EXE_retrier");
    let service = with(
        &readme_block("recipe: service"),
        &[("%h/.cargo/bin/retrier", program)],
    );
    let [unit, timer] = ["backup.service", "backup.timer"].map(|name| home.path(name));
    let verify = |service: &str, timed: &str| {
        fs::write(&unit, service).unwrap();
        fs::write(&timer, timed).unwrap();
        let line = format!(
            "exec systemd-analyze verify --user '{}' '{}'",
            unit.display(),
            timer.display()
        );
        let output = home.sh(line).env("XDG_RUNTIME_DIR", home.path("")).output();
        (output.code, output.text() + &output.error_text())
    };
    let fine = (0, String::new());
    let timed = readme_block("recipe: timer");
    assert_eq!(verify(&service, &timed), fine);
    // It looks.
    let wrong = with(&service, &[("Type=oneshot", "Type=once")]);
    assert_ne!(verify(&wrong, &timed), fine);
    let wrong = with(&timed, &[("01:30:00", "25:30:00")]);
    assert_ne!(verify(&service, &wrong), fine);
}

#[test]
fn the_line_of_the_unit_waits_for_its_run_and_retries_it() {
    let kitchen = Kitchen::new(Home::new());
    kitchen.program("restic", "test \"$RETRIER_ATTEMPT\" -ge 2 || exit 3");
    let service = readme_block("recipe: service");
    let line = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let changes = [("%h/.cargo/bin/retrier", "retrier"), ("%h", "\"$HOME\"")];
    let line = with(line.unwrap(), &changes);
    let output = kitchen.sh(&line).output().ok();
    assert_eq!(output.error_text(), "");
    let call = format!("restic backup {}", kitchen.home.path("home").display());
    assert_eq!(kitchen.calls(), [call.clone(), call]);
}
