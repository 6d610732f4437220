//! The shim: the small process between the daemon and a command.
//!
//! A shim belongs to a slot of the daemon, not to an attempt: it is started when more attempts run
//! at once than shims are there, and runs one attempt after the other. It knows no database. Its
//! one file is its identity, its lock and its [`record`]; what it shall do comes as an [`order`]
//! through a socket, and every stage that it records it also reports there.
//!
//! It outlives its daemon: when the socket closes it finishes its attempt, makes the record
//! durable and leaves, and the next daemon settles from the record. Start reading at
//! [`program::main`] for the shim and at [`handle::Shim`] for the daemon's side of it.

pub mod attempt;
pub mod bound;
pub mod deadline;
pub mod decider;
pub mod decision;
pub mod handle;
pub mod order;
pub mod program;
pub mod record;
pub mod start;
pub mod testimony;
