//! A wall clock that a test can move, in builds with the feature `failpoints`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::home::Home;

/// An offset to the wall clock for every process of a [`Home`] that is started after its creation.
///
/// The offset is the content of the file that `RETRIER_FAKE_CLOCK` names: signed milliseconds.
#[derive(Debug)]
pub struct FakeClock {
    file: PathBuf,
    offset_ms: AtomicI64,
}

impl FakeClock {
    /// A clock that is right, for now.
    pub fn new(home: &Home) -> FakeClock {
        let clock = FakeClock {
            file: home.path("clock"),
            offset_ms: AtomicI64::new(0),
        };
        clock.write(0);
        home.set_clock(clock.file.clone());
        clock
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.shift(i64::try_from(by.as_millis()).expect("an offset of less than 10^8 years"));
    }

    /// Moves it backward, as a wrong clock that is set right does.
    pub fn set_back(&self, by: Duration) {
        self.shift(-i64::try_from(by.as_millis()).expect("an offset of less than 10^8 years"));
    }

    fn shift(&self, by_ms: i64) {
        let offset_ms = self.offset_ms.fetch_add(by_ms, Ordering::SeqCst) + by_ms;
        self.write(offset_ms);
    }

    /// Replaces the file, so that no reader ever sees half a number.
    fn write(&self, offset_ms: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, offset_ms.to_string()).expect("the temp folder can be written");
        fs::rename(&new, &self.file).expect("the temp folder can be written");
    }
}
