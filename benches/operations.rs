//! The operations, each with what goes before and after it and is not measured, so that a database
//! is afterwards as it was, but for a longer history.

use std::time::Duration;

use retrier::clock;
use retrier::model::{RunId, Status};
use retrier::store::Filter;

use crate::desk::Desk;

/// Somebody who does the operations in one database.
pub struct Worker {
    desk: Desk,
    /// The run that has the lock, and runs.
    holder: RunId,
    /// A number that no other run was stored with.
    input: u64,
    /// How many runs the history began with.
    finished: i64,
    /// A place in it.
    place: i64,
}

/// An operation, which gives how long it took.
type Operation = fn(&mut Worker) -> Duration;

/// Name; whether it needs a page of runs of each kind, or nothing; what is done.
pub const ALL: [(&str, bool, Operation); 16] = [
    // Before the others leave endings behind, in one database more than in the other.
    ("stats", true, |worker| {
        timed(|| worker.desk.stats(clock::now())).0
    }),
    ("submit", false, |worker| worker.cycle()[0]),
    ("claim", false, |worker| worker.cycle()[1]),
    ("settle", false, |worker| worker.cycle()[2]),
    ("settle the holder of the lock", false, Worker::hand_on),
    ("forget", false, |worker| worker.cycle()[3]),
    ("status, finished", false, Worker::status),
    ("status, behind the lock", false, Worker::status_of_locked),
    ("list", true, |worker| worker.list(None, None, None)),
    ("list --state scheduled", true, |worker| {
        worker.list(Some(Status::Scheduled), None, None)
    }),
    ("list --state queued", true, |worker| {
        worker.list(Some(Status::Queued), None, None)
    }),
    ("list --state running", true, |worker| {
        worker.list(Some(Status::Running), None, None)
    }),
    ("list --state failed", true, |worker| {
        worker.list(Some(Status::Failed), None, None)
    }),
    ("list --name", true, |worker| {
        worker.list(None, Some("name"), None)
    }),
    ("list --pool", true, |worker| {
        worker.list(None, None, Some("default"))
    }),
    ("list --pool --state queued", true, |worker| {
        worker.list(Some(Status::Queued), None, Some("default"))
    }),
];

fn timed<T>(act: impl FnOnce() -> T) -> (Duration, T) {
    let begun = clock::monotonic();
    let done = act();
    (begun.elapsed(), done)
}

impl Worker {
    /// Claims the run that has the lock.
    pub fn new(mut desk: Desk, finished: u32) -> Self {
        let now = clock::now();
        desk.advance(now);
        let holder = desk.claim("default", now);
        Self {
            desk,
            holder,
            // Several may have worked in the same database.
            input: now.millis().unsigned_abs() * 1000,
            finished: finished.into(),
            place: 0,
        }
    }

    /// Leaves no attempt open.
    pub fn leave(mut self) {
        self.desk.settle(self.holder, 0, clock::now());
    }

    /// A run from its submission to its end, and then forgotten.
    fn cycle(&mut self) -> [Duration; 4] {
        self.input += 1;
        let spec = Desk::spec(self.input);
        let (submit, id) = timed(|| self.desk.submit(&spec, clock::now()));
        let (claim, claimed) = timed(|| self.desk.claim("default", clock::now()));
        assert_eq!(id, claimed);
        let (settle, ()) = timed(|| self.desk.settle(id, 0, clock::now()));
        let (forget, ()) = timed(|| self.desk.forget(id));
        [submit, claim, settle, forget]
    }

    /// Ends the run that has the lock, which goes to the next.
    fn hand_on(&mut self) -> Duration {
        self.input += 1;
        let mut spec = Desk::spec(self.input);
        spec.lock = Some("one".to_owned());
        self.desk.submit(&spec, clock::now());
        self.desk.advance(clock::now());
        let (settle, ()) = timed(|| self.desk.settle(self.holder, 0, clock::now()));
        self.holder = self.desk.claim("default", clock::now());
        settle
    }

    fn status(&mut self) -> Duration {
        // Somewhere in the history, and elsewhere the next time.
        self.place = (self.place + 7_777_777) % self.finished;
        let id = RunId(self.place + 1);
        timed(|| self.desk.status(id)).0
    }

    fn status_of_locked(&mut self) -> Duration {
        self.input += 1;
        let mut spec = Desk::spec(self.input);
        spec.lock = Some("one".to_owned());
        let id = self.desk.submit(&spec, clock::now());
        self.desk.advance(clock::now());
        let (status, ()) = timed(|| self.desk.status(id));
        self.desk.cancel(id, clock::now());
        self.desk.forget(id);
        status
    }

    fn list(&mut self, status: Option<Status>, name: Option<&str>, pool: Option<&str>) -> Duration {
        let filter = filter(status, name, pool);
        timed(|| self.desk.list(&filter, clock::now())).0
    }
}

fn filter(status: Option<Status>, name: Option<&str>, pool: Option<&str>) -> Filter {
    Filter {
        statuses: status.into_iter().collect(),
        name: name.map(str::to_owned),
        pool: pool.map(str::to_owned),
        since: None,
        limit: 50,
    }
}
