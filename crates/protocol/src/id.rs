use alloc::sync::Arc;
use core::{fmt, str::FromStr};

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
    /// A character outside `A–Z a–z 0–9 - _ . ~` (for keys: outside visible ASCII).
    Character(char),
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

identifier! {
    /// Whose mailbox it is: 1–128 URL-safe characters, usually a UUID.
    UserId, limits::ID_BYTES_MAX, is_unreserved
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
    use alloc::string::String;

    use super::*;

    #[test]
    fn a_user_id_is_1_to_128_url_safe_characters() {
        assert!("a".parse::<UserId>().is_ok());
        assert!("7b0e8a52-5a3c-4f43-9a55-0f6a9a3b9c11".parse::<UserId>().is_ok());
        assert_eq!("".parse::<UserId>(), Err(InvalidId::Empty));
        assert_eq!("a/b".parse::<UserId>(), Err(InvalidId::Character('/')));
        assert_eq!("ü".parse::<UserId>(), Err(InvalidId::Character('ü')));
    }

    #[test]
    fn the_longest_id_fits_and_one_more_byte_does_not() {
        let longest: String = core::iter::repeat_n('x', limits::ID_BYTES_MAX).collect();
        assert!(longest.parse::<UserId>().is_ok());
        let longer = longest + "x";
        assert_eq!(
            longer.parse::<UserId>(),
            Err(InvalidId::TooLong { max_bytes: limits::ID_BYTES_MAX })
        );
    }
}
