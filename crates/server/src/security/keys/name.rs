//! What keys are called, and how the ids of the users begin that they are for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tetherline_protocol::{UserId, limits::USER_ID_BYTES_MAX};

/// Longest name of a key, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A key's name: 1 to 64 of `A–Z a–z 0–9 - _ .`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiKeyName(String);

/// A text that no key can be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key's name is 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 - _ .")]
pub struct InvalidApiKeyName;

/// How the ids begin of those users that a key is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserPrefix(String);

/// A text that no user's id begins with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "what users' ids begin with is 1 to {USER_ID_BYTES_MAX} bytes without control characters, / and \\"
)]
pub struct InvalidUserPrefix;

impl ApiKeyName {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiKeyName {
    type Err = InvalidApiKeyName;

    fn from_str(text: &str) -> Result<Self, InvalidApiKeyName> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain);
        if is_name { Ok(Self(text.into())) } else { Err(InvalidApiKeyName) }
    }
}

impl FromStr for UserPrefix {
    type Err = InvalidUserPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidUserPrefix> {
        // `.` alone is nobody, and begins many.
        let begins_somebody = text.parse::<UserId>().is_ok() || matches!(text, "." | "..");
        if begins_somebody { Ok(Self(text.into())) } else { Err(InvalidUserPrefix) }
    }
}

impl UserPrefix {
    pub(crate) fn is_of(&self, user: &UserId) -> bool {
        user.as_str().starts_with(&self.0)
    }
}

impl TryFrom<String> for ApiKeyName {
    type Error = InvalidApiKeyName;

    fn try_from(text: String) -> Result<Self, InvalidApiKeyName> {
        text.parse()
    }
}

impl TryFrom<String> for UserPrefix {
    type Error = InvalidUserPrefix;

    fn try_from(text: String) -> Result<Self, InvalidUserPrefix> {
        text.parse()
    }
}

impl From<ApiKeyName> for String {
    fn from(name: ApiKeyName) -> Self {
        name.0
    }
}

impl From<UserPrefix> for String {
    fn from(prefix: UserPrefix) -> Self {
        prefix.0
    }
}

impl fmt::Display for ApiKeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// As people read it: escaped.
impl fmt::Display for UserPrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}
