//! What an application behind a webhook says when it refuses a send.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_protocol::frame::{ErrorFrame, ServerFrame};
use tetherline_server::fuzzing;

fuzz_target!(|answer: &[u8]| {
    let Some(refusal) = fuzzing::refusal(answer) else { return };
    assert!(!refusal.is_retryable(), "a refusal in our form is final");
    assert!((1..=64).contains(&refusal.code().len()));
    // It goes on to the client in a frame.
    let frame = ServerFrame::Error(ErrorFrame {
        code: refusal.code().into(),
        message: refusal.message().into(),
        reference: None,
        retryable: refusal.is_retryable(),
        retry_after_ms: None,
    });
    let text = frame.to_text().expect("an error is a control frame");
    let Ok(ServerFrame::Error(read)) = ServerFrame::parse(&text) else { panic!("{text}") };
    assert_eq!((&*read.code, &*read.message), (refusal.code(), refusal.message()));
});
