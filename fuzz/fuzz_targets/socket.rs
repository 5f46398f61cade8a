//! What a client's bytes say does not depend on how the network cuts them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherline_server::fuzzing::frames;

const MESSAGE_BYTES_MAX: usize = 300;

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first() else { return };
    let whole = frames(bytes, &[], MESSAGE_BYTES_MAX);
    assert_eq!(frames(bytes, &[usize::from(*cut)], MESSAGE_BYTES_MAX), whole);
    assert_eq!(frames(bytes, &[1, usize::from(*cut)], MESSAGE_BYTES_MAX), whole);
});
