//! The options of `retrier explain`.

use clap::{Args, Command, Id};

use crate::model::RunId;

use super::policy::PolicyArgs;
use super::values::{count, key, pool, run_id};

/// Show what retry options mean, or why a run is where it is
///
/// Without an id nothing runs: the waits that the options of `run` plan are shown, without jitter
/// and between which bounds with it, added up, and when it gives up.
#[derive(Debug, Args)]
#[command(
    override_usage = "retrier explain [RETRY OPTIONS] [--pool POOL] [--limit N] [--json]\n       \
                      retrier explain [--json] ID\n       \
                      retrier explain [--json] --key TEXT",
    after_help = "Examples:\n  \
        retrier explain --max-failures 20 --max-backoff 10m\n  \
        retrier explain 17\n\n\
        In a pipe the fields are separated by tabs, in milliseconds: retry, its wait, the least and\n\
        the greatest that jitter makes of it, and the same three of all waits up to it.\n\n\
        Exit codes: 3 no such run."
)]
pub struct ExplainArgs {
    /// Of this run: why it is where it is, and what comes next
    #[arg(value_name = "ID", value_parser = run_id, conflicts_with_all = of_a_policy())]
    pub id: Option<RunId>,

    /// In place of an id: of the run that holds this key, else the newest that has it
    #[arg(long, value_name = "TEXT", value_parser = key, conflicts_with = "id",
          conflicts_with_all = of_a_policy())]
    pub key: Option<String>,

    /// The options of `run` to explain
    #[command(flatten)]
    pub retries: PolicyArgs,

    /// Of a run in POOL, whose options are the defaults [default: default]
    #[arg(long, value_name = "POOL", value_parser = pool)]
    pub pool: Option<String>,

    /// Show the waits before the first N retries; 0 is all, at most 10000 (1000 of --forever)
    #[arg(long, short = 'n', value_name = "N", default_value = "20", value_parser = count)]
    pub limit: u32,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Whatever is said of a policy; named one by one, so that an error names only what was given.
fn of_a_policy() -> Vec<Id> {
    let retries = PolicyArgs::augment_args(Command::new("explain"));
    let options = retries.get_arguments().map(|one| one.get_id().clone());
    let others = ["limit", "pool"].map(Id::from);
    options.chain(others).collect()
}
