//! The faults: which tests prove each, how often, and which deliberate bugs they have to catch.

/// One line of the table.
pub struct Row {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What goes wrong.
    pub fault: &'static str,
    /// Tests whose names hold one of these words belong to it.
    pub tests: &'static [&'static str],
    /// So often it has to be tried at the least. Where tests do not tell how often, each of them counts once.
    pub least: usize,
    /// What shows that the tests see what they look for.
    pub bugs: Bugs,
    /// How long it takes, more or less: the longest begin first.
    pub seconds: u32,
    /// It needs the machine for itself.
    pub alone: bool,
}

/// What shows that the tests of a row see what they look for.
pub enum Bugs {
    /// They catch each of these (`RETRIER_BUG`).
    Caught(&'static [&'static str]),
    /// There is none of that kind, and this is why.
    None(&'static str),
}

use Bugs::{Caught, None};

/// Several rows' tests have bugs in themselves and not in the program.
const OWN: &str = "tests of theirs with `catches` in the name falsify what they look at";

const fn row(
    (name, seconds): (&'static str, u32),
    fault: &'static str,
    tests: &'static [&'static str],
    least: usize,
    bugs: Bugs,
) -> Row {
    Row {
        name,
        fault,
        tests,
        least,
        bugs,
        seconds,
        alone: false,
    }
}

/// All rows, in the order of the table.
pub const ROWS: &[Row] = &[
    row(
        ("T1", 120),
        "`run` killed at every system call",
        &["faults::client_kill", "faults::client_points::a_submit"],
        600,
        Caught(&["ack_before_commit"]),
    ),
    row(
        ("T2", 120),
        "every file operation of `run` fails with each error",
        &["faults::client_errors"],
        150,
        Caught(&["hides_failed_syncs"]),
    ),
    row(
        ("T3", 200),
        "daemons and shims killed, stopped and failing at every failpoint",
        &["faults::daemon_kill", "faults::cancel_kill"],
        500,
        Caught(&["forgets_living_shims", "no_starting_record"]),
    ),
    row(
        ("T4", 120),
        "a second kill while the first is recovered from",
        &["faults::second_kill"],
        200,
        Caught(&["drops_evidence_early"]),
    ),
    row(
        ("T5", 260),
        "three times three minutes of killed daemons and shims under eight clients that do everything",
        &[
            "faults::kill_loop::a_minute",
            "faults::kill_loop::a_kill_loop_catches",
            "faults::load::bites",
        ],
        300,
        Caught(&[
            "forgets_living_shims",
            "ignores_slots",
            "forgets_locks",
            "forgets_keys",
            "doubles_hooks",
        ]),
    ),
    row(
        ("T6", 60),
        "shims, commands and both killed, with what they leave",
        &["faults::remains", "faults::escape"],
        90,
        Caught(&["ignores_leftovers"]),
    ),
    row(
        ("T7", 60),
        "a pid that is another process by now",
        &["faults::identity::a_process", "faults::identity::reused"],
        20,
        Caught(&["trusts_bare_pids", "trusts_bare_sessions"]),
    ),
    row(
        ("T8", 60),
        "another boot, another pid namespace",
        &["faults::identity::after", "faults::identity::an"],
        20,
        Caught(&["ignores_boot_id", "ignores_pid_namespaces"]),
    ),
    row(
        ("T9", 200),
        "eight daemons at once, one that stands still, one that leaves",
        &["faults::daemons"],
        50,
        Caught(&["no_daemon_lock", "leaves_outside_transaction"]),
    ),
    row(
        ("T10", 150),
        "the power cut under eight clients",
        &["faults::power"],
        50,
        Caught(&["no_sync"]),
    ),
    row(
        ("T11", 150),
        "64 processes store 20 runs each at once",
        &["faults::crowd"],
        5,
        Caught(&["begins_deferred", "no_daemon_lock"]),
    ),
    row(
        ("T12", 100),
        "a reader that stays, verbs whose output nobody reads",
        &["faults::pinned"],
        3,
        Caught(&["keeps_reading"]),
    ),
    row(
        ("T13", 200),
        "a full disk at any moment",
        &["faults::full_disk", "faults::kill_loop::a_disk"],
        40,
        Caught(&[
            "index_not_reserved",
            "drops_evidence_early",
            "charges_shortage",
        ]),
    ),
    row(
        ("T14", 60),
        "a flood of output",
        &["bounded::"],
        5,
        None("the limit is looked at from outside, by the size of files"),
    ),
    row(
        ("T15", 150),
        "a database that is none, damaged, newer, or has flipped bits",
        &["faults::bad_database", "faults::flipped_bits"],
        200,
        Caught(&["takes_any_database"]),
    ),
    row(
        ("T16", 60),
        "what others can change, own, have planted or linked; a schema that acts",
        &[
            "faults::bad_database",
            "faults::hostile_schema",
            "faults::planted",
            "secrets::",
        ],
        5,
        None("shown by T15's: whoever takes any database is seen by the same look at the folder"),
    ),
    row(
        ("T17", 60),
        "callers with odd signals and descriptors",
        &["clean_child::"],
        36,
        Caught(&["inherits_signals"]),
    ),
    row(
        ("T18", 60),
        "every exit code and signal, every way not to be executed",
        &["outcomes::", "submit::the_longest", "submit::arguments"],
        300,
        Caught(&["masks_exit_codes"]),
    ),
    row(
        ("T19", 120),
        "timeouts of what ignores, stops, or leaves its group",
        &["outcomes::timeouts"],
        60,
        Caught(&["ends_leaders_alone"]),
    ),
    row(
        ("T20", 240),
        "cancels in the instant of a start, an end, a retry",
        &["faults::cancel_races"],
        2000,
        Caught(&["cancel_can_flip"]),
    ),
    row(
        ("T21", 120),
        "kills around hooks, hooks that fail, hostile data for hooks and deciders",
        &["hooks::", "deciders::", "injection::"],
        240,
        Caught(&["doubles_hooks"]),
    ),
    row(
        ("T22", 90),
        "clocks that are set while all waits and runs",
        &["faults::clocks"],
        20,
        Caught(&["ignores_a_set_clock", "forgets_delays"]),
    ),
    row(
        ("T23", 60),
        "any numbers for the backoff",
        &["backoff::", "machine::", "precedence::properties"],
        3,
        None(
            "properties of pure functions; `tests/golden/machine.txt` holds every state and event",
        ),
    ),
    row(
        ("T24", 120),
        "no descriptors, no processes, no memory",
        &["faults::limits"],
        20,
        Caught(&["charges_shortage", "shortage_is_death"]),
    ),
    row(
        ("T25", 90),
        "all that has ended forgotten again and again while daemons die",
        &[
            "faults::kill_loop::what_has_ended",
            "faults::kill_loop::a_kill_loop_catches_hooks",
        ],
        50,
        Caught(&["forgets_unfinished"]),
    ),
    row(
        ("T26", 90),
        "databases of earlier layouts, two versions at once, kills on the way",
        &["migration::"],
        3,
        None(OWN),
    ),
    row(
        ("T27", 300),
        "any sequence of calls and kills, against a model",
        &["reference::"],
        200,
        None(OWN),
    ),
    row(
        ("T28", 60),
        "events reordered, doubled and lost, in a simulation",
        &["simulator::"],
        1_000_000,
        None(OWN),
    ),
    row(
        ("T29", 60),
        "callers who do to the doorbell what no client does",
        &["faults::doorbell", "trouble::"],
        12,
        Caught(&["deaf_to_hangups"]),
    ),
    row(
        ("T30", 60),
        "stored text and errors that would give a terminal orders",
        &["looking::hostile", "looking::terminal"],
        2,
        None("every byte that is printed is looked at"),
    ),
    row(
        ("T31", 30),
        "pipes without a reader, closed and full outputs",
        &["looking::pipes"],
        1,
        None("exit codes are compared with those that the help names"),
    ),
    row(
        ("T32", 150),
        "everything at once: kills, crowds, a full disk, clocks",
        &["faults::kill_loop::everything"],
        50,
        None("a mixture; `--soak` goes on with it, the bugs are those of its parts"),
    ),
];
