use std::fmt;

/// How late things were, in microseconds. Earlier than expected is below zero.
#[derive(Debug, Default, Clone)]
pub(crate) struct Delays(Vec<i64>);

impl Delays {
    pub(crate) fn add(&mut self, later: u64, earlier: u64) {
        self.0.push(later.cast_signed() - earlier.cast_signed());
    }

    pub(crate) fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Below which so many of a hundred are; 0 if there are none at all.
    pub(crate) fn percentile(&self, percent: usize) -> i64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(rank).copied().unwrap_or(0)
    }
}

/// The median, the 99th of a hundred, and how many there are.
impl fmt::Display for Delays {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |percent| self.percentile(percent) as f64 / 1_000.0;
        write!(formatter, "p50 {:>7.2} ms   p99 {:>7.2} ms   of {}", ms(50), ms(99), self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut delays = Delays::default();
        assert_eq!(delays.percentile(50), 0);
        for later in 1..=100 {
            delays.add(later, 0);
        }
        assert_eq!((delays.percentile(50), delays.percentile(99)), (50, 99));
        delays.add(0, 5);
        assert_eq!(delays.percentile(1), 1);
        assert_eq!(delays.percentile(0), -5);
    }
}
