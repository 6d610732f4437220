//! Policies: which outcomes are a success, which are retried, after which waits, and where the options come from.

mod conditions;
mod defaults;
mod options;

use serde_json::Value;

use crate::support::{Call, Home};

/// `retrier run ARGS -- true`, without starting a daemon.
fn submit(home: &Home, args: &[&str]) -> Call {
    let call = home.retrier(["run", "--no-daemon-start"].iter().chain(args));
    call.arg("--").arg("true")
}

/// The policy of the run that this call stores.
#[track_caller]
fn policy_of(home: &Home, call: Call) -> Value {
    let id = call.output().ok().text();
    home.status(id.parse().expect("an id"))["policy"].take()
}

/// The policy that these options give.
#[track_caller]
fn policy(home: &Home, args: &[&str]) -> Value {
    policy_of(home, submit(home, args))
}

/// What stderr says about a call that is wrong usage.
#[track_caller]
fn refused(call: Call) -> String {
    let output = call.output().exits(2);
    assert_eq!(output.text(), "");
    let text = output.error_text();
    assert!(text.contains("error: "), "{text}");
    text
}

#[track_caller]
fn assert_nothing_stored(home: &Home) {
    assert_eq!(home.retrier(["list"]).output().ok().text(), "");
}
