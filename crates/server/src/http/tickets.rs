use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use serde::{Deserialize, Serialize};
use tetherline_protocol::{ErrorCode, UserId};
use utoipa::ToSchema;

use super::{
    answer::Problem,
    connect::{rules, untrusted},
    cors::{self, foreign, with_cors},
    credentials::{Parameters, credentials},
    description::schemas::{Bodied, Keyed, User},
    publish::{RETRY, utf8},
    publisher::{administers, shows_key},
    serve::Requester,
    too_fast::{attempt, network, rate_limited},
};
use crate::{
    security::{auth::Identity, keys::Grant, origin::RequestOrigin},
    server::{Shared, TICKET_TIMEOUT, vouched_for},
    store::KeepTicketError,
};

/// What a page of an allowed origin may ask with.
const ALLOWED_HEADERS: &str = "authorization, content-type, tetherline-token";
/// A user's id and what is around it, escaped.
pub const TICKET_REQUEST_BYTES_MAX: usize = 4 * 1024;

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TicketWish, examples(json!({ "user": "ada" })))]
struct Wish {
    /// For whom. An application says it; a user may.
    #[schema(value_type = User, nullable = false)]
    user: Option<UserId>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Ticket)]
struct Issued {
    ticket: String,
    #[schema(value_type = User)]
    user: UserId,
    expires_in_ms: u64,
}

/// Makes a ticket that opens one connection.
///
/// An application asks for one of its users, with a key; a user for themselves, with what they would connect with.
#[utoipa::path(
    post, path = "/v1/tickets", operation_id = "issueTicket",
    tag = "Users",
    request_body = Wish,
    responses((status = 201, body = Issued, description = "It counts once"), Keyed, Bodied),
    security(("key" = ["admin"]), ("token" = [])),
)]
pub(super) async fn issue(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let origin = RequestOrigin::of(request.headers(), &shared.current().allowed_origins);
    if origin == RequestOrigin::Foreign {
        return foreign().into_response();
    }
    let issued = issue_to(&shared, request, &origin).await;
    with_cors(issued.unwrap_or_else(IntoResponse::into_response), &origin)
}

/// Lets an allowed page ask for one with its token in a header.
pub(super) async fn preflight(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    cors::preflight(("POST", ALLOWED_HEADERS), &shared, &headers)
}

async fn issue_to(
    shared: &Arc<Shared>,
    request: Request,
    origin: &RequestOrigin,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let asker = asker(shared, &parts, origin).await?;
    // Whoever serves the router in another way has its own rules for connections.
    if let Some(requester) = parts.extensions.get::<Requester>() {
        match &asker {
            Asker::Application(_) => requester.shows_key(),
            Asker::User(_) => requester.shows_token(),
        }
    }
    let body = shared.bodies.read(&parts.headers, body, TICKET_REQUEST_BYTES_MAX).await;
    let body = utf8(body.map_err(|error| error.of("TICKET_REQUEST_BYTES_MAX"))?)?;
    let key = asker.key();
    let identity = asker.speaks_for(wish(&body)?.user)?;
    let user = identity.user.clone();
    let ticket = shared.issue_ticket(identity, key).await.map_err(not_issued)?;
    let expires_in_ms = u64::try_from(TICKET_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    let not_kept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, not_kept, Json(Issued { ticket, user, expires_in_ms }))
        .into_response())
}

/// Who asks for a ticket.
enum Asker {
    Application(Grant),
    User(Identity),
}

async fn asker(
    shared: &Arc<Shared>,
    parts: &Parts,
    origin: &RequestOrigin,
) -> Result<Asker, Problem> {
    if let Some(grant) = shows_key(shared, &parts.headers) {
        administers(&grant)?;
        return Ok(Asker::Application(grant));
    }
    attempt(shared, network(shared, &parts.extensions, &parts.headers))?;
    // As for an upgrade: no other page may have a browser's cookies ask for one.
    let shown = credentials(parts, &Parameters::default(), None, origin, rules(shared, true))?;
    let identified = shared.identify(shown).await.map_err(untrusted)?;
    shared.still_stands(identified.identity).await.map(Asker::User).map_err(untrusted)
}

impl Asker {
    fn key(&self) -> Option<[u8; 32]> {
        match self {
            Self::Application(grant) => grant.digest(),
            Self::User(_) => None,
        }
    }

    fn speaks_for(self, user: Option<UserId>) -> Result<Identity, Problem> {
        match (self, user) {
            (Self::User(identity), None) => Ok(identity),
            (Self::User(identity), Some(user)) if identity.user == user => Ok(identity),
            (Self::User(_), Some(_)) => {
                Err(not_for_them("The token does not speak for this user."))
            }
            (Self::Application(grant), Some(user)) if grant.is_for(&user) => Ok(vouched_for(user)),
            (Self::Application(_), Some(_)) => {
                Err(not_for_them("This API key is not for this user."))
            }
            (Self::Application(_), None) => {
                Err(Problem::invalid("user", "The body says for whom: {\"user\": …}."))
            }
        }
    }
}

fn wish(text: &str) -> Result<Wish, Problem> {
    if text.trim().is_empty() {
        return Ok(Wish::default());
    }
    serde_json::from_str(text).map_err(|_| {
        Problem::invalid("user", "The body is {\"user\": …} with a user's id, or nothing.")
    })
}

fn not_for_them(sentence: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, sentence).field("user")
}

fn not_issued(error: KeepTicketError) -> Problem {
    match error {
        KeepTicketError::TooMany => rate_limited(
            "This user has as many unused tickets as the server allows; try again later.",
            TICKET_TIMEOUT,
        ),
        KeepTicketError::TooManyOfKey => rate_limited(
            "This API key has made as many unused tickets as the server allows; try again later.",
            TICKET_TIMEOUT,
        ),
        KeepTicketError::Crowded => Problem::unavailable(
            "The server has all the unused tickets it can keep; try again later.",
            TICKET_TIMEOUT,
        ),
        KeepTicketError::Store(error) => {
            tracing::debug!(%error, "a ticket was not issued");
            Problem::unavailable("The ticket was not issued; try again.", RETRY)
        }
    }
}
