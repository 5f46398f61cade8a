//! What JavaScript calls when a frame of a stream comes. Streams have numbers from 1 on, attempts too.
#![cfg_attr(
    target_arch = "wasm32",
    expect(
        unsafe_code,
        reason = "an export is `#[unsafe(no_mangle)]`; no body has an unsafe block"
    )
)]

use tetherline_engine::{ConnectionNo, StreamDelta, StreamEnd, StreamNo, StreamStart};
use tetherline_protocol::Attempt;

use crate::instance::with;

/// `message_start` has come. Answers 1 if the stream begins from nothing now, 0 if that is no news.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn stream_start(connection: u32, stream: u32, attempt: u32) -> u32 {
    let Some(attempt) = Attempt::new(attempt) else { return 0 };
    with(|it| {
        let start =
            it.engine.handle_stream_start(ConnectionNo(connection), StreamNo(stream), attempt);
        u32::from(start == StreamStart::Begin)
    })
}

/// `message_delta` has come. Answers how many UTF-16 units of the piece are there already, or −1 if
/// nothing of it is to be appended.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn stream_delta(
    connection: u32,
    stream: u32,
    attempt: u32,
    offset: f64,
    length: u32,
) -> i32 {
    let Some(attempt) = Attempt::new(attempt) else { return -1 };
    let (connection, stream) = (ConnectionNo(connection), StreamNo(stream));
    with(|it| {
        let (offset, length) = (offset as u64, length.into());
        match it.engine.handle_stream_delta(connection, stream, attempt, offset, length) {
            StreamDelta::Append { skip } => skip as i32,
            StreamDelta::Drop => -1,
        }
    })
}

/// `message_lost` has come for what there is of an attempt. Answers 1 if it is to be forgotten.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn stream_lost(connection: u32, stream: u32, attempt: u32) -> u32 {
    let Some(attempt) = Attempt::new(attempt) else { return 0 };
    let (connection, stream) = (ConnectionNo(connection), StreamNo(stream));
    with(|it| it.engine.handle_stream_lost(connection, stream, attempt).into())
}

/// The durable message that ends an attempt has come. Answers 1 if it does, 0 if that is no news.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn stream_end(connection: u32, stream: u32, attempt: u32) -> u32 {
    let Some(attempt) = Attempt::new(attempt) else { return 0 };
    with(|it| {
        let end = it.engine.handle_stream_end(ConnectionNo(connection), StreamNo(stream), attempt);
        u32::from(end == StreamEnd::Finish)
    })
}
