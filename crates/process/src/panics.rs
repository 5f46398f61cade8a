use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic, thread,
};

use crate::{complain, finish};

/// Says a panic as every other line: best effort, and without waiting for stderr for long. A thread
/// that dies must not hang over its last words.
pub fn say_panics() {
    panic::set_hook(Box::new(|panicked| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("<unnamed>");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            complain!("thread '{name}' {panicked}\n{backtrace}");
        } else {
            complain!("thread '{name}' {panicked}");
        }
        finish();
    }));
}
