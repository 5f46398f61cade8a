use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::{Dialect, Message, Upgrade, http_post, user_id};

/// A path for each user, and nothing else.
#[derive(Debug)]
pub(super) struct Path {
    keyed: bool,
    asks: AtomicBool,
}

impl Path {
    pub(super) fn new(keyed: bool) -> Self {
        Self { keyed, asks: AtomicBool::new(false) }
    }
}

impl Dialect for Path {
    fn upgrade(&self, user: u32) -> Upgrade {
        // Whoever keeps nothing for later does not look at it; nchan sends what it has by itself.
        let query = if self.asks.load(Relaxed) { "?after=0" } else { "" };
        Upgrade { path: format!("/ws/user/{}{query}", user_id(user)), headers: String::new() }
    }

    fn publish(&self, message: &Message, request: &mut Vec<u8>) {
        let key = self.keyed.then(|| format!("Idempotency-Key: {}\r\n", message.key()));
        let headers = format!("Content-Type: text/plain\r\n{}", key.unwrap_or_default());
        let path = format!("/publish/{}", user_id(message.mark.user));
        http_post(&path, &headers, &message.payload, request);
    }

    fn ask_for_missed(&self) {
        self.asks.store(true, Relaxed);
    }
}
