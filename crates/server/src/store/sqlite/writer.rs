use std::{
    collections::HashMap,
    sync::{Arc, mpsc::SyncSender},
    thread::{self, JoinHandle},
    time::Instant,
};

use rusqlite::Connection;
use tetherline_protocol::{IdempotencyKey, UserId, frame::Message};
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{AppendError, Appended, StoreError, fresh_id},
    OpenError,
    commands::{Command, Done, Reply},
    gather::{Pace, gather},
    rules::{Rule, Rules},
    schema::Lock,
    statements::{self, Mailbox},
    streams::Answers,
    upkeep::{self, Upkeep},
};
use crate::clock;

/// Commands that wait for the writer; whoever comes later waits to be let in.
const COMMANDS_WAITING_MAX: usize = 1_024;
/// Commands that share one commit.
pub(super) const BATCH_MAX: usize = 1_024;
/// Users whose head is kept in memory.
const MAILBOXES_MAX: usize = 262_144;

/// The one thread that writes. Everything that waits shares the next commit.
pub(super) struct Writer {
    commands: Option<mpsc::Sender<Command>>,
    upkeep: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        rules: Arc<Rules>,
        epoch: Arc<str>,
        answers: Answers,
        checkpoints: SyncSender<()>,
        lock: Lock,
    ) -> Result<Self, OpenError> {
        let (commands, waiting) = mpsc::channel(COMMANDS_WAITING_MAX);
        let desk = Desk {
            connection,
            rules,
            epoch,
            mailboxes: HashMap::new(),
            upkeep: Upkeep::default(),
            answers,
            pace: Pace::default(),
            _lock: lock,
        };
        let no_thread = |source| OpenError::File { path: "a thread".into(), source };
        let upkeep = upkeep::start(commands.downgrade()).map_err(no_thread)?;
        let thread = thread::Builder::new()
            .name("tetherline-writer".into())
            .spawn(move || desk.run(waiting, &checkpoints))
            .map_err(no_thread)?;
        Ok(Self { commands: Some(commands), upkeep, thread: Some(thread) })
    }

    /// Has it look soon whether there is something to forget.
    pub(super) fn look_after(&self) {
        // Full means that it is about to.
        let _ = self.upkeep.try_send(());
    }

    /// Tells it something that nobody waits for, unless it is too busy.
    pub(super) fn mention(&self, command: Command) {
        if let Some(commands) = &self.commands {
            let _ = commands.try_send(command);
        }
    }

    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::new("the store is closed");
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or_else(gone)?;
        let command = command(reply);
        let ends_gathering = !command.is_text();
        commands.send(command).await.map_err(|_| gone())?;
        if ends_gathering && let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
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

pub(super) struct Desk {
    pub(super) connection: Connection,
    rules: Arc<Rules>,
    epoch: Arc<str>,
    mailboxes: HashMap<UserId, Mailbox>,
    upkeep: Upkeep,
    pub(super) answers: Answers,
    pace: Pace,
    _lock: Lock,
}

impl Desk {
    fn run(mut self, mut waiting: mpsc::Receiver<Command>, checkpoints: &SyncSender<()>) {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            self.gather(&mut waiting, &mut batch);
            self.upkeep.forget_keys(&self.connection, &self.rules.get(), clock::now_ms());
            let looks: Vec<Command> =
                batch.extract_if(.., |command| matches!(command, Command::Look { .. })).collect();
            self.serve(&mut batch);
            // After the answers: nobody waits for what is forgotten.
            if !looks.is_empty() || self.upkeep.is_behind() {
                self.forget_messages();
            }
            for look in looks {
                let is_behind = self.upkeep.is_behind() || self.answers.is_behind();
                look.succeed(Done::Looked { is_behind });
            }
            // Full means that a checkpoint is about to look anyway.
            let _ = checkpoints.try_send(());
        }
    }

    fn gather(&mut self, waiting: &mut mpsc::Receiver<Command>, batch: &mut Vec<Command>) {
        let now = Instant::now();
        gather(waiting, batch, now + self.pace.linger());
        let pieces = batch.iter().filter(|command| command.is_text()).count();
        self.pace.note(pieces, now);
    }

    /// Commits and answers what waits.
    fn serve(&mut self, batch: &mut Vec<Command>) {
        if batch.is_empty() {
            return;
        }
        match self.commit(batch) {
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
    }

    fn commit_alone(&mut self, command: Command) {
        match self.commit(std::slice::from_ref(&command)) {
            Ok(mut done) => command.succeed(done.pop().unwrap_or(Done::Nothing)),
            Err(error) => command.fail(&error),
        }
    }

    fn commit(&mut self, batch: &[Command]) -> Result<Vec<Done>, StoreError> {
        let now = clock::now_ms();
        let rule = self.rules.get();
        let changed = self.transact(|desk| {
            let done: rusqlite::Result<Vec<Done>> =
                batch.iter().map(|command| desk.execute(command, &rule, now)).collect();
            let done = done?;
            desk.answers.write(&desk.connection)?;
            Ok(done)
        });
        changed.inspect_err(|error| tracing::error!(%error, "a commit failed"))
    }

    fn transact<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        let done = begun.and_then(|()| change(self)).and_then(|done| {
            self.connection.execute_batch("COMMIT")?;
            Ok(done)
        });
        if done.is_ok() {
            self.answers.committed();
        } else {
            self.answers.undone();
            // What was counted in memory did not happen.
            self.mailboxes.clear();
            self.upkeep.failed();
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a failed commit could not be rolled back");
            }
        }
        Ok(done?)
    }

    fn forget_messages(&mut self) {
        let (rule, now) = (self.rules.get(), clock::now_ms());
        let forgotten = self.transact(|desk| {
            let log = desk.answers.shorten_log(&desk.connection)?;
            desk.upkeep.forget_messages(&desk.connection, log, &rule, now)
        });
        match forgotten {
            Ok(all) => {
                for (user, trimmed) in all {
                    if let Some(mailbox) = self.mailboxes.get_mut(&user) {
                        mailbox.trimmed = trimmed.max(mailbox.trimmed);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "old messages could not be trimmed"),
        }
    }

    fn execute(&mut self, command: &Command, rule: &Rule, now: i64) -> rusqlite::Result<Done> {
        match command {
            Command::Append { user, key, message, .. } => {
                self.append(user, key.as_ref(), message, now).map(Done::Append)
            }
            Command::Greet { user, device, .. } => {
                let mailbox = self.mailbox(user)?;
                let rule = self.rules.get();
                statements::greet(
                    &self.connection,
                    mailbox.user,
                    device,
                    rule.devices_max,
                    now.saturating_sub(rule.device_retention_ms),
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
            Command::Erase { user, .. } => {
                self.erase(user)?;
                Ok(Done::Nothing)
            }
            Command::Use { user, device } => {
                statements::note_use(&self.connection, user, device, now)?;
                Ok(Done::Nothing)
            }
            Command::Stream(command) => self.execute_stream(command, rule, now).map(Done::Stream),
            Command::Look { .. } => Ok(Done::Nothing),
        }
    }

    pub(super) fn append(
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
        let mailbox = Mailbox { head: seq, ..mailbox };
        self.mailboxes.insert(user.clone(), mailbox);
        self.upkeep.appended(user, mailbox, &self.rules.get());
        Ok(Ok(appended))
    }

    /// Somebody who never had a mailbox has nothing to forget, and gets none by it.
    fn erase(&mut self, user: &UserId) -> rusqlite::Result<()> {
        self.mailboxes.remove(user);
        if let Some(mailbox) = statements::known_mailbox(&self.connection, user)? {
            self.answers.erased(user);
            upkeep::erase(&self.connection, mailbox)?;
            self.upkeep.erased();
        }
        Ok(())
    }

    /// The mailbox of a user, unless nothing is known of them.
    pub(super) fn known_mailbox(&mut self, user: &UserId) -> rusqlite::Result<Option<Mailbox>> {
        match self.mailboxes.get(user) {
            Some(mailbox) => Ok(Some(*mailbox)),
            None => statements::known_mailbox(&self.connection, user),
        }
    }

    pub(super) fn mailbox(&mut self, user: &UserId) -> rusqlite::Result<Mailbox> {
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
}
