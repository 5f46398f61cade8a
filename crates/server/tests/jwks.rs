//! Keys at a URL: fetched from a server on this machine that rotates them, is away, or lies.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use support::{
    PATIENCE, SECRET,
    door::Door,
    eventually,
    issuer::{Issuer, base64, claims, jwks},
    signed, user,
};
use tetherline_server::{
    ConnectHook, ConnectHookOptions, ConnectRefusal, ConnectRequest, Grant, InvalidJwksUrl,
    JWKS_BYTES_MAX, Jwks, JwksOptions, JwksTimes, NoHttpClient, TokenRules, VerifyingKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// What a provider does with a request.
#[derive(Clone)]
enum Mood {
    /// It answers this, and closes.
    Answers { head: String, body: Vec<u8> },
    /// It closes without a word.
    Away,
    /// It says nothing more, and does not close.
    Silent,
    /// It sends a byte now and then, for ever.
    Trickles,
}

impl Mood {
    fn document(body: impl Into<Vec<u8>>) -> Self {
        Self::says("200 OK", "content-type: application/json\r\n", body)
    }

    fn says(status: &str, headers: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self::Answers { head, body }
    }
}

/// Whoever publishes keys.
struct Provider {
    address: SocketAddr,
    mood: Arc<watch::Sender<Mood>>,
    asked: Arc<watch::Sender<usize>>,
}

impl Provider {
    async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, asked) = (Arc::new(watch::Sender::new(mood)), Arc::new(watch::Sender::new(0)));
        let (moods, count) = (mood.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mood, count) = (moods.borrow().clone(), count.clone());
                tokio::spawn(async move { drop(serve(stream, mood, &count).await) });
            }
        });
        Self { address, mood, asked }
    }

    async fn with(issuers: &[&Issuer]) -> Self {
        Self::start(Mood::document(jwks(issuers))).await
    }

    fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    fn count(&self) -> usize {
        *self.asked.borrow()
    }

    /// Waits until it was asked so many times more.
    async fn asked_again(&self, times: usize) {
        let count = self.count() + times;
        let asked = timeout(PATIENCE, async {
            self.asked.subscribe().wait_for(|now| *now >= count).await.map(drop)
        });
        asked.await.expect("it is asked in time").unwrap();
    }

    fn keys(&self, times: JwksTimes) -> Jwks {
        let url = self.url();
        Jwks::open(JwksOptions { times, ..JwksOptions::new(&url) }).unwrap()
    }

    /// A server that is ready, with these keys and no others.
    async fn door(&self, times: JwksTimes) -> Door {
        let door = Door::open(TokenRules::new().with_jwks(self.keys(times))).await;
        timeout(PATIENCE, door.0.server.ready()).await.expect("it is ready in time");
        door
    }
}

async fn serve(
    mut stream: TcpStream,
    mood: Mood,
    asked: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /keys http/1.1"), "{request}");
    assert!(!request.contains("authorization") && !request.contains("cookie"), "{request}");
    asked.send_modify(|count| *count += 1);
    match mood {
        Mood::Answers { head, body } => {
            stream.write_all(&[head.as_bytes(), &body].concat()).await?;
            stream.shutdown().await
        }
        Mood::Away => Ok(()),
        Mood::Silent => {
            stream.read_u8().await?;
            Ok(())
        }
        Mood::Trickles => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await?;
            loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Nothing is fetched but at the start.
fn calm() -> JwksTimes {
    let hour = Duration::from_hours(1);
    JwksTimes { age: hour, unknown_kid_interval: hour, ..JwksTimes::default() }
}

/// Everything is fetched anew all the time.
fn restless() -> JwksTimes {
    let (moment, hour) = (Duration::from_millis(10), Duration::from_hours(1));
    JwksTimes {
        age: moment,
        age_min: moment,
        unknown_kid_interval: hour,
        retry_base: moment,
        retry_max: moment,
        timeout: Duration::from_millis(300),
        ..JwksTimes::default()
    }
}

fn is(said: &(u16, String), status: u16, code: &str) -> bool {
    (said.0, said.1.as_str()) == (status, code)
}

#[tokio::test]
async fn keys_at_a_url_count_from_the_start_on_beside_those_of_files() {
    let all = Issuer::all();
    let named = Issuer::ed25519().named("1");
    let provider = Provider::with(&[&all[0], &all[1], &named]).await;
    let secret = VerifyingKey::from_secret(SECRET).unwrap();
    let rules = TokenRules::new().with_keys([secret]).with_jwks(provider.keys(calm()));
    let door = Door::open(rules).await;
    door.0.server.ready().await;
    for issuer in [&all[0], &all[1], &named] {
        assert!(door.takes(&issuer.token()).await, "{}", issuer.algorithm());
    }
    assert!(door.takes(&signed(&claims())).await);
    for forged in [Issuer::ed25519().named("1"), Issuer::ed25519().named("2"), Issuer::p256()] {
        assert!(!door.takes(&forged.token()).await);
    }
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn a_start_goes_on_without_its_provider_and_nobody_is_told_to_sign_in_again() {
    let issuer = Issuer::ed25519().named("1");
    let provider = Provider::start(Mood::Away).await;
    let times = JwksTimes { unknown_kid_interval: Duration::from_hours(1), ..restless() };
    let secret = VerifyingKey::from_secret(SECRET).unwrap();
    let rules = TokenRules::new().with_keys([secret]).with_jwks(provider.keys(times));
    let door = Door::open(rules).await;
    timeout(PATIENCE, door.0.server.ready()).await.expect("it is ready in time");

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.get(door.0.http("/ws/user/ada")).bearer_auth(issuer.token());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    let error = answer.json::<Value>().await.unwrap()["error"].clone();
    assert_eq!(error["code"], "unavailable");
    assert!(error["message"].as_str().unwrap().contains("issuer's keys"), "{error}");
    // What can be said is said.
    assert!(door.takes(&signed(&claims())).await);
    assert!(!door.takes("nonsense").await);
    let token = issuer.token();
    let parts: Vec<_> = token.split('.').collect();
    for wrong in [parts[0].to_owned(), parts[..2].join("."), format!("{token}.x")] {
        assert!(!door.takes(&wrong).await, "{wrong}");
    }
    let mut header = issuer.header();
    header["alg"] = "none".into();
    assert!(!door.takes(&issuer.signed(&header, &claims())).await);

    provider.becomes(Mood::document(jwks(&[&issuer])));
    eventually(|| async { is(&door.says(&issuer.token()).await, 426, "bad_frame") }).await;
}

#[tokio::test]
async fn a_new_key_is_looked_for_when_a_token_names_it() {
    let (old, new) = (Issuer::p256().named("old"), Issuer::p256().named("new"));
    let provider = Provider::with(&[&old]).await;
    let times = JwksTimes { unknown_kid_interval: Duration::ZERO, ..calm() };
    let door = provider.door(times).await;
    provider.becomes(Mood::document(jwks(&[&old, &new])));
    // Whoever comes with it is never told that it is forged.
    let said = door.says(&new.token()).await;
    assert!(is(&said, 503, "unavailable"), "{said:?}");
    eventually(|| async {
        let said = door.says(&new.token()).await;
        assert!([426, 503].contains(&said.0), "{said:?}");
        said.0 == 426
    })
    .await;
    assert!(door.takes(&old.token()).await);
    assert_eq!(provider.count(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_is_over_at_the_next_renewal() {
    let (old, new) = (Issuer::rsa().named("old"), Issuer::rsa().named("new"));
    let provider = Provider::with(&[&old]).await;
    let door = provider.door(restless()).await;
    let mut client = door.0.connect_with("ada", "laptop", &old.token()).await;
    let renewal =
        |issuer: &Issuer| json!({ "type": "authenticate", "token": issuer.token() }).to_string();
    client.send(&renewal(&old)).await;
    client.assert_quiet().await;
    provider.becomes(Mood::document(jwks(&[&new])));
    provider.asked_again(2).await;
    client.send(&renewal(&old)).await;
    let error = client.next_of("error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("unauthorized"), &json!(false)));
    assert!(!door.takes(&old.token()).await);
    client.send(&renewal(&new)).await;
    client.assert_quiet().await;
}

#[tokio::test]
async fn a_renewal_whose_key_cannot_be_had_is_worth_another_try() {
    let (old, new) = (Issuer::ed25519().named("old"), Issuer::ed25519().named("new"));
    let provider = Provider::with(&[&old]).await;
    let interval = Duration::ZERO;
    let retry = Duration::from_hours(1);
    let times =
        JwksTimes { unknown_kid_interval: interval, retry_base: retry, retry_max: retry, ..calm() };
    let door = provider.door(times).await;
    let mut client = door.0.connect_with("ada", "laptop", &old.token()).await;
    provider.becomes(Mood::Away);
    client.send(&json!({ "type": "authenticate", "token": new.token() }).to_string()).await;
    let error = client.next_of("error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("unavailable"), &json!(true)));
    assert!(error["retry_after_ms"].as_u64().unwrap() >= 1_000);
    // The old one goes on to count, and its key does, too.
    client.assert_quiet().await;
    assert!(door.takes(&old.token()).await);
}

/// An application that has given out this one token, and knows no other.
struct Knows(String);

impl ConnectHook for Knows {
    fn admit(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Grant, ConnectRefusal>> {
        let is_known = request.token.as_deref() == Some(&self.0);
        let refusal = ConnectRefusal::unauthorized("Nobody is signed in.");
        let said = if is_known { Ok(Grant::new(user("ada"))) } else { Err(refusal) };
        Box::pin(std::future::ready(said))
    }
}

#[tokio::test]
async fn a_token_of_the_applications_own_does_not_need_the_providers_keys() {
    // One that looks like a JWT was told to come again for as long as the provider was away.
    let (own, providers) = (Issuer::p256().named("own").token(), Issuer::p256().named("new"));
    let provider = Provider::start(Mood::Away).await;
    let retry = Duration::from_hours(1);
    let door = provider.door(JwksTimes { retry_base: retry, retry_max: retry, ..calm() }).await;
    door.0.server.attach_connect_hook(Arc::new(Knows(own.clone())), ConnectHookOptions::default());
    assert!(door.takes(&own).await);
    let mut client = door.0.connect_with("ada", "laptop", &own).await;
    let renewal = |token: &str| json!({ "type": "authenticate", "token": token }).to_string();
    client.send(&renewal(&own)).await;
    client.assert_quiet().await;
    // What the application does not know may be the provider's, whose keys are not there.
    let said = door.says(&providers.token()).await;
    assert!(is(&said, 503, "unavailable"), "{said:?}");
    client.send(&renewal(&providers.token())).await;
    let error = client.next_of("error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("unavailable"), &json!(true)));
}

#[tokio::test]
async fn a_document_that_is_none_changes_nothing() {
    let issuer = Issuer::ed25519().named("1");
    let good = Mood::document(jwks(&[&issuer]));
    let provider = Provider::start(good.clone()).await;
    let door = provider.door(restless()).await;
    let secret = json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": base64(SECRET) }] });
    let mut private = issuer.jwk();
    private["d"] = base64([7; 32]).into();
    let long = format!("{}{}", jwks(&[&issuer]), " ".repeat(JWKS_BYTES_MAX));
    let redirect = format!("location: {}\r\n", provider.url());
    let cut = Mood::Answers {
        head: "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n".into(),
        body: jwks(&[&issuer]).into_bytes(),
    };
    let bad = [
        Mood::document(""),
        Mood::document("{}"),
        Mood::document(r#"{"keys":[]}"#),
        Mood::document("<!doctype html><title>Sign in</title>"),
        Mood::document([0xff, 0xfe]),
        Mood::document("[".repeat(100_000)),
        Mood::document(secret.to_string()),
        Mood::document(json!({ "keys": [private] }).to_string()),
        Mood::document(json!({ "keys": vec![Issuer::p256().jwk(); 65] }).to_string()),
        Mood::document(long),
        Mood::says("404 Not Found", "", jwks(&[&Issuer::p256()])),
        Mood::says("500 Internal Server Error", "", ""),
        Mood::says("204 No Content", "", ""),
        Mood::says("302 Found", &redirect, ""),
        cut,
        Mood::Away,
        Mood::Silent,
        Mood::Trickles,
    ];
    for bad in bad {
        provider.becomes(bad);
        // The second one comes after the first was dealt with.
        provider.asked_again(2).await;
        assert!(door.takes(&issuer.token()).await);
        assert!(!door.takes(&signed(&claims())).await);
        provider.becomes(good.clone());
        provider.asked_again(2).await;
    }
    // It goes on to be looked at.
    let new = Issuer::p256().named("2");
    provider.becomes(Mood::document(jwks(&[&new])));
    eventually(|| async { door.says(&new.token()).await.0 == 426 }).await;
    assert!(!door.takes(&issuer.token()).await, "it is not in the document any more");
}

#[tokio::test]
async fn the_longest_document_is_read_and_one_more_byte_is_not() {
    let (known, longer) = (Issuer::ed25519().named("1"), Issuer::ed25519().named("2"));
    let padded = |issuer: &Issuer, bytes: usize| {
        let mut document = jwks(&[issuer]).into_bytes();
        document.resize(bytes, b' ');
        document
    };
    let provider = Provider::start(Mood::document(padded(&known, JWKS_BYTES_MAX))).await;
    let door = provider.door(restless()).await;
    assert!(door.takes(&known.token()).await);
    // With its length said, and without.
    let document = padded(&longer, JWKS_BYTES_MAX + 1);
    let unsaid = Mood::Answers { head: "HTTP/1.1 200 OK\r\n\r\n".into(), body: document.clone() };
    for mood in [Mood::document(document), unsaid] {
        provider.becomes(mood);
        provider.asked_again(2).await;
        assert!(door.takes(&known.token()).await && !door.takes(&longer.token()).await);
    }
}

#[tokio::test]
async fn made_up_key_names_make_nobody_fetch() {
    let issuer = Issuer::ed25519().named("1");
    let provider = Provider::with(&[&issuer]).await;
    let door = provider.door(calm()).await;
    let stranger = Issuer::ed25519();
    for n in 0..200 {
        let header = json!({ "alg": "EdDSA", "kid": format!("made up {n}") });
        assert!(!door.takes(&stranger.signed(&header, &claims())).await);
    }
    assert_eq!(provider.count(), 1);
}

#[test]
fn keys_come_over_tls_or_from_this_machine() {
    let open = |url: &str| Jwks::open(JwksOptions::new(url)).map(drop);
    for url in
        ["http://127.0.0.1/k", "http://127.9.9.9:1/k", "http://[::1]/k", "http://localhost/k"]
    {
        assert!(open(url).is_ok(), "{url}");
    }
    for url in [
        "http://accounts.example.com/k",
        "http://127.0.0.1.example.com/k",
        "http://localhost.example.com/k",
        "http://10.0.0.1/k",
        "http://[::2]/k",
        "http://0.0.0.0/k",
    ] {
        let error = open(url).unwrap_err();
        assert!(matches!(error, InvalidJwksUrl::Plain), "{url}");
    }
    for url in ["", "keys.json", "file:///etc/keys.json", "https://", "ftp://127.0.0.1/k"] {
        let error = open(url).unwrap_err();
        assert!(matches!(error, InvalidJwksUrl::Http(NoHttpClient::Address(_))), "{url}: {error}");
    }
    let none = JwksOptions { ca_certificates: Some(b"none"), ..JwksOptions::new("http://[::1]/k") };
    assert!(matches!(Jwks::open(none), Err(InvalidJwksUrl::Certificates)));
    let secret = Jwks::open(JwksOptions::new("http://me:secret@[::1]/k?key=secret")).unwrap();
    assert!(!format!("{secret:?}").contains("secret"));
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    let open = |change: fn(&mut JwksTimes)| {
        let mut times = JwksTimes::default();
        change(&mut times);
        Jwks::open(JwksOptions { times, ..JwksOptions::new("http://[::1]/k") })
    };
    assert!(open(|_| {}).is_ok());
    assert!(open(|times| times.age_min = times.age_max).is_ok());
    assert!(open(|times| times.retry_base = times.retry_max).is_ok());
    assert!(open(|times| times.age_max = Duration::from_hours(365 * 24)).is_ok());
    for contradiction in [
        open(|times| times.age_min = times.age_max + Duration::from_secs(1)),
        open(|times| times.retry_base = times.retry_max + Duration::from_secs(1)),
        open(|times| times.age_max = Duration::from_hours(365 * 24) + Duration::from_secs(1)),
        open(|times| times.timeout = Duration::MAX),
    ] {
        assert!(matches!(contradiction, Err(InvalidJwksUrl::Times)));
    }
}
