//! What an application says when it is asked who connects.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tetherline_protocol::ErrorCode;
use tetherline_server::{
    CONNECT_HOOK_REFUSAL_BYTES_MAX, CONNECT_HOOK_SESSION_BYTES_MAX, ConnectRefusal, Grant, fuzzing,
};

fuzz_target!(|answer: &[u8]| match fuzzing::connect_answer(answer) {
    Some(Ok(grant)) => granted(&grant),
    Some(Err(refusal)) => refused(&refusal),
    None => {}
});

fn granted(grant: &Grant) {
    assert!(!grant.user.as_str().is_empty());
    let session = grant.session.as_deref().unwrap_or_default();
    assert!(session.len() <= CONNECT_HOOK_SESSION_BYTES_MAX);
    assert_ne!(grant.expires_in, Some(Duration::ZERO));
}

fn refused(refusal: &ConnectRefusal) {
    let sentence = refusal.message();
    assert!((1..=CONNECT_HOOK_REFUSAL_BYTES_MAX).contains(&sentence.len()));
    let may_come_again = match refusal.code() {
        ErrorCode::Unauthorized | ErrorCode::Forbidden => false,
        ErrorCode::RateLimited | ErrorCode::Unavailable => true,
        code => panic!("{code:?}"),
    };
    assert_eq!(refusal.wait().is_some(), may_come_again);
    assert!(refusal.wait().unwrap_or_default() <= Duration::from_hours(1));
}
