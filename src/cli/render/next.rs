//! What to type next about a run.

use crate::model::{RunRecord, State, Timestamp};

/// Commands that fit the state of a run at `now`, each with what it does; `has_output` says whether
/// an attempt of it was made.
pub fn next(record: &RunRecord, now: Timestamp, has_output: bool) -> Vec<(String, &'static str)> {
    let id = record.id;
    let command = |verb: &str, does| (format!("retrier {verb} {id}"), does);
    let logs = || command("logs", "prints what it wrote");
    let mut next = Vec::new();
    next.extend(match &record.run.state {
        State::Running { .. } => Some(command("logs -f", "follows what it writes")),
        _ => has_output.then(logs),
    });
    match &record.run.state {
        State::Waiting { due, .. } => {
            if *due > now {
                next.push(command("retry", "starts it now"));
            }
            next.push(command("cancel", "cancels it"));
        }
        State::Held | State::Running { .. } => next.push(command("cancel", "cancels it")),
        State::Succeeded => {}
        State::Failed { .. } | State::Canceled { open: None } => {
            next.push(command("retry", "has it begin anew"));
        }
        State::Canceled { open: Some(_) } => {}
    }
    next
}
