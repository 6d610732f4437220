//! Times on the clock of this machine, as people write them.

use std::env;
use std::fs;
use std::sync::OnceLock;

use jiff::civil;
use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// A time that somebody has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This one.
    At(Timestamp),
    /// Any day at this time on the local clock.
    Daily(civil::Time),
}

/// A time of RFC 3339, or one on the local clock: `2026-01-31 08:00`, `2026-01-31` (its beginning) or `08:00`,
/// with seconds or without. Errors: another form, or a time beyond all calendars.
pub fn when(text: &str) -> Result<When, String> {
    let text = text.trim();
    if let Ok(at) = super::time(text) {
        return Ok(When::At(at));
    }
    let time = |form| civil::Time::strptime(form, text).ok();
    if let Some(time) = ["%H:%M", "%H:%M:%S"].into_iter().find_map(time) {
        return Ok(When::Daily(time));
    }
    let moment = |form| civil::DateTime::strptime(form, text).ok();
    let moments = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"].into_iter();
    let moments = moments.chain(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]);
    let day = || {
        civil::Date::strptime("%Y-%m-%d", text)
            .ok()
            .map(civil::DateTime::from)
    };
    let found = moments.into_iter().find_map(moment).or_else(day);
    found
        .and_then(|moment| of_local(moment, zone()))
        .map(When::At)
        .ok_or_else(|| {
            "it must be a time such as 23:30, 2026-01-31 23:30, or 2026-01-31T23:30:00+01:00"
                .to_owned()
        })
}

impl When {
    /// The first such time after `now`; of a day and a time that one, be it past.
    pub fn next(self, now: Timestamp) -> Timestamp {
        self.near(now, 1)
    }

    /// The last such time before `now`; of a day and a time that one, be it ahead.
    pub fn last(self, now: Timestamp) -> Timestamp {
        self.near(now, -1)
    }

    fn near(self, now: Timestamp, direction: i64) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Daily(time) => daily(time, now, direction, zone()).unwrap_or(now),
        }
    }
}

/// The nearest time after `now` that is `time` on the clock of `zone`, or before it where `direction` is -1.
fn daily(time: civil::Time, now: Timestamp, direction: i64, zone: &TimeZone) -> Option<Timestamp> {
    let instant = jiff::Timestamp::from_millisecond(now.millis()).ok()?;
    let today = instant.to_zoned(zone.clone()).date();
    // A day of a change of the clock may have none of its own before or after now.
    (0..=2).find_map(|days| {
        let day = today
            .checked_add(jiff::Span::new().days(days * direction))
            .ok()?;
        let at = of_local(day.to_datetime(time), zone)?;
        let is_beyond = if direction > 0 { at > now } else { at < now };
        is_beyond.then_some(at)
    })
}

/// What the clock of `zone` shows at `moment`: the first of two, and in the hour that is left out in spring
/// the time that would have been.
fn of_local(moment: civil::DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let zoned = moment.to_zoned(zone.clone()).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

/// The zone of the local clock. Without TZ it is read from its file: jiff would look for its name, and
/// through all zones for that.
pub fn zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(|| {
        let file = match env::var_os("TZ") {
            Some(_) => None,
            None => fs::read("/etc/localtime").ok(),
        };
        let read = file.and_then(|bytes| TimeZone::tzif("local", &bytes).ok());
        read.unwrap_or_else(TimeZone::system)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        super::super::time(text).unwrap()
    }

    /// Central Europe, from a rule instead of a file.
    fn europe() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn forms_are_those_that_people_write() {
        let exact = at("2026-01-31T22:59:59Z");
        assert_eq!(when("2026-01-31T23:59:59+01:00"), Ok(When::At(exact)));
        assert_eq!(when(" 8:05 "), Ok(When::Daily(civil::time(8, 5, 0, 0))));
        assert_eq!(
            when("23:59:58"),
            Ok(When::Daily(civil::time(23, 59, 58, 0)))
        );
        let midnight = when("2026-01-31").unwrap();
        assert_eq!(when("2026-01-31 00:00"), Ok(midnight));
        assert_eq!(when("2026-01-31T00:00:00"), Ok(midnight));
        for wrong in [
            "",
            "8",
            "25:00",
            "08:60",
            "tomorrow",
            "2026-02-30",
            "2026-01-31 8",
            "31.01.2026",
            "2026-01-31 08:00 +01:00x",
            "2026-01-31T08:00[Europe/Berlin]",
            "08:00 2026-01-31",
        ] {
            assert!(when(wrong).unwrap_err().contains("23:30"), "{wrong}");
        }
    }

    #[test]
    fn the_clock_may_be_put_forward_and_back() {
        let zone = europe();
        let next = |time: (i8, i8), now: &str| {
            daily(civil::time(time.0, time.1, 0, 0), at(now), 1, &zone).unwrap()
        };
        assert_eq!(
            next((8, 0), "2026-01-31T06:59:59Z"),
            at("2026-01-31T07:00:00Z")
        );
        assert_eq!(
            next((8, 0), "2026-01-31T07:00:00Z"),
            at("2026-02-01T07:00:00Z")
        );
        // In the night of March 29 there is no 02:30, in that of October 25 there are two.
        assert_eq!(
            next((2, 30), "2026-03-28T22:00:00Z"),
            at("2026-03-29T01:30:00Z")
        );
        assert_eq!(
            next((2, 30), "2026-10-24T22:00:00Z"),
            at("2026-10-25T00:30:00Z")
        );
        assert_eq!(
            next((2, 30), "2026-10-25T00:45:00Z"),
            at("2026-10-26T01:30:00Z")
        );
    }

    proptest! {
        #[test]
        fn the_next_time_is_ahead_and_the_last_behind(
            ms in 1_700_000_000_000i64..2_000_000_000_000,
            hour in 0i8..24,
            minute in 0i8..60,
        ) {
            let (now, time) = (Timestamp::from_millis(ms), civil::time(hour, minute, 0, 0));
            let day = 24 * 60 * 60 * 1000;
            let zone = europe();
            let next = daily(time, now, 1, &zone).unwrap().millis();
            let last = daily(time, now, -1, &zone).unwrap().millis();
            prop_assert!(last < ms && ms < next);
            // A day of 25 hours is the longest, and the hour that is left out moves a time by one.
            prop_assert!(next - ms <= day + 7_200_000 && ms - last <= day + 7_200_000);
        }
    }
}
