//! A real terminal: a private server of tmux with one window, whose screen can be read.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::call::Output;
use super::home::Home;

/// How long a screen may take to show what it is to show.
const LIMIT: Duration = Duration::from_secs(30);

/// Nobody's own settings; a window stays when its program has ended, and shows nothing of that.
const SETTINGS: &str = "set -g status off\n\
    set -g remain-on-exit on\n\
    set -g remain-on-exit-format ''\n\
    set -g history-limit 100000\n\
    set -g default-terminal tmux-256color\n";

/// Its server ends with it, asked at its own socket.
#[derive(Debug)]
pub struct Tmux<'h> {
    home: &'h Home,
    socket: PathBuf,
    /// Into which the exit code of its program is written.
    end: PathBuf,
}

impl<'h> Tmux<'h> {
    /// A terminal of so many columns and rows in which a shell carries out `script`, with `retrier` in
    /// its PATH, in UTF-8 and UTC.
    #[track_caller]
    pub fn start(home: &'h Home, (columns, rows): (u32, u32), script: &str) -> Tmux<'h> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = |name: &str| home.path(format!("tmux-{number}{name}"));
        let (settings, file) = (path(".conf"), path(".sh"));
        fs::write(&settings, SETTINGS).expect("the temp folder can be written");
        fs::write(&file, script).expect("the temp folder can be written");
        let tmux = Tmux {
            home,
            socket: path(""),
            end: path(".end"),
        };
        // tmux itself does not always come to know the code.
        let line = format!(
            "-u -f {} new-session -d -x {columns} -y {rows} 'trap : INT; sh {}; echo $? >{}'",
            settings.display(),
            file.display(),
            tmux.end.display()
        );
        tmux.call(&line).ok();
        tmux
    }

    /// What stands on the screen, without blanks at the ends of lines and lines at its end.
    #[track_caller]
    pub fn screen(&self) -> String {
        self.capture("")
    }

    /// All that ever stood on it and was not cleared, broken where the terminal has broken it.
    #[track_caller]
    pub fn history(&self) -> String {
        self.capture("-S - -E -")
    }

    /// The same with its colours, each as its number in pointed brackets.
    #[track_caller]
    pub fn history_in_colour(&self) -> String {
        let text = self.capture("-e -S - -E -");
        let mut parts = text.split("\x1b[");
        let mut shown = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (code, rest) = part.split_once('m').expect("it is a colour");
            // Versions of tmux end a colour in their own ways.
            let code = if ["39", "49"].contains(&code) {
                "0"
            } else {
                code
            };
            let ends_twice = code == "0" && shown.ends_with("<0>");
            shown += &if ends_twice {
                String::new()
            } else {
                format!("<{code}>")
            };
            shown += rest;
        }
        shown
    }

    #[track_caller]
    fn capture(&self, how: &str) -> String {
        let shown = self.call(&format!("capture-pane -p {how}")).ok();
        let text = String::from_utf8(shown.stdout).expect("the terminal is in UTF-8");
        text.trim_end().to_owned()
    }

    /// Waits until the screen passes `test`, and returns it.
    #[track_caller]
    pub fn await_screen(&self, what: &str, test: impl Fn(&str) -> bool) -> String {
        let mut seen = String::new();
        let shown = super::wait::holds_within(LIMIT, || {
            seen = self.screen();
            test(&seen)
        });
        assert!(shown, "not within {LIMIT:?}: {what}; the screen is\n{seen}");
        seen
    }

    /// Waits until its program has ended and all that it wrote is on the screen; returns its exit code.
    #[track_caller]
    pub fn await_end(&self) -> i32 {
        let mut code = String::new();
        let ended = super::wait::holds_within(LIMIT, || {
            code = fs::read_to_string(&self.end).unwrap_or_default();
            code.ends_with('\n') && self.is_closed()
        });
        assert!(ended, "has not ended within {LIMIT:?}: {}", self.screen());
        code.trim().parse().expect("an exit code is a number")
    }

    /// Has everybody closed the terminal, and has all been read that was written to it?
    fn is_closed(&self) -> bool {
        let told = self.call("display-message -p '#{pane_dead}'");
        told.ok().text() == "1"
    }

    /// Types these keys, as tmux names them.
    #[track_caller]
    pub fn type_keys(&self, keys: &str) {
        self.call(&format!("send-keys {keys}")).ok();
    }

    /// Gives it another size.
    #[track_caller]
    pub fn resize(&self, (columns, rows): (u32, u32)) {
        self.call(&format!("resize-window -x {columns} -y {rows}"))
            .ok();
    }

    fn call(&self, line: &str) -> Output {
        let line = format!("unset TMUX; exec tmux -S {} {line}", self.socket.display());
        let call = self.home.sh(line);
        call.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").output()
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        self.call("kill-server");
    }
}
