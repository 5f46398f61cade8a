//! Events of `tracing` as lines on stderr: text for people, JSON for whatever gathers lines.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write},
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::LevelFilter, fmt::layer, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

use crate::{
    lines,
    words::{self, Level},
};

/// Longest line of the log, in bytes; longer ones are cut.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// So much is shown of a line of JSON that is longer, in bytes: cut, it would be none.
const BEGINNING_BYTES: usize = 1024;

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum LogFormat {
    /// As text on a terminal, as JSON elsewhere.
    #[default]
    Auto,
    /// A line of text for each event.
    Text,
    /// A JSON object on a line for each event.
    Json,
}

/// What is not a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLevel(String);

impl std::error::Error for InvalidLevel {}

impl fmt::Display for InvalidLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(
            formatter,
            "`{text}` is no level: write error, warn, info, debug, trace or off, and for one part of the \
             program tetherline_server=debug, with commas between"
        )
    }
}

/// From which level on events are shown, and of which part of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl std::str::FromStr for LogLevel {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        let invalid = || InvalidLevel(text.into());
        // To the library a word that is no level is the name of a part, of which it shows everything.
        let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        let is_one = |part: &str| part.contains('=') || is_level(part.trim());
        if !text.split(',').all(is_one) {
            return Err(invalid());
        }
        EnvFilter::try_new(text).map_err(|_| invalid())?;
        Ok(Self(text.into()))
    }
}

impl Default for LogLevel {
    /// As `RUST_LOG` says, or from `info` on.
    fn default() -> Self {
        Self(
            std::env::var("RUST_LOG")
                .ok()
                .filter(|said| EnvFilter::try_new(said).is_ok())
                .unwrap_or_else(|| "info".into()),
        )
    }
}

impl LogLevel {
    fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

/// The log of this process, whose level can be changed.
#[derive(Debug, Clone)]
pub struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    /// Shows events on stderr from this level on; without one as `RUST_LOG` says, or from `info` on. Nobody waits
    /// for stderr from then on, and whatever else is said there has the same form.
    ///
    /// # Panics
    ///
    /// When there is a log already.
    #[must_use]
    pub fn start(format: LogFormat, level: Option<&LogLevel>) -> Self {
        let filter = level.map_or_else(|| from_environment("info"), LogLevel::filter);
        Self::start_with(format, filter)
    }

    fn start_with(format: LogFormat, filter: EnvFilter) -> Self {
        lines::wait_no_more();
        let is_terminal = io::stderr().is_terminal();
        let is_json = match format {
            LogFormat::Auto => !is_terminal,
            LogFormat::Text => false,
            LogFormat::Json => true,
        };
        words::are_json(is_json);
        let (filter, handle) = reload::Layer::new(filter);
        let shown = if is_json {
            let json = layer().json().flatten_event(true).with_current_span(false);
            json.with_writer(|| Lines).log_internal_errors(false).boxed()
        } else {
            let is_colourful = is_terminal && std::env::var_os("NO_COLOR").is_none();
            // What goes wrong would be said with `eprintln!`, which panics when stderr cannot be written.
            let text = layer().with_ansi(is_colourful).with_writer(|| Lines);
            text.log_internal_errors(false).boxed()
        };
        let subscriber = tracing_subscriber::registry().with(shown.with_filter(filter));
        #[cfg(feature = "otel")]
        let subscriber = subscriber.with(crate::traces::layer());
        subscriber.init();
        Self(handle)
    }

    /// Shows events from another level on.
    pub fn set_level(&self, level: &LogLevel) {
        // It fails when there is no log any more.
        let _ = self.0.reload(level.filter());
    }
}

/// Shows events on stderr, as `RUST_LOG` says or, without it, from this level on. Nobody waits for stderr from then on.
pub fn log_to_stderr(format: LogFormat, default: &str) {
    drop(Log::start_with(format, from_environment(default)));
}

fn from_environment(default: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}

struct Lines;

impl Write for Lines {
    /// Each call is a line.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lines::write(if bytes.len() <= LINE_BYTES_MAX { bytes.to_vec() } else { shortened(bytes) });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shortened(bytes: &[u8]) -> Vec<u8> {
    if words::are_to_be_json() {
        let beginning = String::from_utf8_lossy(&bytes[..BEGINNING_BYTES]);
        let length = bytes.len();
        let said = format_args!(
            "a line of {length} bytes was too long for the log; it began: {beginning}"
        );
        return words::line(Level::Warn, &said);
    }
    let mut line = bytes[..LINE_BYTES_MAX].to_vec();
    line.extend_from_slice("…\n".as_bytes());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_six_or_that_of_a_part() {
        for good in [
            "info",
            "off",
            "TRACE",
            "tetherline_server=debug",
            "warn,tetherline_server::http=trace",
        ] {
            assert!(good.parse::<LogLevel>().is_ok(), "{good}");
        }
        for bad in ["", "verbose", "info,loud", "a=b=c=d", "tetherline_server=loud"] {
            let said = bad.parse::<LogLevel>().unwrap_err().to_string();
            assert!(said.starts_with(&format!("`{bad}` is no level")), "{said}");
        }
    }
}
