//! Wall time as a value: UTC milliseconds, the unit of everything that is stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point of wall time: milliseconds since 1970-01-01T00:00:00Z, may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time `ms` milliseconds after the Unix epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This time plus `duration`, whole milliseconds, saturating at the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(duration)))
    }

    /// This time minus `duration`, whole milliseconds, saturating.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(duration)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        let ms = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

/// Whole milliseconds of `duration`, saturating at `i64::MAX`.
pub fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Serde for a [`Duration`] as whole milliseconds.
pub mod as_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `duration` as an integer of milliseconds.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(super::millis_of(*duration))
    }

    /// Reads an integer of milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// Serde for an optional [`Duration`] as whole milliseconds or null.
pub mod as_millis_option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes an integer of milliseconds, or null.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => to.serialize_some(&super::millis_of(*duration)),
            None => to.serialize_none(),
        }
    }

    /// Reads an integer of milliseconds, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

/// Serde for a list of [`Duration`] as whole milliseconds.
pub mod as_millis_list {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a list of integers of milliseconds.
    pub fn serialize<S: Serializer>(list: &[Duration], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(|duration| super::millis_of(*duration)))
    }

    /// Reads a list of integers of milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
        let list = Vec::<u64>::deserialize(from)?;
        Ok(list.into_iter().map(Duration::from_millis).collect())
    }
}
