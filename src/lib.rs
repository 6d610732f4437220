//! retrier: run a command so that it is not lost.
//!
//! A command is stored in one SQLite file, run by a daemon through a small shim, retried with
//! backoff, and its result kept, through crashes and reboots. The rooms of the house:
//!
//! | room | what it is for | may use |
//! |---|---|---|
//! | [`model`] | the pure core: state machine, policy, backoff | nothing |
//! | [`clock`] | the only reader of time | model |
//! | [`json`] | the JSON values that leave retrier | model |
//! | [`sys`] | the operating system | model, clock |
//! | [`store`] | the only SQL | model, sys, json, clock |
//! | [`shim`] | the process between the daemon and a command | model, sys, clock |
//! | [`daemon`] | the loop: who starts, what ended, what is swept | all above |
//! | [`cli`] | argv in, text and exit code out | all above |
//!
//! # Invariants
//!
//! - A run's state changes only by an answer of [`model::next`], written whole by
//!   [`store::Pass::apply`] in one transaction, if the run is still as it was.
//! - Effects (start, signal, wake, print) follow the commit. What is told to somebody is synced
//!   first, by whoever tells it.
//! - An attempt is open in the database before its command starts, together with the identity of
//!   the shim that will run it, and stays open until every process that could be part of it is
//!   gone or known to have been left on purpose.
//! - No pid is trusted by its number alone.
//! - The environment of a run is never printed.

pub mod cli;
pub mod clock;
pub mod daemon;
pub mod json;
pub mod model;
pub mod shim;
pub mod store;
pub mod sys;
pub mod text;
