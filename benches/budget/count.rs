//! Instructions by callgrind and system calls by strace, and to whom they belong.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::ledger::INSTRUCTIONS;
use crate::scene::{Scene, until};

/// How often, by name: a system call, or [`INSTRUCTIONS`].
pub type Counts = BTreeMap<String, f64>;

/// What was counted of all processes together that have the same part.
pub type Seen = BTreeMap<Owner, Counts>;

/// The part that a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    Client,
    Daemon,
    Shim,
    /// Not ours, and not compared.
    Command,
}

impl Owner {
    /// Of a process with this command line, in whatever notation.
    fn of(line: &str) -> Self {
        let is_part = |c: char| c.is_alphanumeric() || "_-".contains(c);
        let has = |word| line.split(|c| !is_part(c)).any(|part| part == word);
        if has("__shim") {
            Self::Shim
        } else if has("daemon") {
            Self::Daemon
        } else if has("retrier") {
            Self::Client
        } else {
            Self::Command
        }
    }

    /// Who starts it.
    fn parent(self) -> Self {
        match self {
            Self::Client => Self::Client,
            Self::Daemon | Self::Shim => Self::Daemon,
            Self::Command => Self::Shim,
        }
    }
}

/// Counts `count` more.
fn add(seen: &mut Seen, owner: Owner, what: &str, count: f64) {
    let counts = seen.entry(owner).or_default();
    *counts.entry(what.to_owned()).or_default() += count;
}

/// The instructions of the program with `arguments`, in user space: those of the kernel are told by
/// the system calls. What a child does before it is another program is not counted here.
pub fn instructions(scene: &Scene<'_>, arguments: &[&str]) -> Seen {
    let out = scene.path("ir");
    fs::create_dir(&out).expect("there is room");
    let mut command = scene.command(&scene.tools.valgrind);
    command
        .args([
            "-q",
            "--tool=callgrind",
            "--vgdb=no",
            "--trace-children=yes",
        ])
        .arg("--trace-children-skip=*/true")
        .arg(format!("--callgrind-out-file={}", out.join("%p").display()))
        .arg(scene.path("v/retrier"))
        .args(arguments);
    let said = scene.run(&mut command);
    assert!(!said.contains("unhandled"), "valgrind: {said}");
    let mut reports = Vec::new();
    // A shim outlives its daemon a little.
    until("the reports of callgrind", || {
        reports = texts(&out);
        reports.iter().all(|report| report.contains("\ntotals: "))
    });
    fs::remove_dir_all(&out).expect("it is ours");
    let mut seen = Seen::new();
    for report in reports {
        let field = |name| {
            let mut lines = report.lines();
            lines
                .find_map(|line| line.strip_prefix(name))
                .expect("it is a report")
        };
        let total = field("totals: ").trim().parse().expect("it is a number");
        add(&mut seen, Owner::of(field("cmd: ")), INSTRUCTIONS, total);
    }
    seen
}

/// The system calls of the program with `arguments`, and of all that it starts.
pub fn system_calls(scene: &Scene<'_>, arguments: &[&str]) -> Seen {
    let out = scene.path("st");
    fs::create_dir(&out).expect("there is room");
    let mut command = scene.command(&scene.tools.strace);
    command
        .args(["-ff", "-qq", "-s", "256", "-e", "signal=none", "-o"])
        .arg(out.join("of"))
        .arg(scene.path("retrier"))
        .args(arguments);
    scene.run(&mut command);
    let mut seen = Seen::new();
    for trace in texts(&out) {
        count_calls(&mut seen, &trace);
    }
    fs::remove_dir_all(&out).expect("it is ours");
    seen
}

/// The calls of one process, which may have become another program on its way: what it did before
/// belongs to whoever started it.
fn count_calls(seen: &mut Seen, trace: &str) {
    let mut owner = None;
    let mut before = Vec::new();
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        before.extend(plain(name));
        if name == "execve" && line.ends_with(" = 0") {
            let next = Owner::of(line);
            let did = owner.unwrap_or(next.parent());
            before.drain(..).for_each(|name| add(seen, did, name, 1.0));
            owner = Some(next);
        }
    }
    // A child that became nothing else: shims alone have such.
    let did = owner.unwrap_or(Owner::Shim);
    before.drain(..).for_each(|name| add(seen, did, name, 1.0));
}

/// One name for calls that a libc makes in the place of another; none for what is no call where the
/// kernel shows the clock to all.
fn plain(name: &str) -> Option<&str> {
    Some(match name {
        "fstat" | "lstat" | "newfstatat" => "stat",
        "openat" => "open",
        "ppoll" => "poll",
        "clone3" | "vfork" => "clone",
        "clock_gettime" | "gettimeofday" | "time" | "getcpu" => return None,
        other => other,
    })
}

/// What the files of a folder hold.
fn texts(folder: &PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is ours");
    let read = |path| String::from_utf8_lossy(&fs::read(path).expect("it is ours")).into_owned();
    entries
        .map(|entry| read(entry.expect("it is ours").path()))
        .collect()
}
