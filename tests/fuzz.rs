//! Whatever somebody writes, a parser takes it or refuses it: it never panics, and what it takes keeps to
//! its bounds. `PROPTEST_CASES` says how often each is tried.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use proptest::prelude::*;

use retrier::cli::args::{self, LineParser, RunArgs, Verb};
use retrier::model::policy::{Verdict, When};
use retrier::model::{AttemptNumber, Policy, RunId};
use retrier::shim::decision;
use retrier::shim::order::Message;
use retrier::shim::record::{self, Record, Stage};
use retrier::text;

use crate::support::Home;

/// No duration is longer.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Texts that are nearly numbers, durations and times.
fn nearly() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[-+]?[0-9]{0,30}(\\.[0-9]{0,20})?([eE][-+]?[0-9]{0,4})?[a-zA-Z µ]{0,6}",
        "([0-9]{1,12} ?(ns|us|ms|s|m|h|d|w|M|y|days) ?){1,6}",
        "-?[0-9]{1,6}-[0-9]{1,2}-[0-9]{1,2}[Tt ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{0,12})?)?([Zz]|[+-][0-9]{2}:?[0-9]{0,2})?",
        prop::sample::select(vec![
            "nan",
            "NaN",
            "inf",
            "-inf",
            "infinity",
            "1e999",
            "-0",
            "0x10",
            "1_000",
            "٣",
            ".",
            "e1",
            "99999999999999999999s",
            "18446744073709551616ms",
            "9223372036854775807",
            "1e-400",
        ])
        .prop_map(str::to_owned),
    ]
}

/// JSON of every kind, a few levels deep.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        nearly().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map("[a-z_]{0,8}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An object with some of these fields, of any kind.
fn object(names: &'static [&'static str]) -> impl Strategy<Value = serde_json::Value> {
    let fields = prop::collection::vec((prop::sample::select(names), json()), 0..5);
    fields.prop_map(|fields| {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        serde_json::Value::Object(fields.collect())
    })
}

const DECISION: &[&str] = &[
    "retry", "retry_in", "retry_at", "snooze", "error", "priority", "pool", "lock", "other",
];

const LINE: &[&str] = &[
    "command",
    "shell",
    "cwd",
    "env",
    "no_env",
    "env_only",
    "stdin",
    "name",
    "on_complete",
    "delay",
    "at",
    "key",
    "once",
    "pool",
    "priority",
    "lock",
    "max_failures",
    "max_attempts",
    "forever",
    "initial_backoff",
    "base",
    "constant",
    "linear",
    "max_backoff",
    "delays",
    "jitter",
    "timeout",
    "grace",
    "deadline",
    "retry_on",
    "stop_on",
    "success_codes",
    "stop_if",
    "retry_if",
    "decide",
    "retry_after",
    "wait",
    "batch",
    "",
    "a-b",
];

const POLICY: &[&str] = &[
    "max_failures",
    "max_attempts",
    "constant_ms",
    "linear_ms",
    "initial_backoff_ms",
    "base",
    "max_backoff_ms",
    "jitter",
    "timeout_ms",
    "grace_ms",
    "deadline_ms",
    "delays_ms",
    "rules",
];

proptest! {
    #[test]
    fn a_duration_is_finite_and_at_most_a_hundred_years(text in nearly()) {
        if let Ok(found) = text::duration(&text) {
            prop_assert!(found <= LONGEST, "{text:?}: {found:?}");
            let again = text::duration(&format!("{}ms", found.as_millis()));
            prop_assert_eq!(again, Ok(found));
        }
    }

    #[test]
    fn a_time_is_one_that_can_be_written_again(text in nearly()) {
        if let Ok(at) = text::time(&text) {
            let written = retrier::json::rfc3339(at).expect("what was read can be written");
            prop_assert_eq!(text::time(&written), Ok(at));
        }
    }

    #[test]
    fn a_pattern_is_taken_or_refused(text in prop_oneof![any::<String>(), "[a(\\[{|*+?.^$\\\\)\\]}0-9,]{0,40}"]) {
        if let Ok(patterns) = text::patterns(&[&text]) {
            let _ = patterns.is_match(text.as_bytes());
        }
    }

    #[test]
    fn a_decision_is_taken_whole_or_refused(
        bytes in prop_oneof![
            any::<Vec<u8>>(),
            object(DECISION).prop_map(|value| value.to_string().into_bytes()),
            object(DECISION).prop_map(|value| {
                let mut cut = value.to_string().into_bytes();
                cut.truncate(cut.len() * 3 / 4);
                cut
            }),
        ],
    ) {
        match decision::parse(&bytes) {
            Ok((decision, changes)) => {
                let longest = i64::try_from(LONGEST.as_millis()).expect("it fits");
                if let Some(Verdict::Snooze { delay_ms }) = decision.verdict {
                    prop_assert!((0..=longest).contains(&delay_ms));
                }
                if let Some(When::After(delay_ms)) = decision.when {
                    prop_assert!((0..=longest).contains(&delay_ms));
                }
                let error = changes.error.unwrap_or_default();
                prop_assert!(error.len() <= 1000 && !error.contains(char::is_control));
                let pool = changes.pool.unwrap_or_else(|| "default".to_owned());
                prop_assert!(retrier::model::pool::is_name(&pool));
            }
            Err(why) => prop_assert!(!why.is_empty()),
        }
    }

    #[test]
    fn a_record_of_a_shim_is_read_as_it_was_written_or_not_at_all(
        bytes: Vec<u8>,
        (run, attempt) in (any::<i64>(), any::<u32>()),
        (at, bit) in (any::<prop::sample::Index>(), 0..8u8),
    ) {
        let _ = record::decode(&bytes);
        let record = Record {
            version: record::VERSION,
            run: RunId(run),
            attempt: AttemptNumber(attempt),
            stage: Stage::Starting,
        };
        let mut encoded = record::encode(&record).expect("it fits");
        prop_assert_eq!(record::decode(&encoded), Some(record));
        // A bit that has flipped.
        let at = at.index(encoded.len());
        encoded[at] ^= 1 << bit;
        let _ = record::decode(&encoded);
    }

    #[test]
    fn an_order_to_a_shim_is_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        (at, byte) in (any::<prop::sample::Index>(), any::<u8>()),
    ) {
        let _ = Message::decode(&bytes);
        // A length in it that is not so.
        let mut encoded = bytes.clone();
        encoded.extend_from_slice(&[0xff; 9]);
        let place = at.index(encoded.len());
        encoded[place] = byte;
        let _ = Message::decode(&encoded);
    }

    #[test]
    fn a_stored_policy_is_read_or_refused(value in object(POLICY), bytes: Vec<u8>, failures: u32) {
        let _ = serde_json::from_slice::<Policy>(&bytes);
        if let Ok(policy) = serde_json::from_value::<Policy>(value) {
            let text = serde_json::to_string(&policy).expect("it can be written");
            let _ = serde_json::from_str::<Policy>(&text);
            let _ = policy.backoff.delay(failures, 1);
        }
    }
}

fn base() -> RunArgs {
    let words = ["retrier", "run", "--batch", "-"].map(Into::into);
    match args::parse(&words).expect("it is right").verb {
        Verb::Run(args) => *args,
        other => panic!("it is no run: {other:?}"),
    }
}

proptest! {
    // Each describes no options anew, and still takes a while.
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
    ))]

    #[test]
    fn a_line_of_a_batch_is_taken_or_refused(
        lines in prop::collection::vec(
            prop_oneof![
                1 => any::<Vec<u8>>(),
                4 => object(LINE).prop_map(|value| value.to_string().into_bytes()),
            ],
            1..4,
        ),
    ) {
        let base = base();
        let mut parser = LineParser::of_run();
        for line in lines {
            match parser.parse(&line, &base) {
                Ok(args) => {
                    prop_assert!(args.shell.is_some() || !args.command.is_empty());
                    let waits = [args.delay, args.retries.timeout, args.retries.deadline];
                    prop_assert!(waits.into_iter().flatten().all(|wait| wait <= LONGEST));
                }
                Err(why) => prop_assert!(!why.is_empty() && !why.contains('\n')),
            }
        }
    }
}

/// It carries no data, so nothing that comes through it is believed.
#[test]
fn a_doorbell_hears_anything_and_serves_on() {
    let home = Home::new();
    let daemon = home.daemon();
    let mut runner = proptest::test_runner::TestRunner::default();
    let bytes = prop::collection::vec(any::<u8>(), 0..5000);
    for _ in 0..100 {
        let tree = bytes.new_tree(&mut runner).expect("bytes can be made");
        let said = proptest::strategy::ValueTree::current(&tree);
        let caller = UnixStream::connect(home.path("retrier.db.d/doorbell"));
        // The daemon may hang up in the middle.
        let _ = caller.expect("it is there").write_all(&said);
    }
    assert_eq!(home.wait(home.run(["--", "true"])), 0);
    assert!(!daemon.errors().contains("panicked"), "{}", daemon.errors());
}
