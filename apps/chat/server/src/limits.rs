//! Every limit of the chat backend, with its unit in its name.

use std::time::Duration;

use tetherline_server::Rate;

/// Longest e-mail address, in bytes (RFC 5321, section 4.5.3.1).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Longest name of a person, in characters.
pub const NAME_CHARS_MAX: usize = 80;
/// Shortest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Longest password, in characters.
pub const PASSWORD_CHARS_MAX: usize = 256;
/// Passwords that are hashed at a time; each takes 19 MiB and a core.
pub const PASSWORD_HASHES_AT_ONCE_MAX: usize = 2;
/// Passwords that wait to be hashed or are; whoever comes next is asked to try again.
pub const PASSWORD_HASHES_WAITING_MAX: usize = 128;
/// The same from one network (an IPv4 address, or an IPv6 /56).
pub const PASSWORD_HASHES_PER_NETWORK_MAX: usize = 16;
/// The same from devices on which that person has signed in before. They have one more hash of their own at a time, so
/// that a crowd at the door does not keep them out.
pub const PASSWORD_HASHES_OF_DEVICES_MAX: usize = 32;
/// Largest JSON body of the HTTP API, in bytes.
pub const API_BODY_BYTES_MAX: usize = 16 * 1024;

/// How long an access token is good for.
pub const ACCESS_TOKEN_TTL: Duration = Duration::from_mins(15);
/// How long a sign-in lasts after its last refresh, in ms: 30 days.
pub const SIGN_IN_TTL_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// How long a refresh token that was just used is still answered with its successor, in ms.
///
/// Two tabs that wake up together present the same cookie; only the first can rotate it.
pub const REFRESH_GRACE_MS: i64 = 30_000;
/// How many rotations may happen within the grace before a straggler is turned away.
pub const REFRESH_GRACE_ROTATIONS_MAX: usize = 64;

/// How many sign-ins of a person are kept; the one that would expire first makes room.
pub const SIGN_INS_PER_USER_MAX: u32 = 100;

/// Wrong passwords in a row from one network (an IPv4 address, or an IPv6 /56), whatever the e-mail; one more is
/// allowed every 15 s.
pub const SIGN_INS_PER_NETWORK: Rate = Rate::per_minute(4).at_once(50);
/// Wrong passwords in a row from one network for one e-mail.
pub const SIGN_INS_PER_EMAIL: Rate = Rate::per_minute(4).at_once(10);
/// Wrong passwords in a row on a device on which that person has signed in before, whatever its network has failed at.
pub const SIGN_INS_PER_DEVICE: Rate = Rate::per_minute(4).at_once(10);
/// Networks, e-mails and devices that are watched at a time, each.
pub const RATE_LIMIT_KEYS_MAX: usize = 10_000;
/// How long a device is known after a sign-in or a refresh on it, in s: 400 days, as long as browsers keep a cookie.
pub const DEVICE_TTL_S: u64 = 400 * 24 * 60 * 60;

/// Longest question, in bytes.
pub const QUESTION_BYTES_MAX: usize = 32 * 1024;
/// Longest answer, in bytes, without the sentence that says that it is cut. Escaped as JSON it still
/// fits into one published message.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024;
/// Longest title of a conversation, in characters.
pub const TITLE_CHARS_MAX: usize = 60;
/// Conversations in one listing, the newest.
pub const CONVERSATIONS_LISTED_MAX: u32 = 500;
/// Messages in one conversation's listing, the newest.
pub const MESSAGES_LISTED_MAX: u32 = 1_000;

/// Answers that are generated at a time.
pub const ANSWERS_AT_ONCE_MAX: usize = 64;
/// Answers that are generated at a time for one person.
pub const ANSWERS_AT_ONCE_PER_USER_MAX: u32 = 4;
/// Questions of one person that wait for their answer.
pub const QUESTIONS_WAITING_PER_USER_MAX: u32 = 32;
/// When a person who asks too fast may ask again.
pub const QUESTIONS_RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long a regeneration is recognised when it is sent again, in ms: 14 days, twice the
/// server's own `dedupe_window_ms`. A question is recognised for as long as it exists.
pub const JOBS_KEPT_MS: i64 = 14 * 24 * 60 * 60 * 1_000;

/// Earlier messages of a conversation that go to the provider with a question.
pub const HISTORY_MESSAGES_MAX: u32 = 40;
/// The same in bytes.
pub const HISTORY_BYTES_MAX: usize = 64 * 1024;
/// How long a provider may take to accept a connection.
pub const PROVIDER_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a provider may take until it sends the first byte of an answer: a small machine reads a
/// long conversation before it writes.
pub const PROVIDER_FIRST_TIMEOUT: Duration = Duration::from_mins(2);
/// How long a provider that has begun to send may send nothing at all.
pub const PROVIDER_STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the end of a body is waited for behind the reason why the answer is over.
pub const PROVIDER_END_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a provider's refusal is read, in bytes.
pub const PROVIDER_ERROR_BYTES_MAX: usize = 16 * 1024;
/// How long a provider may take for a whole answer, however often it says that it is still there.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_mins(10);
/// Largest event of a provider's stream, and largest answer that comes in one piece, in bytes.
pub const PROVIDER_EVENT_BYTES_MAX: usize = 1024 * 1024;

/// How long a publication is kept after the mailbox has it, in ms, to be brought to a restored one that
/// does not: far longer than a backup takes.
pub const PUBLICATIONS_KEPT_MS: i64 = 24 * 60 * 60 * 1_000;
/// How many of those that were kept long enough are deleted with a page of new ones: more than that.
pub const PUBLICATIONS_FORGOTTEN_MAX: u32 = 4 * OUTBOX_PAGE;
/// Publications that are read from the outbox at a time.
pub const OUTBOX_PAGE: u32 = 64;
/// First pause after the mailbox refused to take a publication; it doubles.
pub const OUTBOX_RETRY_BASE: Duration = Duration::from_millis(250);
/// Longest such pause.
pub const OUTBOX_RETRY_CAP: Duration = Duration::from_secs(15);
/// Operations that wait for the database's thread.
pub const DATABASE_QUEUE_MAX: usize = 256;
