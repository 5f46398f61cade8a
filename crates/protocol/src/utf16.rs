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
