//! Sends and what became of them. What became of them is in the file; who is at one, in memory.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tetherline_protocol::{MessageId, UserId};

use super::{
    super::{
        Begun, Claim, ClaimError, Inbox, Outcome, StoreError,
        claims::{Claims, Taken},
    },
    SqliteStore,
    commands::Command,
    statements,
    times::{Clock, uptime_ms},
};
use crate::lock::lock;

/// Claims by the store's clock.
pub(super) struct Claiming {
    claims: Mutex<Claims<(UserId, MessageId)>>,
    clock: Clock,
}

impl Claiming {
    pub(super) fn new(clock: Clock) -> Self {
        Self { claims: Mutex::default(), clock }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(uptime_ms((self.clock)().1)).unwrap_or_default()
    }

    fn claim(
        self: &Arc<Self>,
        user: UserId,
        id: MessageId,
        claimed_for: Duration,
    ) -> Result<Held, Taken> {
        let name = (user.clone(), id.clone());
        let number = lock(&self.claims).claim(name, self.now_ms(), ms(claimed_for))?;
        Ok(Held::new(self, Claim { user, id, number }))
    }

    fn release(&self, Claim { user, id, number }: &Claim) {
        lock(&self.claims).release(&(user.clone(), id.clone()), *number);
    }
}

/// Gives a claim back unless it was handed on: whoever asked may leave before the answer.
struct Held {
    claiming: Arc<Claiming>,
    claim: Claim,
    is_handed_on: bool,
}

impl Held {
    fn new(claiming: &Arc<Claiming>, claim: Claim) -> Self {
        Self { claiming: claiming.clone(), claim, is_handed_on: false }
    }

    fn hand_on(mut self) -> Claim {
        self.is_handed_on = true;
        self.claim.clone()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_handed_on {
            self.claiming.release(&self.claim);
        }
    }
}

impl Inbox for SqliteStore {
    fn begin(
        &self,
        user: &UserId,
        id: &MessageId,
        claimed_for: Duration,
    ) -> BoxFuture<'_, Result<Begun, StoreError>> {
        let (user, id) = (user.clone(), id.clone());
        Box::pin(async move {
            // Claimed before it is looked up: what another has recorded since is then in the file.
            let held = match self.inbox.claim(user.clone(), id.clone(), claimed_for) {
                Ok(held) => held,
                Err(Taken { left_ms, over }) => {
                    let left = Duration::from_millis(left_ms);
                    return Ok(Begun::Elsewhere { left, over: Box::pin(over) });
                }
            };
            let known = self
                .readers
                .run(move |connection, _| statements::outcome(connection, &user, &id))
                .await?;
            Ok(known.map_or_else(|| Begun::Yours(held.hand_on()), Begun::Settled))
        })
    }

    fn renew(
        &self,
        Claim { user, id, number }: &Claim,
        claimed_for: Duration,
    ) -> BoxFuture<'_, Result<(), ClaimError>> {
        let name = (user.clone(), id.clone());
        let now_ms = self.inbox.now_ms();
        let is_kept = lock(&self.inbox.claims).renew(&name, *number, now_ms, ms(claimed_for));
        let renewed = if is_kept { Ok(()) } else { Err(ClaimError::Lost) };
        Box::pin(std::future::ready(renewed))
    }

    fn record(&self, claim: &Claim, outcome: &Outcome) -> BoxFuture<'_, Result<(), ClaimError>> {
        let (claim, outcome) = (claim.clone(), outcome.clone());
        Box::pin(async move {
            let Claim { user, id, number } = claim.clone();
            let name = (user, id);
            if !lock(&self.inbox.claims).begin_to_record(&name, number) {
                return Err(ClaimError::Lost);
            }
            let _held = Held::new(&self.inbox, claim);
            let (user, id) = name;
            let answer = outcome.as_ref().ok().and_then(Option::as_ref);
            let bytes = answer.map_or(0, |answer| answer.as_json().len());
            self.writer.ask(bytes, |reply| Command::Record { user, id, outcome, reply }).await??;
            Ok(())
        })
    }

    fn release(&self, claim: &Claim) {
        self.inbox.release(claim);
    }

    fn keep_outcomes(&self, count_max: u64, bytes_max: u64) {
        self.rules.keep_outcomes(count_max, bytes_max);
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
