use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tetherline::{Client, Event};
use tokio::time::timeout;

use crate::{
    support::{PATIENCE, Server},
    webhook::client_of,
};

/// How often it publishes, at most: it is there to be served, and not to be a load.
const PAUSE: Duration = Duration::from_millis(20);
/// At least so many of its messages have to arrive during an attack, however short that is.
const MESSAGES_MIN: u64 = 5;

/// Ada, who is connected with the native client and sends messages to herself.
pub(crate) struct Bystander<'a> {
    server: &'a Server,
    client: Client,
    http: reqwest::Client,
    key: String,
    last: u64,
}

/// What an attack may cost.
pub(crate) struct Cost {
    /// In the process's memory, above what it had before.
    pub(crate) bytes_max: u64,
}

const MIB: u64 = 1024 * 1024;

impl Cost {
    /// For what holds nothing in the server: the caches that any use fills.
    pub(crate) const NOTHING: Self = Self { bytes_max: 24 * MIB };

    /// So many connections, each with at most so much.
    pub(crate) fn of(connections: usize, bytes: usize) -> Self {
        Self { bytes_max: Self::NOTHING.bytes_max + (connections * bytes) as u64 }
    }
}

impl<'a> Bystander<'a> {
    pub(crate) async fn connect(server: &'a Server) -> Self {
        let client = client_of(server, "ada");
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let mut bystander = Self { server, client, http, key: server.api_key(), last: 0 };
        // Connected, and with everything in memory that one message needs.
        bystander.hears_itself().await;
        bystander
    }

    /// Goes on while this does, and for a few messages more: each arrives, in order and once, whatever happens.
    pub(crate) async fn beside<T>(&mut self, cost: &Cost, attack: impl Future<Output = T>) -> T {
        let before = self.memory_bytes();
        let enough = self.last + MESSAGES_MIN;
        let mut attack = Box::pin(attack);
        let mut outcome = None;
        while outcome.is_none() || self.last < enough {
            let begun = Instant::now();
            let heard = self.hears_itself();
            if outcome.is_none() {
                let mut heard = pin!(heard);
                tokio::select! {
                    ended = &mut attack => {
                        outcome = Some(ended);
                        heard.await;
                    }
                    () = &mut heard => {}
                }
            } else {
                heard.await;
            }
            let grown = self.memory_bytes().saturating_sub(before);
            assert!(grown <= cost.bytes_max, "{grown} bytes more than before");
            if outcome.is_none() {
                let pause = PAUSE.saturating_sub(begun.elapsed());
                outcome = timeout(pause, &mut attack).await.ok();
            }
        }
        outcome.expect("it has ended")
    }

    /// One message, from the publish to its arrival.
    async fn hears_itself(&mut self) {
        self.last += 1;
        let url = format!("{}/v1/users/ada/messages", self.server.url);
        let message = json!({ "type": "note", "n": self.last });
        let request = self.http.post(url).bearer_auth(&self.key).body(message.to_string());
        let answer = request.send().await.expect("the publish is answered");
        assert_eq!(answer.status(), 201);
        let heard = timeout(PATIENCE, self.note()).await.expect("the message arrives");
        assert_eq!(heard, self.last, "in order, and each once");
    }

    async fn note(&mut self) -> u64 {
        loop {
            match self.client.next().await.expect("the client goes on") {
                Event::Message(message) => {
                    self.client.ack(message.receipt).await;
                    let message: Value = serde_json::from_str(&message.text).unwrap();
                    return message["n"].as_u64().unwrap();
                }
                Event::CaughtUp { .. } => {}
                other => panic!("{other:?} is nothing that ada expects"),
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn memory_bytes(&self) -> u64 {
        self.server.memory_bytes()
    }

    #[cfg(not(target_os = "linux"))]
    fn memory_bytes(&self) -> u64 {
        0
    }
}
