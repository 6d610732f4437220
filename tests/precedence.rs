//! Who is heard about what follows an attempt: the table of `model::policy::judge`, executed for
//! every combination of speakers.

mod bounds;
mod properties;

use retrier::model::policy::{
    By, Condition, Conditions, Cost, Decision, Judgement, Rules, Verdict, WaitBy, When, judge,
};
use retrier::model::{
    AttemptNumber, Budget, Outcome, Policy, Reason, Run, State, Testimony, Timestamp,
};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const LATE: (Word, By) = (Word::Fail(Reason::Deadline), By::Deadline);
const SNOOZE: Verdict = Verdict::Snooze { delay_ms: 7_000 };

/// What one speaker says of an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Fail(Reason),
    Retry,
    Snooze,
}

fn run(rules: Rules, budget: Budget) -> Run {
    let mut policy = Policy {
        budget,
        rules,
        ..Policy::default()
    };
    policy.backoff.jitter = 0.0;
    Run {
        state: State::Running {
            attempt: AttemptNumber(2),
        },
        attempts: 2,
        failures: 1,
        snoozes: 0,
        deadline_at: None,
        policy,
        seed: 7,
        has_hook: false,
    }
}

fn exit(code: u8) -> Outcome {
    Outcome::Exit { code }
}

fn decided(verdict: Option<Verdict>) -> Option<Decision> {
    verdict.map(|verdict| Decision {
        verdict: Some(verdict),
        when: None,
    })
}

fn word(verdict: Verdict) -> Word {
    match verdict {
        Verdict::Stop => Word::Fail(Reason::Stopped),
        Verdict::Retry => Word::Retry,
        Verdict::Snooze { .. } => Word::Snooze,
    }
}

/// One way in which every speaker may speak, and the first of them who says something.
#[derive(Clone, Debug)]
struct Case {
    command: Option<Verdict>,
    decider: Option<Verdict>,
    stop_on: bool,
    stop_if: bool,
    retry_on: Option<bool>,
    retry_if: Option<bool>,
    used_up: bool,
    /// The deadline has ended the attempt.
    past: bool,
    /// Whatever comes next would come after the deadline.
    late: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let verdicts = [
            None,
            Some(Verdict::Stop),
            Some(Verdict::Retry),
            Some(SNOOZE),
        ];
        let said = [None, Some(true), Some(false)];
        let mut cases = Vec::new();
        for command in verdicts {
            for decider in verdicts {
                for bits in 0..32 {
                    for retry_on in said {
                        for retry_if in said {
                            cases.push(Self {
                                command,
                                decider,
                                stop_on: bits & 1 != 0,
                                stop_if: bits & 2 != 0,
                                retry_on,
                                retry_if,
                                used_up: bits & 4 != 0,
                                past: bits & 8 != 0,
                                late: bits & 16 != 0,
                            });
                        }
                    }
                }
            }
        }
        cases
    }

    fn judged(&self) -> Judgement {
        let list = |code| {
            Conditions(vec![Condition::Exit {
                from: code,
                to: code,
            }])
        };
        let rules = Rules {
            stop_on: if self.stop_on { list(9) } else { list(8) },
            stop_if: vec!["x".to_owned()],
            retry_on: self.retry_on.map(|hit| list(if hit { 9 } else { 8 })),
            retry_if: self.retry_if.map(|_| "y".to_owned()).into_iter().collect(),
            ..Rules::default()
        };
        let budget = Budget::Failures(if self.used_up { 1 } else { 4 });
        let said = Testimony {
            command: decided(self.command),
            decider: decided(self.decider),
            stop_if: self.stop_if,
            retry_if: self.retry_if == Some(true),
            ..Testimony::default()
        };
        let mut run = run(rules, budget);
        run.deadline_at = self
            .late
            .then_some(Timestamp::from_millis(NOW.millis() + 1));
        let outcome = if self.past {
            Outcome::Deadline
        } else {
            exit(9)
        };
        judge(&run, NOW, &outcome, &said)
    }

    /// The table: one line for each speaker, in the order in which they are heard.
    fn speakers(&self) -> [Option<(Word, By)>; 8] {
        let stop = |speaks: bool, by| speaks.then_some((Word::Fail(Reason::Stopped), by));
        let chosen = self.retry_on == Some(true) || self.retry_if == Some(true);
        [
            self.past.then_some(LATE),
            self.command.map(|verdict| (word(verdict), By::Command)),
            self.decider.map(|verdict| (word(verdict), By::Decider)),
            stop(self.stop_on, By::StopOn),
            stop(self.stop_if, By::StopIf),
            stop(self.retry_on.is_some() && !chosen, By::RetryOn),
            stop(self.retry_if.is_some() && !chosen, By::RetryIf),
            self.used_up
                .then_some((Word::Fail(Reason::Exhausted), By::Budget)),
        ]
    }

    /// Who lets it be retried when nobody objects.
    fn allowed_by(&self) -> By {
        match (self.retry_on, self.retry_if) {
            (Some(true), _) => By::RetryOn,
            (_, Some(true)) => By::RetryIf,
            _ => By::Budget,
        }
    }
}

fn heard(judgement: &Judgement) -> (Word, By) {
    match judgement {
        Judgement::Succeed => panic!("exit 9 is no success"),
        Judgement::Fail { reason, why } => (Word::Fail(*reason), why.by),
        Judgement::GoOn { cost, why, .. } => match cost {
            Cost::Failure => (Word::Retry, why.by),
            Cost::Snooze => (Word::Snooze, why.by),
            Cost::Nothing => panic!("nobody interrupted it"),
        },
    }
}

#[test]
fn the_first_who_speaks_is_heard_in_every_combination() {
    let cases = Case::all();
    assert_eq!(cases.len(), 4 * 4 * 32 * 3 * 3);
    for case in cases {
        let first = case.speakers().into_iter().flatten().next();
        let first = first.unwrap_or((Word::Retry, case.allowed_by()));
        // The last in the table: whoever lets it go on.
        let expected = match first.0 {
            Word::Retry | Word::Snooze if case.late => LATE,
            Word::Retry | Word::Snooze | Word::Fail(_) => first,
        };
        assert_eq!(heard(&case.judged()), expected, "{case:?}");
    }
}

/// Each pair of speakers who want different things, by name: the higher one is heard.
#[test]
fn of_every_pair_the_higher_one_is_heard() {
    let mut pairs = std::collections::BTreeSet::new();
    for case in Case::all() {
        let speaking: Vec<(Word, By)> = case.speakers().into_iter().flatten().collect();
        if let ([higher, lower], false) = (speaking.as_slice(), case.late) {
            assert_eq!(heard(&case.judged()), *higher, "{case:?}");
            pairs.insert((higher.1.word(), lower.1.word()));
        }
    }
    let order = [
        "deadline", "decision", "decide", "stop-on", "stop-if", "retry-on", "retry-if", "budget",
    ];
    for (place, higher) in order.iter().enumerate() {
        for lower in &order[place + 1..] {
            // Both of the retry rules speak only together, as one.
            let pair = (*higher, *lower);
            assert!(pairs.contains(&pair), "{pair:?} was not seen");
        }
    }
}

#[test]
fn of_a_success_only_a_snooze_is_heard() {
    for (verdict, expected) in [
        (None, true),
        (Some(Verdict::Stop), true),
        (Some(Verdict::Retry), true),
        (Some(SNOOZE), false),
    ] {
        let rules = Rules {
            stop_on: Conditions(vec![Condition::Exit { from: 0, to: 255 }]),
            ..Rules::default()
        };
        let said = Testimony {
            command: decided(verdict),
            stop_if: true,
            ..Testimony::default()
        };
        let judged = judge(&run(rules, Budget::Failures(0)), NOW, &exit(0), &said);
        assert_eq!(
            judged == Judgement::Succeed,
            expected,
            "{verdict:?}: {judged:?}"
        );
    }
}

#[test]
fn a_timeout_and_a_lost_attempt_are_retried_whatever_the_retry_rules_choose() {
    let list = Conditions(vec![Condition::Exit { from: 75, to: 75 }]);
    let rules = Rules {
        retry_on: Some(list),
        retry_if: vec!["x".to_owned()],
        ..Rules::default()
    };
    let judged = |rules: &Rules, outcome: &Outcome| {
        let run = run(rules.clone(), Budget::Failures(4));
        heard(&judge(&run, NOW, outcome, &Testimony::default()))
    };
    let signal = Outcome::Signal {
        signal: 9,
        core: false,
    };
    let spawn = Outcome::Spawn {
        code: 127,
        error: "x: command not found".into(),
    };
    for outcome in [Outcome::Timeout, Outcome::Lost] {
        assert_eq!(judged(&rules, &outcome), (Word::Retry, By::Budget));
        for condition in [Condition::Timeout, Condition::Lost] {
            let stops = condition.matches(&outcome);
            let rules = Rules {
                stop_on: Conditions(vec![condition]),
                ..rules.clone()
            };
            assert_eq!(judged(&rules, &outcome).1 == By::StopOn, stops);
        }
    }
    for outcome in [signal, spawn, exit(1)] {
        let expected = (Word::Fail(Reason::Stopped), By::RetryOn);
        assert_eq!(judged(&rules, &outcome), expected);
    }
    assert_eq!(judged(&rules, &exit(75)), (Word::Retry, By::RetryOn));
}

#[test]
fn the_first_who_names_a_time_sets_it_and_the_backoff_is_last() {
    let at = |ms| When::At(Timestamp::from_millis(ms));
    let speakers = [None, Some(When::After(3_600_000)), Some(at(5_000_000))];
    for command in speakers {
        for decider in speakers {
            for retry_after in [None, Some(When::After(2_000)), Some(When::After(i64::MAX))] {
                let decision = |when: Option<When>| {
                    Some(Decision {
                        verdict: None,
                        when,
                    })
                };
                let said = Testimony {
                    command: decision(command),
                    decider: decision(decider),
                    retry_after,
                    ..Testimony::default()
                };
                let run = run(Rules::default(), Budget::Failures(4));
                let limit = run.policy.backoff.max.as_millis() as i64;
                let (expected, by) = match (command, decider, retry_after) {
                    (Some(when), _, _) => (when, WaitBy::Command),
                    (None, Some(when), _) => (when, WaitBy::Decider),
                    (None, None, Some(When::After(ms))) => {
                        (When::After(ms.min(limit)), WaitBy::RetryAfter)
                    }
                    (None, None, Some(When::At(_))) => panic!("not among the cases"),
                    // Retry 2 of the default policy without jitter.
                    (None, None, None) => (When::After(500), WaitBy::Backoff),
                };
                let judged = judge(&run, NOW, &exit(1), &said);
                let Judgement::GoOn {
                    due, delay_ms, why, ..
                } = judged
                else {
                    panic!("{said:?}: {judged:?}");
                };
                assert_eq!(why.wait_by, Some(by), "{said:?}");
                match expected {
                    When::After(ms) => {
                        assert_eq!((due.millis(), delay_ms), (NOW.millis() + ms, Some(ms)));
                    }
                    When::At(time) => assert_eq!((due, delay_ms), (time, None)),
                }
            }
        }
    }
}

#[test]
fn a_wait_that_reaches_the_deadline_fails_the_run_at_once() {
    let mut run = run(Rules::default(), Budget::Failures(4));
    for (beyond, deadline) in [(false, 1_000_501), (true, 1_000_500), (true, 1_000_499)] {
        run.deadline_at = Some(Timestamp::from_millis(deadline));
        let judged = judge(&run, NOW, &exit(1), &Testimony::default());
        let failed = heard(&judged) == (Word::Fail(Reason::Deadline), By::Deadline);
        assert_eq!(failed, beyond, "{deadline}: {judged:?}");
    }
    let said = Testimony {
        command: decided(Some(SNOOZE)),
        ..Testimony::default()
    };
    run.deadline_at = Some(Timestamp::from_millis(1_007_000));
    let judged = judge(&run, NOW, &exit(0), &said);
    assert_eq!(heard(&judged), (Word::Fail(Reason::Deadline), By::Deadline));
}
