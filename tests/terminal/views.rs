//! Every view at 80 and 200 columns, in colour and without, as files in `tests/golden/terminal`.
//!
//! Nothing in them may vary, so the runs are real ones, but their times are written over, and each view is
//! shown at the same time by a fake clock. The daemon stands still meanwhile.

use std::fmt::Write;

use crate::support::{Daemon, Home, Need, Tmux, assert_generated, skip, wait_until};

use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// 2026-01-15 12:00:00 UTC in milliseconds. The first run was stored a minute later.
const BEGIN: i64 = 1_768_478_400_000;

/// When all is looked at: seconds of what is told there change 48 s later.
const NOW: i64 = BEGIN + 2 * 3_600_000 + 12_000;

/// What is shown: a name, and the command.
const VIEWS: [(&str, &str); 20] = [
    ("status-succeeded", "retrier status 1"),
    ("status-failed", "retrier status 2"),
    ("status-stopped", "retrier status 3"),
    ("status-canceled", "retrier status 4"),
    ("status-delayed", "retrier status 5"),
    ("status-backing-off", "retrier status 6"),
    ("status-running", "retrier status 7"),
    ("status-queued", "retrier status 8"),
    ("list", "retrier list"),
    ("list-wide", "retrier list --wide --state failed"),
    ("list-since", "retrier list --since 2026-01-15T12:06:00Z"),
    ("list-empty", "retrier list --name nobody"),
    ("stats", "retrier stats --window 3h"),
    ("pool-list", "retrier pool list"),
    ("explain", "retrier explain --max-failures 4 --jitter 0"),
    ("explain-run", "retrier explain 6"),
    ("events", "retrier events 1"),
    ("doctor", "env RETRIER_DB=\"$OTHER\" retrier doctor"),
    ("help", "retrier help"),
    ("no-such-run", "retrier status 99"),
];

/// Runs in every state, stored by `home`, run by a daemon that stands still now.
fn runs_of_every_state(home: &Home) -> Daemon {
    let daemon = home.daemon();
    let nightly = "echo hi; echo more; exit $((RETRIER_ATTEMPT == 1 ? 3 : 0))";
    let run = |words: &str, line: &str| {
        home.run(words.split(' ').chain(["--jitter", "0", "--shell", line]))
    };
    let done = run("--name nightly --constant 50ms", nightly);
    assert_eq!(home.wait(done), 0);
    let sync = "echo \"sync: cannot reach db1.internal:5432\" >&2
        for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo \"  frame $n of attempt $RETRIER_ATTEMPT\" >&2; done
        exit 22";
    let failed = run("--max-attempts 14 --constant 10ms", sync);
    assert_eq!(home.wait(failed), 22);
    let stopped = run(
        "--stop-on 3 --name import",
        "printf 'row\\t12: \\033[31mbad\\n'; exit 3",
    );
    assert_eq!(home.wait(stopped), 3);
    let delayed = |hours| {
        home.run([
            "--delay",
            hours,
            "--",
            "curl",
            "-fsS",
            "https://example.com/",
        ])
    };
    let canceled = delayed("1h");
    let cancel = home.retrier(["cancel", &canceled.to_string()]);
    cancel.output().ok();
    delayed("2h");
    let refused = "echo 'rsync: connection refused' >&2; exit 10";
    let backs_off = run("--constant 3h", refused);
    let attempts = |id| home.status(id)["attempts"].clone();
    wait_until("it backs off", LONG, || {
        attempts(backs_off)[0]["ended_at"].is_string()
    });
    let running = home.run(["--constant", "5s", "--jitter", "0", "--", "sleep", "600"]);
    wait_until("it runs", LONG, || attempts(running)[0]["pid"].is_i64());
    for verb in ["set", "pause"] {
        home.retrier(["pool", verb, "mail"]).output().ok();
    }
    let wide = [
        "--to",
        "日本語の長い名前です",
        "it's",
        "a very long argument that goes on and on",
    ];
    home.run(
        ["--no-check", "--pool", "mail", "--", "./send"]
            .iter()
            .chain(&wide),
    );
    daemon.pause();
    daemon
}

/// Writes over what varies: times, pids, folders.
fn make_stable(home: &Home) {
    let db = rusqlite::Connection::open(home.db()).expect("it is there");
    let started = format!("({BEGIN} + run_id * 60000 + number * 10000)");
    let sql = format!(
        "UPDATE run SET created_at = {BEGIN} + id * 60000, cwd = CAST('/srv/shop' AS BLOB),
             finished_at = iif(finished_at IS NULL, NULL, {BEGIN} + id * 60000 + 300000),
             due_at = iif(due_at IS NULL, NULL,
                 iif(stage = 'scheduled', {NOW} + (id - 4) * 3600000 + 50000, {BEGIN} + id * 60000));
         UPDATE attempt SET started_at = {started}, pid = 4000 + number, was_due_at = {started} - 150,
             ended_at = iif(ended_at IS NULL, NULL, {started} + 1043 * number);
         UPDATE event SET at = {BEGIN} + run_id * 60000 + number * 1000,
             due_at = iif(due_at IS NULL, NULL, {BEGIN} + run_id * 60000 + number * 1000
                 + iif(number = 1, 0, 50));"
    );
    db.execute_batch(&sql).expect("the runs can be changed");
}

/// Shows each view under a line with its name, at the same time.
fn script(home: &Home, number: usize, settings: &str) -> String {
    let clock = home.path(format!("clock-{number}")).display().to_string();
    let other = home.path("other.db").display().to_string();
    let mut script = format!(
        "export RETRIER_FAKE_CLOCK='{clock}' OTHER='{other}'\n{settings}\n\
         view() {{\n\
             echo $(({NOW} - $(date +%s%3N))) > \"$RETRIER_FAKE_CLOCK\"\n\
             printf '=== %s\\n' \"$1\"\n\
             eval \"$2\"\n\
         }}\n"
    );
    for (name, command) in VIEWS {
        let _ = writeln!(script, "view {name} '{command}'");
    }
    script + "exit 0\n"
}

/// What stands under the line of this view.
#[track_caller]
fn of_view<'t>(shown: &'t str, name: &str) -> &'t str {
    let heading = format!("=== {name}\n");
    let (_, rest) = shown
        .split_once(&heading)
        .unwrap_or_else(|| panic!("no {name} in {shown}"));
    let end = rest.find("=== ").unwrap_or(rest.len());
    rest[..end].trim_end()
}

/// The text without its colours.
fn faded(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        plain += before;
        let code = after.split_once('>').filter(|(code, _)| {
            !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit() || b == b';')
        });
        rest = match code {
            Some((_, after)) => after,
            None => {
                plain.push('<');
                after
            }
        };
    }
    plain + rest
}

#[test]
fn every_view_is_what_the_files_show_at_every_width_and_without_colour() {
    if skip(Need::Tmux) {
        return;
    }
    let home = Home::new();
    let _daemon = runs_of_every_state(&home);
    make_stable(&home);
    let other = ["run", "--no-daemon-start", "--db"];
    let other = home.retrier(other).arg(home.path("other.db"));
    other.arg("--").arg("true").output().ok();
    let settings = ["", "export NO_COLOR=1", "export TERM=dumb"];
    let terminals = [80, 200].map(|columns| {
        settings.map(|settings| {
            let number = columns + settings.len();
            let script = script(&home, number, settings);
            Tmux::start(&home, (columns as u32, 50), &script)
        })
    });
    for terminal in terminals.iter().flatten() {
        assert_eq!(terminal.await_end(), 0, "{}", terminal.screen());
    }
    let shown = terminals.each_ref().map(|of_width| {
        let [colour, no_color, dumb] = of_width;
        (
            colour.history_in_colour(),
            [no_color, dumb].map(Tmux::history),
            [no_color, dumb].map(|plain| plain.history_in_colour()),
        )
    });
    let folder = home.path("").display().to_string();
    for (name, _) in VIEWS {
        let mut text = String::new();
        for ((colour, plain, painted), columns) in shown.iter().zip([80, 200]) {
            let [view, dumb] = plain.each_ref().map(|shown| of_view(shown, name));
            assert_eq!(view, dumb, "{name}: NO_COLOR and TERM=dumb differ");
            let colour = of_view(colour, name);
            assert_eq!(
                faded(colour).trim_end(),
                view,
                "{name}: more than the colour differs"
            );
            let _ = writeln!(text, "-- {columns} columns\n{view}");
            if faded(colour) != colour && columns == 80 {
                let _ = writeln!(text, "-- {columns} columns, in colour\n{colour}");
            }
            // What clap prints has bold letters, also on a terminal that is dumb.
            for painted in painted.iter().filter(|_| name != "help") {
                assert_eq!(
                    of_view(painted, name),
                    view,
                    "{name}: colour that nobody wants"
                );
            }
        }
        let text = text.replace(&folder, "/tmp/folder/");
        assert_generated(
            &format!("tests/golden/terminal/{name}.txt"),
            text.as_bytes(),
        );
    }
}

/// A person may say on the command line what the environment says for all programs.
#[test]
fn colour_is_what_the_command_line_says_else_what_the_environment_does() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    for (args, variables, is_coloured) in [
        (&["status", "1"][..], &[][..], false),
        (&["--color", "always", "status", "1"], &[], true),
        (
            &["status", "--color=always", "1"],
            &[("NO_COLOR", "1")],
            true,
        ),
        (&["status", "1"], &[("CLICOLOR_FORCE", "1")], true),
        (&["status", "1"], &[("CLICOLOR_FORCE", "0")], false),
        (
            &["status", "1"],
            &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
            false,
        ),
        (
            &["--color=never", "status", "1"],
            &[("CLICOLOR_FORCE", "1")],
            false,
        ),
        // Scripts read these.
        (&["--color=always", "list"], &[], false),
        (&["--color=always", "status", "--json", "1"], &[], false),
    ] {
        let mut call = home.retrier(args);
        for (name, value) in variables {
            call = call.env(name, value);
        }
        let has_colour = call.output().ok().stdout.contains(&0x1b);
        assert_eq!(has_colour, is_coloured, "{args:?} {variables:?}");
    }
    home.retrier(["--color", "red", "list"]).output().exits(2);
}
