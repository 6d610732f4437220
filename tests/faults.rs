//! It holds: crashes, races, crowds, a full disk.
//!
//! The oracle is never the database: a command trips over a lock when two attempts of a run are alive at once, and
//! writes its start and its end elsewhere; every client call is written down with what it said.

mod bad_database;
mod cancel_kill;
mod cancel_races;
mod client_kill;
mod client_points;
mod clocks;
mod crowd;
mod daemon_kill;
mod daemons;
mod full_disk;
mod identity;
mod kill_loop;
mod life;
mod limits;
mod load;
mod power;
mod remains;
mod replaced;
mod second_kill;
