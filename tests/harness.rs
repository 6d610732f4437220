//! The harness itself: a harness that cannot fail proves nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{FakeClock, Home, HttpServer, Journal, Mark, Need, skip, wait_until};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

#[test]
#[should_panic(expected = "not within 200ms: pigs fly")]
fn wait_until_gives_up_and_says_what_did_not_come() {
    wait_until("pigs fly", SHORT, || false);
}

#[test]
#[should_panic(expected = "said before")]
fn a_call_past_its_limit_is_ended_and_shows_what_it_printed() {
    let home = Home::new();
    home.sh("echo said before; exec sleep 600")
        .limit(Duration::from_secs(2))
        .output();
}

#[test]
#[should_panic(expected = "somebody still holds its stdout")]
fn a_call_whose_stdout_is_kept_by_somebody_else_fails() {
    let home = Home::new();
    home.sh("sleep 600 &")
        .limit(Duration::from_secs(2))
        .output();
}

#[test]
fn a_call_has_its_stdin_its_folder_its_output_and_its_exit_code() {
    let home = Home::new();
    let big = vec![b'x'; 1 << 20];
    let copied = home
        .sh("cat; pwd >&2; exit 7")
        .stdin(big.clone())
        .cwd(home.path("home"))
        .output();
    let copied = copied.exits(7);
    assert!(
        copied.stdout == big,
        "{} bytes came back",
        copied.stdout.len()
    );
    assert!(copied.error_text().trim_end().ends_with("/home"));
    assert_eq!(home.sh("kill -9 $$").output().code, 128 + 9);
}

#[test]
fn a_call_sees_the_environment_of_its_home_and_none_of_ours() {
    let home = Home::new();
    let own = format!(
        "RETRIER_DB={}\nRETRIER_FAKE_CGROUP=/dev/null",
        home.db().display()
    );
    let line = "env | grep -E '^(RETRIER|XDG)_' | LC_ALL=C sort";
    let seen = || home.sh(line).output().text();
    assert_eq!(seen(), own);
    let clock = FakeClock::new(&home);
    clock.advance(Duration::from_secs(5));
    clock.set_back(Duration::from_secs(7));
    assert!(seen().contains("RETRIER_FAKE_CLOCK="), "{}", seen());
    assert_eq!(
        home.sh("cat \"$RETRIER_FAKE_CLOCK\"").output().text(),
        "-2000"
    );
}

#[test]
fn a_home_ends_every_process_that_belongs_to_it_and_only_those() {
    let (home, other) = (Home::new(), Home::new());
    let mut kept = other.sh("exec sleep 600").spawn();
    let folder = home.path("").display().to_string();
    home.sh("exec >/dev/null 2>&1; setsid sleep 600 & setsid nohup sh -c 'trap \"\" TERM; while :; do sleep 600; done' &")
        .output()
        .ok();
    home.sh(format!(
        "exec >/dev/null 2>&1; env -i sleep 600 9>{folder}/held &"
    ))
    .output()
    .ok();
    wait_until("all are started", LONG, || home.processes().len() >= 4);
    let pids: Vec<i32> = home.processes().iter().map(|process| process.pid).collect();
    assert!(!pids.contains(&kept.pid()));
    drop(home);
    for pid in pids {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!cmdline.starts_with(b"sleep"), "{pid} is still there");
    }
    assert!(kept.is_running());
    kept.signal(Signal::SIGTERM);
    assert_eq!(kept.wait().code, 128 + 15);
    other.assert_no_process_left();
}

#[test]
fn the_http_server_numbers_its_requests_and_answers_in_bytes() {
    let server = HttpServer::start(|number, line| match number {
        1 => (503, vec![("Retry-After".into(), "1".into())], Vec::new()),
        _ => (200, Vec::new(), [line.as_bytes(), b"\0\xff"].concat()),
    });
    let get = || {
        let address = server.url().replace("http://", "").replace('/', "");
        let mut connection = TcpStream::connect(address).expect("the server listens");
        connection
            .write_all(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("it reads");
        let mut answer = Vec::new();
        connection
            .read_to_end(&mut answer)
            .expect("it answers and closes");
        answer
    };
    let first = String::from_utf8(get()).expect("a head without a body");
    assert!(first.starts_with("HTTP/1.1 503 "), "{first}");
    assert!(first.contains("\r\nRetry-After: 1\r\n"), "{first}");
    assert!(get().ends_with(b"\r\n\r\nGET /x HTTP/1.1\0\xff"));
    assert_eq!(server.requests(), 2);
}

#[test]
fn the_journal_tells_starts_ends_and_overlaps() {
    if skip(Need::Flock) {
        return;
    }
    let home = Home::new();
    let journal = Journal::new(&home);
    let attempt = |run: &str, number: &str, body: &str| {
        let call = home.sh(journal.line(body)).env("RETRIER_RUN_ID", run);
        call.env("RETRIER_ATTEMPT", number).spawn()
    };
    attempt("7", "1", "exit 3").wait().exits(3);
    attempt("7", "2", "true").wait().ok();
    assert_eq!(journal.starts(7).len(), 2);
    let ends = journal.ends(7);
    assert_eq!((ends[1].mark, ends[1].attempt), (Mark::End, 2));
    assert!(ends[0].at_ns <= ends[1].at_ns);
    journal.assert_no_overlap();

    let mut first = attempt("8", "1", "sleep 600");
    wait_until("it has started", LONG, || journal.starts(8).len() == 1);
    attempt("9", "1", "true").wait().ok();
    journal.assert_no_overlap();
    attempt("8", "2", "true").wait().ok();
    assert_eq!(journal.violations().len(), 1);
    first.kill9();
}

#[test]
fn a_disk_fills_and_forgets_what_was_not_synced_when_its_power_is_cut() {
    if skip(Need::LoopMount) {
        return;
    }
    let home = Home::at("disk/retrier.db");
    let disk = home.mount("disk", 8);
    fs::write(disk.path("kept"), "kept").expect("there is room");
    let kept = fs::File::open(disk.path("kept")).expect("it is there");
    kept.sync_all().expect("it can be synced");
    drop(kept);
    disk.fill();
    assert!(fs::write(disk.path("more"), "more").is_err());
    disk.free();
    fs::write(disk.path("unsynced"), "lost").expect("there is room again");
    disk.cut_power();
    assert!(fs::read_dir(disk.path("")).is_err() || fs::write(disk.path("dead"), "").is_err());
    disk.power_on();
    assert_eq!(fs::read_to_string(disk.path("kept")).expect("kept"), "kept");
    let unsynced = fs::read_to_string(disk.path("unsynced")).unwrap_or_default();
    assert_eq!(unsynced, "");
}
