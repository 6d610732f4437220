//! What only repeats itself must end: by its deadline, or after so many retries. Where exactly.

use retrier::model::policy::{By, Rules, Verdict, judge};
use retrier::model::{Budget, Reason, Run, Testimony, Timestamp};

use super::{NOW, Word, decided, exit, heard, run};

#[test]
fn a_decision_gives_a_thousand_retries_beyond_the_budget_and_any_number_before_a_deadline() {
    let far = Some(Timestamp::from_millis(i64::MAX));
    let exhausted = (Word::Fail(Reason::Exhausted), By::Budget);
    for (failures, deadline_at, retried) in [
        (1003, None, true),
        (1004, None, false),
        (u32::MAX, None, false),
        (1003, far, true),
        (1004, far, true),
        (u32::MAX, far, true),
    ] {
        for by in [By::Command, By::Decider] {
            let word = decided(Some(Verdict::Retry));
            let (command, decider) = match by {
                By::Command => (word, None),
                _ => (None, word),
            };
            let said = Testimony {
                command,
                decider,
                ..Testimony::default()
            };
            let run = Run {
                failures,
                deadline_at,
                ..run(Rules::default(), Budget::Failures(4))
            };
            let expected = if retried {
                (Word::Retry, by)
            } else {
                exhausted
            };
            let judged = judge(&run, NOW, &exit(1), &said);
            assert_eq!(heard(&judged), expected, "{failures} {deadline_at:?}");
        }
    }
}
