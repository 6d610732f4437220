//! What a database may do by itself: nothing but what its layout says. A file that came from elsewhere
//! can hold triggers and views, which act when somebody merely writes or reads.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::error::StoreError;
use super::schema::steps_after;

/// Confines what the database of `connection` can have SQLite do. Errors: none that are known.
pub(super) fn confine(connection: &Connection) -> rusqlite::Result<()> {
    let settings = [
        // Nothing in the schema calls a function that has effects, or an extension.
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        // The views are for others: one that stands in the place of a table cannot be read.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ];
    settings
        .into_iter()
        .try_for_each(|(setting, on)| connection.set_db_config(setting, on).map(drop))
}

/// Has `act` change the layout itself, which is forbidden before and afterwards.
pub(super) fn unconfined<T>(
    connection: &mut Connection,
    path: &Path,
    act: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let defend = |connection: &Connection, on| {
        let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, on);
        set.map_err(|error| StoreError::from_sqlite(path, error))
    };
    defend(connection, false)?;
    let done = act(connection);
    defend(connection, true)?;
    done
}

/// Looks for triggers and views that no step of the layout has made. Errors: there is one.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let sqlite = |error| StoreError::from_sqlite(path, error);
    // The newest first: it has the most.
    let steps: Vec<&str> = steps_after(0).collect();
    let mut acting = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' OR type = 'view'")
        .map_err(sqlite)?;
    let mut rows = acting.query([]).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let sql: String = row.get(1).map_err(sqlite)?;
        if !steps.iter().rev().any(|step| holds(step, &sql)) {
            let name: String = row.get(0).map_err(sqlite)?;
            return Err(StoreError::Damaged {
                path: path.to_owned(),
                cause: format!("it has a trigger or a view that is not retrier's: {name}"),
            });
        }
    }
    Ok(())
}

/// Does one of the statements of `step`, each of which begins a line, read so? To search in it for a text of
/// this length would take longer than to open the database.
fn holds(step: &str, sql: &str) -> bool {
    let mut rest = step;
    loop {
        if rest.starts_with(sql) {
            return true;
        }
        let Some((_, after)) = rest.split_once('\n') else {
            return false;
        };
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Access, Folder, Store};

    #[test]
    fn an_open_database_cannot_be_made_to_do_more() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(&dir.path().join("retrier.db"));
        let open = || Store::open(&folder, Access::Create).expect("it can be opened");
        // The one that makes the layout, and another one.
        for store in [open(), open()].iter().flatten() {
            for wrong in [
                "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = sql",
                "SELECT load_extension('/nowhere.so')",
                "CREATE VIEW v AS SELECT 1; SELECT * FROM v",
            ] {
                let done = store.connection.execute_batch(wrong);
                assert!(done.is_err(), "{wrong}");
                let _ = store.connection.execute_batch("DROP VIEW v");
            }
        }
    }
}
