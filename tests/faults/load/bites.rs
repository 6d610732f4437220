//! The checker bites: books in order pass, and each false entry is found.

use serde_json::{Value, json};

use crate::support::{Entry, Mark};

use super::{After, Books, Op, Record, Written, violations};

fn call(op: Op, id: Option<i64>, t0: i64, exit: i32) -> Record {
    let (out, err) = (String::new(), String::new());
    let t1 = t0 + 1;
    Record {
        op,
        id,
        t0,
        t1,
        exit,
        out,
        err,
    }
}

fn run(id: i64, state: &str, outcomes: &[Value]) -> Value {
    let attempts = outcomes.iter().zip(1..);
    let attempts: Vec<Value> = attempts
        .map(|(outcome, number)| json!({"number": number, "outcome": outcome}))
        .collect();
    json!({
        "id": id, "state": state, "attempts": attempts, "parent_id": null, "hook_id": id + 10,
        "policy": {"max_failures": 1},
    })
}

fn hook(id: i64) -> (i64, Value) {
    let mut hook = run(id, "succeeded", &[exit(0)]);
    hook["parent_id"] = json!(id - 10);
    hook["hook_id"] = Value::Null;
    (id, hook)
}

fn exit(code: i64) -> Value {
    json!({"type": "exit", "code": code})
}

fn mark(mark: Mark, run: i64, attempt: u32, at_ns: i64) -> Entry {
    Entry {
        mark,
        run,
        attempt,
        pid: 1,
        at_ns,
    }
}

/// Run 1 succeeded with its second attempt, run 2 was canceled, run 3 was forgotten, and somebody was killed while
/// storing a run.
fn books() -> Books<'static> {
    let succeeded = run(1, "succeeded", &[exit(1), exit(0)]);
    let mut look = call(Op::Look, Some(1), 100, 0);
    look.out = succeeded.to_string();
    let mut wait = call(Op::Wait, Some(1), 100, 0);
    wait.out = succeeded.to_string();
    let canceled = run(2, "canceled", &[json!({"type": "canceled"})]);
    let runs = [(1, succeeded), (2, canceled), hook(11), hook(12), hook(13)];
    let starts = [(1, 1, 10), (1, 2, 20), (2, 1, 30)];
    let starts = starts.map(|(run, attempt, at)| mark(Mark::Start, run, attempt, at));
    let ends = [(1, 1, 11), (1, 2, 21)];
    let ends = ends.map(|(run, attempt, at)| mark(Mark::End, run, attempt, at));
    Books {
        calls: vec![
            look,
            wait,
            call(Op::Run, Some(1), 1, 0),
            call(Op::Run, Some(2), 2, 0),
            call(Op::Run, Some(3), 3, 0),
            call(Op::Run, None, 4, 137),
            call(Op::Cancel, Some(2), 50, 0),
            call(Op::Cleanup, Some(3), 60, 0),
        ],
        written: Some(Written {
            entries: [&starts[..], &ends].concat(),
            overlaps: Vec::new(),
        }),
        codes: Some(&|_, number| i64::from(number == 1)),
        hooks: Some("1 11 1\n2 12 1\n3 13 1\n".to_owned()),
        after: Some(After {
            runs: runs.into_iter().collect(),
            ..After::default()
        }),
    }
}

fn after<'b>(books: &'b mut Books<'_>) -> &'b mut After {
    books.after.as_mut().expect("they have one")
}

/// What is there of run `id` after all.
fn found<'b>(books: &'b mut Books<'_>, id: i64) -> &'b mut Value {
    after(books).runs.get_mut(&id).expect("it is there")
}

fn written<'b>(books: &'b mut Books<'_>) -> &'b mut Written {
    books.written.as_mut().expect("they have it")
}

/// A look at time `t0`.
fn look(books: &mut Books<'_>, t0: i64, run: &Value) {
    let mut look = call(Op::Look, run["id"].as_i64(), t0, 0);
    look.out = run.to_string();
    books.calls.push(look);
}

#[test]
fn books_in_order_pass() {
    let mut books = books();
    assert!(violations(&books).is_empty(), "{:#?}", violations(&books));
    // One more may have been stored by the one that was killed.
    let mut unknown = run(4, "succeeded", &[exit(1), exit(0)]);
    unknown["hook_id"] = json!(14);
    after(&mut books).runs.extend([(4, unknown), hook(14)]);
    let marks = [
        (Mark::Start, 1),
        (Mark::End, 1),
        (Mark::Start, 2),
        (Mark::End, 2),
    ];
    let marks = marks.map(|(which, attempt)| mark(which, 4, attempt, 40));
    written(&mut books).entries.extend(marks);
    books.hooks = books.hooks.map(|hooks| hooks + "4 14 1\n");
    assert!(violations(&books).is_empty(), "{:#?}", violations(&books));
}

type Falsify = fn(&mut Books<'_>);

const RUNS: &[(&str, Falsify)] = &[
    ("run 1 is lost", |books| drop(after(books).runs.remove(&1))),
    ("told the number 1", |books| {
        books.calls.push(call(Op::Run, Some(1), 5, 0))
    }),
    ("these runs are there: [4, 5]", |books| {
        let more = [4, 5].map(|id| (id, run(id, "succeeded", &[exit(1), exit(0)])));
        after(books).runs.extend(more);
    }),
    ("there although it was to be forgotten", |books| {
        after(books).runs.insert(3, run(3, "canceled", &[]));
    }),
    ("did not find a run that is there", |books| {
        let mut failed = call(Op::Look, Some(1), 70, 3);
        failed.err = "retrier: error: no run 1 in x".into();
        books.calls.push(failed);
    }),
    ("run 2 has not ended", |books| {
        found(books, 2)["state"] = json!("running")
    }),
    ("the end of run 1 has changed", |books| {
        look(books, 102, &run(1, "running", &[exit(1), Value::Null]))
    }),
    ("the end of run 1 has changed", |books| {
        look(books, 0, &run(1, "failed", &[exit(1), exit(0)]))
    }),
    ("run 2 was canceled, and then", |books| {
        look(books, 52, &run(2, "running", &[]))
    }),
    ("had ended before its cancel, and then", |books| {
        books.calls.push(call(Op::Cancel, Some(1), 15, 4));
        look(books, 17, &run(1, "running", &[exit(1), Value::Null]));
    }),
    ("has attempts [2]", |books| {
        let attempts = &mut found(books, 1)["attempts"];
        attempts.as_array_mut().expect("a list").remove(0);
    }),
    ("had two open attempts", |books| {
        look(books, 0, &run(1, "running", &[Value::Null, Value::Null]))
    }),
    ("ended with an open attempt", |books| {
        look(books, 0, &run(1, "failed", &[Value::Null]))
    }),
    ("a wait gave 0", |books| {
        books.calls[1].out = run(1, "failed", &[exit(3)]).to_string()
    }),
    ("gave 7 and nothing else", |books| {
        books.calls.push(call(Op::Wait, Some(1), 60, 7))
    }),
    ("did not end as it must", |books| {
        after(books)
            .runs
            .insert(1, run(1, "failed", &[exit(1), exit(0)]));
    }),
];

const COMMANDS: &[(&str, Falsify)] = &[
    ("two attempts at once", |books| {
        written(books).overlaps.push("OVERLAP 1 1 1".into())
    }),
    ("attempt 1 of run 1 was started twice", |books| {
        written(books).entries.push(mark(Mark::Start, 1, 1, 22));
    }),
    ("attempt 2 of run 2 was started although", |books| {
        written(books).entries.push(mark(Mark::Start, 2, 2, 40));
    }),
    ("attempt 1 of run 2 was started although", |books| {
        look(
            books,
            52,
            &run(2, "canceled", &[json!({"type": "canceled"})]),
        );
        written(books).entries[2].at_ns = 54;
    }),
    ("has run, and is not recorded", |books| {
        written(books).entries.push(mark(Mark::Start, 1, 3, 9));
    }),
    ("wrote [Start], and is", |books| {
        written(books).entries.truncate(4)
    }),
    ("exits with 0, wrote", |books| {
        after(books)
            .runs
            .insert(1, run(1, "failed", &[exit(1), exit(1)]));
    }),
    ("and is {\"type\":\"lost\"}", |books| {
        after(books)
            .runs
            .insert(1, run(1, "failed", &[exit(1), json!({"type": "lost"})]));
    }),
];

const REST: &[(&str, Falsify)] = &[
    ("has the hooks []", |books| {
        drop(after(books).runs.remove(&13))
    }),
    ("has the hooks [11, 20]", |books| {
        let (_, mut second) = hook(11);
        second["id"] = json!(20);
        after(books).runs.insert(20, second);
    }),
    ("names null as its hook", |books| {
        found(books, 2)["hook_id"] = Value::Null
    }),
    ("hook of run 2 was not run", |books| {
        books.hooks = Some("1 11 1\n3 13 1\n".into())
    }),
    ("attempt ran twice", |books| {
        books.hooks = books.hooks.take().map(|hooks| hooks.repeat(2));
    }),
    ("a process is left: sleep", |books| {
        after(books).left.push("sleep 1".into())
    }),
    ("doctor: the index", |books| {
        after(books).doctor.push("doctor: the index".into())
    }),
    ("the daemon's log: thread", |books| {
        after(books).log = "thread main panicked".into()
    }),
    ("Run said: database is locked", |books| {
        books.calls[2].err = "database is locked".into()
    }),
];

#[test]
fn each_false_entry_is_found() {
    for (words, falsify) in [RUNS, COMMANDS, REST].into_iter().flatten() {
        let mut books = books();
        falsify(&mut books);
        let found = violations(&books);
        let bites = found.iter().any(|found| found.contains(words));
        assert!(bites, "{words} is not in {found:#?}");
    }
}

#[test]
fn who_retries_by_hand_may_see_another_end_and_nobody_before_that() {
    let mut books = books();
    // Run 1 fails, is seen so at 12, and is retried at 15.
    look(&mut books, 12, &run(1, "failed", &[exit(1)]));
    books.calls.push(call(Op::Retry, Some(1), 15, 0));
    assert!(violations(&books).is_empty(), "{:#?}", violations(&books));
    look(&mut books, 14, &run(1, "running", &[exit(1), Value::Null]));
    let found = violations(&books);
    let words = "the end of run 1 has changed";
    assert!(
        found.iter().any(|found| found.contains(words)),
        "{found:#?}"
    );
}
