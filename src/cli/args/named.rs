//! How a run is named on the command line: by its id, or by its key.

use clap::Args;

use crate::model::RunId;

use super::values::{key, run_id};

/// Runs by their ids, or one by its key. Whether one of the two is needed is the verb's to say.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// The runs
    #[arg(value_name = "ID", value_parser = run_id)]
    pub ids: Vec<RunId>,

    /// In place of ids: the run that holds this key, else the newest that has it
    #[arg(long, value_name = "TEXT", value_parser = key)]
    pub key: Option<String>,
}

/// One run by its id or its key; the verb asks for one of the two.
#[derive(Debug, Args)]
pub struct OneRunArgs {
    /// The run
    #[arg(value_name = "ID", value_parser = run_id)]
    pub id: Option<RunId>,

    /// In place of an id: the run that holds this key, else the newest that has it
    #[arg(long, value_name = "TEXT", value_parser = key)]
    pub key: Option<String>,
}
