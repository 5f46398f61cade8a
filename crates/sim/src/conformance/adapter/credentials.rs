use std::{collections::BTreeMap, time::Duration};

use futures_util::future::{BoxFuture, ready};
use tetherline_protocol::UserId;
use tetherline_server::store::{
    Credentials, KeepTicketError, SIGN_OUTS_PER_USER_MAX, SignOut, SignOutError, SignOuts as Found,
    StoreError, Ticket, TicketDigest,
};

use super::Adapter;
use crate::world::UserNo;

/// Whose sign-ins have ended, of which session or of all. No run has any: who is signed in is its application's to say.
#[derive(Default)]
pub(super) struct SignOuts {
    ended: BTreeMap<(UserNo, Option<Box<str>>), Ended>,
    kept_ms: Option<u64>,
}

/// Before when, and when that was said.
type Ended = (Option<i64>, u64);

impl SignOuts {
    fn forget(&mut self, now: u64) {
        let kept_ms = self.kept_ms;
        self.ended.retain(|_, (_, at)| kept_ms.is_none_or(|kept_ms| now <= *at + kept_ms));
    }
}

impl Credentials for Adapter {
    fn sign_out(&self, user: &UserId, ended: SignOut) -> BoxFuture<'_, Result<(), SignOutError>> {
        let mut machine = self.machine();
        let (user, now) = (machine.users.number(user.clone()), machine.now);
        let of_user = &mut machine.sign_outs.ended;
        let done = match ended {
            SignOut::Before(before_ms) => {
                // For one more session, if there is no room for it.
                let sessions = of_user.keys().filter(|(other, it)| *other == user && it.is_some());
                let first = of_user
                    .iter()
                    .filter(|((other, session), _)| *other == user && session.is_some())
                    .min_by_key(|(_, (_, at))| *at)
                    .map(|(name, _)| name.clone());
                if sessions.count() >= SIGN_OUTS_PER_USER_MAX
                    && let Some(first) = first
                {
                    of_user.remove(&first);
                }
                of_user.insert((user, None), (Some(before_ms), now));
                Ok(())
            }
            SignOut::Session(session) => {
                let name = (user, Some(session));
                let sessions =
                    of_user.keys().filter(|(other, session)| *other == user && session.is_some());
                if sessions.count() >= SIGN_OUTS_PER_USER_MAX && !of_user.contains_key(&name) {
                    Err(SignOutError::TooMany)
                } else {
                    of_user.insert(name, (None, now));
                    Ok(())
                }
            }
        };
        Box::pin(ready(done))
    }

    fn sign_outs(
        &self,
        user: &UserId,
        session: Option<&str>,
    ) -> BoxFuture<'_, Result<Found, StoreError>> {
        let mut machine = self.machine();
        let (user, now) = (machine.users.number(user.clone()), machine.now);
        machine.sign_outs.forget(now);
        let of =
            |session: Option<&str>| machine.sign_outs.ended.get(&(user, session.map(Into::into)));
        let found = Found {
            before_ms: of(None).and_then(|(before_ms, _)| *before_ms),
            session_ended: session.is_some_and(|session| of(Some(session)).is_some()),
        };
        Box::pin(ready(Ok(found)))
    }

    fn keep_sign_outs_for(&self, time: Duration) {
        let kept_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.machine().sign_outs.kept_ms = Some(kept_ms);
    }

    fn keep_ticket(
        &self,
        digest: TicketDigest,
        ticket: Ticket,
        kept_for: Duration,
    ) -> BoxFuture<'_, Result<(), KeepTicketError>> {
        let mut machine = self.machine();
        let (now, kept_for_ms) = (machine.now, kept_for.as_millis() as u64);
        Box::pin(ready(machine.tickets.keep(digest, ticket, now, kept_for_ms)))
    }

    fn take_ticket(
        &self,
        digest: TicketDigest,
        user: Option<&UserId>,
    ) -> BoxFuture<'_, Result<Option<Ticket>, StoreError>> {
        let mut machine = self.machine();
        let now = machine.now;
        Box::pin(ready(Ok(machine.tickets.take(&digest, user, now))))
    }
}
