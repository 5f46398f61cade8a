//! How our binaries behave as processes. What they say is best effort: a volume that is full, a reader
//! that is gone or one that takes nothing stops no work, and nothing panics over a line.

mod exit;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only a log is queued"))]
mod lines;
#[cfg(feature = "log")]
mod log;
mod panics;
#[cfg(all(feature = "signals", unix))]
mod signals;
#[cfg(all(feature = "signals", not(unix)))]
#[path = "interrupts.rs"]
mod signals;
#[cfg(all(feature = "systemd", unix))]
mod systemd;
#[cfg(all(feature = "systemd", not(unix)))]
#[path = "unsupervised.rs"]
mod systemd;
#[cfg(feature = "otel")]
mod traces;
mod words;

#[cfg(feature = "clap")]
use std::ffi::OsStr;
use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

pub use exit::Exit;
#[cfg(feature = "log")]
pub use log::{InvalidLevel, Log, LogFormat, LogLevel, log_to_stderr};
pub use panics::say_panics;
#[cfg(feature = "signals")]
pub use signals::{Asked, Hangups, Signals};
#[cfg(feature = "systemd")]
pub use systemd::{
    Inherited, feed_watchdog, inherited_listener, inherited_listeners, say_ready, say_reloading,
    say_stopping,
};

/// A line on stdout, for people. Nothing happens if it cannot be written.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        drop($crate::answer(&::std::format_args!($($words)*)))
    };
}

/// A line on stderr. Nothing happens if it cannot be written.
#[macro_export]
macro_rules! note {
    ($($words:tt)*) => {
        $crate::note_line(&::std::format_args!($($words)*))
    };
}

/// A line on stderr about what went wrong. Nothing happens if it cannot be written.
#[macro_export]
macro_rules! complain {
    ($($words:tt)*) => {
        $crate::complaint_line(&::std::format_args!($($words)*))
    };
}

/// The line that a task is there for, on stdout. Whether it got there is the caller's to tell, with
/// [`outcome_of`].
pub fn answer(line: &dyn fmt::Display) -> io::Result<()> {
    // In one piece: a reader that follows sees whole lines.
    let line = format!("{line}\n");
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

/// What [`note!`] does.
pub fn note_line(line: &dyn fmt::Display) {
    lines::write(words::line(words::Level::Info, line));
}

/// What [`complain!`] does.
pub fn complaint_line(line: &dyn fmt::Display) {
    lines::write(words::line(words::Level::Error, line));
}

/// Something that moves on the spot, on a terminal: it stays without a line of its own.
pub fn show(words: &dyn fmt::Display) {
    lines::write(words.to_string().into_bytes());
}

/// Waits a moment until what was noted is written. The last thing that a process does.
pub fn finish() {
    #[cfg(feature = "otel")]
    traces::finish();
    lines::finish();
}

/// How a process ends whose answer was written so. A reader that has seen enough (`| head -1`) is no
/// failure, and is not spoken of; anything else is, and `done` says what was done all the same.
#[must_use]
pub fn outcome_of(written: io::Result<()>, done: &str) -> ExitCode {
    match written {
        Ok(()) => Exit::Done.into(),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done.into(),
        Err(error) => {
            note!("{done}, but stdout cannot be written: {error}");
            Exit::OutputLost.into()
        }
    }
}

/// The command line, or how to end: with the help that was asked for, or a complaint.
#[cfg(feature = "clap")]
pub fn arguments<T: clap::Parser>() -> Result<T, ExitCode> {
    let parsed = command::<T>().try_get_matches();
    parsed.and_then(|matches| T::from_arg_matches(&matches)).map_err(|words| ended_by(&words))
}

/// What there is to say on the command line. A variable that is empty stands for an option that was not given:
/// `docker compose` hands on `${PORT:-}` as one.
#[cfg(feature = "clap")]
#[must_use]
pub fn command<T: clap::CommandFactory>() -> clap::Command {
    without_empty_variables(T::command())
}

/// Says it, and how to end: with the help that was asked for, or a complaint.
#[cfg(feature = "clap")]
#[must_use]
pub fn ended_by(words: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(words.exit_code()).unwrap_or(Exit::Failed.code()));
    let written = words.print().and_then(|()| io::stdout().flush());
    if words.use_stderr() || written.is_ok() {
        code
    } else {
        outcome_of(written, "help was asked for")
    }
}

#[cfg(feature = "clap")]
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let options = command.mut_args(|option| {
        if option.get_env().is_some_and(is_empty) {
            option.env(clap::builder::Resettable::Reset)
        } else {
            option
        }
    });
    options.mut_subcommands(without_empty_variables)
}
