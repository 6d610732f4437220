//! `--max-output`: of an output that is longer the first half and the last are kept, also while it is written, whoever
//! is killed meanwhile, and nobody ever shows what is gone as zeros.
//!
//! What the disk holds is `st_blocks`: the length of the file goes on growing.

mod killed;
mod reading;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::crash::tools::{Gate, LONG, shim, wait_until_state};
use crate::support::{Home, wait_until};

/// A limit, in bytes, and as options take it.
const LIMIT: u64 = 1 << 20;
const LIMIT_TEXT: &str = "1M";

/// The file of the first attempt's stdout.
fn stdout(home: &Home, run: i64) -> PathBuf {
    home.path(format!("retrier.db.d/logs/0/{run}.1.out"))
}

/// How long a file is, and how much of the disk it takes.
fn extent(path: &PathBuf) -> (u64, u64) {
    fs::metadata(path).map_or((0, 0), |found| (found.len(), found.blocks() * 512))
}

/// Waits until the output is at least so long, and takes no more of the disk than its limit.
#[track_caller]
fn wait_until_cut(home: &Home, run: i64, length: u64) {
    let path = stdout(home, run);
    wait_until("the output is cut", LONG, || {
        let (found, taken) = extent(&path);
        found >= length && taken <= LIMIT
    });
}

/// The most memory that a process has had, in KiB.
fn memory_peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("proc(5) names it")
}

/// How often a process has gone to sleep.
fn sleeps(pid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
    let line = status.lines().find(|line| line.starts_with("voluntary_"));
    line.expect("proc(5) names it").to_owned()
}

/// Stores a run of this line with the limit; `cat "$go"` and the like find a gate by its name there.
#[track_caller]
fn run_bounded(home: &Home, args: &[&str], line: &str) -> i64 {
    let own = ["--max-failures", "0", "--max-output", LIMIT_TEXT];
    home.run(own.iter().chain(args).chain(&["--shell", line]))
}

/// What is shown of an output, split at the lines that tell of what was left out: the parts and the counts.
fn parts(shown: &[u8]) -> (Vec<Vec<u8>>, Vec<u64>) {
    let (mark, end) = (b"[retrier: ", b" bytes left out]\n");
    let (mut parts, mut counts, mut rest) = (Vec::new(), Vec::new(), shown);
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|part| part == what);
    while let Some(at) = find(rest, mark) {
        let number = &rest[at + mark.len()..];
        let length = find(number, end).expect("the line is whole");
        let count = std::str::from_utf8(&number[..length]).expect("a number");
        counts.push(count.parse().expect("a number"));
        parts.push(rest[..at].to_vec());
        rest = &number[length + end.len()..];
    }
    parts.push(rest.to_vec());
    (parts, counts)
}

/// The limit of memory of daemon and shim, in KiB.
const MEMORY_MAX: u64 = 50 * 1024;

#[test]
fn a_flood_is_cut_while_it_runs_and_at_its_end_and_its_command_knows_nothing_of_it() {
    const FLOOD: u64 = 150_000_000;
    let home = Home::new();
    let mut daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let line = format!(
        "echo begin; yes | head -c {FLOOD}; {}; head -c {FLOOD} /dev/zero | tr '\\0' '\\377'; printf end; exit 7",
        gate.line()
    );
    let id = run_bounded(&home, &[], &line);
    wait_until_cut(&home, id, FLOOD);
    let shown = home.retrier(["logs", &id.to_string()]).output().ok();
    let (shown, counts) = parts(&shown.stdout);
    assert_eq!((shown.len(), counts.len()), (2, 1));
    assert!(shown[0].starts_with(b"begin\ny\ny\n") && shown[1].ends_with(b"y\ny\n"));
    let peak = memory_peak(shim(&home)).max(memory_peak(daemon.pid()));
    assert!(peak < MEMORY_MAX, "{peak} KiB");
    gate.open();

    let waited = home.retrier(["wait", &id.to_string()]).output().exits(7);
    let length = 2 * FLOOD + "begin\nend".len() as u64;
    // It is cut before anybody is told of its end.
    let (found, taken) = extent(&stdout(&home, id));
    assert_eq!((found, taken <= LIMIT), (length, true), "{taken}");
    let (shown, counts) = parts(&waited.stdout);
    let head = [&b"begin\n"[..], &b"y\n".repeat(LIMIT as usize / 4)].concat();
    // The first half ends its line here, so nothing stands between it and the line that tells of the rest.
    assert!(shown[0] == head[..LIMIT as usize / 2]);
    let tail = &shown[1];
    assert!(tail.ends_with(b"\xff\xff\xffend"));
    assert!(tail[..tail.len() - 3].iter().all(|byte| *byte == 0xff));
    let kept = (shown[0].len() + tail.len()) as u64;
    assert_eq!((counts[0] + kept, kept <= LIMIT), (length, true));
    assert!(kept > LIMIT - 8192, "{kept}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn both_streams_of_every_attempt_are_bounded_and_what_fits_is_untouched() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "yes $RETRIER_ATTEMPT | head -c 3000000 >&2; head -c 1048576 /dev/zero; [ $RETRIER_ATTEMPT = 2 ]";
    let id = home.run([
        "--constant",
        "0",
        "--max-output",
        LIMIT_TEXT,
        "--shell",
        line,
    ]);
    assert_eq!(home.wait(id), 0);
    for attempt in ["1", "2"] {
        let call = home.retrier(["logs", &id.to_string(), "--attempt", attempt]);
        let shown = call.output().ok();
        assert!(shown.stdout == vec![0; LIMIT as usize], "zeros of its own");
        let (parts, counts) = parts(&shown.stderr);
        let of_attempt = |part: &Vec<u8>| {
            part.iter()
                .all(|byte| attempt.as_bytes()[0] == *byte || *byte == b'\n')
        };
        assert!(parts.iter().all(of_attempt));
        let kept: usize = parts.iter().map(Vec::len).sum();
        assert_eq!(counts[0] + kept as u64, 3_000_000);
    }
}

#[test]
fn what_hooks_and_patterns_look_at_is_there_whatever_the_limit() {
    let home = Home::new();
    let _daemon = home.daemon();
    let flood = "yes first | head -c 5000000; seq 1 9000";
    let least = [
        "--max-output",
        "256K",
        "--stop-if",
        r"^9000\n[^0]*\z",
        "--shell",
    ];
    let run = |line: String| home.run(least.iter().copied().chain([line.as_str()]));
    let failed = run(format!("{flood}; exit 1"));
    let succeeded = run(flood.to_owned());
    assert_eq!((home.wait(failed), home.wait(succeeded)), (1, 0));
    assert_eq!(home.status(failed)["result"]["reason"], "stopped");
    let head = "first\n".repeat(20_000);
    let value = home.status(succeeded)["result"]["return_value"].clone();
    assert_eq!(value, head[..64 * 1024]);
}

#[test]
fn a_shim_wakes_up_for_a_limit_only_while_an_attempt_runs() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let id = run_bounded(&home, &[], &gate.line());
    wait_until_state(&home, id, "running");
    let shim = shim(&home);
    let began = sleeps(shim);
    wait_until("it looks", LONG, || sleeps(shim) != began);
    gate.open();
    assert_eq!(home.wait(id), 0);
    let rested = crate::support::holds_within(LONG, || {
        let before = sleeps(shim);
        let twice = std::time::Duration::from_millis(2100);
        !crate::support::holds_within(twice, || sleeps(shim) != before)
    });
    assert!(rested, "it does not rest");
}
