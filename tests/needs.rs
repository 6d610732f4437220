//! The last lines of a test run: what this machine could not test, and what to install for it.
//!
//! Without a test harness of its own, and with any arguments ignored, so that a filtered run ends with them too.
//! A missing need is a note; with `CI=true` it is a failure.
#![expect(
    clippy::print_stdout,
    reason = "its printed lines are all that this program is for"
)]

#[path = "support/needs.rs"]
#[allow(dead_code, reason = "`skip` is for the other tests")]
mod needs;

use std::process::ExitCode;

use needs::Need;

fn main() -> ExitCode {
    let unmet: Vec<Need> = Need::ALL.into_iter().filter(|need| !need.met()).collect();
    for need in &unmet {
        println!("not tested on this machine: {}", need.missing());
    }
    if unmet.is_empty() {
        println!("every test of this machine ran");
    } else if needs::ci() {
        println!("CI=true: a machine of CI must be able to run every test");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
