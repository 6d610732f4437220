//! argv in, exit code out.

use std::process::ExitCode;

use retrier::cli;

fn main() -> ExitCode {
    cli::main(std::env::args_os().collect())
}
