//! A crash at each point of a change of the layout: the earlier one is whole, or the new one is, and the next call goes on.

use std::fs;

use super::{NEWEST, beside, content, lay, layout, listed};
use crate::support::Home;

/// Every point on the way, in order, and whether the new layout is there behind it.
const POINTS: [(&str, u32, bool); 12] = [
    ("store_migrating", 1, false),
    ("copy_begun", 1, false),
    ("copy_step", 1, false),
    ("copy_filled", 1, false),
    ("copy_named", 1, false),
    ("store_copied", 1, false),
    ("store_step", 1, false),
    ("store_step", 2, false),
    ("store_step", 3, false),
    ("store_step", 4, false),
    ("store_migrated", 1, false),
    ("store_layout_committed", 1, true),
];

/// Makes `layout` meet this at each point, and looks at what is there then and after the next call.
fn meet(layout: i64, action: &str, code: i32) {
    let golden = Home::new();
    lay(&golden, layout);
    let (before, told) = (content(golden.db()), listed(&golden));
    let after = content(golden.db());
    let steps = u32::try_from(NEWEST - layout).expect("it is earlier");
    for (point, nth, done) in POINTS {
        if point == "store_step" && nth > steps {
            continue;
        }
        let home = Home::new();
        lay(&home, layout);
        let failpoint = format!("{point}:{nth}:{action}");
        let list = home.retrier(["list"]).crash(&failpoint);
        list.output().exits(code);
        let (expected, found) = if done {
            (&after, NEWEST)
        } else {
            (&before, layout)
        };
        assert_eq!(self::layout(home.db()), found, "{failpoint}");
        let now = content(home.db());
        // Pools begin with a seed of their own.
        assert!(stripped(&now) == stripped(expected), "{failpoint}");
        assert_eq!(listed(&home), told, "{failpoint}");
        assert!(
            stripped(&content(home.db())) == stripped(&after),
            "{failpoint}"
        );
        let kept = beside(&home, "before-layout-");
        assert_eq!(kept.len(), 1, "{failpoint}: {kept:?}");
        assert!(content(&kept[0]) == before, "{failpoint}");
        let drafts = beside(&home, ".before");
        assert!(drafts.is_empty(), "{failpoint}: {drafts:?}");
    }
}

fn stripped(content: &super::Content) -> super::Content {
    let mut content = content.clone();
    for row in content.get_mut("pool").into_iter().flatten() {
        // Behind the seed stands, from the fifth layout on, how many runs may wait.
        let seeded = row.strip_suffix(",NULL").unwrap_or(row);
        let end = seeded.rfind(',').expect("it has columns");
        row.truncate(end);
    }
    content
}

#[test]
fn a_kill_on_the_way_leaves_one_layout_whole_and_the_next_call_goes_on() {
    meet(1, "kill", 137);
}

#[test]
fn an_error_on_the_way_leaves_one_layout_whole_and_the_next_call_goes_on() {
    meet(2, "err=EIO", 1);
    meet(3, "err=ENOSPC", 1);
}

#[test]
fn a_draft_that_was_left_is_made_anew() {
    let home = Home::new();
    lay(&home, 1);
    let before = content(home.db());
    listed_killed(&home, "copy_filled:1:kill");
    let draft = home.path("retrier.db.d/.before-layout-5.db.retrier-copy");
    assert!(draft.exists());
    fs::write(&draft, "half").expect("there is room");
    listed(&home);
    assert!(content(&home.path("retrier.db.d/before-layout-5.db")) == before);
    assert!(!draft.exists());
}

fn listed_killed(home: &Home, failpoint: &str) {
    let list = home.retrier(["list"]).crash(failpoint);
    list.output().exits(137);
}
