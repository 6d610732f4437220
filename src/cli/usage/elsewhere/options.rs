//! The options of other tools.

/// Options that others have, behind the verb to which they were given, and what to type.
pub const OPTIONS: &[(&str, &[&str], &str)] = &[
    (
        "run",
        &["-d"],
        "--delay D starts it later; it is in the background anyway, without --wait",
    ),
    (
        "run",
        &["--max-time", "-m", "--time-limit"],
        "--timeout D limits each attempt, --deadline D the whole run",
    ),
    (
        "run",
        &["--retry-max-time"],
        "--deadline D limits the whole run",
    ),
    (
        "run",
        &["--restart"],
        "--max-failures N retries N times, --forever without end",
    ),
    (
        "run",
        &["--dry-run"],
        "`retrier explain` with the same options shows what they come to",
    ),
    (
        "run",
        &["--immediate", "--stashed"],
        "it starts when its pool has a slot; --delay D or --at TIME start it later",
    ),
    ("list", &["--label", "-l"], "--name TEXT"),
    ("wait", &["--group", "-g"], "--all --pool POOL"),
    ("cancel", &["--group", "-g"], "--all --pool POOL"),
    ("cancel", &["-a"], "--all"),
    ("retry", &["--group", "-g"], "--all-failed --pool POOL"),
    ("stats", &["--group", "-g"], "--pool POOL"),
    (
        "cleanup",
        &["--successful-only", "-s"],
        "--older-than 0 --state succeeded",
    ),
    (
        "logs",
        &["--all", "-a"],
        "--attempt N prints what attempt N wrote",
    ),
    (
        "daemon status",
        &["--json"],
        "`retrier doctor --json` has daemon_pid",
    ),
    (
        "run",
        &["--detach", "--background", "--bg", "-b", "--async"],
        "leave it out: without --wait `retrier run` returns at once",
    ),
    (
        "run",
        &[
            "--max-retries",
            "--retry",
            "--max-tries",
            "--tries",
            "--times",
            "-r",
        ],
        "--max-failures N retries N times, --max-attempts N makes N attempts in all",
    ),
    (
        "run",
        &["--interval", "--sleep", "--retry-delay", "--wait-time"],
        "--constant D waits D before each retry",
    ),
    (
        "run",
        &["--exponential", "--backoff"],
        "waits are exponential already: --initial-backoff D, --base B, --max-backoff D",
    ),
    (
        "run",
        &["--chdir", "--dir", "--working-directory", "--workdir", "-C"],
        "--cwd DIR; without it a run is in the folder of its caller",
    ),
    ("run", &["--group", "-g", "--queue"], "--pool POOL"),
    ("run", &["--label", "--unit", "-l"], "--name TEXT"),
    (
        "run",
        &[
            "--callback",
            "--on-exit",
            "--notify",
            "--hook",
            "--on-failure",
            "--on-success",
        ],
        "--on-complete 'LINE' runs a line when the run has ended, with $RETRIER_RESULT",
    ),
    (
        "run",
        &["--after", "--depends", "--needs"],
        "no run waits for another to succeed: --lock TEXT runs one after the other, `&&` behind \
         --wait in order",
    ),
    (
        "run",
        &["--every", "--cron", "--schedule", "--on-calendar"],
        "retrier does not repeat by the clock: a crontab line or a systemd timer calls it",
    ),
    (
        "run",
        &["--follow", "-f"],
        "--wait --stream passes the output of all attempts on while they run",
    ),
    (
        "run",
        &["-c", "-s"],
        "--shell 'LINE' has /bin/sh run a line",
    ),
    ("run", &["-k"], "--key TEXT"),
    ("run", &["-t"], "--timeout D limits each attempt"),
    ("run", &["-n"], "--max-attempts N, or --name TEXT"),
    ("run", &["-p"], "--pool POOL, or --priority N"),
    ("run", &["-e"], "--env KEY=VALUE"),
    (
        "run",
        &["-i"],
        "--stdin - keeps the caller's standard input for the command",
    ),
    (
        "list",
        &["--failed", "--running", "--queued", "--succeeded"],
        "--state STATE shows those in one state, --state failed,canceled in two",
    ),
    (
        "list",
        &["--all", "-a"],
        "all states are shown; --limit 0 shows all runs",
    ),
    ("list", &["--last"], "--limit N shows the newest N"),
    (
        "list",
        &["--follow", "-f", "-w"],
        "--watch redraws the list",
    ),
    ("list", &["--group", "-g"], "--pool POOL"),
    (
        "list",
        &["-q", "--quiet"],
        "in a pipe the first field is the id: `retrier list | cut -f1`",
    ),
    (
        "status",
        &["--follow", "-f", "-w"],
        "--watch redraws the page",
    ),
    ("status", &["--all", "-a"], "`retrier list` shows all runs"),
    (
        "logs",
        &["--lines", "-l"],
        "--tail N prints the last N lines",
    ),
    (
        "cancel",
        &["-9", "--signal", "-s", "--kill", "--force", "-f"],
        "an attempt gets SIGTERM, and SIGKILL after the --grace of its run",
    ),
    (
        "retry",
        &["--all", "-a"],
        "--all-failed takes all runs that have failed",
    ),
    (
        "cleanup",
        &["--all"],
        "--older-than 0 takes all that has ended",
    ),
    ("wait", &["--any", "-n"], "it waits for all that are named"),
    (
        "daemon",
        &["-d", "--daemonize", "--background", "--fork"],
        "--detach",
    ),
    (
        "daemon",
        &["--once"],
        "--tick does what is due now, and exits; --until-idle ends without work",
    ),
];
