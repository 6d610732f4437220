//! The program of `--decide`: asked at the tail of a failed attempt whether and when its run goes
//! on.
//!
//! Whatever it does, it can neither lose the outcome of its attempt, which is recorded before it
//! starts, nor hold the attempt open for longer than [`ANSWERS_WITHIN`]. Where it fails the policy
//! goes on, and the run's history tells of it. Start reading at [`ask`].

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clock;
use crate::json::{self, VERSION};
use crate::model::policy::{Decision, Verdict, Witness};
use crate::model::{Environment, Spec};
use crate::sys::channel::{Ear, in_memory};
use crate::sys::command::{Program, Starter};
use crate::sys::files::{append_private, set_umask};
use crate::sys::process::{self, Exit, Reaped};
use crate::sys::spawn::bytes_path;
use crate::sys::{failpoint, signal};

use super::attempt::{left, services_alone};
use super::deadline::Deadline;
use super::decision::{SIZE_MAX, parse};
use super::order::{Cause, Decider, Order};
use super::program::Shim;
use super::record::{Ending, Stage};
use super::testimony::complaint;

/// How long a decider may take, from its start.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How often what survives SIGKILL is looked for again.
const KILL_AGAIN: Duration = Duration::from_millis(50);

/// The file for the command's own word was read before its decider starts, which answers on its
/// stdout.
const NOT_FOR_DECIDERS: &[u8] = b"RETRIER_DECISION";

/// Why there is no answer.
enum Silence {
    /// It was not started.
    NotStarted(io::Error),
    /// It failed.
    Ended(Exit),
    /// Its time is up.
    Late,
    /// It does not come to an end.
    Endless,
    /// The attempt was called off meanwhile.
    CalledOff(Cause),
}

impl Silence {
    /// What is recorded of it. Nothing when no answer is wanted any more.
    fn words(&self) -> Option<String> {
        Some(match self {
            Self::NotStarted(error) => format!("cannot be started: {error}"),
            Self::Ended(Exit::Code(code)) => format!("exit {code}"),
            Self::Ended(Exit::Signal(number, _)) => match signal::name(*number) {
                Some(name) => format!("signal {number} ({name})"),
                None => format!("signal {number}"),
            },
            Self::Late => format!("no answer within {} s", ANSWERS_WITHIN.as_secs()),
            Self::Endless => format!("an answer of more than {} KiB", SIZE_MAX / 1024),
            Self::CalledOff(Cause::Canceled | Cause::Timeout) => return None,
            Self::CalledOff(Cause::Deadline) => {
                "the deadline passed before it had answered".to_owned()
            }
            Self::CalledOff(Cause::Interrupted) => "interrupted before it had answered".to_owned(),
        })
    }
}

/// Asks the decider of `order`, if there is one for an attempt that ended so. Gives the ending with
/// what it has answered. Errors: this process cannot wait any more.
pub fn ask(shim: &mut Shim, order: &Order, mut ending: Ending) -> io::Result<Ending> {
    let Some(decider) = &order.decider else {
        return Ok(ending);
    };
    if !order.rules.is_failure(&ending.outcome) {
        return Ok(ending);
    }
    shim.hear(&[], Some(Duration::ZERO))?;
    let answer = match shim.called_off {
        Some(cause) => Err(Silence::CalledOff(cause)),
        // If this cannot be written, the outcome would be lost together with this process.
        None => match shim.tell(order, Stage::Deciding(ending.clone()), false) {
            Ok(()) => {
                // Only so that it is seen meanwhile.
                let _ = shim.tell(order, Stage::Deciding(ending.clone()), true);
                answer(shim, order, decider, &mut ending)?
            }
            Err(error) => Err(Silence::NotStarted(error)),
        },
    };
    failpoint::reach("shim_decided")?;
    note(&mut ending, answer);
    Ok(ending)
}

/// Takes an answer into the testimony.
fn note(ending: &mut Ending, answer: Result<Vec<u8>, Silence>) {
    let said = &mut ending.testimony;
    let wrong = match answer {
        Ok(bytes) if bytes.trim_ascii().is_empty() => {
            said.decider = Some(Decision {
                verdict: Some(Verdict::Stop),
                when: None,
            });
            None
        }
        Ok(bytes) => match parse(&bytes) {
            Ok((decision, changes)) => {
                said.decider = Some(decision);
                said.changes = std::mem::take(&mut said.changes).or(changes);
                None
            }
            Err(error) => Some(error),
        },
        Err(silence) => silence.words(),
    };
    let complaint = wrong.map(|error| complaint(Witness::Decider, &error));
    said.complaints.extend(complaint);
}

/// Runs the decider to its end, and ends what it leaves.
fn answer(
    shim: &mut Shim,
    order: &Order,
    decider: &Decider,
    ending: &mut Ending,
) -> io::Result<Result<Vec<u8>, Silence>> {
    failpoint::reach("shim_deciding")?;
    Ok(
        match Inquiry::start(&mut shim.starter, order, decider, ending) {
            Ok(inquiry) => {
                let (answer, leftover) = inquiry.run(shim)?;
                ending.leftover |= leftover;
                answer
            }
            Err(error) => Err(Silence::NotStarted(error)),
        },
    )
}

/// A decider on its way.
struct Inquiry {
    /// Its pid and group.
    leader: i32,
    ear: Ear,
    exit: Option<Exit>,
    /// Why it is being ended.
    silence: Option<Silence>,
    until: Option<Instant>,
    deadline: Option<Deadline>,
    /// When the next SIGKILL is sent; set once it has ended, or is to.
    kill_at: Option<Instant>,
}

impl Inquiry {
    /// Starts it. Errors: why it could not be started.
    fn start(
        starter: &mut Starter,
        order: &Order,
        decider: &Decider,
        ending: &Ending,
    ) -> io::Result<Self> {
        let question = in_memory(&question(order, decider, ending)?)?;
        let (ear, mouth) = Ear::new(SIZE_MAX)?;
        // Both are there for it to look at, even when the command has said nothing.
        output(&order.stdout)?;
        let stderr = output(&order.stderr)?;
        let deadline = order.deadline_at.map(Deadline::new).transpose()?;
        let leader = spawn(starter, order, decider, [question, mouth, stderr])?;
        Ok(Self {
            leader,
            ear,
            exit: None,
            silence: None,
            until: clock::monotonic().checked_add(ANSWERS_WITHIN),
            deadline,
            kill_at: None,
        })
    }

    /// Waits for its end, and until nothing of it is left; `true`: but for daemons that it has
    /// started, which serve others.
    fn run(mut self, shim: &mut Shim) -> io::Result<(Result<Vec<u8>, Silence>, bool)> {
        loop {
            let living = self.reap()?;
            if self.exit.is_some() && (!living || services_alone()) {
                let answer = match (self.silence, self.exit) {
                    (Some(silence), _) => Err(silence),
                    (None, Some(Exit::Code(0)) | None) => Ok(self.ear.heard().to_vec()),
                    (None, Some(exit)) => Err(Silence::Ended(exit)),
                };
                return Ok((answer, living));
            }
            self.look_at_time()?;
            self.hear(shim)?;
        }
    }

    /// Takes all children that have ended. `true`: there are others.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match process::reap()? {
                Reaped::Child(pid, exit) if pid == self.leader && self.exit.is_none() => {
                    // What it has said before its end counts, what others say after it does not.
                    self.listen()?;
                    self.exit = Some(exit);
                    self.until = None;
                    self.deadline = None;
                    self.kill_at.get_or_insert_with(clock::monotonic);
                }
                Reaped::Child(..) => {}
                Reaped::Living => return Ok(true),
                Reaped::NoChildren => return Ok(false),
            }
        }
    }

    fn look_at_time(&mut self) -> io::Result<()> {
        let now = clock::monotonic();
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if passed(self.until) {
            self.end(Silence::Late);
        }
        if self
            .deadline
            .as_ref()
            .map_or(Ok(false), Deadline::has_passed)?
        {
            self.end(Silence::CalledOff(Cause::Deadline));
        }
        if passed(self.kill_at) {
            if self.exit.is_none() {
                process::kill_group(self.leader);
            }
            left().iter().for_each(process::Found::kill);
            self.kill_at = now.checked_add(KILL_AGAIN);
        }
        Ok(())
    }

    fn hear(&mut self, shim: &mut Shim) -> io::Result<()> {
        let now = clock::monotonic();
        let times = [self.until, self.kill_at];
        let times = times.into_iter().flatten();
        let waits = times.map(|at| at.saturating_duration_since(now));
        let again = self.deadline.as_ref().and_then(Deadline::look_again);
        let wait = waits.chain(again).min();
        let ear = self.ear.fd().filter(|_| self.is_heard());
        let timer = self.deadline.as_ref().map(AsFd::as_fd);
        let others: Vec<_> = ear.into_iter().chain(timer).collect();
        shim.hear(&others, wait)?;
        if let Some(cause) = shim.called_off {
            self.end(Silence::CalledOff(cause));
        }
        if self.is_heard() {
            self.listen()?;
        }
        Ok(())
    }

    fn is_heard(&self) -> bool {
        self.exit.is_none() && self.silence.is_none()
    }

    fn listen(&mut self) -> io::Result<()> {
        if !self.ear.listen()? {
            self.end(Silence::Endless);
        }
        Ok(())
    }

    /// Ends it at once. The first cause counts, and none after its own end.
    fn end(&mut self, silence: Silence) {
        self.until = None;
        self.deadline = None;
        if self.exit.is_none() {
            self.silence.get_or_insert(silence);
            self.kill_at.get_or_insert_with(clock::monotonic);
        }
    }
}

/// What it reads on its stdin: the run as it was while the attempt was open, and how that ended.
fn question(order: &Order, decider: &Decider, ending: &Ending) -> io::Result<Vec<u8>> {
    let mut run: Value = serde_json::from_str(&decider.run)?;
    let attempts = run["attempts"].as_array_mut();
    let number = json!(order.attempt);
    let mut attempts = attempts.into_iter().flatten();
    if let Some(attempt) = attempts.find(|attempt| attempt["number"] == number) {
        attempt["pid"] = json!(ending.pid);
        attempt["started_at"] = json::time(ending.started_at);
        attempt["ended_at"] = json::time(ending.ended_at);
        attempt["outcome"] = json!(ending.outcome);
    }
    let question = json!({
        "version": VERSION,
        "run": run,
        "attempt": order.attempt,
        "outcome": ending.outcome,
        "stdout": json::bytes(&order.stdout),
        "stderr": json::bytes(&order.stderr),
    });
    Ok(format!("{question}\n").into_bytes())
}

/// The file of an output, made if it is not there. The command may have put anything in its place, and
/// a pipe would be waited for.
fn output(path: &[u8]) -> io::Result<File> {
    let path = bytes_path(path);
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => {
            let error = format!("{}: no file any more", path.display());
            Err(io::Error::other(error))
        }
        Ok(_) | Err(_) => append_private(path, false),
    }
}

/// Starts the shell that runs the decider's line, as the command was started; gives its pid.
fn spawn(
    starter: &mut Starter,
    order: &Order,
    decider: &Decider,
    stdio: [File; 3],
) -> io::Result<i32> {
    let mut environment = Environment::merged(&[&order.environment, &order.variables]);
    environment.retain(|variable| variable.key != NOT_FOR_DECIDERS);
    // The folder of the command, or the root when nobody can enter it any more.
    let _ = process::enter_folder(bytes_path(&order.cwd));
    let own_umask = set_umask(order.umask);
    let started = starter.start(&Program {
        file: Path::new("/bin/sh"),
        arguments: &Spec::shell(decider.line.as_bytes().to_vec()),
        environment: &environment,
        stdio: stdio.each_ref().map(AsFd::as_fd),
    });
    set_umask(own_umask);
    process::leave_folder();
    started
}
