//! One transaction of the writer's.

use std::time::Duration;

use super::{reader::run, trouble::Fault, writer::Desk};
use crate::trouble::{SharedTrouble, Word};

impl Desk {
    /// What is answered is in the file, and the file is where it will be looked for.
    pub(super) fn transact<T>(
        &mut self,
        lock_wait: Duration,
        change: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> Result<T, Fault> {
        self.expect_files()?;
        let begun = self
            .connection
            .busy_timeout(lock_wait)
            .and_then(|()| run(&self.connection, "BEGIN IMMEDIATE"));
        let done =
            begun.and_then(|()| self.refresh()).and_then(|()| change(self)).and_then(|done| {
                run(&self.connection, "COMMIT")?;
                Ok(done)
            });
        if done.is_ok() {
            self.unfinished.committed();
            self.keys.committed();
            // Before anybody is answered: whoever reads then knows where to look.
            self.index.committed(&self.memory.recents);
            self.memory.mailboxes.committed(&mut self.changed);
            self.memory.cursors.saved(&self.saved);
        } else {
            self.unfinished.undone();
            self.keys.undone();
            self.index.undone();
            // What was counted in memory did not happen.
            self.changed.clear();
            self.memory.mailboxes.forget();
            self.upkeep.failed();
            self.times.failed();
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                static ROLLBACKS: SharedTrouble = SharedTrouble::new();
                if let Some(Word::Fails { times }) = ROLLBACKS.failed_now() {
                    tracing::error!(%error, times, "a failed commit could not be rolled back");
                }
            }
        }
        self.saved.clear();
        let done = done?;
        self.expect_files()?;
        Ok(done)
    }

    /// Once a transaction failed, memory may say something else than the file.
    fn refresh(&mut self) -> rusqlite::Result<()> {
        self.keys.refresh(&self.connection)?;
        self.index.refresh(&self.connection, &self.memory.recents)
    }

    fn expect_files(&mut self) -> Result<(), Fault> {
        self.presence.check().map_err(|absence| {
            self.memory.cursors.forget_all();
            absence.into()
        })
    }
}
