//! The copy that is kept of an earlier layout: whole, told of once, never replaced, and without it nothing is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::{NEWEST, beside, content, lay, layout, listed, number};
use crate::support::{Home, Need, skip};

#[test]
fn an_earlier_layout_is_kept_as_it_was_and_told_of_once() {
    for earlier in 1..NEWEST {
        let home = Home::new();
        lay(&home, earlier);
        let before = content(home.db());
        let first = home.retrier(["list"]).output().ok();
        let kept = home.path(format!("retrier.db.d/before-layout-{NEWEST}.db"));
        let note = format!("it is kept in {}", kept.display());
        assert!(first.error_text().contains(&note), "{first:?}");
        assert_eq!(first.error_text().lines().count(), 1, "{first:?}");
        assert_eq!(layout(&kept), earlier);
        assert!(content(&kept) == before, "layout {earlier}");
        let mode = fs::metadata(&kept).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let second = home.retrier(["list"]).output().ok();
        assert_eq!(second.error_text(), "");
        assert_eq!(second.stdout, first.stdout);
    }
}

#[test]
fn a_new_database_and_one_of_the_newest_layout_are_not_copied() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    assert!(beside(&home, "before").is_empty());
    let home = Home::new();
    lay(&home, NEWEST);
    assert_eq!(home.retrier(["list"]).output().ok().error_text(), "");
    assert!(beside(&home, "before").is_empty());
}

#[test]
fn a_daemon_that_meets_an_earlier_layout_logs_where_it_is_kept() {
    let home = Home::new();
    lay(&home, 3);
    let mut daemon = home.daemon_with(&["--retention", "0"], &[]);
    let said = daemon.errors();
    assert!(said.contains("has a new layout"), "{said}");
    assert!(said.contains("before-layout-5.db"), "{said}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_kept_copy_of_another_state_stays_beside_the_new_one() {
    let home = Home::new();
    lay(&home, 1);
    listed(&home);
    let first = beside(&home, "before");
    let bytes = fs::read(&first[0]).expect("it is there");
    // Somebody puts another database there.
    for file in ["retrier.db", "retrier.db-wal", "retrier.db-shm"] {
        fs::remove_file(home.path(file)).expect("it is there");
    }
    lay(&home, 2);
    let before = content(home.db());
    listed(&home);
    let kept = beside(&home, "before");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(fs::read(&first[0]).expect("it is there"), bytes);
    let second = home.path("retrier.db.d/before-layout-5.2.db");
    assert!(content(&second) == before);
}

#[test]
fn the_kept_copy_is_a_database_that_can_be_put_back() {
    let home = Home::new();
    lay(&home, 2);
    let golden = listed(&home);
    let kept = fs::read(home.path("retrier.db.d/before-layout-5.db")).expect("it is there");
    let back = Home::new();
    fs::write(back.db(), kept).expect("there is room");
    fs::set_permissions(back.db(), fs::Permissions::from_mode(0o600)).expect("it is ours");
    assert_eq!(listed(&back), golden);
}

#[test]
fn without_room_for_the_copy_an_earlier_layout_stays_as_it_is() {
    if skip(Need::LoopMount) {
        return;
    }
    let home = Home::new();
    lay(&home, 1);
    let before = content(home.db());
    fs::create_dir(home.path("retrier.db.d")).expect("there is room");
    fs::set_permissions(home.path("retrier.db.d"), fs::Permissions::from_mode(0o700))
        .expect("it is ours");
    let disk = home.mount("retrier.db.d", 2);
    fs::create_dir(disk.path("shims")).expect("there is room");
    fs::write(disk.path("migration"), "").expect("there is room");
    disk.fill();
    for verb in [&["list"][..], &["run", "--", "true"], &["daemon"]] {
        let refused = home.retrier(verb).output().exits(1);
        let said = refused.error_text();
        assert!(
            said.contains("a copy of it cannot be kept: the disk of "),
            "{said}"
        );
        assert!(said.contains("is full\nhint: free as much room"), "{said}");
        assert!(refused.stdout.is_empty());
    }
    assert_eq!(layout(home.db()), 1);
    assert!(content(home.db()) == before);
    let left = beside(&home, "");
    let left: Vec<_> = left
        .iter()
        .filter(|path| path.to_string_lossy().contains("before"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    disk.free();
    listed(&home);
    assert_eq!(layout(home.db()), NEWEST);
}

/// Spoils the histories, which no change of the layout looks into; gives what the file holds then.
pub fn damage(home: &Home) -> Vec<u8> {
    let database = Connection::open(home.db()).expect("it is a database");
    let whole = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy = database.query_row(whole, [], |row| row.get::<_, i64>(0));
    assert_eq!(busy.expect("nobody is in the way"), 0);
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'event'";
    let (root, size) = (
        number(&database, root),
        number(&database, "PRAGMA page_size"),
    );
    drop(database);
    let mut bytes = fs::read(home.db()).expect("it is there");
    let start = ((root - 1) * size) as usize;
    bytes[start..start + 64].fill(0x5a);
    fs::write(home.db(), &bytes).expect("there is room");
    bytes
}

#[test]
fn a_damaged_earlier_layout_is_refused_before_anything_is_changed() {
    let home = Home::new();
    lay(&home, 3);
    let damaged = damage(&home);
    let refused = home.retrier(["list"]).output().exits(1);
    let said = refused.error_text();
    assert!(said.contains("is damaged"), "{said}");
    assert_eq!(fs::read(home.db()).expect("it is there"), damaged);
    assert!(beside(&home, "before").is_empty());
}
