//! The JSON that leaves the program is what its manual says, field by field.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use retrier::cli::objects::{ALL, Object};
use serde_json::Value;

use crate::crash::tools::wait_until_state;
use crate::support::{Home, wait_until};

/// The object of this name in the manual.
#[track_caller]
fn described(name: &str) -> &'static Object {
    let found = ALL.iter().find(|object| object.name == name);
    found.unwrap_or_else(|| panic!("the manual has no {name}"))
}

/// Asserts that `value` is the object `name`, and so are the parts of it that have a name of their own. Of some
/// objects only those fields are there that its type has; those are `partial`.
#[track_caller]
fn assert_is(name: &str, value: &Value, seen: &mut BTreeSet<&'static str>) {
    let object = described(name);
    seen.insert(object.name);
    let partial = ["outcome", "result", "blocked", "policy", "stats"].contains(&name);
    let fields = value
        .as_object()
        .unwrap_or_else(|| panic!("no {name}: {value}"));
    for key in fields.keys() {
        let told = object.fields.iter().any(|(field, ..)| field == key);
        assert!(told, "the manual does not tell of {key} in {name}: {value}");
    }
    for (field, kind, _) in object.fields {
        let Some(part) = fields.get(*field) else {
            assert!(partial, "no {field} in {name}: {value}");
            continue;
        };
        assert_kind(kind, part, &format!("{field} of {name}"), seen);
    }
}

#[track_caller]
fn assert_kind(kind: &str, value: &Value, what: &str, seen: &mut BTreeSet<&'static str>) {
    if value.is_null() {
        return;
    }
    let fits = match kind {
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "list" => value.is_array(),
        "object" => value.is_object(),
        "text" => value.is_string() || value["base64"].is_string(),
        "time" => value
            .as_str()
            .is_some_and(|text| text.len() == 24 && text.ends_with('Z')),
        named => match named.strip_prefix("list of ") {
            Some(item) => {
                let items = value
                    .as_array()
                    .unwrap_or_else(|| panic!("{what} is no list: {value}"));
                items.iter().for_each(|one| assert_is(item, one, seen));
                true
            }
            None => {
                assert_is(named, value, seen);
                true
            }
        },
    };
    assert!(fits, "{what} is no {kind}: {value}");
}

/// The lines of a call that prints one object each.
#[track_caller]
fn lines(home: &Home, args: &[&str]) -> Vec<Value> {
    let text = home.retrier(args).output().text();
    let line =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{args:?}: {line}"));
    text.lines().map(line).collect()
}

/// Everything that can stand in these objects, left at rest.
fn filled(home: &Home) {
    let limited =
        "set a --parallel 2 --rate 10/1m --burst 2 --breaker 3 --max-pending 9 --timeout 90s";
    let call = home.retrier(["pool"].into_iter().chain(limited.split(' ')));
    call.output().ok();
    let question = format!(
        "cat >'{}'; echo '{{\"retry\":false}}'",
        home.path("question").display()
    );
    let hook = format!("cat >'{}'", home.path("result").display());
    let decided = [
        "--decide",
        &question,
        "--on-complete",
        &hook,
        "--key",
        "k",
        "--name",
        "n",
    ];
    let failed = home.run([&decided[..], &["--", "false"]].concat());
    home.wait(failed);
    let killed = home.run(["--max-failures", "0", "--", "sh", "-c", "kill -9 $$"]);
    let spawn = home.run(["--max-failures", "0", "--no-check", "--", "/nothing"]);
    for id in [killed, spawn] {
        home.wait(id);
    }
    home.wait(home.run(["--delays", "1s", "--deadline", "1h", "--", "true"]));
    let holder = home.run(["--lock", "l", "--", "sleep", "600"]);
    wait_until_state(home, holder, "running");
    home.run(["--lock", "l", "--", "true"]);
    home.retrier(["pool", "set", "shut", "--parallel", "0"])
        .output()
        .ok();
    home.run(["--pool", "shut", "--", "true"]);
    wait_until("the hook has run", Duration::from_secs(20), || {
        home.path("result").exists()
    });
}

#[test]
fn the_manual_tells_of_every_field_that_is_printed_and_of_no_other() {
    let home = Home::new();
    let _daemon = home.daemon();
    filled(&home);
    let mut seen = BTreeSet::new();
    let mut each = |name: &str, args: &[&str]| {
        let found = lines(&home, args);
        assert!(!found.is_empty(), "{args:?}");
        found
            .iter()
            .for_each(|object| assert_is(name, object, &mut seen));
    };
    each("stored", &["run", "--json", "--", "true"]);
    each("run", &["run", "--json", "--wait", "--", "true"]);
    each("run", &["list", "--json"]);
    each("run", &["status", "--json", "1"]);
    each("run", &["wait", "--json", "1", "2"]);
    each("event", &["events", "--json", "1"]);
    each("plan", &["explain", "--json", "--max-failures", "2"]);
    for id in lines(&home, &["list", "--json"])
        .iter()
        .map(|run| run["id"].to_string())
    {
        each("why", &["explain", "--json", &id]);
    }
    each("pool", &["pool", "list", "--json"]);
    each("stats", &["stats", "--json"]);
    each("stats", &["stats", "--json", "--pool", "a"]);
    each("examination", &["doctor", "--json"]);
    let copy = home.path("copy.db");
    each(
        "backup",
        &["backup", "--json", copy.to_str().expect("a path of text")],
    );
    std::fs::write(home.path("retrier.db.d/logs/0/rubbish"), "").expect("it can be written");
    each("examination", &["doctor", "--deep", "--json"]);
    for (name, file) in [("question", "question"), ("result", "result")] {
        let text = fs::read(home.path(file)).expect("it was told");
        let object = serde_json::from_slice(&text).expect("it is JSON");
        assert_is(name, &object, &mut seen);
    }
    let unseen: Vec<&str> = ALL
        .iter()
        .map(|object| object.name)
        .filter(|name| !seen.contains(name))
        .collect();
    assert_eq!(unseen, [""; 0], "of these nothing was printed");
}
