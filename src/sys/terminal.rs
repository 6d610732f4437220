//! The terminal that somebody looks at.

use std::env;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::OnceLock;

/// Who asked for colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// Nobody: it is for terminals.
    #[default]
    Auto,
    /// It is wanted wherever the output goes.
    Always,
    /// It is not wanted.
    Never,
}

static CHOICE: OnceLock<Colour> = OnceLock::new();

/// Remembers what was asked for on the command line; the first word counts.
pub fn choose_colour(choice: Colour) {
    let _ = CHOICE.set(choice);
}

/// The width of the terminal of stdout in columns; `None` when it is none or does not say.
pub fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Columns and rows of the terminal behind `stream`; `None` when it is none or does not say.
pub fn size(stream: impl AsFd) -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns > 0 && rows > 0).then_some((columns, rows))
}

/// Does `stream` take colour? As the command line says; else not with NO_COLOR; else as
/// CLICOLOR_FORCE says; else if it is a terminal that is not dumb.
pub fn takes_colour(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    match CHOICE.get().copied().unwrap_or_default() {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if set("NO_COLOR").is_some() => false,
        Colour::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        Colour::Auto => stream.is_terminal() && !is_dumb(),
    }
}

/// Can `stream` be drawn on: is it a terminal on which the cursor moves?
pub fn can_redraw(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb() && env::var_os("TERM").is_some()
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Do programs write UTF-8 here? So say LC_ALL, else LC_CTYPE, else LANG.
pub fn is_utf8() -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
    let mut values = names.filter_map(env::var_os);
    let value = values.find(|value| !value.is_empty()).unwrap_or_default();
    let value = value.to_string_lossy().to_ascii_lowercase();
    value.contains("utf-8") || value.contains("utf8")
}
