//! The operating system: the only room that names nix, rustix, libc and signal-hook.
//!
//! Nothing here knows runs or attempts. What is Linux's own (pidfd, /proc, timerfd, epoll, open
//! file description locks) stays here, so that another Unix can come.

pub mod channel;
pub mod command;
pub mod failpoint;
pub mod files;
pub mod filesystem;
pub mod identity;
pub mod leftover;
pub mod limits;
pub mod lock;
pub mod manager;
pub mod poll;
pub mod process;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod terminal;
pub mod timer;
