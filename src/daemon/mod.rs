//! The daemon: one single-threaded loop that starts what is due and settles what has ended.
//!
//! Every pass is one transaction: all endings, all cancels and all claims of that pass commit
//! together, and effects follow the commit. The database is the only channel that carries data;
//! the [`doorbell`] only says that there is something to look at. It may not decide how a run goes
//! on: that is [`crate::model::next`]. Start reading at [`serve::serve`], then at `pass`.

pub mod checkup;
mod claim;
mod cycle;
pub mod doorbell;
pub mod holder;
pub mod launch;
mod leave;
mod limit;
mod listen;
mod lodging;
pub mod log;
pub mod log_file;
mod order;
mod pass;
mod pause;
mod pools;
mod recover;
mod remnant;
pub mod serve;
mod settle;
mod slots;
mod stats;
mod tick;
pub mod unit;
pub mod upkeep;
