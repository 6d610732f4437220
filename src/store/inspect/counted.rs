//! Whether each attempt is counted as what it was: by its outcome, the success codes of its run, and who decided.

use rusqlite::Row;

use crate::model::policy::{By, Policy};
use crate::model::{Finding, Note, Outcome};
use crate::store::error::StoreError;
use crate::store::read::Reader;

use super::rules::{ended_with, told};

/// Attempts that ended in the same way, and one of them.
struct Ended {
    run: i64,
    number: i64,
    policy: String,
    outcome: String,
    success: Option<bool>,
    note: String,
    why: Option<String>,
}

/// Where the count is not what it has to be. What cannot be read is told of elsewhere.
pub(super) fn counted(read: Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let mut lines = Vec::new();
    for ended in read.rows(&sql(), [], row)? {
        let outcome = serde_json::from_str::<Outcome>(&ended.outcome);
        let policy = serde_json::from_str::<Policy>(&ended.policy);
        let (Ok(outcome), Ok(policy)) = (outcome, policy) else {
            continue;
        };
        let expected = expected(&ended, &outcome, &policy);
        if ended.success != expected {
            lines.push(format!(
                "attempt {} of run {} ended with {outcome} and counts as {}, not as {}",
                ended.number,
                ended.run,
                word(ended.success),
                word(expected)
            ));
        }
    }
    Ok(told("attempts", lines))
}

fn expected(ended: &Ended, outcome: &Outcome, policy: &Policy) -> Option<bool> {
    let ends = Note::ALL.into_iter().find(|note| note.word() == ended.note);
    match (ends, outcome) {
        (_, Outcome::Canceled | Outcome::Interrupted) => None,
        // Somebody would have had it run again, and it may not.
        (Some(Note::Failed), _)
            if [By::Snoozes, By::Deadline]
                .iter()
                .any(|by| ended.why.as_deref() == Some(by.word())) =>
        {
            Some(false)
        }
        (Some(Note::Succeeded | Note::Failed | Note::AttemptFailed | Note::Lost), _) => {
            Some(policy.rules.is_success(outcome))
        }
        (Some(_) | None, _) => None,
    }
}

fn word(success: Option<bool>) -> &'static str {
    match success {
        Some(true) => "a success",
        Some(false) => "a failure",
        None => "neither",
    }
}

/// Those of the first layouts, which did not tell when a run was due, were counted when the layout was
/// changed, and not by the codes of their runs.
fn sql() -> String {
    format!(
        "SELECT attempt.run_id, min(attempt.number), policy, outcome, success, kind, why FROM attempt \
         JOIN run ON run.id = attempt.run_id JOIN event ON event.run_id = attempt.run_id \
         AND event.attempt = attempt.number AND kind IN ({}) \
         WHERE ended_at IS NOT NULL AND was_due_at IS NOT NULL \
         GROUP BY policy, outcome, success, kind, why",
        ended_with()
    )
}

fn row(row: &Row<'_>) -> rusqlite::Result<Ended> {
    Ok(Ended {
        run: row.get(0)?,
        number: row.get(1)?,
        policy: row.get(2)?,
        outcome: row.get(3)?,
        success: row.get(4)?,
        note: row.get(5)?,
        why: row.get(6)?,
    })
}
