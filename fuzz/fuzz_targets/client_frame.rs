//! What a client may say to the server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_protocol::{
    Seq,
    frame::{ClientFrame, id_in},
};

fuzz_target!(|text: &str| {
    let _ = id_in(text);
    match ClientFrame::parse(text) {
        Ok(ClientFrame::Ack { seq }) => assert!(seq <= Seq::MAX),
        Ok(ClientFrame::Application(message)) => {
            // What one client says is written to another as it is: it must not break the frame.
            let frame = message.to_frame(&"id".parse().expect("an id"), None, "0");
            assert_eq!(
                ClientFrame::parse(&frame).is_ok(),
                !frame.contains(r#","seq":"#),
                "{frame}"
            );
        }
        _ => {}
    }
});
