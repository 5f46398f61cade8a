use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Query, Request, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use tetherline_protocol::{DeviceId, ErrorCode, SUBPROTOCOL, TOKEN_HEADER, UserId};
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use super::{
    answer::Problem,
    cors::{self, foreign, with_cors},
    credentials::{Cookies, Parameters, Rules, credentials, device, speaks_v1},
    segments::Segments,
    serve::Requester,
    too_fast::{attempt, network, rate_limited},
};
use crate::{
    ConnectRefusal, ConnectRequest, May, Network, clock,
    connection::{
        driver::Driver,
        hub::{About, Membership, Refused},
        pump::Pump,
        session::{Opening, Wire},
        socket::{Handshake, NoHandshake, Socket},
    },
    metrics::Connect,
    security::{
        auth::{Identity, InvalidToken},
        identify::Identified,
        origin::RequestOrigin,
    },
    server::Shared,
    store::{Place, fresh_id},
};

/// How long the answer to a handshake may take to go out.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a page of an allowed origin may ask with: its token, in either place.
const ALLOWED_HEADERS: &str = "authorization, tetherline-token";
/// When somebody with too many connections may try again.
const CROWDED_RETRY: Duration = Duration::from_secs(10);
/// When anybody may try again who came at a bad moment.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

/// `GET /ws/user/{user}`: everything is checked before the upgrade. Without one, the same URL
/// answers what an upgrade would have met, because a browser cannot see why one failed.
pub(super) async fn connect(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Response {
    answer(shared, Some(user), parameters, request).await
}

/// `GET /ws`: the same for whomever the credentials speak for.
pub(super) async fn connect_whoever(
    State(shared): State<Arc<Shared>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Response {
    answer(shared, None, parameters, request).await
}

async fn answer(
    shared: Arc<Shared>,
    user: Option<String>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Response {
    let (mut request, _) = request.into_parts();
    let upgrade = request.extensions.remove::<OnUpgrade>();
    let headers = &request.headers;
    let origin = RequestOrigin::of(headers, &shared.current().allowed_origins);
    let upgrades = upgrade.is_some();
    if origin == RequestOrigin::Foreign {
        if upgrades {
            shared.meters.metrics.refused(Connect::ForeignOrigin);
        }
        return foreign().into_response();
    }
    let counted = shared.clone();
    let admitted = async {
        let network = network(&shared, &request.extensions, headers);
        attempt(&shared, network)?;
        let Ok(Query(parameters)) = parameters else {
            return Err(Problem::invalid("query", "The query string cannot be read."));
        };
        let handshake = Handshake::of(&request.method, request.version, headers);
        let named = user.as_deref().and_then(|user| user.parse().ok());
        let wants_upgrade = !matches!(handshake, Err(NoHandshake::Unwanted));
        let identified = match &parameters.ticket {
            // Of a user who can be none, there is none.
            Some(_) if user.is_some() && named.is_none() => Err(InvalidToken::Ticket),
            Some(ticket) => {
                let identity = shared.redeem_ticket(ticket, named.as_ref()).await;
                identity.map(|identity| Identified { identity, asked: None })
            }
            None => {
                let rules = rules(&shared, wants_upgrade);
                shared.identify(credentials(&request, &parameters, named, &origin, rules)?).await
            }
        };
        let Identified { identity, asked } = identified.map_err(untrusted)?;
        if user.is_some_and(|user| *identity.user.as_str() != *user) {
            return Err(untrusted(InvalidToken::OtherUser));
        }
        let device = device(&parameters)?;
        // First: with a token whose sign-in has ended nobody uses up what its user may.
        let identity = shared.still_stands(identity).await.map_err(untrusted)?;
        // Whoever serves the router in another way has its own rules for connections.
        if let Some(requester) = request.extensions.get::<Requester>() {
            requester.shows_token();
        }
        match (handshake, upgrade) {
            (Ok(handshake), Some(upgrade)) => {
                let wire = if speaks_v1(headers) { Wire::V1 } else { Wire::Plain };
                // Before the look-up: what is committed from here on is told.
                shared.begin();
                let identified = Identified { identity, asked };
                open(shared, identified, network, (device, wire), upgrade).await?;
                Ok(switching_protocols(&handshake, (wire == Wire::V1).then_some(SUBPROTOCOL)))
            }
            // Something in between has taken the connection for itself.
            (Ok(_), None) => Err(probe(&shared, &identity.user, &NoHandshake::Malformed).await),
            (Err(none), _) => Err(probe(&shared, &identity.user, &none).await),
        }
    };
    let response = admitted.await.unwrap_or_else(|problem| {
        if upgrades {
            counted.meters.metrics.refused(problem.outcome());
        }
        naming_its_header(problem, headers).into_response()
    });
    with_cors(response, &origin)
}

/// What counts of what a request shows.
pub(super) fn rules(shared: &Shared, upgrades: bool) -> Rules {
    let cookies = match shared.connect_hook() {
        Some(_) => Cookies::WithOrigin { upgrades },
        None => Cookies::Nowhere,
    };
    let allow_query_token = shared.current().allow_query_token;
    let proxies = shared.meters.proxies();
    Rules { allow_query_token, cookies, proxies }
}

/// Lets an allowed page ask the same URL with its token in a header.
pub(super) async fn preflight(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    cors::preflight(("GET", ALLOWED_HEADERS), &shared, &headers)
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

pub(super) fn untrusted(error: InvalidToken) -> Problem {
    let refused = |error: InvalidToken| {
        Problem::unauthorized(format!("The token was refused: {error}.")).code(error.code())
    };
    match error {
        InvalidToken::Undecided => out_of_order(),
        InvalidToken::Ticket => {
            Problem::unauthorized("The ticket is wrong, too old, or was used before; get another.")
        }
        InvalidToken::KeysAway { wait } => Problem::unavailable(
            "Whether the token is good cannot be said right now, as its issuer's keys cannot be had; try again.",
            wait,
        )
        .counts_as(Connect::KeysUnavailable),
        InvalidToken::Expired => refused(error).counts_as(Connect::TokenExpired),
        InvalidToken::SignedOut => refused(error).counts_as(Connect::SignedOut),
        InvalidToken::NotYetValid { wait } => refused(error).retry_after(wait),
        InvalidToken::OtherUser => Problem::new(
            StatusCode::FORBIDDEN,
            ErrorCode::Forbidden,
            "The token does not speak for this user.",
        ),
        InvalidToken::Refused(refusal) => by_the_application(&refusal),
        error => refused(error),
    }
}

/// Admits a connection, which begins when the answer is out.
async fn open(
    shared: Arc<Shared>,
    Identified { identity, asked }: Identified,
    network: Option<Network>,
    (device, wire): (Option<DeviceId>, Wire),
    upgrade: OnUpgrade,
) -> Result<(), Problem> {
    let verified_at = Instant::now();
    shared.meters.connect(&identity.user, verified_at)?;
    let occupied = network.map(|network| shared.meters.occupy(network).ok_or_else(overcrowded));
    let occupied = occupied.transpose()?;
    // Joining before another look: a sign-in that ends after the look at it, and what is published after the
    // look at the mailbox, is then noticed.
    let membership = shared.hub.join(&identity.user, identity.session.clone());
    let Identity { user, expires_in, may, .. } =
        shared.still_stands(identity).await.map_err(untrusted)?;
    let mut membership = membership.map_err(crowded)?;
    membership.occupies(occupied);
    let place = shared.store.locate(&user, device.as_ref()).await.map_err(|error| {
        // The store has said it, as often as is good.
        tracing::debug!(%error, "a connection was refused");
        out_of_order()
    })?;
    let expires = (verified_at, expires_in);
    shared.meters.metrics.opened();
    let admitted = Admitted { shared, membership, user, device, wire, place, expires, may, asked };
    tokio::spawn(admitted.serve(upgrade));
    Ok(())
}

/// A connection whose peer is still to be told that it has one.
struct Admitted {
    shared: Arc<Shared>,
    membership: Membership,
    user: UserId,
    device: Option<DeviceId>,
    wire: Wire,
    place: Place,
    /// How long the token counts, from when on.
    expires: (Instant, Duration),
    may: May,
    asked: Option<Box<ConnectRequest>>,
}

impl Admitted {
    fn serve(self, upgrade: OnUpgrade) -> impl Future<Output = ()> + Send + 'static {
        // In a box of its own: a connection keeps no room for how it began.
        let opening = Box::pin(self.open(upgrade).in_current_span());
        async move {
            if let Some((driver, span)) = opening.await {
                driver.run().instrument(span).await;
            }
        }
    }

    async fn open(self, upgrade: OnUpgrade) -> Option<(Box<Driver>, Span)> {
        let upgraded = upgraded(upgrade).await?;
        let Self { shared, membership, user, device, wire, place, expires, may, asked } = self;
        let now = Instant::now();
        let (verified_at, expires_in) = expires;
        let connection = fresh_id();
        tracing::debug!(%connection, "the request becomes a connection");
        let span = tracing::debug_span!(parent: None, "websocket", %connection, ?user);
        let since_ms = clock::now_ms();
        let (id, of, network) = (connection.clone(), device.clone(), membership.network());
        membership.is_about(About { connection: id, device: of, network, since_ms });
        let current = shared.current();
        let opening = Opening {
            connection,
            user,
            wire,
            place,
            token_expires_in: expires_in.saturating_sub(now - verified_at),
            may,
            limits: current.limits.clone(),
            written_limits: current.written_limits.clone(),
            meters: shared.meters.clone(),
            time_ms: since_ms,
        };
        let pump = Pump::open(opening, membership, device, now);
        let socket = Socket::of(upgraded, current.limits.message_bytes_max);
        Some((Driver::new(socket, pump, shared, asked), span))
    }
}

pub(super) async fn upgraded(upgrade: OnUpgrade) -> Option<Upgraded> {
    match timeout(UPGRADE_TIMEOUT, upgrade).await {
        Ok(Ok(upgraded)) => return Some(upgraded),
        Ok(Err(error)) => tracing::debug!(%error, "a peer left before its upgrade"),
        Err(_) => tracing::debug!("a peer did not take the answer to its upgrade"),
    }
    None
}

pub(super) fn switching_protocols(
    handshake: &Handshake,
    subprotocol: Option<&'static str>,
) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, handshake.accept());
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    response
}

async fn probe(shared: &Shared, user: &UserId, handshake: &NoHandshake) -> Problem {
    if let Some(problem) = not_a_handshake(handshake) {
        return problem;
    }
    if let Err(refused) = shared.hub.admits(user) {
        return crowded(refused);
    }
    if let Err(too_fast) = shared.meters.may_connect(user, Instant::now()) {
        return too_fast.into();
    }
    match shared.store.head(user).await {
        Ok(_) => upgrade_required("The token is good; connect with a WebSocket."),
        Err(_) => out_of_order(),
    }
}

/// What somebody meets who wants a WebSocket, and does not ask for one as it has to be.
pub(super) fn not_a_handshake(handshake: &NoHandshake) -> Option<Problem> {
    match handshake {
        NoHandshake::Unwanted => None,
        NoHandshake::Version => {
            let message = "This server speaks version 13 of the WebSocket protocol.";
            let version = HeaderValue::from_static("13");
            Some(upgrade_required(message).header(header::SEC_WEBSOCKET_VERSION, version))
        }
        NoHandshake::Malformed => Some(Problem::new(
            StatusCode::BAD_REQUEST,
            ErrorCode::BadFrame,
            "This is not a WebSocket handshake as RFC 6455 describes it.",
        )),
    }
}

pub(super) fn upgrade_required(message: &str) -> Problem {
    Problem::new(StatusCode::UPGRADE_REQUIRED, ErrorCode::BadFrame, message)
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .header(header::CONNECTION, HeaderValue::from_static("upgrade"))
}

fn crowded(refused: Refused) -> Problem {
    match refused {
        Refused::User => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::RateLimited,
            "This user has as many connections as the server allows; close some, or try again later.",
        )
        .retry_after(CROWDED_RETRY)
        .counts_as(Connect::UserFull),
        Refused::Server => {
            Problem::unavailable("The server has all the connections it can take; try again later.", CROWDED_RETRY)
                .counts_as(Connect::ServerFull)
        }
        Refused::Draining { retry_after } => {
            Problem::unavailable("The server restarts.", retry_after).counts_as(Connect::Draining)
        }
    }
}

fn overcrowded() -> Problem {
    rate_limited(
        "As many connections are open from this address as the server allows; close some, or try again later.",
        CROWDED_RETRY,
    )
    .counts_as(Connect::AddressFull)
}

/// The application's own sentence, in the form that all refusals have.
fn by_the_application(refusal: &ConnectRefusal) -> Problem {
    let message = refusal.message();
    let problem = match refusal.code() {
        ErrorCode::Forbidden => Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message),
        ErrorCode::RateLimited => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, message)
        }
        ErrorCode::Unavailable => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message)
        }
        _ => Problem::unauthorized(message),
    };
    match refusal.wait() {
        Some(wait) => problem.retry_after(wait),
        None => problem,
    }
}

fn out_of_order() -> Problem {
    Problem::unavailable("The mailbox cannot be read right now; try again.", UNAVAILABLE_RETRY)
}

#[cfg(test)]
mod tests {
    use tetherline_protocol::Seq;

    use super::*;
    use crate::{Config, JwtKeys, Server, store::SqliteStore};

    /// What every open connection keeps for as long as it is open, besides what it shares, in bytes; its token
    /// buckets and turns are 168 of them, of how long a delivery takes it keeps 24, of how much its socket has not taken 8,
    /// and what the application was asked and told about it is 16.
    const CONNECTION_BYTES_MAX: usize = 1_648;

    #[tokio::test]
    async fn a_connection_keeps_no_room_for_how_it_began_and_will_end() {
        // The driver lay in its future twice, beside the states of the upgrade and of the close: 3.2 kB.
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
        let keys = JwtKeys::from_secret(b"0123456789abcdef0123456789abcdef").unwrap();
        let shared = Server::open(Config::new(keys), store).shared;
        let user: UserId = "ada".parse().unwrap();
        let place = shared.store.locate(&user, None).await.unwrap();
        assert_eq!(place.cursor, Seq::ZERO);
        let admitted = Admitted {
            membership: shared.hub.join(&user, None).ok().unwrap(),
            shared,
            user,
            device: None,
            wire: Wire::V1,
            place,
            expires: (Instant::now(), Duration::from_hours(1)),
            may: May::EVERYTHING,
            asked: None,
        };
        let future = admitted.serve(hyper::upgrade::on(http::Request::new(())));
        let bytes = size_of_val(&future) + size_of::<Driver>();
        assert!(bytes <= CONNECTION_BYTES_MAX, "{bytes} bytes");
    }
}
