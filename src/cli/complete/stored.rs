//! What is stored and can be typed: runs, pools, keys, names, locks. Read with patience for a blink alone;
//! `None` is no answer, for whatever reason.

use std::env;
use std::path::Path;
use std::time::Duration;

use crate::clock;
use crate::model::{RunId, RunRecord, Status};
use crate::store::{Filter, Inspection, Label, Reader, StoreError};

use super::super::client::Client;
use super::super::render;
use super::answer::Candidate;

/// So many runs, and words, are offered.
const OFFERED_MAX: usize = 50;

/// Among so many runs those that begin with what was typed are looked for.
const SEARCHED_MAX: u32 = 2000;

/// Of a command so many bytes are looked at: more are never shown.
const COMMAND_BYTES_MAX: usize = 240;

/// Whoever pressed TAB waits.
const PATIENCE: Duration = Duration::from_millis(50);

/// A database, open to be read.
pub struct Stored {
    inspection: Inspection,
}

impl Stored {
    /// The database at `named`, or the one that is used without `--db`.
    pub fn at(named: Option<&Path>) -> Option<Self> {
        let variable = env::var_os("RETRIER_DB");
        let path = named.or(variable.as_deref().map(Path::new));
        let client = Client::new(path).ok()?;
        let inspection = Inspection::within(&client.folder, PATIENCE).ok()??;
        Some(Self { inspection })
    }

    /// The newest runs that `verb` can do something with and whose id begins with `typed`.
    pub fn runs(&self, verb: &str, typed: &str) -> Option<Vec<Candidate>> {
        let found = self.inspection.at_once(|read| {
            let mut runs = Vec::new();
            for id in ids(read, verb, typed)? {
                runs.push(described(&read.record(id)?));
            }
            Ok(runs)
        });
        found.ok()
    }

    /// The pools that `verb` can name.
    pub fn pools(&self, verb: &str) -> Option<Vec<String>> {
        let names = |read: Reader<'_>| read.pool_names("", OFFERED_MAX);
        let mut pools = self.inspection.at_once(names).ok()?;
        if matches!(verb, "list" | "stats") {
            pools.push("hooks".to_owned());
        }
        Some(pools)
    }

    /// The keys, names or locks that begin with `typed`.
    pub fn labels(&self, kind: &str, typed: &str) -> Option<Vec<String>> {
        let label = match kind {
            "key" => Label::Key,
            "lock" => Label::Lock,
            _ => Label::Name,
        };
        let labels = |read: Reader<'_>| read.labels(label, typed, OFFERED_MAX);
        self.inspection.at_once(labels).ok()
    }
}

fn ids(read: Reader<'_>, verb: &str, typed: &str) -> Result<Vec<RunId>, StoreError> {
    let now = clock::now();
    let of = |statuses: &[Status]| {
        let filter = Filter {
            statuses: statuses.to_vec(),
            name: None,
            pool: None,
            since: None,
            limit: if typed.is_empty() {
                OFFERED_MAX as u32
            } else {
                SEARCHED_MAX
            },
        };
        read.ids(&filter, now)
    };
    let mut ids = match states(verb) {
        // What it is there for comes first.
        [first @ Status::Failed, rest @ ..] if verb == "retry" => {
            let mut ids = of(&[*first])?;
            ids.extend(of(rest)?);
            ids
        }
        states => of(states)?,
    };
    ids.retain(|id| id.to_string().starts_with(typed));
    ids.truncate(OFFERED_MAX);
    Ok(ids)
}

/// The states of the runs that `verb` does something with; none are all.
fn states(verb: &str) -> &'static [Status] {
    match verb {
        "cancel" | "wait" => &Status::UNFINISHED,
        "retry" => &[Status::Failed, Status::Canceled, Status::Scheduled],
        "cleanup" => &Status::FINISHED,
        _ => &[],
    }
}

/// A run by its state and its name or command.
fn described(record: &RunRecord) -> Candidate {
    let what = match &record.name {
        Some(name) => name.clone(),
        None => render::command(&head(&record.command)),
    };
    let state = record.run.state.status(clock::now()).word();
    Candidate::told(record.id.to_string(), &format!("{state}: {what}"))
}

/// As many words as can be shown.
fn head(command: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut left = COMMAND_BYTES_MAX;
    let mut head = Vec::new();
    for word in command {
        let word = &word[..word.len().min(left)];
        head.push(word.to_vec());
        left -= word.len();
        if left == 0 {
            break;
        }
    }
    head
}
