//! Why a run that is due does not run yet: what stands between it and its start.

use rusqlite::params;

use crate::model::pool::Blocked;
use crate::model::{RunId, Timestamp};

use super::error::StoreError;
use super::read::Reader;

const STAGE: &str = "SELECT stage = 'locked', pool, lock FROM run WHERE id = ?1 \
     AND stage IS NOT NULL AND due_at <= ?2";

impl Reader<'_> {
    /// What keeps run `id` from being started at `now`; `None` when it does not wait, or is not due.
    pub fn blocked(&self, id: RunId, now: Timestamp) -> Result<Option<Blocked>, StoreError> {
        let found = self.rows(STAGE, params![id.0, now.millis()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        let found: Option<(bool, String, Option<String>)> = found.into_iter().next();
        let Some((is_locked, pool, lock)) = found else {
            return Ok(None);
        };
        let record = self.pool(&pool)?;
        let shut = record.as_ref().filter(|record| record.pool.is_shut());
        if let (None, true, Some(lock)) = (shut, is_locked, lock) {
            let holder = self.lock_holder(&lock)?;
            return Ok(Some(Blocked::Lock {
                lock,
                holder: holder.map(|(run, _)| run),
                runs: holder.is_some_and(|(_, runs)| runs),
            }));
        }
        let hold = record.and_then(|record| {
            let occupied = record.gauge.occupied();
            let hold = record.pool.room(&record.gate, occupied, now).err()?;
            Some((Box::new(record), hold))
        });
        Ok(Some(match hold {
            Some((record, hold)) => Blocked::Pool { record, hold },
            None => Blocked::Nothing {
                pool,
                occupied: self.gauge()?.occupied(),
            },
        }))
    }
}
