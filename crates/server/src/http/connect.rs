use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Query, Request, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;
use tetherline_protocol::{
    BEARER_PREFIX, DeviceId, ErrorCode, NO_TOKEN, SUBPROTOCOL, TOKEN_HEADER,
};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{
    answer::{Problem, bearer},
    segments::Segments,
};
use crate::{
    clock,
    connection::{
        driver::Driver,
        hub::Refused,
        pump::Pump,
        session::{Opening, Wire},
        socket::{Handshake, NoHandshake, Socket},
    },
    security::{
        auth::{Identity, InvalidToken},
        origin::RequestOrigin,
    },
    server::Shared,
    store::fresh_id,
};

/// How long the answer to a handshake may take to go out.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a page of an allowed origin may ask with: its token, in either place.
const ALLOWED_HEADERS: &str = "authorization, tetherline-token";
/// When somebody with too many connections may try again.
const CROWDED_RETRY: Duration = Duration::from_secs(10);
/// When anybody may try again who came at a bad moment.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
pub(super) struct Parameters {
    device: Option<String>,
    token: Option<String>,
}

/// `GET /ws/user/{user}`: everything is checked before the upgrade. Without one, the same URL
/// answers what an upgrade would have met, because a browser cannot see why one failed.
pub(super) async fn connect(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Response {
    let (mut request, _) = request.into_parts();
    let upgrade = request.extensions.remove::<OnUpgrade>();
    let headers = &request.headers;
    let origin = RequestOrigin::of(headers, &shared.config.allowed_origins);
    if origin == RequestOrigin::Foreign {
        return foreign().into_response();
    }
    let admitted = async {
        let Ok(Query(parameters)) = parameters else {
            return Err(Problem::invalid("query", "The query string cannot be read."));
        };
        let identity = identify(&shared, headers, &parameters)?;
        if identity.user.as_str() != user {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                ErrorCode::Forbidden,
                "The token does not speak for this user.",
            ));
        }
        let device = device(&parameters)?;
        let handshake = Handshake::of(&request.method, request.version, headers);
        match (handshake, upgrade) {
            (Ok(handshake), Some(upgrade)) => {
                let wire = if protocols(headers).any(|name| name == SUBPROTOCOL) {
                    Wire::V1
                } else {
                    Wire::Plain
                };
                open(shared, identity, (device, wire), upgrade).await?;
                Ok(switching_protocols(&handshake, wire))
            }
            // Something in between has taken the connection for itself.
            (Ok(_), None) => Err(probe(&shared, identity, &NoHandshake::Malformed).await),
            (Err(none), _) => Err(probe(&shared, identity, &none).await),
        }
    };
    let response = admitted
        .await
        .unwrap_or_else(|problem| naming_its_header(problem, headers).into_response());
    with_cors(response, &origin)
}

/// Lets an allowed page ask the same URL with its token in a header.
pub(super) async fn preflight(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let origin = RequestOrigin::of(&headers, &shared.config.allowed_origins);
    if !matches!(origin, RequestOrigin::Allowed(_)) {
        return foreign().into_response();
    }
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    with_cors((StatusCode::NO_CONTENT, allowed).into_response(), &origin)
}

fn foreign() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        ErrorCode::Forbidden,
        "Pages of this origin may not connect; the server's operator can allow it.",
    )
}

fn with_cors(mut response: Response, origin: &RequestOrigin) -> Response {
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let RequestOrigin::Allowed(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers
            .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
    response
}

fn identify(
    shared: &Shared,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<Identity, Problem> {
    let token = token(headers, parameters, shared.config.allow_query_token).ok_or_else(|| {
        Problem::unauthorized(
            "A token is needed: as the subprotocol `bearer.<token>` or as \
             `Authorization: Bearer <token>`.",
        )
        .reason(NO_TOKEN)
    })?;
    shared.config.jwt.verify(token).map_err(untrusted)
}

/// `Authorization` comes after what nobody but a client writes: a gateway puts a `Bearer` of its own there.
pub(super) fn token<'a>(
    headers: &'a HeaderMap,
    parameters: &'a Parameters,
    allow_query_token: bool,
) -> Option<&'a str> {
    own_header(headers)
        .or_else(|| protocols(headers).find_map(|name| name.strip_prefix(BEARER_PREFIX)))
        .or_else(|| bearer(headers))
        .or_else(|| parameters.token.as_deref().filter(|_| allow_query_token))
}

/// The token in the header that is only for it, as a page gives it where a proxy wants
/// `Authorization` for itself.
fn own_header(headers: &HeaderMap) -> Option<&str> {
    headers.get(TOKEN_HEADER)?.to_str().ok().map(str::trim)
}

/// Says that the header was looked at: a client could not tell otherwise a server that refuses its
/// token from an older one that saw none.
fn naming_its_header(problem: Problem, headers: &HeaderMap) -> Problem {
    if problem.is_unauthorized() && headers.contains_key(TOKEN_HEADER) {
        problem.field(TOKEN_HEADER)
    } else {
        problem
    }
}

fn untrusted(error: InvalidToken) -> Problem {
    let problem = |error: InvalidToken| {
        Problem::unauthorized(format!("The token was refused: {error}.")).code(error.code())
    };
    match error {
        InvalidToken::Undecided => out_of_order(),
        InvalidToken::NotYetValid { wait } => problem(error).retry_after(wait),
        error => problem(error),
    }
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

pub(super) fn device(parameters: &Parameters) -> Result<Option<DeviceId>, Problem> {
    let parsed = parameters.device.as_deref().map(str::parse).transpose();
    parsed
        .map_err(|error| Problem::invalid("device", format!("`device` is no device id: {error}.")))
}

/// Admits a connection, which begins when the answer is out.
async fn open(
    shared: Arc<Shared>,
    identity: Identity,
    (device, wire): (Option<DeviceId>, Wire),
    upgrade: OnUpgrade,
) -> Result<(), Problem> {
    let verified_at = Instant::now();
    // Joining first: a sign-in that ends after the look at it, and what is published after the
    // look at the mailbox, is then noticed.
    let ticket = shared.hub.join(&identity.user, identity.session.clone());
    let Identity { user, expires_in, .. } =
        shared.still_stands(identity).await.map_err(untrusted)?;
    let ticket = ticket.map_err(crowded)?;
    let place = shared.store.locate(&user, device.as_ref()).await.map_err(|error| {
        // The store has said it, as often as is good.
        tracing::debug!(%error, "a connection was refused");
        out_of_order()
    })?;
    tokio::spawn(async move {
        let upgraded = match timeout(UPGRADE_TIMEOUT, upgrade).await {
            Ok(Ok(upgraded)) => upgraded,
            Ok(Err(error)) => return tracing::debug!(%error, "a peer left before its upgrade"),
            Err(_) => return tracing::debug!("a peer did not take the answer to its upgrade"),
        };
        let now = Instant::now();
        let connection = fresh_id();
        let span = tracing::debug_span!("websocket", %connection, ?user);
        let opening = Opening {
            connection,
            user,
            wire,
            place,
            token_expires_in: expires_in.saturating_sub(now - verified_at),
            limits: shared.limits.clone(),
            time_ms: clock::now_ms(),
        };
        let pump = Pump::open(opening, ticket, device, now);
        let socket = Socket::of(upgraded, shared.limits.message_bytes_max);
        Driver::new(socket, pump, shared).run().instrument(span).await;
    });
    Ok(())
}

fn switching_protocols(handshake: &Handshake, wire: Wire) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, handshake.accept());
    if wire == Wire::V1 {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

async fn probe(shared: &Shared, identity: Identity, handshake: &NoHandshake) -> Problem {
    let user = match shared.still_stands(identity).await {
        Ok(identity) => identity.user,
        Err(error) => return untrusted(error),
    };
    match handshake {
        NoHandshake::Unwanted => {}
        NoHandshake::Version => {
            return upgrade_required("This server speaks version 13 of the WebSocket protocol.")
                .header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        NoHandshake::Malformed => {
            return Problem::new(
                StatusCode::BAD_REQUEST,
                ErrorCode::BadFrame,
                "This is not a WebSocket handshake as RFC 6455 describes it.",
            );
        }
    }
    if let Err(refused) = shared.hub.admits(&user) {
        return crowded(refused);
    }
    match shared.store.head(&user).await {
        Ok(_) => upgrade_required("The token is good; connect with a WebSocket."),
        Err(_) => out_of_order(),
    }
}

fn upgrade_required(message: &str) -> Problem {
    Problem::new(StatusCode::UPGRADE_REQUIRED, ErrorCode::BadFrame, message)
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .header(header::CONNECTION, HeaderValue::from_static("upgrade"))
}

fn crowded(refused: Refused) -> Problem {
    match refused {
        Refused::User => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::RateLimited,
            "This user has as many connections as the server allows; close some.",
        )
        .retry_after(CROWDED_RETRY),
        Refused::Server => {
            Problem::unavailable("The server has all the connections it can take.", CROWDED_RETRY)
        }
        Refused::Draining => Problem::unavailable("The server restarts.", UNAVAILABLE_RETRY),
    }
}

fn out_of_order() -> Problem {
    Problem::unavailable("The mailbox cannot be read right now; try again.", UNAVAILABLE_RETRY)
}
