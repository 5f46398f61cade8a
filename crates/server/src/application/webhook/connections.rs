use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use tetherline_protocol::{DeviceId, MessageId, UserId};

use crate::{ConnectionChange, ConnectionEnd, ConnectionEvent, ConnectionEvents, clock};

/// What the application knows the same events by when they come again.
pub(super) fn key(events: &ConnectionEvents) -> String {
    let first = events.events.first().map_or(0, |event| event.number);
    format!("connections/{}/{first}", events.server)
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    server: &'a MessageId,
    events: Vec<Event<'a>>,
}

#[derive(Serialize)]
struct Event<'a> {
    number: u64,
    r#type: &'static str,
    timestamp: Box<str>,
    connection_id: &'a MessageId,
    user: &'a UserId,
    device: Option<&'a DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

pub(super) fn body(events: &ConnectionEvents) -> Bytes {
    let body = Body {
        r#type: "connections",
        server: &events.server,
        events: events.events.iter().map(event).collect(),
    };
    serde_json::to_vec(&body).expect("names are JSON").into()
}

fn event(event: &ConnectionEvent) -> Event<'_> {
    let (kind, end) = match event.change {
        ConnectionChange::Connected => ("connected", None),
        ConnectionChange::Disconnected(end) => ("disconnected", Some(end)),
    };
    Event {
        number: event.number,
        r#type: kind,
        timestamp: clock::rfc3339(event.at_ms).as_str().into(),
        connection_id: &event.connection,
        user: &event.user,
        device: event.device.as_ref(),
        reason: end.map(ConnectionEnd::reason),
        code: end.and_then(ConnectionEnd::code),
    }
}
