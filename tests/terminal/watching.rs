//! `list --watch` and `status --watch`: drawn again and again, and gone without a trace.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Home, Need, Tmux, skip};

/// A shell that is not ended by the Ctrl-C that its command is to get.
fn shell(command: &str) -> String {
    format!("trap : INT\necho before\n{command}\necho end $?\n")
}

#[test]
fn a_list_that_is_watched_follows_what_happens_and_the_size_of_the_terminal() {
    if skip(Need::Tmux) {
        return;
    }
    let home = Home::new();
    let store = || home.run(["--no-daemon-start", "--delay", "1h", "--", "echo", "a b"]);
    store();
    let terminal = Tmux::start(&home, (80, 12), &shell("retrier list --watch=200ms"));
    let shown = terminal.await_screen("one run is listed", |screen| {
        screen.contains(" 1  scheduled  ") && screen.contains("echo 'a b'")
    });
    let first = shown.lines().next().unwrap_or_default();
    assert!(
        first.starts_with("retrier list  every 200ms, Ctrl-C ends  "),
        "{shown}"
    );
    assert!(!shown.contains("before"), "{shown}");
    for _ in 0..11 {
        store();
    }
    let full = terminal.await_screen("the others come", |screen| {
        screen.contains("12  scheduled  ") && screen.ends_with("\n4 more lines")
    });
    assert_eq!(full.lines().count(), 12, "{full}");
    terminal.resize((50, 8));
    let narrow = terminal.await_screen("it follows the size", |screen| {
        screen.ends_with("\n8 more lines") && !screen.contains("ATTEMPTS")
    });
    assert!(narrow.lines().count() <= 8, "{narrow}");
    terminal.resize((80, 8));
    home.run(["--", "sleep", "600"]);
    for _ in 0..8 {
        store();
    }
    terminal.await_screen("what runs comes first", |screen| {
        let first = screen.lines().nth(3).unwrap_or_default();
        first.starts_with("13  running  ")
    });
    home.retrier(["cancel", "--all"]).output().ok();
    terminal.await_screen("the cancel is seen", |screen| screen.contains("canceled"));
    terminal.type_keys("C-c");
    assert_eq!(terminal.await_end(), 0);
    assert_eq!(terminal.history(), "before\nend 130");
}

#[test]
fn a_page_that_is_watched_follows_its_run_and_ends_with_sigterm() {
    if skip(Need::Tmux) {
        return;
    }
    let home = Home::new();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    let pid = home.path("pid");
    let keep = format!("echo before\necho $$ >'{}'", pid.display());
    let script = format!("{keep}\nexec retrier status --watch=200ms 1\n");
    let terminal = Tmux::start(&home, (80, 20), &script);
    let shown = terminal.await_screen("the page is there", |screen| {
        screen.contains("run 1  scheduled\n")
    });
    assert!(shown.contains("\nnext      retrier retry 1 "), "{shown}");
    home.retrier(["cancel", "1"]).output().ok();
    terminal.await_screen("the cancel is seen", |screen| {
        screen.contains("run 1  canceled\n")
    });
    let pid = std::fs::read_to_string(pid).expect("it was written before");
    let pid = pid.trim().parse().expect("a pid is a number");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it is alive");
    assert_eq!(terminal.await_end(), 143);
    assert_eq!(terminal.history(), "before");
}

/// Stopped by its default it would leave the shell a screen without a cursor.
#[test]
fn a_page_that_is_watched_steps_aside_for_ctrl_z() {
    if skip(Need::Tmux) {
        return;
    }
    let home = Home::new();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    let watch = "set -m\nretrier status --watch=200ms 1\necho aside\nread line\nfg >/dev/null";
    let terminal = Tmux::start(&home, (80, 20), &shell(watch));
    let is_page = |screen: &str| screen.contains("run 1  scheduled\n");
    terminal.await_screen("the page is there", is_page);
    terminal.type_keys("C-z");
    terminal.await_screen("the page is put aside", |screen| {
        screen.starts_with("before\n") && screen.contains("aside") && !is_page(screen)
    });
    terminal.type_keys("Enter");
    terminal.await_screen("the page is back", is_page);
    terminal.type_keys("C-c");
    assert_eq!(terminal.await_end(), 0);
    let left = terminal.history();
    assert!(
        left.starts_with("before\n") && left.ends_with("end 130"),
        "{left}"
    );
}

#[test]
fn what_cannot_be_redrawn_is_not_watched() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    for args in [&["list", "--watch"][..], &["status", "--watch", "1"]] {
        let refused = home.retrier(args).env("TERM", "xterm").output().exits(2);
        assert_eq!(refused.text(), "");
        let told = refused.error_text();
        assert!(told.contains("--watch needs a terminal"), "{told}");
        assert!(told.contains("hint: "), "{told}");
    }
    let mixed = home
        .retrier(["list", "--watch", "--json"])
        .output()
        .exits(2);
    assert!(
        mixed.error_text().contains("--json"),
        "{}",
        mixed.error_text()
    );
    home.retrier(["list", "--watch=x"]).output().exits(2);
}
