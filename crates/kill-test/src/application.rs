//! The application behind the webhook. It is not killed, so that its memory is durable enough.

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::{Html, IntoResponse as _, Response},
    routing::post,
};
use futures_util::stream;
use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{ledger::lock, page::device_name, scene::user_name};

/// What a proxy says.
const PAGE: &str = "<html><body><h1>Nothing is here</h1></body></html>";
/// One in so many requests fails before it takes effect, and as many after it.
const FAILS_EVERY: u32 = 1_000;

/// Who sends: one device of a user, over all its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SenderName {
    pub(crate) user: usize,
    pub(crate) device: usize,
}

/// Commits each send with its effect. Ids count per sender, and effects have to come in that
/// order, so that a number stands for the set of all ids up to it.
#[derive(Debug)]
pub(crate) struct Application {
    books: Mutex<Books>,
    mood: watch::Sender<Mood>,
}

/// How the application, or what stands before it, answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Nothing, until it is well again.
    Hangs,
    /// What a proxy says while nothing is behind it, or before it was told of us: a page for people.
    Page(StatusCode),
    /// What was done, and then an answer that never ends.
    Endless,
    /// What was done, and then an answer that breaks off.
    Breaks,
}

#[derive(Debug, Default)]
struct Books {
    effects: HashMap<SenderName, u32>,
    problems: Vec<String>,
    random: fastrand::Rng,
}

#[derive(Deserialize)]
struct Request {
    user: String,
    device: String,
    message: Order,
}

#[derive(Deserialize)]
struct Order {
    id: String,
    user: usize,
    device: usize,
    n: u32,
}

impl Application {
    /// Listens on a port of its own; answers the URL.
    pub(crate) async fn start(
        random: fastrand::Rng,
    ) -> Result<(Arc<Self>, String, JoinHandle<()>)> {
        let books = Books { random, ..Books::default() };
        let mood = watch::Sender::new(Mood::Well);
        let application = Arc::new(Self { books: Mutex::new(books), mood });
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}/sends", listener.local_addr()?);
        let router = Router::new().route("/sends", post(receive)).with_state(application.clone());
        let serving = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok((application, url, serving))
    }

    /// How many sends of this sender took effect.
    pub(crate) fn effects(&self, sender: SenderName) -> u32 {
        lock(&self.books).effects.get(&sender).copied().unwrap_or(0)
    }

    pub(crate) fn is(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        lock(&self.books).problems.clone()
    }
}

async fn receive(
    State(application): State<Arc<Application>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mood = *application.mood.borrow();
    if mood == Mood::Hangs {
        // The sender of the mood lives as long as the application.
        let _ = application.mood.subscribe().wait_for(|mood| *mood != Mood::Hangs).await;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Ok(request) = serde_json::from_slice::<Request>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let take = || lock(&application.books).take(&request, key);
    match mood {
        Mood::Well | Mood::Hangs => take().into_response(),
        Mood::Page(status) => (status, Html(PAGE)).into_response(),
        Mood::Endless => {
            take();
            let pieces = stream::repeat_with(|| Ok::<_, io::Error>(PAGE));
            (StatusCode::NOT_FOUND, Body::from_stream(pieces)).into_response()
        }
        Mood::Breaks => {
            take();
            let pieces = [Ok(PAGE), Err(io::Error::other("it breaks off"))];
            (StatusCode::NOT_FOUND, Body::from_stream(stream::iter(pieces))).into_response()
        }
    }
}

impl Books {
    fn take(&mut self, request: &Request, key: Option<&str>) -> StatusCode {
        let Request { user, device, message: Order { id, user: author, device: page, n } } =
            request;
        let sender = SenderName { user: *author, device: *page };
        if *user != user_name(*author) || *device != device_name(*page) {
            self.problems.push(format!("{sender}: send {id} came as one of {user} on {device}"));
            return StatusCode::BAD_REQUEST;
        }
        if key != Some(&*format!("{user}/{id}")) {
            self.problems.push(format!("{sender}: send {id} came under the key {key:?}"));
        }
        let lot = self.random.u32(..FAILS_EVERY);
        if lot == 0 {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        if !self.commit(sender, *n) {
            return StatusCode::BAD_REQUEST;
        }
        if lot == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
    }
}

impl Books {
    /// A send takes effect, unless it did before; false if one is missing before it.
    fn commit(&mut self, sender: SenderName, n: u32) -> bool {
        let effects = self.effects.entry(sender).or_default();
        if n > *effects {
            self.problems.push(format!("{sender}: send {n} came before send {effects}"));
            return false;
        }
        *effects = (*effects).max(n + 1);
        true
    }
}

impl fmt::Display for SenderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "user {}, device {}", self.user, self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_takes_effect_once_and_none_overtakes_another() {
        let sender = SenderName { user: 0, device: 0 };
        let mut books = Books::default();
        assert!(books.commit(sender, 0) && books.commit(sender, 0) && books.commit(sender, 1));
        assert_eq!(books.effects[&sender], 2);
        assert!(!books.commit(sender, 3));
        assert_eq!(books.problems.len(), 1);
    }
}
