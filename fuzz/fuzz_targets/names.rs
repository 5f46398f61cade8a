//! Names and positions: whatever is accepted goes through a URL, a header and JSON unescaped.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_protocol::{
    DeviceId, Epoch, IdempotencyKey, InvalidId, MessageId, Seq, UserId, limits, message_type,
};

fuzz_target!(|text: &str| {
    let user: Result<UserId, InvalidId> = text.parse();
    assert_eq!(user.is_ok(), text.parse::<DeviceId>().is_ok());
    assert_eq!(user.is_ok(), text.parse::<MessageId>().is_ok());
    assert_eq!(user.is_ok(), text.parse::<Epoch>().is_ok());
    if let Ok(user) = user {
        assert_eq!(user.as_str(), text);
        assert!((1..=limits::ID_BYTES_MAX).contains(&text.len()));
        assert!(!text.contains(['"', '\\', '/', '?', '#', '%', ' ']));
    }
    if text.parse::<IdempotencyKey>().is_ok() {
        assert!((1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()));
        assert!(http::HeaderValue::from_str(text).is_ok());
    }
    if message_type::is_well_formed(text) {
        assert!(!text.contains(['"', '\\']));
    }
    if let Some(seq) = text.parse().ok().and_then(Seq::new) {
        assert_eq!(seq.next().map_or(seq, Seq::previous), seq);
    }
});
