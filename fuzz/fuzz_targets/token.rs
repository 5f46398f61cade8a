//! Tokens. Behind a `!` the claims alone, which are then signed as ours: behind the signature is
//! where somebody with a misconfigured issuer gets to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_server::{JwtKeys, fuzzing};

fuzz_target!(|data: &[u8]| {
    let keys = JwtKeys::from_secret(b"0123456789abcdef0123456789abcdef").expect("long enough");
    if let Some(claims) = data.strip_prefix(b"!") {
        let token = fuzzing::signed(&keys, claims);
        let named = keys.clone().with_issuer("us").with_audience("chat");
        // Who demands more never accepts more.
        if fuzzing::bearer_of(&named, &token).is_some() {
            assert!(fuzzing::bearer_of(&keys, &token).is_some());
        }
    } else if let Ok(token) = str::from_utf8(data) {
        assert_eq!(fuzzing::bearer_of(&keys, token), None, "nobody guesses a signature");
    }
});
