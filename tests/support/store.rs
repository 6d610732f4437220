//! Many runs at once, without the calls that storing them would take.

use std::time::Duration;

use retrier::model::{Environment, Policy, Spec, Start, Timestamp};
use retrier::store::{Access, Folder, Store};

use super::home::Home;

/// Stores so many runs that have a hook and are due after this delay from `now`.
pub fn store_many(home: &Home, count: usize, delay: Duration, now: Timestamp) {
    let opened = Store::open(&Folder::of(home.db()), Access::Create);
    let mut store = opened
        .expect("a new database can be made")
        .expect("it was to be made");
    let spec = Spec {
        command: vec![b"/bin/true".to_vec()],
        cwd: b"/".to_vec(),
        environment: Environment::default(),
        umask: 0o022,
        stdin: None,
        name: None,
        policy: Policy::default(),
        start: Start::After(delay),
        on_complete: Some(b"true".to_vec()),
        key: None,
        priority: 0,
        pool: "default".to_owned(),
        lock: None,
    };
    for _ in 0..count {
        store.submit(&spec, || now).expect("it is stored");
    }
}
