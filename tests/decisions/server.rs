//! `--retry-after`: an HTTP server says when it wants to be asked again, and real programs ask it.

use std::time::{Duration, SystemTime};

use retrier::model::policy::WaitBy;

use super::{Home, delays, history, planned_ms, why};
use crate::crash::tools::{millis, outcomes};
use crate::support::{HttpServer, Need, skip};

/// A server that first answers 429 with these headers, and then 200.
fn busy_once(headers: &'static [(&'static str, &'static str)]) -> HttpServer {
    HttpServer::start(move |number, _| {
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        match number {
            1 => (429, headers.iter().map(own).collect(), b"busy\n".to_vec()),
            _ => (200, Vec::new(), b"served\n".to_vec()),
        }
    })
}

/// `run --wait` of this command with these options; the id of the run, which has succeeded.
#[track_caller]
fn run(home: &Home, options: &[&str], command: &[&str]) -> i64 {
    let call = home.retrier(["run", "--wait", "--json", "--jitter=0"]);
    let words = options.iter().chain(&["--"]).chain(command);
    let call = words.fold(call, |call, word| call.arg(word));
    let document = call.output().ok().json();
    document["id"].as_i64().expect("an id")
}

/// How long after the end of the first attempt the second one was started, in milliseconds.
fn waited_ms(home: &Home, id: i64) -> i64 {
    let document = home.status(id);
    assert_eq!(outcomes(&document).len(), 2, "{document}");
    let attempts = &document["attempts"];
    millis(&attempts[1]["started_at"]) - millis(&attempts[0]["ended_at"])
}

#[test]
fn a_429_with_retry_after_2_is_asked_again_after_2_seconds_and_not_after_its_backoff() {
    if skip(Need::Curl) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    for backoff in ["1ms", "1h"] {
        let server = busy_once(&[("Retry-After", "2")]);
        let options = ["--retry-after", "--initial-backoff", backoff];
        let url = server.url();
        let curl = ["curl", "-sS", "-D", "-", "--fail-with-body", &url];
        let id = run(&home, &options, &curl);
        let waited = waited_ms(&home, id);
        assert!((2000..30_000).contains(&waited), "{backoff}: {waited} ms");
        assert_eq!(planned_ms(&home, id), 2000, "{backoff}");
        assert_eq!(why(&home, id, 1).1, Some(WaitBy::RetryAfter));
        assert_eq!(server.requests(), 2);
        let value = home.status(id)["result"]["return_value"].clone();
        assert!(
            value
                .as_str()
                .is_some_and(|text| text.ends_with("served\n"))
        );
    }
}

#[test]
fn without_the_option_and_without_the_header_the_backoff_is_kept() {
    if skip(Need::Curl) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let header: &[(&str, &str)] = &[("Retry-After", "3600")];
    for (options, headers) in [(&[][..], header), (&["--retry-after"], &[])] {
        let server = busy_once(headers);
        let options = [options, &["--initial-backoff=20ms"]].concat();
        let id = run(
            &home,
            &options,
            &["curl", "-sSi", "--fail-with-body", &server.url()],
        );
        assert_eq!(
            delays(&home.status(id)),
            [20.into(), serde_json::Value::Null]
        );
        assert_eq!(why(&home, id, 1).1, Some(WaitBy::Backoff));
    }
}

#[test]
fn every_way_in_which_curl_shows_headers_is_read() {
    if skip(Need::Curl) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    for shows in ["-i", "-v", "-D/dev/stderr"] {
        let server = busy_once(&[("X-Retry-After", "9"), ("retry-after", "0")]);
        let options = ["--retry-after", "--initial-backoff=1h"];
        let url = server.url();
        let id = run(
            &home,
            &options,
            &["curl", "-sS", shows, "--fail-with-body", &url],
        );
        assert_eq!(planned_ms(&home, id), 0, "{shows}");
    }
}

/// `wget` may not be there, so its output is told.
#[test]
fn what_wget_shows_on_stderr_is_read_and_stdout_comes_first() {
    let home = Home::new();
    let _daemon = home.daemon();
    let wget = r"printf '  HTTP/1.1 503 Busy\n  Retry-After: 0\n' >&2";
    for (line, expected) in [
        (wget.to_owned(), 0),
        (
            format!("{wget}; printf 'HTTP/2 429\\r\\nRetry-After: 1\\r\\n'"),
            1000,
        ),
        (
            format!("{wget}; echo HTTP/2 429; echo Retry-After: soon"),
            0,
        ),
        (
            format!("echo HTTP/2 429; echo Retry-After: 7; echo Retry-After: 1; {wget}"),
            1000,
        ),
        (format!("echo Retry-After: 1; {wget}"), 0),
    ] {
        let line = format!("[ $RETRIER_ATTEMPT = 2 ] && exit 0; {line}; exit 8");
        let options = ["--retry-after", "--constant=1h"];
        let id = run(&home, &options, &["sh", "-c", &line]);
        assert_eq!(planned_ms(&home, id), expected, "{line}");
    }
}

#[test]
fn a_date_is_a_time_and_one_that_has_passed_is_now() {
    if skip(Need::Curl) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    #[expect(clippy::disallowed_methods, reason = "the clock of the server")]
    let soon = SystemTime::now() + Duration::from_secs(3);
    let soon = httpdate::fmt_http_date(soon);
    for (date, passed) in [
        (soon.as_str(), false),
        ("Sun, 06 Nov 1994 08:49:37 GMT", true),
        ("Sunday, 06-Nov-94 08:49:37 GMT", true),
    ] {
        let header = date.to_owned();
        let server = HttpServer::start(move |number, _| match number {
            1 => (
                503,
                vec![("Retry-After".to_owned(), header.clone())],
                Vec::new(),
            ),
            _ => (200, Vec::new(), Vec::new()),
        });
        let options = ["--retry-after", "--initial-backoff=1h"];
        let id = run(&home, &options, &["curl", "-sSi", "--fail", &server.url()]);
        let ended = millis(&home.status(id)["attempts"][0]["ended_at"]);
        let due = history(&home, id)
            .iter()
            .find_map(|event| event.due.filter(|due| due.millis() >= ended));
        let due = due.expect("it is retried").millis();
        let parsed = httpdate::parse_http_date(date).expect("a date");
        let parsed = parsed
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970");
        let named = i64::try_from(parsed.as_millis()).expect("not that late");
        let expected = if passed { ended } else { named.max(ended) };
        assert_eq!(due, expected, "{date}");
        assert!(waited_ms(&home, id) >= due - ended);
    }
}

#[test]
fn no_server_makes_a_run_wait_longer_than_its_longest_backoff() {
    let home = Home::new();
    let _daemon = home.daemon();
    for header in [
        "3600",
        "99999999999999999999",
        "Fri, 31 Dec 2399 23:59:59 GMT",
    ] {
        let line = format!(
            "[ $RETRIER_ATTEMPT = 2 ] && exit 0; echo HTTP/2 429; echo 'Retry-After: {header}'; exit 22"
        );
        let options = [
            "--retry-after",
            "--max-backoff=300ms",
            "--initial-backoff=1ms",
        ];
        let id = run(&home, &options, &["sh", "-c", &line]);
        assert_eq!(planned_ms(&home, id), 300, "{header}");
        assert!(waited_ms(&home, id) >= 300, "{header}");
        assert_eq!(why(&home, id, 1).1, Some(WaitBy::RetryAfter));
    }
}
