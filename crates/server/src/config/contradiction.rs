use std::fmt;

use tetherline_protocol::limits::{
    ANSWER_BYTES_MAX, ID_BYTES_MAX, OUTBOX_MESSAGES_MAX, OUTBOX_TTL_MS_MAX, PONG_TIMEOUT_MS,
};

use crate::Config;

/// Limits that cannot hold together, and what would come of it. They are named as the fields of [`Config`] and of
/// [`Limits`](crate::Limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction {
    limit: &'static str,
    value: u64,
    least: u64,
    /// Where the least comes from.
    because: &'static str,
    consequence: &'static str,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, value, least, because, consequence } = self;
        write!(f, "{limit} is {value}, and has to be at least {least} ({because}): {consequence}")
    }
}

impl std::error::Error for Contradiction {}

/// The first that there is.
pub(super) fn of(config: &Config) -> Result<(), Contradiction> {
    let limits = &config.limits;
    let bytes = |bytes: usize| bytes as u64;
    some("message_bytes_max", bytes(limits.message_bytes_max), "no client could say anything")?;
    some("publish_bytes_max", bytes(limits.publish_bytes_max), "nothing could be published")?;
    some("sends_waiting_max", bytes(limits.sends_waiting_max), "no send would ever be taken")?;
    some(
        "connections_per_user_max",
        bytes(limits.connections_per_user_max),
        "nobody could connect",
    )?;
    at_least(
        ("connections_max", bytes(limits.connections_max)),
        bytes(limits.connections_per_user_max),
        "connections_per_user_max",
        "nobody could have as many connections as a user may",
    )?;
    at_least(
        ("idle_timeout_ms", limits.idle_timeout_ms),
        limits.heartbeat_interval_ms.saturating_add(PONG_TIMEOUT_MS),
        "heartbeat_interval_ms, and 10,000 for the way",
        "clients that ping when they are told to would be taken for silent",
    )?;
    at_least(
        ("dedupe_window_ms", limits.dedupe_window_ms),
        OUTBOX_TTL_MS_MAX,
        "clients repeat what they send for three days",
        "a send that comes again would be taken for another one",
    )?;
    at_least(
        ("streams_bytes_max", bytes(limits.streams_bytes_max)),
        bytes(limits.stream_bytes_max),
        "stream_bytes_max",
        "no stream could become as long as one may",
    )?;
    let outbox = bytes(OUTBOX_MESSAGES_MAX);
    at_least(
        ("outcomes_per_user_max", config.outcomes_per_user_max),
        outbox,
        "what waits with one client",
        "a send that comes again would be taken for another one",
    )?;
    at_least(
        ("outcome_bytes_per_user_max", config.outcome_bytes_per_user_max),
        outbox * bytes(ID_BYTES_MAX + ANSWER_BYTES_MAX),
        "what waits with one client, and the longest answer to each",
        "a send that comes again would be taken for another one",
    )?;
    at_least(
        ("sends_bytes_max", bytes(config.sends_bytes_max)),
        bytes(limits.message_bytes_max).saturating_mul(2),
        "twice message_bytes_max",
        "whoever has sent something would be kept from sending more",
    )
}

fn some(limit: &'static str, value: u64, consequence: &'static str) -> Result<(), Contradiction> {
    at_least((limit, value), 1, "0 is none at all", consequence)
}

fn at_least(
    (limit, value): (&'static str, u64),
    least: u64,
    because: &'static str,
    consequence: &'static str,
) -> Result<(), Contradiction> {
    if value >= least {
        return Ok(());
    }
    Err(Contradiction { limit, value, least, because, consequence })
}

#[cfg(test)]
mod tests {
    use tetherline_protocol::Limits;

    use super::*;
    use crate::JwtKeys;

    fn said_of(change: impl FnOnce(&mut Config)) -> Option<String> {
        let mut config = Config::new(JwtKeys::from_secret(&[7; 32]).unwrap());
        change(&mut config);
        config.check().err().map(|contradiction| contradiction.to_string())
    }

    fn said(change: impl FnOnce(&mut Limits)) -> Option<String> {
        said_of(|config| change(&mut config.limits))
    }

    #[test]
    fn what_holds_together_at_its_edge_does_and_a_step_further_does_not() {
        assert_eq!(said(|_| {}), None);
        assert_eq!(said(|limits| limits.idle_timeout_ms = 40_000), None);
        assert_eq!(
            said(|limits| limits.idle_timeout_ms = 39_999).unwrap(),
            "idle_timeout_ms is 39999, and has to be at least 40000 (heartbeat_interval_ms, and 10,000 for the way): \
             clients that ping when they are told to would be taken for silent"
        );
        assert_eq!(said(|limits| limits.stream_bytes_max = limits.streams_bytes_max), None);
        assert!(said(|limits| limits.stream_bytes_max = limits.streams_bytes_max + 1).is_some());
        assert_eq!(said(|limits| limits.connections_max = 64), None);
        assert!(said(|limits| limits.connections_max = 63).is_some());
        assert_eq!(said(|limits| limits.dedupe_window_ms = OUTBOX_TTL_MS_MAX), None);
        assert!(said(|limits| limits.dedupe_window_ms = OUTBOX_TTL_MS_MAX - 1).is_some());
    }

    #[test]
    fn what_is_kept_of_sends_is_at_least_what_one_client_may_repeat() {
        // With five outcomes a full outbox that was sent again had most of its sends taken twice.
        assert_eq!(said_of(|config| config.outcomes_per_user_max = 1_000), None);
        let said = said_of(|config| config.outcomes_per_user_max = 999).unwrap();
        assert!(said.starts_with("outcomes_per_user_max is 999, and has to be at least 1000"));
        let least = 1_000 * (128 + 16 * 1024);
        assert_eq!(said_of(|config| config.outcome_bytes_per_user_max = least), None);
        assert!(said_of(|config| config.outcome_bytes_per_user_max = least - 1).is_some());
        assert_eq!(said_of(|config| config.sends_bytes_max = 128 * 1024), None);
        assert!(said_of(|config| config.sends_bytes_max = 128 * 1024 - 1).is_some());
    }

    #[test]
    fn what_is_none_at_all_is_said_with_what_would_come_of_it() {
        type Change = fn(&mut Limits);
        let none: [(Change, &str); 4] = [
            (|limits| limits.message_bytes_max = 0, "message_bytes_max is 0"),
            (|limits| limits.publish_bytes_max = 0, "publish_bytes_max is 0"),
            (|limits| limits.sends_waiting_max = 0, "sends_waiting_max is 0"),
            (|limits| limits.connections_per_user_max = 0, "connections_per_user_max is 0"),
        ];
        for (change, start) in none {
            assert!(said(change).unwrap().starts_with(start), "{start}");
        }
    }
}
