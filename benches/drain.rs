//! A daemon that drains runs which do nothing: how many a second.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use retrier::clock;
use retrier::model::Pool;
use retrier::sys::poll::wait_readable;

use crate::desk::Desk;
use crate::{Plan, Row, median, retrier};

/// They start in a pool of their own, because the one that has the lock keeps a slot of another.
const POOL: &str = "drain";

/// How often each database is drained.
const ROUNDS: usize = 3;

/// Longer than any machine takes.
const LIMIT: Duration = Duration::from_secs(300);

pub fn compare(plan: &Plan) -> Row {
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    let runs = plan.rounds[2];
    for _ in 0..ROUNDS {
        empty.push(drain(&plan.database("empty"), runs));
        full.push(drain(&plan.database("full"), runs));
    }
    let each = |times: &mut [Duration]| median(times).as_secs_f64() * 1e6 / runs as f64;
    Row {
        name: format!("drain {runs} runs, two at once, each"),
        unit: "µs",
        empty: each(&mut empty),
        full: each(&mut full),
    }
}

/// A daemon that is stopped, with what it runs, when this goes out of scope.
struct Daemon<'a>(&'a Path, Child);

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let stopped = retrier(self.0).args(["daemon", "stop", "--kill"]).status();
        let ended = self.1.wait();
        assert!(stopped.is_ok_and(|status| status.success()) && ended.is_ok());
    }
}

fn drain(database: &Path, runs: usize) -> Duration {
    let mut desk = Desk::open(database);
    let pool = Pool {
        parallel: 2,
        ..Pool::new(POOL, 1)
    };
    desk.set_pool(&pool);
    let unique = clock::now().millis().unsigned_abs() * 1000;
    for run in 0..runs {
        let mut spec = Desk::spec(unique + run as u64);
        spec.pool = POOL.to_owned();
        desk.submit(&spec, clock::now());
    }
    let begun = clock::monotonic();
    // What has ended a month ago stays: forgetting it is not what is measured.
    let daemon = retrier(database)
        .args(["daemon", "--retention", "0"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _daemon = Daemon(database, daemon.expect("the binary is there"));
    while desk.pending(POOL) > 0 {
        assert!(begun.elapsed() < LIMIT, "{} are left", desk.pending(POOL));
        wait_readable(&[], Some(Duration::from_millis(5))).expect("nothing is waited for");
    }
    begun.elapsed()
}
