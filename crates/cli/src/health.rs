use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use tetherline_process::{Exit, answer, outcome_of};
use tetherline_protocol::Problem;
use tetherline_server::http_client;

use crate::printable::printable;

/// Longer than the server waits for its store before it says that it is not ready.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// For containers without a shell, which ask this of themselves: 0 when the server is ready, 1 when it is not.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server.
    #[arg(long, env = "TETHERLINE_HEALTH_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Ask only whether the process serves, which it does while it drains or has no room, too.
    #[arg(long)]
    live: bool,
    /// Print one JSON object with what the server has answered.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let path = if options.live { "healthz" } else { "readyz" };
    let (http, _) = http_client(&options.url, None, |builder| builder.timeout(ANSWER_TIMEOUT))?;
    let server = options.url.trim_end_matches('/');
    let answer = http.get(format!("{server}/{path}")).send().await;
    let answer = answer
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("cannot reach {server}"))?;
    let status = answer.status();
    if options.json {
        let said = answer.bytes().await.unwrap_or_default();
        let reason = Problem::parse(&said).and_then(|problem| problem.reason);
        let is_ready = status.is_success();
        let report = json!({ "ready": is_ready, "status": status.as_u16(), "reason": reason });
        let written = outcome_of(self::answer(&report), "tetherline: the server was asked");
        return Ok(if is_ready { written } else { Exit::Failed.into() });
    }
    if !status.is_success() {
        let why = answer.text().await.unwrap_or_default();
        bail!("{server} is not ready ({}): {}", status.as_u16(), printable(&why));
    }
    Ok(ExitCode::SUCCESS)
}
