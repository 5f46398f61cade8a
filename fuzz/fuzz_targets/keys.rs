//! Keys: JWK sets, and PEM files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_server::{JWKS_KEYS_MAX, VerifyingKey, fuzzing};

fuzz_target!(|data: &[u8]| {
    let (filed, published) = fuzzing::keys(data);
    assert!(filed <= JWKS_KEYS_MAX);
    assert!(published <= filed, "nobody publishes what a file may not have");
    if let Ok(keys) = VerifyingKey::from_pem(data) {
        assert!(!keys.is_empty());
        assert!(
            !data.windows(16).any(|part| part == b"PRIVATE KEY-----"),
            "it is for whoever signs"
        );
    }
});
