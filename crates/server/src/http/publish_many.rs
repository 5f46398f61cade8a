//! Publishing many messages with one request, and one commit.

mod answers;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use tetherline_protocol::{
    ErrorCode, Limits, MessageId, UserId,
    frame::{
        FrameError, Message, NotItems, PublishItem, PublishItemError, Recipients, items_of_array,
        items_of_lines,
    },
    limits::{
        PUBLISH_ITEMS_MAX, PUBLISH_KEPT_BYTES_EACH, PUBLISH_KEPT_BYTES_MAX,
        PUBLISH_REQUEST_BYTES_MAX,
    },
};
use tokio::task::yield_now;

use super::{
    answer::Problem,
    body::BodyError,
    description::schemas::{self, Bodied, Keyed},
    publish::{IDEMPOTENCY_KEY, refused, utf8},
    publisher::Publisher,
    streams::is_ndjson,
};
use crate::{Publish, PublishError, Published, rates::Amount, server::Shared};
use answers::{Answer, Answers, Name};

/// So much is parsed before others have a turn on this thread, in bytes.
const TURN_BYTES: usize = 256 * 1024;

/// The largest request that is read, in bytes: a message of the largest size always fits.
fn request_bytes_max(shared: &Shared) -> usize {
    let bytes_max = PUBLISH_REQUEST_BYTES_MAX.min(shared.request_bodies_bytes_max);
    bytes_max.max(message_request_bytes(&shared.current().limits))
}

/// A request for one message of the largest size, in bytes.
pub(crate) fn message_request_bytes(limits: &Limits) -> usize {
    limits.publish_bytes_max + PUBLISH_KEPT_BYTES_EACH
}

/// Publishes many messages with one request.
///
/// The body is a JSON array of items, or NDJSON, and so is the answer. It comes once all of them are durable that can be.
#[utoipa::path(
    post, path = "/v1/messages", operation_id = "publishMany",
    tag = "Messages",
    request_body(content((schemas::Items = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, body = [answers::Answer], description = "Each was published"),
        (status = 207, body = [answers::Answer], description = "Each has a status of its own"),
        Keyed, Bodied),
    security(("key" = ["publish"])),
)]
pub(super) async fn publish_many(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    publisher: Publisher,
    body: Body,
) -> Result<Response, Problem> {
    let headers = &publisher.headers;
    check_that_items_speak_for_themselves(query.as_deref(), headers)?;
    let text = text(&shared, headers, body).await?;
    let as_lines = is_ndjson(headers);
    let items = if as_lines { items_of_lines(&text) } else { items_of_array(&text) };
    let mut plan = Plan::default();
    let mut parsed = 0;
    let limits = shared.current().limits.clone();
    for item in items.map_err(no_items)? {
        plan.add(item, &publisher, &limits)?;
        parsed += item.len();
        if parsed >= TURN_BYTES {
            parsed = 0;
            yield_now().await;
        }
    }
    publisher.publishes(&shared, plan.amount)?;
    Ok(plan.carry_out(&shared).await.into_response(as_lines))
}

/// What a single publish says outside of its body, here each item says for itself.
fn check_that_items_speak_for_themselves(
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(Problem::invalid(
            "Idempotency-Key",
            "Each item has its own `idempotency_key`; leave the header out.",
        ));
    }
    match query {
        None | Some("") => Ok(()),
        Some(_) => Err(Problem::invalid(
            "query",
            "Each item says for itself whether it is `durable`; leave the query out.",
        )),
    }
}

async fn text(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    let bytes_max = request_bytes_max(shared);
    let bytes =
        shared.bodies.read(headers, body, bytes_max).await.map_err(|error| match error {
            BodyError::TooLarge { .. } => too_much(&format!("is larger than {bytes_max} bytes")),
            error => error.into(),
        })?;
    utf8(bytes)
}

fn no_items(reason: NotItems) -> Problem {
    match reason {
        NotItems::NotAnArray => Problem::new(
            StatusCode::BAD_REQUEST,
            ErrorCode::BadJson,
            "The body is one JSON array of items; nothing was kept. A line for each goes with \
             `Content-Type: application/x-ndjson`.",
        ),
        NotItems::TooMany => too_much(&format!("has more than {PUBLISH_ITEMS_MAX} items")),
    }
}

fn too_much(what: &str) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::MessageTooLarge,
        format!("The request {what}; nothing was kept. Split it."),
    )
}

/// What is to be done about each item, in order, once all of them are read.
#[derive(Default)]
struct Plan {
    items: Vec<Item>,
    publishes: Vec<Publish>,
    kept_bytes: usize,
    amount: Amount,
}

enum Item {
    ForOne(Step),
    ForEach(Vec<(Name, Step)>),
}

enum Step {
    /// It is the next of the publishes.
    Keep,
    Tell(UserId, Arc<Message>),
    TellEverybody(Arc<Message>),
    Refuse(Problem),
}

impl Plan {
    /// An item that is none fails alone; only what all together are too much for fails all.
    fn add(&mut self, text: &str, publisher: &Publisher, limits: &Limits) -> Result<(), Problem> {
        let item = match PublishItem::parse(text, limits.publish_bytes_max) {
            Ok(item) => item,
            Err(error) => {
                self.items.push(Item::ForOne(Step::Refuse(no_item(&error))));
                return Ok(());
            }
        };
        let message = Arc::new(item.message);
        let mut step = |user: UserId| {
            if let Err(problem) = publisher.expect(&user) {
                return Ok(Step::Refuse(problem));
            }
            self.amount.add(&message);
            if !item.durable {
                return Ok(Step::Tell(user, message.clone()));
            }
            self.kept_bytes += message.fields().len() + PUBLISH_KEPT_BYTES_EACH;
            let bytes_max = PUBLISH_KEPT_BYTES_MAX.max(message_request_bytes(limits));
            if self.kept_bytes > bytes_max {
                return Err(too_much(&format!(
                    "would put more than {bytes_max} bytes into mailboxes, where each message \
                     counts for each of its users, and {PUBLISH_KEPT_BYTES_EACH} bytes more"
                )));
            }
            let (key, message) = (item.key.clone(), message.clone());
            self.publishes.push(Publish { user, key, message });
            Ok(Step::Keep)
        };
        let planned = match item.to {
            Recipients::User(user) => Item::ForOne(step(user)?),
            Recipients::Everybody => Item::ForOne(match publisher.expect_everybody() {
                Ok(()) => {
                    self.amount.add(&message);
                    Step::TellEverybody(message.clone())
                }
                Err(problem) => Step::Refuse(problem),
            }),
            Recipients::Users(users) => {
                let each = users.into_iter().map(|user| match user {
                    Ok(user) => Ok((Name::User(user.clone()), step(user)?)),
                    Err((name, reason)) => {
                        let problem = no_item(&PublishItemError::User(reason));
                        Ok((Name::nobodys(&name), Step::Refuse(problem)))
                    }
                });
                Item::ForEach(each.collect::<Result<_, Problem>>()?)
            }
        };
        self.items.push(planned);
        Ok(())
    }

    async fn carry_out(self, shared: &Arc<Shared>) -> Answers {
        let mut published = shared.publish_many(self.publishes).await.into_iter();
        let mut answer = |step| match step {
            Step::Refuse(problem) => Answer::refused(problem),
            Step::Tell(user, message) => told(shared.publish_live(&user, &message)),
            Step::TellEverybody(message) => told(shared.publish_live_to_everybody(&message)),
            Step::Keep => kept(published.next().expect("there is an answer for each publish")),
        };
        let items = self.items.into_iter().map(|item| match item {
            Item::ForOne(step) => answer(step),
            Item::ForEach(users) => {
                let each = users.into_iter().map(|(name, step)| answer(step).of(name));
                Answer::of_each(each.collect())
            }
        });
        Answers(items.collect())
    }
}

fn no_item(error: &PublishItemError) -> Problem {
    if let PublishItemError::Message(FrameError::TooLarge { bytes_max }) = *error {
        return BodyError::TooLarge { bytes_max }.into();
    }
    let message = format!("The item was refused: {error}.");
    Problem::unreadable(error.code(), error.field(), message)
}

fn kept(published: Result<Published, PublishError>) -> Answer {
    match published {
        Ok(published) => Answer::kept(published),
        Err(error) => Answer::refused(refused(error, "idempotency_key")),
    }
}

fn told(told: Result<MessageId, PublishError>) -> Answer {
    match told {
        Ok(id) => Answer::told(id),
        Err(error) => Answer::refused(refused(error, "idempotency_key")),
    }
}
