//! The form of whatever is said on stderr that is no event of `tracing`: text, or JSON like those events.

use std::fmt;
#[cfg(feature = "log")]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "log")]
static ARE_JSON: AtomicBool = AtomicBool::new(false);

/// How bad it is, where a line says that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    #[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only a log shortens lines"))]
    Warn,
    Error,
}

#[cfg(feature = "log")]
pub(crate) fn are_json(are_json: bool) {
    ARE_JSON.store(are_json, Ordering::Relaxed);
}

#[cfg(feature = "log")]
pub(crate) fn are_to_be_json() -> bool {
    ARE_JSON.load(Ordering::Relaxed)
}

/// A whole line.
pub(crate) fn line(level: Level, said: &dyn fmt::Display) -> Vec<u8> {
    #[cfg(feature = "log")]
    if are_to_be_json() {
        return json(level, said);
    }
    let _ = level;
    format!("{said}\n").into_bytes()
}

#[cfg(feature = "log")]
fn json(level: Level, said: &dyn fmt::Display) -> Vec<u8> {
    use tracing_subscriber::fmt::{
        format::Writer,
        time::{FormatTime as _, SystemTime},
    };
    let mut timestamp = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let level = match level {
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    let message = said.to_string();
    let line = serde_json::json!({
        "timestamp": timestamp, "level": level, "message": message.trim_end(), "target": "tetherline",
    });
    format!("{line}\n").into_bytes()
}
