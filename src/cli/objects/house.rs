//! What is told of pools, of how all do, and of what is wrong.

use super::Object;

pub(super) const POOL: Object = Object {
    name: "pool",
    place: "pool list --json",
    fields: &[
        ("version", "number", "1"),
        ("name", "text", "the pool"),
        ("parallel", "number", "--parallel"),
        ("paused", "boolean", "whether somebody has paused it"),
        ("rate", "object", "--rate: starts and per_ms"),
        ("burst", "number", "--burst"),
        ("breaker", "number", "--breaker"),
        ("max_pending", "number", "--max-pending"),
        ("state", "text", "running, paused, full, limited or open"),
        ("until", "time", "when that is over, if it is known"),
        ("running", "number", "attempts that run"),
        ("closing", "number", "canceled ones that are being ended"),
        ("queued", "number", "runs that are due"),
        ("scheduled", "number", "runs that are due later"),
        (
            "failed_in_a_row",
            "number",
            "attempts, since the last success",
        ),
        (
            "policy",
            "object",
            "the retry options that were set, in the names of a policy",
        ),
    ],
};

pub(super) const STATS: Object = Object {
    name: "stats",
    place: "stats --json, the log of daemon --stats-interval",
    fields: &[
        ("version", "number", "1"),
        ("at", "time", "of which moment"),
        ("window_ms", "number", "how far recent goes back"),
        ("pool", "text", "the pool; null is all but the hooks"),
        ("state", "text", "with --pool: as of a pool"),
        ("until", "time", "with --pool: as of a pool"),
        ("pending", "number", "unfinished runs"),
        ("queued", "number", "of them: due"),
        ("scheduled", "number", "of them: due later"),
        ("running", "number", "of them: running"),
        ("oldest_pending_ms", "number", "the age of the oldest"),
        (
            "recent_executions",
            "number",
            "attempts that ended in the window",
        ),
        ("recent_error_rate", "number", "which part of them failed"),
        ("recent_finished", "number", "runs that ended in the window"),
        (
            "recent_permanent_failure_rate",
            "number",
            "which part of them failed",
        ),
        (
            "recent_run_average_ms",
            "number",
            "from being stored to the end",
        ),
        (
            "recent_slot_wait_p50_ms",
            "number",
            "from being due to the start, median",
        ),
        ("recent_slot_wait_p95_ms", "number", "95th percentile"),
        (
            "recent_attempt_p50_ms",
            "number",
            "from the start of an attempt to its end, median",
        ),
        ("recent_attempt_p95_ms", "number", "95th percentile"),
    ],
};

pub(super) const EXAMINATION: Object = Object {
    name: "examination",
    place: "doctor --json",
    fields: &[
        ("version", "number", "1"),
        ("database", "text", "the file"),
        ("deep", "boolean", "whether all that is stored was read"),
        (
            "unfinished",
            "number",
            "runs that have not ended; null when it cannot be read",
        ),
        ("daemon_pid", "number", "of the daemon that serves"),
        ("findings", "list of finding", "what is wrong"),
    ],
};

pub(super) const FINDING: Object = Object {
    name: "finding",
    place: "`findings` of an examination",
    fields: &[
        ("level", "text", "error or warning"),
        ("check", "text", "what was looked at, in one word"),
        ("what", "text", "what is wrong, with what"),
        ("hint", "text", "what to do about it"),
    ],
};

pub(super) const BACKUP: Object = Object {
    name: "backup",
    place: "backup --json",
    fields: &[
        ("version", "number", "1"),
        ("file", "text", "the copy"),
        ("began_at", "time", "it holds all that was stored before"),
        ("runs", "number", "how many runs it has"),
        ("bytes", "number", "its length"),
        ("layout", "number", "its layout"),
    ],
};
