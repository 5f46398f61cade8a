use clap::Args;
use tetherline_server::{Config, OUTCOME_BYTES_PER_USER_MAX, OUTCOMES_PER_USER_MAX};

/// What is kept of what clients do.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kept of each user")]
pub(super) struct KeptOptions {
    /// Of how many of a user's newest sends it is kept what became of them, so that a repeat counts once.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = OUTCOMES_PER_USER_MAX,
        value_parser = clap::value_parser!(u64).range(1..),
        env = "TETHERLINE_OUTCOMES_PER_USER_MAX"
    )]
    outcomes_per_user_max: u64,
    /// The same in bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = OUTCOME_BYTES_PER_USER_MAX,
        value_parser = clap::value_parser!(u64).range(1..),
        env = "TETHERLINE_OUTCOME_BYTES_PER_USER_MAX"
    )]
    outcome_bytes_per_user_max: u64,
}

impl KeptOptions {
    pub(super) fn set(&self, config: &mut Config) {
        config.outcomes_per_user_max = self.outcomes_per_user_max;
        config.outcome_bytes_per_user_max = self.outcome_bytes_per_user_max;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tetherline_server::JwtKeys;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        kept: KeptOptions,
    }

    #[test]
    fn each_limit_has_its_option_and_its_default() {
        let set = |arguments: &[&str]| {
            let mut config = Config::new(JwtKeys::from_secret(&[7; 32]).unwrap());
            (config.outcomes_per_user_max, config.outcome_bytes_per_user_max) = (0, 0);
            Only::parse_from(arguments).kept.set(&mut config);
            (config.outcomes_per_user_max, config.outcome_bytes_per_user_max)
        };
        assert_eq!(set(&["serve"]), (OUTCOMES_PER_USER_MAX, OUTCOME_BYTES_PER_USER_MAX));
        let options = ["serve", "--outcomes-per-user-max=5", "--outcome-bytes-per-user-max=6"];
        assert_eq!(set(&options), (5, 6));
        assert!(Only::try_parse_from(["serve", "--outcomes-per-user-max=0"]).is_err());
    }
}
