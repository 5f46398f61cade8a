//! What JavaScript reads: how the engine stands, and what it wants done.
#![cfg_attr(
    target_arch = "wasm32",
    expect(
        unsafe_code,
        reason = "an export is `#[unsafe(no_mangle)]`; no body has an unsafe block"
    )
)]

use tetherline_engine::Status;

use crate::{codes, instance::with, numbers::millis, output, reason};

/// One of [`status`](crate::codes::status).
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn status() -> u32 {
    with(|it| match it.engine.status() {
        Status::SignedOut => codes::status::SIGNED_OUT,
        Status::Connecting => codes::status::CONNECTING,
        Status::Connected => codes::status::CONNECTED,
        Status::Waiting => codes::status::WAITING,
        _ => codes::status::REFUSED,
    })
}

/// 1 from when everything has come that was in the mailbox until the connection is lost.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn caught_up() -> u32 {
    with(|it| it.engine.is_caught_up().into())
}

/// Which attempt since the last connection this is.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn attempts() -> u32 {
    with(|it| it.engine.attempts())
}

/// What the next attempt waits for, one of [`wait_reason`](crate::codes::wait_reason); −1 for nothing.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn wait_reason() -> i32 {
    with(|it| it.engine.wait_reason().map_or(-1, |reason| reason::encode(reason) as i32))
}

/// When the next attempt begins.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn retry_at() -> f64 {
    with(|it| millis(it.engine.retry_at()))
}

/// When [`timeout`] is due.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn next_timeout() -> f64 {
    with(|it| {
        it.timeout = it.engine.poll_timeout();
        millis(it.timeout)
    })
}

/// The highest position received, 0 if none is known.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn position() -> f64 {
    with(|it| it.engine.position().unwrap_or_default().get() as f64)
}

/// The number of the message there, 0 if it is not known.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn position_id() -> u32 {
    with(|it| it.engine.position_id().0)
}

/// How many sends have not settled.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn outbox_length() -> u32 {
    with(|it| it.engine.outbox_len() as u32)
}

/// The next output's kind, one of [`output`](crate::codes::output); 0 when there is none. Its arguments
/// are [`arg_a`] to [`arg_d`].
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn poll() -> u32 {
    with(|it| {
        let Some(next) = it.engine.poll_output() else { return 0 };
        let (kind, arguments) = output::encode(next);
        it.arguments = arguments;
        kind
    })
}

/// The first argument of the output last polled.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn arg_a() -> f64 {
    with(|it| it.arguments[0] as f64)
}

/// The second argument of the output last polled.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn arg_b() -> f64 {
    with(|it| it.arguments[1] as f64)
}

/// The third argument of the output last polled.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn arg_c() -> f64 {
    with(|it| it.arguments[2] as f64)
}

/// The fourth argument of the output last polled.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn arg_d() -> f64 {
    with(|it| it.arguments[3] as f64)
}
