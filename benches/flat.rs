//! What each operation costs in a database with a long history and a long backlog, beside one that
//! is empty but for what the operation needs. Prints a table; `README.md` beside this file says how
//! to read it. Errors end it, times never do.
//!
//! `RETRIER_BENCH_PART=N` takes an Nth of the big database, `RETRIER_BENCH_DIR` keeps it.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

#[path = "../tests/support/backlog.rs"]
mod backlog;
#[path = "../tests/support/desk.rs"]
#[allow(dead_code, reason = "a tool kit: the tests use all of it")]
mod desk;
mod drain;
mod operations;
mod verbs;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::Criterion;
use retrier::sys::files::make_private_dirs;
use rusqlite::Connection;

use backlog::Backlog;
use desk::Desk;
use operations::Worker;

/// The three databases, and how often each thing is done in them.
pub struct Plan {
    folder: PathBuf,
    /// Where databases are kept as they were made.
    kept: Option<PathBuf>,
    backlogs: [(&'static str, Backlog); 3],
    /// Rounds of an operation, of a verb, and runs to be drained.
    rounds: [usize; 3],
}

/// What is compared.
pub struct Row {
    name: String,
    unit: &'static str,
    empty: f64,
    full: f64,
}

impl Row {
    /// From what was measured in the two, in seconds.
    pub fn of_times(name: &str, empty: &mut [Duration], full: &mut [Duration]) -> Self {
        let micros = |times: &mut [Duration]| median(times).as_secs_f64() * 1e6;
        Self {
            name: name.to_owned(),
            unit: "µs",
            empty: micros(empty),
            full: micros(full),
        }
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

impl Plan {
    /// The path of a database.
    pub fn database(&self, name: &str) -> PathBuf {
        self.folder.join(name).join("db")
    }

    /// Makes a database, or takes a copy of the one that was kept.
    fn make(&self, name: &str, backlog: Backlog) {
        let path = self.database(name);
        let folder = path.parent().expect("it is in a folder");
        make_private_dirs(folder).expect("a folder can be made");
        let kept = self.kept.as_ref().map(|folder| folder.join(name));
        if let Some(kept) = kept.as_ref().filter(|kept| kept.exists()) {
            fs::copy(kept, &path).expect("there is room");
            return;
        }
        drop(Desk::open(&path));
        let db = Connection::open(&path).expect("it is there");
        let begun = retrier::clock::monotonic();
        backlog.fill_now(&db);
        drop(db);
        let length = fs::metadata(&path).expect("it is there").len() >> 20;
        println!(
            "{name}: {length} MiB in {:.0?}: {backlog:?}",
            begun.elapsed()
        );
        if let Some(kept) = kept {
            fs::copy(&path, kept).expect("there is room");
        }
    }
}

fn main() {
    let in_test = env::args().any(|argument| argument == "--test");
    let part = env::var("RETRIER_BENCH_PART").map(|part| part.parse().expect("it is a number"));
    let part = part.unwrap_or(if in_test { 1000 } else { 1 });
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let page = Backlog {
        finished: 300,
        // As many in five minutes as in the full one.
        finished_in_ms: 300 * Backlog::part(1).finished_in_ms / 1_000_000,
        pools: 2,
        ..Backlog::part(1000)
    };
    let plan = Plan {
        backlogs: [
            ("empty", Backlog::NONE),
            ("page", page),
            ("full", Backlog::part(part)),
        ],
        folder: temporary.path().to_owned(),
        kept: env::var_os("RETRIER_BENCH_DIR").map(PathBuf::from),
        rounds: if in_test { [2, 2, 5] } else { [300, 30, 500] },
    };
    for (name, backlog) in plan.backlogs {
        plan.make(name, backlog);
    }
    let mut rows = compare_operations(&plan);
    rows.extend(verbs::compare(&plan));
    rows.push(drain::compare(&plan));
    print(&rows);
}

/// The operations by themselves: in turns, then once more by criterion, which tells what has
/// changed since the last time.
fn compare_operations(plan: &Plan) -> Vec<Row> {
    let [mut empty, mut page, mut full] = plan.backlogs.map(|(name, backlog)| {
        let desk = Desk::open(&plan.database(name));
        Worker::new(desk, backlog.finished)
    });
    let mut rows = Vec::new();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for (name, needs_page, operation) in operations::ALL {
        let small = if needs_page { &mut page } else { &mut empty };
        let (mut in_small, mut in_full) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds[0] {
            in_small.push(operation(small));
            in_full.push(operation(&mut full));
        }
        rows.push(Row::of_times(name, &mut in_small, &mut in_full));
        let mut group = criterion.benchmark_group(name);
        for (which, worker) in [("empty", small), ("full", &mut full)] {
            group.bench_function(which, |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| operation(worker)).sum());
            });
        }
        group.finish();
    }
    for worker in [empty, page, full] {
        worker.leave();
    }
    criterion.final_summary();
    rows
}

fn print(rows: &[Row]) {
    println!("\n| operation | empty | full | ratio |\n|---|---:|---:|---:|");
    for Row {
        name,
        unit,
        empty,
        full,
    } in rows
    {
        println!(
            "| {name} | {empty:.0} {unit} | {full:.0} {unit} | {:.2} |",
            full / empty
        );
    }
}

/// The binary of this build.
pub fn retrier(database: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_retrier"));
    command.arg("--db").arg(database).env_remove("RETRIER_DB");
    command
}
