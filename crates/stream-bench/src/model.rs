//! A model with an OpenAI-compatible stream that says, to everybody who listens, what time it is.

use std::convert::Infallible;

use anyhow::{Context as _, Result};
use axum::{
    Router, body::Body, extract::State, http::header, response::IntoResponse, routing::post,
};
use eventsource_stream::Eventsource as _;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::broadcast};

use crate::words::{Moment, word};

/// More than can wait between two looks: everybody here reads at once.
const WAITING_MAX: usize = 4_096;

#[derive(Clone)]
pub(crate) struct Model {
    voice: broadcast::Sender<Option<String>>,
    url: String,
}

impl Model {
    pub(crate) async fn start() -> Result<Self> {
        let (voice, _) = broadcast::channel(WAITING_MAX);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/v1/chat/completions", listener.local_addr()?);
        let router =
            Router::new().route("/v1/chat/completions", post(speak)).with_state(voice.clone());
        tokio::spawn(async move { axum::serve(NoDelay(listener), router).await });
        Ok(Self { voice, url })
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.voice.receiver_count()
    }

    pub(crate) fn say(&self, moment: Moment) {
        let chunk = format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#, word(moment));
        // Who has hung up is missed where its words are compared.
        let _ = self.voice.send(Some(format!("data: {chunk}\n\n")));
    }

    pub(crate) fn end(&self) {
        let _ = self.voice.send(None);
    }

    /// What it says, as a client reads it.
    pub(crate) async fn listen(
        &self,
        http: &reqwest::Client,
    ) -> Result<impl Stream<Item = Result<String>> + use<>> {
        let response = http.post(&self.url).body("{}").send().await?.error_for_status()?;
        let events = response.bytes_stream().eventsource().take_while(|event| {
            let is_over = event.as_ref().is_ok_and(|event| event.data == "[DONE]");
            async move { !is_over }
        });
        Ok(events.map(|event| content(&event?.data)))
    }
}

#[derive(Deserialize)]
struct Chunk {
    choices: [Choice; 1],
}

#[derive(Deserialize)]
struct Choice {
    delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
    content: String,
}

fn content(data: &str) -> Result<String> {
    let Chunk { choices: [choice] } =
        serde_json::from_str(data).context("the model's own words")?;
    Ok(choice.delta.content)
}

async fn speak(State(voice): State<broadcast::Sender<Option<String>>>) -> impl IntoResponse {
    let events = stream::unfold(Some(voice.subscribe()), |listening| async move {
        let mut listening = listening?;
        match listening.recv().await {
            Ok(Some(event)) => Some((Ok::<_, Infallible>(event), Some(listening))),
            _ => Some((Ok("data: [DONE]\n\n".to_owned()), None)),
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events))
}

/// As providers do: a word that waits for another in the kernel would be the model's delay.
struct NoDelay(TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        let _ = stream.set_nodelay(true);
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
