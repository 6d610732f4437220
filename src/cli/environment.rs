//! The environment that a run keeps of its caller: all of it, some of it, or next to nothing.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::model::Environment;
use crate::sys::files::own_user;
use crate::sys::manager;
use crate::sys::spawn::path_bytes;

use super::args::RunArgs;

/// What retrier tells a command, and an outer run's command must not hand on to an inner run.
const OURS: &[&str] = &[
    "RETRIER_RUN_ID",
    "RETRIER_ATTEMPT",
    "RETRIER_MAX_ATTEMPTS",
    "RETRIER_LAST_ATTEMPT",
    "RETRIER_IDEMPOTENCY_KEY",
    "RETRIER_PREVIOUS_OUTCOME",
    "RETRIER_DB",
    "RETRIER_DECISION",
    "RETRIER_PARENT_ID",
    "RETRIER_RESULT",
];

/// What is kept whatever else is left out: few commands do without.
const BARE: [&str; 4] = ["HOME", "USER", "SHELL", "PATH"];

/// The environment that `args` ask for.
pub fn of(args: &RunArgs) -> Environment {
    let all = || env::vars_os().map(|(key, value)| (key.into_vec(), value.into_vec()));
    let not_its = OURS.iter().chain(&manager::VARIABLES);
    let ours = |key: &[u8]| not_its.clone().any(|name| name.as_bytes() == key);
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = if args.no_env {
        bare()
    } else if args.env_only.is_empty() {
        all().filter(|(key, _)| !ours(key)).collect()
    } else {
        let bare = bare();
        let is_bare = |key: &[u8]| bare.iter().any(|(other, _)| other == key);
        let is_named = |key: &[u8]| args.env_only.iter().any(|names| names.name(key));
        let named = all().filter(|(key, _)| is_named(key) && !ours(key) && !is_bare(key));
        let named: Vec<_> = named.collect();
        bare.into_iter().chain(named).collect()
    };
    for (key, value) in &args.env {
        pairs.retain(|(other, _)| other != key);
        pairs.push((key.clone(), value.clone()));
    }
    let mut environment = Environment::default();
    for (key, value) in &pairs {
        environment.push(key, value);
    }
    environment
}

/// HOME, USER, SHELL and PATH, from the caller or else from the user database.
fn bare() -> Vec<(Vec<u8>, Vec<u8>)> {
    let user = own_user();
    let known = |key: &str| match (key, &user) {
        ("HOME", Some(user)) => Some(path_bytes(&user.dir)),
        ("USER", Some(user)) => Some(user.name.clone().into_bytes()),
        ("SHELL", Some(user)) => Some(path_bytes(&user.shell)),
        ("PATH", _) => Some(b"/usr/local/bin:/usr/bin:/bin".to_vec()),
        _ => None,
    };
    let value = |key: &str| {
        env::var_os(key)
            .map(OsString::into_vec)
            .or_else(|| known(key))
    };
    let pairs = BARE
        .into_iter()
        .filter_map(|key| Some((key.as_bytes().to_vec(), value(key)?)));
    pairs.collect()
}
