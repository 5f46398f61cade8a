use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Dialect, Message, Step, Upgrade, between, http_post, user_id};
use crate::load::wire::Outbox;

/// Socket.IO 4 with connection state recovery: a client comes back with its session and the offset of
/// the last packet that it got.
#[derive(Debug, Default)]
pub(super) struct SocketIo(Mutex<HashMap<u32, Session>>);

#[derive(Debug, Default)]
struct Session {
    private_id: String,
    offset: String,
}

impl SocketIo {
    fn sessions(&self) -> MutexGuard<'_, HashMap<u32, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, user: u32) -> String {
        let sessions = self.sessions();
        let known = sessions.get(&user).filter(|session| !session.offset.is_empty());
        let known = known.map(|Session { private_id, offset }| {
            format!(r#","pid":"{private_id}","offset":"{offset}""#)
        });
        format!(r#"40{{"user":"{}"{}}}"#, user_id(user), known.unwrap_or_default())
    }
}

impl Dialect for SocketIo {
    fn upgrade(&self, _: u32) -> Upgrade {
        let path = "/socket.io/?EIO=4&transport=websocket".to_owned();
        Upgrade { path, headers: String::new() }
    }

    fn opened(&self, _: u32, _: &mut Outbox) -> Step {
        Step::Going
    }

    fn frame(&self, user: u32, frame: &[u8], outbox: &mut Outbox) -> Step {
        let text = String::from_utf8_lossy(frame);
        // Engine.IO's open and ping, then Socket.IO's connect, disconnect, refusal and event.
        match frame {
            [b'0', ..] => outbox.text(&self.connect(user)),
            [b'2', ..] => outbox.text("3"),
            [b'4', b'0', ..] => {
                if let Some(id) = between(&text, r#""pid":""#, "\"") {
                    id.clone_into(&mut self.sessions().entry(user).or_default().private_id);
                }
                return Step::Live;
            }
            [b'4', b'1' | b'4', ..] => return Step::Refused,
            [b'4', b'2', ..] => {
                // The offset is the event's last argument.
                if let Some(offset) = text.rsplit('"').nth(1) {
                    offset.clone_into(&mut self.sessions().entry(user).or_default().offset);
                }
            }
            _ => {}
        }
        Step::Going
    }

    fn publish(&self, message: &Message, request: &mut Vec<u8>) {
        let path = format!("/publish/{}", user_id(message.mark.user));
        http_post(&path, "Content-Type: text/plain\r\n", &message.payload, request);
    }

    fn keeps_after_a_visit_only(&self) -> bool {
        true
    }
}
