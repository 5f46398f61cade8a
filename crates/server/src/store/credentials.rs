//! What ends a token before its time.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tetherline_protocol::UserId;

use super::StoreError;

/// How many sessions of one user are remembered as ended at a time. Ending all of the user's sessions makes room.
pub const SIGN_OUTS_PER_USER_MAX: usize = 1_000;

/// Sign-ins that have ended although their tokens have not.
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
