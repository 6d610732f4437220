//! `retrier run`: what it prints, what it refuses, and that the command gets what the caller gave.

mod environment;
mod options;
mod variables;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::time::Duration;

use crate::support::{Home, Output, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// The most bytes of one argument or one variable, without its NUL (execve(2)).
const STRING_MAX: usize = 131_071;

/// `retrier run ARGS`, without starting a daemon.
fn submit(home: &Home, args: &[&str]) -> Output {
    let call = home.retrier(["run", "--no-daemon-start"].iter().chain(args));
    call.output()
}

fn assert_nothing_stored(home: &Home) {
    assert_eq!(home.retrier(["list"]).output().ok().text(), "");
}

#[test]
fn the_id_alone_is_printed() {
    let home = Home::new();
    let stored = submit(&home, &["--", "true"]).ok();
    assert_eq!(stored.stdout, b"1\n");
    assert_eq!(stored.error_text(), "");
    let stored = submit(&home, &["--json", "--", "true"]).ok();
    assert_eq!(
        stored.json(),
        serde_json::json!({"version": 1, "id": 2, "stored": true})
    );
    let started = home.retrier(["run", "-q", "--", "true"]).output().ok();
    assert_eq!(started.stdout, b"3\n");
    assert_eq!(started.error_text(), "");
}

#[test]
fn without_a_daemon_start_no_process_is_left_and_the_next_daemon_runs_it() {
    let home = Home::new();
    assert_eq!(submit(&home, &["--", "echo", "ran"]).ok().text(), "1");
    assert_eq!(home.processes(), []);
    assert_eq!(home.state(1), "queued");
    let _daemon = home.daemon();
    assert_eq!(home.wait(1), 0);
    assert_eq!(home.retrier(["logs", "1"]).output().ok().text(), "ran");
}

#[test]
fn a_command_that_cannot_be_executed_is_refused_like_by_a_shell() {
    let home = Home::new();
    let plain = home.path("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    let plain = plain.display().to_string();
    let folder = home.path("home").display().to_string();
    for (code, command) in [
        (127, "no-such-program-here"),
        (127, "/no/such/program"),
        (127, "./missing"),
        (127, ""),
        (126, &plain),
        (126, &folder),
    ] {
        for wait in [&[][..], &["--wait"]] {
            let args = [wait, &["--", command]].concat();
            let refused = submit(&home, &args).exits(code);
            assert_eq!(refused.stdout, b"");
            assert!(refused.error_text().contains(command), "{command}");
        }
    }
    // Found by PATH, but only a file that cannot be executed.
    let call = home.retrier(["run", "--", "plain"]);
    call.env("PATH", home.path("")).output().exits(126);
    assert_nothing_stored(&home);
    assert_eq!(home.processes(), []);
}

#[test]
fn without_a_check_it_is_stored_and_its_attempts_fail_to_spawn_until_it_is_there() {
    let home = Home::new();
    let _daemon = home.daemon();
    let late = home.path("late").display().to_string();
    let args = ["run", "--no-check", "--max-failures", "0", "--wait", "--"];
    for (code, command) in [(127, "no-such-program-here"), (127, late.as_str())] {
        home.retrier(args).arg(command).output().exits(code);
    }
    let outcome = &home.status(1)["attempts"][0]["outcome"];
    assert_eq!(
        (&outcome["type"], &outcome["code"]),
        (&"spawn".into(), &127.into())
    );

    let id = home.run(["--no-check", "--constant", "50ms", "--forever", "--", &late]);
    wait_until("it has failed", LONG, || home.status(id)["failures"] != 0);
    fs::write(home.path("new"), "#!/bin/sh\necho at last\n").unwrap();
    fs::set_permissions(home.path("new"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(home.path("new"), &late).unwrap();
    let waited = home.retrier(["wait", &id.to_string()]).output().ok();
    assert_eq!(waited.text(), "at last");
}

#[test]
fn the_longest_argument_and_variable_of_the_kernel_arrive() {
    let home = Home::new();
    let _daemon = home.daemon();
    let line = "printf '%s %s' ${#1} ${#LONG}";
    let call = home.retrier(["run", "--wait", "--", "sh", "-c", line, "sh"]);
    let call = call.arg("x".repeat(STRING_MAX));
    let value = "y".repeat(STRING_MAX - "LONG=".len());
    let ran = call.env("LONG", &value).output().ok();
    assert_eq!(ran.text(), format!("{STRING_MAX} {}", value.len()));
}

/// The kernel lets the call itself pass, and would refuse the command at every attempt: retrier's variables come on
/// top of what the caller has.
#[test]
fn arguments_that_are_too_long_together_are_refused_at_once() {
    let home = Home::new();
    // A call may take a quarter of its stack: here 1 MiB.
    let line = "ulimit -s 4096; exec retrier run --no-daemon-start -- true $(cat \"$WORDS\")";
    let call = |words: usize| {
        let word = format!("{} ", "x".repeat(1000));
        fs::write(home.path("words"), word.repeat(words)).unwrap();
        let call = home.sh(format!(
            "env -i PATH=\"$PATH\" RETRIER_DB=\"$RETRIER_DB\" \
            WORDS=\"$WORDS\" sh -c '{line}'"
        ));
        call.env("WORDS", home.path("words")).output()
    };
    call(900).ok();
    let refused = call(1030).exits(2);
    assert!(
        refused.error_text().contains("too long"),
        "{}",
        refused.error_text()
    );
    assert_eq!(home.retrier(["list"]).output().text().lines().count(), 1);
}

#[test]
fn arguments_environment_and_folder_arrive_byte_for_byte() {
    let home = Home::new();
    let _daemon = home.daemon();
    let all: Vec<u8> = (1..=255).collect();
    let folder = home.path(OsStr::from_bytes(b"a\xff\n\xc3("));
    fs::create_dir(&folder).unwrap();
    // The last command keeps the shell from becoming `cat` itself.
    let line = "cat /proc/$$/cmdline /proc/$$/environ; readlink -n /proc/$$/cwd; true";
    let words = ["/bin/sh", "-c", line, "--wait", "-x", ""].map(OsString::from);
    let words = [&words[..], &[OsString::from_vec(all.clone())]].concat();
    let mut call = home.retrier(["run", "--wait", "--"]);
    for word in &words {
        call = call.arg(word);
    }
    let call = call.env("BYTES", OsStr::from_bytes(&all));
    let call = call.env(
        OsStr::from_bytes(b"odd \xfe"),
        OsStr::from_bytes(b"\xfe\n="),
    );
    let seen = call.cwd(&folder).output().ok().stdout;

    let cmdline: Vec<u8> = words
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect();
    assert!(
        seen.starts_with(&cmdline),
        "{}",
        String::from_utf8_lossy(&seen)
    );
    assert!(seen.ends_with(&[b"\0", folder.as_os_str().as_bytes()].concat()));
    for variable in [[b"BYTES=", &all[..]].concat(), b"odd \xfe=\xfe\n=".to_vec()] {
        let entry = [b"\0", &variable[..], b"\0"].concat();
        let found = seen.windows(entry.len()).any(|window| window == entry);
        assert!(found, "{}", String::from_utf8_lossy(&variable));
    }
}

#[test]
fn the_environment_is_the_callers_or_with_no_env_four_variables() {
    let home = Home::new();
    let _daemon = home.daemon();
    let environ = |args: &[&str]| {
        let call = home.retrier(["run", "--wait"].iter().chain(args));
        let call = call.arg("--").arg("cat").arg("/proc/self/environ");
        let call = call.env("OWN", "caller's").env("USER", "somebody");
        let text = call.output().ok().text();
        let variables = text.split_terminator('\0').map(str::to_owned);
        let mut all: Vec<String> = variables.filter(|v| !v.starts_with("RETRIER_")).collect();
        all.sort();
        all
    };
    let keys = |variables: &[String]| -> Vec<String> {
        let keys = variables
            .iter()
            .filter_map(|v| Some(v.split_once('=')?.0.to_owned()));
        keys.collect()
    };
    let plain = environ(&[]);
    assert!(plain.contains(&"OWN=caller's".to_owned()), "{plain:?}");
    let set = environ(&["--env", "OWN=a=b", "--env", "NEW=", "--env", "NEW=2"]);
    assert!(set.contains(&"OWN=a=b".to_owned()) && set.contains(&"NEW=2".to_owned()));
    assert_eq!(set.len(), plain.len() + 1, "{set:?}");
    let bare = environ(&["--no-env"]);
    assert_eq!(keys(&bare), ["HOME", "PATH", "SHELL", "USER"]);
    assert!(bare.contains(&"USER=somebody".to_owned()), "{bare:?}");
    let bare = environ(&["--no-env", "--env", "NEW=1"]);
    assert_eq!(keys(&bare), ["HOME", "NEW", "PATH", "SHELL", "USER"]);
}

#[test]
fn every_attempt_reads_the_captured_input_from_its_start() {
    let home = Home::new();
    let _daemon = home.daemon();
    let of_file: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let of_pipe: Vec<u8> = of_file.iter().rev().copied().collect();
    fs::write(home.path("input"), &of_file).unwrap();
    let path = home.path("input").display().to_string();
    let line = "head -c 5 >/dev/null; cat; test $RETRIER_ATTEMPT = 3";
    let args = ["--constant", "100ms", "--shell", line, "--stdin"];
    let from_file = home.run(args.iter().chain(&[path.as_str()]));
    fs::write(&path, "changed after the call").unwrap();
    let call = home.retrier(["run"].iter().chain(&args)).arg("-");
    let from_pipe = call.stdin(of_pipe.clone()).output().ok().text();
    for (id, input) in [(from_file, of_file), (from_pipe.parse().unwrap(), of_pipe)] {
        assert_eq!(home.wait(id), 0);
        for attempt in ["1", "2", "3"] {
            let call = home.retrier(["logs", &id.to_string(), "--attempt", attempt]);
            assert!(call.output().ok().stdout == input[5..], "{id}.{attempt}");
        }
    }
    let call = home.retrier(["run", "--wait", "--shell", "cat; readlink /proc/self/fd/0"]);
    let ran = call.stdin("not asked for").output().ok();
    assert_eq!(ran.text(), "/dev/null");
}

#[test]
fn an_input_of_sixteen_mebibytes_is_kept_and_a_byte_more_is_refused() {
    let home = Home::new();
    let input = home.path("input");
    let file = fs::File::create(&input).unwrap();
    file.set_len((16 << 20) + 1).unwrap();
    let input = input.display().to_string();
    let refused = submit(&home, &["--stdin", &input, "--", "wc", "-c"]).exits(1);
    assert!(
        refused.error_text().contains("16 MiB"),
        "{}",
        refused.error_text()
    );
    let pipe = home.sh("retrier run --stdin - -- wc -c < \"$INPUT\"");
    pipe.env("INPUT", &input).output().exits(1);
    submit(&home, &["--stdin", "/no/such/file", "--", "true"]).exits(1);
    assert_nothing_stored(&home);
    file.set_len(16 << 20).unwrap();
    let call = home.retrier(["run", "--wait", "--stdin", &input, "--", "wc", "-c"]);
    assert_eq!(call.output().ok().text(), "16777216");
}

#[test]
fn a_shell_line_is_run_by_sh() {
    let home = Home::new();
    let call = home.retrier([
        "run",
        "--wait",
        "--shell",
        "echo \"$0 a'b\" | tr a-z A-Z; exit 3",
    ]);
    let ran = call.arg("--max-failures").arg("0").output().exits(3);
    assert_eq!(ran.text(), "/BIN/SH A'B");
    let command = &home.status(1)["command"];
    assert_eq!(
        (&command[0], &command[1]),
        (&"/bin/sh".into(), &"-c".into())
    );
}

#[test]
fn a_folder_can_be_named_and_must_be_there() {
    let home = Home::new();
    let folder = home.path("home").canonicalize().unwrap();
    let call = home.retrier([
        "run",
        "--wait",
        "--cwd",
        "home",
        "--",
        "readlink",
        "/proc/self/cwd",
    ]);
    let ran = call.cwd(home.path("")).output().ok();
    assert_eq!(ran.text(), folder.display().to_string());
    let file = home.db().display().to_string();
    for wrong in ["/no/such/folder", file.as_str()] {
        submit(&home, &["--cwd", wrong, "--", "true"]).exits(1);
    }
    assert_eq!(home.retrier(["list"]).output().text().lines().count(), 1);
}

#[test]
fn without_a_home_the_database_is_looked_for_where_the_user_database_says() {
    let home = Home::new();
    let line = "exec env -i \"$(command -v retrier)\" status 4000000000";
    let told = home.sh(line).output().exits(3).error_text();
    assert!(told.contains("/.local/state/retrier/retrier.db"), "{told}");
    let line =
        "exec env -i XDG_STATE_HOME=\"$1\" \"$(command -v retrier)\" run --no-daemon-start -- true";
    let state = home.path("state");
    let call = home.sh(format!("set -- '{}'; {line}", state.display()));
    assert_eq!(call.output().ok().text(), "1");
    assert!(state.join("retrier/retrier.db").exists());
}

#[test]
fn when_no_daemon_can_be_started_the_run_is_stored_all_the_same() {
    let home = Home::new();
    let log = home.path("retrier.db.d/daemon.log");
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(&log).unwrap();
    let stored = home.retrier(["run", "--", "true"]).output().ok();
    assert_eq!(stored.stdout, b"1\n");
    let told = stored.error_text();
    assert!(
        told.contains("warning") && told.contains("daemon.log"),
        "{told}"
    );
    let waited = home.retrier(["run", "--wait", "--", "true"]).output();
    assert_eq!(waited.exits(125).stdout, b"");
    assert_eq!(
        (home.state(1), home.state(2)),
        ("queued".into(), "queued".into())
    );
    fs::remove_dir(log).unwrap();
    assert_eq!((home.wait(1), home.wait(2)), (0, 0));
}
