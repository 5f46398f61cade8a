use clap::Args;
use tetherline_process::{Log, LogFormat, LogLevel};

/// What is said on stderr.
#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogOptions {
    /// How the log is written: auto is text on a terminal, and a JSON object on each line elsewhere.
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "auto",
        env = "TETHERLINE_LOG_FORMAT"
    )]
    log_format: LogFormat,
    /// From which level on: error, warn, info, debug, trace or off, and for a part of the program
    /// tetherline_server=debug, with commas between. Without it, as RUST_LOG says, or info.
    #[arg(long, value_name = "LEVEL", env = "TETHERLINE_LOG_LEVEL")]
    log_level: Option<LogLevel>,
}

impl LogOptions {
    pub(super) fn level(&self) -> Option<&LogLevel> {
        self.log_level.as_ref()
    }

    pub(super) fn start(&self) -> Log {
        Log::start(self.log_format, self.log_level.as_ref())
    }
}
