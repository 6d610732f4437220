//! What every run passes through, without a store: the decisions, and what a daemon and a shim tell
//! each other. Criterion tells what has changed since the last time; errors end it, times never do.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use retrier::model::policy::{Condition, Conditions};
use retrier::model::{
    AttemptNumber, Backoff, Environment, Event, Gate, Outcome, Policy, Pool, Rate, Rules, Run,
    RunId, State, Timestamp, next,
};
use retrier::shim::order::{Message, Order};
use retrier::shim::record::{self, Ending, Record, Stage, VERSION};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

const FIRST: AttemptNumber = AttemptNumber(1);

fn run(state: State, policy: Policy) -> Run {
    Run {
        attempts: u32::from(matches!(state, State::Running { .. })),
        state,
        failures: 0,
        snoozes: 0,
        deadline_at: policy.deadline.map(|deadline| NOW.plus(deadline)),
        policy,
        seed: 7,
        has_hook: false,
    }
}

fn ended(code: u8) -> Event {
    Event::Ended {
        at: NOW,
        attempt: FIRST,
        outcome: Outcome::Exit { code },
        testimony: Box::default(),
    }
}

/// A rule of each kind that is weighed here; what is looked for in the output the shim has found.
fn rules() -> Rules {
    let exits = |from, to| Conditions(vec![Condition::Exit { from, to }, Condition::Lost]);
    Rules {
        success: exits(0, 0),
        retry_on: Some(exits(1, 63)),
        stop_on: exits(64, 78),
        retry_if: vec!["connection reset".to_owned()],
        stop_if: vec!["permission denied".to_owned()],
        ..Rules::default()
    }
}

fn decide(criterion: &mut Criterion) {
    let with_rules = Policy {
        rules: rules(),
        deadline: Some(Duration::from_secs(3600)),
        ..Policy::default()
    };
    let waiting = State::Waiting {
        due: NOW,
        delay_ms: Some(0),
    };
    let running = State::Running { attempt: FIRST };
    let cases = [
        (
            "start",
            waiting,
            Policy::default(),
            Event::Start { at: NOW },
        ),
        ("exit 0", running.clone(), Policy::default(), ended(0)),
        ("exit 1", running.clone(), Policy::default(), ended(1)),
        ("exit 1, rules", running, with_rules, ended(1)),
    ];
    let mut group = criterion.benchmark_group("decide");
    for (name, state, policy, event) in cases {
        let run = run(state, policy);
        group.bench_function(name, |bencher| {
            bencher.iter(|| next(black_box(&run), black_box(&event)).expect("it is not refused"));
        });
    }
    group.finish();
}

fn room(criterion: &mut Criterion) {
    let plain = Pool::new("mail", 7);
    let limited = Pool {
        rate: Some(Rate {
            starts: 10,
            per: Duration::from_secs(60),
            burst: 3,
        }),
        breaker: Some(5),
        ..plain.clone()
    };
    let gate = Gate::default();
    let mut group = criterion.benchmark_group("room");
    for (name, pool) in [("slots", &plain), ("slots, rate, breaker", &limited)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(pool).room(black_box(&gate), black_box(3), black_box(NOW)));
        });
    }
    group.finish();
}

fn backoff(criterion: &mut Criterion) {
    let backoff = Backoff::default();
    criterion.bench_function("backoff", |bencher| {
        bencher.iter(|| black_box(&backoff).delay(black_box(3), black_box(7)));
    });
}

fn record_of(criterion: &mut Criterion) {
    let record = Record {
        version: VERSION,
        run: RunId(17),
        attempt: FIRST,
        stage: Stage::Ended(Ending {
            pid: Some(4711),
            started_at: NOW,
            ended_at: NOW.plus(Duration::from_millis(3)),
            outcome: Outcome::Exit { code: 1 },
            stdout_len: 12,
            leftover: false,
            testimony: Box::default(),
        }),
    };
    let bytes = record::encode(&record).expect("it fits");
    let mut group = criterion.benchmark_group("record");
    group.bench_function("encode", |bencher| {
        bencher.iter(|| record::encode(black_box(&record)).expect("it fits"));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| record::decode(black_box(&bytes)).expect("it is one"));
    });
    group.finish();
}

fn order(criterion: &mut Criterion) {
    let mut environment = Environment::default();
    for number in 0..40 {
        environment.push(
            format!("VARIABLE_{number}").as_bytes(),
            b"some value of usual length",
        );
    }
    let file = |name: &str| format!("/home/u/.local/state/retrier/db.d/{name}").into_bytes();
    let message = Message::Attempt(Box::new(Order {
        run: RunId(17),
        attempt: FIRST,
        command: vec![
            b"curl".to_vec(),
            b"-fsS".to_vec(),
            b"https://example.com/".to_vec(),
        ],
        cwd: b"/home/u/deploy".to_vec(),
        environment,
        variables: Environment::default(),
        umask: 0o022,
        stdin: None,
        stdout: file("logs/17.1.out"),
        stderr: file("logs/17.1.err"),
        decision: file("logs/17.1.decision"),
        rules: rules(),
        decider: None,
        timeout: Some(Duration::from_secs(60)),
        deadline_at: None,
        grace: Policy::GRACE,
        max_output: None,
    }));
    let bytes = message.encode().expect("it can be encoded");
    let mut group = criterion.benchmark_group("order");
    group.bench_function("encode", |bencher| {
        bencher.iter(|| black_box(&message).encode().expect("it can be encoded"));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| Message::decode(black_box(&bytes)).expect("it is one"));
    });
    group.finish();
}

criterion_group!(benches, decide, room, backoff, record_of, order);
criterion_main!(benches);
