//! What a backend may open and end an answer with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_protocol::{
    Attempt, Seq,
    frame::{ServerFrame, StreamEnding, StreamOpening},
};

fuzz_target!(|input: (&str, &str, &str)| {
    let (opening, ending, content) = input;
    let Ok(opening) = StreamOpening::parse(opening) else { return };
    let uuid = "a".parse().expect("an id");
    let start = opening.start_frame(&uuid, Attempt::FIRST);
    let Ok(ServerFrame::MessageStart(read)) = ServerFrame::parse(&start) else {
        panic!("what we write, we read: {start}")
    };
    assert_eq!(read.reference.as_ref(), opening.reference());
    let Ok(ending) = StreamEnding::parse(ending) else { return };
    let message = opening.message(&uuid, Attempt::FIRST, ending.status, content, &ending);
    let frame = message.to_frame(&uuid, Seq::new(1), "0");
    let Ok(ServerFrame::Application { ends, .. }) = ServerFrame::parse(&frame) else {
        panic!("what we write, we read: {frame}")
    };
    assert_eq!(ends, Some((uuid, Attempt::FIRST)), "{frame}");
});
