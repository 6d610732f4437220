//! Which variables of its caller a run keeps: `--env-only`.

use crate::support::Home;

/// The names of the variables that `home`'s run `id` has printed, but for those that retrier sets.
fn printed(home: &Home, id: i64) -> Vec<String> {
    assert_eq!(home.wait(id), 0);
    let call = home.retrier(["logs", &id.to_string(), "--stdout"]);
    let text = String::from_utf8_lossy(&call.output().ok().stdout).into_owned();
    let names = text
        .split_terminator('\0')
        .filter_map(|v| Some(v.split_once('=')?.0));
    let mut names: Vec<_> = names
        .filter(|v| !v.starts_with("RETRIER_"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

const PRINT: [&str; 3] = ["--", "cat", "/proc/self/environ"];

/// The names that a run with these options sees, whose caller has set some.
fn seen(home: &Home, options: &[&str]) -> Vec<String> {
    let call = home.retrier(["run"].iter().chain(options).chain(&PRINT));
    let call = call
        .env("ZQ_KEY", "k")
        .env("ZQ_TOKEN", "t")
        .env("ZQ", "a")
        .env("ZOTHER", "o")
        .env("RETRIER_PARENT_ID", "9");
    let id = call.output().ok().text();
    printed(home, id.parse().expect("an id was printed"))
}

const FOUR: [&str; 4] = ["HOME", "PATH", "SHELL", "USER"];

#[test]
fn a_run_keeps_the_variables_that_are_named_and_four_more() {
    let home = Home::new();
    let _daemon = home.daemon();
    for (options, more) in [
        (&["--env-only=ZQ_KEY,ZOTHER"][..], &["ZQ_KEY", "ZOTHER"][..]),
        (&["--env-only=ZOTHER", "--env-only=ZQ"], &["ZQ", "ZOTHER"]),
        (&["--env-only=ZQ_*"], &["ZQ_KEY", "ZQ_TOKEN"]),
        (&["--env-only=NOT_SET,HOME"], &[]),
        (&["--env-only="], &[]),
        // What retrier tells the outer run's command is never handed on.
        (&["--env-only=RETRIER_PARENT_ID"], &[]),
        (&["--env-only=ZQ", "--env=ZQ=b", "--env=N=1"], &["ZQ", "N"]),
    ] {
        let mut expected = [&FOUR[..], more].concat();
        expected.sort_unstable();
        assert_eq!(seen(&home, options), expected, "{options:?}");
    }
    assert!(seen(&home, &["--env-only=*"]).len() > 7);
    for wrong in ["A=1", "A,,B", "*A"] {
        let refused = home.retrier(["run", "--env-only", wrong, "--", "true"]);
        let refused = refused.output().exits(2).error_text();
        assert!(refused.contains("--env-only"), "{refused}");
    }
    let both = home.retrier(["run", "--no-env", "--env-only=A", "--", "true"]);
    both.output().exits(2);
}

#[test]
fn a_hook_sees_no_more_than_its_run() {
    let home = Home::new();
    let _daemon = home.daemon();
    let call = home.retrier([
        "run",
        "--wait",
        "--env-only=KEPT",
        "--on-complete=cat /proc/$$/environ",
        "--",
        "true",
    ]);
    call.env("KEPT", "1").env("LEFT", "1").output().ok();
    let hook = home.status(1)["hook_id"].as_i64().expect("it has one");
    let seen = printed(&home, hook);
    assert_eq!(seen, ["HOME", "KEPT", "PATH", "SHELL", "USER"]);
}

#[test]
fn a_line_of_a_batch_names_variables_of_its_own() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = |field: &str| format!("{{\"command\": [\"cat\", \"/proc/self/environ\"]{field}}}\n");
    let stored = |option: &str| {
        let lines = [
            line(""),
            line(", \"env_only\": [\"B\", \"ZQ*\"]"),
            line(", \"env_only\": \"B,A\""),
            line(", \"env_only\": []"),
            line(", \"no_env\": true"),
        ];
        let call = home.retrier(["run", "--batch", "-", option]);
        let call = call.stdin(lines.concat());
        let call = call.env("A", "1").env("B", "1").env("ZQ1", "1");
        let ids = call.output().ok().text();
        let runs = ids.lines().map(|id| printed(&home, id.parse().unwrap()));
        let own = runs.map(|mut names| {
            names.retain(|name| !FOUR.contains(&name.as_str()));
            names.join(" ")
        });
        own.collect::<Vec<String>>()
    };
    assert_eq!(stored("--env-only=A"), ["A", "B ZQ1", "A B", "", ""]);
    assert_eq!(stored("--no-env"), ["", "B ZQ1", "A B", "", ""]);
}
