//! The body of a publish, alone and as one of many, and the header that is put in front of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_protocol::{
    Seq,
    frame::{Message, PublishItem, ServerFrame, items_of_array, items_of_lines},
};

fuzz_target!(|text: &str| {
    for items in [items_of_array(text), items_of_lines(text)].into_iter().flatten() {
        for item in items {
            let _ = PublishItem::parse(item, text.len());
        }
    }
    let Ok(message) = Message::parse(text) else { return };
    let item = format!(r#"[{{"user":"ada","message":{text}}}]"#);
    let items = items_of_array(&item).expect("a message is JSON");
    let item = PublishItem::parse(items[0], text.len()).expect("one of many is as good as one");
    assert_eq!(item.message, message);
    let frame = message.to_frame(&"own".parse().expect("an id"), Seq::new(7), "\"now\"");
    match ServerFrame::parse(&frame) {
        Ok(ServerFrame::Application { kind, seq, id, .. }) => {
            assert_eq!(&*kind, message.kind());
            assert_eq!(seq, Seq::new(7));
            assert_eq!(id.expect("the header has one").as_str(), "own");
        }
        other => panic!("{frame} came back as {other:?}"),
    }
    // The application's fields alone are an object too: that is what it gets to read.
    let fields = format!(r#"{{"type":"t"{}{}}}"#, comma(message.fields()), message.fields());
    let again = Message::parse(&fields).expect("fields are fields");
    assert_eq!(again.fields(), message.fields());
});

fn comma(fields: &str) -> &'static str {
    if fields.is_empty() { "" } else { "," }
}
