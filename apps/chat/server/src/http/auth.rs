//! Signing up, in and out, and renewing the access token.
//!
//! The refresh token lives in a cookie that scripts cannot read and that only `/api/auth` gets.
//! `SameSite=Strict`, the `Origin` check and the JSON content type keep other pages from using it.

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use rusqlite::Transaction;
use serde::Deserialize;
use serde_json::json;
use tetherline_server::issue_token;
use uuid::Uuid;

use super::{
    error::ApiError,
    extract::{Body, FriendlyPage, FromNetwork, text},
};
use crate::trouble::TOKENS;
use crate::{
    accounts::{self, Email, User},
    chat::Shared,
    clock::now_ms,
    device::Device,
    limits::{ACCESS_TOKEN_TTL, DEVICE_TTL_S, SIGN_IN_TTL_MS},
    password::Asker,
    rate_limit::Attempt,
    sign_in::{self, Ended, RefreshToken, Refreshed, SignIn},
};

const COOKIE: &str = "tetherline_refresh";
/// It outlives sign-ins and gives no access to anything: with it, only its person's own wrong passwords count.
const DEVICE_COOKIE: &str = "tetherline_device";

#[derive(Deserialize)]
pub(super) struct SignUp {
    name: String,
    email: String,
    password: String,
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    email: String,
    password: String,
}

pub(super) async fn sign_up(
    State(shared): State<Arc<Shared>>,
    page: FriendlyPage,
    FromNetwork(network): FromNetwork,
    headers: HeaderMap,
    Body(form): Body<SignUp>,
) -> Result<Response, ApiError> {
    let name = accounts::check_name(&form.name)?;
    let email = Email::parse(&form.email)?;
    accounts::check_password(&form.password)?;
    let user = User { uuid: Uuid::now_v7().to_string(), name, email: email.as_str().to_owned() };
    // Asked before the expensive hash as well; the insert below is what decides.
    if shared.database.read(move |connection| accounts::is_taken(connection, &email)).await? {
        return Err(ApiError::email_taken());
    }
    let hash = shared.passwords.hash(form.password, Asker::Network(network)).await?;
    let (sign_in, token) = fresh(user)?;
    let (stored, cookie) = (sign_in.clone(), token.clone());
    let added = shared
        .database
        .write(move |transaction| {
            let added = accounts::add(transaction, &stored.user, &hash, now_ms())?;
            if added {
                sign_in::start(transaction, &stored.uuid, &stored.user, &token, now_ms())?;
            }
            Ok(added)
        })
        .await?;
    if !added {
        return Err(ApiError::email_taken());
    }
    session(&shared, StatusCode::CREATED, &sign_in, &cookie, &page, &headers)
}

pub(super) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    page: FriendlyPage,
    FromNetwork(network): FromNetwork,
    headers: HeaderMap,
    Body(form): Body<Credentials>,
) -> Result<Response, ApiError> {
    // What cannot be an e-mail costs as much time as one that is not known.
    let email = Email::parse(&form.email).ok();
    let watched = email.as_ref().map(Email::as_str).unwrap_or_default().to_owned();
    let found = match email {
        Some(email) => {
            shared.database.read(move |connection| accounts::find(connection, &email)).await?
        }
        None => None,
    };
    let (user, hash) = found.unzip();
    let device = device(&shared, &headers, user.as_ref());
    let attempt = shared
        .sign_ins
        .take(network, watched, device.as_ref(), Instant::now())
        .map_err(ApiError::rate_limited)?;
    let asker = match attempt {
        Attempt::OfDevice(_) => Asker::Device,
        Attempt::OfNetwork(..) => Asker::Network(network),
    };
    let matches = match shared.passwords.verify(form.password, hash, asker).await {
        Ok(matches) => matches,
        Err(not_tried) => {
            shared.sign_ins.give_back(attempt, Instant::now());
            return Err(not_tried.into());
        }
    };
    let Some(user) = user.filter(|_| matches) else {
        return Err(ApiError::wrong_credentials());
    };
    shared.sign_ins.give_back(attempt, Instant::now());
    let (sign_in, token) = fresh(user)?;
    let (stored, cookie) = (sign_in.clone(), token.clone());
    shared
        .database
        .write(move |transaction| {
            sign_in::start(transaction, &stored.uuid, &stored.user, &token, now_ms())
        })
        .await?;
    session(&shared, StatusCode::OK, &sign_in, &cookie, &page, &headers)
}

pub(super) async fn refresh(
    State(shared): State<Arc<Shared>>,
    page: FriendlyPage,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let token = refresh_token(&headers).ok_or_else(ApiError::signed_out)?;
    let key = shared.refresh_key.clone();
    let refreshed = shared
        .database
        .write(move |transaction| sign_in::refresh(transaction, &key, &token, now_ms()))
        .await?;
    match refreshed {
        Refreshed::Renewed { sign_in, token } => {
            session(&shared, StatusCode::OK, &sign_in, &token, &page, &headers)
        }
        Refreshed::Stolen { sign_in } => {
            TOKENS
                .warn("a used refresh token came back; its user is signed out", &sign_in.user.uuid);
            close_connections(&shared, &sign_in);
            Err(ApiError::signed_out())
        }
        // The cookie stays: another tab may just have replaced it by signing in again.
        Refreshed::SignedOut => Err(ApiError::signed_out()),
    }
}

/// Who signs out. Pages of before do not say it, and end whosever sign-in the cookie is.
#[derive(Debug, Deserialize)]
pub(super) struct Leaving {
    user: Option<String>,
}

pub(super) async fn sign_out(
    State(shared): State<Arc<Shared>>,
    _page: FriendlyPage,
    Query(Leaving { user }): Query<Leaving>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(token) = refresh_token(&headers) {
        let end = move |transaction: &Transaction<'_>| {
            sign_in::end(transaction, &token, user.as_deref(), now_ms())
        };
        match shared.database.write(end).await? {
            Ended::SignIn(sign_in) => close_connections(&shared, &sign_in),
            Ended::Nothing => {}
            // The cookie stays whose it is.
            Ended::SomebodyElses => return Ok(StatusCode::NO_CONTENT.into_response()),
        }
    }
    let forget = format!("{COOKIE}=; Path=/api/auth; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, forget)]).into_response())
}

fn fresh(user: User) -> Result<(SignIn, RefreshToken), ApiError> {
    let token = RefreshToken::random().map_err(|error| ApiError::internal(&error))?;
    Ok((SignIn { uuid: Uuid::now_v7().to_string(), user }, token))
}

/// What a signed-in page works with.
fn session(
    shared: &Shared,
    status: StatusCode,
    sign_in: &SignIn,
    token: &RefreshToken,
    page: &FriendlyPage,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let user = sign_in.user.uuid.parse().map_err(|error| ApiError::internal(&error))?;
    let body = json!({
        "user": sign_in.user,
        "access_token": issue_token(&shared.jwt, &user, Some(&sign_in.uuid), ACCESS_TOKEN_TTL),
        "expires_in_ms": ACCESS_TOKEN_TTL.as_secs() * 1_000,
    });
    // On a device of several people the last one is known: who comes after the others has the network's ration.
    let since = sign_in.uuid.parse().map_err(|error: uuid::Error| ApiError::internal(&error))?;
    let device = device(shared, headers, Some(&sign_in.user))
        .unwrap_or_else(|| Device::of_sign_in(&sign_in.user.uuid, since))
        .to_text(&shared.device_key);
    let cookies = AppendHeaders([
        (
            header::SET_COOKIE,
            set(COOKIE, &token.to_text(), SIGN_IN_TTL_MS.unsigned_abs() / 1_000, page)?,
        ),
        (header::SET_COOKIE, set(DEVICE_COOKIE, &device, DEVICE_TTL_S, page)?),
    ]);
    Ok((status, cookies, Json(body)).into_response())
}

fn set(name: &str, value: &str, ttl_s: u64, page: &FriendlyPage) -> Result<HeaderValue, ApiError> {
    let secure = if page.is_https { "; Secure" } else { "" };
    let cookie = format!(
        "{name}={value}; Path=/api/auth; HttpOnly; SameSite=Strict; Max-Age={ttl_s}{secure}"
    );
    HeaderValue::from_str(&cookie).map_err(|error| ApiError::internal(&error))
}

fn close_connections(shared: &Shared, sign_in: &SignIn) {
    if let Ok(user) = sign_in.user.uuid.parse() {
        shared.server.close_session(&user, &sign_in.uuid);
    }
}

fn refresh_token(headers: &HeaderMap) -> Option<RefreshToken> {
    RefreshToken::parse(cookie(headers, COOKIE)?)
}

/// The device that asks, if this person has signed in on it before.
fn device(shared: &Shared, headers: &HeaderMap, user: Option<&User>) -> Option<Device> {
    let device = Device::parse(cookie(headers, DEVICE_COOKIE)?, &shared.device_key)?;
    device.is_of(&user?.uuid).then_some(device)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    text(headers, &header::COOKIE)?
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}
