//! What an operator puts on the list of origins, and what a browser sends.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use tetherline_server::{Origin, fuzzing};

fuzz_target!(|text: &str| {
    let Ok(origin) = text.parse::<Origin>() else { return };
    assert_eq!(origin.as_str().parse().as_ref(), Ok(&origin), "its own text names it");
    assert!(!origin.as_str().ends_with('/'));
    let value = HeaderValue::from_str(origin.as_str()).expect("an origin fits into a header");
    let headers = HeaderMap::from_iter([(header::ORIGIN, value)]);
    assert!(fuzzing::is_allowed(&headers, &[origin]));
});
