//! A panic is a defect of the program. It is told like every other error, without a backtrace, whatever
//! the environment asks for; what was committed before it is as safe as after a kill.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::text::escape_text;

use super::out;

/// Has a panic tell what is wrong, and where, on stderr or in the daemon's log.
pub fn tell() {
    panic::set_hook(Box::new(|info| {
        let message = format!("a defect: {}", words(info));
        if tracing::dispatcher::has_been_set() {
            tracing::error!("{}", escape_text(&message));
        } else {
            out::error(&message, Some(HINT));
        }
    }));
}

/// What to do about it.
const HINT: &str =
    "what is stored is safe; please report this line and what `retrier --version` prints";

/// What `act` gives, or `code` if it panics, which was told by then.
pub fn caught<T>(code: T, act: impl FnOnce() -> T) -> T {
    // Nothing that it has used is used afterwards.
    panic::catch_unwind(AssertUnwindSafe(act)).unwrap_or(code)
}

fn words(info: &PanicHookInfo<'_>) -> String {
    let what = payload(info.payload());
    match info.location() {
        Some(place) => format!("{what} ({}:{})", place.file(), place.line()),
        None => what.to_owned(),
    }
}

fn payload(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no words")
}
