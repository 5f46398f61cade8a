//! How property tests are run here.

use proptest::test_runner::{Config, RngSeed};

/// The same cases in every run, unless the environment says otherwise.
pub(crate) fn repeatable() -> Config {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}
