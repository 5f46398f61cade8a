//! What a request that publishes many brings: items, each of them as good as a request of its own.

use alloc::{borrow::Cow, boxed::Box, vec::Vec};
use core::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::message::{FrameError, Message, Object, string};
use crate::{
    ErrorCode, IdempotencyKey, InvalidId, UserId, excerpt,
    limits::{PUBLISH_ITEMS_MAX, PUBLISH_USERS_MAX},
};

/// One item: a message, and for whom it is.
///
/// ```
/// use tetherline_protocol::frame::{PublishItem, Recipients};
///
/// let item = PublishItem::parse(r#"{"user":"ada","message":{"type":"note","n":1}}"#, 1024)?;
/// assert_eq!(item.to, Recipients::User("ada".parse().unwrap()));
/// assert_eq!((item.message.kind(), item.key, item.durable), ("note", None, true));
/// # Ok::<(), tetherline_protocol::frame::PublishItemError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishItem<'a> {
    /// For whom.
    pub to: Recipients<'a>,
    /// The message.
    pub message: Message,
    /// What it is known by when it comes twice, for each user by itself.
    pub key: Option<IdempotencyKey>,
    /// Whether it is kept. If not, it is only for whoever is connected now.
    pub durable: bool,
}

/// For whom an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipients<'a> {
    /// One user.
    User(UserId),
    /// Each of these by itself: who they are, or what was written and why that is nobody.
    Users(Vec<Result<UserId, (Cow<'a, str>, InvalidId)>>),
    /// Whoever is connected. Such an item is never durable.
    Everybody,
}

/// Why an item is none. Its `Display` text is meant for who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishItemError {
    /// Not JSON, or not one JSON object.
    NotAnObject,
    /// A field that nobody knows, as far as it is quoted.
    Unknown(Box<str>),
    /// The same field twice.
    Duplicate(Box<str>),
    /// A field of the wrong kind, and what it is instead.
    Field(&'static str, &'static str),
    /// For nobody, or said in two ways.
    Recipients,
    /// Its user cannot be one.
    User(InvalidId),
    /// Over [`PUBLISH_USERS_MAX`].
    TooManyUsers,
    /// One of its users is named twice.
    UserTwice(UserId),
    /// For everybody, and to be kept.
    EverybodyDurable,
    /// To be known by a key, and not to be kept.
    KeyOfLiveOnly,
    /// The message is none.
    Message(FrameError),
}

/// Why a request brings no items at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotItems {
    /// It is not one JSON array.
    NotAnArray,
    /// Over [`PUBLISH_ITEMS_MAX`].
    TooMany,
}

/// The items of a JSON array, unparsed.
pub fn items_of_array(text: &str) -> Result<Vec<&str>, NotItems> {
    let items: AtMost<&RawValue, PUBLISH_ITEMS_MAX> =
        serde_json::from_str(text).map_err(|_| NotItems::NotAnArray)?;
    match items {
        AtMost::All(items) => Ok(items.into_iter().map(RawValue::get).collect()),
        AtMost::More => Err(NotItems::TooMany),
    }
}

/// The items of NDJSON, unparsed: every line that is not empty.
pub fn items_of_lines(text: &str) -> Result<Vec<&str>, NotItems> {
    let is_blank = |line: &&str| line.trim_matches([' ', '\t', '\r']).is_empty();
    let mut lines = text.split('\n').filter(|line| !is_blank(line));
    let items: Vec<&str> = lines.by_ref().take(PUBLISH_ITEMS_MAX).collect();
    if lines.next().is_some() { Err(NotItems::TooMany) } else { Ok(items) }
}

impl<'a> PublishItem<'a> {
    /// Reads one item, whose message is at most so large.
    pub fn parse(text: &'a str, message_bytes_max: usize) -> Result<Self, PublishItemError> {
        let mut written = Written::default();
        for (name, value) in fields(text)? {
            match name.as_ref() {
                "user" => written.user = Some(value),
                "users" => written.users = Some(value),
                "everybody" => written.everybody = Some(value),
                "message" => written.message = Some(value),
                "idempotency_key" => written.key = Some(value),
                "durable" => written.durable = Some(value),
                _ => return Err(PublishItemError::Unknown(excerpt(&name).into())),
            }
        }
        written.read(message_bytes_max)
    }
}

/// The fields of an item as they stand there.
#[derive(Default)]
struct Written<'a> {
    user: Option<&'a RawValue>,
    users: Option<&'a RawValue>,
    everybody: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    key: Option<&'a RawValue>,
    durable: Option<&'a RawValue>,
}

impl<'a> Written<'a> {
    fn read(self, message_bytes_max: usize) -> Result<PublishItem<'a>, PublishItemError> {
        let to = self.recipients()?;
        let durable = match self.durable.map(RawValue::get) {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(PublishItemError::Field("durable", "`true` or `false`")),
        };
        if durable && to == Recipients::Everybody {
            return Err(PublishItemError::EverybodyDurable);
        }
        let key = self.key.map(key).transpose()?;
        if key.is_some() && !durable {
            return Err(PublishItemError::KeyOfLiveOnly);
        }
        let message =
            self.message.ok_or(PublishItemError::Field("message", "the message, an object"))?;
        if message.get().len() > message_bytes_max {
            let too_large = FrameError::TooLarge { bytes_max: message_bytes_max };
            return Err(PublishItemError::Message(too_large));
        }
        let message = Message::parse(message.get()).map_err(PublishItemError::Message)?;
        Ok(PublishItem { to, message, key, durable })
    }

    fn recipients(&self) -> Result<Recipients<'a>, PublishItemError> {
        match (self.user, self.users, self.everybody.map(RawValue::get)) {
            (Some(user), None, None) => {
                let name = string("user", user)
                    .map_err(|_| PublishItemError::Field("user", "a text, the user's id"))?;
                name.parse().map(Recipients::User).map_err(PublishItemError::User)
            }
            (None, Some(users), None) => self::users(users),
            (None, None, Some("true")) => Ok(Recipients::Everybody),
            (None, None, Some(_)) => Err(PublishItemError::Field("everybody", "`true`")),
            _ => Err(PublishItemError::Recipients),
        }
    }
}

fn fields(text: &str) -> Result<Vec<(Cow<'_, str>, &RawValue)>, PublishItemError> {
    match Object::parse_outermost(text) {
        Ok(object) => Ok(object.0),
        Err(FrameError::Duplicate(name)) => Err(PublishItemError::Duplicate(name)),
        Err(_) => Err(PublishItemError::NotAnObject),
    }
}

fn users<'a>(list: &'a RawValue) -> Result<Recipients<'a>, PublishItemError> {
    let list: AtMost<Name<'a>, PUBLISH_USERS_MAX> = serde_json::from_str(list.get())
        .map_err(|_| PublishItemError::Field("users", "a list of texts, the users' ids"))?;
    let names = match list {
        AtMost::All(names) if names.is_empty() => {
            return Err(PublishItemError::Field("users", "a list with at least one user in it"));
        }
        AtMost::All(names) => names,
        AtMost::More => return Err(PublishItemError::TooManyUsers),
    };
    let user = |Name(name): Name<'a>| match name.parse::<UserId>() {
        Ok(user) => Ok(user),
        Err(reason) => Err((name, reason)),
    };
    let users: Vec<_> = names.into_iter().map(user).collect();
    let mut known: Vec<&UserId> = users.iter().flatten().collect();
    known.sort_unstable();
    match known.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(PublishItemError::UserTwice(pair[0].clone())),
        None => Ok(Recipients::Users(users)),
    }
}

fn key(value: &RawValue) -> Result<IdempotencyKey, PublishItemError> {
    let parsed = string("idempotency_key", value).ok().and_then(|text| text.parse().ok());
    parsed.ok_or(PublishItemError::Field("idempotency_key", "1 to 255 visible ASCII characters"))
}

impl PublishItemError {
    /// The wire's code for it.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotAnObject => ErrorCode::BadJson,
            Self::TooManyUsers => ErrorCode::MessageTooLarge,
            Self::Message(error) => error.code(),
            _ => ErrorCode::BadFrame,
        }
    }

    /// The field that it is about, of the item or of its message.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::NotAnObject => None,
            Self::Unknown(name) | Self::Duplicate(name) => Some(name),
            Self::Field(name, _) => Some(name),
            Self::Recipients | Self::User(_) => Some("user"),
            Self::TooManyUsers | Self::UserTwice(_) => Some("users"),
            Self::EverybodyDurable => Some("everybody"),
            Self::KeyOfLiveOnly => Some("idempotency_key"),
            Self::Message(error) => error.field(),
        }
    }
}

impl fmt::Display for PublishItemError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => formatter.write_str("an item is one JSON object"),
            Self::Unknown(name) => write!(
                formatter,
                "an item has no field `{name}`, but `user`, `users` or `everybody`, `message`, \
                 `idempotency_key` and `durable`"
            ),
            Self::Duplicate(name) => write!(formatter, "`{name}` is there twice"),
            Self::Field(name, kind) => write!(formatter, "`{name}` is {kind}"),
            Self::Recipients => {
                formatter.write_str("an item is for one `user`, for `users`, or for `everybody`")
            }
            Self::User(reason) => write!(formatter, "the user: {reason}"),
            Self::TooManyUsers => {
                write!(formatter, "an item is for at most {PUBLISH_USERS_MAX} users; split it")
            }
            Self::UserTwice(user) => write!(formatter, "{user:?} is there twice"),
            Self::EverybodyDurable => formatter.write_str(
                "what goes to everybody is only for whoever is connected; say `\"durable\": false`",
            ),
            Self::KeyOfLiveOnly => formatter.write_str(
                "a live-only message is not kept, so a repeat cannot be recognised; leave the \
                 `idempotency_key` out",
            ),
            Self::Message(error) => write!(formatter, "the message was not understood: {error}"),
        }
    }
}

impl core::error::Error for PublishItemError {}

/// A text of a list.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A list that is read no further than its limit, so that one of millions takes no memory.
enum AtMost<T, const MAX: usize> {
    All(Vec<T>),
    More,
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for AtMost<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = AtMost<T, MAX>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                    if items.len() == MAX && list.next_element::<IgnoredAny>()?.is_some() {
                        while list.next_element::<IgnoredAny>()?.is_some() {}
                        return Ok(AtMost::More);
                    }
                }
                Ok(AtMost::All(items))
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec};

    use super::*;

    fn refused(text: &str) -> PublishItemError {
        PublishItem::parse(text, 1_000).unwrap_err()
    }

    #[test]
    fn an_item_says_for_whom_it_is_in_one_of_three_ways() {
        let parse = |text| PublishItem::parse(text, 1_000).unwrap().to;
        let list = parse(r#"{"users":["ada","a/b","bo\u0062"],"message":{"type":"t"}}"#);
        let Recipients::Users(list) = list else { panic!("{list:?}") };
        let (ada, bob) = ("ada".parse().unwrap(), "bob".parse().unwrap());
        let nobody = ("a/b".into(), InvalidId::Character('/'));
        assert_eq!(list, vec![Ok(ada), Err(nobody), Ok(bob)]);
        let everybody = r#"{"everybody":true,"durable":false,"message":{"type":"t"}}"#;
        assert_eq!(parse(everybody), Recipients::Everybody);
        assert_eq!(refused(r#"{"message":{"type":"t"}}"#), PublishItemError::Recipients);
        let both = r#"{"user":"ada","users":["bob"],"message":{"type":"t"}}"#;
        assert_eq!(refused(both), PublishItemError::Recipients);
    }

    #[test]
    fn what_is_no_item_is_refused_with_the_field_named() {
        for (text, field) in [
            ("nope", None),
            ("[]", None),
            ("{}", Some("user")),
            (r#"{"user":"ada","mesage":{"type":"t"}}"#, Some("mesage")),
            (r#"{"user":"ada","user":"bob","message":{"type":"t"}}"#, Some("user")),
            (r#"{"user":7,"message":{"type":"t"}}"#, Some("user")),
            (r#"{"user":"a/b","message":{"type":"t"}}"#, Some("user")),
            (r#"{"users":"ada","message":{"type":"t"}}"#, Some("users")),
            (r#"{"users":[],"message":{"type":"t"}}"#, Some("users")),
            (r#"{"users":["ada","ada"],"message":{"type":"t"}}"#, Some("users")),
            (r#"{"everybody":false,"message":{"type":"t"}}"#, Some("everybody")),
            (r#"{"everybody":true,"message":{"type":"t"}}"#, Some("everybody")),
            (r#"{"user":"ada"}"#, Some("message")),
            (r#"{"user":"ada","message":{"type":"a b"}}"#, Some("type")),
            (r#"{"user":"ada","message":{"type":"t","seq":9}}"#, Some("seq")),
            (r#"{"user":"ada","message":{"type":"t"},"durable":0}"#, Some("durable")),
            (
                r#"{"user":"ada","message":{"type":"t"},"idempotency_key":"a b"}"#,
                Some("idempotency_key"),
            ),
            (
                r#"{"user":"ada","message":{"type":"t"},"idempotency_key":"k","durable":false}"#,
                Some("idempotency_key"),
            ),
        ] {
            assert_eq!(refused(text).field(), field, "{text}");
        }
    }

    #[test]
    fn the_largest_message_fits_and_one_more_byte_does_not() {
        let item = r#"{"user":"ada","message":{"type":"t","a":"xxxxxxxx"}}"#;
        let bytes = r#"{"type":"t","a":"xxxxxxxx"}"#.len();
        assert!(PublishItem::parse(item, bytes).is_ok());
        let refused = PublishItem::parse(item, bytes - 1).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::MessageTooLarge);
    }

    #[test]
    fn the_message_nests_as_deep_as_if_it_came_alone() {
        let nested = |depth: usize| {
            let list = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"user":"ada","message":{{"type":"t","a":{list}}}}}"#)
        };
        assert!(PublishItem::parse(&nested(crate::limits::NESTING_MAX - 1), 1_000).is_ok());
        let too_deep = PublishItemError::Message(FrameError::TooDeep);
        assert_eq!(refused(&nested(crate::limits::NESTING_MAX)), too_deep);
    }

    #[test]
    fn as_many_items_and_users_as_may_be_are_taken_and_one_more_is_not() {
        let array = |count| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(items_of_array(&array(PUBLISH_ITEMS_MAX)).map(|items| items.len()), Ok(1_000));
        assert_eq!(items_of_array(&array(PUBLISH_ITEMS_MAX + 1)), Err(NotItems::TooMany));
        assert_eq!(items_of_array("[{},"), Err(NotItems::NotAnArray));
        let lines = |count| "{}\n\r\n".repeat(count);
        assert_eq!(items_of_lines(&lines(PUBLISH_ITEMS_MAX)).map(|items| items.len()), Ok(1_000));
        assert_eq!(items_of_lines(&lines(PUBLISH_ITEMS_MAX + 1)), Err(NotItems::TooMany));
        let users = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("\"u{n}\"")).collect();
            format!(r#"{{"users":[{}],"message":{{"type":"t"}}}}"#, names.join(","))
        };
        assert!(PublishItem::parse(&users(PUBLISH_USERS_MAX), 1_000).is_ok());
        assert_eq!(refused(&users(PUBLISH_USERS_MAX + 1)), PublishItemError::TooManyUsers);
    }
}
