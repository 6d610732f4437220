//! `stats --pool`: each pool for itself, and whether it starts anything.

use std::time::Duration;

use retrier::model::{Pool, Rate};

use crate::crash::tools::{LONG, wait_until_state};
use crate::support::{Home, assert_gauges, wait_until};

use super::{assert_fields, set_pool, stats, store};

#[test]
fn hooks_are_left_out_and_each_pool_has_its_own() {
    let home = Home::new();
    set_pool(&home, &Pool::new("mail", 1));
    let mut paused = Pool::new("paused", 2);
    paused.paused = true;
    set_pool(&home, &paused);
    let mut narrow = Pool::new("narrow", 3);
    narrow.parallel = 1;
    set_pool(&home, &narrow);
    let args = ["--pool", "mail", "--max-failures", "0", "--on-complete"];
    store(&home, &[&args[..], &["true", "--", "false"]].concat());
    store(&home, &["--", "true"]);
    store(&home, &["--pool", "paused", "--", "true"]);
    store(&home, &["--pool", "narrow", "--", "sleep", "600"]);
    store(&home, &["--pool", "narrow", "--", "true"]);
    let _daemon = home.daemon();
    assert_eq!((home.wait(1), home.wait(2)), (1, 0));
    wait_until("the hook has ended", LONG, || {
        stats(&home, &["--pool", "hooks"])["recent_finished"] == 1
    });
    wait_until_state(&home, 4, "running");
    let all = stats(&home, &[]);
    assert_fields(&all, &[("pending", 3), ("queued", 2), ("running", 1)]);
    assert_fields(&all, &[("scheduled", 0), ("recent_executions", 2)]);
    assert_eq!(all["recent_error_rate"], 0.5);
    for (pool, state, pending, executions, rate) in [
        ("mail", "running", 0, 1, 1),
        ("default", "running", 0, 1, 0),
        ("paused", "paused", 1, 0, 0),
        ("narrow", "full", 2, 0, 0),
        ("hooks", "running", 0, 1, 0),
    ] {
        let found = stats(&home, &["--pool", pool]);
        assert_eq!(
            (&found["pool"], &found["state"]),
            (&pool.into(), &state.into())
        );
        assert_fields(
            &found,
            &[("pending", pending), ("recent_executions", executions)],
        );
        assert_eq!(found["recent_error_rate"], rate, "{pool}");
    }
    assert_gauges(&home);
}

#[test]
fn a_pool_that_waits_says_until_when() {
    let home = Home::new();
    let mut limited = Pool::new("limited", 1);
    limited.rate = Some(Rate {
        starts: 1,
        per: Duration::from_secs(3600),
        burst: 1,
    });
    set_pool(&home, &limited);
    let mut open = Pool::new("open", 2);
    open.breaker = Some(1);
    open.backoff.initial = Duration::from_secs(3600);
    set_pool(&home, &open);
    store(&home, &["--pool", "limited", "--", "true"]);
    let args = ["--max-failures", "0", "--pool", "open", "--", "false"];
    store(&home, &args);
    let _daemon = home.daemon();
    assert_eq!((home.wait(1), home.wait(2)), (0, 1));
    for pool in ["limited", "open"] {
        let found = stats(&home, &["--pool", pool]);
        assert_eq!(found["state"], pool);
        assert!(
            found["until"].as_str() > found["at"].as_str(),
            "{pool}: {found}"
        );
    }
}
