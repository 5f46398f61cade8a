//! Names and positions: whatever is accepted goes through a URL and a header, encoded if it is a
//! user's, and unescaped otherwise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_protocol::{
    DeviceId, Epoch, IdempotencyKey, InvalidId, MessageId, Seq, UserId, limits, message_type,
};

fuzz_target!(|text: &str| {
    let device: Result<DeviceId, InvalidId> = text.parse();
    assert_eq!(device.is_ok(), text.parse::<MessageId>().is_ok());
    assert_eq!(device.is_ok(), text.parse::<Epoch>().is_ok());
    if let Ok(device) = device {
        assert_eq!(device.as_str(), text);
        assert!((1..=limits::ID_BYTES_MAX).contains(&text.len()));
        assert!(!text.contains(['"', '\\', '/', '?', '#', '%', ' ']));
        assert_eq!(text.parse::<UserId>().is_ok(), !matches!(text, "." | ".."));
    }
    if let Ok(user) = text.parse::<UserId>() {
        assert_eq!(user.as_str(), text);
        assert!((1..=limits::USER_ID_BYTES_MAX).contains(&text.len()));
        let encoded = user.in_url().to_string();
        let address: http::Uri = format!("/ws/user/{encoded}").parse().expect("one segment");
        assert_eq!(address.path().split('/').count(), 4);
        assert!(http::HeaderValue::from_str(&encoded).is_ok());
        assert!(!format!("{user:?}").contains(char::is_control));
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
