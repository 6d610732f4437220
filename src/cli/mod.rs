//! The command line: argv in, text and exit code out.
//!
//! One file per verb; the name of its function is the verb. stdout carries results only, notes
//! and errors go to stderr. `render` is the only code that formats for people. Start reading at [`main`].

pub mod args;
mod backup;
mod batch;
mod cancel;
mod capture;
mod cleanup;
mod client;
mod complete;
mod daemon;
mod doctor;
mod environment;
mod events;
mod explain;
mod failure;
pub mod generate;
mod line;
mod list;
mod logs;
mod many;
pub mod objects;
mod out;
mod passage;
mod pool;
mod progress;
mod prometheus;
mod render;
mod retry;
mod run;
mod several;
mod stats;
mod status;
mod tail;
mod wait;
mod waiting;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::shim::program;
use crate::store;

use args::{Cli, PoolVerb, Verb};
use client::Client;

/// Runs the program with `arguments`, the program's own name first.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    // Before clap, so that a shim starts small.
    if arguments
        .get(1)
        .is_some_and(|first| first == program::ARGUMENT)
    {
        return shim(&arguments[2..]);
    }
    if arguments
        .get(1)
        .is_some_and(|first| first == complete::ARGUMENT)
    {
        complete::main(&arguments[2..]);
        return ExitCode::SUCCESS;
    }
    store::set_up();
    let cli = match args::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match act(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => ExitCode::from(out::failure(error)),
    }
}

fn shim(arguments: &[OsString]) -> ExitCode {
    match program::main(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(out::failure(anyhow::Error::new(error).context("shim"))),
    }
}

fn act(cli: Cli) -> anyhow::Result<u8> {
    let reads = match &cli.verb {
        Verb::Status(_)
        | Verb::Explain(_)
        | Verb::List(_)
        | Verb::Events(_)
        | Verb::Logs(_)
        | Verb::Stats(_)
        | Verb::Doctor(_) => true,
        Verb::Pool(args) => matches!(args.verb, PoolVerb::List(_)),
        _ => false,
    };
    if reads {
        crate::sys::signal::die_of_broken_pipe();
    }
    let client = || Client::new(cli.common.db.as_deref());
    match &cli.verb {
        Verb::Run(args) => run::run(client, args),
        Verb::Wait(args) => wait::wait(&client()?, args),
        Verb::Status(args) => status::status(&client()?, args),
        Verb::Explain(args) => explain::explain(client, args),
        Verb::List(args) => list::list(&client()?, args),
        Verb::Events(args) => events::events(&client()?, args),
        Verb::Logs(args) => logs::logs(&client()?, args),
        Verb::Stats(args) => stats::stats(&client()?, args),
        Verb::Retry(args) => retry::retry(&client()?, args),
        Verb::Cancel(args) => cancel::cancel(&client()?, args),
        Verb::Cleanup(args) => cleanup::cleanup(&client()?, args),
        Verb::Backup(args) => backup::backup(&client()?, args),
        Verb::Pool(args) => pool::pool(&client()?, args),
        Verb::Doctor(args) => doctor::doctor(&client()?, args),
        Verb::Daemon(args) => daemon::daemon(&client()?, args),
        Verb::Completions(args) => {
            out::text(&String::from_utf8_lossy(&generate::completions(args.shell)))
        }
        Verb::Completions(args) => out::bytes(generate::completions(args.shell)),
        Verb::Man(args) => generate::write_man_pages(&args.dir),
    }
}

/// What clap has to say: help on stdout with 0, a usage error on stderr with 2.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = out::usage(error);
    if error.use_stderr() {
        variable_hint(error);
    }
    ExitCode::from(printed.unwrap_or_else(out::failure))
}

/// clap does not say when a wrong value came from the environment.
fn variable_hint(error: &clap::Error) {
    let named = error.to_string().contains("--db");
    if named && std::env::var_os("RETRIER_DB").is_some() {
        out::note("RETRIER_DB is set, and stands for --db where that is not given");
    }
}
