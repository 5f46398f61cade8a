//! A backend that pipes a model into an answer, over HTTP.

use anyhow::{Context as _, Result, ensure};
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::{Body, Client, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    server::Server,
    words::{Moment, moments, now},
};

/// In which requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// One long one, a line for each word.
    Lines,
    /// One for each word.
    Requests,
}

/// One attempt at an answer.
pub(crate) struct Writer<'a> {
    http: &'a Client,
    server: &'a Server,
    url: String,
}

impl<'a> Writer<'a> {
    pub(crate) async fn open(server: &'a Server, http: &'a Client, user: &str) -> Result<Self> {
        let streams = server.streams(user);
        let request = http.post(&streams).bearer_auth(&server.api_key).body("{}");
        let opened = answer(request).await?;
        let uuid = opened["message_uuid"].as_str().context("it has a name")?;
        Ok(Self { http, server, url: format!("{streams}/{uuid}/1") })
    }

    pub(crate) fn path(&self) -> Result<&str> {
        let (_, path) = self.url.split_once(&self.server.address).context("a URL of the server")?;
        Ok(path)
    }

    /// Writes all of it, ends the answer, and says when each word was known to be durable, as far as
    /// that is said.
    pub(crate) async fn pipe(
        &self,
        way: Way,
        words: impl Stream<Item = Result<String>> + Send + 'static,
    ) -> Result<Vec<(Moment, Moment)>> {
        match way {
            Way::Lines => {
                let lines = words.map(|word| word.map(|word| line(&json!({ "text": word }))));
                let end = stream::iter([Ok(line(&json!({ "status": "complete" })))]);
                let request = self.request("text").body(Body::wrap_stream(lines.chain(end)));
                answer(request.header("content-type", "application/x-ndjson")).await?;
                Ok(Vec::new())
            }
            Way::Requests => self.one_by_one(words).await,
        }
    }

    async fn one_by_one(
        &self,
        words: impl Stream<Item = Result<String>>,
    ) -> Result<Vec<(Moment, Moment)>> {
        let (mut words, mut offset, mut durable) =
            (std::pin::pin!(words), Value::from(0), Vec::new());
        while let Some(word) = words.next().await.transpose()? {
            let piece = json!({ "text": word, "offset": offset });
            offset =
                answer(self.request("text").body(piece.to_string())).await?["next_offset"].take();
            durable.extend(moments(&word).map(|said_at| (said_at, now())));
        }
        answer(self.request("finish")).await?;
        Ok(durable)
    }

    fn request(&self, what: &str) -> RequestBuilder {
        let url = format!("{}/{what}", self.url);
        self.http.post(url).bearer_auth(&self.server.api_key)
    }
}

fn line(fields: &Value) -> String {
    format!("{fields}\n")
}

async fn answer(request: RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "{status}: {text}");
    Ok(serde_json::from_str(&text)?)
}
