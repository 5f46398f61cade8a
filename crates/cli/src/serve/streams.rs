use clap::Args;
use tetherline_protocol::Limits;

const SECOND_MS: u64 = 1_000;

/// What streams may cost.
#[derive(Debug, Args)]
#[command(next_help_heading = "Streams")]
pub(super) struct StreamLimits {
    /// Longest stream, in bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 1024 * 1024,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "TETHERLINE_STREAM_BYTES_MAX"
    )]
    stream_bytes_max: u32,
    /// How many unfinished streams one user may have.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "TETHERLINE_STREAMS_PER_USER_MAX"
    )]
    streams_per_user_max: u32,
    /// All unfinished streams together, in bytes; they are kept in memory.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 256 * 1024 * 1024,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "TETHERLINE_STREAMS_BYTES_MAX"
    )]
    streams_bytes_max: u32,
    /// A stream whose writer adds nothing for so many seconds is ended as interrupted.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "TETHERLINE_STREAM_IDLE"
    )]
    stream_idle: u32,
    /// After somebody stopped a stream its writer has so many seconds to end it.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        env = "TETHERLINE_STREAM_STOP_GRACE"
    )]
    stream_stop_grace: u32,
}

impl StreamLimits {
    pub(super) fn set(&self, limits: &mut Limits) {
        limits.stream_bytes_max = self.stream_bytes_max as usize;
        limits.streams_per_user_max = self.streams_per_user_max as usize;
        limits.streams_bytes_max = self.streams_bytes_max as usize;
        limits.stream_idle_ms = u64::from(self.stream_idle) * SECOND_MS;
        limits.stream_stop_grace_ms = u64::from(self.stream_stop_grace) * SECOND_MS;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        streams: StreamLimits,
    }

    fn limits(arguments: &[&str]) -> Limits {
        let mut limits = Limits::default();
        // Other values than the options' own, so that one which sets nothing shows.
        limits.stream_bytes_max = 0;
        limits.streams_per_user_max = 0;
        limits.streams_bytes_max = 0;
        limits.stream_idle_ms = 0;
        limits.stream_stop_grace_ms = 1;
        Only::parse_from(arguments).streams.set(&mut limits);
        limits
    }

    #[test]
    fn what_no_option_names_is_what_the_protocol_says() {
        assert_eq!(limits(&["serve"]), Limits::default());
    }

    #[test]
    fn each_limit_has_its_option_in_the_unit_that_people_count_in() {
        let set = limits(&[
            "serve",
            "--stream-bytes-max=1000",
            "--streams-per-user-max=2",
            "--streams-bytes-max=3000",
            "--stream-idle=4",
            "--stream-stop-grace=0",
        ]);
        let mut expected = Limits::default();
        expected.stream_bytes_max = 1_000;
        expected.streams_per_user_max = 2;
        expected.streams_bytes_max = 3_000;
        expected.stream_idle_ms = 4_000;
        expected.stream_stop_grace_ms = 0;
        assert_eq!(set, expected);
    }

    #[test]
    fn an_answer_that_may_not_be_is_no_limit() {
        assert!(Only::try_parse_from(["serve", "--stream-bytes-max=0"]).is_err());
    }
}
