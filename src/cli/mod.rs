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
mod defect;
mod doctor;
mod environment;
mod events;
mod excerpt;
mod explain;
mod failure;
mod follow;
pub mod generate;
mod line;
mod list;
mod logs;
mod manual;
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
mod usage;
mod wait;
mod waiting;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::daemon::log;
use crate::shim::program;
use crate::store;
use crate::sys::terminal::{Colour, choose_colour};

use clap::error::ErrorKind;

use args::{Cli, ColourArg, PoolVerb, Verb};
use client::Client;
use failure::code;

/// Runs the program with `arguments`, the program's own name first.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    defect::tell();
    let failed = ExitCode::from(code::FAILED);
    defect::caught(failed, || call(&arguments))
}

fn call(arguments: &[OsString]) -> ExitCode {
    // Before clap, so that these start small.
    match arguments.get(1) {
        Some(first) if first == program::ARGUMENT => return shim(&arguments[2..]),
        Some(first) if first == complete::ARGUMENT => {
            complete::main(&arguments[2..]);
            return ExitCode::SUCCESS;
        }
        Some(_) | None => store::set_up(),
    }
    let cli = match args::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, arguments),
    };
    let code = defect::caught(of_defect(&cli.verb), || {
        act(cli).unwrap_or_else(out::failure)
    });
    if code == code::INTERRUPTED {
        crate::sys::signal::end_interrupted();
    }
    ExitCode::from(code)
}

/// The exit code if this verb has a defect: what nobody knows is not passed off as a command's own.
fn of_defect(verb: &Verb) -> u8 {
    match verb {
        Verb::Wait(_) => code::RETRIER,
        Verb::Run(args) if args.wait && args.batch.is_none() => code::RETRIER,
        Verb::Run(_) => code::UNKNOWN,
        _ => code::FAILED,
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
    let quiet = match &cli.verb {
        Verb::Run(args) => args.quiet,
        Verb::Explain(args) => args.id.is_some() || args.key.is_some(),
        _ => true,
    };
    if !quiet {
        note_variables();
    }
    // A daemon starts its log when it is set up.
    if log::is_wanted() && !matches!(&cli.verb, Verb::Daemon(args) if args.serves()) {
        log::start(None, None);
    }
    choose_colour(match cli.common.color {
        ColourArg::Auto => Colour::Auto,
        ColourArg::Always => Colour::Always,
        ColourArg::Never => Colour::Never,
    });
    let looks = reads || matches!(cli.verb, Verb::Backup(_));
    let client = || {
        let client = Client::new(cli.common.db.as_deref())?;
        anyhow::Ok(Client { looks, ..client })
    };
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
            out::text(&String::from_utf8_lossy(generate::completions(args.shell)))
        }
        Verb::Man(args) => generate::write_man_pages(&args.dir),
    }
}

/// What clap has to say: help on stdout with 0, or wrong usage on stderr with 2.
fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let is_bare = matches!(
        error.kind(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_bare && let Some(help) = args::short_help(arguments) {
        out::to_stderr(&help);
        return ExitCode::from(code::USAGE);
    }
    if error.use_stderr() {
        let failure = usage::failure(error, arguments);
        return ExitCode::from(out::failure(failure.into()));
    }
    ExitCode::from(out::help(error).unwrap_or_else(out::failure))
}

/// Says which variables set nothing, to whoever may have mistyped them.
fn note_variables() {
    if !out::is_noted_at_terminal() {
        return;
    }
    for (name, near) in args::unknown_variables() {
        let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        out::note(&format!(
            "warning: {name} is the default of no option{near}"
        ));
    }
}
