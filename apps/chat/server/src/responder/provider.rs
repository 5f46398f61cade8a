//! An OpenAI-compatible server, over its `/chat/completions`.

use std::{fmt, time::Duration};

use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::{
    history::{Failure, Role},
    jobs::Turn,
    limits::{PROVIDER_CONNECT_TIMEOUT, PROVIDER_RESPONSE_BYTES_MAX, PROVIDER_TIMEOUT},
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
    #[error("cannot prepare the connection to the provider: {0}; are CA certificates installed?")]
    Client(reqwest::Error),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    #[error(
        "The AI provider cannot be reached. Check that it is running and that OPENAI_BASE_URL is \
         right, then try again."
    )]
    Unreachable,
    #[error("The AI provider took too long to answer. Try again, perhaps with a shorter question.")]
    TimedOut,
    #[error("The AI provider refused our key. Check OPENAI_API_KEY, then try again.")]
    Unauthorized,
    #[error("The AI provider is busy or the quota is used up. Wait a little, then try again.")]
    RateLimited,
    #[error(
        "The AI provider does not know the model or the address. Check CHAT_MODEL and OPENAI_BASE_URL."
    )]
    NotFound,
    #[error("The AI provider refused the question (HTTP {0}). Rephrase it, or try again.")]
    Refused(u16),
    #[error("The AI provider has a problem of its own (HTTP {0}). Try again in a moment.")]
    Failed(u16),
    #[error(
        "The AI provider sent something that is no answer. Try again; if it persists, check OPENAI_BASE_URL."
    )]
    Unreadable,
    #[error("The AI provider sent an empty answer. Try again.")]
    Empty,
}

impl Provider {
    /// `None` if neither a base URL nor a key is given: then nothing is configured.
    pub fn configure(
        base_url: Option<&str>,
        api_key: Option<&str>,
        model: Option<&str>,
    ) -> Result<Option<Self>, InvalidProvider> {
        Self::with_timeout(base_url, api_key, model, PROVIDER_TIMEOUT)
    }

    /// The same with another patience for a whole answer.
    pub fn with_timeout(
        base_url: Option<&str>,
        api_key: Option<&str>,
        model: Option<&str>,
        timeout: Duration,
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
        let mut client =
            Client::builder().connect_timeout(PROVIDER_CONNECT_TIMEOUT).timeout(timeout);
        if endpoint.scheme() == "http" {
            // A local model must not need CA certificates to be installed.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(InvalidProvider::Client)?;
        Ok(Some(Self { client, endpoint, api_key, model }))
    }

    pub(super) async fn answer(&self, turns: &[Turn]) -> Result<String, ProviderError> {
        let mut request = self.client.post(self.endpoint.clone()).json(&self.request(turns));
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        let status = response.status();
        if !status.is_success() {
            tracing::warn!(%status, model = self.model, "the provider refused to answer");
            return Err(refusal(status));
        }
        let body = self.body(response).await?;
        let completion: Completion =
            serde_json::from_slice(&body).map_err(|_| ProviderError::Unreadable)?;
        let choice = completion.choices.into_iter().next().ok_or(ProviderError::Unreadable)?;
        match choice.message.content {
            Some(content) if !content.trim().is_empty() => Ok(content),
            _ => Err(ProviderError::Empty),
        }
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
            stream: false,
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ProviderError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            if body.len() + chunk.len() > PROVIDER_RESPONSE_BYTES_MAX {
                return Err(ProviderError::Unreadable);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn lost(&self, error: &reqwest::Error) -> ProviderError {
        tracing::warn!(host = self.endpoint.host_str(), %error, "the provider cannot be reached");
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

impl ProviderError {
    pub(super) fn into_failure(self) -> Failure {
        let code = match self {
            Self::Unreachable => "provider_unreachable",
            Self::TimedOut => "provider_timed_out",
            Self::Unauthorized => "provider_unauthorized",
            Self::RateLimited => "provider_rate_limited",
            Self::NotFound => "provider_not_found",
            Self::Refused(_) => "provider_refused",
            Self::Failed(_) => "provider_failed",
            Self::Unreadable => "provider_unreadable",
            Self::Empty => "provider_empty",
        };
        Failure { code: code.into(), message: self.to_string() }
    }
}

fn refusal(status: StatusCode) -> ProviderError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ProviderError::Unauthorized,
        StatusCode::NOT_FOUND => ProviderError::NotFound,
        StatusCode::TOO_MANY_REQUESTS => ProviderError::RateLimited,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => ProviderError::TimedOut,
        status if status.is_client_error() => ProviderError::Refused(status.as_u16()),
        status => ProviderError::Failed(status.as_u16()),
    }
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

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: CompletionMessage,
}

#[derive(Deserialize)]
struct CompletionMessage {
    content: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_taken_with_and_without_their_ends() {
        for (base, expected) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
            ("http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
            ("http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
            ("https://example.org/openai/v1", "https://example.org/openai/v1/chat/completions"),
        ] {
            assert_eq!(endpoint(base).unwrap().as_str(), expected);
        }
        assert!(endpoint("localhost:11434").is_err());
        assert!(endpoint("nonsense").is_err());
    }

    #[test]
    fn a_model_is_only_assumed_where_it_is_known() {
        let configure = Provider::configure;
        assert!(configure(None, None, Some("m")).unwrap().is_none());
        assert!(configure(Some(" "), Some(""), None).unwrap().is_none());
        assert!(matches!(
            configure(Some("http://localhost:11434/v1"), None, None),
            Err(InvalidProvider::NoModel)
        ));
        let local = configure(Some("http://localhost:11434/v1"), None, Some("m")).unwrap().unwrap();
        assert_eq!(
            format!("{local:?}"),
            "Provider(m at http://localhost:11434/v1/chat/completions)"
        );
    }
}
