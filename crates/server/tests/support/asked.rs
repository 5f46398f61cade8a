use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::State, http::HeaderMap, response::IntoResponse, routing::post};
use serde_json::Value;
use tetherline_server::{ConnectHookOptions, ConnectWebhook, ConnectWebhookOptions};
use tokio::sync::{Mutex, Notify, Semaphore};

use super::{PATIENCE, TestServer, config};

pub const HOOK_SECRET: &str = "the-secret-that-both-know";

/// An application behind a URL that is asked who connects.
#[derive(Clone)]
pub struct Asked {
    requests: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    /// What it answers, in order; the last one again and again.
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    /// Each answer takes one.
    gate: Arc<Semaphore>,
    came: Arc<Notify>,
}

impl Asked {
    pub async fn start(answers: &[(u16, &str)]) -> (Self, SocketAddr) {
        let answers = answers.iter().map(|&(status, body)| (status, body.to_owned())).collect();
        let asked = Self {
            requests: Arc::default(),
            answers: Arc::new(Mutex::new(answers)),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            came: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/hook", post(answer))
            .route("/elsewhere", post(async || r#"{"user":"ada"}"#))
            .with_state(asked.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (asked, address)
    }

    /// From now on it answers nothing.
    pub fn hang(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub fn answer_some(&self, count: usize) {
        self.gate.add_permits(count);
    }

    pub async fn answers(&self, status: u16, body: &str) {
        *self.answers.lock().await = [(status, body.to_owned())].into();
    }

    pub async fn times(&self) -> usize {
        self.requests.lock().await.len()
    }

    /// Waits until so many requests have come.
    pub async fn asked(&self, times: usize) {
        let asked = tokio::time::timeout(PATIENCE, async {
            while self.times().await < times {
                self.came.notified().await;
            }
        });
        asked.await.expect("it is asked");
    }

    pub async fn last(&self) -> (HeaderMap, Value) {
        self.requests.lock().await.last().unwrap().clone()
    }
}

async fn answer(State(asked): State<Asked>, headers: HeaderMap, body: String) -> impl IntoResponse {
    asked.requests.lock().await.push((headers, serde_json::from_str(&body).unwrap()));
    asked.came.notify_one();
    asked.gate.acquire().await.unwrap().forget();
    let mut answers = asked.answers.lock().await;
    let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
    let (status, body) = answer.unwrap();
    let location = [("location", "/elsewhere")];
    (axum::http::StatusCode::from_u16(status).unwrap(), location, body)
}

pub fn webhook(address: SocketAddr) -> Arc<ConnectWebhook> {
    let url = format!("http://{address}/hook");
    Arc::new(ConnectWebhook::open(ConnectWebhookOptions::new(&url, HOOK_SECRET)).unwrap())
}

/// A server that asks there.
pub async fn server_asking(
    address: SocketAddr,
    change: impl FnOnce(&mut ConnectHookOptions),
) -> TestServer {
    let server = TestServer::start(config()).await;
    let mut options = ConnectHookOptions::default();
    // A machine that is busy is no hook that is silent.
    options.timeout = Duration::from_secs(20);
    change(&mut options);
    server.server.attach_connect_hook(webhook(address), options);
    server
}
