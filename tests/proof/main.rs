//! The proof that a stranger can run: every fault of the list in `rows`, as often as it says there, with the deliberate
//! bugs that show that the tests would see it; and one table of what came of it.
//!
//! ```sh
//! cargo test --features failpoints --test proof                  # everything
//! cargo test --features failpoints --test proof -- T5 T10        # these rows alone
//! cargo test --features failpoints --test proof -- --soak 1h     # all faults at once, for so long
//! ```
//!
//! The tests themselves are those of `behaviour`, which do more of what they do when `PROOF_REPORT` is set.
#![expect(
    clippy::print_stdout,
    reason = "its printed lines are all that this program is for"
)]

mod program;
mod rows;
mod soak;
mod table;

use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use program::Program;
use rows::{ROWS, Row};
use table::Proved;

/// So many rows are proved beside each other, where they can be: most of their time is waiting.
const BESIDE: usize = 3;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().position(|word| word == "--soak") {
        Some(at) => soak::run(words.get(at + 1).map_or("1h", String::as_str)),
        None => prove(&words),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Proves the rows of these names, or all; prints the table. `false`: something does not hold.
fn prove(names: &[String]) -> Result<bool, String> {
    let known = |name: &&String| ROWS.iter().any(|row| row.name == **name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("no row {unknown}; there are {}", all.join(" ")));
    }
    let is_wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| name == row.name);
    let program = Program::build()?;
    let (since, wanted) = (now(), ROWS.iter().filter(is_wanted));
    let (alone, mut beside): (Vec<&'static Row>, Vec<_>) = wanted.partition(|row| row.alone);
    // The longest first, so that none of them is left at the end.
    beside.sort_by_key(|row| std::cmp::Reverse(row.seconds));
    let mut all = prove_rows(&program, beside, BESIDE);
    all.extend(prove_rows(&program, alone, 1));
    let place = |proved: &Proved| ROWS.iter().position(|row| proved.is_of(row));
    all.sort_by_key(place);
    println!("\n{}\n", table::of(&all));
    let wrong = all.iter().filter(|proved| !proved.is_right()).count();
    let took = since.elapsed().as_secs();
    println!("{} rows in {took} s, {wrong} of them wrong", all.len());
    Ok(wrong == 0)
}

/// Proves rows, so many beside each other.
fn prove_rows(program: &Program, rows: Vec<&'static Row>, beside: usize) -> Vec<Proved> {
    let (rows, all) = (Mutex::new(rows.into_iter()), Mutex::new(Vec::new()));
    let next = || rows.lock().expect("nobody panics while holding it").next();
    thread::scope(|scope| {
        for _ in 0..beside {
            scope.spawn(|| {
                while let Some(row) = next() {
                    let proved = prove_row(program, row);
                    println!("{}", proved.summary());
                    let mut all = all.lock().expect("nobody panics while holding it");
                    all.push(proved);
                }
            });
        }
    });
    all.into_inner().expect("nobody panics while holding it")
}

fn prove_row(program: &Program, row: &'static Row) -> Proved {
    let tests = match program.tests(row.tests) {
        Ok(tests) => tests,
        Err(missing) => return Proved::impossible(row, format!("no test named {missing:?}")),
    };
    let since = now();
    match program.call(row.name, &tests, &[]) {
        Ok(called) => Proved::of(row, tests.len(), &called, since.elapsed()),
        Err(error) => Proved::impossible(row, format!("it cannot be run: {error}")),
    }
}

#[expect(clippy::disallowed_methods, reason = "how long it took is told")]
fn now() -> Instant {
    Instant::now()
}
