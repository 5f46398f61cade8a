//! x
use proptest::test_runner::{Config, RngSeed};

/// So many cases, the same in every run unless the environment says otherwise.
pub(crate) fn fixed_seed(cases: u32) -> Config {
    let mut config = Config { failure_persistence: None, cases, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}
