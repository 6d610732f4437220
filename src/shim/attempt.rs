//! One attempt: start the command, keep its timeout, end its tree, say how it ended.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::clock;
use crate::model::{Outcome, Testimony, Timestamp};
use crate::sys::files::remove_if_there;
use crate::sys::process::{Exit, Reaped};
use crate::sys::spawn::bytes_path;
use crate::sys::{failpoint, process};

use super::bound::Bound;
use super::deadline::Deadline;
use super::order::{Cause, Order};
use super::program::Shim;
use super::record::{Ending, Stage, error_text};
use super::start::{Unstarted, start};
use super::testimony::{ask, snoozes};

/// A command that runs longer than this has its pid reported at once; a shorter one with its end.
const REPORT_AFTER: Duration = Duration::from_millis(20);

/// How often what survives SIGKILL is looked for again: a process may be forking meanwhile, or
/// hang in the kernel.
const KILL_AGAIN: Duration = Duration::from_millis(50);

/// An attempt on its way.
pub struct Attempt<'a> {
    order: &'a Order,
    started_at: Timestamp,
    /// The command's pid and group.
    leader: i32,
    /// Why it is being ended, when it is.
    cause: Option<Cause>,
    /// How and when the command itself ended.
    exit: Option<(Exit, Timestamp)>,
    report_at: Option<Instant>,
    timeout_at: Option<Instant>,
    /// Until it has passed, or the command has ended.
    deadline: Option<Deadline>,
    /// When the next SIGKILL is sent; set once the tree is being ended.
    kill_at: Option<Instant>,
    /// What else is said of it, once it has ended.
    said: Option<Box<Testimony>>,
}

impl<'a> Attempt<'a> {
    /// The attempt that `order` asks for.
    pub fn new(order: &'a Order) -> Self {
        Self {
            order,
            started_at: clock::now(),
            leader: 0,
            cause: None,
            exit: None,
            report_at: None,
            timeout_at: None,
            deadline: None,
            kill_at: None,
            said: None,
        }
    }

    /// Runs it to its end and gives the last stage. Errors: this process cannot wait any more.
    pub fn run(mut self, shim: &mut Shim) -> io::Result<Stage> {
        match self.order.deadline_at.map(Deadline::new).transpose() {
            Ok(deadline) => self.deadline = deadline,
            Err(error) => {
                let error = error_text(&format!("the deadline's timer: {error}"));
                return Ok(Stage::NotStarted { error });
            }
        }
        // What was called off while the order was on its way is not started.
        self.hear(shim, Some(Duration::ZERO))?;
        if self.cause.is_some() {
            return Ok(self.ending(self.outcome(), None, false));
        }
        match start(&mut shim.starter, self.order) {
            Ok((pid, outputs)) => {
                self.leader = pid;
                let limit = self.order.max_output;
                shim.bound = limit.map(|limit| Bound::new(limit, outputs));
            }
            Err(Unstarted::Ours(error)) if failpoint::has_bug("charges_shortage") => {
                let (code, error) = (126, error_text(&error.to_string()));
                return Ok(self.ending(Outcome::Spawn { code, error }, None, false));
            }
            Err(Unstarted::Ours(error)) => {
                // Before the report: the number of this attempt is free after it.
                remove_empty_output(self.order);
                let error = error_text(&error.to_string());
                return Ok(Stage::NotStarted { error });
            }
            Err(Unstarted::Command { code, error }) => {
                let error = error_text(&error);
                return Ok(self.ending(Outcome::Spawn { code, error }, None, false));
            }
        }
        failpoint::reach("shim_spawned")?;
        // That it may have run is recorded already, so a record that cannot be written now is no
        // reason to leave it alone.
        let _ = shim.tell(self.order, self.running(), false);
        failpoint::reach("shim_running")?;
        let now = clock::monotonic();
        self.report_at = now.checked_add(REPORT_AFTER);
        self.timeout_at = self.order.timeout.and_then(|limit| now.checked_add(limit));
        let leftover = self.supervise(shim)?;
        let pid = Some(self.leader);
        let (order, outcome) = (self.order, self.outcome());
        self.said.get_or_insert_with(|| ask(order, &outcome));
        Ok(self.ending(outcome, pid, leftover))
    }

    fn running(&self) -> Stage {
        Stage::Running {
            pid: self.leader,
            started_at: self.started_at,
        }
    }

    /// Waits until the command has ended, and with it what a failed one left behind. `true`:
    /// processes that a successful one left live on, or daemons.
    fn supervise(&mut self, shim: &mut Shim) -> io::Result<bool> {
        loop {
            let living = self.reap()?;
            match (self.exit, living) {
                (Some(_), false) => return Ok(false),
                (Some(_), true) if self.may_leave_others() || services_alone() => return Ok(true),
                (Some(_), true) => self.end_tree(),
                (None, _) => {}
            }
            self.look_at_time(shim);
            let times = [self.report_at, self.timeout_at, self.kill_at];
            let next = times.into_iter().flatten().min();
            let wait = next.map(|at| at.saturating_duration_since(clock::monotonic()));
            self.hear(shim, wait)?;
        }
    }

    /// May what the command has left behind live on? Not after a failure, and not when it asks to
    /// be run again, because that would be beside it.
    fn may_leave_others(&mut self) -> bool {
        let outcome = self.outcome();
        if !self.order.rules.is_success(&outcome) {
            return false;
        }
        // What those that live on write later must not count.
        self.said = Some(ask(self.order, &outcome)).filter(|said| !snoozes(said));
        self.said.is_some()
    }

    /// Waits for a child's end, a message or a deadline, and does what it asks for.
    fn hear(&mut self, shim: &mut Shim, mut wait: Option<Duration>) -> io::Result<()> {
        let deadline = self.deadline.as_ref();
        let again = deadline.and_then(Deadline::look_again);
        wait = wait.into_iter().chain(again).min();
        let timer: Vec<_> = deadline.map(AsFd::as_fd).into_iter().collect();
        shim.hear(&timer, wait)?;
        if let Some(cause) = shim.called_off {
            self.end(cause);
        }
        if let Some(deadline) = &self.deadline
            && deadline.has_passed()?
        {
            self.deadline = None;
            self.end(Cause::Deadline);
        }
        Ok(())
    }

    /// Takes all children that have ended. `true`: there are others.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match process::reap()? {
                Reaped::Child(pid, exit) if pid == self.leader && self.exit.is_none() => {
                    self.exit = Some((exit, clock::now_rounded_up()));
                    self.timeout_at = None;
                    self.deadline = None;
                    self.report_at = None;
                }
                Reaped::Child(..) => {}
                Reaped::Living => return Ok(true),
                Reaped::NoChildren => return Ok(false),
            }
        }
    }

    fn look_at_time(&mut self, shim: &mut Shim) {
        let now = clock::monotonic();
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if passed(self.report_at) {
            self.report_at = None;
            let _ = shim.tell(self.order, self.running(), true);
        }
        if passed(self.timeout_at) {
            self.timeout_at = None;
            self.end(Cause::Timeout);
        }
        if passed(self.kill_at) {
            if self.exit.is_none() {
                process::kill_group(self.leader);
            }
            left().iter().for_each(process::Found::kill);
            self.kill_at = now.checked_add(KILL_AGAIN);
        }
    }

    /// Ends the attempt for a cause. The first cause counts, and none after the command's own end.
    fn end(&mut self, cause: Cause) {
        if self.exit.is_none() {
            self.cause.get_or_insert(cause);
            self.end_tree();
        }
    }

    fn end_tree(&mut self) {
        if self.kill_at.is_none() {
            if self.exit.is_none() {
                process::terminate_group(self.leader);
            } else {
                let members = left();
                let members = members.iter().filter(|one| one.stat.group == self.leader);
                members.for_each(process::Found::terminate);
            }
            self.kill_at = clock::monotonic().checked_add(self.order.grace);
        }
    }

    fn outcome(&self) -> Outcome {
        match (self.cause, self.exit) {
            (Some(Cause::Timeout), _) => Outcome::Timeout,
            (Some(Cause::Deadline), _) => Outcome::Deadline,
            (Some(Cause::Canceled), _) => Outcome::Canceled,
            (Some(Cause::Interrupted), _) => Outcome::Interrupted,
            (None, Some((Exit::Code(code), _))) if failpoint::has_bug("masks_exit_codes") => {
                Outcome::Exit { code: code & 0x7f }
            }
            (None, Some((Exit::Code(code), _))) => Outcome::Exit { code },
            (None, Some((Exit::Signal(signal, core), _))) => Outcome::Signal { signal, core },
            (None, None) => Outcome::Lost,
        }
    }

    fn ending(&self, outcome: Outcome, pid: Option<i32>, leftover: bool) -> Stage {
        Stage::Ended(Ending {
            pid,
            started_at: self.started_at,
            ended_at: self.exit.map_or_else(clock::now_rounded_up, |(_, at)| at),
            outcome,
            stdout_len: size(&self.order.stdout),
            leftover,
            testimony: self.said.clone().unwrap_or_default(),
        })
    }
}

/// What lives of the attempt. When the command has ended and was reaped the number of its group
/// is free, and may be another group's by now: then they are signaled one by one.
pub(super) fn left() -> Vec<process::Found> {
    if failpoint::has_bug("ends_leaders_alone") {
        return Vec::new();
    }
    // What cannot be looked up now is looked up again in a moment.
    let left = process::descendants(std::process::id() as i32);
    left.unwrap_or_default().members
}

/// No file says the same as an empty one.
pub(super) fn remove_empty_output(order: &Order) {
    for path in [&order.stdout, &order.stderr] {
        if size(path) == 0 {
            let _ = remove_if_there(bytes_path(path));
        }
    }
}

/// The size of the file at `path`; none has none.
fn size(path: &[u8]) -> u64 {
    bytes_path(path).metadata().map_or(0, |found| found.len())
}

/// Is nothing left but daemons that the command has started, and what they have started? They serve
/// others too, so they are not ended with the attempt.
pub(super) fn services_alone() -> bool {
    process::descendants(std::process::id() as i32)
        .is_ok_and(|left| left.members.is_empty() && !left.services.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It would be run again beside them.
    #[test]
    fn what_lives_on_after_a_success_cannot_ask_for_a_snooze_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decision");
        let order = Order::deciding_in(&path);
        let ended = || {
            let mut attempt = Attempt::new(&order);
            attempt.exit = Some((Exit::Code(0), clock::now()));
            attempt
        };
        let mut attempt = ended();
        assert!(attempt.may_leave_others());
        std::fs::write(&path, r#"{"snooze":0}"#).unwrap();
        let said = attempt.said.expect("what was said is kept");
        assert!(!snoozes(&said));
        assert!(!ended().may_leave_others());
    }
}
