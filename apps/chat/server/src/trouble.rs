//! What goes wrong again and again, as the log has it: when it begins, every 10 s at most while it lasts, with how
//! often it came since, and when it is over. A line for each would let whoever can cause it fill the disk.

use std::fmt::Display;

use tetherline_server::trouble::{SharedTrouble, Word};

/// One kind of trouble.
pub(crate) struct Trouble {
    shared: SharedTrouble,
    over: &'static str,
}

pub(crate) static REQUESTS: Trouble = Trouble::new("requests are served again");
pub(crate) static TOKENS: Trouble = Trouble::new("no used refresh token comes back any more");
pub(crate) static SENDS: Trouble = Trouble::new("sends can be stored again");
pub(crate) static QUESTIONS: Trouble = Trouble::new("questions can be looked for again");
pub(crate) static ANSWERS: Trouble = Trouble::new("answers can be written again");
pub(crate) static OUTBOX: Trouble = Trouble::new("the outbox can be read again");
pub(crate) static MAILBOX: Trouble = Trouble::new("the mailbox takes publications again");
pub(crate) static IMPOSSIBLE: Trouble = Trouble::new("publications are possible again");
pub(crate) static PROVIDER: Trouble = Trouble::new("the provider gives whole answers again");
pub(crate) static LOST: Trouble = Trouble::new("the mailbox has what the chat has");

impl Trouble {
    const fn new(over: &'static str) -> Self {
        Self { shared: SharedTrouble::new(), over }
    }

    /// Something that whoever runs the chat has to see to.
    pub(crate) fn error(&self, what: &'static str, cause: &dyn Display) {
        if let Some(Word::Fails { times }) = self.shared.failed_now() {
            tracing::error!(%cause, times, "{what}");
        } else {
            tracing::debug!(%cause, "{what}");
        }
    }

    /// Something that may pass by itself.
    pub(crate) fn warn(&self, what: &'static str, cause: &dyn Display) {
        if let Some(Word::Fails { times }) = self.shared.failed_now() {
            tracing::warn!(%cause, times, "{what}");
        } else {
            tracing::debug!(%cause, "{what}");
        }
    }

    /// It went well this time.
    pub(crate) fn over(&self) {
        if let Some(Word::Works { times }) = self.shared.worked_now() {
            tracing::info!(failed_again = times, "{}", self.over);
        }
    }
}
