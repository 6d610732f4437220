//! Why a run is where it is, after decisions, rules, deadlines and retries by hand.

use std::time::Duration;

use retrier::model::policy::{Changes, Condition, Conditions, Decision, Verdict, When};
use retrier::model::{Budget, Event, Outcome, Rules, Testimony};

use super::json;
use super::told::{DAY, Story, policy};

fn exit(code: u8) -> Outcome {
    Outcome::Exit { code }
}

fn says(verdict: Option<Verdict>, when: Option<When>) -> Option<Decision> {
    Some(Decision { verdict, when })
}

fn by_command(decision: Option<Decision>) -> Testimony {
    Testimony {
        command: decision,
        ..Testimony::default()
    }
}

fn by_decider(decision: Option<Decision>) -> Testimony {
    Testimony {
        decider: decision,
        ..Testimony::default()
    }
}

fn codes(code: u8) -> Conditions {
    Conditions(vec![Condition::Exit {
        from: code,
        to: code,
    }])
}

/// Ends the first attempt of a run with these rules.
fn after(rules: Rules, outcome: Outcome, testimony: Testimony) -> Story {
    let mut story = Story::of(policy(rules));
    story.attempt(outcome, testimony);
    story
}

#[test]
fn the_next_time_is_told_with_who_named_it() {
    let two_days = When::After(2 * 86_400_000);
    let asked = Testimony {
        retry_after: Some(two_days),
        ..Testimony::default()
    };
    for (testimony, expected, wait_by) in [
        (Testimony::default(), "in 2d 23h", "backoff"),
        (asked, "in 1d 23h, as Retry-After asked", "retry-after"),
        (
            by_command(says(None, Some(two_days))),
            "in 1d 23h, as its decision says",
            "decision",
        ),
        (
            by_decider(says(Some(Verdict::Retry), Some(two_days))),
            "in 1d 23h, as --decide says",
            "decide",
        ),
        (
            by_decider(says(Some(Verdict::Retry), None)),
            "in 2d 23h, as --decide says",
            "backoff",
        ),
    ] {
        let story = after(Rules::default(), exit(22), testimony);
        assert_eq!(
            story.undated(),
            format!("waiting: attempt 1 of 5 exited 22, next {expected}")
        );
        assert_eq!(json(&story.home, story.id)["wait_by"], wait_by);
    }
}

#[test]
fn a_snooze_a_loss_and_an_interruption_are_told_as_such() {
    let snooze = Verdict::Snooze {
        delay_ms: 2 * 86_400_000,
    };
    let story = after(
        Rules::default(),
        exit(0),
        by_command(says(Some(snooze), None)),
    );
    let expected =
        "waiting: attempt 1 exited 0 and was not ready, next in 1d 23h, as its decision says";
    assert_eq!(story.undated(), expected);
    let story = after(Rules::default(), Outcome::Lost, Testimony::default());
    assert_eq!(
        story.undated(),
        "waiting: attempt 1 of 5 was lost, next in 2d 23h"
    );
    let story = after(Rules::default(), Outcome::Interrupted, Testimony::default());
    assert_eq!(
        story.line(),
        "queued: attempt 1 was interrupted and is not charged, the next is due"
    );
}

#[test]
fn a_retry_beyond_the_budget_makes_one_attempt_more() {
    let mut once = policy(Rules::default());
    once.budget = Budget::Failures(0);
    let mut story = Story::of(once);
    let again = || by_command(says(Some(Verdict::Retry), Some(When::After(0))));
    story.attempt(exit(1), again());
    assert_eq!(
        story.line(),
        "queued: attempt 1 of 2 exited 1, the next is due"
    );
    story.starts();
    let line = story.line();
    assert!(line.starts_with("running: attempt 2 of 2 since "), "{line}");
}

#[test]
fn a_failed_run_names_the_rule_or_the_decision_that_stopped_it() {
    let found = |stop_if, retry_if| Testimony {
        stop_if,
        retry_if,
        ..Testimony::default()
    };
    let rules = Rules::default;
    let cases = [
        (
            Rules {
                stop_on: codes(2),
                ..rules()
            },
            Testimony::default(),
            "stopped by --stop-on",
            "stop-on",
        ),
        (
            Rules {
                stop_if: vec!["x".to_owned()],
                ..rules()
            },
            found(true, false),
            "stopped by --stop-if",
            "stop-if",
        ),
        (
            Rules {
                retry_on: Some(codes(75)),
                ..rules()
            },
            Testimony::default(),
            "which --retry-on does not name",
            "retry-on",
        ),
        (
            Rules {
                retry_if: vec!["x".to_owned()],
                ..rules()
            },
            found(false, false),
            "and --retry-if found nothing in its output",
            "retry-if",
        ),
        (
            rules(),
            by_command(says(Some(Verdict::Stop), None)),
            "stopped by its decision",
            "decision",
        ),
        (
            rules(),
            by_decider(says(Some(Verdict::Stop), None)),
            "stopped by --decide",
            "decide",
        ),
    ];
    for (rules, testimony, expected, by) in cases {
        let story = after(rules, exit(2), testimony);
        assert_eq!(
            story.line(),
            format!("failed: attempt 1 exited 2, {expected}")
        );
        assert_eq!(json(&story.home, story.id)["by"], by);
    }
}

/// The line says who, the result says what.
#[test]
fn the_error_that_a_command_names_is_in_the_result() {
    let mut testimony = by_command(says(Some(Verdict::Stop), None));
    testimony.changes = Changes {
        error: Some("no such\u{1b} customer".to_owned()),
        ..Changes::default()
    };
    let story = after(Rules::default(), exit(2), testimony);
    assert_eq!(
        story.line(),
        "failed: attempt 1 exited 2, stopped by its decision"
    );
    let page = story.home.retrier(["status", "1"]).output().ok().text();
    assert!(
        page.contains("result    failed (stopped), no such\\u{1b} customer\n"),
        "{page}"
    );
}

#[test]
fn a_deadline_is_told_beforehand_and_when_it_has_passed() {
    let with = |deadline: Duration| {
        let mut policy = policy(Rules::default());
        policy.deadline = Some(deadline);
        Story::of(policy)
    };
    let mut story = with(30 * DAY);
    story.attempt(exit(22), Testimony::default());
    let line = story.line();
    assert!(line.contains(" in 2d 23h, deadline "), "{line}");

    let mut story = with(2 * DAY);
    story.starts();
    let line = story.line();
    let end = "; if it fails, so does the run, because of its deadline, deadline ";
    assert!(line.contains(end), "{line}");

    let mut story = with(2 * DAY);
    story.attempt(exit(22), Testimony::default());
    let expected = "failed: attempt 1 exited 22, the next one would start after its deadline";
    assert_eq!(story.line(), expected);
    let mut story = with(2 * DAY);
    story.attempt(Outcome::Deadline, Testimony::default());
    assert_eq!(
        story.line(),
        "failed: its deadline passed while attempt 1 ran"
    );
    let mut story = with(DAY);
    story.happens(&Event::Deadline {
        at: story.now.plus(DAY),
    });
    assert_eq!(story.line(), "failed: its deadline passed while it waited");
    assert_eq!(json(&story.home, story.id)["by"], "deadline");
}

#[test]
fn rules_that_may_stop_a_run_are_thought_of_while_it_runs() {
    let rules = Rules {
        stop_on: codes(2),
        ..Rules::default()
    };
    let mut story = Story::of(policy(rules));
    story.starts();
    let line = story.line();
    assert!(
        line.ends_with("; if it fails and nothing stops it, the next comes 3d later"),
        "{line}"
    );
}

#[test]
fn a_retry_by_hand_is_told_until_its_attempt_has_ended() {
    let mut story = after(
        Rules {
            stop_on: codes(2),
            ..Rules::default()
        },
        exit(2),
        Testimony::default(),
    );
    story.happens(&Event::Retry {
        at: story.now,
        delay: Duration::ZERO,
    });
    let line = story.line();
    assert!(line.starts_with("queued: retried by hand at "), "{line}");
    assert!(line.ends_with(", the next is due"), "{line}");
    story.attempt(exit(3), Testimony::default());
    assert_eq!(
        story.undated(),
        "waiting: attempt 2 of 6 exited 3, next in 2d 23h"
    );
    story.happens(&Event::Retry {
        at: story.now,
        delay: 2 * DAY,
    });
    let line = story.line();
    assert!(
        line.starts_with("waiting: retried by hand at ") && line.contains(", next at "),
        "{line}"
    );
}

/// That the clock was set back moves the time, and is no reason of its own.
#[test]
fn a_moved_due_time_keeps_the_reason_for_the_wait() {
    let mut story = after(Rules::default(), exit(22), Testimony::default());
    story.happens(&Event::ClockSet {
        at: story.now.minus(DAY),
    });
    assert_eq!(
        story.undated(),
        "waiting: attempt 1 of 5 exited 22, next in 1d 23h"
    );
}

#[test]
fn a_success_that_is_no_exit_0_is_named() {
    let rules = Rules {
        success: codes(24),
        ..Rules::default()
    };
    let story = after(rules, exit(24), Testimony::default());
    assert_eq!(
        story.line(),
        "succeeded: at the first attempt, which exited 24"
    );
}
