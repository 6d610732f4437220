//! The JSON objects that leave the program, field by field: the manual page retrier-json(7) is made of
//! this, and `tests/objects.rs` holds that it is all there is.

mod house;

/// An object, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name in the manual.
    pub name: &'static str,
    /// Where it is found.
    pub place: &'static str,
    /// Its fields: name, kind, meaning.
    pub fields: &'static [(&'static str, &'static str, &'static str)],
}

/// What holds of all of them.
pub const COMMON: &str = "Every object that is printed carries `version`, which is 1. Fields may be added to \
     a version, never removed or changed, so a reader passes over those that it does not know. A field without \
     a value is null. Times are RFC 3339 in UTC with milliseconds, durations whole milliseconds with a name \
     that ends in _ms. Words, folders and outputs are strings, or {\"base64\": …} when their bytes are not \
     UTF-8. One object is one line.";

const RUN: Object = Object {
    name: "run",
    place: "status --json, list --json, wait --json, run --wait --json; `run` of what a decider reads",
    fields: &[
        ("version", "number", "1"),
        ("id", "number", "the run"),
        (
            "state",
            "text",
            "scheduled, queued, running, succeeded, failed or canceled",
        ),
        ("command", "list", "the program and its arguments"),
        ("cwd", "text", "the folder it runs in"),
        ("name", "text", "--name"),
        ("created_at", "time", "when it was stored"),
        (
            "due_at",
            "time",
            "when its next attempt is due, if it waits for one",
        ),
        ("finished_at", "time", "when it ended"),
        (
            "failures",
            "number",
            "attempts that were charged, since the last retry by hand",
        ),
        ("policy", "policy", "what it was told about retrying"),
        ("attempts", "list of attempt", "its attempts, oldest first"),
        ("deadline_at", "time", "no attempt starts from then on"),
        (
            "snoozes",
            "number",
            "attempts that were not ready, since the last retry by hand",
        ),
        (
            "priority",
            "number",
            "one point is worth a minute of waiting",
        ),
        ("pool", "text", "its pool"),
        ("lock", "text", "its lock"),
        ("key", "text", "its key"),
        ("parent_id", "number", "of a hook: the run that it follows"),
        ("hook_id", "number", "the hook of its last ending"),
        ("result", "result", "what became of it"),
    ],
};

const ATTEMPT: Object = Object {
    name: "attempt",
    place: "`attempts` of a run",
    fields: &[
        ("number", "number", "from 1, without gaps"),
        ("started_at", "time", "when it was started"),
        ("ended_at", "time", "when it ended"),
        ("pid", "number", "of its command, once it is known"),
        ("outcome", "outcome", "how it ended"),
        (
            "retry_delay_ms",
            "number",
            "the wait that was planned after it",
        ),
    ],
};

const OUTCOME: Object = Object {
    name: "outcome",
    place: "`outcome` of an attempt or an event, `last_outcome` of a why",
    fields: &[
        (
            "type",
            "text",
            "exit, signal, timeout, deadline, canceled, spawn, lost or interrupted",
        ),
        ("code", "number", "of exit and spawn: the exit code"),
        ("signal", "number", "of signal: its number"),
        (
            "core",
            "boolean",
            "of signal: whether the kernel wrote a core file",
        ),
        ("error", "text", "of spawn: why it could not be executed"),
    ],
};

const RESULT: Object = Object {
    name: "result",
    place: "`result` of a run, stdin of a hook",
    fields: &[
        ("type", "text", "success, failed or canceled"),
        (
            "return_value",
            "text",
            "of success: the head of stdout, at most 64 KiB",
        ),
        (
            "error",
            "text",
            "of failed: what was said of the last failure",
        ),
        (
            "reason",
            "text",
            "of failed: exhausted, stopped or deadline",
        ),
    ],
};

const POLICY: Object = Object {
    name: "policy",
    place: "`policy` of a run, a plan, and, as far as it was set, of a pool",
    fields: &[
        ("max_failures", "number", "retries; null is for ever"),
        ("constant_ms", "number", "--constant"),
        ("linear_ms", "number", "--linear"),
        ("initial_backoff_ms", "number", "--initial-backoff"),
        ("base", "number", "--base"),
        ("max_backoff_ms", "number", "--max-backoff"),
        ("jitter", "number", "--jitter"),
        ("delays_ms", "list", "--delays; left out without it"),
        ("timeout_ms", "number", "--timeout"),
        ("max_output", "number", "--max-output; null is no limit"),
        ("grace_ms", "number", "--grace"),
        ("deadline_ms", "number", "--deadline"),
        ("success_codes", "list", "--success-codes"),
        ("retry_on", "list", "--retry-on"),
        ("stop_on", "list", "--stop-on"),
        ("retry_if", "list", "--retry-if"),
        ("stop_if", "list", "--stop-if"),
        ("retry_after", "boolean", "--retry-after"),
        ("decide", "text", "--decide"),
    ],
};

const STORED: Object = Object {
    name: "stored",
    place: "run --json",
    fields: &[
        ("version", "number", "1"),
        ("id", "number", "the run"),
        (
            "stored",
            "boolean",
            "false: it is an earlier run that has the key",
        ),
    ],
};

const EVENT: Object = Object {
    name: "event",
    place: "events --json",
    fields: &[
        ("version", "number", "1"),
        ("run_id", "number", "the run"),
        ("number", "number", "from 1, without gaps"),
        ("at", "time", "when it happened"),
        (
            "kind",
            "text",
            "what happened, as the manual page of events tells",
        ),
        ("attempt", "number", "the attempt that it is about"),
        ("outcome", "outcome", "how that ended"),
        ("due_at", "time", "when the run is due after it"),
        ("delay_ms", "number", "how long it waits until then"),
        ("by", "text", "who decided whether it goes on"),
        ("wait_by", "text", "who set the wait"),
        ("detail", "text", "what was not understood, or was changed"),
        ("hook_id", "number", "the hook that was stored"),
    ],
};

const WHY: Object = Object {
    name: "why",
    place: "explain --json ID",
    fields: &[
        ("version", "number", "1"),
        ("id", "number", "the run"),
        ("state", "text", "as of a run"),
        ("why", "text", "the line for people"),
        ("due_at", "time", "when its next attempt is due"),
        ("attempts", "number", "how many were started"),
        (
            "max_attempts",
            "number",
            "how many there can be; null is no limit",
        ),
        ("last_outcome", "outcome", "how the last one ended"),
        ("by", "text", "who decided whether it goes on"),
        ("wait_by", "text", "who set the wait"),
        (
            "blocked_by",
            "blocked",
            "what keeps a due run from being started",
        ),
    ],
};

const BLOCKED: Object = Object {
    name: "blocked",
    place: "`blocked_by` of a why",
    fields: &[
        ("type", "text", "lock or pool"),
        ("lock", "text", "of lock: which"),
        ("run_id", "number", "of lock: who has it"),
        ("runs", "boolean", "of lock: whether that one runs"),
        ("pool", "text", "of pool: which"),
        ("why", "text", "of pool: paused, open, full or limited"),
        (
            "until",
            "time",
            "of pool: when that is over, if it is known",
        ),
    ],
};

const PLAN: Object = Object {
    name: "plan",
    place: "explain --json with options",
    fields: &[
        ("version", "number", "1"),
        ("policy", "policy", "what the options come to"),
        ("max_attempts", "number", "null is no limit"),
        (
            "waits",
            "list of wait",
            "before each retry, as far as --limit goes",
        ),
        ("more", "boolean", "whether there are more"),
        (
            "gives_up_after_ms",
            "object",
            "nominal, min and max of all waits; null is never",
        ),
    ],
};

const WAIT: Object = Object {
    name: "wait",
    place: "`waits` of a plan",
    fields: &[
        ("retry", "number", "from 1"),
        ("nominal_ms", "number", "without jitter"),
        ("min_ms", "number", "with jitter, at least"),
        ("max_ms", "number", "with jitter, at most"),
        (
            "total_nominal_ms",
            "number",
            "the same of all waits up to this one",
        ),
        ("total_min_ms", "number", "at least"),
        ("total_max_ms", "number", "at most"),
    ],
};

const QUESTION: Object = Object {
    name: "question",
    place: "stdin of the program of --decide",
    fields: &[
        ("version", "number", "1"),
        ("run", "run", "with at most its last 100 attempts"),
        ("attempt", "number", "the number of the one that ended"),
        ("outcome", "outcome", "how it ended"),
        ("stdout", "text", "the path of what it wrote there"),
        ("stderr", "text", "the path of what it wrote there"),
    ],
};

/// All of them.
pub const ALL: &[Object] = &[
    RUN,
    ATTEMPT,
    OUTCOME,
    RESULT,
    POLICY,
    STORED,
    EVENT,
    WHY,
    BLOCKED,
    PLAN,
    WAIT,
    house::POOL,
    house::STATS,
    house::EXAMINATION,
    house::FINDING,
    house::BACKUP,
    QUESTION,
];
