//! `retrier doctor`: look whether anything is wrong.

use std::time::Duration;

use anyhow::Context;

use crate::daemon::checkup::{Checkup, checkup, may_pass};
use crate::json;
use crate::model::{Finding, Level};
use crate::store::{Census, Folder, Inspection, StoreError};
use crate::sys::poll::wait_readable;

use super::args::DoctorArgs;
use super::client::Client;
use super::failure::{Failure, code};
use super::render::Style;
use super::{out, pool, render};

/// After so long, what was wrong for a moment alone is right.
const AGAIN: Duration = Duration::from_secs(2);

/// So many pools whose options cannot be read are enough to know.
const POOLS_MAX: usize = 5;

/// What was found.
#[derive(Debug)]
struct Examined {
    census: Option<Census>,
    checkup: Checkup,
    findings: Vec<Finding>,
}

/// Shows what is wrong. Exit code 1: something is.
pub fn doctor(client: &Client, args: &DoctorArgs) -> anyhow::Result<u8> {
    let mut examined = examine(client, args.deep)?;
    if examined.findings.iter().any(may_pass) {
        wait_readable(&[], Some(AGAIN))?;
        examined = examine(client, args.deep)?;
    }
    let Examined {
        census,
        checkup,
        findings,
    } = examined;
    if args.json {
        let database = client.folder.database();
        let holder = checkup.holder.as_ref().map(|holder| holder.process.pid);
        let unfinished = census.as_ref().map(|census| census.unfinished);
        let object = json::examination((database, args.deep), unfinished, holder, &findings);
        out::line(&object.to_string())?;
    } else {
        out::text(&render::findings(&findings, Style::of_stdout()))?;
        if findings.is_empty() {
            let note = match census {
                Some(_) => out::note_to_terminal,
                // The path may be mistyped.
                None => out::note,
            };
            note(&all_well(client, census.as_ref()));
        }
    }
    let wrong = findings.iter().any(|finding| finding.level == Level::Error);
    Ok(if wrong { code::FAILED } else { code::DONE })
}

fn all_well(client: &Client, census: Option<&Census>) -> String {
    let database = client.folder.database().display();
    match census {
        Some(Census { unfinished: 1, .. }) => {
            format!("nothing is wrong with {database}: 1 run has not ended")
        }
        Some(Census { unfinished, .. }) => {
            format!("nothing is wrong with {database}: {unfinished} runs have not ended")
        }
        None => format!("nothing is wrong: there is no database at {database}"),
    }
}

fn examine(client: &Client, deep: bool) -> anyhow::Result<Examined> {
    let folder = &client.folder;
    let mut findings = Vec::new();
    let census = match of_database(folder, deep, &mut findings) {
        Ok(census) => census,
        Err(error) => {
            findings.push(refusal(&error));
            None
        }
    };
    let checkup = checkup(folder, census.as_ref(), !client.starts_daemons);
    let mut checkup = checkup.with_context(|| folder.path().display().to_string())?;
    findings.append(&mut checkup.findings);
    findings.sort_by_key(|finding| finding.level);
    Ok(Examined {
        census,
        checkup,
        findings,
    })
}

fn of_database(
    folder: &Folder,
    deep: bool,
    findings: &mut Vec<Finding>,
) -> Result<Option<Census>, StoreError> {
    let Some(inspection) = Inspection::open(folder)? else {
        return Ok(None);
    };
    findings.extend(inspection.findings(deep)?);
    if deep {
        let unreadable = inspection
            .at_once(|read| pool::unreadable(read, POOLS_MAX))?
            .into_iter();
        findings.extend(unreadable.map(|Failure { message, hint, .. }| {
            Finding::error("words", message, hint.unwrap_or_default())
        }));
    }
    Ok(Some(inspection.census()?))
}

/// A database that cannot be read is the first thing that is wrong.
fn refusal(error: &StoreError) -> Finding {
    let hint = error.hint().unwrap_or("look at what the message names");
    match error {
        StoreError::Older { .. } => Finding::warning("database", error.to_string(), hint),
        _ => Finding::error("database", error.to_string(), hint),
    }
}
