//! What the writer does behind the commits, when everybody is answered.

use std::time::{Duration, Instant};

use tetherline_protocol::UserId;
use tokio::sync::mpsc;

use super::{
    super::StoreError,
    commands::Command,
    sign_outs, statements,
    trouble::{Blame, Fault},
    writer::{CURSORS_SAVED_MAX, Desk},
};

/// At so many times what is folded in, folding has to keep up with what comes.
pub(super) const OUTRUN_AT: usize = 4;
/// Rows, or keys, after which a step of folding ends, so that nobody waits long for it.
pub(super) const AT_ONCE: usize = 1_024;

/// How many keys, or rows, the file's index may lack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    /// From so many on they are folded in.
    pub(super) fold_at: usize,
    /// Where folding does not come through, so many may be in memory. One more publish is refused.
    pub(super) max: usize,
}

impl Counts {
    pub(super) const fn up_to(max: usize) -> Self {
        Self { fold_at: 65_536, max }
    }
}

impl Desk {
    /// Writes cursors, if it is time, as long as nobody waits for something else.
    pub(super) fn save_cursors(
        &mut self,
        waiting: &mpsc::Receiver<Command>,
    ) -> Result<(), StoreError> {
        if self.saving.is_empty() {
            self.saving = self.memory.cursors.due(Instant::now());
            self.memory.mailboxes.sort_by_place(&mut self.saving);
        }
        while !self.saving.is_empty() {
            let from = self.saving.len().saturating_sub(CURSORS_SAVED_MAX);
            let users = self.saving.split_off(from);
            let at = self.times.read(&self.connection).created_ms;
            let saved = self.transact(Duration::ZERO, |desk| {
                users.iter().try_for_each(|user| desk.save_cursors_of(user, at))
            });
            match saved {
                Err(Fault { blame: Blame::Gone, error, .. }) => return Err(error),
                // That another program writes just now is no trouble: they are written next time.
                Err(fault) if fault.is_locked => self.saving.clear(),
                saved => self.note(&saved),
            }
            if !waiting.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Folds keys and positions into the file's indexes, as long as nobody waits for something else. Where
    /// that would not be enough, twice as many as there were commands just now are folded in before.
    pub(super) fn fold(
        &mut self,
        waiting: &mpsc::Receiver<Command>,
        commands: usize,
    ) -> Result<(), StoreError> {
        let mut steps_owed = if self.is_outrun() { 1 + 2 * commands / AT_ONCE } else { 0 };
        while self.wants_fold() {
            let folded = self.transact(Duration::ZERO, |desk| {
                if desk.keys.wants_fold() {
                    desk.keys.fold(&desk.connection)?;
                }
                if desk.index.wants_fold() {
                    desk.index.fold(&desk.connection, &desk.memory.recents)?;
                }
                Ok(())
            });
            match folded {
                Ok(()) => self.note(&Ok(())),
                Err(Fault { blame: Blame::Gone, error, .. }) => return Err(error),
                // That another program writes just now is no trouble: it is done next time.
                Err(fault) if fault.is_locked => break,
                Err(fault) => {
                    self.note::<()>(&Err(fault));
                    break;
                }
            }
            steps_owed = steps_owed.saturating_sub(1);
            if !waiting.is_empty() && steps_owed == 0 {
                break;
            }
        }
        Ok(())
    }

    fn wants_fold(&self) -> bool {
        self.keys.wants_fold() || self.index.wants_fold()
    }

    fn is_outrun(&self) -> bool {
        self.keys.are_outrun() || self.index.is_outrun(&self.memory.recents)
    }

    pub(super) fn save_cursors_of(&mut self, user: &UserId, at: i64) -> rusqlite::Result<()> {
        let Some(positions) = self.memory.cursors.of_all(user) else { return Ok(()) };
        if let Some(mailbox) = self.known_mailbox(user)? {
            statements::save_cursors(&self.connection, mailbox.user, &positions, at)?;
        }
        self.saved.push((user.clone(), positions));
        Ok(())
    }

    /// Forgets a bit of what is old, unless another program has the file just now.
    pub(super) fn forget(&mut self) -> Result<(), StoreError> {
        let (rule, moment) = (self.rules.get(), self.times.read(&self.connection));
        let now = moment.age_ms;
        let forgotten = self.transact(Duration::ZERO, |desk| {
            let is_misdated = desk.times.repair(&desk.connection, now)?;
            desk.times.save(&desk.connection, now)?;
            if desk.memory.sign_outs.are_any() {
                sign_outs::forget(&desk.connection, &rule, moment)?;
            }
            let log = desk.unfinished.shorten_log(&desk.connection)?;
            let store = (&desk.connection, &mut desk.keys, &desk.memory.recents);
            let forgotten = desk.upkeep.forget(store, log, &rule, now, is_misdated)?;
            desk.changed.extend(forgotten.gone.iter().map(|user| (user.clone(), None)));
            Ok(forgotten.trimmed)
        });
        // That another program writes just now is no trouble: nobody waits for this.
        if !forgotten.as_ref().is_err_and(|fault| fault.is_locked) {
            self.note(&forgotten);
        }
        match forgotten {
            Ok(all) => {
                self.memory.mailboxes.trimmed(all);
                Ok(())
            }
            Err(Fault { blame: Blame::Gone, error, .. }) => Err(error),
            // It was said, and comes again.
            Err(_) => Ok(()),
        }
    }
}
