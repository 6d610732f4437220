//! Transfers: what a command prints arrives byte for byte, without what failed attempts printed, and costs no memory
//! on its way.

use std::fs;
use std::time::Duration;

use crate::support::{Home, HttpServer, Journal, Need, Process, skip};

/// How much passes through in the test of the large output; 256 blocks.
const LARGE_BYTES: u64 = 256 << 20;

/// How much the peak of a process may grow meanwhile: caches of SQLite and of the allocator, less than 1 % of the output.
const GROWTH_KB_MAX: u64 = 2048;

/// Every byte value, in runs of different lengths, without a line end at the end.
fn binary_body() -> Vec<u8> {
    let bytes = (0..40_000_usize).map(|n| (n * n / 7 + n / 256) % 256);
    let mut body: Vec<u8> = bytes.map(|byte| byte as u8).collect();
    body.extend(0..=255);
    body
}

/// Answers 503 with a page of its own twice, then 200 with `body`.
fn unavailable_twice(body: Vec<u8>) -> HttpServer {
    HttpServer::start(move |number, _| match number {
        1 | 2 => (503, Vec::new(), b"<h1>Service Unavailable</h1>\n".to_vec()),
        _ => (200, Vec::new(), body.clone()),
    })
}

/// What `/proc` says of a process's memory, in kB: `VmRSS` now, `VmHWM` at its peak.
fn memory_kb(process: &Process, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid))
        .expect("the process is still there");
    let line = status.lines().find(|line| line.starts_with(field));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("a field of kilobytes")
}

/// What a process has written to outside of the files it has mapped and of its stack, in kB.
fn own_kb(process: &Process) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{}/smaps", process.pid));
    let mut is_own = false;
    let mut all = 0;
    for line in maps.expect("the process is still there").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "Anonymous:" {
            all += u64::from(is_own) * words[1].parse::<u64>().expect("kilobytes");
        } else if !words[0].ends_with(':') {
            // A mapping: addresses, mode, offset, device, inode and what it is of.
            is_own = words.get(5).is_none_or(|of| *of == "[heap]");
        }
    }
    all
}

/// Every slot has a shim, and one that waits would keep the room for the longest message.
#[test]
fn a_shim_that_waits_keeps_little_memory() {
    let home = Home::new();
    let _daemon = home.daemon();
    for _ in 0..5 {
        assert_eq!(home.wait(home.run(["--", "echo", "text"])), 0);
    }
    let processes = home.processes();
    let shim = processes.iter().find(|process| process.is_shim());
    let kept = own_kb(shim.expect("one is kept warm"));
    assert!(kept <= 100, "{kept} kB");
}

#[test]
fn a_transfer_that_fails_twice_prints_the_body_alone() {
    if skip(Need::Curl) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let server = unavailable_twice(binary_body());
    let url = server.url();
    let output = home.retrier(["run", "--wait", "--", "curl", "-fsS", &url]);
    let output = output.output().ok();
    assert!(
        output.stdout == binary_body(),
        "{} bytes came, not the body",
        output.stdout.len()
    );
    assert_eq!(server.requests(), 3);
    assert!(
        !output.error_text().contains("503"),
        "{}",
        output.error_text()
    );
    let codes: Vec<_> = home.status(1)["attempts"]
        .as_array()
        .expect("a list of attempts")
        .iter()
        .map(|attempt| attempt["outcome"]["code"].clone())
        .collect();
    assert_eq!(codes, [22, 22, 0]);
}

#[test]
fn what_failed_attempts_of_a_transfer_print_never_reaches_stdout() {
    if skip(Need::Curl) || skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let server = unavailable_twice(binary_body());
    let journal = Journal::new(&home);
    // Without -f the page of the error is on stdout, and so is what the line says itself.
    let line = journal.line(&format!(
        "echo attempt $RETRIER_ATTEMPT; echo trouble $RETRIER_ATTEMPT >&2; curl -sS {}; test $RETRIER_ATTEMPT = 3",
        server.url()
    ));
    let id = home.run(["--shell", &line]);
    let output = home.retrier(["wait", &id.to_string()]).output().ok();
    assert!(output.stdout == [b"attempt 3\n".to_vec(), binary_body()].concat());
    // What was said of the attempts before is not what they wrote.
    let errors = output.error_text();
    let written: Vec<&str> = errors
        .lines()
        .filter(|line| !line.starts_with("retrier: run 1: attempt "))
        .collect();
    assert_eq!(written, ["trouble 3"], "{errors}");
    assert_eq!(journal.ends(id).len(), 3);
    journal.assert_no_overlap();
    let again = home.retrier(["wait", "--quiet", &id.to_string()]).output();
    assert!(
        again.ok().stdout == output.stdout,
        "a second wait prints the same"
    );
}

#[test]
fn the_last_failed_attempt_of_a_transfer_is_printed_and_no_other() {
    if skip(Need::Curl) {
        return;
    }
    let home = Home::new();
    let _daemon = home.daemon();
    let server = HttpServer::start(|number, _| {
        let page = format!("page {number}, \0 and no line end");
        (503, Vec::new(), page.into_bytes())
    });
    let line = format!("echo no {0} >&2; curl -sS {0}; exit 22", server.url());
    let call = home.retrier(["run", "--wait", "--quiet", "--max-failures", "2"]);
    let output = call.arg("--constant=20ms").arg("--shell").arg(line);
    let output = output.output().exits(22);
    assert_eq!(server.requests(), 3);
    assert_eq!(output.text(), "page 3, \0 and no line end");
    assert_eq!(output.error_text(), format!("no {}\n", server.url()));
}

/// A shell line that prints [`LARGE_BYTES`]: blocks of 1 MiB, each with its number before it.
fn large_line(home: &Home) -> String {
    let block = home.path("block");
    let bytes = binary_body().into_iter().cycle().take((1 << 20) - 8);
    fs::write(&block, bytes.collect::<Vec<u8>>()).expect("the temp folder can be written");
    format!(
        "n=0; while [ $n -lt 256 ]; do printf %08d $n; cat {}; n=$((n+1)); done",
        block.display()
    )
}

#[test]
fn a_large_output_passes_through_unchanged_and_takes_no_memory() {
    let home = Home::new();
    let _daemon = home.daemon();
    // The daemon and its shim have done their first work before they are measured.
    home.retrier(["run", "--wait", "--", "echo", "warm"])
        .output()
        .ok();
    let served = |process: &Process| process.is_daemon() || process.is_shim();
    let mut servers = home.processes();
    servers.retain(served);
    assert_eq!(servers.len(), 2, "a daemon and a warm shim: {servers:#?}");
    let before: Vec<u64> = servers.iter().map(|one| memory_kb(one, "VmRSS")).collect();

    let line = large_line(&home);
    let sum = |command: String| {
        let call = home.sh(command).env("LINE", &line);
        call.limit(Duration::from_secs(120)).output().ok().text()
    };
    let expected = sum("sh -c \"$LINE\" | sha256sum".to_owned());
    let came = sum("(retrier run --wait --max-failures 0 --shell \"$LINE\"; echo $? >\"$HOME/code\") | sha256sum".to_owned());
    assert_eq!(came, expected);
    let code = fs::read_to_string(home.path("home/code")).expect("the shell wrote it");
    assert_eq!(code, "0\n");

    for (process, before) in servers.iter().zip(before) {
        let now = home.processes();
        assert!(now.contains(process), "it has served all: {process:?}");
        let peak = memory_kb(process, "VmHWM");
        assert!(
            peak <= before + GROWTH_KB_MAX,
            "{process:?} grew from {before} kB to {peak} kB"
        );
    }
    let logged = home.path("retrier.db.d/logs/0/2.1.out");
    assert_eq!(
        fs::metadata(logged).map(|found| found.len()).ok(),
        Some(LARGE_BYTES)
    );
    let kept = &home.status(2)["result"]["return_value"]["base64"];
    let kept_chars = kept.as_str().expect("bytes that are not UTF-8").len();
    assert_eq!(kept_chars, (64_usize << 10).div_ceil(3) * 4);
}

/// A cut in the middle of a character would turn a text of 64 KiB into base64.
#[test]
fn a_return_value_is_cut_between_characters() {
    let home = Home::new();
    let line = "head -c 65535 /dev/zero | tr '\\0' a; printf '\\303\\251 and more'";
    let id = home.run(["--shell", line]);
    assert_eq!(home.wait(id), 0);
    let result = &home.status(id)["result"];
    let value = result["return_value"].as_str().expect("it is text");
    assert_eq!(value, "a".repeat(65535));
}
