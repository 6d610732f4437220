# fish completion for retrier: asks the program itself at each TAB.
# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_retrier_global_optspecs
    string join \n db= color= h/help V/version
end

function __retrier_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l said (command retrier __complete fish $words "$current" 2>/dev/null)
    switch "$said[1]"
        case values
            set -q said[2]; and printf '%s\n' $said[2..]
        case files folders
            set -l option (string match -r '^--[^=]*=' -- "$current")
            set -l path (string replace -r '^--[^=]*=' '' -- "$current")
            if test "$said[1]" = files
                printf '%s\n' "$option"(__fish_complete_path "$path")
            else
                printf '%s\n' "$option"(__fish_complete_directories "$path" '')
            end
        case 'command *'
            # fish counts from 1.
            set -l first (math (string split ' ' -- $said[1])[2] + 1)
            complete -C "$(string escape -- $words[$first..] | string join ' ') $current"
    end
end

function __fish_retrier_using_subcommand
    set -l cmd (__fish_retrier_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c retrier -n "__fish_retrier_needs_command" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_needs_command" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_needs_command" -s V -l version -d 'Print version'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "run" -d 'Store a command and have it run until it succeeds'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "wait" -d 'Wait until runs have ended'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "status" -d 'Show runs: state, why, attempts, last output'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "explain" -d 'Show what retry options come to, or why a run is where it is'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "list" -d 'List runs, the newest first'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "events" -d 'Show what happened to a run, and why'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "logs" -d 'Print what a run\'s command wrote'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "stats" -d 'Show how many runs wait and run, and how they fared lately'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "retry" -d 'Run failed or canceled runs once more'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "cancel" -d 'Cancel runs, and end what is running of them'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "cleanup" -d 'Forget finished runs, with their output'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "backup" -d 'Copy the database, while it is used'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "pool" -d 'Make pools, and say how many runs of each run at once and how fast they start'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "daemon" -d 'Serve the database: start what is due, settle what has ended'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "doctor" -d 'Look whether anything is wrong with the database, the daemon or the machine'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "man" -d 'Write the manual pages into a folder'
complete -c retrier -n "__fish_retrier_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c retrier -n "__fish_retrier_using_subcommand run" -l shell -d 'Have /bin/sh run LINE' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l batch -d 'Store a run for each line of FILE (- is standard input), all of them or none; print their ids in order' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand run" -l template -d 'With --batch: run this COMMAND for each line, which is put in the place of {}, or behind' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l cwd -d 'Run it in DIR instead of the current folder' -r -f -a "(__fish_complete_directories)"
complete -c retrier -n "__fish_retrier_using_subcommand run" -l env -d 'Set a variable of its environment; may be given again' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l env-only -d 'Give it these variables of the caller alone, with HOME, USER, SHELL and PATH, and what --env says; may be given again' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l stdin -d 'Keep FILE (- is standard input, at most 16 MiB) and give it to every attempt as its stdin, which is empty otherwise' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand run" -l name -d 'A name for people and for `list --name`' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l on-complete -d 'Have /bin/sh run LINE when the run has ended, with the result as JSON on its stdin' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l max-failures -l retries -d 'Retry it N times, so that it is attempted N+1 times at the most [default: 4]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l max-attempts -l attempts -d 'Attempt it N times in all at the most' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l forever -d 'Retry it until it succeeds' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l initial-backoff -d 'The exponential term before the first retry [default: 250ms; 0 with --constant or --linear]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l base -d 'The factor of the exponential term from one retry to the next [default: 2]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l constant -d 'Wait D more before every retry' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l linear -d 'Wait n times D more before retry n' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l delays -d 'Wait as long as this list says, such as 1s,5s,30s; its last one repeats' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l max-backoff -d 'Wait no longer than D [default: 24h; or the longest of --delays]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l jitter -d 'Multiply each wait by a random factor from 1-F to 1+F [default: 0.5; 0 with --delays]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l retry-after -d 'Wait as long as the Retry-After of an HTTP response says, that a failed attempt has printed with its headers (curl -i, wget -S)' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l success-codes -d 'The exit codes and signals that are a success, such as 0,24 or 0-3,SIGTERM [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l retry-on -d 'Retry these failures alone, such as 75,100-110,SIGKILL,spawn; one that timed out or was lost is retried as well' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l stop-on -d 'Never retry these failures, such as 2,64-78,SIGSEGV,timeout,spawn,lost' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l retry-if -d 'Retry those failures alone of which the last 64 KiB of stdout or stderr match; may be given again' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l stop-if -d 'Never retry a failure of which the last 64 KiB of stdout or stderr match; may be given again' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l decide -d 'Have /bin/sh run LINE after each failed attempt, to decide by a JSON on its stdout; the run is on its stdin' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l timeout -d 'End an attempt that runs longer than D; 0 is no limit [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l deadline -d 'End the run when it has not succeeded D after it was stored; 0 is no limit [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l grace -d 'The time between SIGTERM and SIGKILL when an attempt is ended [default: 10s]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l max-output -d 'Keep at most SIZE, such as 10M, of what an attempt writes to stdout, and as much of stderr: the first half and the last; 0 is no limit [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l delay -d 'Start it after D' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l at -d 'Start it at a time such as 2026-01-31T23:59:59+01:00' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l key -d 'Store it only if no run with this key is unfinished; else print that run\'s id' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l if-exists -d 'With --key: what to do when the key is taken' -r -f -a "skip\t'Say whose it is, and succeed'
fail\t'Fail with exit code 4'"
complete -c retrier -n "__fish_retrier_using_subcommand run" -l pool -d 'Start it in POOL, with the retry options that were set for that pool as its defaults' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l priority -d 'Start it as if it had been due N minutes earlier; N can be negative' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l lock -d 'Run it only while no other run with this lock runs, in whatever pool' -r
complete -c retrier -n "__fish_retrier_using_subcommand run" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand run" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand run" -l no-env -d 'Give it HOME, USER, SHELL and PATH alone, and what --env says'
complete -c retrier -n "__fish_retrier_using_subcommand run" -l no-check -d 'Store it although the command cannot be found now'
complete -c retrier -n "__fish_retrier_using_subcommand run" -l once -d 'With --key: store it only if no run with this key is stored, ended ones included'
complete -c retrier -n "__fish_retrier_using_subcommand run" -s w -l wait -d 'Wait until it has ended; print the last attempt\'s output, exit with its code. Ctrl-C cancels the run'
complete -c retrier -n "__fish_retrier_using_subcommand run" -l quiet-success -d 'With --wait, for cron: print nothing unless the run fails for good, then all about it on stderr'
complete -c retrier -n "__fish_retrier_using_subcommand run" -l stream -d 'With --wait: pass the output of all attempts on while they run'
complete -c retrier -n "__fish_retrier_using_subcommand run" -l no-daemon-start -d 'Do not start a daemon when there is none; RETRIER_NO_DAEMON_START=1 says so to every verb'
complete -c retrier -n "__fish_retrier_using_subcommand run" -s q -l quiet -d 'Print no notes and no progress'
complete -c retrier -n "__fish_retrier_using_subcommand run" -l json -d 'Print JSON: the id, or with --wait the run as `status --json` does, of a batch each as it ends'
complete -c retrier -n "__fish_retrier_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand wait" -l key -d 'In place of ids: the run that holds this key, else the newest that has it' -r
complete -c retrier -n "__fish_retrier_using_subcommand wait" -l pool -d 'With --all: those of POOL alone' -r
complete -c retrier -n "__fish_retrier_using_subcommand wait" -l timeout -d 'Give up waiting after D; the runs are left alone' -r
complete -c retrier -n "__fish_retrier_using_subcommand wait" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand wait" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand wait" -l all -d 'All runs that are unfinished now, but for hooks'
complete -c retrier -n "__fish_retrier_using_subcommand wait" -l stream -d 'Pass the output of all attempts on while they run'
complete -c retrier -n "__fish_retrier_using_subcommand wait" -s q -l quiet -d 'Print no notes and no progress'
complete -c retrier -n "__fish_retrier_using_subcommand wait" -l json -d 'Print each run as `status --json` does when it has ended, instead of its output'
complete -c retrier -n "__fish_retrier_using_subcommand wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand status" -l key -d 'In place of ids: the run that holds this key, else the newest that has it' -r
complete -c retrier -n "__fish_retrier_using_subcommand status" -l watch -d 'Stay and redraw every D (1s) until Ctrl-C; needs a terminal' -r
complete -c retrier -n "__fish_retrier_using_subcommand status" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand status" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand status" -l json -d 'Print one JSON object per run'
complete -c retrier -n "__fish_retrier_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l key -d 'In place of an id: of the run that holds this key, else the newest that has it' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l max-failures -l retries -d 'Retry it N times, so that it is attempted N+1 times at the most [default: 4]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l max-attempts -l attempts -d 'Attempt it N times in all at the most' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l forever -d 'Retry it until it succeeds' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l initial-backoff -d 'The exponential term before the first retry [default: 250ms; 0 with --constant or --linear]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l base -d 'The factor of the exponential term from one retry to the next [default: 2]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l constant -d 'Wait D more before every retry' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l linear -d 'Wait n times D more before retry n' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l delays -d 'Wait as long as this list says, such as 1s,5s,30s; its last one repeats' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l max-backoff -d 'Wait no longer than D [default: 24h; or the longest of --delays]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l jitter -d 'Multiply each wait by a random factor from 1-F to 1+F [default: 0.5; 0 with --delays]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l retry-after -d 'Wait as long as the Retry-After of an HTTP response says, that a failed attempt has printed with its headers (curl -i, wget -S)' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l success-codes -d 'The exit codes and signals that are a success, such as 0,24 or 0-3,SIGTERM [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l retry-on -d 'Retry these failures alone, such as 75,100-110,SIGKILL,spawn; one that timed out or was lost is retried as well' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l stop-on -d 'Never retry these failures, such as 2,64-78,SIGSEGV,timeout,spawn,lost' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l retry-if -d 'Retry those failures alone of which the last 64 KiB of stdout or stderr match; may be given again' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l stop-if -d 'Never retry a failure of which the last 64 KiB of stdout or stderr match; may be given again' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l decide -d 'Have /bin/sh run LINE after each failed attempt, to decide by a JSON on its stdout; the run is on its stdin' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l timeout -d 'End an attempt that runs longer than D; 0 is no limit [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l deadline -d 'End the run when it has not succeeded D after it was stored; 0 is no limit [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l grace -d 'The time between SIGTERM and SIGKILL when an attempt is ended [default: 10s]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l max-output -d 'Keep at most SIZE, such as 10M, of what an attempt writes to stdout, and as much of stderr: the first half and the last; 0 is no limit [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l pool -d 'Of a run in POOL, whose options are the defaults [default: default]' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -s n -l limit -d 'Show the waits before the first N retries; 0 is all, at most 10000 (1000 of --forever)' -r
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand explain" -l json -d 'Print one JSON object'
complete -c retrier -n "__fish_retrier_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand list" -l state -d 'Those in this state alone: scheduled, queued, running, succeeded, failed or canceled' -r
complete -c retrier -n "__fish_retrier_using_subcommand list" -l name -d 'Those of this name alone' -r
complete -c retrier -n "__fish_retrier_using_subcommand list" -l pool -d 'Those in POOL alone; also those that have ended in one that was deleted' -r
complete -c retrier -n "__fish_retrier_using_subcommand list" -l since -d 'Those alone that were stored in the last D (2h), or since a time (2026-01-31T08:00:00Z)' -r
complete -c retrier -n "__fish_retrier_using_subcommand list" -s n -l limit -d 'At most N; 0 is all of them' -r
complete -c retrier -n "__fish_retrier_using_subcommand list" -l watch -d 'Stay and redraw every D (1s) until Ctrl-C; needs a terminal' -r
complete -c retrier -n "__fish_retrier_using_subcommand list" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand list" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand list" -l wide -d 'On a terminal: cut nothing, however long the lines become'
complete -c retrier -n "__fish_retrier_using_subcommand list" -l json -d 'Print one JSON object per line'
complete -c retrier -n "__fish_retrier_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand events" -l key -d 'In place of an id: the run that holds this key, else the newest that has it' -r
complete -c retrier -n "__fish_retrier_using_subcommand events" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand events" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand events" -l json -d 'Print one JSON object per line'
complete -c retrier -n "__fish_retrier_using_subcommand events" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand logs" -l key -d 'In place of an id: the run that holds this key, else the newest that has it' -r
complete -c retrier -n "__fish_retrier_using_subcommand logs" -l attempt -d 'Of attempt N' -r
complete -c retrier -n "__fish_retrier_using_subcommand logs" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand logs" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand logs" -l stdout -d 'What it wrote to stdout alone'
complete -c retrier -n "__fish_retrier_using_subcommand logs" -l stderr -d 'What it wrote to stderr alone, on stdout'
complete -c retrier -n "__fish_retrier_using_subcommand logs" -s f -l follow -d 'Go on over retries until the run has ended'
complete -c retrier -n "__fish_retrier_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand stats" -l pool -d 'Of POOL alone; hooks is the pool of the hooks' -r
complete -c retrier -n "__fish_retrier_using_subcommand stats" -l window -d 'Count what ended in the last D' -r
complete -c retrier -n "__fish_retrier_using_subcommand stats" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand stats" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand stats" -l json -d 'Print one JSON object'
complete -c retrier -n "__fish_retrier_using_subcommand stats" -l prometheus -d 'Print metrics of each pool, hooks too, in the text format of Prometheus'
complete -c retrier -n "__fish_retrier_using_subcommand stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand retry" -l key -d 'In place of ids: the run that holds this key, else the newest that has it' -r
complete -c retrier -n "__fish_retrier_using_subcommand retry" -l pool -d 'With --all-failed: those of POOL alone' -r
complete -c retrier -n "__fish_retrier_using_subcommand retry" -l name -d 'With --all-failed: those of this name alone' -r
complete -c retrier -n "__fish_retrier_using_subcommand retry" -l delay -d 'Start them after D' -r
complete -c retrier -n "__fish_retrier_using_subcommand retry" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand retry" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand retry" -l all-failed -d 'All runs that have failed, but for hooks'
complete -c retrier -n "__fish_retrier_using_subcommand retry" -l dry-run -d 'With --all-failed: print the ids of these runs, and leave them alone'
complete -c retrier -n "__fish_retrier_using_subcommand retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand cancel" -l key -d 'In place of ids: the run that holds this key, else the newest that has it' -r
complete -c retrier -n "__fish_retrier_using_subcommand cancel" -l pool -d 'With --all: those of POOL alone' -r
complete -c retrier -n "__fish_retrier_using_subcommand cancel" -l state -d 'With --all: those that are scheduled, queued or running alone' -r
complete -c retrier -n "__fish_retrier_using_subcommand cancel" -l name -d 'With --all: those of this name alone' -r
complete -c retrier -n "__fish_retrier_using_subcommand cancel" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand cancel" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand cancel" -l all -d 'All unfinished runs, but for hooks'
complete -c retrier -n "__fish_retrier_using_subcommand cancel" -l dry-run -d 'With --all: print the ids of these runs, and leave them alone'
complete -c retrier -n "__fish_retrier_using_subcommand cancel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand cleanup" -l older-than -d 'All runs that ended longer than D ago' -r
complete -c retrier -n "__fish_retrier_using_subcommand cleanup" -l state -d 'Only those that succeeded, failed or were canceled' -r
complete -c retrier -n "__fish_retrier_using_subcommand cleanup" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand cleanup" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand cleanup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand backup" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand backup" -l force -d 'Replace FILE if it is there'
complete -c retrier -n "__fish_retrier_using_subcommand backup" -l json -d 'Print what was copied as JSON'
complete -c retrier -n "__fish_retrier_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and not __fish_seen_subcommand_from set list pause resume delete help" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand pool; and not __fish_seen_subcommand_from set list pause resume delete help" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand pool; and not __fish_seen_subcommand_from set list pause resume delete help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and not __fish_seen_subcommand_from set list pause resume delete help" -f -a "set" -d 'Make a pool, or change what was set for it'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and not __fish_seen_subcommand_from set list pause resume delete help" -f -a "list" -d 'List the pools: how many of their runs stand where, and what was set'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and not __fish_seen_subcommand_from set list pause resume delete help" -f -a "pause" -d 'Start nothing more in pools; what runs goes on'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and not __fish_seen_subcommand_from set list pause resume delete help" -f -a "resume" -d 'Start again what is in pools'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and not __fish_seen_subcommand_from set list pause resume delete help" -f -a "delete" -d 'Delete a pool in which every run has ended'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and not __fish_seen_subcommand_from set list pause resume delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l parallel -d 'Run at most N attempts at once; 0 starts nothing [default of a new one: 10]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l rate -d 'Start at most N attempts per D, retries included, evenly spaced, such as 10/1m or 5/s; 0 is no limit' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l burst -d 'With a rate: start up to N at once when none was started for long [default: 1]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l breaker -d 'When the last N attempts have all failed, start one at a time until one succeeds; 0 is never' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l max-pending -d 'Store no run that would be the pool\'s N+1st unfinished one: `run` exits with 4; 0 is no limit' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l max-failures -l retries -d 'Retry it N times, so that it is attempted N+1 times at the most [default: 4]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l max-attempts -l attempts -d 'Attempt it N times in all at the most' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l forever -d 'Retry it until it succeeds' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l initial-backoff -d 'The exponential term before the first retry [default: 250ms; 0 with --constant or --linear]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l base -d 'The factor of the exponential term from one retry to the next [default: 2]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l constant -d 'Wait D more before every retry' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l linear -d 'Wait n times D more before retry n' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l delays -d 'Wait as long as this list says, such as 1s,5s,30s; its last one repeats' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l max-backoff -d 'Wait no longer than D [default: 24h; or the longest of --delays]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l jitter -d 'Multiply each wait by a random factor from 1-F to 1+F [default: 0.5; 0 with --delays]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l retry-after -d 'Wait as long as the Retry-After of an HTTP response says, that a failed attempt has printed with its headers (curl -i, wget -S)' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l success-codes -d 'The exit codes and signals that are a success, such as 0,24 or 0-3,SIGTERM [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l retry-on -d 'Retry these failures alone, such as 75,100-110,SIGKILL,spawn; one that timed out or was lost is retried as well' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l stop-on -d 'Never retry these failures, such as 2,64-78,SIGSEGV,timeout,spawn,lost' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l retry-if -d 'Retry those failures alone of which the last 64 KiB of stdout or stderr match; may be given again' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l stop-if -d 'Never retry a failure of which the last 64 KiB of stdout or stderr match; may be given again' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l decide -d 'Have /bin/sh run LINE after each failed attempt, to decide by a JSON on its stdout; the run is on its stdin' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l timeout -d 'End an attempt that runs longer than D; 0 is no limit [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l deadline -d 'End the run when it has not succeeded D after it was stored; 0 is no limit [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l grace -d 'The time between SIGTERM and SIGKILL when an attempt is ended [default: 10s]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l max-output -d 'Keep at most SIZE, such as 10M, of what an attempt writes to stdout, and as much of stderr: the first half and the last; 0 is no limit [default: 0]' -r
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -l no-defaults -d 'Forget the retry options that were set for the pool before'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from list" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from list" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per line'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from pause" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from pause" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from pause" -l all -d 'All pools but that of the hooks'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from resume" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from resume" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from resume" -l all -d 'All pools but that of the hooks'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from delete" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from delete" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from help" -f -a "set" -d 'Make a pool, or change what was set for it'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the pools: how many of their runs stand where, and what was set'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from help" -f -a "pause" -d 'Start nothing more in pools; what runs goes on'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Start again what is in pools'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a pool in which every run has ended'
complete -c retrier -n "__fish_retrier_using_subcommand pool; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l parallel -d 'Run at most N attempts at once in all pools, hooks not counted [default: what the pools allow]' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l retention -d 'Forget runs that ended longer than D ago; 0 keeps them for ever' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l stats-interval -d 'Log what `retrier stats --json` prints every D, at least 1s, as a line of its own' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l log-format -d 'How a line of the log looks [default: RETRIER_LOG_FORMAT, else text]' -r -f -a "text\t'Time, level and a message'
json\t'A JSON object'"
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l until-idle -d 'Exit when no run is unfinished, or has been for D' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l tick -d 'Do what is due now, and exit; after D (50s) let what runs go on for the next to collect' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l unit -d 'It is the service of this unit' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l detach -d 'Go into the background, and log to FILE.d/daemon.log'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l detached -d 'This process is the one in the background'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -l automatic -d 'A client has started it'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -f -a "stop" -d 'Stop it; running attempts live on, and the next daemon collects them'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -f -a "restart" -d 'Stop it and start it anew, as it was started; running attempts live on'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -f -a "status" -d 'Say whether one runs; exit 1 when none does'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -f -a "install" -d 'Have systemd keep a daemon for this database, as a service of this user'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -f -a "uninstall" -d 'Stop the service of this database, and remove its unit'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop restart status install uninstall help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -l parallel -d 'Run at most N attempts at once in all pools, hooks not counted [default: what the pools allow]' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -l retention -d 'Forget runs that ended longer than D ago; 0 keeps them for ever' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -l until-idle -d 'Exit when no run is unfinished, or has been for D' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -l stats-interval -d 'Log what `retrier stats --json` prints every D, at least 1s, as a line of its own' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -l detach -d 'Go into the background, and log to FILE.d/daemon.log'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -l detached -d 'This process is the one in the background'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -l automatic -d 'A client has started it'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -f -a "stop" -d 'Stop it; running attempts live on, and the next daemon collects them'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -f -a "status" -d 'Say whether one runs; exit 1 when none does'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and not __fish_seen_subcommand_from stop status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from stop" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from stop" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from stop" -l drain -d 'Start nothing more and wait until the running attempts have ended'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from stop" -l kill -d 'End the running attempts first; they are interrupted, not charged, and run again later'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from status" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from status" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from install" -l parallel -d 'Run at most N attempts at once in all pools, hooks not counted [default: what the pools allow]' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from install" -l retention -d 'Forget runs that ended longer than D ago; 0 keeps them for ever' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from install" -l stats-interval -d 'Log what `retrier stats --json` prints every D, at least 1s, as a line of its own' -r
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from install" -l log-format -d 'How a line of the log looks [default: RETRIER_LOG_FORMAT, else text]' -r -f -a "text\t'Time, level and a message'
json\t'A JSON object'"
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from install" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from install" -l print -d 'Print the unit, and change nothing'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from uninstall" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from uninstall" -l print -d 'Print the unit that would be removed, and change nothing'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop it; running attempts live on, and the next daemon collects them'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "restart" -d 'Stop it and start it anew, as it was started; running attempts live on'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "status" -d 'Say whether one runs; exit 1 when none does'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "install" -d 'Have systemd keep a daemon for this database, as a service of this user'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "uninstall" -d 'Stop the service of this database, and remove its unit'
complete -c retrier -n "__fish_retrier_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c retrier -n "__fish_retrier_using_subcommand doctor" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand doctor" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand doctor" -l deep -d 'Read all that is stored, too: SQLite\'s own check, and whether every history, attempt, ending, hook, count and file fits the others'
complete -c retrier -n "__fish_retrier_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c retrier -n "__fish_retrier_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand completions" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand completions" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand man" -l db -d 'The database; everything else lives beside it in FILE.d' -r -F
complete -c retrier -n "__fish_retrier_using_subcommand man" -l color -d 'Colour what is for people: auto (at a terminal, unless NO_COLOR is set), always or never' -r -f -a "auto\t'At a terminal'
always\t'Also in a pipe'
never\t'Nowhere'"
complete -c retrier -n "__fish_retrier_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "run" -d 'Store a command and have it run until it succeeds'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "wait" -d 'Wait until runs have ended'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "status" -d 'Show runs: state, attempts, result'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "explain" -d 'Show what retry options come to, or why a run is where it is'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "list" -d 'List runs, the newest first'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "events" -d 'Show what happened to a run, and why'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "logs" -d 'Print what a run\'s command wrote'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "stats" -d 'Show how many runs wait and run, and how they fared lately'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "retry" -d 'Run failed or canceled runs once more'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "cancel" -d 'Cancel runs, and end what is running of them'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "cleanup" -d 'Forget finished runs, with their output'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "backup" -d 'Copy the database, while it is used'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "pool" -d 'Make pools, and say how many runs of each run at once and how fast they start'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "daemon" -d 'Serve the database: start what is due, settle what has ended'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "doctor" -d 'Look whether anything is wrong with the database, the daemon or the machine'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "completions" -d 'Print the completion script of a shell'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "man" -d 'Write the manual pages into a folder'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup backup pool daemon doctor completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "run" -d 'Store a command and have it run until it succeeds'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "wait" -d 'Wait until runs have ended'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "status" -d 'Show runs: state, why, attempts, last output'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "explain" -d 'Show what retry options come to, or why a run is where it is'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "list" -d 'List runs, the newest first'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "events" -d 'Show what happened to a run, and why'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "logs" -d 'Print what a run\'s command wrote'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "stats" -d 'Show how many runs wait and run, and how they fared lately'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "retry" -d 'Run failed or canceled runs once more'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "cancel" -d 'Cancel runs, and end what is running of them'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "cleanup" -d 'Forget finished runs, with their output'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "pool" -d 'Make pools, and say how many runs of each run at once and how fast they start'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "daemon" -d 'Serve the database: start what is due, settle what has ended'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "doctor" -d 'Look whether anything is wrong with the database, the daemon or the machine'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "completions" -d 'Print the completion script of a shell'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "man" -d 'Write the manual pages into a folder'
complete -c retrier -n "__fish_retrier_using_subcommand help; and not __fish_seen_subcommand_from run wait status explain list events logs stats retry cancel cleanup pool daemon doctor completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from pool" -f -a "set" -d 'Make a pool, or change what was set for it'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from pool" -f -a "list" -d 'List the pools: how many of their runs stand where, and what was set'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from pool" -f -a "pause" -d 'Start nothing more in pools; what runs goes on'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from pool" -f -a "resume" -d 'Start again what is in pools'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from pool" -f -a "delete" -d 'Delete a pool in which every run has ended'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "stop" -d 'Stop it; running attempts live on, and the next daemon collects them'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "restart" -d 'Stop it and start it anew, as it was started; running attempts live on'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "status" -d 'Say whether one runs; exit 1 when none does'
complete -c retrier -e
complete -c retrier -k -f -a '(__retrier_complete)'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "install" -d 'Have systemd keep a daemon for this database, as a service of this user'
complete -c retrier -n "__fish_retrier_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "uninstall" -d 'Stop the service of this database, and remove its unit'
