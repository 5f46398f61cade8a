use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use crate::lines;

/// Longest line of the log, in bytes; longer ones are cut.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// Shows events on stderr, as `RUST_LOG` says or, without it, from this level on. Nobody waits for
/// stderr from then on.
pub fn log_to_stderr(default: &str) {
    lines::wait_no_more();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let is_colourful = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_colourful)
        .with_writer(|| Lines)
        // It would be said with `eprintln!`, which panics when stderr cannot be written.
        .log_internal_errors(false)
        .init();
}

struct Lines;

impl Write for Lines {
    /// Each call is a line.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut line = bytes[..bytes.len().min(LINE_BYTES_MAX)].to_vec();
        if line.len() < bytes.len() {
            line.extend_from_slice("…\n".as_bytes());
        }
        lines::write(line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
