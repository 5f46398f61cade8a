//! Offsets into text as JavaScript counts them: in UTF-16 units, of which a character outside the
//! Basic Multilingual Plane has two (a surrogate pair).

/// The length of a text in UTF-16 units: JavaScript's `length`.
///
/// ```
/// assert_eq!(tetherline_protocol::utf16::length("aü€"), 3);
/// assert_eq!(tetherline_protocol::utf16::length("👍"), 2);
/// ```
#[must_use]
pub fn length(text: &str) -> u64 {
    if text.is_ascii() {
        return text.len() as u64;
    }
    text.chars().map(|character| character.len_utf16() as u64).sum()
}

/// Where in the UTF-8 text so many UTF-16 units end. `None` within a surrogate pair, or beyond the
/// end.
///
/// ```
/// use tetherline_protocol::utf16::byte_index;
/// assert_eq!(byte_index("a👍b", 1), Some(1));
/// assert_eq!(byte_index("a👍b", 2), None);
/// assert_eq!(byte_index("a👍b", 3), Some(5));
/// assert_eq!(byte_index("a👍b", 4), Some(6));
/// assert_eq!(byte_index("a👍b", 5), None);
/// ```
#[must_use]
pub fn byte_index(text: &str, units: u64) -> Option<usize> {
    if text.is_ascii() {
        return usize::try_from(units).ok().filter(|&index| index <= text.len());
    }
    let mut passed = 0;
    for (index, character) in text.char_indices() {
        if passed >= units {
            return (passed == units).then_some(index);
        }
        passed += character.len_utf16() as u64;
    }
    (passed == units).then_some(text.len())
}

/// Tells one text from another, in 32 bits: FNV-1a over the octets of the text in UTF-16, little-endian,
/// so that it is a few lines in every language. It is a check against another history of the same
/// answer, not against anybody who wants to deceive.
///
/// ```
/// use tetherline_protocol::utf16::TextHash;
/// assert_eq!(TextHash::default().get(), 0x811c_9dc5);
/// assert_eq!(TextHash::of("a👍").get(), TextHash::of("a").and("👍").get());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextHash(u32);

impl Default for TextHash {
    /// Of nothing.
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl TextHash {
    /// Of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::default().and(text)
    }

    /// Of what it is of, and this behind it.
    #[must_use]
    pub fn and(self, text: &str) -> Self {
        let octets = text.encode_utf16().flat_map(u16::to_le_bytes);
        Self(octets.fold(self.0, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)))
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}
