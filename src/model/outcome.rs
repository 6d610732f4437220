//! How an attempt ended, and what became of the run.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::run::Reason;

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Outcome {
    /// The command exited by itself.
    Exit {
        /// Its exit code.
        code: u8,
    },
    /// A signal that retrier did not send ended the command.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel wrote a core file.
        core: bool,
    },
    /// It ran longer than its timeout and was ended.
    Timeout,
    /// The run's deadline passed while it ran, and it was ended.
    Deadline,
    /// The run was canceled while it ran, and it was ended.
    Canceled,
    /// The command could not be executed.
    Spawn {
        /// 127 when it was not found, 126 otherwise.
        code: u8,
        /// What failed, in words.
        error: String,
    },
    /// Nobody saw how it ended: its shim was killed, or the machine went down.
    Lost,
    /// A planned stop cut it short.
    Interrupted,
}

impl Outcome {
    /// The exit code that stands for this outcome, as `timeout(1)` and a shell would give it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exit { code } | Self::Spawn { code, .. } => *code,
            Self::Signal { signal, .. } => u8::try_from(128 + signal).unwrap_or(255),
            Self::Timeout | Self::Deadline => 124,
            Self::Canceled => 130,
            Self::Lost | Self::Interrupted => 125,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit { code } => write!(f, "exit {code}"),
            Self::Signal { signal, core: true } => write!(f, "signal {signal} (core dumped)"),
            Self::Signal {
                signal,
                core: false,
            } => write!(f, "signal {signal}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Deadline => f.write_str("deadline"),
            Self::Canceled => f.write_str("canceled"),
            Self::Spawn { error, .. } => write!(f, "spawn: {error}"),
            Self::Lost => f.write_str("lost"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// What became of a finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunResult {
    /// The last attempt succeeded.
    Success {
        /// The head of its stdout, at most [`RunResult::RETURN_VALUE_MAX`] bytes.
        return_value: Vec<u8>,
    },
    /// It will not be tried again.
    Failed {
        /// What the command said of it, or else the last attempt's outcome in words.
        error: String,
        /// Why it is not tried again.
        reason: Reason,
    },
    /// Somebody canceled it.
    Canceled,
}

impl RunResult {
    /// How many bytes of a successful attempt's stdout are stored as the return value.
    pub const RETURN_VALUE_MAX: usize = 64 * 1024;

    /// The word for this result in JSON and in `RETRIER_RESULT`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Success { .. } => "success",
            Self::Failed { .. } => "failed",
            Self::Canceled => "canceled",
        }
    }
}
