//! The layout of the database and how it came to be: appended, never edited.

/// SQLite's `application_id` of our files: "retr" in ASCII.
pub const APPLICATION_ID: i64 = 0x7265_7472;

/// The steps from an empty file to the newest layout; `user_version` counts those that are done.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1_runs.sql"),
    include_str!("schema/2_policies.sql"),
    include_str!("schema/3_pools.sql"),
    include_str!("schema/4_speed.sql"),
    include_str!("schema/5_views.sql"),
];

/// How many tables, indexes and triggers there are before the first step and after each.
const OBJECTS: [i64; MIGRATIONS.len() + 1] = [0, 15, 20, 52, 42, 45];

/// The steps from layout `found` to the newest one.
pub fn steps_after(found: i64) -> impl Iterator<Item = &'static str> {
    let all = MIGRATIONS.iter().copied().chain(step_to_come());
    all.skip(usize::try_from(found).unwrap_or(usize::MAX))
}

/// The newest layout that this program knows.
pub fn version() -> i64 {
    MIGRATIONS.len() as i64 + i64::from(step_to_come().is_some())
}

/// How many tables, indexes and triggers layout `layout` has; `None` when this program does not know
/// it.
pub fn objects(layout: i64) -> Option<i64> {
    let layout = usize::try_from(layout).ok()?;
    let to_come = (layout == OBJECTS.len()).then(|| OBJECTS.last().map(|last| last + 1));
    let to_come = step_to_come().and(to_come).flatten();
    OBJECTS.get(layout).copied().or(to_come)
}

/// The next step, in a program that is told to be its own successor.
#[cfg(feature = "failpoints")]
fn step_to_come() -> Option<&'static str> {
    let step = "CREATE TABLE next_layout (run_id INTEGER PRIMARY KEY, command BLOB NOT NULL) STRICT; \
                INSERT INTO next_layout SELECT id, command FROM run;";
    crate::sys::failpoint::is_next_version().then_some(step)
}

/// There is none.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
fn step_to_come() -> Option<&'static str> {
    None
}

#[cfg(test)]
pub(super) use super::plan::{assert_loop, assert_plan};

#[cfg(test)]
mod tests {
    use super::{OBJECTS, steps_after, version};

    #[test]
    fn the_objects_of_each_layout_are_counted() {
        let connection = rusqlite::Connection::open_in_memory().expect("there is memory");
        let count =
            || connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
        let mut found: Vec<i64> = vec![count().expect("they can be counted")];
        for step in steps_after(0) {
            connection.execute_batch(step).expect("the layout is right");
            found.push(count().expect("they can be counted"));
        }
        assert_eq!(found, OBJECTS);
        assert_eq!(found.len() as i64, version() + 1);
    }
}
