//! The lines for a crontab, executed by Debian's cron: in a mount namespace with a spool, a mail program and an empty
//! `/etc/crontab` of its own, so that the machine's cron and mail have no part in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::{Kitchen, LONG, with, write};
use crate::crash::tools::{Gate, wait_until_state};
use crate::support::{Home, Need, Running, holds_within, readme_block, skip, wait_until};

/// cron begins with the next minute.
const MINUTE: Duration = Duration::from_secs(100);

/// Starts cron with this crontab of root, in the folder `cron`; mails go into `cron/mails`.
fn start(kitchen: &Kitchen, crontab: &str) -> Running {
    let folder = kitchen.home.path("cron");
    for part in ["spool/crontabs", "sbin", "mails"] {
        fs::create_dir_all(folder.join(part)).expect("the temp folder can be written");
    }
    write(&folder.join("empty"), "", 0o644);
    write(&folder.join("spool/crontabs/root"), crontab, 0o600);
    fs::copy("/usr/sbin/cron", folder.join("sbin/cron")).expect("cron is there");
    let mails = folder.join("mails");
    let mail = format!(
        "#!/bin/sh\nset -e\n{{ echo \"$*\"; cat; }} > '{0}/new.'$$\nmv '{0}/new.'$$ '{0}/mail.'$$\n",
        mails.display()
    );
    write(&folder.join("sbin/sendmail"), &mail, 0o755);
    let line = "set -e
        cd \"$CRON\"
        mount --bind spool /var/spool/cron
        mount --bind empty /etc/crontab
        mount -t tmpfs none /etc/cron.d
        mount -t tmpfs none /run
        mount --bind sbin /usr/sbin
        cd /
        exec /usr/sbin/cron -f";
    let call = kitchen.home.sh("exec unshare --mount sh -c \"$LINE\"");
    call.env("CRON", &folder).env("LINE", line).spawn()
}

/// The mails that were sent, each with the arguments of the mail program as its first line.
fn mails(kitchen: &Kitchen) -> Vec<String> {
    let folder = fs::read_dir(kitchen.home.path("cron/mails")).expect("it was made");
    let sent = folder.flatten().map(|entry| entry.path());
    let sent = sent.filter(|path| path.file_stem().is_some_and(|stem| stem == "mail"));
    let read = |path| fs::read_to_string(path).expect("a mail is text");
    sent.map(read).collect()
}

/// Has cron nothing to do at the moment? It waits for each line that it has started, and mails what that has said.
fn rests(cron: &Running) -> bool {
    let children = format!("/proc/{0}/task/{0}/children", cron.pid());
    let children = fs::read_to_string(children).expect("cron is alive");
    children.trim().is_empty()
}

/// The two recipes' lines, each of them twice, for every minute.
fn crontab(kitchen: &Kitchen) -> String {
    let (path, db) = (kitchen.path(), kitchen.home.db().display().to_string());
    let path = [("/home/u/.cargo/bin:/usr/bin:/bin", path.as_str())];
    let lines = |recipe: &str, lines: usize| {
        let text = with(&readme_block(recipe), &path);
        let cut = text.trim_end().rsplit_once('\n');
        let cut = cut.expect("its last line is cron's, above it are variables");
        assert_eq!(cut.0.lines().count(), lines, "{text}");
        (cut.0.to_owned(), cut.1.to_owned())
    };
    let (path, keyed) = lines("recipe: cron-key", 1);
    let (head, mailed) = lines("recipe: cron-mail", 2);
    assert!(head.starts_with(&path));
    let keyed = with(&keyed, &[("*/5 *", "* *")]);
    let mailed = with(
        &mailed,
        &[("0 7 *", "* * *"), ("--max-failures 8", "--max-failures 1")],
    );
    let broken = with(&mailed, &[("report --daily", "broken --daily")]);
    format!("RETRIER_DB={db}\n{head}\n{keyed}\n{keyed}\n{mailed}\n{broken}\n")
}

/// The lines around it, with what is to be done at a time done every minute.
fn care(kitchen: &Kitchen) -> String {
    let copy = kitchen.home.path("copy.db").display().to_string();
    let lines = with(
        &readme_block("recipe: cron-care"),
        &[
            ("/home/u/.cargo/bin:/usr/bin:/bin", &kitchen.path()),
            ("17 *", "* *"),
            ("30 3", "* *"),
            ("/home/u/retrier-copy.db", &copy),
        ],
    );
    format!("RETRIER_DB={}\n{lines}", kitchen.home.db().display())
}

#[test]
fn cron_goes_on_after_a_reboot_and_mails_what_is_wrong() {
    if skip(Need::Root) || skip(Need::Namespaces) || skip(Need::Cron) {
        return;
    }
    let kitchen = Kitchen::new(Home::new());
    let home = &kitchen.home;
    let id = home.run(["--no-daemon-start", "--", "true"]);
    let cron = start(&kitchen, &care(&kitchen));
    // Nobody has called a verb that starts a daemon.
    wait_until("the daemon of the reboot runs it", LONG, || {
        home.state(id) == "succeeded"
    });
    let copy = home.path("copy.db");
    wait_until("a copy is made", MINUTE, || copy.exists());
    wait_until("the lines have ended", LONG, || rests(&cron));
    assert_eq!(mails(&kitchen), [""; 0]);
    // Where something is wrong, the next minute's mail says so.
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(home.path("retrier.db.d/logs"), open).expect("it is ours");
    wait_until("a mail comes", MINUTE, || !mails(&kitchen).is_empty());
    let mail = mails(&kitchen).remove(0);
    for part in [
        "To: you@example.com\n",
        "retrier doctor\n",
        "is open to others",
    ] {
        assert!(mail.contains(part), "no {part:?} in\n{mail}");
    }
}

#[test]
fn cron_starts_no_line_beside_itself_and_mails_what_has_failed_for_good() {
    if skip(Need::Root) || skip(Need::Namespaces) || skip(Need::Cron) {
        return;
    }
    let home = Home::new();
    let gate = Gate::new(&home, "gate");
    let kitchen = Kitchen::new(home);
    let home = &kitchen.home;
    let real = env!("CARGO_BIN_EXE_retrier");
    kitchen.program("retrier", &format!("exec '{real}' \"$@\""));
    kitchen.program("rsync", &gate.line());
    kitchen.program("report", "echo not yet >&2; test \"$RETRIER_ATTEMPT\" = 2");
    kitchen.program("broken", "echo half of it; echo no disk >&2; exit 9");
    let cron = start(&kitchen, &crontab(&kitchen));
    let called = |program: &str| {
        let calls = kitchen.calls().into_iter();
        calls.filter(|call| call.starts_with(program)).count()
    };
    wait_until("cron has started a line", MINUTE, || {
        called("retrier run") > 0
    });
    // It has its lines in memory by now, and looks at its spool before it begins anew: no second round.
    fs::remove_file(home.path("cron/spool/crontabs/root")).unwrap();
    wait_until("it has started all", LONG, || called("retrier run") == 4);
    wait_until("all lines have ended", LONG, || {
        rests(&cron) && called("rsync") == 1
    });
    assert_eq!((called("report"), called("broken")), (2, 2));
    let mails = mails(&kitchen);
    let [mail] = &mails[..] else {
        panic!("{} mails: {mails:#?}", mails.len());
    };
    for part in [
        " you@example.com\n",
        "To: you@example.com\n",
        "\nSubject: Cron <",
        " -- broken --daily\n",
        "failed (exhausted)\n",
        "\ncommand   broken --daily\n",
        "\nattempts  2\n",
        "exit 9, then a wait of ",
        "\nstdout of attempt 2\n  half of it\n",
        "\nstderr of attempt 2\n  no disk\n",
    ] {
        assert!(mail.contains(part), "no {part:?} in\n{mail}");
    }
    // The second line with the key has ended long ago, and stored nothing.
    let stored = home.retrier(["list", "--json"]).output().ok().text();
    assert_eq!(stored.lines().count(), 3, "{stored}");
    let keyed = home
        .retrier(["status", "--json", "--key", "sync"])
        .output()
        .ok()
        .json();
    assert_eq!(keyed["state"], "running");
    gate.open();
    wait_until_state(home, keyed["id"].as_i64().unwrap(), "succeeded");
    let twice = || called("rsync") > 1;
    assert!(!holds_within(Duration::from_millis(300), twice));
}
