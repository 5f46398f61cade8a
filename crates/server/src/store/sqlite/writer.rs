use std::{
    sync::{Arc, atomic::Ordering, mpsc::SyncSender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tetherline_protocol::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    super::{Event, EventQueue, StoreError},
    Memory, OpenError,
    checkpoint::Checkpoints,
    commands::{Command, Done, Reply, spread},
    cursors::Positions,
    figures::Counted,
    gather::{Pace, gather},
    index::Index,
    keys::Keys,
    mailboxes::Changed,
    presence::Presence,
    pulse::Pulse,
    replies::Replies,
    rules::Rules,
    schedule::{self, Wish},
    schema::LOCK_WAIT,
    times::Times,
    trouble::{Blame, Fault, Trouble, Word},
    unfinished::Unfinished,
    upkeep::Upkeep,
};
use crate::alarm::Alarm;

/// Commands that wait for the writer; whoever comes later waits to be let in.
const COMMANDS_WAITING_MAX: usize = 1_024;
/// The same in bytes, of those that wait to be let in, too: what is more is refused at once, because
/// a caller who waits keeps all of it in memory.
pub(super) const COMMANDS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a command counts besides what it carries, in bytes.
pub(super) const COMMAND_BYTES: usize = 1_024;
/// Commands that share one commit.
pub(super) const BATCH_MAX: usize = 1_024;
/// The same once the many that came together are counted one by one.
const COMMIT_MAX: usize = 4 * BATCH_MAX;
/// How long the writer waits for a lock for which it has waited in vain before.
const LOCK_WAIT_AGAIN: Duration = Duration::from_millis(100);
/// Users whose cursors are written in one go, so that nobody waits long for it.
pub(super) const CURSORS_SAVED_MAX: usize = 512;

/// The one thread that writes. Everything that waits shares the next commit.
pub(super) struct Writer {
    commands: Option<mpsc::Sender<Command>>,
    room: Arc<Semaphore>,
    pulse: Arc<Pulse>,
    upkeep: SyncSender<Wish>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        desk: Desk,
        checkpoints: Checkpoints,
        alarm: &Alarm,
    ) -> Result<Self, OpenError> {
        let (commands, waiting) = mpsc::channel(COMMANDS_WAITING_MAX);
        let no_thread = |source| OpenError::File { path: "a thread".into(), source };
        let upkeep =
            schedule::start(commands.downgrade(), desk.memory.clone(), alarm).map_err(no_thread)?;
        let (alarm, watched) = (alarm.clone(), alarm.watch("the store's writer"));
        let (wishes, pulse) = (upkeep.clone(), desk.pulse.clone());
        let thread = thread::Builder::new()
            .name("tetherline-writer".into())
            .spawn(move || {
                if let Err(error) = watched.run(|| desk.run(waiting, checkpoints, &wishes)) {
                    alarm.raise(error);
                }
            })
            .map_err(no_thread)?;
        let room = Arc::new(Semaphore::new(COMMANDS_BYTES_MAX));
        Ok(Self { commands: Some(commands), room, pulse, upkeep, thread: Some(thread) })
    }

    /// Has it look soon.
    pub(super) fn look_after(&self, wish: Wish) {
        // Full means that it is about to.
        let _ = self.upkeep.try_send(wish);
    }

    /// Tells it something that nobody waits for, unless it is too busy.
    pub(super) fn mention(&self, command: Command) {
        if let Some(commands) = &self.commands {
            let _ = commands.try_send(command);
        }
    }

    /// For a command that carries so many bytes.
    pub(super) async fn ask<T>(
        &self,
        bytes: usize,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, StoreError> {
        self.ask_as(1, bytes, command).await
    }

    /// For one that stands for so many.
    pub(super) async fn ask_as<T>(
        &self,
        commands: usize,
        bytes: usize,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, StoreError> {
        let bytes = (bytes + commands * COMMAND_BYTES).min(COMMANDS_BYTES_MAX) as u32;
        let room = self.room.clone().try_acquire_many_owned(bytes);
        let room = room.map_err(|_| StoreError::new("too much waits to be written"))?;
        self.ask_within(Some(room), command).await
    }

    /// Whether anything can be kept. It needs no room: one asks at a time, and carries nothing.
    pub(super) async fn answer(&self) -> Result<(), StoreError> {
        let question = self.ask_within(None, |reply| Command::Answer { reply });
        self.pulse.answer(async { question.await? }).await
    }

    async fn ask_within<T>(
        &self,
        room: Option<OwnedSemaphorePermit>,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::new("the store is closed");
        let commands = self.commands.as_ref().ok_or_else(gone)?;
        let (reply, answer) = Reply::new(room);
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
        if let Some(thread) = self.thread.take() {
            // If it panicked, the alarm was raised.
            let _ = thread.join();
        }
    }
}

pub(super) struct Desk {
    pub(super) connection: Connection,
    pub(super) keys: Keys,
    pub(super) index: Index,
    replies: Replies,
    pub(super) rules: Arc<Rules>,
    pub(super) epoch: Arc<str>,
    pub(super) memory: Arc<Memory>,
    /// What the commit that is being made changes of it.
    pub(super) changed: Changed,
    pub(super) saved: Vec<(UserId, Positions)>,
    /// Whose cursors are still to be written this time.
    pub(super) saving: Vec<UserId>,
    pub(super) upkeep: Upkeep,
    pub(super) unfinished: Unfinished,
    /// Who hears what was committed.
    events: EventQueue,
    pub(super) times: Times,
    pace: Pace,
    trouble: Trouble,
    pulse: Arc<Pulse>,
    /// The last commit waited for another program's lock, in vain.
    is_locked: bool,
    counted: Arc<Counted>,
    // Lets go of the lock after the connection is closed.
    pub(super) presence: Presence,
}

impl Desk {
    pub(super) fn new(
        (connection, keys, index): (Connection, Keys, Index),
        (rules, memory, counted): (Arc<Rules>, Arc<Memory>, Arc<Counted>),
        epoch: Arc<str>,
        unfinished: Unfinished,
        events: EventQueue,
        times: Times,
        presence: Presence,
    ) -> Self {
        Self {
            connection,
            keys,
            index,
            replies: Replies::start(),
            rules,
            epoch,
            memory,
            changed: Changed::new(),
            saved: Vec::new(),
            saving: Vec::new(),
            upkeep: Upkeep::default(),
            unfinished,
            events,
            times,
            pace: Pace::default(),
            trouble: Trouble::default(),
            pulse: Arc::default(),
            is_locked: false,
            counted,
            presence,
        }
    }

    /// Ends when nobody can ask any more, or with the reason why nothing will be kept ever again.
    fn run(
        mut self,
        mut waiting: mpsc::Receiver<Command>,
        checkpoints: Checkpoints,
        wishes: &SyncSender<Wish>,
    ) -> Result<(), StoreError> {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            self.gather(&mut waiting, &mut batch);
            let looks: Vec<Command> = batch.extract_if(.., |command| command.is_look()).collect();
            spread(&mut batch);
            let commands = batch.len();
            while !batch.is_empty() {
                let later = batch.split_off(batch.len().min(COMMIT_MAX));
                self.serve(&mut batch)?;
                batch = later;
            }
            // After the answers: nobody waits for what is forgotten.
            let looks_around = looks.iter().any(|look| matches!(look, Command::Look { .. }));
            if looks_around || self.upkeep.is_due(Instant::now()) {
                self.forget()?;
            } else if self.upkeep.asks_to_be_looked_at() {
                // Full means that it is about to look.
                let _ = wishes.try_send(Wish::LookSoon);
            }
            self.save_cursors(&waiting)?;
            self.fold(&waiting, commands)?;
            for look in looks {
                let is_behind = self.upkeep.is_behind() || self.unfinished.is_behind();
                look.succeed(Done::Looked { is_behind });
            }
            checkpoints.committed(&self.connection);
        }
        self.saving = self.memory.cursors.all();
        self.save_cursors(&waiting)?;
        self.index.fold_all(&self.memory.recents);
        self.fold(&waiting, 0)?;
        // Best effort: it is told once a minute, too.
        let now = self.times.read(&self.connection).age_ms;
        self.times.failed();
        let _ = self.transact(Duration::ZERO, |desk| desk.times.save(&desk.connection, now));
        // Before this connection is closed, which takes the log away as the last one.
        drop(checkpoints);
        Ok(())
    }

    fn gather(&mut self, waiting: &mut mpsc::Receiver<Command>, batch: &mut Vec<Command>) {
        let now = Instant::now();
        gather(waiting, batch, now + self.pace.linger());
        let pieces = batch.iter().filter(|command| command.is_text()).count();
        self.pace.note(pieces, now);
    }

    /// Commits and answers what waits.
    fn serve(&mut self, batch: &mut Vec<Command>) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.commit(batch) {
            Ok(done) => {
                self.tell(batch, &done);
                self.replies.give(batch.drain(..).zip(done).collect());
                Ok(())
            }
            // One of them is to blame, or another program that has written, and nobody else shall pay for it.
            Err(fault) if fault.blame == Blame::Command => self.commit_each(batch),
            Err(fault) => fail_all(batch.drain(..), fault),
        }
    }

    fn commit_each(&mut self, batch: &mut Vec<Command>) -> Result<(), StoreError> {
        let mut commands = batch.drain(..);
        while let Some(mut command) = commands.next() {
            match self.commit(std::slice::from_ref(&command)) {
                Ok(mut done) => {
                    self.tell(std::slice::from_mut(&mut command), &done);
                    command.succeed(done.pop().unwrap_or(Done::Nothing));
                }
                Err(fault) if fault.blame == Blame::Command => command.fail(&fault.error),
                Err(fault) => return fail_all(std::iter::once(command).chain(commands), fault),
            }
        }
        Ok(())
    }

    /// Before anybody is answered: who is connected hears of it as soon as its publisher does.
    fn tell(&self, batch: &mut [Command], done: &[Done]) {
        let events = batch.iter_mut().zip(done).filter_map(|(command, done)| command.event(done));
        self.events.tell(events);
    }

    fn commit(&mut self, batch: &[Command]) -> Result<Vec<Done>, Fault> {
        let began = Instant::now();
        let _span = tracing::debug_span!("commit", commands = batch.len()).entered();
        let now = self.times.read(&self.connection);
        let rule = self.rules.get();
        let wait = if self.is_locked { LOCK_WAIT_AGAIN } else { LOCK_WAIT };
        let changed = self.transact(wait, |desk| {
            let execute = |command| {
                desk.pulse.beat();
                desk.execute(command, &rule, now)
            };
            let done = batch.iter().map(execute).collect::<rusqlite::Result<Vec<Done>>>()?;
            desk.unfinished.write(&desk.connection)?;
            desk.times.save(&desk.connection, now.age_ms)?;
            Ok(done)
        });
        self.is_locked = changed.as_ref().is_err_and(|fault| fault.is_locked);
        if changed.is_err() {
            // It may have been committed all the same, and what was out of sight for it is there again.
            self.events.tell([Event::Missed]);
        }
        let (commands, took) = (batch.len(), began.elapsed());
        self.counted.commits.observe(took);
        self.counted.failed.fetch_add(changed.is_err().into(), Ordering::Relaxed);
        tracing::trace!(commands, ?took, failed = changed.is_err(), "committed");
        self.note(&changed);
        changed
    }

    pub(super) fn note<T>(&mut self, done: &Result<T, Fault>) {
        match done {
            Err(fault) if fault.blame == Blame::Command => self.pulse.beat(),
            done => self.pulse.ended(done.as_ref().map(|_| ()).map_err(|fault| &fault.error)),
        }
        let now = Instant::now();
        match done {
            Ok(_) => {
                if let Some(Word::Works { times }) = self.trouble.worked(now) {
                    tracing::info!(failed_again = times, "the store commits again");
                }
            }
            Err(Fault { error, .. }) => {
                if let Some(Word::Fails { times }) = self.trouble.failed(now) {
                    tracing::error!(%error, times, "the store could not commit");
                }
            }
        }
    }
}

/// Fails them at once; goes on unless there is nothing to go on with.
fn fail_all(commands: impl Iterator<Item = Command>, fault: Fault) -> Result<(), StoreError> {
    for command in commands {
        command.fail(&fault.error);
    }
    if fault.blame == Blame::Gone { Err(fault.error) } else { Ok(()) }
}
