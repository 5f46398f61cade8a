//! People: who they are, and the rules for what they may call themselves.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;

use crate::limits::{EMAIL_BYTES_MAX, NAME_CHARS_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};

/// A person, as the API shows them to themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct User {
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) email: String,
}

/// An e-mail address in the one form in which it is stored and compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Email(String);

/// What is wrong with a sign-up. `Display` is meant for the person who fills in the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSignUp {
    #[error("Please enter your name, up to {NAME_CHARS_MAX} characters.")]
    Name,
    #[error("Please enter a valid e-mail address, such as ada@example.org.")]
    Email,
    #[error("Please choose a password of at least {PASSWORD_CHARS_MIN} characters.")]
    PasswordTooShort,
    #[error("Please choose a password of at most {PASSWORD_CHARS_MAX} characters.")]
    PasswordTooLong,
}

impl InvalidSignUp {
    /// The form's field that it is about.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::PasswordTooShort | Self::PasswordTooLong => "password",
        }
    }
}

impl Email {
    /// Only what cannot be an address is refused: whether one exists, nobody knows but its owner.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidSignUp> {
        let text = text.trim().to_lowercase();
        let (mailbox, domain) = text.rsplit_once('@').ok_or(InvalidSignUp::Email)?;
        let plausible = !mailbox.is_empty()
            && !mailbox.contains('@')
            && text.len() <= EMAIL_BYTES_MAX
            && !text.chars().any(|character| character.is_whitespace() || character.is_control())
            && domain.contains('.')
            && domain.split('.').all(|label| !label.is_empty());
        if plausible { Ok(Self(text)) } else { Err(InvalidSignUp::Email) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name without the blanks around it.
pub(crate) fn check_name(text: &str) -> Result<String, InvalidSignUp> {
    let name = text.trim();
    let plausible = !name.is_empty()
        && name.chars().count() <= NAME_CHARS_MAX
        && !name.chars().any(char::is_control);
    if plausible { Ok(name.to_owned()) } else { Err(InvalidSignUp::Name) }
}

/// Length is what counts (NIST SP 800-63B); there are no rules about digits and signs.
pub(crate) fn check_password(password: &str) -> Result<(), InvalidSignUp> {
    match password.chars().count() {
        length if length < PASSWORD_CHARS_MIN => Err(InvalidSignUp::PasswordTooShort),
        length if length > PASSWORD_CHARS_MAX => Err(InvalidSignUp::PasswordTooLong),
        _ => Ok(()),
    }
}

/// Adds a person; `false` if the e-mail is taken.
pub(crate) fn add(
    transaction: &Transaction<'_>,
    user: &User,
    password_hash: &str,
    now_ms: i64,
) -> rusqlite::Result<bool> {
    let added = transaction.execute(
        "INSERT INTO users (uuid, email, name, password_hash, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (email) DO NOTHING",
        params![user.uuid, user.email, user.name, password_hash, now_ms],
    )?;
    Ok(added == 1)
}

/// Whether an account has this e-mail.
pub(crate) fn is_taken(connection: &Connection, email: &Email) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM users WHERE email = ?1")?.exists([email.as_str()])
}

/// The person with this e-mail, and their password's hash.
pub(crate) fn find(
    connection: &Connection,
    email: &Email,
) -> rusqlite::Result<Option<(User, String)>> {
    connection
        .prepare_cached("SELECT uuid, name, email, password_hash FROM users WHERE email = ?1")?
        .query_row([email.as_str()], |row| {
            Ok((User { uuid: row.get(0)?, name: row.get(1)?, email: row.get(2)? }, row.get(3)?))
        })
        .optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_without_blanks_and_case() {
        assert_eq!(Email::parse(" Ada@Example.ORG ").unwrap().as_str(), "ada@example.org");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        for text in ["", "ada", "ada@", "@example.org", "a@b@c.org", "a b@example.org", "ada@org"] {
            assert_eq!(Email::parse(text), Err(InvalidSignUp::Email), "{text:?}");
        }
        let longest = format!("{}@example.org", "a".repeat(EMAIL_BYTES_MAX - 12));
        assert!(Email::parse(&longest).is_ok());
        assert!(Email::parse(&format!("a{longest}")).is_err());
    }

    #[test]
    fn passwords_are_bounded_in_characters_on_both_sides() {
        assert_eq!(check_password("1234567"), Err(InvalidSignUp::PasswordTooShort));
        assert_eq!(check_password("üüüüüüüü"), Ok(()));
        assert_eq!(check_password(&"x".repeat(PASSWORD_CHARS_MAX)), Ok(()));
        assert_eq!(
            check_password(&"x".repeat(PASSWORD_CHARS_MAX + 1)),
            Err(InvalidSignUp::PasswordTooLong)
        );
    }

    #[test]
    fn names_are_one_to_eighty_characters() {
        assert_eq!(check_name("  Ada Lovelace ").unwrap(), "Ada Lovelace");
        assert_eq!(check_name("   "), Err(InvalidSignUp::Name));
        assert!(check_name(&"é".repeat(NAME_CHARS_MAX)).is_ok());
        assert!(check_name(&"é".repeat(NAME_CHARS_MAX + 1)).is_err());
    }
}
