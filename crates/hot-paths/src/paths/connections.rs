use anyhow::Result;

use super::Round;
use crate::{
    server::{RunningServer, message, post, succeed, upgrade, user},
    wire::text,
};

/// Each connection is somebody else's than the one before.
const USERS: u32 = 50;
/// What a page that was away for a while has missed.
const MISSED: u32 = 50;

pub(super) fn connect(server: &RunningServer) -> Result<Round<'_>> {
    let mut upgrades = Vec::new();
    for number in 0..USERS {
        upgrades.push(upgrade(&user(number))?);
        server.connect(&upgrades[number as usize])?.close()?;
    }
    let mut turns = upgrades.into_iter().cycle();
    Ok(Box::new(move || server.connect(&turns.next().expect("a cycle has no end"))?.close()))
}

pub(super) fn replay(server: &RunningServer) -> Result<Round<'_>> {
    let mut http = server.http()?;
    let request = post(&format!("/v1/users/{}/messages", user(0)), "", &message());
    for _ in 0..MISSED {
        succeed(&mut http, &request)?;
    }
    // What is replayed comes from the store: the server keeps nothing in memory for those who left.
    let mut socket = server.connect(&upgrade(&user(0))?)?;
    let from_the_beginning = text(r#"{"type":"get_pending","after":0}"#);
    Ok(Box::new(move || {
        socket.send(&from_the_beginning)?;
        for _ in 0..MISSED {
            socket.expect("chat")?;
        }
        socket.expect("pending_check_complete")
    }))
}
