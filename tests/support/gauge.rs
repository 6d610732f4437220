//! What is counted as it changes, against a count of what is there.

use rusqlite::{Connection, OpenFlags};

use super::home::Home;

/// How many runs and attempts of a pool there are, in the order of [`COUNTED`].
const COUNT: &str = "SELECT count(*) FILTER (WHERE state = 'waiting' AND stage IS NULL), \
     count(*) FILTER (WHERE stage = 'scheduled'), count(*) FILTER (WHERE stage = 'locked'), \
     count(*) FILTER (WHERE stage = 'ready'), count(*) FILTER (WHERE state = 'running'), \
     count(*) FILTER (WHERE state = 'canceled' AND open_attempt IS NOT NULL), \
     count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE state = 'failed'), \
     count(*) FILTER (WHERE state = 'canceled'), \
     (SELECT count(*) FROM attempt WHERE ended_at IS NOT NULL AND POOL), \
     (SELECT count(*) FROM attempt WHERE success = 0 AND POOL) FROM run WHERE POOL";

/// The columns of the gauge: first what is there now, then what can only grow.
const COUNTED: [&str; 11] = [
    "held",
    "scheduled",
    "locked",
    "ready",
    "running",
    "closing",
    "succeeded",
    "failed",
    "canceled",
    "executions",
    "failures",
];

/// So many columns of [`COUNTED`] are what is there now.
const NOW: usize = 6;

/// Where the gauges of a database and its runs contradict each other, as they are at one moment. What can only grow is
/// at least what is there.
pub fn gauge_faults(home: &Home) -> Vec<String> {
    // One that only reads does not clear away what daemons and clients have written.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(home.db(), flags).expect("it is there");
    let moment = database.unchecked_transaction().expect("it can be read");
    let pools = names(&moment, "SELECT name FROM pool ORDER BY name");
    let mut faults = Vec::new();
    for (table, more) in [("gate", None), ("gauge", Some(String::new()))] {
        let expected: Vec<String> = more.into_iter().chain(pools.iter().cloned()).collect();
        let found = names(&moment, &format!("SELECT pool FROM {table} ORDER BY pool"));
        if found != expected {
            faults.push(format!("{table} has {found:?} instead of {expected:?}"));
        }
    }
    for pool in pools.iter().map(String::as_str).chain([""]) {
        let condition = match pool {
            "" => "pool <> 'hooks'".to_owned(),
            name => format!("pool = '{name}'"),
        };
        let counted = eleven(&moment, &COUNT.replace("POOL", &condition));
        let columns = COUNTED.join(", ");
        let gauge = eleven(
            &moment,
            &format!("SELECT {columns} FROM gauge WHERE pool = '{pool}'"),
        );
        for (at, name) in COUNTED.iter().enumerate() {
            let (gauge, counted) = (gauge[at], counted[at]);
            if gauge < counted || (at < NOW && gauge != counted) {
                faults.push(format!(
                    "{name} of pool '{pool}' is {gauge}, and there are {counted}"
                ));
            }
        }
    }
    faults
}

/// Asserts that what the gauges say is what is there.
#[track_caller]
pub fn assert_gauges(home: &Home) {
    assert_eq!(gauge_faults(home), [""; 0]);
}

/// Counts anew what a test has written by hand, as if retrier had.
pub fn recount(database: &Connection) {
    let done = |result: rusqlite::Result<_>| result.expect("it can be counted");
    for pool in names(database, "SELECT pool FROM gauge") {
        let condition = match pool.as_str() {
            "" => "pool <> 'hooks'".to_owned(),
            name => format!("pool = '{name}'"),
        };
        let counted = eleven(database, &COUNT.replace("POOL", &condition));
        for (at, name) in COUNTED.iter().enumerate() {
            let least = if at < NOW { "0" } else { name };
            let sql = format!("UPDATE gauge SET {name} = max({least}, ?1) WHERE pool = ?2");
            done(database.execute(&sql, rusqlite::params![counted[at], pool]));
        }
    }
    let wanted = "INSERT OR IGNORE INTO open_pool SELECT DISTINCT pool FROM run \
                  WHERE stage = 'ready'";
    done(database.execute(wanted, []));
}

fn names(database: &Connection, sql: &str) -> Vec<String> {
    let mut select = database.prepare(sql).expect("it fits the layout");
    let rows = select.query_map([], |row| row.get(0));
    let names = rows.and_then(Iterator::collect);
    names.expect("it can be read")
}

fn eleven(database: &Connection, sql: &str) -> [i64; 11] {
    let row = database.query_row(sql, [], |row| {
        let mut found = [0; 11];
        for (at, one) in found.iter_mut().enumerate() {
            *one = row.get(at)?;
        }
        Ok(found)
    });
    row.expect("it can be read")
}
