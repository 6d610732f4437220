//! What somebody who waits is told meanwhile: a line that is drawn again and again, or a plain line
//! for each attempt after which the run goes on.

use std::time::Duration;

use crate::cli::progress::Count;
use crate::model::{AttemptRecord, Outcome, Run, RunId, State, Timestamp};

use super::words::{deed, outcome, short_time, span};

/// What is known of a run that is waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The run.
    pub id: RunId,
    /// Where it stands.
    pub run: Run,
    /// Its last two attempts, oldest first.
    pub last: Vec<AttemptRecord>,
}

/// One run on one line: its attempt, how long somebody has waited for it, how the last attempt ended, and what
/// comes next.
pub fn live_line(known: &Known, now: Timestamp, waited: Duration, unicode: bool) -> String {
    let Known { id, run, last } = known;
    let mut parts = vec![format!("run {id}")];
    let of = |number: u32| match run.max_attempts() {
        Some(max) => format!("attempt {number}/{max}"),
        None => format!("attempt {number}"),
    };
    parts.extend((run.attempts > 0).then(|| of(run.attempts)));
    parts.push(whole(waited));
    let ended = last.iter().rev().find_map(|one| one.outcome.as_ref());
    parts.extend(ended.map(|ended| format!("last {}", short(ended))));
    parts.push(match &run.state {
        State::Waiting { due, .. } if *due > now => {
            let left = up(due.since(now));
            if run.attempts == 0 {
                format!("starts in {left}")
            } else {
                format!("next in {left}")
            }
        }
        State::Waiting { .. } | State::Held => "queued".to_owned(),
        State::Running { .. } => {
            let open = last.last().filter(|one| one.ended_at.is_none());
            let since = open.map_or(Duration::ZERO, |one| now.since(one.started_at));
            format!("runs for {}", whole(since))
        }
        State::Succeeded | State::Failed { .. } | State::Canceled { .. } => {
            run.state.status(now).word().to_owned()
        }
    });
    parts.join(separator(unicode))
}

/// How far many runs are; `speed` is how many end in a second and how long the rest will take.
pub fn bar_line(count: Count, total: u64, speed: Option<(f64, Duration)>, unicode: bool) -> String {
    let Count {
        done,
        running,
        failed,
    } = count;
    let mut parts = vec![
        format!("{done}/{total} done"),
        format!("{running} running"),
        format!("{failed} failed"),
    ];
    if let Some((rate, eta)) = speed {
        parts.push(format!("{rate:.1}/s"));
        parts.push(format!("ETA {}", up(eta)));
    }
    parts.join(separator(unicode))
}

/// An attempt after which the run goes on, as a sentence.
pub fn failed_attempt(run: &Run, attempt: &AttemptRecord, now: Timestamp) -> Option<String> {
    let number = attempt.number.0;
    let numbered = match run.max_attempts() {
        Some(max) if max >= number => format!("attempt {number} of {max}"),
        Some(_) | None => format!("attempt {number}"),
    };
    let did = deed(attempt.outcome.as_ref()?);
    let delay = attempt.retry_delay_ms.and_then(|ms| u64::try_from(ms).ok());
    let delay = Duration::from_millis(delay.unwrap_or(0));
    let next = match attempt.ended_at {
        Some(ended) if !delay.is_zero() => {
            let due = short_time(ended.plus(delay), now);
            format!("next at {due} in {}", span(delay))
        }
        Some(_) | None => "next at once".to_owned(),
    };
    Some(format!("{numbered} {did}, {next}"))
}

fn separator(unicode: bool) -> &'static str {
    if unicode { " · " } else { " - " }
}

/// An outcome in few words.
fn short(ended: &Outcome) -> String {
    match ended {
        Outcome::Spawn { .. } => "could not be executed".to_owned(),
        Outcome::Lost => "lost".to_owned(),
        other => outcome(other),
    }
}

/// In whole seconds that have passed.
fn whole(duration: Duration) -> String {
    match duration.as_secs() {
        0 => "0s".to_owned(),
        seconds => span(Duration::from_secs(seconds)),
    }
}

/// In whole seconds, of which the last one is told until it is over.
fn up(duration: Duration) -> String {
    whole(Duration::from_millis(
        u64::try_from(duration.as_millis().div_ceil(1000) * 1000).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AttemptNumber, Policy};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn attempt(number: u32, outcome: Option<Outcome>) -> AttemptRecord {
        AttemptRecord {
            number: AttemptNumber(number),
            started_at: NOW.minus(Duration::from_secs(4)),
            ended_at: outcome.is_some().then_some(NOW),
            pid: None,
            outcome,
            retry_delay_ms: Some(3000),
        }
    }

    fn known(state: State, last: Vec<AttemptRecord>) -> Known {
        let attempts = last.last().map_or(0, |one| one.number.0);
        let open = u32::from(state.open_attempt().is_some());
        let run = Run {
            state,
            attempts,
            failures: attempts - open,
            snoozes: 0,
            deadline_at: None,
            policy: Policy::default(),
            seed: 0,
            has_hook: false,
        };
        Known {
            id: RunId(17),
            run,
            last,
        }
    }

    #[test]
    fn the_line_says_which_attempt_how_long_the_last_end_and_what_comes_next() {
        let line = |known: &Known| live_line(known, NOW, Duration::from_secs(12), true);
        let due = |ms| State::Waiting {
            due: NOW.plus(Duration::from_millis(ms)),
            delay_ms: None,
        };
        let exit = |code| Some(Outcome::Exit { code });
        let backs_off = known(due(2001), vec![attempt(2, exit(22))]);
        let text = "run 17 · attempt 2/5 · 12s · last exit 22 · next in 3s";
        assert_eq!(line(&backs_off), text);
        let ascii = live_line(&backs_off, NOW, Duration::from_millis(12_900), false);
        assert_eq!(ascii, text.replace('·', "-"));
        let running = State::Running {
            attempt: AttemptNumber(3),
        };
        let runs = known(running, vec![attempt(2, exit(22)), attempt(3, None)]);
        let text = "run 17 · attempt 3/5 · 12s · last exit 22 · runs for 4s";
        assert_eq!(line(&runs), text);
        let fresh = known(due(0), Vec::new());
        assert_eq!(line(&fresh), "run 17 · 12s · queued");
        let later = known(due(60_000), Vec::new());
        assert_eq!(line(&later), "run 17 · 12s · starts in 1m");
    }

    #[test]
    fn an_attempt_after_which_the_run_goes_on_is_a_sentence() {
        let waits = known(State::Held, vec![attempt(2, Some(Outcome::Timeout))]);
        let said = failed_attempt(&waits.run, &waits.last[0], NOW).expect("it has ended");
        assert!(
            said.starts_with("attempt 2 of 5 timed out, next at "),
            "{said}"
        );
        assert!(said.ends_with(" in 3s"), "{said}");
        let mut last = attempt(2, Some(Outcome::Exit { code: 1 }));
        last.retry_delay_ms = Some(0);
        let said = failed_attempt(&waits.run, &last, NOW);
        assert_eq!(
            said.as_deref(),
            Some("attempt 2 of 5 exited 1, next at once")
        );
        assert_eq!(failed_attempt(&waits.run, &attempt(2, None), NOW), None);
    }
}
