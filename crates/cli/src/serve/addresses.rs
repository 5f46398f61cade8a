use clap::{Args, ValueEnum};
use tetherline_server::{AddressRange, CONNECTIONS_PER_ADDRESS_MAX, Config, Proxies, ProxyHeader};

/// Where clients come from, and how many.
#[derive(Debug, Args)]
#[command(next_help_heading = "Addresses")]
pub(super) struct AddressOptions {
    /// Address of a proxy in front of this server, or a range such as 10.0.0.0/8, that is believed when it says whom it
    /// serves. Anybody else is not. May be repeated, or be several with commas between.
    #[arg(
        long = "trusted-proxy",
        value_name = "ADDRESS",
        value_delimiter = ',',
        env = "TETHERLINE_TRUSTED_PROXY"
    )]
    trusted_proxies: Vec<AddressRange>,
    /// The header in which it says so; the other one counts for nothing.
    #[arg(
        long,
        value_name = "HEADER",
        default_value = "x-forwarded-for",
        env = "TETHERLINE_PROXY_HEADER"
    )]
    proxy_header: Header,
    /// How many connections may be open from one address (of IPv6, a /56).
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = CONNECTIONS_PER_ADDRESS_MAX as u32,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "TETHERLINE_CONNECTIONS_PER_ADDRESS_MAX"
    )]
    connections_per_address_max: u32,
    /// How many connections may be open of one user.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "TETHERLINE_CONNECTIONS_PER_USER_MAX"
    )]
    connections_per_user_max: u32,
    /// How many connections may be open altogether. Each takes memory and a file descriptor.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "TETHERLINE_CONNECTIONS_MAX"
    )]
    connections_max: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Header {
    XForwardedFor,
    Forwarded,
}

impl AddressOptions {
    pub(super) fn set(&self, config: &mut Config) {
        let header = match self.proxy_header {
            Header::XForwardedFor => ProxyHeader::XForwardedFor,
            Header::Forwarded => ProxyHeader::Forwarded,
        };
        config.proxies = Proxies { trusted: self.trusted_proxies.clone(), header };
        config.connections_per_address_max = self.connections_per_address_max as usize;
        config.limits.connections_per_user_max = self.connections_per_user_max as usize;
        config.limits.connections_max = self.connections_max as usize;
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
        addresses: AddressOptions,
    }

    fn config(arguments: &[&str]) -> Config {
        let mut config = Config::new(JwtKeys::from_secret(&[7; 32]).unwrap());
        config.connections_per_address_max = 0;
        config.limits.connections_per_user_max = 0;
        config.limits.connections_max = 0;
        Only::parse_from(arguments).addresses.set(&mut config);
        config
    }

    #[test]
    fn no_proxy_is_trusted_unless_it_is_named() {
        let config = config(&["serve"]);
        assert_eq!(config.proxies, Proxies::default());
        assert_eq!(config.connections_per_address_max, CONNECTIONS_PER_ADDRESS_MAX);
        assert_eq!(config.limits, tetherline_protocol::Limits::default());
    }

    #[test]
    fn how_many_may_be_connected_is_said_of_a_user_and_of_all() {
        let config = config(&["serve", "--connections-per-user-max=3", "--connections-max=4"]);
        let limits = config.limits;
        assert_eq!((limits.connections_per_user_max, limits.connections_max), (3, 4));
        for wrong in ["--connections-per-user-max=0", "--connections-max=0"] {
            assert!(Only::try_parse_from(["serve", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn proxies_are_named_by_address_or_range_and_say_it_in_one_header() {
        let config = config(&[
            "serve",
            "--trusted-proxy=10.0.0.0/8,192.0.2.1",
            "--trusted-proxy=2001:db8::/32",
            "--proxy-header=forwarded",
            "--connections-per-address-max=5",
        ]);
        let trusted = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"];
        let trusted = trusted.map(|range| range.parse().unwrap()).to_vec();
        assert_eq!(config.proxies, Proxies { trusted, header: ProxyHeader::Forwarded });
        assert_eq!(config.connections_per_address_max, 5);
        for wrong in [
            "--trusted-proxy=proxy.example",
            "--proxy-header=via",
            "--connections-per-address-max=0",
        ] {
            assert!(Only::try_parse_from(["serve", wrong]).is_err(), "{wrong}");
        }
    }
}
