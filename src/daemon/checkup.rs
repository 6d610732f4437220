//! Looking at the daemon and its machine with the eyes of a stranger: does it do what there is to do, and
//! is anything about to keep it from that? Nothing is signaled or started here.

mod room;

use std::io;
use std::time::Duration;

use crate::clock;
use crate::model::{Finding, Timestamp};
use crate::store::{Census, Folder, OpenSince, is_doubtful};
use crate::sys::identity::{Liveness, ProcessStat, World};
use crate::sys::limits::Limits;

use super::holder::{self, Holder};
use super::lodging;

/// What is due for longer has not been looked at.
const LAG_MAX: Duration = Duration::from_secs(10);

/// So much later than it had to, an attempt still has not ended.
const OVERTIME: Duration = Duration::from_secs(30);

/// Clocks of one machine that were never set do not differ by more.
const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// No clock of a machine that knows the time shows an earlier one: 2020-01-01.
const EARLIEST: Timestamp = Timestamp::from_millis(1_577_836_800_000);

/// Fewer descriptors are not enough for many attempts at once, and callers.
const OPEN_FILES_LOW: u64 = 256;

/// The daemon that serves, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Checkup {
    /// Who holds the database.
    pub holder: Option<Holder>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Looks at the daemon of `folder`, at what `census` says is to be done, and at the machine. Where daemons are
/// started `by_ticks` alone, none serves most of the time. Errors: /proc or the lock cannot be read.
pub fn checkup(folder: &Folder, census: Option<&Census>, by_ticks: bool) -> io::Result<Checkup> {
    let world = World::current()?;
    let now = clock::now();
    let holder = holder::find(folder)?;
    let held = holder.is_some() || holder::is_held(folder)?;
    let mut findings = match &holder {
        Some(holder) => of_holder(holder, &world),
        None if held => vec![unknown_holder()],
        None => Vec::new(),
    };
    if let Some(census) = census {
        findings.extend(match held {
            true => lag(census, holder.as_ref(), now),
            false => nobody(census, by_ticks, now),
        });
        let open = census.open.iter();
        findings.extend(open.flat_map(|one| of_attempt(one, &world, held, now)));
        findings.extend(clock_set_back(census, now));
    }
    findings.extend(of_machine(folder, now));
    let limited = holder
        .as_ref()
        .map_or_else(|| std::process::id() as i32, |holder| holder.process.pid);
    findings.extend(Limits::of(limited).iter().flat_map(limits));
    Ok(Checkup { holder, findings })
}

fn unknown_holder() -> Finding {
    let what = "a daemon holds this database, and it cannot be told which process it is";
    Finding::warning(
        "daemon",
        what,
        "it may have just been started, or run in a container",
    )
}

fn of_holder(holder: &Holder, world: &World) -> Vec<Finding> {
    let pid = holder.process.pid;
    let mut found = Vec::new();
    match world.look_up(&holder.process) {
        Liveness::Alive(_) if is_stopped(pid) => found.push(Finding::error(
            "daemon",
            format!("daemon {pid} is stopped, and serves nobody"),
            format!("kill -CONT {pid}"),
        )),
        Liveness::Foreign => found.push(Finding::warning(
            "daemon",
            "the daemon runs in another pid namespace, so nobody here can wake it",
            "run the verbs where the daemon runs",
        )),
        Liveness::Alive(_) | Liveness::Dead | Liveness::OtherBoot | Liveness::Unknown => {}
    }
    if let Some(trouble) = &holder.trouble {
        found.push(Finding::error(
            "daemon",
            format!("daemon {pid} starts nothing at the moment: {trouble}"),
            "it goes on by itself when that is over; if what is stored cannot be read, that is named too",
        ));
    }
    let is_near = matches!(world.look_up(&holder.process), Liveness::Alive(_));
    if let Some(service) = lodging::doomed(Some(pid)).filter(|_| is_near) {
        found.push(Finding::warning(
            "daemon",
            format!("daemon {pid} is part of {service}, whose stop ends it and all attempts"),
            "retrier daemon install, then retrier daemon stop",
        ));
    }
    let own = env!("CARGO_PKG_VERSION");
    if holder.version != own {
        found.push(Finding::warning(
            "daemon",
            format!(
                "daemon {pid} is of retrier {}, and this is {own}",
                holder.version
            ),
            "retrier daemon stop; running attempts live on",
        ));
    }
    found
}

fn is_stopped(pid: i32) -> bool {
    ProcessStat::of(pid).is_ok_and(|stat| stat.stopped)
}

/// What nobody has looked at for longer, no tick of a crontab looks at either.
const TICK_MAX: Duration = Duration::from_secs(120);

fn nobody(census: &Census, by_ticks: bool, now: Timestamp) -> Vec<Finding> {
    if census.unfinished == 0 && census.open.is_empty() {
        return Vec::new();
    }
    let runs = match census.unfinished {
        0 => "an attempt of a canceled run is not settled".to_owned(),
        1 => "1 run has not ended".to_owned(),
        many => format!("{many} runs have not ended"),
    };
    let what = format!("no daemon serves, and {runs}");
    let outlook = &census.outlook;
    let mut waits = [outlook.next_due, outlook.next_deadline]
        .into_iter()
        .flatten();
    if by_ticks && !waits.any(|at| now.since(at) > TICK_MAX) {
        let hint = "a tick goes on with them: `* * * * * retrier daemon --tick` in a crontab";
        return vec![Finding::warning("daemon", what, hint)];
    }
    vec![Finding::error("daemon", what, "retrier daemon --detach")]
}

/// What it should have looked at by now.
fn lag(census: &Census, holder: Option<&Holder>, now: Timestamp) -> Vec<Finding> {
    let outlook = &census.outlook;
    let told = [
        (outlook.next_due, "due"),
        (outlook.next_deadline, "past its deadline"),
    ];
    let late = told.into_iter().filter_map(|(at, what)| {
        let late = now.since(at?);
        (late > LAG_MAX).then(|| {
            Finding::error(
                "lag",
                format!(
                    "a run has been {what} for {} s, and the daemon has not looked at it",
                    late.as_secs()
                ),
                match holder {
                    Some(holder) => format!(
                        "if it goes on: retrier daemon stop, or kill -9 {}; both lose nothing",
                        holder.process.pid
                    ),
                    None => "retrier daemon stop".to_owned(),
                },
            )
        })
    });
    // One that waits for room has said so.
    let troubled = holder.is_some_and(|holder| holder.trouble.is_some());
    late.filter(|_| !troubled).collect()
}

/// Whether an attempt that occupies a slot is what it seems.
fn of_attempt(one: &OpenSince, world: &World, served: bool, now: Timestamp) -> Vec<Finding> {
    let (run, attempt) = (one.open.run, one.open.attempt);
    let pid = one.open.shim.pid;
    match world.look_up(&one.open.shim) {
        Liveness::Alive(_) if is_stopped(pid) => vec![Finding::error(
            "attempts",
            format!("the shim of run {run}, attempt {attempt}, is stopped: it keeps no limit"),
            format!("kill -CONT {pid}"),
        )],
        Liveness::Alive(_) => overtime(one, now).into_iter().collect(),
        // The next one settles it, and that there is none is a finding of its own.
        Liveness::Dead | Liveness::OtherBoot if served => vec![Finding::warning(
            "attempts",
            format!(
                "the shim of run {run}, attempt {attempt}, is gone, and the attempt is not settled"
            ),
            "something that it started may still be there, and is being ended",
        )],
        Liveness::Dead | Liveness::OtherBoot | Liveness::Foreign | Liveness::Unknown => Vec::new(),
    }
}

/// An attempt that should have been ended by now.
fn overtime(one: &OpenSince, now: Timestamp) -> Option<Finding> {
    let policy = &one.open.policy;
    let ends = [
        policy
            .timeout
            .map(|limit| (one.started_at.plus(limit), "its timeout")),
        one.canceled_at.map(|at| (at, "the cancel of its run")),
        one.deadline_at.map(|at| (at, "the deadline of its run")),
    ];
    let (at, what) = ends.into_iter().flatten().min_by_key(|(at, _)| *at)?;
    let late = now.since(at.plus(policy.grace));
    (late > OVERTIME).then(|| {
        Finding::warning(
            "attempts",
            format!(
                "attempt {} of run {} lives on {} s after {what}",
                one.open.attempt,
                one.open.run,
                late.as_secs()
            ),
            format!(
                "a process in uninterruptible sleep cannot be ended: ps -o pid,stat,wchan,args -s {}",
                one.open.shim.pid
            ),
        )
    })
}

fn clock_set_back(census: &Census, now: Timestamp) -> Option<Finding> {
    let ahead = census.latest?.since(now);
    (ahead > CLOCK_SLACK).then(|| {
        Finding::warning(
            "clock",
            format!("what is stored has happened {} s from now", ahead.as_secs()),
            "the clock was set back; due times are kept within their delays",
        )
    })
}

fn of_machine(folder: &Folder, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    if now < EARLIEST {
        let what = "the clock is years behind";
        found.push(Finding::error(
            "clock",
            what,
            "set it: due times and deadlines are wall time",
        ));
    }
    if is_doubtful(folder) {
        found.push(Finding::warning(
            "filesystem",
            "the database is on a filesystem that a program serves (FUSE)",
            "name a file on a disk of this machine, with --db or RETRIER_DB",
        ));
    }
    found.extend(room::shortage(folder));
    found
}

/// Limits that a daemon has from whoever started it, and hands on to each command.
fn limits(limits: &Limits) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut limited = |what: String| {
        let hint = "raise it (ulimit) and start the daemon anew; commands inherit it";
        found.push(Finding::warning("limits", what, hint));
    };
    if let Some(files @ ..OPEN_FILES_LOW) = limits.soft("Max open files") {
        limited(format!("no more than {files} files can be open at once"));
    }
    for (name, what) in [
        (
            "Max file size",
            "bytes can be in a file, and who writes more is ended",
        ),
        (
            "Max cpu time",
            "seconds can be computed, and who needs more is ended",
        ),
        ("Max address space", "bytes of memory can be used"),
    ] {
        if let Some(limit) = limits.soft(name) {
            limited(format!("no more than {limit} {what}"));
        }
    }
    found
}

/// What is wrong for one moment alone is none of the findings: a daemon that is just being started, an
/// attempt that has just ended. So whoever finds something of these kinds looks again.
pub fn may_pass(finding: &Finding) -> bool {
    matches!(finding.check, "daemon" | "lag" | "attempts")
}
