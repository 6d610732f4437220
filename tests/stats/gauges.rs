//! What is counted as it changes stays equal to what is there, whatever is done to runs and killed meanwhile.

use rusqlite::{Connection, OpenFlags};

use retrier::model::Pool;

use crate::crash::tools::{Gate, wait_until_state};
use crate::support::{Daemon, Home, assert_gauges, gauge_faults, seeded, wait_until};

use super::{LONG, assert_fields, set_pool, stats, store};

/// Stores a run of some kind, or is killed while it does.
fn some_run(home: &Home, random: &mut fastrand::Rng) {
    let pools = ["default", "mail", "paused"];
    let kinds = [
        &["--shell", "true"][..],
        &["--shell", "exit 1", "--on-complete", "true"],
        &["--shell", "sleep 0.1", "--lock", "l"],
        &["--shell", "sleep 600", "--on-complete", "false"],
        &["--shell", "true", "--delay", "1h"],
        &["--shell", "true", "--delay", "50ms", "--lock", "l"],
    ];
    let mut args = vec!["run", "--no-daemon-start", "--constant", "20ms"];
    args.extend(["--max-failures", "1", "--pool", pools[random.usize(0..3)]]);
    args.extend(kinds[random.usize(0..kinds.len())]);
    let call = home.retrier(&args);
    if random.u8(0..4) == 0 {
        let points = ["submit_before_commit:1:kill", "submit_committed:1:kill"];
        call.crash(points[random.usize(0..2)]).output().exits(137);
    } else {
        call.output().ok();
    }
}

/// Changes one of so many runs, or is killed while it does.
fn some_change(home: &Home, runs: i64, random: &mut fastrand::Rng) {
    let verb = ["cancel", "retry", "cleanup"][random.usize(0..3)];
    let id = random.i64(1..=runs.max(1)).to_string();
    let mut call = home.retrier([verb, &id]);
    if random.u8(0..4) == 0 {
        call = call.crash(&format!("{verb}_committed:1:kill"));
    }
    let output = call.output();
    assert!([0, 3, 4, 137].contains(&output.code), "{output:?}");
}

#[test]
fn gauges_are_what_is_there_whatever_is_done_and_killed() {
    let mut random = seeded("gauges_are_what_is_there_whatever_is_done_and_killed");
    let home = Home::new();
    set_pool(&home, &Pool::new("mail", 1));
    let mut paused = Pool::new("paused", 2);
    paused.paused = true;
    set_pool(&home, &paused);
    let mut daemon: Option<Daemon> = None;
    let mut runs = 0;
    for step in 0..50 {
        match (random.u8(0..10), &mut daemon) {
            (0, Some(serving)) => {
                serving.kill9();
                daemon = None;
            }
            (1, Some(serving)) => {
                serving.stop();
                daemon = None;
            }
            (0..3, None) => daemon = Some(home.daemon()),
            (2, Some(_)) => {
                paused.paused = !paused.paused;
                set_pool(&home, &paused);
            }
            (0..7, _) => {
                some_run(&home, &mut random);
                runs += 1;
            }
            _ => some_change(&home, runs, &mut random),
        }
        let faults = gauge_faults(&home);
        assert!(faults.is_empty(), "step {step}: {faults:#?}");
    }
    drop(daemon);
    assert!(home.end_processes());
    assert_gauges(&home);
}

/// Each place where a run can stand, for as long as it takes to look.
#[test]
fn what_is_held_locked_or_being_ended_is_counted() {
    let home = Home::new();
    let (grown, end) = (Gate::new(&home, "grown"), Gate::new(&home, "end"));
    let line = format!(
        "trap '' TERM; : >'{}'; {}",
        home.path("grown").display(),
        end.line()
    );
    let _daemon = home.daemon();
    let args = ["--grace", "10m", "--lock", "l", "--on-complete", "true"];
    store(&home, &[&args[..], &["--shell", &line]].concat());
    wait_until("it ignores SIGTERM", LONG, || grown.is_open());
    store(&home, &["--lock", "l", "--", "true"]);
    home.retrier(["cancel", "1"]).output().ok();
    wait_until("one waits for the lock", LONG, || {
        count(&home, "SELECT locked FROM gauge WHERE pool = 'default'") == 1
    });
    assert_gauges(&home);
    for (column, pool) in [("closing", "default"), ("closing", ""), ("held", "hooks")] {
        let sql = format!("SELECT {column} FROM gauge WHERE pool = '{pool}'");
        assert_eq!(count(&home, &sql), 1, "{column} of {pool}");
    }
    let all = stats(&home, &[]);
    assert_fields(&all, &[("pending", 1), ("queued", 1), ("running", 0)]);
    let hooks = stats(&home, &["--pool", "hooks"]);
    assert_fields(&hooks, &[("pending", 1), ("scheduled", 1)]);
    let metrics = home.retrier(["stats", "--prometheus"]).output().ok().text();
    let used = "retrier_slots_used{pool=\"default\"} 1\n";
    assert!(metrics.contains(used), "{metrics}");
    end.open();
    assert_eq!(home.wait(2), 0);
    wait_until_state(&home, 3, "succeeded");
    assert_gauges(&home);
    assert_eq!(stats(&home, &["--pool", "hooks"])["pending"], 0);
}

fn count(home: &Home, sql: &str) -> i64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(home.db(), flags).expect("it is there");
    let found = database.query_row(sql, [], |row| row.get(0));
    found.expect("it can be read")
}

#[test]
fn a_run_that_is_sent_to_another_pool_is_counted_there() {
    let home = Home::new();
    set_pool(&home, &Pool::new("mail", 1));
    let _daemon = home.daemon();
    let line = r#"echo '{"retry_in":"1h","pool":"mail"}' >"$RETRIER_DECISION"; exit 1"#;
    store(&home, &["--shell", line]);
    wait_until_state(&home, 1, "scheduled");
    assert_gauges(&home);
    assert_eq!(stats(&home, &["--pool", "default"])["pending"], 0);
    assert_eq!(stats(&home, &["--pool", "mail"])["scheduled"], 1);
    assert_eq!(stats(&home, &[])["pending"], 1);
}

#[test]
fn the_check_of_the_gauges_finds_what_is_wrong() {
    let home = Home::new();
    store(&home, &["--", "true"]);
    home.retrier(["daemon", "--until-idle"]).output().ok();
    assert_gauges(&home);
    let database = Connection::open(home.db()).expect("it is there");
    for (wrong, right, told) in [
        ("ready = 1", "ready = 0", "ready of pool 'default' is 1"),
        ("running = -1", "running = 0", "running of pool '' is -1"),
        (
            "executions = 0",
            "executions = 1",
            "executions of pool '' is 0",
        ),
    ] {
        let set = |what: &str| {
            let sql = format!("UPDATE gauge SET {what} WHERE pool <> 'hooks'");
            database.execute(&sql, []).expect("it can be written");
        };
        set(wrong);
        let faults = gauge_faults(&home);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults.iter().any(|fault| fault.starts_with(told)),
            "{faults:?}"
        );
        set(right);
        assert_gauges(&home);
    }
    let gone = database.execute("DELETE FROM gate WHERE pool = 'hooks'", []);
    assert_eq!(gone.expect("it can be written"), 1);
    assert!(gauge_faults(&home)[0].starts_with("gate has"));
}
