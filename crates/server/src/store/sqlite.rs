//! Mailboxes in one SQLite file: one writer thread that commits for everybody at once, a few that read
//! for everybody who waits, checkpoints on a thread of their own.

mod aging;
mod appends;
pub mod backup;
mod behind;
mod check;
mod checkpoint;
mod commands;
mod cursors;
mod execute;
mod figures;
mod gather;
mod inbox;
mod index;
mod keys;
mod mailboxes;
mod messages;
mod open_error;
mod outcomes;
mod own_log;
mod paths;
mod presence;
mod pulse;
mod reader;
mod recent;
mod replies;
mod report;
mod rules;
mod schedule;
mod schema;
mod sign_outs;
mod statements;
mod stream_log;
mod stream_rows;
mod stream_table;
mod stream_text;
mod streams;
#[cfg(test)]
mod tests;
mod times;
mod told;
mod transact;
mod trim;
mod trouble;
mod unfinished;
mod unfolded;
mod upkeep;
mod view;
mod visitors;
mod writer;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::future::{BoxFuture, ready};
use tetherline_protocol::{DeviceId, Epoch, IdempotencyKey, Limits, Seq, UserId, frame::Message};

use super::{
    AppendError, Appended, CarriedOut, Delivery, EventQueue, Events, Figures, Head, Mailbox, Place,
    Publish, Report, Resumed, Room, StoreError, Subscription, Upkeep, tickets::Tickets,
};
use crate::alarm::Alarm;
use appends::{appends, digest};
use behind::Counts;
use checkpoint::{Checkpoints, LogSizes};
use commands::{AppendReply, Command};
use cursors::{Cursors, Kept};
use figures::Counted;
use inbox::Claiming;
use index::Index;
use keys::Keys;
use mailboxes::Mailboxes;
pub use open_error::OpenError;
use presence::{Files, Lock, Presence};
use reader::Readers;
use recent::{Recent, Recents};
use rules::Rules;
use schedule::Wish;
use stream_table::StreamTable;
use times::{Clock, Times};
use unfinished::Unfinished;
use writer::{Desk, Writer};

/// Mailboxes in one SQLite file. Dropping it commits what was accepted and closes the file; unless
/// another program has it open, everything is in that one file then.
pub struct SqliteStore {
    // Closed before the writer, whose thread folds the log into the file as the last one.
    readers: Readers,
    writer: Writer,
    files: Arc<Files>,
    memory: Arc<Memory>,
    rules: Arc<Rules>,
    streams: Arc<StreamTable>,
    events: EventQueue,
    inbox: Arc<Claiming>,
    tickets: Mutex<Tickets>,
    clock: Clock,
    alarm: Alarm,
    counted: Arc<Counted>,
}

/// What is known without the file.
#[derive(Default)]
struct Memory {
    mailboxes: Mailboxes,
    cursors: Cursors,
    recents: Recents,
    sign_outs: sign_outs::AreAny,
}

/// What a test may have otherwise.
struct Setup {
    log: LogSizes,
    clock: Clock,
    keys: Counts,
    positions: Counts,
}

impl Default for Setup {
    fn default() -> Self {
        let (log, clock) = (LogSizes::default(), times::system_clock());
        let keys = Counts::up_to(keys::KEYS_IN_MEMORY_MAX);
        let positions = Counts::up_to(index::POSITIONS_IN_MEMORY_MAX);
        Self { log, clock, keys, positions }
    }
}

impl SqliteStore {
    /// Opens the file, or creates it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, Setup::default())
    }

    /// The same, but that positions are folded into the file's index once so many rows wait in memory. For
    /// the tests: usually they wait for tens of thousands of others.
    #[cfg(feature = "custom-store")]
    #[doc(hidden)]
    pub fn open_folding_at(path: &Path, rows: usize) -> Result<Self, OpenError> {
        Self::open_with(path, {
            let positions = Counts { fold_at: rows, ..Setup::default().positions };
            Setup { positions, ..Setup::default() }
        })
    }

    fn open_with(path: &Path, setup: Setup) -> Result<Self, OpenError> {
        let failed = |source| OpenError::File { path: path.into(), source };
        let path = &std::path::absolute(path).map_err(failed)?;
        presence::create_folder(path)?;
        let mut lock = Lock::take(path)?;
        if lock.had_a_mailbox() && presence::is_empty(path) {
            return Err(OpenError::Missing(path.into()));
        }
        presence::create(path)?;
        own_log::begin(path)?;
        let mut connection = schema::connect_to_mailbox(path)?;
        if lock.had_a_mailbox() && schema::version(&connection)? == 0 {
            return Err(OpenError::Missing(path.into()));
        }
        let epoch: Arc<str> = schema::migrate(&mut connection)?.into();
        lock.has_a_mailbox();
        let files = Arc::new(Files::of(path)?);
        let presence = Presence::new(files.clone(), lock);
        let alarm = Alarm::new();
        let checkpoints = Checkpoints::start(path, &mut connection, setup.log, &alarm)?;
        let rules = Arc::new(Rules::default());
        let unfinished = Unfinished::load(&connection, times::uptime_ms((setup.clock)().1))?;
        let times = Times::load(&connection, setup.clock.clone())?;
        let streams = unfinished.table();
        let memory = Arc::new(Memory::default());
        memory.sign_outs.load(&connection)?;
        let events = EventQueue::default();
        let keys = Keys::load(&connection, setup.keys)?;
        let index = Index::load(&connection, &memory.recents, setup.positions)?;
        let (epochs, told) = (epoch.clone(), events.clone());
        let counted = Arc::new(Counted::default());
        let file = (connection, keys, index);
        let desk_rules = (rules.clone(), memory.clone(), counted.clone());
        let desk = Desk::new(file, desk_rules, epochs, unfinished, told, times, presence);
        let writer = Writer::start(desk, checkpoints, &alarm)?;
        Ok(Self {
            readers: Readers::start(path, &files, epoch, &alarm)?,
            files,
            writer,
            memory,
            rules,
            streams,
            events,
            inbox: Arc::new(Claiming::new(setup.clock.clone())),
            tickets: Mutex::default(),
            clock: setup.clock,
            alarm,
            counted,
        })
    }
}

impl Mailbox for SqliteStore {
    fn append(
        &self,
        user: &UserId,
        key: Option<&IdempotencyKey>,
        message: Arc<Message>,
    ) -> BoxFuture<'_, Result<Appended, AppendError>> {
        let key = key.map(|key| (key.clone(), digest(&message)));
        let user = user.clone();
        Box::pin(async move {
            let bytes = message.fields().len();
            let command = |reply| {
                let reply = AppendReply::Alone(reply);
                Command::Append { user, key, message, reply }
            };
            self.writer.ask(bytes, command).await?
        })
    }

    fn append_many(
        &self,
        publishes: Vec<Publish>,
    ) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        let count = publishes.len();
        let bytes = publishes.iter().map(|publish| publish.message.fields().len()).sum();
        Box::pin(async move {
            let command = |reply| Command::AppendMany(appends(publishes, reply));
            match self.writer.ask_as(count, bytes, command).await {
                Ok(appended) => appended,
                Err(error) => std::iter::repeat_n(Err(error.into()), count).collect(),
            }
        })
    }

    fn read(
        &self,
        user: &UserId,
        epoch: &Epoch,
        after: Seq,
        room: Room,
    ) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        let (user, epoch) = (user.clone(), epoch.clone());
        let recent = self.memory.recents.of_after(&user, after);
        Box::pin(self.readers.run(move |connection, store_epoch| {
            match view::users_epoch(&epoch, store_epoch) {
                Some(epoch) => messages::read(connection, (&user, epoch), &recent, after, room),
                None => Ok(Vec::new()),
            }
        }))
    }

    fn resume(
        &self,
        user: &UserId,
        after: Seq,
        room: Room,
    ) -> BoxFuture<'_, Result<Resumed, StoreError>> {
        let user = user.clone();
        let recent = self.memory.recents.of_after(&user, after);
        Box::pin(self.readers.run(move |connection, epoch| {
            view::resume(connection, &user, &recent, after, room, epoch)
        }))
    }

    fn heads(&self, users: &[UserId]) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        let recents = &self.memory.recents;
        let users: Vec<(UserId, Recent)> =
            users.iter().map(|user| (user.clone(), recents.of_after(user, Seq::MAX))).collect();
        Box::pin(self.readers.run(move |connection, epoch| {
            let head = |(user, recent)| view::head(connection, user, recent, epoch);
            users.iter().map(|(user, recent)| head((user, recent))).collect()
        }))
    }

    fn locate(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
    ) -> BoxFuture<'_, Result<Place, StoreError>> {
        let (user, device) = (user.clone(), device.cloned());
        Box::pin(async move {
            let asked = (user.clone(), device.clone());
            let ahead = self.memory.cursors.of(&user, device.as_ref());
            // Later than the cursor, which is at something that was appended.
            let recent = self.memory.recents.of(&user);
            let (place, seen_at) = self
                .readers
                .run(move |connection, epoch| {
                    let (user, device) = (&asked.0, asked.1.as_ref());
                    view::place(connection, user, device, ahead, &recent, epoch)
                })
                .await?;
            match (device, seen_at) {
                (Some(device), None) => {
                    self.writer.ask(0, |reply| Command::Greet { user, device, reply }).await?
                }
                (Some(device), Some(at)) if self.rules.should_note_use(at, (self.clock)().0) => {
                    // Nobody waits for it: if it is lost, the next connection says it again.
                    self.writer.mention(Command::Use { user, device });
                    Ok(place)
                }
                _ => Ok(place),
            }
        })
    }

    fn acknowledge(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        seq: Seq,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        if let Some(head) = self.memory.mailboxes.head(user) {
            let seq = seq.min(head);
            match self.memory.cursors.advance(user, device, seq, Instant::now()) {
                Kept::Ahead => return Box::pin(ready(Ok(()))),
                Kept::First => {
                    self.writer.look_after(Wish::Save);
                    return Box::pin(ready(Ok(())));
                }
                Kept::Full => {}
            }
        }
        let (user, device) = (user.clone(), device.cloned());
        Box::pin(async move {
            self.writer.ask(0, |reply| Command::Acknowledge { user, device, seq, reply }).await?
        })
    }

    fn save_cursor(
        &self,
        user: &UserId,
        _: Option<&DeviceId>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.memory.cursors.of_all(user).is_none() {
            return Box::pin(ready(Ok(())));
        }
        let user = user.clone();
        Box::pin(
            async move { self.writer.ask(0, |reply| Command::SaveCursor { user, reply }).await? },
        )
    }
}

impl Upkeep for SqliteStore {
    fn work_by(&self, limits: &Limits) {
        self.rules.set(limits);
        self.writer.look_after(Wish::Look);
    }

    fn erase(&self, user: &UserId) -> BoxFuture<'_, Result<(), StoreError>> {
        let user = user.clone();
        Box::pin(async move {
            let (carried_out, told) = CarriedOut::new();
            let carried_out = Some(carried_out);
            let command = |reply| Command::Erase { user, carried_out, reply };
            self.writer.ask(0, command).await??;
            told.await;
            Ok(())
        })
    }

    fn failed(&self) -> BoxFuture<'static, StoreError> {
        self.alarm.raised()
    }

    fn answers(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.readers.answer().await?;
            self.writer.answer().await
        })
    }

    fn free_bytes(&self) -> Option<u64> {
        figures::free_bytes(self)
    }

    fn figures(&self) -> Figures {
        figures::of(self)
    }

    fn report(&self, user: &UserId, seq: Option<Seq>) -> BoxFuture<'_, Result<Report, StoreError>> {
        report::of(self, user, seq)
    }

    fn is_in_place(&self) -> Result<(), StoreError> {
        self.files.check().map_err(|absence| StoreError::new(absence.to_string()))
    }
}

impl Events for SqliteStore {
    fn events(&self) -> Subscription {
        self.events.subscribe()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // What is still committed while the writer ends is for the next start.
        self.events.close();
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(sqlite) => Self::new(format!("{error} (SQLite code {})", sqlite.extended_code)),
            None => Self::new(error.to_string()),
        }
    }
}
