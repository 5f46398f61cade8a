//! The thread that has the writer look for something to forget, and save cursors, when nobody writes.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    Memory,
    commands::{Command, Reply},
    upkeep::TRIM_EVERY,
};
use crate::alarm::Alarm;

/// How often somebody looks whether there is something to forget, and how long the writer is left
/// alone while there is more.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
/// Wishes that wait for the thread that looks. One more is seen to when it looks next.
const WISHES_MAX: usize = 8;

/// What wakes the thread that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// There may be something to forget.
    Look,
    /// There is, which may wait for more of its kind.
    LookSoon,
    /// A cursor is ahead of the file.
    Save,
}

/// Starts the thread that has the writer look for something to forget, and save cursors, when nobody
/// writes. It ends when the sender is dropped.
pub(super) fn start(
    commands: mpsc::WeakSender<Command>,
    memory: Arc<Memory>,
    alarm: &Alarm,
) -> io::Result<SyncSender<Wish>> {
    let (sender, wishes) = sync_channel(WISHES_MAX);
    let watched = alarm.watch("the thread that looks for what is to be forgotten");
    let look_at = Instant::now() + LOOK_EVERY;
    let schedule = Schedule { commands, memory, look_at };
    thread::Builder::new()
        .name("tetherline-upkeep".into())
        .spawn(move || watched.run(|| schedule.run(&wishes)))?;
    Ok(sender)
}

struct Schedule {
    commands: mpsc::WeakSender<Command>,
    memory: Arc<Memory>,
    look_at: Instant,
}

impl Schedule {
    /// Ends when nobody can ask the writer any more.
    fn run(mut self, wishes: &Receiver<Wish>) {
        loop {
            let save_at = self.memory.cursors.due_at();
            let next = save_at.map_or(self.look_at, |at| at.min(self.look_at));
            let done = match wishes.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Disconnected) => return,
                // It is looked anew when the next one is due.
                Ok(Wish::Save) => Some(()),
                Ok(Wish::LookSoon) => {
                    self.look_at = self.look_at.min(Instant::now() + TRIM_EVERY);
                    Some(())
                }
                Err(RecvTimeoutError::Timeout) if next < self.look_at => self.save(),
                Ok(Wish::Look) | Err(RecvTimeoutError::Timeout) => self.look(),
            };
            if done.is_none() {
                return;
            }
        }
    }

    fn look(&mut self) -> Option<()> {
        let is_behind = self.ask(|reply| Command::Look { reply })?;
        self.look_at = Instant::now() + if is_behind { PAUSE } else { LOOK_EVERY };
        Some(())
    }

    fn save(&self) -> Option<()> {
        self.ask(|reply| Command::SaveCursors { reply })
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Option<T> {
        let (reply, answer) = Reply::new(None);
        // Held for this statement only: the writer ends when nobody can ask it any more.
        self.commands.upgrade()?.blocking_send(command(reply)).ok()?;
        answer.blocking_recv().ok()
    }
}
