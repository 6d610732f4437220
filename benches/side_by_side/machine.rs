//! What the figures were measured on, and with whom.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use crate::ground::Ground;

pub fn print(ground: &Ground) {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |line| line.trim_start_matches([' ', '\t', ':']));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    println!("kernel: Linux {}", kernel.trim());
    println!("processors: {cpus} ({model}), load at the start {load}");
    println!("filesystem: {}", filesystem(ground));
    println!("SQLite: {}", rusqlite::version());
    for (name, program, arguments) in [
        ("retrier", env!("CARGO_BIN_EXE_retrier"), "--version"),
        ("task-spooler", "tsp", "-V"),
        ("nq", "dpkg-query", "-W nq"),
        ("GNU parallel", "parallel", "--version"),
        ("retry", "dpkg-query", "-W retry"),
        ("xargs", "xargs", "--version"),
        ("pueue", "pueue", "--version"),
        ("Python", "python3", "--version"),
    ] {
        let version = version(ground, program, arguments);
        println!("{name}: {}", version.as_deref().unwrap_or("is not here"));
    }
    let modules = fs::read_dir(ground.tools.modules());
    let names = modules.into_iter().flatten().flatten();
    let mut names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let litequeue = names.find(|name| name.starts_with("litequeue-"));
    println!(
        "litequeue: {}",
        litequeue.as_deref().unwrap_or("is not here")
    );
}

/// The type of the one that all files are on, and where it is mounted.
fn filesystem(ground: &Ground) -> String {
    let call = Command::new("df")
        .args(["--output=fstype,source,target"])
        .arg(ground.path())
        .output();
    let told = call.map_or_else(|_| Vec::new(), |output| output.stdout);
    let told = String::from_utf8_lossy(&told).into_owned();
    let words = told.lines().last().unwrap_or_default().split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

/// The first line of what it says of its version.
fn version(ground: &Ground, program: &str, arguments: &str) -> Option<String> {
    let program = ground.tools.find(program).or_else(|| {
        let path = std::path::PathBuf::from(program);
        path.is_absolute().then_some(path)
    })?;
    let mut call = ground.command(program);
    let output = call
        .args(arguments.split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .output();
    let told = String::from_utf8_lossy(&output.ok()?.stdout).into_owned();
    let line = told.lines().next()?.replace('\t', " ");
    Some(line).filter(|line| !line.is_empty())
}
