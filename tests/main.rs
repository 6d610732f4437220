//! Black-box tests of `retrier`: one module per behaviour, all in one program, so that it links once.

#[allow(
    dead_code,
    unused_imports,
    reason = "a tool kit: it may hold a tool that no test needs at the moment"
)]
mod support;

mod backoff;
mod backup;
mod batch;
mod bounded;
mod breakers;
mod cancel;
mod claims;
mod clean_child;
mod cleanup;
mod client_log;
mod crash;
mod daemon;
mod data;
mod deadlines;
mod deciders;
mod decisions;
mod doctor;
mod errors;
mod events;
mod explain;
mod faults;
mod flat;
mod fuzz;
mod gates;
mod generated;
mod harness;
mod hooks;
mod injection;
mod keys;
mod locks;
mod looking;
mod machine;
mod manuals;
mod many;
mod migration;
mod objects;
mod order;
mod outcomes;
mod policies;
mod pools;
mod precedence;
mod rates;
mod readme;
mod reference;
mod retry;
mod secrets;
mod service;
mod shells;
mod simulator;
mod slots;
mod stats;
mod store;
mod submit;
mod terminal;
mod ticks;
mod tidy;
mod transfer;
mod trouble;
