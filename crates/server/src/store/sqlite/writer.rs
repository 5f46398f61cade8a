use std::{
    collections::HashMap,
    sync::{Arc, mpsc::SyncSender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tetherline_protocol::{DeviceId, IdempotencyKey, MessageId, Seq, UserId, frame::Message};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{
    super::{AppendError, Appended, Outcome, Place, StoreError},
    OpenError, SqliteOptions,
    schema::Lock,
    statements::{self, Mailbox},
};
use crate::clock;

/// Commands that wait for the writer; whoever comes later waits to be let in.
const COMMANDS_WAITING_MAX: usize = 1_024;
/// Commands that share one commit.
const BATCH_MAX: usize = 1_024;
/// Users whose head is kept in memory.
const MAILBOXES_MAX: usize = 262_144;
/// How often old keys and ids are forgotten, and how many at once. While there are more, every
/// commit forgets some: more than it can bring, so that they never pile up.
const PRUNE_EVERY: Duration = Duration::from_secs(10);
const PRUNE_MAX: usize = 4 * BATCH_MAX;

pub(super) type Reply<T> = oneshot::Sender<T>;

pub(super) enum Command {
    Append {
        user: UserId,
        key: Option<(IdempotencyKey, [u8; 32])>,
        message: Arc<Message>,
        reply: Reply<Result<Appended, AppendError>>,
    },
    Greet {
        user: UserId,
        device: DeviceId,
        reply: Reply<Result<Place, StoreError>>,
    },
    Acknowledge {
        user: UserId,
        device: Option<DeviceId>,
        seq: Seq,
        reply: Reply<Result<(), StoreError>>,
    },
    Record {
        user: UserId,
        id: MessageId,
        outcome: Outcome,
        reply: Reply<Result<(), StoreError>>,
    },
}

/// The one thread that writes. Everything that waits shares the next commit.
pub(super) struct Writer {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        options: SqliteOptions,
        epoch: Arc<str>,
        checkpoints: SyncSender<()>,
        lock: Lock,
    ) -> Result<Self, OpenError> {
        let (commands, waiting) = mpsc::channel(COMMANDS_WAITING_MAX);
        let desk = Desk {
            connection,
            options,
            epoch,
            mailboxes: HashMap::new(),
            pruned_at: None,
            _lock: lock,
        };
        let thread = thread::Builder::new()
            .name("tetherline-writer".into())
            .spawn(move || desk.run(waiting, &checkpoints))
            .map_err(|source| OpenError::File { path: "a thread".into(), source })?;
        Ok(Self { commands: Some(commands), thread: Some(thread) })
    }

    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::new("the store is closed");
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or_else(gone)?;
        commands.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer had panicked");
        }
    }
}

struct Desk {
    connection: Connection,
    options: SqliteOptions,
    epoch: Arc<str>,
    mailboxes: HashMap<UserId, Mailbox>,
    pruned_at: Option<Instant>,
    _lock: Lock,
}

/// What a command came to, kept back until the commit.
enum Done {
    Append(Result<Appended, AppendError>),
    Greet(Place),
    Nothing,
}

impl Desk {
    fn run(mut self, mut waiting: mpsc::Receiver<Command>, checkpoints: &SyncSender<()>) {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            self.prune();
            match self.commit(&batch) {
                Ok(done) => {
                    for (command, done) in batch.drain(..).zip(done) {
                        command.succeed(done);
                    }
                }
                // One of them may be to blame; nobody else shall pay for it.
                Err(_) if batch.len() > 1 => {
                    for command in batch.drain(..) {
                        self.commit_alone(command);
                    }
                }
                Err(error) => {
                    for command in batch.drain(..) {
                        command.fail(&error);
                    }
                }
            }
            // Full means that a checkpoint is about to look anyway.
            let _ = checkpoints.try_send(());
        }
    }

    fn commit_alone(&mut self, command: Command) {
        match self.commit(std::slice::from_ref(&command)) {
            Ok(mut done) => command.succeed(done.pop().unwrap_or(Done::Nothing)),
            Err(error) => command.fail(&error),
        }
    }

    fn commit(&mut self, batch: &[Command]) -> Result<Vec<Done>, StoreError> {
        let committed = self.try_commit(batch);
        if let Err(error) = &committed {
            tracing::error!(%error, "a commit failed");
            // What was counted in memory did not happen.
            self.mailboxes.clear();
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a failed commit could not be rolled back");
            }
        }
        committed
    }

    fn try_commit(&mut self, batch: &[Command]) -> Result<Vec<Done>, StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let now = clock::now_ms();
        let done: rusqlite::Result<Vec<Done>> =
            batch.iter().map(|command| self.execute(command, now)).collect();
        let done = done?;
        self.connection.execute_batch("COMMIT")?;
        Ok(done)
    }

    fn execute(&mut self, command: &Command, now: i64) -> rusqlite::Result<Done> {
        match command {
            Command::Append { user, key, message, .. } => {
                self.append(user, key.as_ref(), message, now).map(Done::Append)
            }
            Command::Greet { user, device, .. } => {
                let mailbox = self.mailbox(user)?;
                let retention = millis(self.options.device_retention);
                statements::greet(
                    &self.connection,
                    mailbox.user,
                    device,
                    self.options.devices_max,
                    now.saturating_sub(retention),
                    now,
                )?;
                let (place, _) =
                    statements::place(&self.connection, user, Some(device), &self.epoch)?;
                Ok(Done::Greet(place))
            }
            Command::Acknowledge { user, device, seq, .. } => {
                let mailbox = self.mailbox(user)?;
                let seq = mailbox.head.min(*seq);
                let device = device.as_ref();
                statements::acknowledge(&self.connection, mailbox.user, device, seq, now)?;
                Ok(Done::Nothing)
            }
            Command::Record { user, id, outcome, .. } => {
                let mailbox = self.mailbox(user)?;
                statements::record(&self.connection, mailbox.user, id, outcome, now)?;
                Ok(Done::Nothing)
            }
        }
    }

    fn append(
        &mut self,
        user: &UserId,
        key: Option<&(IdempotencyKey, [u8; 32])>,
        message: &Message,
        now: i64,
    ) -> rusqlite::Result<Result<Appended, AppendError>> {
        let mailbox = self.mailbox(user)?;
        if let Some((key, digest)) = key
            && let Some(earlier) =
                statements::publish(&self.connection, mailbox.user, key.as_str())?
        {
            if earlier.digest != digest {
                return Ok(Err(AppendError::Conflict));
            }
            return Ok(Ok(Appended {
                id: earlier.id,
                seq: earlier.seq,
                repeated: true,
                created_at_ms: earlier.created_at,
            }));
        }
        let Some(seq) = mailbox.head.next() else { return Ok(Err(AppendError::Full)) };
        let id = message.id().cloned().unwrap_or_else(fresh_id);
        let appended = Appended { id, seq, repeated: false, created_at_ms: now };
        statements::append(&self.connection, mailbox.user, &appended, message)?;
        if let Some((key, digest)) = key {
            let key = key.as_str();
            statements::remember_publish(&self.connection, mailbox.user, key, digest, &appended)?;
        }
        self.mailboxes.insert(user.clone(), Mailbox { head: seq, ..mailbox });
        Ok(Ok(appended))
    }

    fn mailbox(&mut self, user: &UserId) -> rusqlite::Result<Mailbox> {
        if let Some(mailbox) = self.mailboxes.get(user) {
            return Ok(*mailbox);
        }
        if self.mailboxes.len() >= MAILBOXES_MAX {
            self.mailboxes.clear();
        }
        let mailbox = statements::mailbox(&self.connection, user)?;
        self.mailboxes.insert(user.clone(), mailbox);
        Ok(mailbox)
    }

    fn prune(&mut self) {
        if self.pruned_at.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return;
        }
        self.pruned_at = Some(Instant::now());
        let before = clock::now_ms().saturating_sub(millis(self.options.dedupe_window));
        match statements::prune(&self.connection, before, PRUNE_MAX) {
            Ok(forgotten) if forgotten >= PRUNE_MAX => self.pruned_at = None,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old keys and ids could not be forgotten"),
        }
    }
}

impl Command {
    /// Whoever asked may be gone; that changes nothing about what is committed.
    fn succeed(self, done: Done) {
        match (self, done) {
            (Self::Append { reply, .. }, Done::Append(appended)) => drop(reply.send(appended)),
            (Self::Greet { reply, .. }, Done::Greet(place)) => drop(reply.send(Ok(place))),
            (Self::Acknowledge { reply, .. } | Self::Record { reply, .. }, Done::Nothing) => {
                drop(reply.send(Ok(())));
            }
            (command, _) => command.fail(&StoreError::new("an answer of the wrong kind")),
        }
    }

    fn fail(self, error: &StoreError) {
        let error = error.clone();
        match self {
            Self::Append { reply, .. } => drop(reply.send(Err(error.into()))),
            Self::Greet { reply, .. } => drop(reply.send(Err(error))),
            Self::Acknowledge { reply, .. } | Self::Record { reply, .. } => {
                drop(reply.send(Err(error)));
            }
        }
    }
}

fn fresh_id() -> MessageId {
    Uuid::now_v7().to_string().parse().expect("a UUID is a short id of URL-safe characters")
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
