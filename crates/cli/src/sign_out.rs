use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use reqwest::Url;
use serde_json::json;
use tetherline_process::{Exit, answer, note, outcome_of};
use tetherline_protocol::UserId;

use crate::publish::Access;

/// Ends the tokens of a user that were made until now, or those of one session. Connections that stand on them
/// are closed within a second, and none of them opens another. Whoever gets a new token is in again: see to it
/// that whoever issues tokens gives them none first.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    api: Access,
    /// Who is to be signed out.
    #[arg(long)]
    user: UserId,
    /// Only this session, as the tokens have it in `sid`.
    #[arg(long, value_name = "SID")]
    session: Option<String>,
    /// Print one JSON object when it is done.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let (http, user) = options.api.user(&options.user)?;
    let sessions = sessions(&user, options.session.as_deref())?;
    options.api.delete(&http, sessions).await?;
    match &options.session {
        Some(session) => note!("signed {:?} out of session {session:?}", options.user),
        None => note!("signed {:?} out everywhere", options.user),
    }
    if options.json {
        let report = json!({ "signed_out": options.user, "session": options.session });
        return Ok(outcome_of(answer(&report), "tetherline: the user was signed out"));
    }
    Ok(Exit::Done.into())
}

/// Where all of a user's sessions are, or one of them.
fn sessions(user: &str, session: Option<&str>) -> Result<Url> {
    let mut url = Url::parse(user).context("the server's URL")?;
    let mut path = url.path_segments_mut().ok().context("the server's URL has no path")?;
    path.push("sessions");
    match session {
        None => {}
        // In a URL that is no name but a way, and it leads to all of them.
        Some("" | "." | "..") => {
            bail!("a session is not named so; --session is the `sid` of its tokens")
        }
        Some(session) => {
            path.push(session);
        }
    }
    drop(path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_one_segment_of_a_path_whatever_its_name() {
        let of =
            |session| sessions("http://h/v1/users/auth0%7C5f", session).map(|url| url.to_string());
        assert_eq!(of(None).unwrap(), "http://h/v1/users/auth0%7C5f/sessions");
        assert_eq!(
            of(Some("a/b?#%2F.")).unwrap(),
            "http://h/v1/users/auth0%7C5f/sessions/a%2Fb%3F%23%252F."
        );
        for wrong in ["", ".", ".."] {
            assert!(of(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
