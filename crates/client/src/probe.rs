//! Asking the same URL without an upgrade why the socket did not open.

use reqwest::{
    Response,
    header::{AUTHORIZATION, RETRY_AFTER},
    redirect,
};
use tetherline_engine::ProbeAnswer;
use tetherline_protocol::{ErrorCode, Problem, TOKEN_HEADER, limits::PROBE_ANSWER_BYTES_MAX};

use crate::{
    endpoint::Endpoint,
    link::CONNECT_TIMEOUT,
    tls,
    trouble::{Trouble, chain},
};

/// What the URL answers, and in words, unless it says that nothing is wrong.
pub(crate) async fn probe(endpoint: Endpoint, token: String) -> (ProbeAnswer, Option<Trouble>) {
    match ask(&endpoint, token).await {
        Ok(response) => read(response, endpoint.password().is_some()).await,
        Err(error) => (ProbeAnswer::Unreachable, Some(chain(&error.without_url()))),
    }
}

async fn ask(endpoint: &Endpoint, token: String) -> reqwest::Result<Response> {
    // As the socket: through no proxy that the environment names, and to nowhere else.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(CONNECT_TIMEOUT);
    let client = if endpoint.is_tls() {
        client.tls_backend_preconfigured(tls::trust().await.as_ref().clone())
    } else {
        // Certificates that nobody needs need not be there.
        client.tls_certs_only([])
    };
    let request = client.build()?.get(endpoint.http());
    let request = match endpoint.password() {
        Some(password) => request.header(AUTHORIZATION, password).header(TOKEN_HEADER, token),
        None => request.bearer_auth(token),
    };
    request.send().await
}

/// `is_gated`: the token was in its own header.
async fn read(mut response: Response, is_gated: bool) -> (ProbeAnswer, Option<Trouble>) {
    let status = response.status();
    let retry_after_ms = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
        .map(|seconds| seconds.saturating_mul(1_000));
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > PROBE_ANSWER_BYTES_MAX {
            // Ours are shorter.
            body.clear();
            break;
        }
    }
    // An older server does not know the header, and misses a token.
    let is_about_us = |problem: &Problem| {
        let names_header = problem.field.as_deref() == Some(TOKEN_HEADER);
        !is_gated || problem.code != ErrorCode::Unauthorized || names_header
    };
    let problem = Problem::parse(&body).filter(is_about_us);
    let answer =
        ProbeAnswer::of(status.as_u16(), problem.as_ref().map(|it| it.code), retry_after_ms);
    let words = match problem {
        _ if answer == ProbeAnswer::Acceptable => return (answer, None),
        Some(problem) => problem.message.into(),
        None => format!("it answers {status}, and not as Tetherline does").into(),
    };
    (answer, Some(words))
}
