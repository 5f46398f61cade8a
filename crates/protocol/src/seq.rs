use core::fmt;

/// A position in a user's mailbox: dense, starting at 1, with 0 for "before the first".
///
/// At most 2⁵³−1, the largest integer that JavaScript's numbers hold exactly
/// (`Number.MAX_SAFE_INTEGER`).
///
/// ```
/// use tetherline_protocol::Seq;
/// assert_eq!(Seq::ZERO.next(), Seq::new(1));
/// assert_eq!(Seq::MAX.next(), None);
/// assert_eq!(Seq::new(1 << 53), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(u64);

impl Seq {
    /// Before the first message.
    pub const ZERO: Self = Self(0);
    /// The last position that both ends can express.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// A position, unless the number is over [`Seq::MAX`].
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position after this one; `None` at [`Seq::MAX`].
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// The position before this one; [`Seq::ZERO`] stays where it is.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How many messages lie after `other` up to and including this one; 0 if none do.
    #[must_use]
    pub const fn distance_from(self, other: Self) -> u64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}", self.0)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Seq {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Seq {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Self::new(value).ok_or_else(|| serde::de::Error::custom("a seq is at most 2^53-1"))
    }
}
