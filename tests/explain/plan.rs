//! The plan of a policy: waits, their bounds and sums, and when it gives up.

use serde_json::{Value, json};

use crate::support::{Home, Need, skip};

/// What `explain --json` says of these options.
#[track_caller]
fn plan(home: &Home, options: &str) -> Value {
    let options = options.split(' ').filter(|word| !word.is_empty());
    let args = ["explain", "--json"].into_iter().chain(options);
    home.retrier(args).output().ok().json()
}

/// A field of each wait.
fn each(plan: &Value, field: &str) -> Vec<i64> {
    let waits = plan["waits"].as_array().expect("a list of waits");
    let number = |wait: &Value| wait[field].as_i64().expect("a number");
    waits.iter().map(number).collect()
}

#[test]
fn the_plan_has_every_wait_with_its_bounds_and_sums() {
    let home = Home::new();
    let plan = plan(&home, "");
    assert_eq!(each(&plan, "retry"), [1, 2, 3, 4]);
    assert_eq!(each(&plan, "nominal_ms"), [250, 500, 1000, 2000]);
    assert_eq!(each(&plan, "min_ms"), [125, 250, 500, 1000]);
    assert_eq!(each(&plan, "max_ms"), [374, 749, 1499, 2999]);
    assert_eq!(each(&plan, "total_nominal_ms"), [250, 750, 1750, 3750]);
    assert_eq!(each(&plan, "total_min_ms"), [125, 375, 875, 1875]);
    assert_eq!(each(&plan, "total_max_ms"), [374, 1123, 2622, 5621]);
    assert_eq!(plan["version"], 1);
    assert_eq!(plan["max_attempts"], 5);
    assert_eq!(plan["more"], false);
    let expected = json!({"nominal": 3750, "min": 1875, "max": 5621});
    assert_eq!(plan["gives_up_after_ms"], expected);
    assert_eq!(plan["policy"]["max_failures"], 4);
    assert_eq!(plan["policy"]["timeout_ms"], Value::Null);
}

/// What is explained is what is stored.
#[test]
fn the_policy_of_a_plan_is_that_of_a_run_with_the_same_options() {
    let home = Home::new();
    let options = "--max-attempts 7 --linear 2s --jitter 0.25 --max-backoff 5s --timeout 9s";
    let words = options.split(' ');
    let id = home.run(
        ["--no-daemon-start"]
            .into_iter()
            .chain(words)
            .chain(["--", "true"]),
    );
    let plan = plan(&home, options);
    assert_eq!(plan["policy"], home.status(id)["policy"]);
    assert_eq!(
        each(&plan, "nominal_ms"),
        [2000, 4000, 5000, 5000, 5000, 5000]
    );
    assert_eq!(plan["max_attempts"], 7);
}

#[test]
fn without_jitter_a_wait_has_no_bounds_but_itself() {
    let home = Home::new();
    let plan = plan(
        &home,
        "--jitter 0 --initial-backoff 125ms --base 2.71 --max-failures 3",
    );
    assert_eq!(each(&plan, "nominal_ms"), [125, 339, 918]);
    for field in ["min_ms", "max_ms"] {
        assert_eq!(each(&plan, field), each(&plan, "nominal_ms"));
    }
}

/// The first delay is as long as the last one, and what lies between is not.
#[test]
fn delays_that_fall_and_rise_again_are_planned_one_by_one_until_the_deadline() {
    let home = Home::new();
    let delays = "--delays 5s,1s,5s";
    for (options, waits, more, gives_up) in [
        ("--max-failures 3", &[5, 1, 5][..], false, 11_000),
        ("--max-failures 3 --limit 2", &[5, 1], true, 11_000),
        ("--max-failures 4", &[5, 1, 5, 5], false, 16_000),
        ("--max-failures 9 --deadline 6s", &[5], false, 5_000),
        ("--max-failures 9 --deadline 6001ms", &[5, 1], false, 6_000),
        ("--max-failures 3 --deadline 11s", &[5, 1], false, 6_000),
        (
            "--max-failures 3 --deadline 11001ms",
            &[5, 1, 5],
            false,
            11_000,
        ),
        ("--forever --deadline 16001ms", &[5, 1, 5, 5], false, 16_000),
        (
            "--forever --deadline 16001ms -n 4",
            &[5, 1, 5, 5],
            false,
            16_000,
        ),
        (
            "--forever --deadline 16001ms -n 3",
            &[5, 1, 5],
            true,
            16_000,
        ),
    ] {
        let plan = plan(&home, &format!("{delays} {options}"));
        let expected: Vec<i64> = waits.iter().map(|seconds| seconds * 1000).collect();
        assert_eq!(each(&plan, "nominal_ms"), expected, "{options}");
        assert_eq!(plan["more"], more, "{options}");
        assert_eq!(plan["gives_up_after_ms"]["nominal"], gives_up, "{options}");
    }
}

#[test]
fn no_retry_is_a_plan_of_one_attempt() {
    let home = Home::new();
    for options in ["--max-failures 0", "--max-attempts 1"] {
        let plan = plan(&home, options);
        assert_eq!(
            (&plan["max_attempts"], &plan["waits"]),
            (&json!(1), &json!([]))
        );
        assert_eq!(
            (&plan["more"], &plan["gives_up_after_ms"]["max"]),
            (&json!(false), &json!(0))
        );
    }
    let rows = home.retrier(["explain", "--max-failures", "0"]).output();
    assert_eq!(rows.ok().stdout, b"");
}

#[test]
fn an_endless_plan_shows_its_first_waits_and_never_gives_up() {
    let home = Home::new();
    for (limit, shown) in [
        ("", 20),
        ("--limit 3", 3),
        ("-n 50", 50),
        ("--limit 0", 1000),
    ] {
        let plan = plan(&home, &format!("--forever --constant 1m {limit}"));
        assert_eq!(each(&plan, "retry"), (1..=shown).collect::<Vec<_>>());
        assert_eq!(plan["more"], true);
        assert_eq!(plan["max_attempts"], Value::Null);
        assert_eq!(plan["gives_up_after_ms"], Value::Null);
    }
}

#[test]
fn a_limit_cuts_the_rows_and_not_the_sum() {
    let home = Home::new();
    for (limit, shown, more) in [
        ("", 20, true),
        ("--limit 30", 30, false),
        ("--limit 0", 30, false),
    ] {
        let plan = plan(
            &home,
            &format!("--max-failures 30 --constant 1s --jitter 0 {limit}"),
        );
        assert_eq!(each(&plan, "retry").len(), shown, "{limit}");
        assert_eq!(plan["more"], more, "{limit}");
        assert_eq!(plan["gives_up_after_ms"]["nominal"], 30_000, "{limit}");
    }
}

#[test]
fn the_greatest_numbers_are_explained_at_once_and_without_a_panic() {
    let home = Home::new();
    for options in [
        "--max-failures 4294967295",
        "--max-attempts 4294967295 --jitter 1",
        "--max-failures 4294967295 --linear 1ms --max-backoff 36500d",
        "--max-failures 4294967295 --base 1.0000001 --max-backoff 36500d --limit 0",
        "--max-failures 4294967295 --constant 36500d --max-backoff 36500d",
        "--forever --base 1e308 --initial-backoff 36500d --max-backoff 36500d --jitter 1",
        "--forever --constant 0 --limit 4294967295",
        "--max-failures 1000000 --max-backoff 0",
    ] {
        let plan = plan(&home, options);
        let last = plan["waits"].as_array().and_then(|waits| waits.last());
        let last = last.unwrap_or_else(|| panic!("no waits of {options}"));
        for field in ["nominal_ms", "min_ms", "max_ms", "total_max_ms"] {
            assert!(
                last[field].as_i64().is_some_and(|ms| ms >= 0),
                "{options}: {last}"
            );
        }
        let rows = plan["waits"].as_array().map_or(0, Vec::len);
        assert!(rows <= 10_000, "{options}: {rows} rows");
        if options.contains("4294967295 --constant") {
            assert_eq!(plan["gives_up_after_ms"]["nominal"], i64::MAX);
        }
    }
}

#[test]
fn in_a_pipe_the_rows_have_seven_fields_and_what_is_left_out_is_said_beside_them() {
    let home = Home::new();
    let whole = home.retrier(["explain"]).output().ok();
    assert_eq!(whole.error_text(), "");
    let first = "1\t250\t125\t374\t250\t125\t374\n2\t500\t250\t749\t750\t375\t1123\n";
    let text = String::from_utf8_lossy(&whole.stdout).into_owned();
    assert!(text.starts_with(first), "{text}");
    assert_eq!(text.lines().count(), 4);
    let cut = home.retrier(["explain", "--limit", "2"]).output().ok();
    assert_eq!(String::from_utf8_lossy(&cut.stdout), first);
    assert!(cut.error_text().contains("2 more waits follow"), "{cut:?}");
    let endless = home
        .retrier(["explain", "--forever", "--limit", "1"])
        .output();
    assert!(endless.ok().error_text().contains("without end"));
}

/// What a terminal shows.
#[track_caller]
fn shown(home: &Home, options: &str) -> String {
    let call = home.sh("script -qec \"$LINE\" /dev/null </dev/null");
    let call = call.env("LINE", format!("retrier explain {options}"));
    let text = call.env("TERM", "dumb").output().ok().text();
    text.replace('\r', "")
}

#[test]
fn a_terminal_shows_aligned_columns_and_says_when_it_gives_up() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    let page = shown(&home, "--max-failures 2");
    let expected = "RETRY   WAIT     WITH JITTER  IN ALL      WITH JITTER\n    \
        1  250ms  125ms to 374ms   250ms   125ms to 374ms\n    \
        2  500ms  250ms to 749ms   750ms  375ms to 1s 123ms\n\n\
        gives up after 3 attempts, 750ms of waiting in all (375ms to 1s 123ms)";
    let words = |text: &str| {
        text.split(' ')
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&page), words(expected), "{page}");
    let widths: Vec<usize> = page.lines().take(3).map(str::len).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{page}");

    let page = shown(
        &home,
        "--forever --constant 1m --jitter 0 -n 2 --timeout 10m --grace 3s",
    );
    assert!(page.starts_with("RETRY  WAIT  IN ALL\n    1    1m      1m\n    2    1m      2m\n… and so on without end, 1m each\n\n"), "{page}");
    assert!(
        page.contains("is retried until it succeeds or is canceled\n"),
        "{page}"
    );
    assert!(
        page.contains("longer than 10m gets SIGTERM, and SIGKILL 3s later"),
        "{page}"
    );

    let page = shown(&home, "--max-failures 100 -n 1 --jitter 0");
    assert!(page.contains("… and 99 more, 1d at the most\n"), "{page}");
    let page = shown(&home, "--max-failures 0");
    assert_eq!(page, "gives up after 1 attempt");
}

#[test]
fn a_plan_needs_neither_database_nor_home_nor_daemon() {
    let home = Home::new();
    let call = home.retrier(["explain", "--json"]).env_clear();
    assert_eq!(call.output().ok().json()["max_attempts"], 5);
    assert!(!home.db().exists());
    home.assert_no_process_left();
}
