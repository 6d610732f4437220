//! The JSON values that leave retrier: what a hook reads on its stdin and `--json` prints.
//!
//! Bytes that are not UTF-8 become `{"base64": …}`; times are RFC 3339 in UTC with milliseconds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::model::{RunResult, Timestamp};

/// A string, or an object with the key `base64` when the bytes are not UTF-8.
pub fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// RFC 3339 in UTC with milliseconds, such as `2026-01-31T23:59:59.123Z`; a time that has no such
/// form is the number of milliseconds since 1970.
pub fn time(at: Timestamp) -> Value {
    match rfc3339(at) {
        Some(text) => json!(text),
        None => json!(at.millis()),
    }
}

/// See [`time`]; `None` for a year that RFC 3339 cannot write.
pub fn rfc3339(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.millis()).ok()?;
    Some(format!("{at:.3}"))
}

/// The `result` of a finished run, tagged by `type`.
pub fn result(result: &RunResult) -> Value {
    match result {
        RunResult::Success { return_value } => {
            json!({ "type": result.word(), "return_value": bytes(return_value) })
        }
        RunResult::Failed { error, reason } => {
            json!({ "type": result.word(), "error": error, "reason": reason })
        }
        RunResult::Canceled => json!({ "type": result.word() }),
    }
}
