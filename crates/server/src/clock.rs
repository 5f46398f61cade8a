pub(crate) mod judge;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// The wall clock, in ms since 1970; a clock before 1970 is one that is wrong, and says 0.
///
/// Nothing is forgotten for good by it alone: see [`judge`].
pub(crate) fn now_ms() -> i64 {
    whole_ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(crate) fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// `2026-11-23T12:00:00.120Z`: RFC 3339 with the milliseconds always there, as JavaScript's
/// `toISOString` writes it. A time after the year 9999 is one of a clock that is wrong.
pub(crate) fn rfc3339(ms: i64) -> Rfc3339 {
    let (time, milli) = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000))
        .ok()
        .filter(|time| (0..=9_999).contains(&time.year()))
        .map_or((OffsetDateTime::UNIX_EPOCH, 0), |time| (time, ms.rem_euclid(1_000) as u16));
    let (hour, minute, second) = time.time().as_hms();
    let mut quoted = *br#""0000-00-00T00:00:00.000Z""#;
    let mut write = |from: usize, digits: usize, mut number: u16| {
        for place in (from..from + digits).rev() {
            quoted[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    write(1, 4, time.year() as u16);
    write(6, 2, u8::from(time.month()).into());
    write(9, 2, time.day().into());
    write(12, 2, hour.into());
    write(15, 2, minute.into());
    write(18, 2, second.into());
    write(21, 3, milli);
    Rfc3339 { quoted }
}

/// Every message has one: it is written without formatting.
#[derive(Clone, Copy)]
pub(crate) struct Rfc3339 {
    quoted: [u8; 26],
}

impl Rfc3339 {
    /// As JSON has it.
    pub(crate) fn quoted(&self) -> &str {
        std::str::from_utf8(&self.quoted).expect("digits and signs are ASCII")
    }

    pub(crate) fn as_str(&self) -> &str {
        self.quoted().trim_matches('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_in_utc() {
        assert_eq!(rfc3339(1_795_435_200_120).as_str(), "2026-11-23T12:00:00.120Z");
        assert_eq!(rfc3339(1_795_435_200_120).quoted(), r#""2026-11-23T12:00:00.120Z""#);
        assert_eq!(rfc3339(253_402_300_799_999).as_str(), "9999-12-31T23:59:59.999Z");
        for wrong in [i64::MAX, 253_402_300_800_000, -62_167_219_200_001] {
            assert_eq!(rfc3339(wrong).as_str(), "1970-01-01T00:00:00.000Z");
        }
    }
}
