//! `--watch`: a page that is drawn again and again, on a screen of its own, until a signal comes.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::clock;
use crate::sys::poll::wait_readable;
use crate::sys::signal::{
    SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH, Signals, stop_self,
};
use crate::sys::terminal::{can_redraw, size};

use super::failure::{Failure, code};
use super::render::{self, Style};

/// It is not drawn more often than that.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// What follows are control functions of ECMA-48 and private modes of xterm, which every terminal that
/// calls itself by another name than `dumb` has. The screen that was there is put aside, the cursor is
/// not shown, lines that are too long are cut at the edge.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

/// Draws what `look` gives, under a line that names `what`, every `interval` and when the terminal gets
/// another size. Gives the exit code of the signal that ended it. Errors: there is no terminal that
/// can be drawn on; `look` fails.
pub fn watch(
    what: &str,
    interval: Duration,
    mut look: impl FnMut() -> anyhow::Result<String>,
) -> anyhow::Result<u8> {
    if !can_redraw(&io::stdout()) {
        let message = "--watch needs a terminal whose screen can be redrawn";
        bail!(Failure::new(code::USAGE, message).hint("without --watch it is printed once"));
    }
    let interval = interval.max(INTERVAL_MIN);
    let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH];
    let signals = Signals::catch(&signals).context("cannot catch signals")?;
    // What is wrong with the question is told on the screen that is there.
    let mut page = look()?;
    let mut screen = Screen::enter()?;
    loop {
        screen.draw(&heading(what, interval), &page)?;
        wait_readable(&[signals.as_fd()], Some(interval))?;
        for signal in signals.take() {
            match signal {
                SIGWINCH | SIGCONT => {}
                SIGTSTP => {
                    screen.leave();
                    stop_self()?;
                    screen = Screen::enter()?;
                }
                other => return Ok(code::of_signal(other)),
            }
        }
        page = look()?;
    }
}

fn heading(what: &str, interval: Duration) -> String {
    let style = Style::of_stdout();
    let at = clock::now();
    let time = render::short_time(at, at);
    let every = render::span(interval);
    let text = format!("{what}  every {every}, Ctrl-C ends  {time}");
    style.faint(&render::cut(
        &text,
        style.columns.unwrap_or(80),
        style.unicode,
    ))
}

/// The screen; it is given back when this is dropped.
struct Screen {
    is_ours: bool,
}

impl Screen {
    fn enter() -> anyhow::Result<Self> {
        let screen = Self { is_ours: true };
        write(ENTER)?;
        Ok(screen)
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.is_ours) {
            // There is nobody else to tell.
            let _ = write(LEAVE);
        }
    }

    /// Writes over what is there, so that nothing flickers.
    fn draw(&mut self, heading: &str, page: &str) -> anyhow::Result<()> {
        let (_, rows) = size(io::stdout()).unwrap_or((80, 24));
        let room = rows.saturating_sub(2).max(1);
        let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
        if lines.len() > room {
            let left_out = lines.len() - (room - 1);
            lines.truncate(room - 1);
            lines.push(format!("{left_out} more lines"));
        }
        // A line is cleared before it is written: at the edge that would take its last character away.
        let mut picture = format!("{HOME}{REST_OF_LINE}{heading}\r\n{REST_OF_LINE}");
        for line in &lines {
            picture += &format!("\r\n{REST_OF_LINE}{line}");
        }
        if lines.len() < room {
            picture += &format!("\r\n{REST_OF_SCREEN}");
        }
        write(&picture)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    written
        .and_then(|()| stdout.flush())
        .context("cannot write")
}
