use std::str::FromStr;

use clap::Args;
use tetherline_server::{Rate, Rates};

/// How often things may happen. Each is so many in a second, minute or hour, and so many at once: `50/s:2000`; `off` is
/// as often as anybody likes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rates")]
pub(super) struct RateOptions {
    /// TCP connections from one address, unless it is a trusted proxy's. What comes faster is cut at once.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "10000/s:20000",
        env = "TETHERLINE_ACCEPTS_PER_ADDRESS"
    )]
    accepts_per_address: Limit,
    /// Attempts to connect from one address (of IPv6, a /56), and requests from there with a wrong key. What comes
    /// faster is answered with 429.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "1000/s:20000",
        env = "TETHERLINE_ATTEMPTS_PER_ADDRESS"
    )]
    attempts_per_address: Limit,
    /// Connections that one user opens; 429.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "10/s:1000",
        env = "TETHERLINE_CONNECTS_PER_USER"
    )]
    connects_per_user: Limit,
    /// Connections that all users together open; 503.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "10000/s:200000",
        env = "TETHERLINE_CONNECTS_PER_SERVER"
    )]
    connects_per_server: Limit,
    /// Messages that are published over HTTP with one key: one for each user, and one for a stream; 429.
    #[arg(long, value_name = "RATE", default_value = "off", env = "TETHERLINE_PUBLISHES_PER_KEY")]
    publishes_per_key: Limit,
    /// The same in bytes.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "off",
        env = "TETHERLINE_PUBLISH_BYTES_PER_KEY"
    )]
    publish_bytes_per_key: Limit,
    /// Messages that are published over HTTP from one address: one for each user, and one for a stream; 429.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "off",
        env = "TETHERLINE_PUBLISHES_PER_ADDRESS"
    )]
    publishes_per_address: Limit,
    /// The same in bytes.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "off",
        env = "TETHERLINE_PUBLISH_BYTES_PER_ADDRESS"
    )]
    publish_bytes_per_address: Limit,
    /// Messages that are published over HTTP altogether: one for each user, and one for a stream; 429.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "off",
        env = "TETHERLINE_PUBLISHES_PER_SERVER"
    )]
    publishes_per_server: Limit,
    /// The same in bytes.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "off",
        env = "TETHERLINE_PUBLISH_BYTES_PER_SERVER"
    )]
    publish_bytes_per_server: Limit,
    /// Sends of one connection. What comes faster is refused for now, and comes again.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "50/s:2000",
        env = "TETHERLINE_SENDS_PER_CONNECTION"
    )]
    sends_per_connection: Limit,
    /// The same in bytes.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "262144/s:4194304",
        env = "TETHERLINE_SEND_BYTES_PER_CONNECTION"
    )]
    send_bytes_per_connection: Limit,
    /// Sends of one user, on all connections.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "50/s:10000",
        env = "TETHERLINE_SENDS_PER_USER"
    )]
    sends_per_user: Limit,
    /// The same in bytes.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "524288/s:16777216",
        env = "TETHERLINE_SEND_BYTES_PER_USER"
    )]
    send_bytes_per_user: Limit,
    /// Pings, questions, acknowledgements and the like of one connection. Who says more is not listened to for a
    /// while, and is sent away if that does not help.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "100/s:5000",
        env = "TETHERLINE_CONTROLS_PER_CONNECTION"
    )]
    controls_per_connection: Limit,
    /// The same for one user, on all connections.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "1000/s:50000",
        env = "TETHERLINE_CONTROLS_PER_USER"
    )]
    controls_per_user: Limit,
    /// What one connection gets because it asked for what it has missed, in bytes. More of it comes later.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "1048576/s:67108864",
        env = "TETHERLINE_REPLAY_BYTES_PER_CONNECTION"
    )]
    replay_bytes_per_connection: Limit,
    /// The same for one user, on all connections.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "4194304/s:268435456",
        env = "TETHERLINE_REPLAY_BYTES_PER_USER"
    )]
    replay_bytes_per_user: Limit,
}

/// A rate, or none.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<Rate>);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            rate => match rate.parse() {
                Ok(rate) => Ok(Self(Some(rate))),
                Err(error) => Err(format!("{error}, or `off`")),
            },
        }
    }
}

impl RateOptions {
    pub(super) fn set(&self, rates: &mut Rates) {
        rates.accepts_per_address = self.accepts_per_address.0;
        rates.attempts_per_address = self.attempts_per_address.0;
        rates.connects_per_user = self.connects_per_user.0;
        rates.connects_per_server = self.connects_per_server.0;
        rates.publishes_per_key = self.publishes_per_key.0;
        rates.publish_bytes_per_key = self.publish_bytes_per_key.0;
        rates.publishes_per_address = self.publishes_per_address.0;
        rates.publish_bytes_per_address = self.publish_bytes_per_address.0;
        rates.publishes_per_server = self.publishes_per_server.0;
        rates.publish_bytes_per_server = self.publish_bytes_per_server.0;
        rates.sends_per_connection = self.sends_per_connection.0;
        rates.send_bytes_per_connection = self.send_bytes_per_connection.0;
        rates.sends_per_user = self.sends_per_user.0;
        rates.send_bytes_per_user = self.send_bytes_per_user.0;
        rates.controls_per_connection = self.controls_per_connection.0;
        rates.controls_per_user = self.controls_per_user.0;
        rates.replay_bytes_per_connection = self.replay_bytes_per_connection.0;
        rates.replay_bytes_per_user = self.replay_bytes_per_user.0;
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, Parser};

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        rates: RateOptions,
    }

    fn rates(arguments: &[String]) -> Rates {
        let mut rates = Rates::default();
        Only::parse_from(arguments).rates.set(&mut rates);
        rates
    }

    fn options() -> Vec<String> {
        let command = RateOptions::augment_args(Command::new("serve"));
        command.get_opts().filter_map(|option| option.get_long().map(Into::into)).collect()
    }

    #[test]
    fn what_no_option_names_is_the_default() {
        let off: Vec<_> = options().iter().map(|name| format!("--{name}=off")).collect();
        let mut set = rates(&[vec!["serve".to_owned()], off].concat());
        assert_ne!(set, Rates::default());
        Only::parse_from(["serve"]).rates.set(&mut set);
        assert_eq!(set, Rates::default());
    }

    #[test]
    fn each_rate_has_its_own_option() {
        for name in options() {
            let set = rates(&["serve".to_owned(), format!("--{name}=7/min:9")]);
            let said = format!("{set:?}");
            let field = name.replace('-', "_");
            let at =
                said.find(&format!("{field}: ")).unwrap_or_else(|| panic!("{field} in {said}"));
            let expected = format!("{field}: {:?}", Some("7/min:9".parse::<Rate>().unwrap()));
            assert!(said[at..].starts_with(&expected), "{said}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for wrong in ["0/s", "5", "fast", ""] {
            assert!(Only::try_parse_from(["serve", &format!("--sends-per-user={wrong}")]).is_err());
        }
    }
}
