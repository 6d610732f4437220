//! Words of other tools: who has typed `kill`, `ps` or `--detach` for years means something, and is told how
//! that is said here.

/// Verbs that others have, behind the verb of retrier to which they were given, and what to type.
const VERBS: &[(&[&str], &[&str], &str)] = &[
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
        "`retrier cleanup --older-than 7d` forgets what ended before",
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
        &[
            "add", "exec", "submit", "enqueue", "push", "batch", "start", "schedule", "do",
        ],
        "`retrier run -- COMMAND` stores a command and has it run",
    ),
    (
        &[],
        &["restart", "rerun", "requeue", "again"],
        "`retrier retry ID` has a failed run begin anew; for the daemon it is `retrier daemon restart`",
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
        "its log is FILE.d/daemon.log beside the database; `retrier daemon status` names it",
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

/// Options that others have, behind the verb to which they were given, and what to type.
const OPTIONS: &[(&str, &[&str], &str)] = &[
    (
        "run",
        &["--detach", "-d", "--background", "--bg", "-b", "--async"],
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
        &["--chdir", "--dir", "--working-directory", "-C"],
        "it runs in the folder of the caller: `cd` there first",
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
        &["--all"],
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

/// How `retrier` says what others call `word`; `path` are the verbs before it.
pub fn verb(path: &[&str], word: &str) -> Option<&'static str> {
    let mut known = VERBS.iter();
    let found = known.find(|(of, words, _)| *of == path && words.contains(&word));
    found.map(|(_, _, hint)| *hint)
}

/// How `retrier` says what others call the option `word` of the verb `of`.
pub fn option(of: &str, word: &str) -> Option<&'static str> {
    let word = word.split('=').next().unwrap_or_default();
    let mut known = OPTIONS.iter();
    let found = known.find(|(verb, words, _)| *verb == of && words.contains(&word));
    found.map(|(_, _, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args;

    #[test]
    fn no_word_of_others_is_one_of_ours_and_each_is_there_once() {
        let mut program = args::command();
        program.build();
        let mut seen = Vec::new();
        for (path, words, _) in VERBS {
            let under = path.iter().fold(&program, |verb, name| {
                verb.find_subcommand(name).expect("it is a verb")
            });
            for word in *words {
                assert!(under.find_subcommand(word).is_none(), "{word}");
                assert!(!seen.contains(&(path.join(" "), *word)), "{word}");
                seen.push((path.join(" "), *word));
            }
        }
        for (name, words, _) in OPTIONS {
            let verb = program.find_subcommand(name).expect("it is a verb");
            for word in *words {
                let is_ours = verb.get_arguments().any(|option| {
                    let long = option.get_long().map(|long| format!("--{long}"));
                    let short = option.get_short().map(|short| format!("-{short}"));
                    let aliases = option.get_all_aliases().unwrap_or_default();
                    long.as_deref() == Some(*word)
                        || short.as_deref() == Some(*word)
                        || aliases.iter().any(|alias| format!("--{alias}") == **word)
                });
                assert!(!is_ours, "{name} {word}");
                assert!(!seen.contains(&((*name).to_owned(), *word)), "{word}");
                seen.push(((*name).to_owned(), *word));
            }
        }
    }

    #[test]
    fn what_is_hinted_at_can_be_typed() {
        let mut program = args::command();
        program.build();
        let hints = VERBS.iter().map(|(_, _, hint)| *hint);
        for hint in hints.chain(OPTIONS.iter().map(|(_, _, hint)| *hint)) {
            for call in hint.split('`').skip(1).step_by(2) {
                let words = call.split_whitespace().skip(1);
                let mut verb = &program;
                for word in words.take_while(|word| *word != "|" && *word != "--") {
                    if let Some(option) = word.strip_prefix("--") {
                        let mut options = verb.get_arguments();
                        let is_there = option == "version"
                            || options.any(|one| one.get_long() == Some(option));
                        assert!(is_there, "{call}");
                    } else if let Some(sub) = verb.find_subcommand(word) {
                        verb = sub;
                    } else {
                        // A value, such as ID; the first word is always a verb.
                        assert_ne!(verb.get_name(), "retrier", "{call}");
                    }
                }
            }
        }
    }
}
