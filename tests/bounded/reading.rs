//! Reading an output while its middle goes, and one that its command has treated in its own way.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use super::{LIMIT, extent, parts, run_bounded, stdout, wait_until_cut};
use crate::crash::tools::{Gate, LONG};
use crate::support::{Home, holds_within, wait_until};

/// Somebody who reads so slowly that what comes next is gone each time before he gets there.
#[test]
fn a_slow_follower_is_told_what_he_has_missed_and_never_reads_a_hole() {
    const FLOOD: u64 = 20_000_000;
    let home = Home::new();
    let _daemon = home.daemon();
    let gates: Vec<Gate> = (0..4)
        .map(|n| Gate::new(&home, &format!("gate.{n}")))
        .collect();
    let flood = format!("yes 0123456789 | head -c {FLOOD}");
    let lines: Vec<String> = gates
        .iter()
        .map(|gate| format!("{}; {flood}", gate.line()))
        .collect();
    let id = run_bounded(&home, &[], &lines.join("; "));
    let mut follower = home.command();
    let mut follower = follower
        .args(["logs", "-f", "--stdout", &id.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary under test can be started");
    let mut pipe = follower.stdout.take().expect("stdout is piped");
    let mut shown = Vec::new();
    for (n, gate) in (1..).zip(&gates) {
        gate.open();
        let mut some = vec![0; 300_000];
        pipe.read_exact(&mut some).expect("he is followed");
        shown.extend(some);
        // He is in the middle of a write meanwhile.
        wait_until_cut(&home, id, n * FLOOD);
    }
    pipe.read_to_end(&mut shown).expect("it ends");
    assert!(follower.wait().expect("it is a child").success());

    assert!(!shown.contains(&0), "a hole was passed on");
    let (parts, counts) = parts(&shown);
    assert!((2..=8).contains(&counts.len()), "{counts:?}");
    let digits = |byte: &u8| byte.is_ascii_digit() || *byte == b'\n';
    assert!(parts.iter().flatten().all(digits));
    // Of the line ends, some were put before what tells of a gap.
    let kept = parts.iter().map(Vec::len).sum::<usize>() as u64;
    let all = counts.iter().sum::<u64>() + kept;
    let length = 4 * FLOOD;
    assert!(
        (length..=length + counts.len() as u64).contains(&all),
        "{all}"
    );
}

#[test]
fn a_follower_who_keeps_up_misses_nothing() {
    const FLOOD: u64 = 1_500_000;
    let home = Home::new();
    let _daemon = home.daemon();
    let gates: Vec<Gate> = (0..3)
        .map(|n| Gate::new(&home, &format!("gate.{n}")))
        .collect();
    let line = |gate: &Gate| format!("head -c 500000 /dev/zero | tr '\\0' x; {}", gate.line());
    let line = gates.iter().map(line).collect::<Vec<_>>().join("; ");
    let id = run_bounded(&home, &[], &line);
    let follower = home.retrier(["logs", "-f", &id.to_string()]).spawn();
    for (n, gate) in (1..).zip(&gates) {
        wait_until("he is up to date", LONG, || {
            follower.stdout_so_far().len() == n * 500_000
        });
        gate.open();
    }
    let shown = follower.wait_within(LONG).ok().stdout;
    assert!(shown == vec![b'x'; FLOOD as usize]);
    let late = home.retrier(["logs", &id.to_string()]).output().ok();
    assert_eq!(parts(&late.stdout).1.len(), 1);
}

/// Gives what `logs` prints to somebody who reads `first` bytes and then, whenever it has blocked, lets the next gate
/// open and the output grow.
fn read_between(home: &Home, id: i64, first: usize, grow: &mut dyn FnMut(usize)) -> Vec<u8> {
    let mut reader = home.command();
    let mut reader = reader
        .args(["logs", "--stdout", &id.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary under test can be started");
    let mut pipe = reader.stdout.take().expect("stdout is piped");
    let mut shown = Vec::new();
    for (n, count) in [first, LIMIT as usize / 2].into_iter().enumerate() {
        let mut some = vec![0; count];
        pipe.read_exact(&mut some).expect("there is as much");
        shown.extend(some);
        grow(n);
    }
    pipe.read_to_end(&mut shown).expect("it ends");
    assert!(reader.wait().expect("it is a child").success());
    shown
}

/// A command that goes on writing would keep them for ever.
#[test]
fn logs_print_what_there_was_when_they_began_or_the_tail_when_they_came_to_it() {
    const PIECE: u64 = 5_000_000;
    for limit in [LIMIT, 0] {
        let home = Home::new();
        let _daemon = home.daemon();
        let gates = [0, 1].map(|n| Gate::new(&home, &format!("gate.{n}")));
        let piece = format!("yes | head -c {PIECE}");
        let [one, two] = gates.each_ref().map(Gate::line);
        let line = format!("{piece}; {one}; {piece}; {two}; {piece}");
        let limit_text = limit.to_string();
        let id = home.run(["--max-output", &limit_text, "--shell", &line]);
        let await_length = |length| {
            wait_until("it has grown", LONG, || {
                let (found, taken) = extent(&stdout(&home, id));
                found == length && (limit == 0 || taken <= limit)
            });
        };
        await_length(PIECE);
        let shown = read_between(&home, id, 100_000, &mut |n| {
            gates[n].open();
            await_length((n as u64 + 2) * PIECE);
        });
        assert!(!shown.contains(&0));
        let (parts, counts) = parts(&shown);
        let kept = parts.iter().map(Vec::len).sum::<usize>() as u64;
        if limit == 0 {
            assert_eq!((kept, counts.len()), (PIECE, 0));
            continue;
        }
        // The head, a part of the tail of two pieces, and nothing of the third.
        assert_eq!((counts.len(), parts[0].len()), (2, LIMIT as usize / 2));
        assert!(!parts[1].is_empty() && parts[2].is_empty());
        let tail_of_three = 3 * PIECE - LIMIT / 2;
        let all = kept + counts.iter().sum::<u64>();
        assert!(
            (tail_of_three..tail_of_three + 8192).contains(&all),
            "{all}"
        );
    }
}

#[test]
fn holes_of_the_commands_own_are_zeros_and_what_it_cuts_off_is_not_made_up() {
    let home = Home::new();
    let _daemon = home.daemon();
    let gate = Gate::new(&home, "gate");
    let after = |line: &str| format!("yes | head -c 5000000; {}; {line}", gate.line());
    let own = run_bounded(&home, &[], "truncate -s 900000 /proc/self/fd/1; echo end");
    let anew = run_bounded(&home, &[], &after(": >/dev/stdout; echo anew"));
    let shorter = run_bounded(
        &home,
        &[],
        &after("truncate -s 3000000 /proc/self/fd/1; echo end"),
    );
    for id in [anew, shorter] {
        wait_until_cut(&home, id, 5_000_000);
    }
    gate.open();
    let shown = |id| {
        assert_eq!(home.wait(id), 0);
        parts(&home.retrier(["logs", &id.to_string()]).output().ok().stdout)
    };
    let (parts, counts) = shown(own);
    assert!(counts.is_empty(), "{counts:?}");
    assert!(parts[0] == [&vec![0; 900_000][..], b"end\n"].concat());
    assert_eq!(shown(anew), (vec![b"anew\n".to_vec()], vec![]));
    let (parts, counts) = shown(shorter);
    assert_eq!(counts.len(), 1);
    assert!(parts[0] == b"y\n".repeat(LIMIT as usize / 4));
    // Its last block is all that was written since, but for what filled up the block.
    let tail = &parts[1];
    assert!(
        tail.ends_with(b"end\n") && tail.len() <= 4096,
        "{}",
        tail.len()
    );
    let length = counts[0] + (parts[0].len() + tail.len()) as u64;
    assert_eq!(length, 3_000_004);
}

#[test]
fn a_filesystem_that_cannot_give_anything_back_is_told_of_once_and_nothing_fails() {
    let home = Home::new();
    let crash =
        "output_probe:1:err=EOPNOTSUPP,output_probe:2:err=EOPNOTSUPP,shim_cutting:1:err=EOPNOTSUPP";
    let daemon = home.daemon_with(&[], &[("RETRIER_CRASH", crash)]);
    let gate = Gate::new(&home, "gate");
    let id = run_bounded(
        &home,
        &[],
        &format!("yes | head -c 4000000; {}", gate.line()),
    );
    let path = stdout(&home, id);
    wait_until("it is written", LONG, || extent(&path).0 == 4_000_000);
    let cut = holds_within(Duration::from_millis(1200), || extent(&path).1 < 4_000_000);
    gate.open();
    assert_eq!(home.wait(id), 0);
    assert!(!cut && extent(&path).1 >= 4_000_000);
    let shown = home.retrier(["logs", &id.to_string()]).output().ok().stdout;
    let (_, counts) = parts(&shown);
    assert_eq!(counts.len(), 1);
    assert_eq!(home.wait(run_bounded(&home, &[], "true")), 0);
    let told = daemon.errors().matches("cannot give back").count();
    assert_eq!(told, 1, "{}", daemon.errors());
}
