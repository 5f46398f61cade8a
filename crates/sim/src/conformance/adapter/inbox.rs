use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use tetherline_protocol::{MessageId, UserId};
use tetherline_server::{
    simulation::Taken,
    store::{Begun, Claim, ClaimError, Inbox, Outcome, StoreError},
};

use super::{Adapter, Machine};
use crate::store::{Beginning, Operation};

impl Machine {
    fn send(&mut self, user: &UserId, id: &MessageId) -> (usize, usize) {
        let user = self.users.number(user.clone());
        (user, self.sends.number((user, id.clone())))
    }
}

impl Inbox for Adapter {
    fn begin(
        &self,
        user: &UserId,
        id: &MessageId,
        claimed_for: Duration,
    ) -> BoxFuture<'_, Result<Begun, StoreError>> {
        let mut machine = self.machine();
        let (number, send) = machine.send(user, id);
        let now = machine.now;
        let begun = match machine.store.begin(number, send, now, ms(claimed_for)) {
            Beginning::Settled(outcome) => Begun::Settled(outcome),
            Beginning::Yours(number) => {
                Begun::Yours(Claim { user: user.clone(), id: id.clone(), number })
            }
            Beginning::Elsewhere(Taken { left_ms, over }) => {
                let left = Duration::from_millis(left_ms);
                Begun::Elsewhere { left, over: Box::pin(over) }
            }
        };
        Box::pin(ready(Ok(begun)))
    }

    fn renew(&self, claim: &Claim, claimed_for: Duration) -> BoxFuture<'_, Result<(), ClaimError>> {
        let mut machine = self.machine();
        let (_, send) = machine.send(&claim.user, &claim.id);
        let now = machine.now;
        let is_kept = machine.store.renew(send, claim.number, now, ms(claimed_for));
        Box::pin(ready(if is_kept { Ok(()) } else { Err(ClaimError::Lost) }))
    }

    fn record(&self, claim: &Claim, outcome: &Outcome) -> BoxFuture<'_, Result<(), ClaimError>> {
        let (user, send) = self.machine().send(&claim.user, &claim.id);
        let (claim, outcome) = (claim.number, outcome.clone());
        Box::pin(async move {
            if !self.machine().store.begin_to_record(send, claim) {
                return Err(ClaimError::Lost);
            }
            self.ask(Operation::Record { send, user, claim, outcome }).await?;
            Ok(())
        })
    }

    fn release(&self, claim: &Claim) {
        let mut machine = self.machine();
        let (_, send) = machine.send(&claim.user, &claim.id);
        machine.store.release(send, claim.number);
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
