//! Lines that are JSON objects: each option of `run` means the same in both forms, and a line counts before the command
//! line.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;

use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use serde_json::{Value, json};

use super::{batch, command, stored};
use crate::support::Home;

/// Options of the call and not of a run, and those that have cases of their own.
const NOT_OF_A_LINE: [&str; 14] = [
    "batch",
    "color",
    "db",
    "help",
    "if-exists",
    "json",
    "no-daemon-start",
    "quiet",
    "quiet-success",
    "shell",
    "stream",
    "template",
    "version",
    "wait",
];

/// Where the key stands in [`row`].
const KEY: usize = 12;

/// Everything that is stored of a run, but for its times and its seed.
fn row(home: &Home, id: i64) -> Vec<Sql> {
    let columns = "state, delay_ms, iif(delay_ms IS NULL, due_at, due_at - created_at), deadline_at - created_at, \
                   policy, command, cwd, umask, environment_id, stdin_id, name, on_complete, key, priority, pool, lock";
    let db = Connection::open(home.db()).expect("it is there");
    let sql = format!("SELECT {columns} FROM run WHERE id = ?1");
    db.query_row(&sql, [id], |row| (0..16).map(|n| row.get(n)).collect())
        .expect("the run is stored")
}

/// Fields of a run itself, and the options that say the same.
fn of_the_run(input: &str) -> Vec<(Value, Vec<&str>)> {
    let env = json!({"A": "1", "B": "x=y"});
    let bytes = json!({"A": {"base64": "YQ=="}});
    vec![
        (json!({"cwd": "/tmp"}), vec!["--cwd=/tmp"]),
        (json!({"env": env}), vec!["--env=A=1", "--env=B=x=y"]),
        (json!({"env": ["B=1", "A="]}), vec!["--env=B=1", "--env=A="]),
        (
            json!({"env": bytes, "no_env": true}),
            vec!["--no-env", "--env=A=a"],
        ),
        (
            json!({"env_only": ["HOME", "LC_*"]}),
            vec!["--env-only=HOME,LC_*"],
        ),
        (json!({"stdin": input}), vec!["--stdin", input]),
        (json!({"name": "a \"name\""}), vec!["--name", "a \"name\""]),
        (
            json!({"key": "k", "once": true}),
            vec!["--key", "k2", "--once"],
        ),
        (json!({"delay": 90}), vec!["--delay=90"]),
        (json!({"delay": "1h 30m"}), vec!["--delay=90m"]),
        (
            json!({"at": "2099-01-31T23:59:59+01:00"}),
            vec!["--at=2099-01-31T22:59:59Z"],
        ),
        (json!({"priority": -3}), vec!["--priority=-3"]),
        (json!({"pool": "default"}), vec!["--pool=default"]),
        (json!({"lock": "l"}), vec!["--lock=l"]),
        (
            json!({"on_complete": "echo done"}),
            vec!["--on-complete", "echo done"],
        ),
        (json!({"no_check": true}), vec!["--no-check"]),
        (
            json!({"lock": null, "once": false, "no_env": false}),
            vec![],
        ),
    ]
}

/// The same of its policy.
fn of_the_policy() -> Vec<(Value, Vec<&'static str>)> {
    vec![
        (json!({"max_failures": 9}), vec!["--max-failures=9"]),
        (json!({"retries": 9}), vec!["--retries=9"]),
        (json!({"max_attempts": 9}), vec!["--max-attempts=9"]),
        (json!({"forever": true}), vec!["--forever"]),
        (json!({"forever": false}), vec!["--forever=false"]),
        (json!({"retry_after": true}), vec!["--retry-after"]),
        (
            json!({"initial_backoff": "1s"}),
            vec!["--initial-backoff=1"],
        ),
        (
            json!({"base": 1.5, "jitter": 0}),
            vec!["--base=1.5", "--jitter=0"],
        ),
        (
            json!({"constant": 2, "linear": "3s"}),
            vec!["--constant=2s", "--linear=3"],
        ),
        (json!({"max_backoff": 60.5}), vec!["--max-backoff=60500ms"]),
        (json!({"delays": ["1s", 5, "1m"]}), vec!["--delays=1,5,60"]),
        (json!({"delays": "1s,5s"}), vec!["--delays=1,5"]),
        (
            json!({"timeout": "5m", "grace": 1}),
            vec!["--timeout=300", "--grace=1s"],
        ),
        (json!({"deadline": "1d"}), vec!["--deadline=24h"]),
        (json!({"max_output": 1_048_576}), vec!["--max-output=1M"]),
        (json!({"max_output": "2M"}), vec!["--max-output=2MiB"]),
        (
            json!({"success_codes": [0, 24]}),
            vec!["--success-codes=0,24"],
        ),
        (
            json!({"retry_on": [75, "100-110", "SIGKILL"]}),
            vec!["--retry-on=75,100-110,SIGKILL"],
        ),
        (json!({"stop_on": 2}), vec!["--stop-on=2"]),
        (
            json!({"retry_if": ["a", "b"]}),
            vec!["--retry-if=a", "--retry-if=b"],
        ),
        (json!({"stop_if": "a,b"}), vec!["--stop-if=a,b"]),
        (json!({"decide": "jq ."}), vec!["--decide=jq ."]),
    ]
}

#[test]
fn each_field_means_what_its_option_means() {
    let home = Home::new();
    let input = home.path("input").display().to_string();
    fs::write(&input, "input").unwrap();
    let mut seen = BTreeSet::new();
    for (mut fields, options) in [of_the_run(&input), of_the_policy()].concat() {
        seen.extend(
            fields
                .as_object()
                .unwrap()
                .keys()
                .map(|name| name.replace('_', "-")),
        );
        fields["command"] = json!(["echo", "a b", "--name", ""]);
        let by_line = batch(&home, fields.to_string(), &[]).ok().text();
        let words = ["--", "echo", "a b", "--name", ""];
        let by_options = home.run(["--no-daemon-start"].iter().chain(&options).chain(&words));
        let mut rows = [row(&home, by_line.parse().unwrap()), row(&home, by_options)];
        if options.contains(&"k2") {
            // Two runs cannot have the same one.
            let keys = [&rows[0][KEY], &rows[1][KEY]];
            assert_eq!(keys, [&Sql::Text("k".into()), &Sql::Text("k2".into())]);
            rows[0][KEY] = rows[1][KEY].clone();
        }
        assert_eq!(rows[0], rows[1], "{fields}");
    }
    let verb = retrier::cli::args::command();
    let run = verb.find_subcommand("run").unwrap();
    let options = run.get_arguments().filter_map(clap::Arg::get_long);
    let missing: Vec<&str> = options
        .filter(|name| !seen.contains(*name) && !NOT_OF_A_LINE.contains(name))
        .collect();
    assert_eq!(missing, [""; 0], "options without a case");
    let by_line = batch(&home, "{\"shell\": \"echo $X\"}", &[]).ok().text();
    let by_option = home.run(["--no-daemon-start", "--shell", "echo $X"]);
    assert_eq!(row(&home, by_line.parse().unwrap()), row(&home, by_option));
}

#[test]
fn what_a_line_says_counts_before_the_command_line() {
    let home = Home::new();
    let base = [
        "--name=base",
        "--max-failures=7",
        "--constant=9s",
        "--timeout=60",
        "--priority=5",
        "--lock=base",
        "--delay=1h",
        "--cwd=/",
        "--env=A=base",
        "--env=B=base",
        "--no-env",
        "--no-check",
    ];
    let fields = json!({
        "shell": "true", "name": "own", "max_attempts": 2, "delays": ["1s"], "priority": 0, "lock": "own",
        "at": "2099-01-01T00:00:00Z", "env": {"A": "own"}, "cwd": "/tmp",
    });
    let id = batch(&home, fields.to_string(), &base).ok().text();
    let same = [
        "--no-daemon-start",
        "--name=own",
        "--max-attempts=2",
        "--delays=1s",
        "--timeout=60",
        "--lock=own",
        "--at=2099-01-01T00:00:00Z",
        "--cwd=/tmp",
        "--env=B=base",
        "--env=A=own",
        "--no-env",
        "--shell=true",
    ];
    let expected = home.run(same);
    assert_eq!(row(&home, id.parse().unwrap()), row(&home, expected));
    // A switch can be turned off again.
    let off = "{\"command\": [\"no-such-program-here\"], \"no_check\": false}";
    batch(&home, off, &base).exits(127);
    // One line does not change the next.
    let lines = format!("{fields}\n{{\"shell\": \"true\"}}\nfalse\n");
    let told = batch(&home, lines, &base).ok().text();
    for id in told.lines().skip(1) {
        let run = home.status(id.parse().unwrap());
        let shown = [
            &run["name"],
            &run["priority"],
            &run["lock"],
            &run["cwd"],
            &run["policy"]["max_failures"],
        ];
        assert_eq!(json!(shown), json!(["base", 5, "base", "/", 7]));
    }
}

#[test]
fn variables_count_below_both() {
    let home = Home::new();
    let lines = "{\"shell\": \"true\"}\ntrue\n{\"shell\": \"true\", \"max_failures\": 1}\n";
    let args = ["run", "--no-daemon-start", "--batch", "-", "--timeout=5"];
    let call = home.retrier(args).stdin(lines);
    let call = call
        .env("RETRIER_DEFAULT_MAX_ATTEMPTS", "9")
        .env("RETRIER_DEFAULT_TIMEOUT", "60");
    assert_eq!(call.output().ok().text(), "1\n2\n3");
    let policy = |id: i64| {
        let policy = home.status(id)["policy"].clone();
        (policy["max_failures"].clone(), policy["timeout_ms"].clone())
    };
    for (id, max) in [(1, 8), (2, 8), (3, 1)] {
        assert_eq!(policy(id), (json!(max), json!(5000)));
    }
}

#[test]
fn words_can_be_bytes_as_status_prints_them() {
    let home = Home::new();
    let fields = "{\"command\": [\"echo\", {\"base64\": \"//4=\"}]}";
    batch(&home, fields, &[]).ok();
    assert_eq!(command(&home, 1), json!(["echo", {"base64": "//4="}]));
}

/// Asserts that a line with these fields, or this shell line and these fields, is refused for this reason, and nothing is
/// stored.
#[track_caller]
fn assert_refused(home: &Home, mut fields: Value, why: &str) {
    if fields["command"].is_null() {
        fields["shell"] = json!("true");
    }
    let refused = batch(home, format!("true\n{fields}\n"), &[]);
    let said = refused.error_text();
    assert!(refused.code == 2 || refused.code == 1, "{said}");
    let named = said.contains("error: standard input, line 2: ") && said.contains(why);
    assert!(named, "{fields}: {said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert_eq!(stored(home), 0);
}

#[test]
fn what_is_no_option_of_a_line_is_refused_by_name() {
    let home = Home::new();
    for name in [
        "batch",
        "if_exists",
        "json",
        "no_daemon_start",
        "quiet",
        "stream",
        "template",
        "wait",
    ] {
        let why = format!("line 2: {name}: it is for the whole batch");
        assert_refused(&home, json!({name: true}), &why);
    }
    for name in ["db", "colour", "help", "version", "command_line", ""] {
        let why = format!("line 2: {name}: `run` has no such option");
        assert_refused(&home, json!({name: "x"}), &why);
    }
    assert_refused(
        &home,
        json!({"max-failures": 1}),
        "max-failures: a field is written with _",
    );
}

#[test]
fn a_value_that_cannot_be_meant_is_refused() {
    let home = Home::new();
    let pipe = home.path("pipe").display().to_string();
    nix::unistd::mkfifo(OsStr::new(&pipe), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let at = "2099-01-01T00:00:00Z";
    for (fields, why) in [
        (
            json!({"max_failures": "x"}),
            "invalid value 'x' for '--max-failures <N>'",
        ),
        (
            json!({"max_failures": [1]}),
            "max-failures: it takes one value",
        ),
        (json!({"no_env": "yes"}), "no-env: it must be true or false"),
        (
            json!({"name": {"a": 1}}),
            "name: it must be a string or a number",
        ),
        (json!({"env": {"A": 1}}), "env: a value must be a string"),
        (
            json!({"env": {"A=B": "1"}}),
            "env: 'A=B' cannot be the name",
        ),
        (json!({"env": {"": "1"}}), "env: '' cannot be the name"),
        (json!({"env": "A"}), "it must be KEY=VALUE"),
        (json!({"delay": 1, "at": at}), "cannot be used with"),
        (
            json!({"max_failures": 1, "max_attempts": 1}),
            "cannot be used with",
        ),
        (
            json!({"command": ["true"], "shell": "true"}),
            "cannot be used with",
        ),
        (json!({"once": true}), "once: it needs a key"),
        (json!({"stdin": "-"}), "stdin: it must be a file"),
        (json!({"stdin": pipe}), "is not a regular file"),
        (json!({"stdin": "/no/such"}), "/no/such: No such file"),
        (json!({"name": "a\u{0}b"}), "NUL"),
        (
            json!({"command": ["true", 1]}),
            "command: it must be an array of words",
        ),
        (
            json!({"command": []}),
            "command: it must be an array of words",
        ),
        (
            json!({"command": "true"}),
            "command: it must be an array of words",
        ),
        (
            json!({"delay": "2h", "deadline": "1h"}),
            "at or beyond its deadline",
        ),
    ] {
        assert_refused(&home, fields, why);
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    let home = Home::new();
    for text in ["{\"shell\": \"a\",}", "{", "{} {}", "{\"shell\": \"\\x\"}"] {
        let refused = batch(&home, text, &[]).exits(2);
        let said = refused.error_text();
        assert!(said.contains("line 1: not a JSON object: "), "{said}");
    }
    let refused = batch(&home, b"{\"shell\": \"\xff\"}", &[]).exits(2);
    assert!(refused.error_text().contains("line 1: not a JSON object"));
    let refused = batch(&home, "{\"max_failures\": 1}", &[]).exits(2);
    let why = "line 1: it needs command, an array of words, or shell";
    assert!(refused.error_text().contains(why));
    assert_eq!(stored(&home), 0);
}
