//! What a command inherits, whoever called `retrier run`: nothing but what it should; and that the caller gets
//! everything back although a daemon was started.

mod inherited;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

use crate::support::{Home, Need, skip, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// Signals 32 and 33 belong to glibc, whose posix_spawn(3) leaves them ignored in every child; no program can set
/// them through it.
const LIBC_SIGNALS: u64 = 0b11 << 31;

/// A living command, as the kernel sees it.
struct Child {
    pid: i64,
}

impl Child {
    /// The command of this run, once it runs.
    fn of(home: &Home, id: i64) -> Child {
        let pid = || home.status(id)["attempts"][0]["pid"].as_i64();
        wait_until("the command runs", LONG, || pid().is_some());
        Child {
            pid: pid().expect("it was there a moment ago"),
        }
    }

    /// A field of /proc/PID/status.
    fn field(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid));
        let status = status.expect("the command lives");
        let mut values = status
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values
            .next()
            .expect("the kernel knows it")
            .trim()
            .to_owned()
    }

    /// Numbers and files of its open descriptors.
    fn open_files(&self) -> Vec<(u32, PathBuf)> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("the command lives");
        let mut open: Vec<(u32, PathBuf)> = entries
            .flatten()
            .map(|entry| {
                let name = entry.file_name().into_string().expect("a number");
                let file = fs::read_link(entry.path()).expect("the command lives");
                (name.parse().expect("a number"), file)
            })
            .collect();
        open.sort();
        open
    }

    /// Its variables, as `KEY=VALUE`, without retrier's own.
    fn variables(&self) -> BTreeSet<String> {
        let bytes = fs::read(format!("/proc/{}/environ", self.pid)).expect("the command lives");
        let text = String::from_utf8(bytes).expect("these variables are UTF-8");
        text.split_terminator('\0')
            .filter(|variable| !variable.starts_with("RETRIER_"))
            .map(str::to_owned)
            .collect()
    }

    /// Which signals it ignores, blocks or has pending: none would be right.
    fn odd_signals(&self) -> Vec<String> {
        let masks = ["SigIgn", "SigBlk", "SigPnd", "ShdPnd"].into_iter();
        let masks = masks.map(|name| {
            let mask = u64::from_str_radix(&self.field(name), 16).expect("hexadecimal");
            (name, mask & !LIBC_SIGNALS)
        });
        let odd = masks.filter(|(_, mask)| *mask != 0);
        odd.map(|(name, mask)| format!("{name} is {mask:x}"))
            .collect()
    }

    /// Asserts that it ignores, blocks and has pending no signal.
    #[track_caller]
    fn assert_default_signals(&self) {
        assert_eq!(self.odd_signals(), [""; 0]);
    }

    /// What does not hold that holds for every command.
    fn uncleanness(&self, home: &Home, id: i64) -> Vec<String> {
        let mut found = self.odd_signals();
        let open = self.open_files();
        let logs = home.path("retrier.db.d/logs/0");
        let expected = [
            (0, "/dev/null".into()),
            (1, logs.join(format!("{id}.1.out"))),
            (2, logs.join(format!("{id}.1.err"))),
        ];
        let shims = home.path("retrier.db.d/shims");
        if open.len() != 4 || open[..3] != expected || !open[3].1.starts_with(shims) {
            found.push(format!("open are {open:?}"));
        }
        let stat = stat(self.pid);
        if i64::from(stat.group) != self.pid || stat.terminal != 0 {
            let (group, terminal) = (stat.group, stat.terminal);
            found.push(format!("its group is {group}, its terminal {terminal}"));
        }
        found
    }

    /// Asserts what holds for every command.
    #[track_caller]
    fn assert_clean(&self, home: &Home, id: i64) {
        assert_eq!(self.uncleanness(home, id), [""; 0]);
    }
}

/// Fields of /proc/PID/stat: see proc(5).
struct Stat {
    group: i32,
    session: i32,
    terminal: i32,
}

fn stat(pid: i64) -> Stat {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    let (_, fields) = text.rsplit_once(") ").expect("a name in parentheses");
    let field = |at: usize| {
        let text = fields.split(' ').nth(at).expect("more than 50 fields");
        text.parse().expect("a number")
    };
    Stat {
        group: field(2),
        session: field(3),
        terminal: field(4),
    }
}

#[test]
fn a_child_of_a_call_under_nohup_is_clean() {
    if skip(Need::Nohup) {
        return;
    }
    let home = Home::new();
    let call = home.sh("nohup retrier run -- sleep 600").output().ok();
    let id = call.text().parse().unwrap();
    Child::of(&home, id).assert_clean(&home, id);
}

#[test]
fn a_child_of_a_call_in_the_background_of_a_shell_is_clean() {
    let home = Home::new();
    let call = home.sh("retrier run -- sleep 600 &").output().ok();
    let id = call.text().parse().unwrap();
    Child::of(&home, id).assert_clean(&home, id);
}

#[test]
fn a_child_of_a_caller_that_blocks_and_ignores_signals_and_leaks_descriptors_is_clean() {
    let home = Home::new();
    let leak = File::create(home.path("leak")).unwrap();
    let leak = std::os::fd::AsRawFd::as_raw_fd(&leak);
    let mut command = home.command();
    command
        .args(["run", "--", "sleep", "600"])
        .stdin(Stdio::null())
        .stdout(File::create(home.path("id")).unwrap());
    // SAFETY: only async-signal-safe calls: sigprocmask(2), signal(2), dup2(2).
    unsafe {
        command.pre_exec(move || {
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
            for ignored in [libc::SIGTERM, libc::SIGHUP, libc::SIGCHLD, libc::SIGPIPE] {
                libc::signal(ignored, libc::SIG_IGN);
            }
            for number in [3, 9, 77] {
                libc::dup2(leak, number);
            }
            Ok(())
        });
    }
    let mut caller = command.spawn().unwrap();
    wait_until("the call returns", LONG, || {
        caller.try_wait().unwrap().is_some_and(|end| end.success())
    });
    let text = fs::read_to_string(home.path("id")).unwrap();
    let id = text.trim().parse().unwrap();
    Child::of(&home, id).assert_clean(&home, id);
    for process in home.processes() {
        let open = Child {
            pid: process.pid.into(),
        };
        let open = open.open_files();
        let leaked = open.iter().any(|(_, file)| file.ends_with("leak"));
        assert!(!leaked, "{process:?} has {open:?}");
    }
    // SIGTERM was blocked and ignored, and still ends the command; so it does its daemon.
    home.retrier(["cancel", &id.to_string()]).output().ok();
    home.retrier(["daemon", "stop"]).limit(LONG).output().ok();
    home.assert_no_process_left();
}

#[test]
fn a_child_has_the_callers_folder_umask_and_environment() {
    let home = Home::new();
    let _daemon = home.daemon_with(&[], &[("OF_THE_DAEMON", "1")]);
    let folder = home.path("its own folder");
    fs::create_dir(&folder).unwrap();
    let line = "umask 027; exec env -i A='b c' EMPTY= PATH=\"$PATH\" \
        retrier --db \"$RETRIER_DB\" run -- sleep 600";
    let call = home.sh(line).env("LEFT_OUT", "1").cwd(&folder).output();
    let id = call.ok().text().parse().unwrap();
    let child = Child::of(&home, id);
    child.assert_clean(&home, id);
    assert_eq!(child.field("Umask"), "0027");
    let cwd = fs::read_link(format!("/proc/{}/cwd", child.pid)).unwrap();
    assert_eq!(cwd, folder.canonicalize().unwrap());
    let path = home.sh("printf %s \"$PATH\"").output().ok().text();
    let expected = [
        "A=b c".to_owned(),
        "EMPTY=".to_owned(),
        format!("PATH={path}"),
    ];
    assert_eq!(child.variables(), expected.into());
}

#[test]
fn a_retried_attempt_is_as_clean_as_the_first() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "umask; pwd; cat; test $RETRIER_ATTEMPT = 3 || exit 1; exec sleep 600";
    let call = home.sh("umask 031; retrier run --constant 0 --shell \"$LINE\"");
    let call = call.env("LINE", line).cwd(home.path("home")).output().ok();
    let id: i64 = call.text().parse().unwrap();
    let pid = || home.status(id)["attempts"][2]["pid"].as_i64();
    wait_until("the third attempt runs", LONG, || pid().is_some());
    let child = Child {
        pid: pid().unwrap(),
    };
    child.assert_default_signals();
    assert_eq!(child.open_files().len(), 4, "{:?}", child.open_files());
    let folder = home.path("home").canonicalize().unwrap();
    let expected = format!("0031\n{}", folder.display());
    for attempt in ["1", "2", "3"] {
        let logs = home.retrier(["logs", &id.to_string(), "--attempt", attempt]);
        assert_eq!(logs.output().ok().text(), expected);
    }
}

#[test]
fn a_command_substitution_returns_at_once_although_a_daemon_was_started() {
    let home = Home::new();
    let line = "out=$(retrier run -- sleep 600); echo \"got $out\"";
    let call = home.sh(line).limit(LONG).output().ok();
    assert_eq!(call.text(), "got 1");
    assert_eq!(call.error_text(), "");
    let daemons = home.processes();
    assert!(daemons.iter().any(|process| process.is_daemon()));
}

#[test]
fn a_call_as_cron_makes_it_returns_at_once_although_a_daemon_was_started() {
    let home = Home::new();
    let line =
        "exec env -i setsid -w \"$(command -v retrier)\" --db \"$RETRIER_DB\" run -- sleep 600";
    let call = home.sh(line).cwd("/").limit(LONG).output().ok();
    assert_eq!(
        (call.text().as_str(), call.error_text().as_str()),
        ("1", "")
    );
    Child::of(&home, 1).assert_clean(&home, 1);
}

#[test]
fn a_call_without_any_open_descriptor_stores_its_run() {
    let home = Home::new();
    home.sh("retrier run -- sleep 600 <&- >&- 2>&-")
        .limit(LONG)
        .output();
    wait_until("it runs", LONG, || home.state(1) == "running");
    Child::of(&home, 1).assert_clean(&home, 1);
}

#[test]
fn daemon_and_command_outlive_the_terminal_and_have_none() {
    if skip(Need::Script) {
        return;
    }
    let home = Home::new();
    let line = "script -qec 'retrier run -- sleep 600' /dev/null </dev/null";
    home.sh(line).limit(LONG).output().ok();
    let child = Child::of(&home, 1);
    child.assert_clean(&home, 1);
    let processes = home.processes();
    let daemon = processes.iter().find(|process| process.is_daemon());
    let daemon = daemon.expect("a daemon lives").pid;
    assert_eq!(stat(daemon.into()).terminal, 0);
    assert_eq!(stat(daemon.into()).session, daemon);
    assert_eq!(home.state(1), "running");
}
