use core::{fmt, num::NonZeroU32};

use crate::MessageId;

/// Which try at an answer text belongs to: 1, 2, 3, …, given by the server. What a later attempt says
/// replaces what an earlier one said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(NonZeroU32);

impl Attempt {
    /// The first.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// `None` for 0.
    ///
    /// ```
    /// use tetherline_protocol::Attempt;
    /// assert_eq!(Attempt::new(1), Some(Attempt::FIRST));
    /// assert_eq!(Attempt::new(0), None);
    /// ```
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The one after it. Nobody makes four billion of them; the last one stays the last.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamStatus {
    /// It is whole.
    Complete,
    /// Somebody stopped it; the text is what there was until then.
    Stopped,
    /// Its writer could not go on.
    Failed,
    /// Its writer went away.
    Interrupted,
}

impl StreamStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Complete, Self::Stopped, Self::Failed, Self::Interrupted];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// How far somebody has read an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPosition {
    /// The answer's name.
    pub message_uuid: MessageId,
    /// Which attempt at it.
    pub attempt: Attempt,
    /// How much of it, in UTF-16 units.
    pub offset: u64,
    /// The [hash](crate::utf16::TextHash) of its text up to there; `None` if nobody asks whether it is
    /// this text.
    pub hash: Option<u32>,
    /// Somebody else behind the same connection is there, and wants to know whether it is this text.
    pub is_only_checked: bool,
}

/// Which stream shall stop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StopTarget {
    /// The one of this name.
    Message(MessageId),
    /// The one that answers this send, even if it has not begun.
    Send(MessageId),
}

#[cfg(feature = "serde")]
mod wire {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    use super::{Attempt, StreamStatus};

    impl Serialize for Attempt {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_u32(self.get())
        }
    }

    impl<'de> Deserialize<'de> for Attempt {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let number = u32::deserialize(deserializer)?;
            Self::new(number).ok_or_else(|| D::Error::custom("attempts count from 1"))
        }
    }

    impl Serialize for StreamStatus {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }

    impl<'de> Deserialize<'de> for StreamStatus {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let name = alloc::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            Self::named(&name).ok_or_else(|| {
                D::Error::custom("a status is complete, stopped, failed or interrupted")
            })
        }
    }
}
