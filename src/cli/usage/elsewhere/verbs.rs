//! The verbs of other tools.

/// Verbs that others have, behind the verb of retrier to which they were given, and what to type.
pub const VERBS: &[(&[&str], &[&str], &str)] = &[
    (
        &[],
        &["kill", "stop", "abort", "atrm", "del", "delete", "dequeue"],
        "`retrier cancel ID` ends a run for good",
    ),
    (
        &[],
        &["rm", "remove"],
        "`retrier cancel ID` ends a run, `retrier cleanup ID` forgets one that has ended",
    ),
    (
        &[],
        &["clean", "purge", "prune", "gc", "clear", "expire"],
        "`retrier cleanup --older-than 7d` forgets what ended before, with 0 all that has ended",
    ),
    (
        &[],
        &["ps", "ls", "queue", "jobs", "atq", "top", "search"],
        "`retrier list` shows the runs",
    ),
    (
        &[],
        &["follow", "tail", "attach"],
        "`retrier logs -f ID` follows what a run writes",
    ),
    (
        &[],
        &["log", "output", "cat", "less"],
        "`retrier logs ID` prints what a run wrote",
    ),
    (
        &[],
        &["show", "info", "inspect", "describe"],
        "`retrier status ID` shows a run",
    ),
    (
        &[],
        &["history", "journal"],
        "`retrier events ID` tells what happened to a run",
    ),
    (
        &[],
        &["why"],
        "`retrier explain ID` says why a run is where it is",
    ),
    (
        &[],
        &["add", "exec", "submit", "push", "batch", "schedule", "do"],
        "`retrier run -- COMMAND` stores a command and has it run",
    ),
    (
        &[],
        &["restart", "rerun", "requeue", "again"],
        "`retrier retry ID` or --all-failed has failed runs begin anew; `retrier daemon restart` the daemon",
    ),
    (
        &[],
        &["start", "enqueue"],
        "`retrier run -- COMMAND` stores a command; `retrier pool resume NAME` lets go what waits in a pool",
    ),
    (
        &[],
        &["send", "input"],
        "a run reads what `retrier run --stdin -` or --stdin FILE gave it, and nothing later",
    ),
    (
        &[],
        &["reset"],
        "`retrier cancel --all` ends what has not ended, `retrier cleanup --older-than 0` forgets the rest",
    ),
    (
        &[],
        &["watch"],
        "`retrier list --watch` and `retrier status --watch ID` redraw; `retrier wait ID` waits",
    ),
    (
        &[],
        &["pause", "hold", "stash"],
        "`retrier pool pause NAME` holds back what waits in a pool, --all in all of them",
    ),
    (
        &[],
        &["resume", "unpause", "continue"],
        "`retrier pool resume NAME` lets go what waits in a pool, --all in all of them",
    ),
    (
        &[],
        &["group", "groups", "pools", "parallel"],
        "`retrier pool list` shows the pools, `retrier pool set NAME --parallel N` changes one",
    ),
    (
        &[],
        &["edit", "switch", "move", "update", "set"],
        "a stored run is not changed: `retrier cancel ID`, and `retrier run` it as it should be",
    ),
    (
        &[],
        &["check", "health", "verify", "fsck"],
        "`retrier doctor` looks whether anything is wrong",
    ),
    (
        &[],
        &["export", "dump"],
        "`retrier list --json --limit 0` prints what is stored, `retrier backup FILE` copies all",
    ),
    (
        &[],
        &["restore", "import"],
        "`retrier help backup` tells how a copy is restored",
    ),
    (
        &[],
        &["serve", "server", "shutdown", "service"],
        "`retrier help daemon` shows what there is for the daemon",
    ),
    (
        &[],
        &["install", "enable", "uninstall", "disable"],
        "`retrier daemon install` has systemd keep a daemon, `retrier daemon uninstall` no more",
    ),
    (
        &[],
        &["init", "setup", "config", "configure"],
        "there is nothing to set up: `retrier run -- COMMAND` makes what it needs",
    ),
    (
        &[],
        &["completion"],
        "`retrier completions SHELL` prints the completion script of a shell",
    ),
    (&[], &["version"], "`retrier --version` tells it"),
    (
        &["daemon"],
        &["start", "up", "run", "serve"],
        "`retrier daemon --detach` starts one in the background, `retrier daemon` one here",
    ),
    (
        &["daemon"],
        &["kill", "shutdown", "down"],
        "`retrier daemon stop` stops it and lets runs live on; with --kill it ends them first",
    ),
    (
        &["daemon"],
        &["enable"],
        "`retrier daemon install` has systemd keep one",
    ),
    (
        &["daemon"],
        &["disable"],
        "`retrier daemon uninstall` has systemd keep none",
    ),
    (
        &["daemon"],
        &["log", "logs"],
        "its log is FILE.d/daemon.log beside the database FILE",
    ),
    (
        &["pool"],
        &["add", "create", "new", "edit", "change", "update"],
        "`retrier pool set NAME --parallel N` makes or changes a pool",
    ),
    (
        &["pool"],
        &["ls", "show", "status"],
        "`retrier pool list` shows the pools",
    ),
    (
        &["pool"],
        &["rm", "remove", "del"],
        "`retrier pool delete NAME` forgets a pool without unfinished runs",
    ),
    (
        &["pool"],
        &["stop", "hold"],
        "`retrier pool pause NAME` holds back what waits in it",
    ),
    (
        &["pool"],
        &["start", "unpause", "continue"],
        "`retrier pool resume NAME` lets go what waits in it",
    ),
];
