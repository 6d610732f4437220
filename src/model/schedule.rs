//! Who starts now, and when to wake.

use std::time::Duration;

use super::time::Timestamp;

/// How many attempts may be started: the slots that no open attempt occupies.
pub fn free_slots(parallel: usize, open: usize) -> usize {
    parallel.saturating_sub(open)
}

/// When the daemon has something to do although nobody calls it; `None` is never.
///
/// `next_due` is the earliest due time of a waiting run, and counts only while a slot is free: an
/// ending frees one and makes a pass anyway. `others` are further times of its own.
pub fn wake_at(
    free_slots: usize,
    next_due: Option<Timestamp>,
    others: &[Option<Timestamp>],
) -> Option<Timestamp> {
    let due = if free_slots > 0 { next_due } else { None };
    others.iter().copied().chain([due]).flatten().min()
}

/// The pause before the daemon tries again after trouble of its own (no process, no descriptor,
/// no room on the disk): 1 s, doubled each time, at most 30 s.
pub fn trouble_pause(times_in_a_row: u32) -> Duration {
    Duration::from_secs(1u64 << times_in_a_row.min(5)).min(Duration::from_secs(30))
}
