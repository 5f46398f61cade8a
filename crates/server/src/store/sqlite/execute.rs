//! What each command changes, within the transaction of its batch.

mod streams;

use tetherline_protocol::{DeviceId, Epoch, IdempotencyKey, UserId, frame::Message};

use super::{
    super::{AppendError, Appended, Place, StoreError, fresh_id},
    commands::{Command, Done},
    cursors::{Position, Positions},
    messages,
    rules::Rule,
    sign_outs, statements,
    times::Moment,
    upkeep,
    view::{self, Mailbox},
    writer::Desk,
};

impl Desk {
    pub(super) fn execute(
        &mut self,
        command: &Command,
        rule: &Rule,
        now: Moment,
    ) -> rusqlite::Result<Done> {
        // What is made now is as young as can be once a clock is believed that is doubted now.
        let at = now.created_ms;
        match command {
            Command::Append { user, key, message, .. } => {
                self.append(user, key.as_ref(), message, now).map(Done::Append)
            }
            Command::Greet { user, device, .. } => {
                let mailbox = self.mailbox(user)?;
                // It starts at the floor, which is never behind a device.
                self.save_cursors_of(user, at)?;
                let rule = self.rules.get();
                statements::greet(
                    &self.connection,
                    mailbox.user,
                    device,
                    rule.devices_max,
                    now.age_ms.saturating_sub(rule.device_retention_ms),
                    at,
                )?;
                let ahead = self.memory.cursors.of(user, Some(device));
                Ok(Done::Greet(self.place(user, Some(device), ahead)?))
            }
            Command::Acknowledge { user, device, seq, .. } => {
                let mailbox = self.mailbox(user)?;
                let positions = Positions::of_one(device.as_ref(), mailbox.head.min(*seq));
                statements::save_cursors(&self.connection, mailbox.user, &positions, at)?;
                Ok(Done::Nothing)
            }
            // After a commit that failed, the time is written with the next.
            Command::Answer { .. } => Ok(Done::Nothing),
            Command::SaveCursor { user, .. } => {
                self.save_cursors_of(user, at)?;
                Ok(Done::Nothing)
            }
            Command::Record { user, id, outcome, .. } => {
                let mailbox = self.mailbox(user)?;
                let outcomes = &mut self.upkeep.outcomes;
                outcomes.record(&self.connection, mailbox.user, (id, outcome), rule, at)?;
                Ok(Done::Nothing)
            }
            Command::Erase { user, .. } => self.erase(user).map(Done::Erased),
            Command::SignOut { user, ended, .. } => {
                sign_outs::write(&self.connection, user, ended, now).map(Done::SignOut)
            }
            Command::Use { user, device } => {
                statements::note_use(&self.connection, user, device, at)?;
                Ok(Done::Nothing)
            }
            Command::Stream(command) => self.execute_stream(command, rule, now).map(Done::Stream),
            Command::Look { .. } | Command::SaveCursors { .. } => Ok(Done::Nothing),
            Command::AppendMany(_) => unreachable!("they were spread"),
            #[cfg(test)]
            Command::Run { task, .. } => {
                task();
                Ok(Done::Nothing)
            }
        }
    }

    pub(super) fn append(
        &mut self,
        user: &UserId,
        key: Option<&(IdempotencyKey, [u8; 32])>,
        message: &Message,
        now: Moment,
    ) -> rusqlite::Result<Result<Appended, AppendError>> {
        let mailbox = self.mailbox(user)?;
        if let Some((key, digest)) = key {
            if let Some(earlier) = self.keys.find(&self.connection, mailbox.user, key)? {
                let is_same = earlier.digest == digest;
                return Ok(is_same.then_some(earlier.appended).ok_or(AppendError::Conflict));
            }
            if self.keys.are_full() {
                let reason = "keys wait in memory that cannot be folded into the file";
                return Ok(Err(StoreError::new(reason).into()));
            }
        }
        if self.index.is_full(&self.memory.recents) {
            let reason = "positions wait in memory that cannot be folded into the file";
            return Ok(Err(StoreError::new(reason).into()));
        }
        let Some(seq) = mailbox.head.next() else { return Ok(Err(AppendError::Full)) };
        let id = message.id().cloned().unwrap_or_else(fresh_id);
        let appended = Appended { id, seq, repeated: false, created_at_ms: now.created_ms };
        let number = self.index.give(user, mailbox.user, seq);
        messages::append(&self.connection, number, mailbox.user, &appended, message)?;
        if let Some(key) = key {
            self.keys.remember(&self.connection, mailbox.user, key, &appended)?;
        }
        let mailbox = Mailbox { head: seq, ..mailbox };
        self.changed.insert(user.clone(), Some(mailbox));
        self.upkeep.appended(user, mailbox, &self.rules.get());
        Ok(Ok(appended))
    }

    /// Somebody who never had a mailbox has nothing to forget, and gets none by it.
    fn erase(&mut self, user: &UserId) -> rusqlite::Result<Option<Epoch>> {
        let mailbox = self.known_mailbox(user)?;
        self.changed.insert(user.clone(), None);
        self.memory.cursors.forget(user);
        let Some(mailbox) = mailbox else { return Ok(None) };
        self.unfinished.erased(user);
        self.keys.erase(&self.connection, mailbox.user)?;
        self.index.erase(&self.connection, &self.memory.recents, (user, mailbox.user))?;
        upkeep::erase(&self.connection, mailbox)?;
        self.upkeep.erased();
        Ok(Some(self.place(user, None, Position::default())?.head.epoch))
    }

    /// Where a device stands once this is committed.
    fn place(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        ahead: Position,
    ) -> rusqlite::Result<Place> {
        let recent = self.index.recent(&self.memory.recents, user);
        view::place(&self.connection, user, device, ahead, &recent, &self.epoch)
            .map(|(place, _)| place)
    }

    /// The mailbox of a user, unless nothing is known of them.
    pub(super) fn known_mailbox(&mut self, user: &UserId) -> rusqlite::Result<Option<Mailbox>> {
        let in_memory = match self.changed.get(user) {
            Some(changed) => *changed,
            None => self.memory.mailboxes.get(user),
        };
        in_memory.map_or_else(
            || {
                let recent = self.index.recent(&self.memory.recents, user);
                view::known_mailbox(&self.connection, user, &recent)
            },
            |mailbox| Ok(Some(mailbox)),
        )
    }

    pub(super) fn mailbox(&mut self, user: &UserId) -> rusqlite::Result<Mailbox> {
        let in_memory = match self.changed.get(user) {
            Some(changed) => *changed,
            None => self.memory.mailboxes.get(user),
        };
        if let Some(mailbox) = in_memory {
            return Ok(mailbox);
        }
        let recent = self.index.recent(&self.memory.recents, user);
        let mailbox = view::mailbox(&self.connection, user, &recent)?;
        self.changed.insert(user.clone(), Some(mailbox));
        Ok(mailbox)
    }
}
