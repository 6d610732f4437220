//! retrier beside what the machine itself needs, and beside its peers, in one run: the spawn floor,
//! one bare fdatasync, bare inserts into SQLite, `xargs -P`, task-spooler, nq, GNU parallel, retry,
//! pueue and litequeue. Prints a table of ratios, because times alone are those of a machine.
//! Errors end it, times never do.
//!
//! ```sh
//! cargo bench --bench side_by_side              # all rows
//! cargo bench --bench side_by_side -- 1 4 7     # these
//! cargo bench --bench side_by_side -- --test    # little of each, once: for errors alone
//! ```
//!
//! - **In turns**: each round measures each contestant once and begins with another one. The table
//!   has the median and the range; of a ratio those of the rounds, where a round is long enough to
//!   be compared by itself, and else that of the medians.
//! - **One ground**: all have the same small environment and their files on one filesystem, in
//!   `TMPDIR`, or in `/var/tmp`, which is a disk. Each row makes its own databases and queues.
//! - **The floor** is posix_spawn of the same command and waiting for it. *fdatasync* is a page
//!   of 4 KiB overwritten in a file that has its room already, and its fdatasync.
//! - **Peers** are searched for in `RETRIER_BENCH_TOOLS`, or `side_by_side-tools` beside the build,
//!   and on the machine; those that are missing are installed, Debian's packages by root alone.
//!   Where that fails the table says why, and the short form installs nothing.
//!
//! Each module tells what its rows measure. Start reading at `ROWS`.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

#[path = "../../tests/support/backlog.rs"]
#[allow(dead_code, reason = "a tool kit: others use all of it")]
mod backlog;
mod client;
#[path = "../../tests/support/desk.rs"]
#[allow(dead_code, reason = "a tool kit: the tests use all of it")]
mod desk;
mod drain;
mod due;
mod figures;
mod ground;
mod helper;
mod history;
mod house;
mod idle;
mod latency;
mod machine;
mod output;
mod peers;
mod process;
mod submit;
mod tools;
mod units;
mod verbs;
mod waiters;

use std::env;
use std::process::ExitCode;

use ground::Ground;
use tools::Tools;

/// Measures a row, and prints it.
type Measure = fn(&Ground);

/// What is measured, by the number of the row.
const ROWS: [(u8, Measure); 14] = [
    (1, drain::no_ops),
    (2, drain::processor_time),
    (3, drain::short_commands),
    (4, client::submission),
    (5, submit::many_clients),
    (6, submit::many_lines),
    (7, latency::starts),
    (8, latency::ends),
    (8, waiters::cost),
    (9, due::retries),
    (10, idle::rest),
    (11, output::much),
    (12, verbs::all),
    (13, client::whole_calls),
];

fn main() -> ExitCode {
    let begun = ground::wall();
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(code) = helper::act(&arguments, begun) {
        return code;
    }
    let in_test = arguments.iter().any(|argument| argument == "--test");
    let chosen: Vec<u8> = arguments
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    let ground = Ground::new(Tools::new(!in_test), in_test);
    if in_test {
        println!("the short form: what it prints is no measurement");
    }
    machine::print(&ground);
    units::print(&ground);
    figures::print_head();
    for (row, measure) in ROWS {
        if chosen.is_empty() || chosen.contains(&row) {
            measure(&ground);
        }
    }
    ExitCode::SUCCESS
}
