//! What happens to a user, as it happens.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde::Serialize;
use tetherline_protocol::{DeviceId, MessageId, Seq, UserId};
use tokio::time::{sleep, timeout};

use super::{
    super::{
        answer::Problem,
        description::schemas::{Keyed, TraceLine, User},
        publisher::Admin,
        segments::Segments,
        too_fast::rate_limited,
    },
    inspection::{ConnectionView, time},
    not_read,
};
use crate::{
    clock,
    connection::hub::{Ending, NoTrace, Told, Trace, TraceEvent},
    server::Shared,
};

/// A line comes at least so often: whoever hears nothing for longer has lost the server, and a follower that is gone gives
/// its place back.
pub const TRACE_HEARTBEAT: Duration = Duration::from_secs(15);
/// How often it is looked whether the key of the configuration is another one.
const KEY_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// When somebody may try again for whom there is no place.
const FULL_RETRY: Duration = Duration::from_secs(10);
const DRAINING_RETRY: Duration = Duration::from_secs(2);

/// Tells what happens to a user, as it happens.
///
/// A line of JSON for each event, beginning with how it is now. It ends with the server, or with the key.
#[utoipa::path(
    get, path = "/v1/users/{user}/trace", operation_id = "trace",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    responses((status = 200, body = TraceLine, content_type = "application/x-ndjson", description = "Until somebody ends it"),
        Keyed),
    security(("key" = ["admin"])),
)]
pub(in crate::http) async fn trace(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    admin: Admin,
) -> Result<Response, Problem> {
    let user = admin.user(&user)?;
    // Before the look-up: what is committed from here on is told.
    shared.begin();
    let (trace, present) = shared.hub.follow(&user).map_err(refused)?;
    let head = shared.store.head(&user).await.map_err(not_read)?;
    let connections: Vec<_> = present.iter().map(ConnectionView::of).collect();
    let begun = present.into_iter().map(|it| it.connection).collect();
    let followed = user.clone();
    let first = Following { event: "following", at: now(), user, head: head.seq, connections };
    let lines =
        Lines { shared, trace, admin, followed, begun, ready: VecDeque::from([line(&first)]) };
    let headers =
        [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(lines.into_stream())).into_response())
}

fn refused(why: NoTrace) -> Problem {
    match why {
        NoTrace::Full => {
            let message = "As many follow users of this server as may at once; end one of them.";
            rate_limited(message, FULL_RETRY)
        }
        NoTrace::Draining => Problem::unavailable("The server restarts.", DRAINING_RETRY),
    }
}

struct Lines {
    shared: Arc<Shared>,
    trace: Trace,
    admin: Admin,
    followed: UserId,
    /// Connections that the first line has: that they have begun is not told again.
    begun: Vec<MessageId>,
    ready: VecDeque<Bytes>,
}

impl Lines {
    fn into_stream(self) -> impl stream::Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |mut lines| async move {
            if lines.ready.is_empty() {
                lines.wait().await?;
            }
            let line = lines.ready.pop_front()?;
            Some((Ok(line), lines))
        })
    }

    /// Until there is a line; none when nothing follows.
    async fn wait(&mut self) -> Option<()> {
        while self.ready.is_empty() {
            let told = tokio::select! {
                told = timeout(TRACE_HEARTBEAT, self.trace.next()) => told,
                () = self.admin.withdrawn(&self.followed) => return None,
                () = replaced(&self.admin, &self.shared) => return None,
            };
            match told {
                Ok(events) => {
                    let now = (Instant::now(), clock::now_ms());
                    let news = events?.into_iter().filter(|event| !is_known(&self.begun, event));
                    self.ready.extend(news.map(|event| line(&Line::of(event, now))));
                }
                Err(_) => self.ready.push_back(line(&Line::heartbeat())),
            }
        }
        Some(())
    }
}

async fn replaced(admin: &Admin, shared: &Shared) {
    while !admin.is_replaced(shared) {
        sleep(KEY_LOOK_INTERVAL).await;
    }
}

fn is_known(begun: &[MessageId], event: &TraceEvent) -> bool {
    matches!(event.what, Told::Connected { .. })
        && event.connection.as_ref().is_some_and(|it| begun.contains(it))
}

/// How it is when it begins.
#[derive(Serialize)]
struct Following {
    event: &'static str,
    at: String,
    user: UserId,
    head: Seq,
    connections: Vec<ConnectionView>,
}

#[derive(Serialize)]
struct Line {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<MessageId>,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What {
    Published { seq: Seq, id: MessageId },
    Erased,
    Connected { device: Option<DeviceId>, address: Option<String> },
    Asked { how: &'static str, after: Seq, cursor: Seq },
    Sent { up_to: Seq, waiting: u64 },
    Acknowledged { up_to: Seq, unhandled: u64 },
    Waits { waits_for: &'static str },
    Stuck { since: String, unsent_bytes: usize, waiting: u64 },
    Held,
    Send { id: MessageId },
    Settled { outcome: Box<str> },
    Closed { by: &'static str, code: Option<u16>, reason: Option<String> },
    Lost { events: u64 },
    Heartbeat,
}

impl Line {
    fn heartbeat() -> Self {
        Self { at: now(), connection_id: None, what: What::Heartbeat }
    }

    /// `now`: by both clocks.
    fn of(TraceEvent { at, connection, what }: TraceEvent, now: (Instant, i64)) -> Self {
        let on_the_wall = |at: Instant| {
            let ago = now.0.saturating_duration_since(at);
            time(now.1.saturating_sub(clock::whole_ms(ago)))
        };
        let what = match what {
            Told::Published { seq, id } => What::Published { seq, id },
            Told::Erased => What::Erased,
            Told::Connected { device, network } => {
                What::Connected { device, address: network.map(|network| network.to_string()) }
            }
            Told::Asked { after, cursor } => {
                let after = after.unwrap_or(cursor);
                // Whoever has acknowledged all that it was sent stands where its device does.
                let how = if after == cursor { "cursor" } else { "resumed" };
                What::Asked { how, after, cursor }
            }
            Told::Sent { up_to, waiting } => What::Sent { up_to, waiting },
            Told::Acknowledged { up_to, unhandled } => What::Acknowledged { up_to, unhandled },
            Told::Waits { waits } => What::Waits { waits_for: waits.as_str() },
            Told::Stuck { since, unsent_bytes, waiting } => {
                What::Stuck { since: on_the_wall(since), unsent_bytes, waiting }
            }
            Told::Held => What::Held,
            Told::Send { id } => What::Send { id },
            Told::Settled { refused } => {
                What::Settled { outcome: refused.unwrap_or_else(|| "accepted".into()) }
            }
            Told::Closed { how } => ended(how),
            Told::Lost { events } => What::Lost { events },
        };
        Self { at: on_the_wall(at), connection_id: connection, what }
    }
}

fn ended(how: Ending) -> What {
    match how {
        Ending::ByServer(code, reason) => {
            let (code, reason) = (Some(code.code()), Some(reason.to_string()));
            What::Closed { by: "server", code, reason }
        }
        Ending::ByClient(code) => What::Closed { by: "client", code, reason: None },
        Ending::Gone => What::Closed { by: "nobody", code: None, reason: None },
    }
}

fn now() -> String {
    time(clock::now_ms())
}

fn line(what: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(what).expect("numbers and texts can be written as JSON");
    line.push(b'\n');
    line.into()
}
