//! retrier: run a command so that it is not lost.
//!
//! A command is stored in one SQLite file, run by a daemon through a small shim, retried with
//! backoff, and its result kept, through crashes and reboots. These pages are the design, room by
//! room; what the program does for its users is in the README, why it is built like this in
//! `ARCHITECTURE.md`. There is no API here to build upon: the library is the program's own other half.
//!
//! # In which order to read
//!
//! 1. [`model::next`], the one function that says what becomes of a run, with
//!    [`model::Run`] and [`model::Event`], which go in, and [`model::Transition`], which comes out.
//! 2. [`model::policy::judge()`]: what follows an attempt, and who is heard.
//! 3. [`store::Store`] and [`store::Pass`]: how an answer is written, and what is read before it is asked for.
//! 4. [`shim::program`] and [`shim::record`]: what lives on when the daemon does not, and what it leaves.
//! 5. [`daemon::serve`]: from the lock to the end of a daemon; its loop is behind it.
//! 6. [`cli::main`], and in [`cli::args`] every word that a person may type.
//!
//! # The rooms of the house
//!
//! | room | what it is for | may use |
//! |---|---|---|
//! | [`model`] | the pure core: state machine, policy, backoff | nothing |
//! | [`clock`] | the only reader of time | model |
//! | [`json`] | the JSON values that leave retrier | model |
//! | [`text`] | values that come as text; text that goes to people | model |
//! | [`sys`] | the operating system | model, clock |
//! | [`store`] | the only SQL | model, sys, json, clock |
//! | [`shim`] | the process between the daemon and a command | model, sys, clock, json, text |
//! | [`daemon`] | the loop: who starts, what ended, what is swept | all above |
//! | [`cli`] | argv in, text and exit code out | all above |
//!
//! A test reads the imports and holds this.
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
//! - The lock of a database is held by one daemon, and of a shim by its commands: who holds it
//!   lives, whatever else is known of it ([`sys::lock`]).
//! - No pid is trusted by its number alone ([`sys::identity`]).
//! - Time and randomness are values: [`clock`] reads the one, a run's seed gives the other, and both
//!   recovery and the normal path come to the same answer.
//! - Everything has a bound: attempts, waits, output, rows of a pass, bytes of a decision.
//! - The environment of a run is never printed.
//!
//! # What can die
//!
//! | who | then |
//! |---|---|
//! | whoever asked | the run is stored, or `run` has printed no id |
//! | the daemon | shims finish what they run and leave a [record](shim::record); the next daemon settles from it |
//! | a shim | what is left of its command is ended, and the attempt is lost: charged, and retried by the policy |
//! | the machine | what was told to anybody is on stable storage; attempts that ran are lost |

pub mod cli;
pub mod clock;
pub mod daemon;
pub mod json;
pub mod model;
pub mod shim;
pub mod store;
pub mod sys;
pub mod text;
