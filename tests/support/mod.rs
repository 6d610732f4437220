//! The harness: `retrier` from outside, as its users have it.
//!
//! Start reading at [`Home`]. A test reads like this:
//!
//! ```ignore
//! let home = Home::new();
//! let mut daemon = home.daemon();
//! let id = home.run(["--max-failures", "0", "--", "false"]);
//! assert_eq!(home.wait(id), 1);
//! assert_eq!(daemon.stop(), 0);
//! home.assert_no_process_left();
//! ```
//!
//! Nothing here may outlive a test: every child has a guard, every wait a limit, and no process is ever ended by name.

mod backlog;
mod call;
mod clock;
mod daemon;
mod desk;
mod disk;
mod gauge;
mod generated;
mod guard;
mod home;
mod http;
mod journal;
pub mod needs;
mod processes;
pub mod proof;
mod readme;
mod seed;
mod steps;
mod store;
mod tmux;
mod wait;

pub use backlog::Backlog;
pub use call::{Call, Output, Running};
pub use clock::FakeClock;
pub use daemon::Daemon;
pub use desk::Desk;
pub use disk::Disk;
pub use gauge::{assert_gauges, gauge_faults, recount};
pub use generated::assert_generated;
pub use home::Home;
pub use http::HttpServer;
pub use journal::{Entry, Journal, Mark};
pub use needs::{Need, skip};
pub use processes::Process;
pub use readme::{readme, readme_block};
pub use seed::seeded;
pub use steps::Steps;
pub use store::store_many;
pub use tmux::Tmux;
pub use wait::{Limit, holds_within, wait_until, wall_ns};
