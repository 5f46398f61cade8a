use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use hyper::upgrade::OnUpgrade;

use super::connect::{not_a_handshake, switching_protocols, upgrade_required, upgraded};
use crate::connection::socket::{Handshake, NoHandshake, Socket};

/// A WebSocket at every path, which says what it hears: for test suites of RFC 6455, over the same
/// handshake and the same socket layer as every connection's. Messages larger than `message_bytes_max` close
/// it.
pub fn echo(message_bytes_max: usize) -> Router {
    Router::new().fallback(async move |request| begin(request, message_bytes_max))
}

fn begin(request: Request, message_bytes_max: usize) -> Response {
    let (mut request, _) = request.into_parts();
    let handshake = Handshake::of(&request.method, request.version, &request.headers);
    match (handshake, request.extensions.remove::<OnUpgrade>()) {
        (Ok(handshake), Some(upgrade)) => {
            tokio::spawn(async move {
                if let Some(upgraded) = upgraded(upgrade).await {
                    Socket::of(upgraded, message_bytes_max).echo().await;
                }
            });
            switching_protocols(&handshake, None)
        }
        (handshake, _) => {
            let none = handshake.err().unwrap_or(NoHandshake::Malformed);
            let problem = not_a_handshake(&none);
            problem.unwrap_or_else(|| upgrade_required("Connect with a WebSocket.")).into_response()
        }
    }
}
