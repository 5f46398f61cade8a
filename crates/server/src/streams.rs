//! Streams: who writes them, who stops them, and what becomes of those that nobody ends.

mod pipe;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tetherline_protocol::{
    Attempt, MessageId, StopTarget, UserId,
    frame::{StreamEnding, StreamOpening},
};

use crate::{
    Server,
    server::Shared,
    store::{
        AppendTextError, FinishStreamError, FinishedStream, OpenStreamError, OpenedStream,
        StoppedStream, StoreError, StreamState, fresh_id,
    },
    trouble::{SharedTrouble, Word},
};
pub use pipe::PipeError;

/// How often it is looked for streams whose writer is late.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Server {
    /// Begins an attempt at a stream: whoever is connected and wants to see streams hears of it. The
    /// stream's name is the opening's, or a fresh one. An attempt that is going on already is over
    /// with this.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, as everything here.
    pub async fn open_stream(
        &self,
        user: &UserId,
        opening: StreamOpening,
    ) -> Result<StreamWriter, OpenStreamError> {
        self.shared.open_stream(user, opening).await
    }

    /// Adds text, durably, and answers where it ends now, in UTF-16 units. With `offset`, text that is
    /// there already is recognised and not added again.
    pub async fn append_text(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        offset: Option<u64>,
        text: impl Into<Box<str>>,
    ) -> Result<u64, AppendTextError> {
        self.shared.append_text(user, message_uuid, attempt, offset, text.into()).await
    }

    /// Ends an attempt: its text becomes a message of the mailbox. A repeat is answered as the first
    /// time; an attempt that was stopped ends as stopped, whatever the ending says.
    pub async fn finish_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        ending: StreamEnding,
    ) -> Result<FinishedStream, FinishStreamError> {
        self.shared.finish_stream(user, message_uuid, attempt, ending).await
    }

    /// Has a stream take no text any more; its writer ends it. The application is not told.
    pub async fn stop_stream(
        &self,
        user: &UserId,
        target: &StopTarget,
    ) -> Result<StoppedStream, StoreError> {
        self.shared.stop_stream(user, target).await
    }

    /// How far a stream got. `None` if there is none of that name, or no more.
    pub async fn stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
    ) -> Result<Option<StreamState>, StoreError> {
        self.shared.store.stream(user, message_uuid).await
    }
}

/// One attempt at a stream, in the hands of who writes it. Dropping it ends nothing: somebody can go
/// on by its name, and if nobody does, the server ends it as interrupted after `stream_idle_ms`.
pub struct StreamWriter {
    shared: Arc<Shared>,
    user: UserId,
    message_uuid: MessageId,
    attempt: Attempt,
    next_offset: u64,
    is_stopped: bool,
}

impl StreamWriter {
    /// Goes on with an attempt that somebody else, or an earlier request, has begun.
    pub(crate) fn going_on(
        shared: Arc<Shared>,
        user: UserId,
        message_uuid: MessageId,
        attempt: Attempt,
        next_offset: u64,
    ) -> Self {
        Self { shared, user, message_uuid, attempt, next_offset, is_stopped: false }
    }

    /// The stream's name.
    #[must_use]
    pub fn message_uuid(&self) -> &MessageId {
        &self.message_uuid
    }

    /// Which attempt at it this is.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Somebody stopped it before it began: it takes no text and waits to be ended.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Where its text ends, in UTF-16 units.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Adds text, durably. A call that failed or was given up may be repeated with the same text.
    pub async fn append(&mut self, text: &str) -> Result<u64, AppendTextError> {
        let appended = self.appending(text.into()).await?;
        self.next_offset = appended;
        Ok(appended)
    }

    /// Ends the attempt; see [`Server::finish_stream`].
    pub async fn finish(self, ending: StreamEnding) -> Result<FinishedStream, FinishStreamError> {
        self.shared.finish_stream(&self.user, &self.message_uuid, self.attempt, ending).await
    }

    fn appending(
        &self,
        text: Box<str>,
    ) -> impl Future<Output = Result<u64, AppendTextError>> + Send + 'static {
        let (shared, user) = (self.shared.clone(), self.user.clone());
        let (message_uuid, attempt) = (self.message_uuid.clone(), self.attempt);
        let offset = Some(self.next_offset);
        async move { shared.append_text(&user, &message_uuid, attempt, offset, text).await }
    }
}

impl Shared {
    pub(crate) async fn open_stream(
        self: &Arc<Self>,
        user: &UserId,
        opening: StreamOpening,
    ) -> Result<StreamWriter, OpenStreamError> {
        self.begin();
        let message_uuid = opening.message_uuid().cloned().unwrap_or_else(fresh_id);
        let opened = self.store.open_stream(user, &message_uuid, Arc::new(opening)).await?;
        self.meters.metrics.streams_opened.inc();
        let OpenedStream { attempt, is_stopped } = opened;
        let (shared, user) = (self.clone(), user.clone());
        Ok(StreamWriter { shared, user, message_uuid, attempt, next_offset: 0, is_stopped })
    }

    pub(crate) async fn append_text(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        offset: Option<u64>,
        text: Box<str>,
    ) -> Result<u64, AppendTextError> {
        let bytes = text.len() as u64;
        let appended = self.store.append_text(user, message_uuid, attempt, offset, text).await?;
        self.meters.metrics.stream_pieces.inc();
        self.meters.metrics.stream_text_bytes.inc_by(bytes);
        Ok(appended)
    }

    pub(crate) async fn finish_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        ending: StreamEnding,
    ) -> Result<FinishedStream, FinishStreamError> {
        let ending = Arc::new(ending);
        let finished = self.store.finish_stream(user, message_uuid, attempt, ending).await?;
        if !finished.repeated {
            self.meters.metrics.stream_finished(finished.status);
        }
        Ok(finished)
    }

    pub(crate) async fn stop_stream(
        self: &Arc<Self>,
        user: &UserId,
        target: &StopTarget,
    ) -> Result<StoppedStream, StoreError> {
        self.begin();
        self.store.stop_stream(user, target).await
    }

    /// Ends, from now on, what its writers do not.
    pub(crate) fn watch_streams(self: &Arc<Self>) {
        tokio::spawn(watch(Arc::downgrade(self)));
    }

    async fn end_overdue_streams(self: &Arc<Self>) -> Result<(), StoreError> {
        for late in self.store.overdue_streams().await? {
            let ending = StreamEnding::plain(late.status);
            let ended = self.finish_stream(&late.user, &late.message_uuid, late.attempt, ending);
            match ended.await {
                Ok(_) => {
                    if let Some(Word::Fails { times }) = LATE.failed_now() {
                        tracing::warn!(
                            message_uuid = %late.message_uuid,
                            attempt = %late.attempt,
                            status = late.status.as_str(),
                            times,
                            "a stream was ended, because its writer did not"
                        );
                    }
                }
                // Once a second for each, and the store has said it, as often as is good.
                Err(error) => {
                    tracing::debug!(%error, "a stream could not be ended; it is tried again");
                }
            }
        }
        Ok(())
    }
}

/// Streams that their writers do not end.
static LATE: SharedTrouble = SharedTrouble::new();

/// For as long as the server exists.
async fn watch(shared: Weak<Shared>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        if let Err(error) = shared.end_overdue_streams().await {
            tracing::debug!(%error, "it could not be looked for streams that nobody ends");
        }
    }
}
