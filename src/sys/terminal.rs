//! The terminal that somebody looks at.

/// The width of the terminal of stdout in columns; `None` when it is none or does not say.
pub fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
