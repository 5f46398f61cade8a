//! An OpenAI-compatible server, over its `/chat/completions`.

mod error;
mod reading;
mod surrogates;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use reqwest::{Client, Proxy, Response, Url, redirect};
use serde::Serialize;
use tetherline_server::chain;
use tokio::time::timeout;

pub(super) use self::error::ProviderError;
use self::reading::{Reading, Step};
use crate::trouble::PROVIDER;
use crate::{
    history::Role,
    jobs::Turn,
    limits::{
        PROVIDER_CONNECT_TIMEOUT, PROVIDER_END_TIMEOUT, PROVIDER_ERROR_BYTES_MAX,
        PROVIDER_FIRST_TIMEOUT, PROVIDER_STALL_TIMEOUT, PROVIDER_TIMEOUT,
    },
};

const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
const OPENAI_DEFAULT_MODEL: &str = "gpt-4o-mini";
const INSTRUCTIONS: &str = "You are a helpful assistant. Answer in Markdown.";

/// Where to ask, as whom, and for which model.
#[derive(Clone)]
pub struct Provider {
    client: Client,
    endpoint: Url,
    api_key: Option<String>,
    model: String,
    patience: Patience,
}

/// How long a provider is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until the first byte of an answer.
    pub first: Duration,
    /// From any byte to the next.
    pub stall: Duration,
    /// For a whole answer.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: PROVIDER_FIRST_TIMEOUT,
            stall: PROVIDER_STALL_TIMEOUT,
            whole: PROVIDER_TIMEOUT,
        }
    }
}

/// Why a provider cannot be configured this way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProvider {
    /// The base URL is none.
    #[error(
        "OPENAI_BASE_URL={0:?} is not a URL; write it as https://api.openai.com/v1 or \
         http://localhost:11434/v1"
    )]
    BaseUrl(String),
    /// Only `OpenAI`'s own server has a model that we can assume.
    #[error(
        "CHAT_MODEL is not set; name a model that the server at OPENAI_BASE_URL has, for example \
         CHAT_MODEL=llama3.2"
    )]
    NoModel,
    /// The HTTP client cannot start.
    #[error(
        "cannot prepare the connection to the provider: {}; are CA certificates installed?",
        chain(.0)
    )]
    Client(reqwest::Error),
    /// The proxy's address is none.
    #[error("CHAT_PROXY is not the address of a proxy: it looks like http://127.0.0.1:3128")]
    Proxy,
}

impl Provider {
    /// `None` if neither a base URL nor a key is given: then nothing is configured.
    pub fn configure(
        base_url: Option<&str>,
        api_key: Option<&str>,
        model: Option<&str>,
        proxy: Option<&str>,
    ) -> Result<Option<Self>, InvalidProvider> {
        Self::open(base_url, api_key, model, proxy, Patience::default())
    }

    /// The same with another patience.
    pub fn with_patience(
        base_url: Option<&str>,
        api_key: Option<&str>,
        model: Option<&str>,
        patience: Patience,
    ) -> Result<Option<Self>, InvalidProvider> {
        Self::open(base_url, api_key, model, None, patience)
    }

    fn open(
        base_url: Option<&str>,
        api_key: Option<&str>,
        model: Option<&str>,
        proxy: Option<&str>,
        patience: Patience,
    ) -> Result<Option<Self>, InvalidProvider> {
        let set = |value: Option<&str>| {
            value.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let (base_url, api_key, model) = (set(base_url), set(api_key), set(model));
        if base_url.is_none() && api_key.is_none() {
            return Ok(None);
        }
        let model = match (model, &base_url) {
            (Some(model), _) => model,
            (None, None) => OPENAI_DEFAULT_MODEL.into(),
            (None, Some(url)) if url.starts_with("https://api.openai.com") => {
                OPENAI_DEFAULT_MODEL.into()
            }
            (None, Some(_)) => return Err(InvalidProvider::NoModel),
        };
        let endpoint = endpoint(base_url.as_deref().unwrap_or(OPENAI_BASE_URL))?;
        // What the environment names for other programs would get people's words, and the key; so would
        // whatever a redirect names.
        let mut client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(PROVIDER_CONNECT_TIMEOUT)
            .timeout(patience.whole);
        let mut needs_certificates = endpoint.scheme() == "https";
        if let Some(proxy) = set(proxy) {
            needs_certificates |= proxy.to_ascii_lowercase().starts_with("https:");
            client = client.proxy(Proxy::all(proxy).map_err(|_| InvalidProvider::Proxy)?);
        }
        if !needs_certificates {
            // A local model must not need CA certificates to be installed.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(InvalidProvider::Client)?;
        Ok(Some(Self { client, endpoint, api_key, model, patience }))
    }

    /// The answer as it comes, from the first time that this is read.
    pub(super) fn stream(
        self,
        turns: Vec<Turn>,
    ) -> impl Stream<Item = Result<String, ProviderError>> + Send {
        stream::once(async move {
            let response = self.ask(&turns).await?;
            Ok(pieces(response, self.patience))
        })
        .try_flatten()
    }

    async fn ask(&self, turns: &[Turn]) -> Result<Response, ProviderError> {
        let mut request = self.client.post(self.endpoint.clone()).json(&self.request(turns));
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key);
        }
        let response = timeout(self.patience.first, request.send())
            .await
            .map_err(|_| self.too_slow())?
            .map_err(|error| self.lost(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        Ok(response)
    }

    /// The status says what kind of refusal it is, unless its body says it better.
    async fn refusal(&self, mut response: Response) -> ProviderError {
        let status = response.status();
        let mut body = Vec::new();
        let reading = async {
            while let Ok(Some(chunk)) = response.chunk().await
                && body.len() + chunk.len() <= PROVIDER_ERROR_BYTES_MAX
            {
                body.extend_from_slice(&chunk);
            }
        };
        // What has come by then counts.
        let _ = timeout(self.patience.first.min(PROVIDER_END_TIMEOUT), reading).await;
        ProviderError::of_refusal(status, &self.model, &body)
    }

    fn request<'a>(&'a self, turns: &'a [Turn]) -> Request<'a> {
        let instructions = RequestMessage { role: "system", content: INSTRUCTIONS };
        let turns = turns.iter().map(|turn| RequestMessage {
            role: if turn.role == Role::User { "user" } else { "assistant" },
            content: &turn.content,
        });
        Request {
            model: &self.model,
            messages: std::iter::once(instructions).chain(turns).collect(),
            stream: true,
        }
    }

    fn too_slow(&self) -> ProviderError {
        let host = self.endpoint.host_str().unwrap_or_default();
        let why = format_args!("nothing came from {host} within {:?}", self.patience.first);
        PROVIDER.warn("the provider took too long to answer", &why);
        ProviderError::TimedOut
    }

    fn lost(&self, error: &reqwest::Error) -> ProviderError {
        let host = self.endpoint.host_str().unwrap_or_default();
        let why = format_args!("{host}: {}", chain(error));
        PROVIDER.warn("the provider cannot be reached", &why);
        if error.is_timeout() && !error.is_connect() {
            ProviderError::TimedOut
        } else {
            ProviderError::Unreachable
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Provider({} at {})", self.model, self.endpoint)
    }
}

/// A response on its way.
struct Body {
    response: Response,
    reading: Reading,
    patience: Patience,
    /// How long the next byte is waited for.
    wait: Duration,
}

fn pieces(
    response: Response,
    patience: Patience,
) -> impl Stream<Item = Result<String, ProviderError>> + Send {
    let body = Body { response, reading: Reading::new(), patience, wait: patience.first };
    stream::unfold(Some(body), async |body| {
        let mut body = body?;
        let step = body.next().await;
        let rest = step.end.is_none().then_some(body);
        let text = Some(Ok(step.text)).filter(|text| text != &Ok(String::new()));
        let error = step.end.and_then(Result::err).map(Err);
        Some((stream::iter(text.into_iter().chain(error)), rest))
    })
    .flatten()
}

impl Body {
    async fn next(&mut self) -> Step {
        match timeout(self.wait, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                let step = logged(self.reading.take(&bytes), "the provider said so");
                self.wait = if self.reading.may_be_whole() {
                    self.patience.stall.min(PROVIDER_END_TIMEOUT)
                } else {
                    self.patience.stall
                };
                step
            }
            Ok(Ok(None)) => {
                let step = std::mem::replace(&mut self.reading, Reading::new()).finish();
                logged(step, "the provider ended its answer")
            }
            Ok(Err(error)) if error.is_timeout() => {
                logged(self.cut(ProviderError::TimedOut), &chain(&error))
            }
            Ok(Err(error)) => logged(self.cut(ProviderError::EndedEarly), &chain(&error)),
            Err(_) if self.reading.has_begun() => {
                logged(self.cut(ProviderError::Stalled), "the provider fell silent")
            }
            Err(_) => logged(self.cut(ProviderError::TimedOut), "the provider fell silent"),
        }
    }

    fn cut(&mut self, error: ProviderError) -> Step {
        let mut step = Step::default();
        self.reading.cut(error, &mut step);
        step
    }
}

/// Says once why there is no whole answer, unless what the provider said of it was logged already.
fn logged(step: Step, cause: &str) -> Step {
    match &step.end {
        Some(Err(problem)) if problem.is_ours() || *problem == ProviderError::TimedOut => {
            let why = format_args!("{problem:?}: {cause}");
            PROVIDER.warn("the provider gave no whole answer", &why);
        }
        Some(Ok(())) => PROVIDER.over(),
        _ => {}
    }
    step
}

/// A base URL ends in `/v1`, as `OpenAI`'s own clients have it; a bare host is completed.
fn endpoint(base_url: &str) -> Result<Url, InvalidProvider> {
    let invalid = || InvalidProvider::BaseUrl(base_url.into());
    let mut url: Url = base_url.parse().map_err(|_| invalid())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid());
    }
    let path = match url.path().trim_end_matches('/') {
        "" => "/v1",
        path => path,
    };
    let path = format!("{path}/chat/completions");
    url.set_path(&path);
    Ok(url)
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: Vec<RequestMessage<'a>>,
    stream: bool,
}

#[derive(Serialize)]
struct RequestMessage<'a> {
    role: &'a str,
    content: &'a str,
}
