//! The terminal that somebody looks at.

use std::io::IsTerminal;

/// The width of the terminal of stdout in columns; `None` when it is none or does not say.
pub fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Does `stream` take colour? Not without a terminal, not with NO_COLOR, not when it is dumb.
pub fn takes_colour(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !set("NO_COLOR") && !dumb
}
