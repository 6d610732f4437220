//! The database: the only room that knows SQL, and the one place where runs live.
//!
//! One SQLite file in WAL mode. Writers use BEGIN IMMEDIATE, so that they wait for each other and
//! never fail half-way; commits do not sync by themselves, and whoever tells somebody of what was
//! committed calls [`Store::sync`] first. State changes only through [`Pass::apply`], which writes
//! an answer of [`crate::model::next`] whole, if the run is still as it was when it was asked.
//!
//! Start reading at `schema`, the layout, then at [`Pass`], the transactions.

mod attempt;
mod backup;
mod blocked;
mod cleanup;
mod confine;
mod copy;
mod error;
mod folder;
mod history;
mod hook;
mod index;
mod inspect;
mod key;
mod label;
mod list;
mod look;
mod many;
mod migrate;
mod moved;
mod open;
mod pass;
mod place;
#[cfg(test)]
mod plan;
mod pool;
mod queue;
mod read;
mod reserve;
mod retry;
mod row;
mod schema;
mod stats;
mod submit;
mod tally;
mod watch;

pub use cleanup::{Removed, Swept};
pub use copy::Copied;
pub use error::StoreError;
pub use folder::{Folder, Stream, base};
pub use inspect::{Census, Inspection, OpenSince};
pub use label::Label;
pub use list::Filter;
pub use many::{Among, Chunk};
pub use open::{Access, Store, set_up};
pub use pass::{Current, Facts, OpenAttempt, Pass};
pub use place::{check, is_doubtful};
pub use queue::{Head, Outlook};
pub use read::{Launch, Reader};
pub use retry::Obstacle;
pub use stats::PoolStats;
pub use submit::{Stored, Submission};
