//! The layout of the database and how it came to be: appended, never edited.

/// SQLite's `application_id` of our files: "retr" in ASCII.
pub const APPLICATION_ID: i64 = 0x7265_7472;

/// The steps from an empty file to the newest layout; `user_version` counts those that are done.
pub const MIGRATIONS: &[&str] = &[
    include_str!("schema/1_runs.sql"),
    include_str!("schema/2_policies.sql"),
    include_str!("schema/3_pools.sql"),
    include_str!("schema/4_speed.sql"),
    include_str!("schema/5_views.sql"),
];

/// How many tables, indexes and triggers there are before the first step and after each.
pub const OBJECTS: [i64; MIGRATIONS.len() + 1] = [0, 15, 20, 52, 42, 45];

/// The newest layout that this program knows.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

#[cfg(test)]
pub(super) use super::plan::{assert_loop, assert_plan};

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, OBJECTS};

    #[test]
    fn the_objects_of_each_layout_are_counted() {
        let connection = rusqlite::Connection::open_in_memory().expect("there is memory");
        let count =
            || connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
        let mut found: Vec<i64> = vec![count().expect("they can be counted")];
        for step in MIGRATIONS {
            connection.execute_batch(step).expect("the layout is right");
            found.push(count().expect("they can be counted"));
        }
        assert_eq!(found, OBJECTS);
    }
}
