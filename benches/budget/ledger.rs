//! The budgets: read, compared with what was measured, written anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::count::Counts;

/// The machine whose instructions they count.
pub const ARCH: &str = "x86_64";

/// The name of what is no system call.
pub const INSTRUCTIONS: &str = "instructions";

/// What is counted by the run, so that parts of one are no accident.
pub const BY_RUN: [&str; 2] = ["claim and settle, the daemon", "attempt, the shim"];

const FILE: &str = "benches/budget/budgets.tsv";

const HEADER: &str = "\
# What each operation may take: instructions in user space, and system calls by name.
# Those of `claim and settle` and of `attempt` are by the run. Calls that one libc makes in the place of
# another have one name: stat, open, poll, clone. UPDATE_BUDGETS=1 writes this file.
";

/// What operations take, or may take.
pub struct Ledger {
    /// The versions of all that the counts depend on beside the program.
    pub made_with: String,
    pub operations: Vec<(String, Counts)>,
}

/// How much more than its budget something may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A tenth: another compiler or libc moves it by less.
    Instructions,
    /// Nothing: each costs more than all the rest together.
    Sync,
    /// As many again: how often one wakes depends on who is faster, the child that ends or the parent
    /// that goes to sleep. Whoever wakes for nothing again and again is still caught.
    Wait,
    /// A tenth, but at least one, of what is counted by the run half of one.
    Call,
}

impl Kind {
    fn of(what: &str) -> Self {
        match what {
            INSTRUCTIONS => Self::Instructions,
            "fsync" | "fdatasync" | "sync_file_range" | "syncfs" | "sync" | "msync" => Self::Sync,
            "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait"
            | "epoll_pwait2" | "wait4" | "waitid" | "futex" | "nanosleep" | "clock_nanosleep"
            | "sched_yield" | "restart_syscall" | "rt_sigreturn" => Self::Wait,
            _ => Self::Call,
        }
    }

    fn margin(self, budget: f64, operation: &str) -> f64 {
        let least = if BY_RUN.contains(&operation) {
            0.5
        } else {
            1.0
        };
        match self {
            Self::Instructions => budget / 10.0,
            // Less than what the file rounds off.
            Self::Sync => 0.006,
            Self::Wait => budget.max(1.0),
            Self::Call => (budget / 10.0).max(least),
        }
    }
}

impl Ledger {
    /// The budgets. There are none yet when there is no file.
    pub fn read() -> Self {
        let mut ledger = Self {
            made_with: String::new(),
            operations: Vec::new(),
        };
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE));
        for line in text.unwrap_or_default().lines() {
            if let Some(versions) = line.strip_prefix("# Made with ") {
                ledger.made_with = versions.to_owned();
            }
            if line.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = line.split('\t').collect();
            let [operation, what, count] = fields[..] else {
                panic!("{FILE}: a line has three fields, not {line:?}");
            };
            let count: f64 = count.parse().expect("a count is a number");
            if ledger
                .operations
                .last()
                .is_none_or(|(name, _)| name != operation)
            {
                ledger
                    .operations
                    .push((operation.to_owned(), Counts::new()));
            }
            let last = ledger.operations.last_mut().expect("one was added");
            last.1.insert(what.to_owned(), count);
        }
        ledger
    }

    /// Makes what was measured the budgets.
    pub fn write(&self) {
        let mut text = format!("{HEADER}# Made with {}\n", self.made_with);
        for (operation, counts) in &self.operations {
            let shown = |what: &str| (what.to_owned(), counts.get(what).copied());
            let first = [INSTRUCTIONS, "fsync", "fdatasync"].map(shown);
            let others = counts
                .keys()
                .filter(|what| first.iter().all(|one| one.0 != **what));
            for (what, count) in first.iter().cloned().chain(others.map(|what| shown(what))) {
                // That nothing is synced is worth a line, too.
                let is_sync = Kind::of(&what) == Kind::Sync;
                let count = count.or(is_sync.then_some(0.0)).map(number);
                if let Some(count) = count.filter(|count| is_sync || count != "0") {
                    let _ = writeln!(text, "{operation}\t{what}\t{count}");
                }
            }
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        fs::write(path, text).expect("the file can be written");
    }

    fn of(&self, operation: &str) -> Counts {
        let found = self.operations.iter().find(|(name, _)| name == operation);
        found.map(|(_, counts)| counts.clone()).unwrap_or_default()
    }
}

/// Prints what was measured beside its budgets. `false`: something takes more.
pub fn compare(budgets: &Ledger, measured: &Ledger) -> bool {
    let head = "operation|instructions|budget|syncs|budget|system calls|budget";
    let mut sums = vec![row(head)];
    let head = "operation|what|budget|now|change";
    let (mut grown, mut shrunk) = (vec![row(head)], vec![row(head)]);
    for (operation, counts) in &measured.operations {
        let budget = budgets.of(operation);
        sums.push(sums_of(operation, counts, &budget));
        for what in counts.keys().chain(budget.keys()).collect::<BTreeSet<_>>() {
            let count = |counts: &Counts| counts.get(what).copied().unwrap_or_default();
            let (may, now) = (count(&budget), count(counts));
            let margin = Kind::of(what).margin(may, operation);
            let change = match may {
                0.0 => "new".to_owned(),
                may => format!("{:+.0} %", (now / may - 1.0) * 100.0),
            };
            let line = vec![
                operation.clone(),
                what.clone(),
                number(may),
                number(now),
                change,
            ];
            if now > may + margin {
                grown.push(line);
            } else if now < may - margin {
                shrunk.push(line);
            }
        }
    }
    print("per operation", &sums);
    print("can be lowered: UPDATE_BUDGETS=1", &shrunk);
    print("MORE THAN THE BUDGET", &grown);
    let names = |ledger: &Ledger| -> Vec<String> {
        let names = ledger.operations.iter().map(|(name, _)| name.clone());
        names.collect()
    };
    let is_whole = names(budgets) == names(measured);
    if !is_whole {
        println!("\n{FILE} has budgets of other operations: UPDATE_BUDGETS=1");
    }
    let fits = is_whole && grown.len() == 1;
    if !fits && budgets.made_with != measured.made_with {
        println!("\nthe budgets were made with {}", budgets.made_with);
        println!("this machine has           {}", measured.made_with);
    }
    fits
}

fn row(fields: &str) -> Vec<String> {
    fields.split('|').map(str::to_owned).collect()
}

fn sums_of(operation: &str, counts: &Counts, budget: &Counts) -> Vec<String> {
    let sum = |counts: &Counts, wanted: &dyn Fn(Kind) -> bool| {
        let chosen = counts.iter().filter(|(what, _)| wanted(Kind::of(what)));
        // The sum of nothing is -0.
        number(chosen.map(|(_, count)| count).sum::<f64>() + 0.0)
    };
    let columns: [&dyn Fn(Kind) -> bool; 3] = [
        &|kind| kind == Kind::Instructions,
        &|kind| kind == Kind::Sync,
        &|kind| kind != Kind::Instructions,
    ];
    let sums = columns.map(|wanted| [sum(counts, wanted), sum(budget, wanted)]);
    let mut fields = vec![operation.to_owned()];
    fields.extend(sums.into_iter().flatten());
    fields
}

/// Prints a table whose first row is its head, if there is another.
fn print(title: &str, rows: &[Vec<String>]) {
    if rows.len() == 1 {
        return;
    }
    println!("\n{title}");
    let columns = 0..rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = columns.map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let fields = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (field, width))| {
                // Names to the left, numbers to the right.
                let is_name = rows[1][column].starts_with(char::is_alphabetic);
                if is_name {
                    format!("{field:<width$}")
                } else {
                    format!("{field:>width$}")
                }
            });
        println!("{}", fields.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Without what a count by the run does not need.
fn number(count: f64) -> String {
    if count >= 1000.0 {
        return format!("{count:.0}");
    }
    let text = format!("{count:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
