//! Times and positions as JavaScript's numbers.

use tetherline_engine::{IdNo, Instant, Mark};
use tetherline_protocol::Seq;

pub(crate) fn instant(millis: f64) -> Instant {
    Instant::from_millis(millis as u64)
}

/// Over 2⁵³ JavaScript itself cannot count; such a number cannot come from a well-formed frame.
pub(crate) fn seq(number: f64) -> Seq {
    Seq::new(number as u64).unwrap_or(Seq::MAX)
}

pub(crate) fn mark(number: f64, id: u32) -> Mark {
    Mark { seq: seq(number), id: IdNo(id) }
}

pub(crate) fn optional_millis(millis: f64) -> Option<u64> {
    (millis >= 0.0).then_some(millis as u64)
}

pub(crate) fn millis(instant: Option<Instant>) -> f64 {
    instant.map_or(-1.0, |instant| instant.as_millis() as f64)
}
