//! It holds: crashes, races, crowds, a full disk.
//!
//! The oracle is never the database: a command trips over a lock when two attempts of a run are alive at once, and
//! writes its start and its end elsewhere; every client call is written down with what it said.
//!
//! | what happens | where |
//! |---|---|
//! | many at once, no daemon before | `crowd` |
//! | a cancel in the instant of a start, an end, a retry | `cancel_races` |
//! | a kill, a stop, an error at every failpoint, and again while that is recovered from | `daemon_kill`, `second_kill`, `cancel_kill`, `client_points` |
//! | the client killed at every system call | `client_kill` |
//! | the client's system calls fail | `client_errors` |
//! | daemons and shims killed under eight clients that do everything; beside that a disk that fills, a clock that is set, all forgotten all the time | `kill_loop` |
//! | shims and commands killed, and what commands leave | `remains`, `escape` |
//! | the power cut | `power` |
//! | several daemons, and one that leaves when somebody comes | `daemons` |
//! | a reused pid, another boot, another pid namespace | `identity` |
//! | a clock that is set | `clocks` |
//! | a reader that stays, output that nobody reads; callers who do to the doorbell what no client does | `pinned`, `doorbell` |
//! | a full disk; no descriptors, no processes | `full_disk`, `limits` |
//! | a database that must not be used, or is taken away | `bad_database`, `hostile_schema`, `planted`, `flipped_bits`, `replaced` |
//! | an index of the log that is old, or half made | `index` |
//!
//! A test with `catches` in its name puts in the bug that the others beside it are there for (`RETRIER_BUG`), and shows
//! that the same checker finds it. What is healed is looked at by `doctor --deep` too. `tests/proof` has all of them do
//! more of what they do, and makes a table of it.

mod bad_database;
mod cancel_kill;
mod cancel_races;
mod client_errors;
mod client_kill;
mod client_points;
mod clocks;
mod crowd;
mod daemon_kill;
mod daemons;
mod doorbell;
mod escape;
mod flipped_bits;
mod full_disk;
mod hostile_schema;
mod identity;
mod index;
mod kill_loop;
pub mod life;
mod limits;
mod load;
mod other_writers;
mod pinned;
mod planted;
mod power;
mod remains;
mod replaced;
mod second_kill;
