//! A database of which a bit was flipped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::{Home, proof, seeded};

use super::bad_database::prepared;

/// Whatever a flipped bit does to the database: nobody crashes, nobody hangs, and who refuses says why.
#[test]
fn flipped_bits_crash_nobody() {
    let mut random = seeded("flipped_bits_crash_nobody");
    let whole = prepared();
    let bytes = fs::read(whole.db()).expect("it is there");
    let header = (0..100).step_by(7);
    let anywhere: Vec<usize> = (0..proof::repetitions(25, 160))
        .map(|_| random.usize(100..bytes.len()))
        .collect();
    let somewhere = header.chain(anywhere);
    let mut places: Vec<(usize, u8)> = somewhere.map(|at| (at, 1 << random.u8(0..8))).collect();
    // Every bit of the layout's number, and the lowest byte of the program's.
    let numbers = (60..64).chain([71]);
    places.extend(numbers.flat_map(|at| (0..8).map(move |bit| (at, 1 << bit))));
    let times = places.len();
    std::thread::scope(|scope| {
        for part in places.chunks(places.len() / 3) {
            let bytes = &bytes;
            scope.spawn(move || {
                for (at, bit) in part {
                    let mut flipped = bytes.clone();
                    flipped[*at] ^= bit;
                    look_at_flipped(&flipped, &format!("bit {bit} of byte {at} flipped"));
                }
            });
        }
    });
    proof::holds("T15", times, &[]);
}

fn look_at_flipped(flipped: &[u8], what: &str) {
    let home = Home::new();
    fs::write(home.db(), flipped).expect("there is room");
    fs::set_permissions(home.db(), fs::Permissions::from_mode(0o600)).expect("it is ours");
    let readers = [
        &["list"][..],
        &["status", "1"],
        &["explain", "1"],
        &["logs", "1"],
        &["stats"],
        &["stats", "--prometheus"],
        &["pool", "list"],
        &["wait", "--timeout", "10ms", "1"],
        &["status", "--key", "k"],
        &["retry", "--all-failed", "--dry-run"],
    ];
    let writers = [
        &["run", "--no-daemon-start", "--", "true"][..],
        &["cancel", "2"],
        &["cancel", "--all"],
        &["cleanup", "1"],
        &["pool", "set", "mail", "--rate", "1/s"],
        &["pool", "pause", "--all"],
    ];
    for verb in readers.into_iter().chain(writers) {
        let said = home.retrier(verb).limit(Duration::from_secs(20)).output();
        let known = [0, 1, 3, 4, 5, 124, 125];
        assert!(known.contains(&said.code), "{what}, {verb:?}: {said:?}");
        assert!(
            !said.error_text().contains("panicked"),
            "{what}, {verb:?}: {said:?}"
        );
        assert!(
            said.code == 0 || !said.stderr.is_empty(),
            "{what}, {verb:?}: {said:?}"
        );
        if readers.contains(&verb) {
            let now = fs::read(home.db()).expect("it is there");
            assert!(now == flipped, "{what}: {verb:?} has written to it");
        }
    }
    // It may have a run that is never due; then only a signal ends it.
    let daemon = home
        .sh("timeout -s TERM -k 15 0.3 retrier daemon --until-idle=1ms")
        .output();
    assert!([0, 1, 124].contains(&daemon.code), "{what}: {daemon:?}");
    assert!(
        !daemon.error_text().contains("panicked"),
        "{what}: {daemon:?}"
    );
}
