//! `status` of many ids: in the order asked, and not a sync of the disk for each.

use crate::support::{Home, recount};

use super::{database, store_copies};

#[test]
fn status_of_hundreds_shows_each_in_the_order_asked_and_syncs_seldom() {
    let home = Home::new();
    store_copies(&home, 250, &["--", "true"]);
    let sql = "UPDATE run SET state = 'succeeded', finished_at = created_at, due_at = NULL, \
               delay_ms = NULL, stage = NULL WHERE id > 1";
    let database = database(&home);
    database.execute(sql, []).expect("runs can be changed");
    recount(&database);
    let ids: Vec<String> = (1..=252).rev().map(|id| id.to_string()).collect();
    let json = home.retrier(
        ["status", "--json"]
            .into_iter()
            .chain(ids.iter().map(String::as_str)),
    );
    // The fourth sync would kill it.
    let said = json.crash("store_sync:4:kill").output().exits(3);
    let text = said.text();
    let shown: Vec<i64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|run| run["id"].as_i64().expect("an id"))
        .collect();
    assert_eq!(shown, (1..=250).rev().collect::<Vec<_>>());
    let missing = said.error_text();
    let missing = missing
        .lines()
        .filter(|line| line.contains("error: no run "));
    assert_eq!(missing.count(), 2);
    // What has ended is told once it is on the disk.
    let finished = home.retrier(["status", "250", "1"]);
    finished.crash("store_sync:1:kill").output().exits(137);
    let unfinished = home.retrier(["status", "1"]);
    unfinished.crash("store_sync:1:kill").output().ok();
}

#[test]
fn pages_have_a_gap_between_them_and_errors_come_at_their_place() {
    let home = Home::new();
    for _ in 0..2 {
        home.run(["--no-daemon-start", "--delay", "1h", "--", "true"]);
    }
    let line = "retrier status 9 1 8 2 2>&1";
    let said = home.sh(line).output().exits(3).text();
    // A page has gaps of its own.
    let said = said.replace("\n\nrun ", "\ngap\nrun ");
    let kinds: Vec<&str> = said
        .lines()
        .filter_map(|line| match line {
            "gap" => Some("gap"),
            line if line.starts_with("run ") => Some("page"),
            line if line.contains("error: ") => Some("error"),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, ["error", "gap", "page", "error", "gap", "page"]);
    let pages = home.retrier(["status", "1", "2"]).output().ok();
    assert!(pages.stdout.starts_with(b"run "), "{}", pages.text());
    assert_eq!(pages.text().matches("\n\nrun ").count(), 1);
}
