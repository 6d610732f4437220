//! What a daemon tells a shim. Both are the same program file, so this format has no versions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{AttemptNumber, Environment, OutputLimit, Rules, RunId, Timestamp};

/// One message from the daemon.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Run this. The outcome of the attempt before is committed.
    Attempt(Box<Order>),
    /// End the tree of the attempt that runs.
    End(Cause),
    /// The last outcome is committed and nothing more will come: leave.
    Leave,
}

/// Why an attempt is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It ran longer than its timeout.
    Timeout,
    /// The deadline of its run has passed.
    Deadline,
    /// Its run was canceled.
    Canceled,
    /// A planned stop.
    Interrupted,
}

/// One attempt: what to run, and how.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The run.
    pub run: RunId,
    /// The number of the attempt.
    pub attempt: AttemptNumber,
    /// The program and its arguments.
    pub command: Vec<Vec<u8>>,
    /// The folder it starts in.
    pub cwd: Vec<u8>,
    /// The environment that was captured.
    pub environment: Environment,
    /// What retrier adds to it.
    pub variables: Environment,
    /// Its umask.
    pub umask: u32,
    /// The file that it reads from its stdin; `None` is /dev/null.
    pub stdin: Option<Vec<u8>>,
    /// The file for its stdout.
    pub stdout: Vec<u8>,
    /// The file for its stderr.
    pub stderr: Vec<u8>,
    /// The file into which it may write its decision.
    pub decision: Vec<u8>,
    /// Which outcomes are a success, and what to look for in its output.
    pub rules: Rules,
    /// Who is asked after the others.
    pub decider: Option<Decider>,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// When its run fails, whatever it does.
    pub deadline_at: Option<Timestamp>,
    /// How long it has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How much is kept of what it writes to each of its streams.
    pub max_output: Option<OutputLimit>,
}

/// The program that decides after a failed attempt.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Decider {
    /// What the shell runs.
    pub line: String,
    /// The run as JSON, with the attempt open.
    pub run: String,
}

impl Message {
    /// The message as bytes. Errors: none that an allocator survives.
    pub fn encode(&self) -> std::io::Result<Vec<u8>> {
        postcard::to_allocvec(self).map_err(std::io::Error::other)
    }

    /// The message of these bytes. Errors: they are none.
    pub fn decode(bytes: &[u8]) -> std::io::Result<Self> {
        postcard::from_bytes(bytes).map_err(std::io::Error::other)
    }
}

#[cfg(test)]
impl Order {
    /// The order of an attempt that has no output and may decide in the file at `path`.
    pub fn deciding_in(path: &std::path::Path) -> Self {
        Self {
            run: RunId(1),
            attempt: AttemptNumber(1),
            command: Vec::new(),
            cwd: b"/".to_vec(),
            environment: Environment::default(),
            variables: Environment::default(),
            umask: 0o022,
            stdin: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            decision: path.as_os_str().as_encoded_bytes().to_vec(),
            rules: Rules::default(),
            decider: None,
            timeout: None,
            deadline_at: None,
            grace: Duration::ZERO,
            max_output: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_sent_whatever_its_bytes() {
        let any: Vec<u8> = (0..=255).chain(0..=255).collect();
        let mut order = Order::deciding_in(std::path::Path::new("/decision"));
        order.command = vec![any.clone(), Vec::new()];
        order.environment = Environment(any.repeat(1000));
        order.variables.push(b"A", &[0xff]);
        order.stdin = Some(any);
        order.max_output = OutputLimit::new(OutputLimit::MAX);
        let message = Message::Attempt(Box::new(order));
        let bytes = message.encode().unwrap();
        assert_eq!(Message::decode(&bytes).unwrap(), message);
        assert!(Message::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
