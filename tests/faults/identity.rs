//! Pids that others have now, boots that are over, pid namespaces beside ours: nobody is taken for a shim, and no
//! stranger is signaled.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::crash::tools::{
    Gate, LONG, closed, outcomes, shim, signal, wait_until_started, wait_until_state,
};
use crate::support::{
    Home, Journal, Need, Process, Running, holds_within, proof, seeded, skip, wait_until,
};

use super::life::beside_each_other;

/// Repetitions in a pid namespace of their own, one per line of `$PLAN`: whose pid a bystander gets, whether it leads a
/// session, and when the run is canceled. Prints `id due wanted got alive` for each.
const REUSE: &str = r#"
cd "$PLACE"
gone() { for pid; do while [ -e /proc/$pid ]; do sleep 0.01; done; done; }
lost() { timeout $LIMIT sh -c "until retrier status --json $1 | grep -q '\"lost\"'; do sleep 0.02; done"; }
served() { until retrier daemon status >status 2>&1; do sleep 0.01; done; }
serve() { retrier daemon 2>>daemons.err & daemon=$!; served; }
cat >bystander <<'END'
trap 'echo $$ >>signaled' HUP INT USR1 USR2 TERM CONT
echo $$ >ready
while :; do sleep 600 & wait $!; done
END
cat >first <<'END'
[ $RETRIER_ATTEMPT = 1 ] || exit 0
echo $$ >started.new && mv started.new started && exec sleep 600
END
while read -r whose how cancel backoff; do
    rm -f started ready
    serve
    id=$(retrier run --constant $backoff --jitter 0 --grace 100ms --max-failures 1 -- sh first)
    until [ -e started ]; do sleep 0.01; done
    read -r command <started
    read -r _ _ _ shim _ </proc/$command/stat
    kill -9 $daemon && gone $daemon
    kill -9 $shim $command && gone $shim $command
    due=$(retrier run --no-daemon-start -- true)
    eval "wanted=\$$whose"
    echo $((wanted - 1)) >/proc/sys/kernel/ns_last_pid
    $how sh bystander &
    got=$!
    until [ -e ready ]; do sleep 0.01; done
    if [ $cancel = before ]; then retrier cancel $id; served; else serve; fi
    lost $id
    [ $cancel != after ] || retrier cancel $id
    timeout $LIMIT retrier wait $due
    timeout $LIMIT retrier wait $id
    case $(cat /proc/$got/stat) in "" | *") Z "*) alive=0 ;; *) alive=1 ;; esac
    echo $id $due $wanted $got $alive
    retrier daemon stop
    kill -9 $got
done <<END
$PLAN
END
"#;

/// Carries out a plan for [`REUSE`]. Gives the violations.
fn reuse_pids(plan: &[String], bug: &str) -> Vec<String> {
    let home = Home::new();
    let place = home.path("place");
    fs::create_dir(&place).expect("the temp folder can be written");
    let call = home.sh(r#"exec unshare --pid --fork --kill-child --mount-proc sh -c "$REUSE""#);
    let call = call.env("REUSE", REUSE).env("PLAN", plan.join("\n"));
    let call = call.env("PLACE", &place).env("RETRIER_BUG", bug);
    // What does not come because of the bug need not be waited for.
    let call = call.env("LIMIT", if bug.is_empty() { "30" } else { "3" });
    let done = call.output();
    let lines = done.text();
    assert_eq!(lines.lines().count(), plan.len(), "{}", done.error_text());
    let signaled = fs::read_to_string(place.join("signaled")).unwrap_or_default();
    let mut violations: Vec<String> = signaled
        .lines()
        .map(|pid| format!("bystander {pid} was signaled"))
        .collect();
    for (line, step) in lines.lines().zip(plan) {
        let numbers: Vec<i64> = line
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect();
        let [id, due, wanted, got, alive] = numbers[..] else {
            panic!("{line}")
        };
        assert_eq!(wanted, got, "{step}: the pid was not reused");
        violations.extend((alive == 0).then(|| format!("{step}: bystander {got} is dead")));
        violations.extend(wrong_end(&home, id, step));
        violations.extend((home.state(due) != "succeeded").then(|| format!("{step}: {due} waits")));
    }
    violations
}

/// What is wrong with a run whose first attempt was lost: that is charged, and the run retried or canceled.
fn wrong_end(home: &Home, id: i64, step: &str) -> Option<String> {
    let document = home.status(id);
    let expected: (&str, &[&str]) = if step.contains("never") {
        ("succeeded", &["lost", "exit 0"])
    } else {
        ("canceled", &["lost"])
    };
    let state = document["state"].as_str().expect("a state");
    let found = outcomes(&document);
    let charged = step.contains("before") || document["failures"] == 1;
    let right = state == expected.0 && found == expected.1 && charged;
    (!right).then(|| format!("{step}: {document}"))
}

#[test]
fn a_process_with_the_pid_of_a_dead_shim_or_command_is_left_alone() {
    if skip(Need::Namespaces) {
        return;
    }
    let mut rng = seeded("reused pids");
    let mut plan = Vec::new();
    for whose in ["shim", "shim setsid", "command", "command setsid"] {
        for cancel in ["before 1h", "after 1h", "never 0", "after 1h", "never 0"] {
            let bare = if whose.contains(' ') { "" } else { " env" };
            plan.push(format!("{whose}{bare} {cancel}"));
        }
    }
    rng.shuffle(&mut plan);
    std::thread::scope(|scope| {
        for half in plan.chunks(10) {
            scope.spawn(move || proof::holds("T7", half.len(), &reuse_pids(half, "")));
        }
    });
}

#[test]
fn reused_pids_catches_trust_in_a_bare_pid() {
    if skip(Need::Namespaces) {
        return;
    }
    for (bug, step) in [
        ("trusts_bare_pids", "shim env after 1h"),
        ("trusts_bare_sessions", "shim setsid never 0"),
    ] {
        let violations = reuse_pids(&[step.to_owned()], bug);
        proof::catches("T7", bug, &violations, |one| one.contains("was signaled"));
    }
}

/// What became of the shim and the command before the other boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// They live on, where no reboot would leave them: bystanders that look exactly like the recorded processes.
    Alive,
    /// They were killed in the middle.
    Killed,
    /// The command had ended with 7, and that was recorded.
    Ended,
}

/// Starts a daemon that finds another boot id, and whose signals, and those of its shims, are traced.
#[track_caller]
fn serve_in_another_boot(home: &Home, bug: &str) -> Running {
    let boot = "0f0f0f0f-0000-4000-8000-0f0f0f0f0f0f\n";
    fs::write(home.path("boot"), boot).expect("the temp folder can be written");
    let line = r#"exec unshare --mount sh -c '
        mount --bind "$BOOT" /proc/sys/kernel/random/boot_id &&
        exec strace -f --seccomp-bpf -qq -e trace=kill,tkill,tgkill,pidfd_send_signal \
            -e signal=none -o "$TRACE" retrier daemon'"#;
    let call = home.sh(line).env("BOOT", home.path("boot"));
    let call = call.env("TRACE", home.path("trace"));
    let daemon = call.env("RETRIER_BUG", bug).spawn();
    wait_until("a daemon of another boot serves", LONG, || {
        home.retrier(["daemon", "status"]).output().code == 0
    });
    daemon
}

fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    !rest.is_empty() && !rest.starts_with(" Z")
}

/// A run whose attempt is open when the machine goes down. Gives the violations.
fn reboot(before: Before, bug: &str) -> Vec<String> {
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let mut daemon = home.daemon();
    let backoff = if before == Before::Alive { "1h" } else { "0" };
    let line = format!(
        "[ $RETRIER_ATTEMPT = 1 ] || exit 0; echo $$ >'{}'; {}; exit 7",
        home.path("started").display(),
        gate.line()
    );
    let policy = ["--jitter", "0", "--max-failures", "1", "--constant"];
    let id = home.run(policy.into_iter().chain([backoff, "--shell", &line]));
    let command = || fs::read_to_string(home.path("started")).unwrap_or_default();
    wait_until("it runs", LONG, || command().ends_with('\n'));
    let (shim, command) = (shim(&home), command().trim().parse().expect("a pid"));
    daemon.kill9();
    let due = home.run(["--no-daemon-start", "--", "true"]);
    match before {
        Before::Alive => {}
        Before::Killed => [shim, command]
            .into_iter()
            .for_each(|pid| signal(pid, Signal::SIGKILL)),
        Before::Ended => gate.open(),
    }
    let alive = before == Before::Alive;
    wait_until("they are as they shall be", LONG, || {
        [shim, command].iter().all(|pid| lives(*pid) == alive)
    });
    let _daemon = serve_in_another_boot(&home, bug);
    let settled = || outcomes(&home.status(id))[0] != "open";
    let mut violations: Vec<String> = Vec::new();
    let limit = if bug.is_empty() { LONG } else { LONG / 5 };
    violations.extend((!holds_within(limit, settled)).then(|| "it is still open".to_owned()));
    violations.extend((home.wait(due) != 0).then(|| "a due run failed".to_owned()));
    if alive {
        home.retrier(["cancel", &id.to_string()]).output().ok();
    }
    let ending = match before {
        Before::Alive => "canceled [\"lost\"]",
        Before::Killed => "succeeded [\"lost\", \"exit 0\"]",
        Before::Ended => "succeeded [\"exit 7\", \"exit 0\"]",
    };
    home.wait(id);
    let found = closed(&home, id);
    let found = format!(
        "{} {:?}",
        found["state"].as_str().unwrap_or(""),
        outcomes(&found)
    );
    violations.extend((found != ending).then(|| format!("{found} is not {ending}")));
    violations.extend((lives(shim) != alive).then(|| "the old shim is gone".to_owned()));
    violations.extend((lives(command) != alive).then(|| "the old command is gone".to_owned()));
    violations.extend(signals_sent(&home.path("trace")));
    violations.extend(home.doctor());
    violations
}

fn signals_sent(trace: &Path) -> Vec<String> {
    let text = fs::read_to_string(trace).expect("strace has made it");
    text.lines()
        .map(|line| format!("signaled: {line}"))
        .collect()
}

#[test]
fn after_another_boot_nothing_is_signaled_and_an_ending_counts_only_if_it_was_recorded() {
    if skip(Need::Namespaces) || skip(Need::Strace) {
        return;
    }
    let all = [Before::Alive, Before::Killed, Before::Ended];
    let cases = all.repeat(proof::repetitions(1, 4));
    let times = cases.len();
    let found = beside_each_other(cases, |before| reboot(*before, ""));
    proof::holds("T8", times, &found);
}

#[test]
fn another_boot_catches_an_ignored_boot_id() {
    if skip(Need::Namespaces) || skip(Need::Strace) {
        return;
    }
    let violations = reboot(Before::Alive, "ignores_boot_id");
    let signaled = |one: &str| one.starts_with("signaled: ") && one.contains("SIGTERM");
    proof::catches("T8", "ignores_boot_id", &violations, signaled);
}

/// What happens to an attempt in another pid namespace, whose daemon is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// Its command ends with 7.
    Ends,
    /// Its run is canceled, and its command ends with 7 all the same.
    Canceled,
    /// Its command and its shim are killed.
    Killed,
}

/// Leaves an attempt open in a pid namespace of its own, whose first process is given; and a daemon here.
#[track_caller]
fn leave_attempt_beside(home: &Home, journal: &Journal, id: i64) -> Running {
    let line = "retrier daemon 2>/dev/null & while :; do sleep 0.1; done";
    let beside = home
        .sh(r#"exec unshare --pid --fork --kill-child --mount-proc sh -c "$LINE""#)
        .env("LINE", line)
        .spawn();
    wait_until_started(journal, id, 1);
    let daemons = || home.processes().into_iter().filter(Process::is_daemon);
    for daemon in daemons() {
        signal(daemon.pid, Signal::SIGKILL);
    }
    wait_until("its daemon is gone", LONG, || daemons().count() == 0);
    beside
}

/// An attempt beside, and a daemon here that finds it open. Gives the violations.
fn share(beside: Beside, bug: &str) -> Vec<String> {
    let home = Home::new();
    let journal = Journal::new(&home);
    let gate = Gate::new(&home, "gate");
    let line = format!(
        "[ $RETRIER_ATTEMPT = 1 ] || exit 0; {}; exit 7",
        gate.line()
    );
    let line = journal.line(&line);
    let policy = ["--no-daemon-start", "--constant", "0", "--grace", "100ms"];
    let id = home.run(policy.into_iter().chain(["--shell", &line]));
    let _beside = leave_attempt_beside(&home, &journal, id);
    let shim = shim(&home);
    let due = home.run(["--no-daemon-start", "--", "true"]);
    let _daemon = home.daemon_with(&[], &[("RETRIER_BUG", bug)]);
    let mut violations: Vec<String> = Vec::new();
    violations.extend((home.wait(due) != 0).then(|| "a due run failed".to_owned()));
    if beside == Beside::Canceled {
        home.retrier(["cancel", &id.to_string()]).output().ok();
    }
    // Longer than it takes to look at the lock again.
    let settled = || outcomes(&home.status(id))[0] != "open" || !lives(shim);
    let early = holds_within(Duration::from_millis(1300), settled);
    violations.extend(early.then(|| "it was settled or ended while it ran".to_owned()));
    if beside == Beside::Killed {
        // Before the command, of whose end it would tell.
        signal(shim, Signal::SIGKILL);
        let left = home.processes().into_iter();
        left.filter(|process| process.cmdline.contains("violations"))
            .for_each(|process| signal(process.pid, Signal::SIGKILL));
    }
    gate.open();
    let ending = match beside {
        Beside::Ends => ("succeeded", &["exit 7", "exit 0"][..]),
        Beside::Canceled => ("canceled", &["exit 7"][..]),
        Beside::Killed => ("succeeded", &["lost", "exit 0"][..]),
    };
    wait_until_state(&home, id, ending.0);
    let found = outcomes(&closed(&home, id));
    violations.extend((found != ending.1).then(|| format!("{found:?} is not {ending:?}")));
    violations.extend(journal.violations());
    violations.extend(home.doctor());
    violations
}

#[test]
fn an_attempt_in_another_pid_namespace_is_left_alone_until_its_lock_is_free() {
    if skip(Need::Namespaces) || skip(Need::Flock) {
        return;
    }
    let all = [Beside::Ends, Beside::Canceled, Beside::Killed];
    let cases = all.repeat(proof::repetitions(1, 4));
    let times = cases.len();
    let found = beside_each_other(cases, |beside| share(*beside, ""));
    proof::holds("T8", times, &found);
}

#[test]
fn another_pid_namespace_catches_an_ignored_namespace() {
    if skip(Need::Namespaces) || skip(Need::Flock) {
        return;
    }
    let violations = share(Beside::Ends, "ignores_pid_namespaces");
    let bug = "ignores_pid_namespaces";
    proof::catches("T8", bug, &violations, |one| one.starts_with("OVERLAP"));
}
