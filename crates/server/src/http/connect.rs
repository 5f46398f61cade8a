use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{
        Path, Query, State, WebSocketUpgrade, rejection::QueryRejection,
        ws::rejection::WebSocketUpgradeRejection,
    },
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tetherline_protocol::{BEARER_PREFIX, DeviceId, ErrorCode, SUBPROTOCOL, limits};

use super::answer::{Problem, bearer};
use crate::{
    auth::{Identity, InvalidToken},
    clock,
    driver::Driver,
    hub::Refused,
    origin::RequestOrigin,
    server::Shared,
    session::{Opening, Session, Wire},
    store::fresh_id,
};

/// axum's default of 128 KiB would be most of what an idle connection costs.
const READ_BUFFER_BYTES: usize = 1024;
/// Frames of one batch gather here before they reach the socket.
const WRITE_BUFFER_BYTES: usize = limits::REPLAY_PIECE_BYTES_MAX;
/// Room in the write buffer beside a message and a `pong` of the largest size: control frames.
const WRITE_BUFFER_SLACK_BYTES: usize = 256 * 1024;
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
    Path(user): Path<String>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let origin = RequestOrigin::of(&headers, &shared.config.allowed_origins);
    if origin == RequestOrigin::Foreign {
        return foreign().into_response();
    }
    let admitted = async {
        let Ok(Query(parameters)) = parameters else {
            return Err(Problem::invalid("query", "The query string cannot be read."));
        };
        let identity = identify(&shared, &headers, &parameters)?;
        if identity.user.as_str() != user {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                ErrorCode::Forbidden,
                "The token does not speak for this user.",
            ));
        }
        let device = device(&parameters)?;
        match upgrade {
            Ok(upgrade) => open(shared, identity, device, upgrade).await,
            Err(rejection) => Err(probe(&shared, identity, &headers, &rejection).await),
        }
    };
    let response = admitted.await.unwrap_or_else(IntoResponse::into_response);
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
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization"),
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
    })?;
    shared.config.jwt.verify(token).map_err(untrusted)
}

pub(super) fn token<'a>(
    headers: &'a HeaderMap,
    parameters: &'a Parameters,
    allow_query_token: bool,
) -> Option<&'a str> {
    bearer(headers)
        .or_else(|| protocols(headers).find_map(|name| name.strip_prefix(BEARER_PREFIX)))
        .or_else(|| parameters.token.as_deref().filter(|_| allow_query_token))
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

async fn open(
    shared: Arc<Shared>,
    identity: Identity,
    device: Option<DeviceId>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let verified_at = Instant::now();
    // Joining first: a sign-in that ends after the look at it, and what is published after the
    // look at the mailbox, is then noticed.
    let ticket = shared.hub.join(&identity.user, identity.session.clone());
    let Identity { user, expires_in, .. } =
        shared.still_stands(identity).await.map_err(untrusted)?;
    let ticket = ticket.map_err(crowded)?;
    let place = shared.store.locate(&user, device.as_ref()).await.map_err(|error| {
        tracing::error!(%error, "a connection was refused");
        out_of_order()
    })?;
    let bytes_max = shared.limits.message_bytes_max;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(
            shared.limits.publish_bytes_max + bytes_max + WRITE_BUFFER_SLACK_BYTES,
        )
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max);
    let wire = if upgrade.selected_protocol().is_some() { Wire::V1 } else { Wire::Plain };
    Ok(upgrade.on_upgrade(move |socket| async move {
        let now = Instant::now();
        let opening = Opening {
            connection: fresh_id(),
            user: user.clone(),
            wire,
            place,
            token_expires_in: expires_in.saturating_sub(now - verified_at),
            limits: shared.limits.clone(),
            time_ms: clock::now_ms(),
        };
        let session = Session::open(opening, now);
        Driver::new(socket, session, ticket, shared, user, device).run().await;
    }))
}

async fn probe(
    shared: &Shared,
    identity: Identity,
    headers: &HeaderMap,
    rejection: &WebSocketUpgradeRejection,
) -> Problem {
    let user = match shared.still_stands(identity).await {
        Ok(identity) => identity.user,
        Err(error) => return untrusted(error),
    };
    let wants_websocket = headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if matches!(rejection, WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_)) {
        return upgrade_required("This server speaks version 13 of the WebSocket protocol.")
            .header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    if wants_websocket {
        return Problem::new(
            StatusCode::BAD_REQUEST,
            ErrorCode::BadFrame,
            "This is not a WebSocket handshake as RFC 6455 describes it.",
        );
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
