use alloc::sync::Arc;
use core::{
    fmt::{self, Write as _},
    str::FromStr,
};

use crate::limits;

/// Why a text is no identifier of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidId {
    /// Nothing between the quotes.
    Empty,
    /// Longer than the limit, in bytes, given here.
    TooLong {
        /// The limit that was passed, in bytes.
        max_bytes: usize,
    },
    /// A character outside `A–Z a–z 0–9 - _ . ~` (for keys: outside visible ASCII; for users: a
    /// control character, `/` or `\\`).
    Character(char),
    /// `.` or `..`, which a URL takes for a way and not for a name.
    Dots,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("an identifier cannot be empty"),
            Self::TooLong { max_bytes } => {
                write!(formatter, "an identifier is at most {max_bytes} bytes long")
            }
            Self::Character(character) => {
                write!(formatter, "{character:?} is not allowed in an identifier")
            }
            Self::Dots => formatter.write_str("`.` and `..` are no identifiers"),
        }
    }
}

impl core::error::Error for InvalidId {}

/// RFC 3986, section 2.3: the characters that a URL never needs to escape.
fn is_unreserved(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '~')
}

fn is_visible_ascii(character: char) -> bool {
    character.is_ascii_graphic()
}

/// What is not, would be a part of a path of its own, or end a line where it is written.
fn is_of_a_user(character: char) -> bool {
    !character.is_control() && !matches!(character, '/' | '\\')
}

fn check(text: &str, max_bytes: usize, allowed: fn(char) -> bool) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > max_bytes {
        return Err(InvalidId::TooLong { max_bytes });
    }
    match text.chars().find(|&character| !allowed(character)) {
        Some(character) => Err(InvalidId::Character(character)),
        None => Ok(()),
    }
}

macro_rules! identifier {
    ($(#[$documentation:meta])* $name:ident, $max_bytes:expr, $allowed:expr) => {
        $(#[$documentation])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check(text, $max_bytes, $allowed)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({})", stringify!($name), self.0)
            }
        }

        as_text!($name);
    };
}

/// An identifier in JSON.
macro_rules! as_text {
    ($name:ident) => {
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = alloc::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Whose mailbox it is, as identity providers name people: 1 to 255 bytes of UTF-8 without control
/// characters, `/` and `\\`, and neither `.` nor `..`.
///
/// Two are the same user only if they are the same bytes. There is no `Display`, because nearly every place
/// where a name is written wants it another way: [`Self::in_url`] for addresses and headers, JSON by a
/// serialiser, and [`Debug`](fmt::Debug), which escapes what would mislead a reader, for logs and people.
///
/// ```
/// use tetherline_protocol::UserId;
///
/// let user: UserId = "auth0|5f7c".parse()?;
/// assert_eq!(user.as_str(), "auth0|5f7c");
/// assert_eq!(user.in_url().to_string(), "auth0%7C5f7c");
/// assert_eq!(format!("{user:?}"), "\"auth0|5f7c\"");
/// # Ok::<(), tetherline_protocol::InvalidId>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The identifier itself, unescaped.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Percent-encoded (RFC 3986, section 2.1): for one segment of a path, and for header values.
    #[must_use]
    pub fn in_url(&self) -> impl fmt::Display {
        InUrl(&self.0)
    }
}

impl FromStr for UserId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        check(text, limits::USER_ID_BYTES_MAX, is_of_a_user)?;
        if matches!(text, "." | "..") {
            return Err(InvalidId::Dots);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

as_text!(UserId);

struct InUrl<'a>(&'a str);

impl fmt::Display for InUrl<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match char::from(byte) {
            character if is_unreserved(character) => formatter.write_char(character),
            _ => write!(formatter, "%{byte:02X}"),
        })
    }
}

identifier! {
    /// One browser profile or installation of one user, chosen at random by the client.
    DeviceId, limits::ID_BYTES_MAX, is_unreserved
}
identifier! {
    /// The name of one message. For a client's send it is also the idempotency key (a version 7 UUID).
    MessageId, limits::ID_BYTES_MAX, is_unreserved
}
identifier! {
    /// Which history a `seq` counts in: renewed when the store loses data or a mailbox is erased.
    Epoch, limits::ID_BYTES_MAX, is_unreserved
}
identifier! {
    /// The publisher's `Idempotency-Key` header: 1–255 visible ASCII characters.
    IdempotencyKey, limits::IDEMPOTENCY_KEY_BYTES_MAX, is_visible_ascii
}

#[cfg(test)]
mod tests {
    use alloc::{
        format,
        string::{String, ToString as _},
    };

    use super::*;

    #[test]
    fn a_user_is_named_as_an_identity_provider_does() {
        for name in [
            "a",
            "7b0e8a52-5a3c-4f43-9a55-0f6a9a3b9c11",
            "auth0|5f7c8e",
            "someone@example.org",
            "urn:uuid:7b0e8a52-5a3c-4f43-9a55-0f6a9a3b9c11",
            "Ада Лавлейс",
            "👩\u{200d}🚀",
            "%2F",
            "\"}'",
            "...",
            " ",
        ] {
            let user: UserId = name.parse().unwrap();
            assert_eq!(user.as_str(), name);
        }
        assert_eq!("".parse::<UserId>(), Err(InvalidId::Empty));
        for (name, character) in [
            ("a/b", '/'),
            ("a\\b", '\\'),
            ("a\0", '\0'),
            ("\u{7f}", '\u{7f}'),
            ("\u{85}", '\u{85}'),
        ] {
            assert_eq!(name.parse::<UserId>(), Err(InvalidId::Character(character)));
        }
        assert_eq!(".".parse::<UserId>(), Err(InvalidId::Dots));
        assert_eq!("..".parse::<UserId>(), Err(InvalidId::Dots));
    }

    #[test]
    fn users_differ_as_soon_as_a_byte_does() {
        let users =
            ["Zoë", "Zoe\u{308}", "zoë", "Zoë "].map(|name| name.parse::<UserId>().unwrap());
        for (index, user) in users.iter().enumerate() {
            assert!(users[index + 1..].iter().all(|other| other != user), "{user:?}");
        }
    }

    #[test]
    fn a_user_is_percent_encoded_in_a_url_and_escaped_for_people() {
        let user: UserId = "a b/\u{202e}é%\"".replace('/', "|").parse().unwrap();
        assert_eq!(user.in_url().to_string(), "a%20b%7C%E2%80%AE%C3%A9%25%22");
        assert_eq!(format!("{user:?}"), r#""a b|\u{202e}é%\"""#);
    }

    #[test]
    fn the_longest_id_fits_and_one_more_byte_does_not() {
        fn edge<T: FromStr<Err = InvalidId> + fmt::Debug + PartialEq>(max_bytes: usize) {
            let longest: String = core::iter::repeat_n('x', max_bytes).collect();
            assert!(longest.parse::<T>().is_ok());
            assert_eq!((longest + "x").parse::<T>(), Err(InvalidId::TooLong { max_bytes }));
        }
        edge::<UserId>(limits::USER_ID_BYTES_MAX);
        edge::<DeviceId>(limits::ID_BYTES_MAX);
        edge::<MessageId>(limits::ID_BYTES_MAX);
        // In bytes, not in characters.
        let longest = "é".repeat(limits::USER_ID_BYTES_MAX / 2);
        assert!(longest.parse::<UserId>().is_ok());
        assert!((longest + "é").parse::<UserId>().is_err());
    }

    #[test]
    fn devices_and_messages_are_url_safe_words() {
        assert!("a-b_c.d~e".parse::<DeviceId>().is_ok());
        assert_eq!("a|b".parse::<DeviceId>(), Err(InvalidId::Character('|')));
        assert_eq!("ü".parse::<MessageId>(), Err(InvalidId::Character('ü')));
    }
}
