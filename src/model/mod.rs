//! What retrier knows and decides, without any input or output.
//!
//! Everything here is a plain value or a pure function: time comes with the [`Event`], randomness
//! from the seed stored with the [`Run`]. Start reading at [`machine::next`], the one function
//! that changes a run's state. This room may use `std` and `serde` only.

pub mod backoff;
pub mod finding;
pub mod machine;
pub mod outcome;
pub mod output;
pub mod plan;
pub mod policy;
pub mod pool;
pub mod record;
pub mod run;
pub mod spec;
pub mod stats;
pub mod time;
pub mod transition;

pub use backoff::Backoff;
pub use finding::{Finding, Level};
pub use machine::next;
pub use outcome::{Outcome, RunResult};
pub use output::OutputLimit;
pub use plan::{Plan, Spread, Wait};
pub use policy::{Budget, Policy, Rules, Testimony};
pub use pool::{Blocked, Gate, Gauge, Hold, Pool, PoolRecord, Rate, Room};
pub use record::{AttemptRecord, EventRecord, RunRecord};
pub use run::{AttemptNumber, Reason, Run, RunId, State, Status};
pub use spec::{Environment, Key, Spec, Start};
pub use stats::Stats;
pub use time::Timestamp;
pub use transition::{AttemptChange, Event, HookChange, Note, Refusal, Transition};
