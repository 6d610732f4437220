//! The store on a real SQLite file: who may use it, and that a change is written whole or not at
//! all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use retrier::model::{Environment, Event, Outcome, Policy, RunId, Spec, Start, Timestamp, next};
use retrier::store::{Access, Facts, Filter, Folder, Reader, Store, StoreError};
use retrier::sys::identity::World;
use rusqlite::Connection;

use crate::support::Home;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn folder(dir: &Path) -> Folder {
    Folder::of(&dir.join("retrier.db"))
}

fn store(folder: &Folder) -> Store {
    let place = folder.database().parent().expect("a file is in a folder");
    fs::create_dir_all(place).expect("there is room");
    let opened = Store::open(folder, Access::Create).expect("a new database can be made");
    opened.expect("it was to be made")
}

fn spec() -> Spec {
    Spec {
        command: vec![b"true".to_vec()],
        cwd: b"/".to_vec(),
        environment: Environment(b"A=1\0SECRET=hunter2\0".to_vec()),
        umask: 0o022,
        stdin: None,
        name: None,
        policy: Policy::default(),
        start: Start::Now,
        on_complete: Some(b"true".to_vec()),
        key: None,
        priority: 0,
        pool: "default".to_owned(),
        lock: None,
    }
}

fn everything(store: &Store) -> Vec<RunId> {
    let all = Filter {
        statuses: Vec::new(),
        name: None,
        pool: None,
        since: None,
        limit: 1000,
    };
    let listed = store
        .read()
        .list(&all, NOW)
        .expect("a database can be listed");
    listed.iter().map(|record| record.id).collect()
}

/// SQLite before 3.51.3 can corrupt a WAL database when a commit races a checkpoint.
#[test]
fn the_bundled_sqlite_has_the_fix_for_the_wal_reset() {
    let version: Vec<u32> = Store::sqlite_version()
        .split('.')
        .map(|part| part.parse().expect("a version is made of numbers"))
        .collect();
    assert!(version >= vec![3, 51, 3], "{version:?}");
}

/// Without the guard a second daemon, or the same one after a crash, would charge an ending twice
/// and enqueue its hook twice.
#[test]
fn the_same_answer_is_applied_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut store = store(&folder(dir.path()));
    let id = store.submit(&spec(), || NOW).expect("it is stored").id;
    let world = World::current().expect("/proc is there");
    let shim = world
        .identify(std::process::id() as i32)
        .expect("this process lives");
    let file = "1";
    let claim = Facts::Claim { file, shim: &shim };

    let pass = store.begin().expect("nobody else writes");
    let waiting = pass.read().run(id).expect("it is stored");
    let start = next(&waiting, &Event::Start { at: NOW }).expect("it is due");
    assert!(
        pass.apply(id, &waiting, &start, NOW, claim)
            .expect("it fits")
    );
    assert!(
        !pass
            .apply(id, &waiting, &start, NOW, claim)
            .expect("it is refused")
    );
    let running = pass.read().run(id).expect("it is stored");
    let outcome = Outcome::Exit { code: 0 };
    let attempt = running.state.open_attempt().expect("it was claimed");
    let ended = Event::Ended {
        at: NOW,
        attempt,
        outcome,
        testimony: Box::default(),
    };
    let end = next(&running, &ended).expect("it is open");
    for expected in [true, false, false] {
        let applied = pass.apply(id, &running, &end, NOW, Facts::None);
        assert_eq!(applied.expect("it is looked at"), expected);
    }
    pass.commit().expect("there is room");

    assert_eq!(
        everything(&store),
        [RunId(2), id],
        "one hook, for one ending"
    );
    assert_eq!(store.read().attempts(id).expect("they are stored").len(), 1);
}

/// The counts are written by the commit; whoever looks before it must not start more than there is
/// room for.
#[test]
fn a_pass_sees_what_it_has_counted() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut store = store(&folder(dir.path()));
    let id = store.submit(&spec(), || NOW).expect("it is stored").id;
    let world = World::current().expect("/proc is there");
    let shim = world.identify(std::process::id() as i32);
    let shim = shim.expect("this process lives");
    let counted = |read: Reader<'_>| {
        let pool = read.pool("default").expect("it is read");
        let pools = read.pools().expect("they are read");
        let gauge = pool.expect("it is there").gauge;
        assert_eq!(pools[0].gauge, gauge);
        assert_eq!(read.gauge().expect("it is read"), gauge);
        (gauge.ready, gauge.running)
    };
    let pass = store.begin().expect("nobody else writes");
    let waiting = pass.current(id).expect("it is stored");
    let start = next(&waiting.run, &Event::Start { at: NOW }).expect("it is due");
    let claim = Facts::Claim {
        file: "1",
        shim: &shim,
    };
    assert_eq!(counted(pass.read()), (1, 0));
    let applied = pass.apply_to(&waiting, &start, NOW, claim);
    assert!(applied.expect("it fits"));
    assert_eq!(counted(pass.read()), (0, 1));
    pass.commit().expect("there is room");
    assert_eq!(counted(store.read()), (0, 1));
}

#[test]
fn what_is_not_committed_never_was() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut store = store(&folder(dir.path()));
    let id = store.submit(&spec(), || NOW).expect("it is stored").id;
    let pass = store.begin().expect("nobody else writes");
    let before = pass.read().run(id).expect("it is stored");
    let canceled = next(&before, &Event::Cancel { at: NOW }).expect("it is waiting");
    assert!(
        pass.apply(id, &before, &canceled, NOW, Facts::None)
            .expect("it fits")
    );
    drop(pass);
    assert_eq!(store.read().run(id).expect("it is stored"), before);
    assert_eq!(
        everything(&store),
        [id],
        "no hook of an ending that was not committed"
    );
}

#[test]
fn many_make_the_same_database_at_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = folder(dir.path());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                store(&folder)
                    .submit(&spec(), || NOW)
                    .expect("it is stored")
            });
        }
    });
    assert_eq!(everything(&store(&folder)).len(), 16);
}

/// Each is refused by name and left as it was, byte by byte.
#[test]
fn files_that_are_not_ours_are_refused_and_not_touched() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    type Case = (&'static str, fn(&Path), fn(&StoreError) -> bool);
    let cases: [Case; 4] = [
        (
            "text",
            |path| fs::write(path, "no database ".repeat(1000)).expect("it can be written"),
            |error| matches!(error, StoreError::NotOurs { .. }),
        ),
        (
            "another program's",
            |path| {
                let other = Connection::open(path).expect("it can be made");
                other
                    .execute_batch("CREATE TABLE t (x)")
                    .expect("it can be changed");
            },
            |error| matches!(error, StoreError::NotOurs { .. }),
        ),
        (
            "a newer retrier's",
            |path| {
                drop(store(&Folder::of(path)));
                let newer = Connection::open(path).expect("it can be opened");
                newer
                    .execute_batch("PRAGMA user_version = 999; PRAGMA journal_mode = DELETE;")
                    .expect("it can be changed");
            },
            |error| matches!(error, StoreError::Newer { found: 999, .. }),
        ),
        (
            "truncated",
            |path| {
                let mut made = store(&Folder::of(path));
                made.submit(&spec(), || NOW).expect("it is stored");
                drop(made);
                let old = Connection::open(path).expect("it can be opened");
                old.execute_batch("PRAGMA journal_mode = DELETE")
                    .expect("it can be changed");
                drop(old);
                let file = fs::File::options()
                    .write(true)
                    .open(path)
                    .expect("it is there");
                file.set_len(5000).expect("it can be cut");
            },
            |error| matches!(error, StoreError::Damaged { .. }),
        ),
    ];
    for (name, make, expected) in cases {
        let path = dir.path().join(name);
        make(&path);
        set_private(&path);
        let before = fs::read(&path).expect("it is there");
        let opened = Store::open(&Folder::of(&path), Access::Create);
        let read = opened.and_then(|store| {
            let store = store.expect("it is there");
            store.read().next_due().map(drop)
        });
        let error = read.expect_err(name);
        assert!(expected(&error), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(
            fs::read(&path).expect("it is there"),
            before,
            "{name} was changed"
        );
    }
}

fn set_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, mode).expect("it is ours");
}

#[test]
fn the_environment_is_never_shown() {
    let shown = format!("{:?}", spec());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_empty_file_beside_a_log_is_a_damaged_database() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let log = home.path("retrier.db-wal");
    fs::write(home.db(), "").unwrap();
    let refused = |home: &Home| {
        for args in [&["list"][..], &["run", "--", "true"], &["daemon"]] {
            let refused = home.retrier(args).output().exits(1);
            assert!(refused.error_text().contains("damaged"), "{refused:?}");
        }
        assert_eq!(fs::metadata(home.db()).unwrap().len(), 0);
    };
    refused(&home);
    assert!(fs::metadata(&log).unwrap().len() > 0);
    // As it is after one that had grown was cut.
    fs::write(&log, "").unwrap();
    refused(&home);
}

/// Without a daemon each call is the only one: it reads the whole log, and leaves it there.
#[test]
fn the_log_does_not_grow_with_the_calls() {
    let home = Home::new();
    let folder = folder(&home.path("of-calls"));
    let length = || fs::metadata(folder.wal()).map_or(0, |found| found.len());
    let mut longest = 0;
    for _ in 0..200 {
        store(&folder).submit(&spec(), || NOW).unwrap();
        longest = length().max(longest);
    }
    assert!(longest < 2 << 20, "{longest} bytes");
    assert_eq!(everything(&store(&folder)).len(), 200);
}

#[test]
fn a_file_that_others_may_read_is_hidden_before_anything_is_stored() {
    let home = Home::new();
    fs::write(home.db(), "").unwrap();
    fs::set_permissions(home.db(), fs::Permissions::from_mode(0o644)).unwrap();
    home.run(["--no-daemon-start", "--", "true"]);
    for name in ["retrier.db", "retrier.db-wal", "retrier.db-shm"] {
        let mode = fs::metadata(home.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
