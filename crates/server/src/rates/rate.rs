use std::{fmt, str::FromStr, time::Duration};

/// Nobody is asked to wait longer than this for more than the one thing that they bring.
const WORTHWHILE_SECONDS_MAX: u64 = 5;

/// So many at once, and then so many in a second, a minute or an hour, evenly: a token bucket.
///
/// As text `50/s:2000`, which is 50 a second, and 2,000 at once; `20/min` has 20 at once, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Per,
    at_once: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate is a number above 0 in a second, minute or hour, and how many may come at once: `50/s:2000`, `20/min`"
)]
pub struct InvalidRate;

impl Rate {
    /// So many a second, at least one, and as many at once.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self::of(count, Per::Second)
    }

    /// So many a minute, at least one, and as many at once.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self::of(count, Per::Minute)
    }

    /// So many an hour, at least one, and as many at once.
    #[must_use]
    pub const fn per_hour(count: u32) -> Self {
        Self::of(count, Per::Hour)
    }

    /// So many at once instead, at least one.
    #[must_use]
    pub const fn at_once(self, at_once: u32) -> Self {
        Self { at_once: if at_once == 0 { 1 } else { at_once }, ..self }
    }

    const fn of(count: u32, per: Per) -> Self {
        let count = if count == 0 { 1 } else { count };
        Self { count, per, at_once: count }
    }

    /// How long it takes until so many more may come.
    pub(super) fn time_for(self, count: u64) -> Duration {
        let per = self.per.nanos();
        // Nearly always it fits, and a division of 128 bits is no instruction of the machine.
        let wide = || {
            let quotient = u128::from(per) * u128::from(count) / u128::from(self.count);
            u64::try_from(quotient).unwrap_or(u64::MAX)
        };
        let product = per.checked_mul(count);
        Duration::from_nanos(product.map_or_else(wide, |product| product / u64::from(self.count)))
    }

    pub(super) fn burst(self) -> u64 {
        self.at_once.into()
    }

    /// So many are worth waiting for, for whoever has more than one to bring.
    pub(crate) fn worthwhile(self) -> u64 {
        let in_time = WORTHWHILE_SECONDS_MAX * u64::from(self.count) / self.per.seconds();
        self.burst().div_ceil(10).min(in_time.max(1))
    }
}

impl Per {
    const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
        }
    }

    const fn nanos(self) -> u64 {
        self.seconds() * 1_000_000_000
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, per, at_once } = *self;
        let per = match per {
            Per::Second => "s",
            Per::Minute => "min",
            Per::Hour => "h",
        };
        write!(formatter, "{count}/{per}")?;
        if at_once == count { Ok(()) } else { write!(formatter, ":{at_once}") }
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let number =
            |digits: &str| digits.parse().ok().filter(|&count| count > 0).ok_or(InvalidRate);
        let (steady, at_once) = match text.split_once(':') {
            Some((steady, at_once)) => (steady, Some(number(at_once)?)),
            None => (text, None),
        };
        let (count, per) = steady.split_once('/').ok_or(InvalidRate)?;
        let per = match per {
            "s" => Per::Second,
            "min" => Per::Minute,
            "h" => Per::Hour,
            _ => return Err(InvalidRate),
        };
        let rate = Self::of(number(count)?, per);
        Ok(at_once.map_or(rate, |at_once| rate.at_once(at_once)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_for_many_is_right_however_many_they_are() {
        assert_eq!(Rate::per_second(4).time_for(6), Duration::from_millis(1_500));
        let hour = Rate::per_hour(2);
        assert_eq!(
            hour.time_for(10_000_000),
            Duration::from_hours(5_000_000),
            "more than 64 bits between"
        );
        assert_eq!(hour.time_for(u64::MAX), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn nobody_waits_longer_for_more_than_they_bring_than_seconds() {
        // Of 20 a second, 10,000 at once, a thousand were waited for, 50 s, and meanwhile the outbox was full.
        assert_eq!(Rate::per_second(20).at_once(10_000).worthwhile(), 100);
        assert_eq!(Rate::per_second(20).at_once(1_000).worthwhile(), 100);
        assert_eq!(Rate::per_second(20).at_once(999).worthwhile(), 100);
        assert_eq!(Rate::per_second(20).at_once(990).worthwhile(), 99);
        assert_eq!(Rate::per_hour(2).at_once(10_000).worthwhile(), 1);
    }

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for text in ["50/s:2000", "20/min", "1/h:4294967295"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("7/s:7".parse(), Ok(Rate::per_second(7)));
        for wrong in
            ["", "5", "0/s", "5/s:0", "5/d", "5/s:", "-1/s", "4294967296/s", "5/s:1:2", "off"]
        {
            assert_eq!(wrong.parse::<Rate>(), Err(InvalidRate), "{wrong}");
        }
    }
}
