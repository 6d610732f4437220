//! Where no copy is made: over the database itself by whatever name, inside its folder, over another one that lives.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{backup, ids, names};
use crate::support::Home;

#[test]
fn a_copy_is_never_made_over_the_database_or_in_its_folder() {
    let home = Home::at("real/retrier.db");
    home.run(["--no-daemon-start", "--", "true"]);
    symlink(home.path("real"), home.path("way")).expect("there is room");
    fs::create_dir(home.path("elsewhere")).expect("there is room");
    symlink(home.db(), home.path("elsewhere/link.db")).expect("there is room");
    fs::hard_link(home.path("real/retrier.db-wal"), home.path("elsewhere/log")).expect("it can be");
    symlink(
        home.path("real/retrier.db.d"),
        home.path("elsewhere/inside"),
    )
    .expect("there is room");
    let before = fs::read(home.db()).expect("it is there");
    for (file, why) in [
        ("real/retrier.db", "it is the database itself"),
        ("real/../real/retrier.db", "it is the database itself"),
        ("way/retrier.db", "it is the database itself"),
        ("real/retrier.db-wal", "it is the database itself"),
        ("real/retrier.db-shm", "it is the database itself"),
        ("real/retrier.db-journal", "it is the database itself"),
        ("elsewhere/log", "it is the database itself"),
        ("elsewhere/link.db", "it is a symbolic link"),
        ("real/retrier.db.d", "it is a folder"),
        (
            "real/retrier.db.d/copy.db",
            "it is in the folder of the database",
        ),
        (
            "way/retrier.db.d/shims/copy.db",
            "it is in the folder of the database",
        ),
        (
            "elsewhere/inside/copy.db",
            "it is in the folder of the database",
        ),
        ("real", "it is a folder"),
        ("real/new/", "it is a folder"),
        ("nowhere/copy.db", "its folder is not there"),
    ] {
        let said = backup(&home, home.path("").join(file))
            .arg("--force")
            .output();
        let said = said.exits(1).error_text();
        assert!(said.contains(why), "{file}: {said}");
        assert!(said.contains("cannot copy to "), "{file}: {said}");
        let (_, hint) = said.split_once("\nhint: ").expect("there is a hint");
        let expected = match why {
            "it is the database itself" => "a copy needs a name of its own",
            "it is a symbolic link" => "name the file that it points to",
            "it is a folder" => "name the file that is to be made",
            "its folder is not there" => "make the folder first (mkdir -p)",
            _ => "name a file elsewhere",
        };
        assert!(hint.starts_with(expected), "{file}: {said}");
    }
    assert_eq!(fs::read(home.db()).expect("it is there"), before);
    assert_eq!(names(&home.path("real")), ["retrier.db", "retrier.db.d"]);
    home.retrier(["status", "1"]).output().ok();
    for file in ["-", ""] {
        home.retrier(["backup", file]).output().exits(2);
    }
}

#[test]
fn a_file_that_is_there_is_replaced_only_when_that_is_asked_for() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let file = home.path("copy.db");
    fs::write(&file, "older").expect("there is room");
    let said = backup(&home, &file).output().exits(1).error_text();
    assert!(
        said.contains("copy.db is there already\nhint: `--force` replaces it"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "older");
    backup(&home, &file).arg("--force").output().ok();
    assert_eq!(ids(&file), [1]);
}

#[test]
fn another_database_that_lives_is_not_replaced() {
    let (home, other) = (Home::new(), Home::new());
    for home in [&home, &other] {
        home.run(["--no-daemon-start", "--", "true"]);
    }
    other.run(["--no-daemon-start", "--", "true"]);
    let said = backup(&home, other.db()).arg("--force").output().exits(1);
    let said = said.error_text();
    assert!(
        said.contains("a database lives there, because retrier.db-wal is beside it"),
        "{said}"
    );
    assert_eq!(ids(other.db()), [1, 2]);
}

#[test]
fn a_folder_in_which_others_could_replace_the_copy_is_refused() {
    let home = Home::new();
    home.run(["--no-daemon-start", "--", "true"]);
    let open = home.path("open");
    fs::create_dir(&open).expect("there is room");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let said = backup(&home, open.join("copy.db")).output().exits(1);
    let said = said.error_text();
    assert!(said.contains("could replace the copy"), "{said}");
    assert!(names(&open).is_empty());
}

#[test]
fn nothing_that_was_stored_is_nothing_to_copy() {
    let home = Home::new();
    let said = backup(&home, home.path("copy.db")).output().exits(1);
    let said = said.error_text();
    assert!(said.contains("there is no database at "), "{said}");
    assert_eq!(names(&home.path("")), ["home"]);
}
