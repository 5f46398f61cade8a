//! Messages on their way into mailboxes, and to whoever is connected.

use std::sync::Arc;

use bytestring::ByteString;
use tetherline_protocol::{IdempotencyKey, MessageId, Seq, UserId, frame::Message};
use tracing::Instrument as _;

use super::Shared;
use crate::{
    clock,
    store::{AppendError, Appended, Publish, fresh_id},
};

/// What a publish did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The message's id.
    pub id: MessageId,
    /// Its position in the user's mailbox.
    pub seq: Seq,
    /// Whether the same key had published the same message before.
    pub repeated: bool,
}

/// Why nothing was published.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Over `publish_bytes_max`.
    #[error("the message is larger than publish_bytes_max ({bytes_max} bytes)")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The mailbox refused it.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Shared {
    pub(crate) async fn publish(
        &self,
        user: &UserId,
        key: Option<&IdempotencyKey>,
        message: Message,
    ) -> Result<Published, PublishError> {
        let span = tracing::debug_span!("publish");
        let published = self.publish_one(user, key, message).instrument(span).await;
        self.count(&published);
        published
    }

    async fn publish_one(
        &self,
        user: &UserId,
        key: Option<&IdempotencyKey>,
        message: Message,
    ) -> Result<Published, PublishError> {
        self.check_size(&message)?;
        let appended = self.store.append(user, key, Arc::new(message)).await?;
        Ok(published(user, appended))
    }

    /// Those that are too large fail before anything of the others is asked.
    pub(crate) async fn publish_many(
        &self,
        publishes: Vec<Publish>,
    ) -> Vec<Result<Published, PublishError>> {
        let sizes: Vec<_> =
            publishes.iter().map(|publish| self.check_size(&publish.message)).collect();
        let fitting: Vec<_> = publishes
            .into_iter()
            .zip(&sizes)
            .filter_map(|(publish, size)| size.is_ok().then_some(publish))
            .collect();
        let users: Vec<_> = fitting.iter().map(|publish| publish.user.clone()).collect();
        let appended = if fitting.is_empty() {
            Vec::new()
        } else {
            let span = tracing::debug_span!("publish", messages = fitting.len());
            self.store.append_many(fitting).instrument(span).await
        };
        let mut appended = users.iter().zip(appended);
        let one = |size: Result<(), PublishError>| {
            size?;
            let (user, appended) = appended.next().expect("the store answers for each");
            Ok(published(user, appended?))
        };
        sizes.into_iter().map(one).inspect(|published| self.count(published)).collect()
    }

    fn count(&self, published: &Result<Published, PublishError>) {
        self.meters.metrics.published(published, |published| published.repeated);
    }

    pub(crate) fn publish_live(
        &self,
        user: &UserId,
        message: &Message,
    ) -> Result<MessageId, PublishError> {
        self.check_size(message)?;
        let id = message.id().cloned().unwrap_or_else(fresh_id);
        self.meters.metrics.live_messages.inc();
        self.hub.say(user, || live_frame(message, &id));
        Ok(id)
    }

    pub(crate) fn publish_live_to_everybody(
        &self,
        message: &Message,
    ) -> Result<MessageId, PublishError> {
        self.check_size(message)?;
        let id = message.id().cloned().unwrap_or_else(fresh_id);
        self.meters.metrics.live_messages.inc();
        self.hub.say_to_everybody(&live_frame(message, &id));
        Ok(id)
    }

    fn check_size(&self, message: &Message) -> Result<(), PublishError> {
        let bytes_max = self.current().limits.publish_bytes_max;
        if message.fields().len() > bytes_max {
            return Err(PublishError::TooLarge { bytes_max });
        }
        Ok(())
    }
}

fn published(user: &UserId, appended: Appended) -> Published {
    let Appended { id, seq, repeated, .. } = appended;
    tracing::debug!(?user, %id, %seq, repeated, "published");
    Published { id, seq, repeated }
}

fn live_frame(message: &Message, id: &MessageId) -> ByteString {
    let timestamp = clock::rfc3339(clock::now_ms());
    message.to_frame(id, None, timestamp.quoted()).into()
}
