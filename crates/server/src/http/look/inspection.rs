//! What is known of a user at this moment, and why a message did not arrive.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use tetherline_protocol::{Attempt, DeviceId, Epoch, MessageId, Seq, UserId};
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{
        answer::Problem,
        description::schemas::{self, Keyed, MessageSeq, Position, Time, User},
        publisher::Admin,
        segments::Segments,
    },
    report,
    verdict::{Verdict, verdicts},
};
use crate::{clock, connection::hub::Present, server::Shared, store::Report};

/// What is kept of a mailbox, and why not more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// 0: for ever.
    pub(super) age_ms: u64,
    /// 0: all.
    pub(super) messages_max: u64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct About {
    /// The message that is asked about.
    #[param(value_type = Option<MessageSeq>, nullable = false)]
    seq: Option<u64>,
}

/// Answers everything that is known of a user, and why a message has not arrived.
#[utoipa::path(
    get, path = "/v1/users/{user}/inspection", operation_id = "inspect",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is"), About),
    responses((status = 200, body = Inspection, description = "At this moment"), Keyed),
    security(("key" = ["admin"])),
)]
pub(in crate::http) async fn inspect(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    about: Result<Query<About>, QueryRejection>,
    admin: Admin,
) -> Result<impl IntoResponse, Problem> {
    let user = admin.user(&user)?;
    let wrong = || Problem::invalid("seq", "`seq` is a position, from 1 on.");
    let Ok(Query(About { seq })) = about else { return Err(wrong()) };
    let seq = seq.map(|seq| Seq::new(seq).filter(|seq| *seq > Seq::ZERO).ok_or_else(wrong));
    let seq = seq.transpose()?;
    let report = report(&shared, &user, seq).await?;
    let present = shared.hub.present(&user);
    let retention = Retention::of(&shared);
    Ok(Json(Inspection::of(user, &report, &present, (seq, retention))))
}

impl Retention {
    fn of(shared: &Shared) -> Self {
        let limits = &shared.current().limits;
        Self { age_ms: limits.retention_age_ms, messages_max: limits.retention_messages_max }
    }

    /// Up to where messages are not kept because so many newer ones are; what else was trimmed had its age.
    pub(super) fn trimmed_by_number(self, report: &Report) -> Seq {
        let newest = report.head.seq.get();
        let beyond = newest.saturating_sub(self.messages_max);
        let by_number = if self.messages_max == 0 { 0 } else { beyond };
        Seq::new(by_number).unwrap_or(Seq::ZERO).min(report.trimmed)
    }
}

#[derive(Serialize, ToSchema)]
struct Inspection {
    #[schema(value_type = User)]
    user: UserId,
    #[schema(value_type = Position)]
    head: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false)]
    head_id: Option<MessageId>,
    #[schema(value_type = String)]
    epoch: Epoch,
    /// Up to here nothing is kept any more.
    #[schema(value_type = Position)]
    trimmed: Seq,
    /// Up to here because of how many newer ones there are; from there to `trimmed` because of their age.
    #[schema(value_type = Position)]
    trimmed_by_number: Seq,
    retention_age_ms: u64,
    retention_messages_max: u64,
    devices: Vec<DeviceView>,
    connections: Vec<ConnectionView>,
    sends: Vec<Send>,
    sign_outs: Vec<SignOut>,
    streams: Vec<Stream>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<Message>,
    /// Why the message that was asked about has, or has not, arrived where.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    verdicts: Option<Vec<Verdict>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Device)]
pub(super) struct DeviceView {
    #[schema(value_type = String)]
    device: DeviceId,
    #[schema(value_type = Position)]
    cursor: Seq,
    /// Messages that it has not handled.
    behind: u64,
    #[schema(value_type = Time)]
    last_used: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Connection)]
pub(super) struct ConnectionView {
    #[schema(value_type = String)]
    connection_id: MessageId,
    #[schema(value_type = Option<String>, required = true)]
    device: Option<DeviceId>,
    /// As limits see it; null where whoever serves the router does not say.
    address: Option<String>,
    #[schema(value_type = Time)]
    since: String,
    /// Up to where everything was handed to its socket; null if that cannot be said.
    #[schema(value_type = Option<Position>, required = true)]
    sent: Option<Seq>,
    /// Messages that are still to be sent.
    waiting: u64,
    /// Messages that were sent and are not acknowledged.
    unhandled: u64,
    waits_for: &'static str,
    /// Since when: with `socket`, since it took anything.
    #[schema(value_type = Time)]
    waits_since: String,
    /// What its socket has not taken.
    unsent_bytes: usize,
    /// It said too much, and is not listened to for a while.
    held: bool,
}

#[derive(Serialize, ToSchema)]
struct Send {
    id: String,
    #[schema(value_type = Time)]
    decided: String,
    outcome: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SignOut {
    everywhere: bool,
    #[schema(value_type = Time)]
    at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenStream)]
pub(super) struct Stream {
    message_uuid: String,
    #[schema(value_type = schemas::Attempt)]
    attempt: Attempt,
    #[schema(value_type = Time)]
    opened: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InspectedMessage)]
struct Message {
    #[schema(value_type = Position)]
    seq: Seq,
    #[schema(value_type = String)]
    id: MessageId,
    #[serde(rename = "type")]
    kind: String,
    #[schema(value_type = Time)]
    published: String,
}

impl Inspection {
    fn of(
        user: UserId,
        report: &Report,
        present: &[Present],
        (seq, retention): (Option<Seq>, Retention),
    ) -> Self {
        let Report { head, trimmed, .. } = report;
        let message = seq.zip(report.message.as_ref()).map(|(seq, message)| Message {
            seq,
            id: message.id.clone(),
            kind: message.kind.clone(),
            published: time(message.published_at),
        });
        Self {
            user,
            head: head.seq,
            head_id: head.id.clone(),
            epoch: head.epoch.clone(),
            trimmed: *trimmed,
            trimmed_by_number: retention.trimmed_by_number(report),
            retention_age_ms: retention.age_ms,
            retention_messages_max: retention.messages_max,
            devices: devices(report),
            connections: present.iter().map(ConnectionView::of).collect(),
            sends: sends(report),
            sign_outs: sign_outs(report),
            streams: streams(report),
            message,
            verdicts: seq.map(|seq| verdicts(seq, (report, retention), present)),
        }
    }
}

impl ConnectionView {
    pub(super) fn of(present: &Present) -> Self {
        Self {
            connection_id: present.connection.clone(),
            device: present.device.clone(),
            address: present.network.map(|network| network.to_string()),
            since: time(present.since_ms),
            sent: present.stands.sent,
            waiting: present.stands.waiting,
            unhandled: present.stands.unhandled,
            waits_for: present.stands.waits.as_str(),
            waits_since: time(present.waits_since_ms),
            unsent_bytes: present.stands.unsent_bytes,
            held: present.stands.is_held,
        }
    }
}

pub(super) fn devices(report: &Report) -> Vec<DeviceView> {
    let device = |device: &crate::store::DeviceReport| DeviceView {
        device: device.device.clone(),
        cursor: device.cursor,
        behind: report.head.seq.distance_from(device.cursor.max(report.trimmed)),
        last_used: time(device.seen_at),
    };
    report.devices.iter().map(device).collect()
}

fn sends(report: &Report) -> Vec<Send> {
    let send = |send: &crate::store::SendReport| Send {
        id: send.id.clone(),
        decided: time(send.decided_at),
        outcome: send.refused.clone().unwrap_or_else(|| "accepted".to_owned()),
    };
    report.sends.iter().map(send).collect()
}

pub(super) fn sign_outs(report: &Report) -> Vec<SignOut> {
    let sign_out =
        |it: &crate::store::SignOutReport| SignOut { everywhere: it.everywhere, at: time(it.at) };
    report.sign_outs.iter().map(sign_out).collect()
}

pub(super) fn streams(report: &Report) -> Vec<Stream> {
    let stream = |stream: &crate::store::StreamReport| Stream {
        message_uuid: stream.message_uuid.clone(),
        attempt: stream.attempt,
        opened: time(stream.opened_at),
    };
    report.streams.iter().map(stream).collect()
}

pub(super) fn time(ms: i64) -> String {
    clock::rfc3339(ms).as_str().to_owned()
}
