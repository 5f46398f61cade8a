use anyhow::Result;

use super::Round;
use crate::{
    server::{RunningServer, message, post, succeed, upgrade, user},
    wire::{Http, Socket, text},
};

/// Each message is somebody else's than the one before.
const USERS: u32 = 100;

/// To people who are not there.
pub(super) fn publish(server: &RunningServer) -> Result<Round<'_>> {
    let mut http = server.http()?;
    let requests: Vec<_> = (0..USERS).map(|number| request(number, "")).collect();
    let mut turns = requests.into_iter().cycle();
    Ok(Box::new(move || succeed(&mut http, &turns.next().expect("a cycle has no end"))))
}

/// Each under a key that was not used before.
pub(super) fn publish_keyed(server: &RunningServer) -> Result<Round<'_>> {
    let mut http = server.http()?;
    let mut number = 0;
    Ok(Box::new(move || {
        number += 1;
        let key = format!("Idempotency-Key: key-{number:08}\r\n");
        succeed(&mut http, &request(number % USERS, &key))
    }))
}

pub(super) fn deliver(server: &RunningServer) -> Result<Round<'_>> {
    let mut readers = Readers::connect(server, "")?;
    Ok(Box::new(move || readers.next()?.reads()))
}

pub(super) fn live(server: &RunningServer) -> Result<Round<'_>> {
    let mut readers = Readers::connect(server, "?durable=false")?;
    Ok(Box::new(move || readers.next()?.reads()))
}

pub(super) fn acknowledge(server: &RunningServer) -> Result<Round<'_>> {
    let mut readers = Readers::connect(server, "")?;
    let ping = text(r#"{"type":"ping","timestamp":1}"#);
    Ok(Box::new(move || {
        let reader = readers.next()?;
        reader.reads()?;
        let seq = reader.has_read;
        reader.socket.send(&text(&format!(r#"{{"type":"ack","seq":{seq}}}"#)))?;
        // Nobody answers an acknowledgement; when the pong comes it was taken.
        reader.socket.send(&ping)?;
        reader.socket.expect("pong")
    }))
}

/// People who are connected, and whoever publishes to one after the other.
struct Readers {
    publisher: Http,
    connected: Vec<Reader>,
    published: usize,
}

struct Reader {
    socket: Socket,
    request: Vec<u8>,
    has_read: u32,
}

impl Readers {
    fn connect(server: &RunningServer, query: &str) -> Result<Self> {
        let readers = (0..USERS).map(|number| Reader::connect(server, &user(number), query));
        let connected = readers.collect::<Result<_>>()?;
        Ok(Self { publisher: server.http()?, connected, published: 0 })
    }

    /// Publishes to the next of them.
    fn next(&mut self) -> Result<&mut Reader> {
        let turn = self.published % self.connected.len();
        let reader = &mut self.connected[turn];
        self.published += 1;
        succeed(&mut self.publisher, &reader.request)?;
        Ok(reader)
    }
}

impl Reader {
    fn connect(server: &RunningServer, user: &str, query: &str) -> Result<Self> {
        let mut socket = server.connect(&upgrade(user)?)?;
        socket.send(&text(r#"{"type":"get_pending"}"#))?;
        socket.expect("pending_check_complete")?;
        let request = post(&format!("/v1/users/{user}/messages{query}"), "", &message());
        Ok(Self { socket, request, has_read: 0 })
    }

    fn reads(&mut self) -> Result<()> {
        self.has_read += 1;
        self.socket.expect("chat")
    }
}

fn request(number: u32, more: &str) -> Vec<u8> {
    post(&format!("/v1/users/{}/messages", user(number)), more, &message())
}
