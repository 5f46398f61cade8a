//! What ends a token before its time, and what stands for one once.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tetherline_protocol::UserId;

use super::StoreError;
use crate::May;

/// How many sessions of one user are remembered as ended at a time. Ending all of the user's sessions makes room.
pub const SIGN_OUTS_PER_USER_MAX: usize = 1_000;

/// Tickets of one user that were not used yet.
pub const TICKETS_PER_USER_MAX: usize = 64;
/// Tickets of all users that were not used yet.
pub const TICKETS_MAX: usize = 100_000;
/// Tickets that were made with one publish key of those with a name, and were not used yet: others find room, too.
pub const TICKETS_PER_KEY_MAX: usize = TICKETS_MAX / 2;

/// Sign-ins that have ended although their tokens have not, and tickets.
pub trait Credentials: Send + Sync + 'static {
    /// Remembers durably that sign-ins of a user have ended. It outlives an erasure of the user, whose tokens
    /// would count again otherwise.
    fn sign_out(&self, user: &UserId, ended: SignOut) -> BoxFuture<'_, Result<(), SignOutError>>;

    /// What is remembered of a user, and of this session.
    fn sign_outs(
        &self,
        user: &UserId,
        session: Option<&str>,
    ) -> BoxFuture<'_, Result<SignOuts, StoreError>>;

    /// Names how long sign-outs are to be remembered, those of before included: as long as a token may live.
    fn keep_sign_outs_for(&self, time: Duration);

    /// Keeps a ticket for so long, by the store's clock. It need not outlive a crash. Whatever serves the same users
    /// has to find it.
    fn keep_ticket(
        &self,
        digest: TicketDigest,
        ticket: Ticket,
        kept_for: Duration,
    ) -> BoxFuture<'_, Result<(), KeepTicketError>>;

    /// Takes a ticket, if it is this user's: whoever comes second, or too late, finds none. What it says of how long
    /// it counts is less by what has passed.
    fn take_ticket(
        &self,
        digest: TicketDigest,
        user: Option<&UserId>,
    ) -> BoxFuture<'_, Result<Option<Ticket>, StoreError>>;
}

/// The SHA-256 of a ticket's text: nobody who reads memory or a file can use it.
pub type TicketDigest = [u8; 32];

/// Whom a ticket speaks for, as the token does that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Who.
    pub user: UserId,
    /// Which session, if the token named one.
    pub session: Option<Box<str>>,
    /// When that token was made, in ms since 1970, if it says so.
    pub made_ms: Option<i64>,
    /// How long that token counts.
    pub expires_in: Duration,
    /// What they may do.
    pub may: May,
    /// The SHA-256 of the publish key that it was made with, if that has a name: without the key it is no good.
    pub key: Option<[u8; 32]>,
}

/// Why a ticket was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeepTicketError {
    /// The user has [`TICKETS_PER_USER_MAX`].
    #[error("this user has {TICKETS_PER_USER_MAX} tickets that were not used")]
    TooMany,
    /// The key has made [`TICKETS_PER_KEY_MAX`].
    #[error("this key has made {TICKETS_PER_KEY_MAX} tickets that were not used")]
    TooManyOfKey,
    /// There are [`TICKETS_MAX`].
    #[error("there are {TICKETS_MAX} tickets that were not used")]
    Crowded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which sign-ins have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignOut {
    /// All whose tokens were made before this, in ms since 1970.
    Before(i64),
    /// This session, whatever tokens it has.
    Session(Box<str>),
}

/// What is known of somebody's sign-ins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignOuts {
    /// Tokens that were made before this have ended, in ms since 1970.
    pub before_ms: Option<i64>,
    /// The session has ended that was asked about.
    pub session_ended: bool,
}

/// Why a sign-out was not remembered. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SignOutError {
    /// Of this user, [`SIGN_OUTS_PER_USER_MAX`] are remembered.
    #[error(
        "{SIGN_OUTS_PER_USER_MAX} sessions of this user are remembered as ended; end all of the user's sessions \
         instead"
    )]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
