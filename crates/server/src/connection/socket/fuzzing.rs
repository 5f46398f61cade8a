use super::{Decoder, Received};

/// What a client's bytes say, cut after each of these many, over and over; the code that ends the
/// connection, if one does.
///
/// # Panics
///
/// When a message is larger than the limit.
#[must_use]
pub fn frames(
    bytes: &[u8],
    cuts: &[usize],
    message_bytes_max: usize,
) -> (Vec<String>, Option<u16>) {
    let mut decoder = Decoder::new(message_bytes_max);
    let (mut said, mut rest) = (Vec::new(), bytes);
    let mut cuts = cuts.iter().map(|cut| (*cut).max(1)).cycle();
    while !rest.is_empty() {
        let (mut chunk, after) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
        rest = after;
        while !chunk.is_empty() {
            match decoder.take(&mut chunk) {
                Ok(None) => {}
                Ok(Some(received)) => {
                    if let Received::Text(text) = &received {
                        assert!(text.len() <= message_bytes_max, "it is too large");
                    }
                    said.push(format!("{received:?}"));
                }
                Err(code) => return (said, Some(code.code())),
            }
        }
    }
    (said, None)
}
