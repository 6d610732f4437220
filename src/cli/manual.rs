//! What the help and the manual pages tell beside the options: exit codes, environment, files. Each stands
//! here once.

/// The name of something, and what it is.
pub type Entry = (&'static str, &'static str);

/// The options that come with every verb.
pub const OPTIONS: &[Entry] = &[
    ("--db FILE", "the database"),
    ("-h", "the options of the verb"),
    ("--help", "all that there is to say of it"),
    ("--version", "which retrier this is; without a verb"),
];

/// The exit codes of all verbs.
pub const EXIT_CODES: &[Entry] = &[
    ("0", "done"),
    ("1", "retrier could not do it"),
    ("2", "wrong usage, or no such pool"),
    ("3", "no such run"),
    (
        "4",
        "the run's state forbids it; or a daemon holds the database already",
    ),
    ("5", "of `run`: the run may or may not have been stored"),
    (
        "124",
        "of `wait` and `run --wait`, as all below: timed out, or past the deadline",
    ),
    ("125", "retrier itself failed, or there is no such run"),
    ("126", "of `run`: the command is not executable"),
    ("127", "of `run`: there is no such command"),
    ("130", "canceled"),
    ("128+N", "signal N ended the last attempt"),
    (
        "0-255",
        "of `wait ID` and `run --wait` else: the last attempt's own",
    ),
];

/// What `retrier` reads in its environment.
pub const ENVIRONMENT: &[Entry] = &[
    ("RETRIER_DB", "the database, where --db is not given"),
    (
        "RETRIER_DEFAULT_*",
        "defaults of retry options, such as RETRIER_DEFAULT_MAX_FAILURES=8",
    ),
    (
        "RETRIER_LOG_LEVEL",
        "what a daemon logs: ERROR, WARN, INFO or DEBUG",
    ),
    ("NO_COLOR", "not empty: no colours"),
    ("XDG_STATE_HOME", "the folder in place of ~/.local/state"),
];

/// What a command finds in its environment.
pub const COMMAND_SEES: &[Entry] = &[
    ("RETRIER_RUN_ID", "the id of its run"),
    ("RETRIER_ATTEMPT", "the number of the attempt, from 1"),
    (
        "RETRIER_MAX_ATTEMPTS",
        "how many there can be; empty with --forever",
    ),
    (
        "RETRIER_LAST_ATTEMPT",
        "1 if a failure now is the last, else 0",
    ),
    (
        "RETRIER_IDEMPOTENCY_KEY",
        "the same over all attempts of the run, another in every other run",
    ),
    (
        "RETRIER_PREVIOUS_OUTCOME",
        "how the attempt before ended, such as exit 22; empty at first",
    ),
    ("RETRIER_DB", "the database"),
    (
        "RETRIER_DECISION",
        "the file into which it may write, as JSON, what is to follow",
    ),
    (
        "RETRIER_PARENT_ID, RETRIER_RESULT",
        "for a hook: the run that ended, and success, failed or canceled",
    ),
];

/// Where everything is.
pub const FILES: &[Entry] = &[
    (
        "~/.local/state/retrier/retrier.db",
        "the database, called FILE below; --db, RETRIER_DB and XDG_STATE_HOME name another",
    ),
    (
        "FILE-wal, FILE-shm",
        "what belongs to it; the three are moved together",
    ),
    ("FILE.d/logs/", "what attempts wrote"),
    ("FILE.d/daemon.log", "the log of a daemon in the background"),
];
