//! What a server may say to the native client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_protocol::frame::ServerFrame;

fuzz_target!(|text: &str| {
    let Ok(frame) = ServerFrame::parse(text) else { return };
    let Some(written) = frame.to_text() else { return };
    let again = ServerFrame::parse(&written).expect("what we write, we read");
    assert_eq!(again.to_text().as_ref(), Some(&written));
});
