//! The values of an environment are nobody's business but the command's: whatever happens, none is
//! printed or logged.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::Home;

/// The value that is looked for.
const MARK: &str = "mArKeR-0f-A-s3cReT";

/// Every file below a folder that holds the marker.
fn holders(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holders(&path));
        } else if fs::read(&path).is_ok_and(|bytes| holds(&bytes)) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}

fn holds(bytes: &[u8]) -> bool {
    bytes
        .windows(MARK.len())
        .any(|part| part == MARK.as_bytes())
}

/// Calls with the marker in the environment, and asserts that nothing of it is printed.
#[track_caller]
fn call(home: &Home, args: &[&str], envs: &[(&str, &str)]) -> (i32, String) {
    let call = home.retrier(args).env("PASSWORD", MARK).env(MARK, MARK);
    let call = call.env("RETRIER_LOG_LEVEL", "DEBUG");
    let call = envs
        .iter()
        .fold(call, |call, (name, value)| call.env(name, value));
    let said = call.limit(Duration::from_secs(60)).output();
    assert!(!holds(&said.stdout), "{args:?}: {}", said.text());
    assert!(!holds(&said.stderr), "{args:?}: {}", said.error_text());
    assert_ne!(said.code, 101, "{args:?}: {}", said.error_text());
    (said.code, said.error_text())
}

/// What can go wrong with a run, or right.
const RUNS: [&[&str]; 12] = [
    &["--", "true"],
    &["--max-failures=0", "--", "false"],
    &["--no-check", "--max-failures=0", "--", "/no/such/program"],
    &[
        "--no-check",
        "--max-failures=0",
        "--cwd=/no/such/folder",
        "--",
        "true",
    ],
    &[
        "--max-failures=0",
        "--timeout=100ms",
        "--grace=0",
        "--",
        "sleep",
        "600",
    ],
    &[
        "--max-failures=0",
        "--deadline=100ms",
        "--grace=0",
        "--",
        "sleep",
        "600",
    ],
    &["--max-failures=0", "--shell", "kill -9 $$"],
    &[
        "--max-failures=1",
        "--constant=0",
        "--decide=echo nonsense",
        "--",
        "false",
    ],
    &["--decide=exit 9", "--max-failures=0", "--", "false"],
    &[
        "--max-failures=0",
        "--shell",
        "echo '{nonsense' >\"$RETRIER_DECISION\"; exit 1",
    ],
    &["--on-complete=:", "--", "true"],
    &[
        "--env-only=PASSWORD",
        "--key=k",
        "--lock=l",
        "--name=n",
        "--",
        "true",
    ],
];

/// Verbs that tell of what is stored, or complain.
const TOLD: [&[&str]; 24] = [
    &["list"],
    &["list", "--json"],
    &["stats"],
    &["stats", "--json"],
    &["stats", "--prometheus"],
    &["pool", "list"],
    &["pool", "list", "--json"],
    &["daemon", "status"],
    &["explain"],
    &["explain", "--json"],
    &["wait", "1", "2", "3"],
    &["wait", "--all"],
    &["run", "--", "/no/such/program"],
    &["run", "--cwd=/no/such/folder", "--", "true"],
    &["run", "--stdin=/no/such/file", "--", "true"],
    &["run", "--at=never", "--", "true"],
    &["run", "--no-such-option", "--", "true"],
    &["run", "--env", "A", "--", "true"],
    &["run", "--env-only=A=", "--", "true"],
    &["run", "--pool=none", "--", "true"],
    &["retry", "1"],
    &["cancel", "1"],
    &["status", "999"],
    &["cleanup", "999"],
];

#[test]
fn no_value_of_an_environment_is_printed_or_logged() {
    let home = Home::new();
    for run in RUNS {
        let args = [&["run", "--no-daemon-start"], run].concat();
        assert_eq!(call(&home, &args, &[]).0, 0, "{run:?}");
    }
    let (code, log) = call(&home, &["daemon", "--until-idle"], &[]);
    assert!(code == 0 && log.contains("DEBUG"), "{log}");
    for id in 1..=RUNS.len() {
        let id = id.to_string();
        for verb in ["status", "explain", "events"] {
            call(&home, &[verb, &id], &[]);
            call(&home, &[verb, "--json", &id], &[]);
        }
        call(&home, &["logs", &id], &[]);
        call(&home, &["wait", "--json", &id], &[]);
    }
    for args in TOLD {
        call(&home, args, &[]);
    }
    // An auto-started daemon and the client that waits.
    call(&home, &["run", "--wait", "--", "true"], &[]);
    call(&home, &["retry", "2"], &[]);
    call(&home, &["daemon", "stop"], &[]);
    // The database keeps it, for the next attempt; its log may too. Nothing else does.
    let keep = |name: &String| name.starts_with("retrier.db") && !name.contains("log");
    let found = holders(&home.path(""));
    assert!(!found.is_empty() && found.iter().all(keep), "{found:?}");
}

/// A longer value than the kernel takes is refused by its name; an order that cannot be sent, a disk that
/// fails and a shim that is killed are told of without it.
#[test]
fn no_value_of_an_environment_is_told_of_when_retrier_itself_fails() {
    let home = Home::new();
    let crashes = [
        "store_identifying:1:err=EIO",
        "store_sync:1:err=EIO",
        "store_migrating:1:err=ENOSPC",
    ];
    for crash in crashes {
        call(
            &home,
            &["run", "--no-daemon-start", "--", "true"],
            &[("RETRIER_CRASH", crash)],
        );
    }
    let fields = serde_json::json!({
        "shell": "true",
        "env": { "LONG": format!("{MARK}{}", "x".repeat(140_000)) },
    });
    let long = home.retrier(["run", "--no-daemon-start", "--batch", "-"]);
    let long = long.stdin(fields.to_string()).output().exits(2);
    assert!(long.error_text().contains("LONG") && !holds(&long.stderr));
    let wrong = [
        "{\"shell\": \"true\", \"env\": {\"=\": \"MARK\"}}",
        "{\"env\": {\"A\": \"MARK\"}}",
        "{\"shell\": \"true\", \"env\": [\"=MARK\"]}",
    ];
    for line in wrong {
        let refused = home.retrier(["run", "--batch", "-"]);
        let refused = refused.stdin(line.replace("MARK", MARK)).output().exits(2);
        assert!(!holds(&refused.stderr), "{}", refused.error_text());
    }
    // Without a name before it, it may be a value.
    for option in ["--env", "--env-only"] {
        let given = format!("{option}=={MARK}");
        let refused = home
            .retrier(["run", &given, "--", "true"])
            .output()
            .exits(2);
        assert!(!holds(&refused.stderr), "{}", refused.error_text());
    }
}
