//! Messages on their way into mailboxes, and to whoever is connected.

use std::sync::Arc;

use bytestring::ByteString;
use tetherline_protocol::{IdempotencyKey, MessageId, Seq, UserId, frame::Message};

use super::Shared;
use crate::{
    clock,
    store::{AppendError, Appended, Delivery, Publish, fresh_id},
    to_the_end::ToTheEnd,
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
        self: &Arc<Self>,
        user: &UserId,
        key: Option<&IdempotencyKey>,
        message: Message,
    ) -> Result<Published, PublishError> {
        let (shared, user, key) = (self.clone(), user.clone(), key.cloned());
        // Whoever is connected hears of what was stored, even when its publisher leaves in between.
        ToTheEnd::of(async move { shared.append(&user, key, message).await }).await
    }

    pub(crate) async fn publish_many(
        self: &Arc<Self>,
        publishes: Vec<Publish>,
    ) -> Vec<Result<Published, PublishError>> {
        if publishes.is_empty() {
            return Vec::new();
        }
        let shared = self.clone();
        ToTheEnd::of(async move { shared.append_many(publishes).await }).await
    }

    pub(crate) fn publish_live(
        &self,
        user: &UserId,
        message: &Message,
    ) -> Result<MessageId, PublishError> {
        self.check_size(message)?;
        let id = message.id().cloned().unwrap_or_else(fresh_id);
        self.hub.say(user, || live_frame(message, &id));
        Ok(id)
    }

    pub(crate) fn publish_live_to_everybody(
        &self,
        message: &Message,
    ) -> Result<MessageId, PublishError> {
        self.check_size(message)?;
        let id = message.id().cloned().unwrap_or_else(fresh_id);
        self.hub.say_to_everybody(&live_frame(message, &id));
        Ok(id)
    }

    fn check_size(&self, message: &Message) -> Result<(), PublishError> {
        let bytes_max = self.config.limits.publish_bytes_max;
        if message.fields().len() > bytes_max {
            return Err(PublishError::TooLarge { bytes_max });
        }
        Ok(())
    }

    async fn append(
        &self,
        user: &UserId,
        key: Option<IdempotencyKey>,
        message: Message,
    ) -> Result<Published, PublishError> {
        self.check_size(&message)?;
        let message = Arc::new(message);
        let appended = self.store.append(user, key.as_ref(), message.clone()).await?;
        self.tell(user, &message, &appended);
        let Appended { id, seq, repeated, .. } = appended;
        Ok(Published { id, seq, repeated })
    }

    fn tell(&self, user: &UserId, message: &Message, appended: &Appended) {
        let Appended { id, seq, repeated, .. } = appended;
        if !repeated {
            self.hub.published(user, *seq, || Delivery::new(message, appended));
        }
        tracing::debug!(?user, %id, %seq, repeated, "published");
    }

    /// Those that are too large fail before anything of the others is asked.
    async fn append_many(&self, publishes: Vec<Publish>) -> Vec<Result<Published, PublishError>> {
        let sizes: Vec<_> =
            publishes.iter().map(|publish| self.check_size(&publish.message)).collect();
        let fitting = || publishes.iter().zip(&sizes).filter(|(_, size)| size.is_ok());
        let appending = fitting().map(|(publish, _)| publish.clone()).collect();
        let appended = self.store.append_many(appending).await;
        for ((publish, _), appended) in fitting().zip(&appended) {
            if let Ok(appended) = appended {
                self.tell(&publish.user, &publish.message, appended);
            }
        }
        let mut appended = appended.into_iter();
        let one = |size: Result<(), PublishError>| {
            size?;
            let Appended { id, seq, repeated, .. } =
                appended.next().expect("the store answers for each")?;
            Ok(Published { id, seq, repeated })
        };
        sizes.into_iter().map(one).collect()
    }
}

fn live_frame(message: &Message, id: &MessageId) -> ByteString {
    let timestamp = format!("\"{}\"", clock::rfc3339(clock::now_ms()));
    message.to_frame(id, None, &timestamp).into()
}
