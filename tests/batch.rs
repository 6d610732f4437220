//! `run --batch`: a run for each line, in order, and all of them or none.

mod faults;
mod objects;
mod waiting;

use std::fs;

use serde_json::{Value, json};

use crate::support::{Home, Output};

/// How many runs are stored.
fn stored(home: &Home) -> usize {
    if !home.db().exists() {
        return 0;
    }
    let list = home.retrier(["list", "--json", "--limit", "0"]);
    list.output().ok().text().lines().count()
}

/// `retrier run --batch -` of these lines, without starting a daemon.
#[track_caller]
fn batch(home: &Home, lines: impl Into<Vec<u8>>, options: &[&str]) -> Output {
    let args = ["run", "--no-daemon-start", "--batch", "-"];
    let call = home.retrier(args.iter().chain(options));
    call.stdin(lines).output()
}

/// The words of the command of a run.
#[track_caller]
fn command(home: &Home, id: i64) -> Value {
    home.status(id)["command"].clone()
}

#[test]
fn each_line_is_a_run_and_the_ids_come_in_order() {
    let home = Home::new();
    let file = home.path("lines");
    let lines = "\u{feff}echo one\r\n\r\n  # not this one\n#nor this\n \t\n\
                 echo 'two words'  \"$HOME\" a\\ b '' # not this\n\
                 {\"command\": [\"echo\", \"an object\"]}\n\ttrue";
    fs::write(&file, lines).unwrap();
    let args = ["run", "--no-daemon-start", "--batch"];
    let call = home.retrier(args).arg(&file).output().ok();
    assert_eq!(
        (call.text(), call.error_text()),
        ("1\n2\n3\n4".into(), String::new())
    );
    assert_eq!(command(&home, 1), json!(["echo", "one"]));
    let words = json!(["echo", "two words", "$HOME", "a b", ""]);
    assert_eq!(command(&home, 2), words);
    assert_eq!(command(&home, 3), json!(["echo", "an object"]));
    assert_eq!(command(&home, 4), json!(["true"]));
    let told = batch(&home, "true\ntrue\n", &["--json"]).ok().text();
    let told: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let object = |id| json!({"version": 1, "id": id, "stored": true});
    assert_eq!(told, [object(5), object(6)]);
}

#[test]
fn a_line_that_was_meant_for_a_shell_is_told() {
    let home = Home::new();
    let lines = "sh -c 'true > a'\necho '|'\necho a > b\necho b && true\n";
    let told = batch(&home, lines, &[]).ok();
    let note =
        "retrier: standard input, line 3: no shell reads it, so > is a word of its command\n";
    assert!(told.error_text().starts_with(note), "{}", told.error_text());
    assert_eq!(command(&home, 3), json!(["echo", "a", ">", "b"]));
    assert_eq!(batch(&home, lines, &["-q"]).ok().stderr, b"");
    assert_eq!(
        batch(&home, "a > b\n", &["--template", "echo {}"])
            .ok()
            .stderr,
        b""
    );
}

#[test]
fn two_thousand_lines_are_stored_in_order() {
    let home = Home::new();
    let lines: String = (1..=2000).map(|n| format!("echo {n}\n")).collect();
    let ids: String = (1..=2000).map(|n| format!("{n}\n")).collect();
    assert_eq!(batch(&home, lines, &[]).ok().stdout, ids.into_bytes());
    for id in [1, 777, 2000] {
        assert_eq!(command(&home, id), json!(["echo", id.to_string()]));
    }
    assert_eq!(stored(&home), 2000);
}

#[test]
fn one_bad_line_is_named_and_nothing_is_stored() {
    let home = Home::new();
    let long = format!("true {}", "x".repeat(131_072));
    for (last, code, why) in [
        ("echo 'open", 2, "a quote is not closed"),
        ("echo \\", 2, "backslash"),
        (
            "no-such-program-here x",
            127,
            "no-such-program-here: command not found",
        ),
        ("''", 127, "command not found"),
        (".", 126, ".: not executable"),
        ("true \0", 2, "NUL"),
        (long.as_str(), 2, "too long"),
        ("{\"command\": [\"true\"]", 2, "not a JSON object"),
        (
            "{\"shell\": \"true\", \"pool\": \"none\"}",
            2,
            "no pool none; there is default",
        ),
    ] {
        let lines = format!("true\n\n# a comment counts as a line\ntrue\n{last}\n");
        let refused = batch(&home, lines, &[]).exits(code);
        assert_eq!(refused.text(), "");
        let said = refused.error_text();
        let named = said.contains("error: standard input, line 5: ") && said.contains(why);
        assert!(named && said.contains("nothing was stored"), "{said}");
        assert_eq!(stored(&home), 0, "{last}");
    }
    // The transaction that was given up has left the ids.
    assert_eq!(batch(&home, "true\n", &[]).ok().text(), "1");
    let unchecked = batch(&home, "no-such-program-here\n", &["--no-check"]);
    assert_eq!(unchecked.ok().text(), "2");
    let pool = batch(&home, "true\ntrue\n", &["--pool", "none"]).exits(2);
    let said = pool.error_text();
    assert!(said.contains("error: there is no pool none"), "{said}");
}

#[test]
fn lines_are_bytes_and_need_not_be_utf8() {
    let home = Home::new();
    let told = batch(&home, b"echo \xff\xfe 'a\x80b'\n", &[]).ok();
    assert_eq!(told.text(), "1");
    let told = batch(&home, b"\xff \xfe", &["--template", "echo"]).ok();
    assert_eq!(told.text(), "2");
    let base64 = |text| json!({"base64": text});
    assert_eq!(
        command(&home, 1),
        json!(["echo", base64("//4="), base64("YYBi")])
    );
    assert_eq!(command(&home, 2), json!(["echo", base64("/yD+")]));
}

#[test]
fn a_template_takes_each_line_as_it_is() {
    let home = Home::new();
    let lines = "a  b\n\n \t\n# \"c\"\n{\"shell\": \"x\"}\r\n $HOME;'\\\n";
    let template = "echo -n {} 'in {} and {}' \"{x}\" {";
    let told = batch(&home, lines, &["--template", template]).ok();
    assert_eq!(told.text(), "1\n2\n3\n4");
    for (id, line) in [
        (1, "a  b"),
        (2, "# \"c\""),
        (3, "{\"shell\": \"x\"}"),
        (4, " $HOME;'\\"),
    ] {
        let words = json!([
            "echo",
            "-n",
            line,
            format!("in {line} and {line}"),
            "{x}",
            "{"
        ]);
        assert_eq!(command(&home, id), words);
    }
    batch(&home, "a {} b\n", &["--template", "echo {}{}"]).ok();
    assert_eq!(command(&home, 5), json!(["echo", "a {} ba {} b"]));
    batch(&home, "a b\n", &["--template", "echo 'no place'"]).ok();
    assert_eq!(command(&home, 6), json!(["echo", "no place", "a b"]));
    let wrong = batch(&home, "a\0b\n", &["--template", "echo"]).exits(2);
    assert!(wrong.error_text().contains("line 1: it holds a NUL"));
    for template in ["", " ", "echo 'x"] {
        let wrong = batch(&home, "a\n", &["--template", template]).exits(2);
        assert!(wrong.error_text().contains("--template"), "{template}");
    }
    assert_eq!(stored(&home), 6);
}

#[test]
fn an_empty_batch_stores_nothing_and_says_so() {
    let home = Home::new();
    for (lines, options) in [
        ("", &[][..]),
        ("\n# nothing\n\r\n", &[]),
        ("\n \n", &["--template", "echo"]),
        ("", &["--wait", "--json"]),
    ] {
        let told = batch(&home, lines, options).ok();
        assert_eq!(told.text(), "");
        let said = told.error_text();
        assert_eq!(said, "retrier: standard input: there is no line to store\n");
    }
    assert_eq!(batch(&home, "", &["--quiet"]).ok().error_text(), "");
    assert!(!home.db().exists());
}

#[test]
fn what_makes_no_sense_with_a_batch_is_wrong_usage() {
    let home = Home::new();
    let file = home.path("lines").display().to_string();
    fs::write(&file, "true\n").unwrap();
    for wrong in [
        &["--batch", &file, "--", "true"][..],
        &["--batch", &file, "--shell", "true"],
        &["--batch", &file, "--wait", "--stream"],
        &["--batch", "-", "--stdin", "-"],
        &["--template", "echo", "--", "true"],
        &["--batch", &file, "--key", "k"],
    ] {
        let call = home.retrier(["run", "--no-daemon-start"].iter().chain(wrong));
        call.output().exits(2);
        assert_eq!(stored(&home), 0, "{wrong:?}");
    }
    let gone = home
        .retrier(["run", "--batch", "/no/such/file"])
        .output()
        .exits(1);
    assert!(gone.error_text().contains("/no/such/file: No such file"));
}

#[test]
fn a_key_is_for_one_line() {
    let home = Home::new();
    for (lines, named) in [
        (
            "# a\ntrue\n",
            "line 2: --key would be the key of every line",
        ),
        (
            "{\"shell\": \"x\", \"key\": \"a\"}\n{\"shell\": \"x\"}",
            "line 2: --key would",
        ),
    ] {
        let wrong = batch(&home, lines, &["--key", "k"]).exits(2);
        assert!(wrong.error_text().contains(named), "{}", wrong.error_text());
    }
    assert_eq!(stored(&home), 0);
}

/// A line of a run with this key.
fn keyed(key: &str) -> String {
    json!({"command": ["true"], "key": key}).to_string() + "\n"
}

#[test]
fn a_key_that_is_taken_gives_the_id_of_its_run_and_is_counted() {
    let home = Home::new();
    home.run([
        "--no-daemon-start",
        "--key",
        "old",
        "--delay",
        "1h",
        "--",
        "true",
    ]);
    let lines = keyed("new") + &keyed("old") + &keyed("other") + &keyed("new") + "true\n";
    let told = batch(&home, lines.clone(), &[]).ok();
    assert_eq!(told.text(), "2\n1\n3\n2\n4");
    let said = "retrier: 2 lines have keys that are taken, and were not stored\n";
    assert_eq!(told.error_text(), said);
    let told = batch(&home, lines, &["-q", "--json"]).ok();
    let told_ids: Vec<(i64, bool)> = told
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|told| {
            (
                told["id"].as_i64().unwrap(),
                told["stored"].as_bool().unwrap(),
            )
        })
        .collect();
    let expected = [(2, false), (1, false), (3, false), (2, false), (5, true)];
    assert_eq!(
        (told_ids, told.error_text()),
        (expected.into(), String::new())
    );
    assert_eq!(batch(&home, keyed("old"), &[]).ok().text(), "1");
    assert_eq!(stored(&home), 5);
}

#[test]
fn with_if_exists_fail_a_clash_is_named_and_nothing_is_stored() {
    let home = Home::new();
    home.run([
        "--no-daemon-start",
        "--key",
        "old",
        "--delay",
        "1h",
        "--",
        "true",
    ]);
    for (lines, why) in [
        (
            keyed("a") + &keyed("old"),
            "line 2: run 1 has the key \"old\"",
        ),
        (
            "true\n\n".to_owned() + &keyed("a") + &keyed("b") + &keyed("a"),
            "line 5: line 3 has the key \"a\" too",
        ),
    ] {
        let refused = batch(&home, lines, &["--if-exists", "fail"]).exits(4);
        assert_eq!(refused.text(), "");
        assert!(
            refused.error_text().contains(why),
            "{}",
            refused.error_text()
        );
        assert_eq!(stored(&home), 1);
    }
    let told = batch(&home, keyed("a") + &keyed("b"), &["--if-exists", "fail"]);
    assert_eq!(told.ok().text(), "2\n3");
}

#[test]
fn options_of_the_command_line_are_for_all_lines() {
    let home = Home::new();
    let input = home.path("input").display().to_string();
    fs::write(&input, "for all").unwrap();
    let options = [
        "--name",
        "n",
        "--max-failures",
        "7",
        "--priority",
        "-2",
        "--lock",
        "l",
        "--cwd",
        "/",
        "--env",
        "A=1",
        "--stdin",
        &input,
        "--delay",
        "1h",
    ];
    let lines = "true\n{\"shell\": \"cat; echo $A\"}\n";
    assert_eq!(batch(&home, lines, &options).ok().text(), "1\n2");
    for id in [1, 2] {
        let run = home.status(id);
        let shown = [
            &run["name"],
            &run["priority"],
            &run["lock"],
            &run["cwd"],
            &run["state"],
        ];
        assert_eq!(json!(shown), json!(["n", -2, "l", "/", "scheduled"]));
        assert_eq!(run["policy"]["max_failures"], 7);
    }
    home.retrier(["retry", "1", "2"]).output().ok();
    assert_eq!(home.wait(2), 0);
    assert_eq!(home.retrier(["logs", "2"]).output().ok().text(), "for all1");
    // Each run has counted its reference, so that what they share goes with the last one.
    assert_eq!(home.wait(1), 0);
    home.retrier(["cleanup", "1"]).output().ok();
    home.retrier(["retry", "2"]).output().exits(4);
    let db = rusqlite::Connection::open(home.db()).unwrap();
    let refs = || -> Vec<i64> {
        let mut rows = db.prepare("SELECT refs FROM content ORDER BY id").unwrap();
        rows.query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    };
    assert_eq!(refs(), [1, 1]);
    home.retrier(["cleanup", "2"]).output().ok();
    assert_eq!(refs(), Vec::<i64>::new());
}
