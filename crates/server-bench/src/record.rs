//! What a measurement says, as it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What went wrong with messages. All zero is how it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    /// Their publisher was told that they were taken, and they never arrived.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// They arrived after a later one of the same publisher to the same user.
    pub(crate) reordered: u64,
    /// They arrived with somebody whom they were not for.
    pub(crate) misdelivered: u64,
    /// Publishes that were answered with anything but a yes.
    pub(crate) refused: u64,
    /// Connections that did not come about, or ended.
    pub(crate) closed: u64,
}

/// One measurement's result: numbers by name, whose unit is the end of the name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) counts: Counts,
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Measured {
    /// To six digits: more is noise, and makes records unreadable.
    pub(crate) fn set(&mut self, name: &str, figure: f64) {
        let digits = 5 - figure.abs().max(1e-9).log10().floor() as i32;
        let scale = 10_f64.powi(digits.clamp(0, 9));
        self.figures.insert(name.to_owned(), (figure * scale).round() / scale);
    }
}
