//! What the client and the daemon's pass do with the store, one step at a time, so that the cost of
//! each can be seen by itself. The order of the steps of a pass is that of `daemon::pass`.

use std::path::Path;

use retrier::model::stats::WINDOW;
use retrier::model::{
    Environment, Event, Key, Outcome, Policy, Pool, RunId, Spec, Start, Timestamp, next,
};
use retrier::store::{Access, Facts, Filter, Folder, Pass, Removed, Store, StoreError};
use retrier::sys::identity::{ProcessIdentity, World};

/// More than a pass does at once.
const MANY: usize = 1000;

/// An open database, and somebody who works with it.
pub struct Desk {
    pub store: Store,
    shim: ProcessIdentity,
}

impl Desk {
    /// Opens the database at `path`; makes it when it is not there.
    pub fn open(path: &Path) -> Self {
        let opened = Store::open(&Folder::of(path), Access::Create);
        let world = World::current().expect("/proc is there");
        Self {
            store: opened
                .expect("it can be opened")
                .expect("it was to be made"),
            shim: world
                .identify(std::process::id() as i32)
                .expect("this process lives"),
        }
    }

    /// A run that is due, with an input of its own, that has a key of its own too if `key` is given.
    pub fn spec(input: u64) -> Spec {
        Spec {
            command: vec![b"true".to_vec()],
            cwd: b"/".to_vec(),
            environment: Environment(b"A=1\0".to_vec()),
            umask: 0o022,
            stdin: Some(input.to_string().into_bytes().into()),
            name: Some("name".to_owned()),
            policy: Policy::default(),
            start: Start::Now,
            on_complete: None,
            key: Some(Key {
                text: format!("key {input}"),
                once: true,
            }),
            priority: 0,
            pool: "default".to_owned(),
            lock: None,
        }
    }

    pub fn submit(&mut self, spec: &Spec, now: Timestamp) -> RunId {
        let stored = self.store.submit(spec, || now).expect("it is stored");
        self.store.sync().expect("there is a disk");
        stored.id
    }

    /// What every pass looks at.
    fn pass(&mut self, now: Timestamp, act: impl FnOnce(&Pass<'_>) -> Result<(), StoreError>) {
        let pass = self.store.begin().expect("nobody else writes");
        let done = act(&pass).and_then(|()| {
            let read = pass.read();
            read.past_deadline(now, MANY)?;
            read.closing()?;
            read.outlook()?;
            read.is_idle()?;
            read.oldest_ending()?;
            pass.commit()
        });
        done.expect("a pass can be made");
    }

    /// Moves all on that is due; locks find their owners.
    pub fn advance(&mut self, now: Timestamp) {
        self.pass(now, |pass| {
            pass.promote(now, MANY)?;
            pass.hand_locks_on(MANY).map(drop)
        });
    }

    /// Claims the head of `pool`, with all that leads to it.
    pub fn claim(&mut self, pool: &str, now: Timestamp) -> RunId {
        let shim = self.shim.clone();
        let mut claimed = None;
        self.pass(now, |pass| {
            pass.promote(now, MANY)?;
            pass.hand_locks_on(MANY)?;
            let read = pass.read();
            read.gauge()?;
            let record = read.pool(pool)?.expect("there is such a pool");
            let head = read.head(pool, false)?.expect("there is a ready run");
            let launch = pass.launch(head.run)?;
            let start = next(&launch.current.run, &Event::Start { at: now }).expect("it is due");
            let facts = Facts::Claim {
                file: "1-1",
                shim: &shim,
            };
            assert!(pass.apply_to(&launch.current, &start, now, facts)?);
            let gate = record.pool.after_start(&record.gate, head.run, now);
            pass.set_gate(pool, &gate)?;
            read.head(pool, true)?;
            claimed = Some(head.run);
            Ok(())
        });
        claimed.expect("one was claimed")
    }

    /// Ends the open attempt of run `id`, and hands on what it has held.
    pub fn settle(&mut self, id: RunId, code: u8, now: Timestamp) {
        self.pass(now, |pass| {
            let current = pass.current(id)?;
            let attempt = current.run.state.open_attempt().expect("it runs");
            pass.note_pid(id, attempt, 1, now)?;
            pass.read().open_attempt(id)?;
            let ended = Event::Ended {
                at: now,
                attempt,
                outcome: Outcome::Exit { code },
                testimony: Box::default(),
            };
            let end = next(&current.run, &ended).expect("its attempt is open");
            assert!(pass.apply_to(&current, &end, now, Facts::None)?);
            pass.hand_locks_on(MANY).map(drop)
        });
    }

    pub fn cancel(&mut self, id: RunId, now: Timestamp) {
        self.pass(now, |pass| {
            let run = pass.read().run(id)?;
            let cancel = next(&run, &Event::Cancel { at: now }).expect("it has not ended");
            assert!(pass.apply(id, &run, &cancel, now, Facts::None)?);
            Ok(())
        });
    }

    pub fn forget(&mut self, id: RunId) {
        let forgotten = self.store.forget(|pass| pass.remove(id));
        assert_eq!(forgotten.expect("it can be forgotten"), Removed::Done);
    }

    /// What `retrier status` reads.
    pub fn status(&self, id: RunId) {
        let looked = self.store.at_once(|read| {
            read.page(id)?;
            read.blocked(id, Timestamp::from_millis(0))?;
            read.cause(id)
        });
        looked.expect("it is stored");
    }

    /// What `retrier stats` reads.
    pub fn stats(&self, now: Timestamp) {
        let told = self.store.at_once(|read| read.stats(now, WINDOW));
        told.expect("it can be counted");
    }

    /// What `retrier list` reads; gives how many there are.
    pub fn list(&self, filter: &Filter, now: Timestamp) -> usize {
        let listed = self.store.at_once(|read| read.list(filter, now));
        listed.expect("a database can be listed").len()
    }

    /// How many runs of `pool` have not ended.
    pub fn pending(&self, pool: &str) -> u64 {
        let found = self.store.read().pool(pool).expect("it can be looked up");
        found.map_or(0, |record| record.gauge.pending())
    }

    /// Makes a pool, or changes it.
    pub fn set_pool(&mut self, pool: &Pool) {
        let pass = self.store.begin().expect("nobody else writes");
        let set = pass.set_pool(pool, "{}").and_then(|()| pass.commit());
        set.expect("it can be stored");
    }
}
