//! A handshake's headers and query, one a line: subprotocols, `Authorization`, `Origin`, query, and
//! a publish's `Idempotency-Key`.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use tetherline_protocol::limits;
use tetherline_server::{Origin, fuzzing};

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [header::SEC_WEBSOCKET_PROTOCOL, header::AUTHORIZATION, header::ORIGIN] {
        let value = HeaderValue::from_bytes(lines.next().unwrap_or_default());
        headers.extend(value.ok().map(|value| (name, value)));
    }
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let key = HeaderValue::from_bytes(lines.next().unwrap_or_default());
    headers.extend(key.ok().map(|key| (header::HeaderName::from_static("idempotency-key"), key)));

    let allowed: [Origin; 1] = ["https://app.example.com".parse().expect("an origin")];
    if fuzzing::is_allowed(&headers, &allowed) {
        assert_eq!(headers[header::ORIGIN], "https://app.example.com");
    }
    // A token in a header is the only one that counts unless the query is opened to it.
    let shown = fuzzing::token(&headers, &query, false);
    if let Some(shown) = fuzzing::token(&headers, &query, true).filter(|_| shown.is_none()) {
        assert!(query.contains("token"), "{shown}");
    }
    if let Some(device) = fuzzing::device(&query) {
        assert!(device.as_str().len() <= limits::ID_BYTES_MAX);
    }
    if let Some(key) = fuzzing::idempotency_key(&headers) {
        assert_eq!(headers["idempotency-key"], key.as_str());
    }
});
