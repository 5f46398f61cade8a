//! What a store promises. Each trait is one narrow promise; one conformance suite holds every store to
//! all of them.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use futures_util::future::BoxFuture;
use tetherline_protocol::{
    DeviceId, Epoch, IdempotencyKey, Limits, MessageId, Seq, UserId, frame::Message,
};

use super::{
    AppendError, Credentials, Events, Head, Outcome, Publish, StoreError, Streams, report::Report,
};
use crate::{clock, metrics::Latencies};

/// Everything that a server keeps.
pub trait Store: Mailbox + Streams + Inbox + Credentials + Upkeep + Events {}

impl<T: Mailbox + Streams + Inbox + Credentials + Upkeep + Events> Store for T {}

/// Messages and the positions up to which devices have handled them.
pub trait Mailbox: Send + Sync + 'static {
    /// Appends durably: once this answers, a crash loses nothing. `seq` is dense per user.
    fn append(
        &self,
        user: &UserId,
        key: Option<&IdempotencyKey>,
        message: Arc<Message>,
    ) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Appends all of them in this order, as [`Mailbox::append`] appends each, with one commit for what
    /// fits into one. Who cannot be served fails alone; there is an answer for each, in the same order.
    fn append_many(
        &self,
        publishes: Vec<Publish>,
    ) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>>;

    /// Reads on from `after`: at least one message if there is one, then as many as `room` takes.
    /// What was trimmed is left out. In any other epoch there is nothing: whoever was connected before a
    /// user was erased may not have heard of it yet, and reads nothing of what was published since.
    fn read(
        &self,
        user: &UserId,
        epoch: &Epoch,
        after: Seq,
        room: Room,
    ) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>>;

    /// Reads on as [`Mailbox::read`] does, and says what stands at `after`, both of the same moment: so
    /// whoever was there before a backup was restored finds out with the first page.
    fn resume(
        &self,
        user: &UserId,
        after: Seq,
        room: Room,
    ) -> BoxFuture<'_, Result<Resumed, StoreError>>;

    /// The newest position of one user, as [`Mailbox::heads`].
    fn head(&self, user: &UserId) -> BoxFuture<'_, Result<Head, StoreError>> {
        let heads = self.heads(std::slice::from_ref(user));
        Box::pin(async move {
            let missing = || StoreError::new("the store answered for nobody");
            heads.await?.pop().ok_or_else(missing)
        })
    }

    /// The newest position of each of these users and the history that it counts in, all of the same
    /// moment and in the order of the question.
    fn heads(&self, users: &[UserId]) -> BoxFuture<'_, Result<Vec<Head>, StoreError>>;

    /// Where a device stands. An unknown one is remembered, at the user's floor, so that what
    /// other devices handle in the meantime still reaches it.
    fn locate(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
    ) -> BoxFuture<'_, Result<Place, StoreError>>;

    /// Moves a device's cursor and the user's floor forward, never back and never past the head. Whoever
    /// asks for a place is told of it at once. It need not be durable yet: a crash takes what was
    /// acknowledged within the last second, or so, and it comes again.
    fn acknowledge(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        seq: Seq,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Makes durable where a device and its user's floor are: once this answers, no crash takes it back.
    fn save_cursor(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
    ) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Final outcomes of clients' sends, by the id that the client gave them, and who is at one just now.
pub trait Inbox: Send + Sync + 'static {
    /// Says what became of a send, if that was decided within the dedupe window; else claims it for so
    /// long, by the store's clock, unless somebody else has.
    fn begin(
        &self,
        user: &UserId,
        id: &MessageId,
        claimed_for: Duration,
    ) -> BoxFuture<'_, Result<Begun, StoreError>>;

    /// Keeps a claim for so long from now on, while the application works.
    fn renew(&self, claim: &Claim, claimed_for: Duration) -> BoxFuture<'_, Result<(), ClaimError>>;

    /// Remembers what became of the send, with the answer byte for byte. Fails if the claim was lost,
    /// because somebody else may have decided otherwise: then begin anew. The claim ends with it.
    fn record(&self, claim: &Claim, outcome: &Outcome) -> BoxFuture<'_, Result<(), ClaimError>>;

    /// Ends a claim without an outcome, at once or, if nobody can be told, when its time is over.
    fn release(&self, claim: &Claim);

    /// Of each user no more outcomes are kept from here on than so many, and so many bytes of them, or not for long; the
    /// oldest are forgotten. A store that does nothing here keeps all of them.
    fn keep_outcomes(&self, count_max: u64, bytes_max: u64) {
        let _ = (count_max, bytes_max);
    }
}

/// What is kept, and for how long.
pub trait Upkeep: Send + Sync + 'static {
    /// Names the limits that this store works by. [`crate::Server::open`] says them, so that they
    /// are the announced ones; until then the defaults count.
    ///
    /// What is over `retention_age_ms` or `retention_messages_max` is *trimmed* in the background, a
    /// bit at a time: always a prefix of a mailbox, without moving its head, and a publish that is
    /// repeated within the dedupe window is still recognised.
    fn work_by(&self, limits: &Limits);

    /// Forgets everything about a user: messages, devices and their cursors, keys and ids. The
    /// epoch is another one from then on, and positions go on from where they were. Once this
    /// answers, a crash brings nothing back, the subscriber of [`Events`] has carried it out, and what is
    /// appended afterwards is kept.
    fn erase(&self, user: &UserId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Resolves, with the reason, when the store will never keep anything again: a thread of it has
    /// died, or its file was replaced. A store that recovers by itself never does.
    fn failed(&self) -> BoxFuture<'static, StoreError> {
        Box::pin(std::future::pending())
    }

    /// Answers once it has read, and could have kept something: or why it cannot, as far as it knows. What
    /// could not be kept last is tried again with this. Where many wait it answers as soon as it is clear that it
    /// works for them: a store that says nothing in [`STORE_ANSWER_TIMEOUT`](crate::STORE_ANSWER_TIMEOUT) hangs, and
    /// its process is started anew.
    fn answers(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What is left on its disk to whoever runs the server, in bytes, where that can be known. It asks the disk.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// What it takes, for whoever watches. It may ask the disk.
    fn figures(&self) -> Figures {
        Figures::default()
    }

    /// What is known of one user, and of one of their messages, for whoever looks why it did not arrive.
    fn report(&self, user: &UserId, seq: Option<Seq>) -> BoxFuture<'_, Result<Report, StoreError>> {
        let _ = (user, seq);
        Box::pin(std::future::ready(Err(StoreError::new("this store has no reports"))))
    }

    /// Whether what was kept lies where the next start will look for it, or why not.
    fn is_in_place(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a store takes and does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// What is kept, in bytes.
    pub mailbox_bytes: u64,
    /// What was written and is still to be sorted in, in bytes.
    pub log_bytes: u64,
    /// As [`Upkeep::free_bytes`].
    pub free_bytes: Option<u64>,
    /// Streams that are not finished.
    pub streams: usize,
    /// What they take in memory, in bytes.
    pub stream_bytes: usize,
    /// How long commits took, those that failed included.
    pub commits: Latencies,
    /// Commits that came to nothing.
    pub failed_commits: u64,
}

/// What a send meets.
pub enum Begun {
    /// Nobody has decided it: it is to be handed to the application now.
    Yours(Claim),
    /// It was decided before.
    Settled(Outcome),
    /// Somebody else is handing it to the application.
    Elsewhere {
        /// For so long, unless the claim is renewed.
        left: Duration,
        /// Resolves when it is worth asking again before that. A store that cannot tell never does.
        over: BoxFuture<'static, ()>,
    },
}

/// The right to hand a send to the application, which one has at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose send.
    pub user: UserId,
    /// Its id.
    pub id: MessageId,
    /// Which claim on it; what it means is the store's.
    pub number: u64,
}

/// Why a claim could not be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Its time was over, and somebody else has the send now, or had it.
    #[error("somebody else has claimed the send meanwhile")]
    Lost,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a device stands in its user's mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The newest position.
    pub head: Head,
    /// The highest acknowledgement of this device; the floor if there is none.
    pub cursor: Seq,
    /// The message there, if it is known.
    pub cursor_id: Option<MessageId>,
    /// The highest acknowledgement of any device.
    pub floor: Seq,
    /// Up to here messages are not kept any more; [`Seq::ZERO`] while all are.
    pub trimmed: Seq,
    /// The last of those, if it is known.
    pub trimmed_id: Option<MessageId>,
}

/// A page, and what its beginning says about the history of whoever asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The newest position.
    pub head: Head,
    /// What stands where it was read from.
    pub standing: Standing,
    /// What [`Mailbox::read`] answers.
    pub messages: Vec<Delivery>,
}

/// What stands at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// This message, which is kept, or is the last that was trimmed.
    Message(MessageId),
    /// Nothing any more, and which message it was is not known: it was trimmed, or is the beginning.
    Forgotten,
    /// Nothing yet: it is behind the head.
    Nothing,
}

/// What an append did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The message's name: the sender's choice, or a fresh one.
    pub id: MessageId,
    /// Its position.
    pub seq: Seq,
    /// Whether it had been appended before, under the same key.
    pub repeated: bool,
    /// When, in ms since 1970.
    pub created_at_ms: i64,
}

/// One message as it goes over the wire. Sockets share the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its position.
    pub seq: Seq,
    /// The whole frame; empty if the message cannot be read any more, which is said in its place.
    pub text: ByteString,
}

impl Delivery {
    /// In the place of a message that cannot be read any more.
    #[must_use]
    pub fn unreadable(seq: Seq) -> Self {
        Self { seq, text: ByteString::default() }
    }

    /// Whether this stands for a message that cannot be read any more.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.text.is_empty()
    }

    /// Splices the header in front of a message that was just appended.
    #[must_use]
    pub fn new(message: &Message, appended: &Appended) -> Self {
        let timestamp = clock::rfc3339(appended.created_at_ms);
        let text = message.to_frame(&appended.id, Some(appended.seq), timestamp.quoted());
        Self { seq: appended.seq, text: text.into() }
    }
}

/// How much of a mailbox to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// At most so many messages.
    pub messages: usize,
    /// At most so many bytes, except that the first message always fits.
    pub bytes: usize,
}

impl Room {
    /// As many of these as fit.
    pub(crate) fn fill<'a, T: Clone + 'a>(
        self,
        messages: impl Iterator<Item = &'a T>,
        bytes_of: impl Fn(&T) -> usize,
    ) -> Vec<T> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        for message in messages.take(self.messages) {
            bytes += bytes_of(message);
            if bytes > self.bytes && !page.is_empty() {
                break;
            }
            page.push(message.clone());
        }
        page
    }
}
