use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use jsonwebtoken::{EncodingKey, Header, encode};
use memchr::memmem;
use serde_json::json;

use super::{Dialect, Manners, Message, Step, Upgrade, between, http_post, user_id};
use crate::load::wire::Outbox;

const TOKEN_TTL_S: u64 = 3_600;

/// As a page does it: a token, a device, `get_pending`, acknowledgements.
#[derive(Debug)]
pub(super) struct Tetherline {
    /// Of each user, made beforehand: signing is not what is measured.
    tokens: Vec<String>,
    /// Of each user, how many messages came.
    received: Vec<AtomicU32>,
    api_key: String,
    ack_every: u32,
    keyed: bool,
    live_only: bool,
}

impl Tetherline {
    pub(super) fn new(manners: &Manners, secrets: &Path, users: u32) -> Result<Self> {
        let read = |name: &str| {
            let file = secrets.join(name);
            fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
        };
        let secret = EncodingKey::from_secret(read("jwt.secret")?.trim().as_bytes());
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let token = |user| {
            let claims = json!({"sub": user_id(user), "iat": now, "exp": now + TOKEN_TTL_S});
            encode(&Header::default(), &claims, &secret)
        };
        Ok(Self {
            tokens: (0..users).map(token).collect::<Result<_, _>>()?,
            received: (0..users).map(|_| AtomicU32::new(0)).collect(),
            api_key: read("api.key")?.trim().to_owned(),
            ack_every: manners.ack_every.max(1),
            keyed: manners.keyed,
            live_only: manners.live_only,
        })
    }

    fn headers(&self, key: Option<String>) -> String {
        let api_key = &self.api_key;
        let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
        format!("Authorization: Bearer {api_key}\r\nContent-Type: application/json\r\n{key}")
    }
}

impl Dialect for Tetherline {
    fn upgrade(&self, user: u32) -> Upgrade {
        let path = format!("/ws/user/{}?device=device-{user}", user_id(user));
        let token = &self.tokens[user as usize];
        let headers = format!("Sec-WebSocket-Protocol: tetherline.v1, bearer.{token}\r\n");
        Upgrade { path, headers }
    }

    fn opened(&self, _: u32, _: &mut Outbox) -> Step {
        Step::Going
    }

    fn frame(&self, user: u32, frame: &[u8], outbox: &mut Outbox) -> Step {
        let has = |text: &str| memmem::find(frame, text.as_bytes()).is_some();
        if frame.starts_with(br#"{"type":"m""#) {
            let received = self.received[user as usize].fetch_add(1, Relaxed) + 1;
            if !self.live_only && received.is_multiple_of(self.ack_every) {
                // In front of the message's own fields; a frame need not be read whole for it.
                let start = String::from_utf8_lossy(&frame[..frame.len().min(256)]);
                if let Some(seq) = between(&start, r#""seq":"#, ",") {
                    outbox.text(&format!(r#"{{"type":"ack","seq":{seq}}}"#));
                }
            }
            return Step::Going;
        }
        if has("connection_established") {
            outbox.text(r#"{"type":"get_pending"}"#);
        }
        if has("pending_check_complete") { Step::Live } else { Step::Going }
    }

    fn publish(&self, message: &Message, request: &mut Vec<u8>) {
        let live_only = if self.live_only { "?durable=false" } else { "" };
        let path = format!("/v1/users/{}/messages{live_only}", user_id(message.mark.user));
        let headers = self.headers(self.keyed.then(|| message.key()));
        let body = format!(r#"{{"type":"m","body":"{}"}}"#, message.payload);
        http_post(&path, &headers, &body, request);
    }

    fn publish_together(&self, messages: &[Message], request: &mut Vec<u8>) -> Result<()> {
        let items: Vec<String> = messages.iter().map(|message| self.item(message)).collect();
        let body = format!("[{}]", items.join(","));
        http_post("/v1/messages", &self.headers(None), &body, request);
        Ok(())
    }
}

impl Tetherline {
    fn item(&self, message: &Message) -> String {
        let user = user_id(message.mark.user);
        let key = self.keyed.then(|| format!(r#","idempotency_key":"{}""#, message.key()));
        let (key, payload) = (key.unwrap_or_default(), &message.payload);
        format!(r#"{{"user":"{user}","message":{{"type":"m","body":"{payload}"}}{key}}}"#)
    }
}
