//! A secret file as somebody's editor left it.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tetherline_server::{ApiKey, JwtKeys, SECRET_BYTES_MIN, fuzzing, issue_token};

fuzz_target!(|text: &str| {
    let Some(secret) = fuzzing::secret(text) else { return };
    assert!(!secret.is_empty());
    assert_eq!(secret.trim(), secret);
    let is_long = secret.len() >= SECRET_BYTES_MIN;
    assert_eq!(ApiKey::new(secret).is_ok(), is_long);
    let keys = JwtKeys::from_secret(secret.as_bytes());
    assert_eq!(keys.is_ok(), is_long);
    if let Ok(keys) = keys {
        let user = "ada".parse().expect("an id");
        let token = issue_token(&keys, &user, None, Duration::from_mins(1));
        assert_eq!(fuzzing::bearer_of(&keys, &token), Some(user));
    }
});
