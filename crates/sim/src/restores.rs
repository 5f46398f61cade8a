//! Backups that come back, and what nobody expects any more after that.

use crate::world::{UserNo, World};

impl World {
    /// By the command for it, or by hand, which nobody announces.
    pub(crate) fn restore_backup(&mut self) {
        let is_announced = self.random.percent(50);
        if !self.store.restore(is_announced) {
            return;
        }
        self.note(&format!("a backup is restored (announced: {is_announced})"));
        for send in &mut self.sends {
            send.refusal_lost |= send.was_unknown;
        }
        for user in 0..self.users.len() {
            if !is_announced {
                self.rewrite_streams(user);
                self.publishers_give_up(user);
            }
            self.forget_what_was_lost(user);
            self.writers_look_up(user);
        }
    }

    /// Who has not heard that a message was taken repeats it, under the same id. That message may have
    /// been read: at the same position it would prove what is not so.
    fn publishers_give_up(&mut self, user: UserNo) {
        for publish in 0..self.publishes.len() {
            let was_taken = self.store.home(publish).is_some();
            let known = &mut self.publishes[publish];
            if known.user == user && was_taken && !self.store.mailbox(user).has(publish) {
                (known.answered, known.lost) = (true, true);
            }
        }
    }

    /// What was answered and is not there any more: nobody expects it.
    pub(crate) fn forget_what_was_lost(&mut self, user: UserNo) {
        for publish in 0..self.publishes.len() {
            if self.publishes[publish].user != user {
                continue;
            }
            let kept = self.store.mailbox(user).has(publish);
            if self.publishes[publish].answered && !kept {
                self.publishes[publish].lost = true;
            }
        }
    }
}
