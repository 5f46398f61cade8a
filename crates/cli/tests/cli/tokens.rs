//! Keys that tokens are checked with, from files and from a URL.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    support::{PATIENCE, Process, Server, complaint, run, text},
    tls::front,
};

/// Whoever signs tokens, with a key that the server has the public half of.
pub(crate) struct Issuer {
    kid: &'static str,
    key: KeyPair,
}

impl Issuer {
    pub(crate) fn new(kid: &'static str) -> Self {
        Self { kid, key: KeyPair::generate_for(&PKCS_ED25519).unwrap() }
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        let base64 = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let header = json!({ "alg": "EdDSA", "kid": self.kid }).to_string();
        let signed =
            format!("{}.{}", base64(header.as_bytes()), base64(claims.to_string().as_bytes()));
        let signature = self.key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64(&signature))
    }

    pub(crate) fn jwks(&self) -> String {
        let x = BASE64_URL_SAFE_NO_PAD.encode(self.key.der_bytes());
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x });
        json!({ "keys": [key] }).to_string()
    }
}

/// What a server says to ada's token: 426 is a yes to everything but the upgrade.
pub(crate) async fn asked(server: &Server, token: &str) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let request = http.get(format!("{}/ws/user/ada", server.url)).bearer_auth(token);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["error"]["code"].as_str().unwrap().to_owned())
}

pub(crate) async fn takes(server: &Server, token: &str) -> bool {
    match asked(server, token).await {
        (426, _) => true,
        (401, code) if code == "unauthorized" => false,
        other => panic!("{other:?}"),
    }
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

pub(crate) fn claims() -> Value {
    json!({ "sub": "ada", "exp": now() + 60 })
}

/// The time as claims have it.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn keys_of_several_files_count_and_the_data_folders_own_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (named, alone) = (Issuer::new("2026"), Issuer::new("alone"));
    let secrets = ["old.secret", "new.secret"].map(|name| file(&folder, name, &name.repeat(3)));
    let pem = file(&folder, "public.pem", &alone.key.public_key_pem());
    let jwks = file(&folder, "jwks.json", &named.jwks());
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("jwt.secret"), "what was there before").unwrap();
    let mut options = vec!["--jwt-public-key-file", text(&pem), "--jwt-jwks-file", text(&jwks)];
    let server = Server::start_on(data, &options);
    assert!(takes(&server, &named.token(&claims())).await);
    assert!(takes(&server, &alone.token(&claims())).await);
    assert!(!takes(&server, &Issuer::new("2026").token(&claims())).await);
    assert!(!takes(&server, &server.token("ada")).await, "nobody named its secret");

    for secret in &secrets {
        options.extend(["--jwt-secret-file", text(secret)]);
    }
    let server = Server::start_with(&options);
    assert!(takes(&server, &alone.token(&claims())).await);
    for secret in &secrets {
        let token = run(&["token", "--jwt-secret-file", text(secret), "--user", "ada"]);
        assert!(takes(&server, String::from_utf8(token.stdout).unwrap().trim()).await);
    }
    assert!(!server.file("jwt.secret").exists());
}

#[tokio::test]
async fn what_tokens_have_to_say_is_an_option_and_a_variable() {
    let options = ["--jwt-issuer", "us", "--jwt-audience", "chat,mail", "--jwt-user-claim", "id"];
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("1");
    let jwks = file(&folder, "jwks.json", &issuer.jwks());
    let keys = ["--jwt-jwks-file", text(&jwks)];
    let environment = [
        ("TETHERLINE_JWT_ISSUER", "us"),
        ("TETHERLINE_JWT_AUDIENCE", "chat,mail"),
        ("TETHERLINE_JWT_USER_CLAIM", "id"),
        ("TETHERLINE_JWT_LEEWAY", "60"),
        ("TETHERLINE_JWT_JWKS_FILE", text(&jwks)),
    ];
    let by_options = Server::start_with(&[&options[..], &keys, &["--jwt-leeway", "60"]].concat());
    let by_variables = Server::start_in(&environment, tempfile::tempdir().unwrap(), &[]);
    let now = now();
    for server in [by_options, by_variables] {
        let good = json!({ "id": "ada", "exp": now - 20, "iss": "us", "aud": ["mail", "x"] });
        assert!(takes(&server, &issuer.token(&good)).await);
        for (claim, wrong) in [
            ("id", json!(null)),
            ("iss", json!("them")),
            ("aud", json!("x")),
            ("exp", json!(now - 61)),
        ] {
            let mut claims = good.clone();
            claims[claim] = wrong;
            assert!(!takes(&server, &issuer.token(&claims)).await, "{claim}");
        }
    }
    // A token of this program's own.
    let server = Server::start_with(&options);
    let secret = server.file("jwt.secret");
    let token = ["token", "--jwt-secret-file", text(&secret), "--user", "ada"];
    let token = run(&[&token[..], &options].concat());
    assert!(takes(&server, String::from_utf8(token.stdout).unwrap().trim()).await);
    assert!(!takes(&server, &server.token("ada")).await);
}

/// Whoever publishes keys, or does not: it answers with what it holds, and 500 if that is nothing.
struct Provider {
    address: String,
    document: Arc<Mutex<Option<String>>>,
}

impl Provider {
    fn start(document: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let document = Arc::new(Mutex::new(document));
        let held = document.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, held) = (stream.unwrap(), held.clone());
                // Whoever gives up on it is nobody's trouble.
                let _ = answer(&mut stream, held.lock().unwrap().as_deref());
            }
        });
        Self { address, document }
    }

    fn publishes(&self, document: String) {
        *self.document.lock().unwrap() = Some(document);
    }
}

fn answer(stream: &mut TcpStream, document: Option<&str>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let (status, body) = match document {
        Some(document) => ("200 OK", document),
        None => ("500 Internal Server Error", "{}"),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_a_url_are_there_when_the_server_is_and_no_proxy_sees_who_asks_for_them() {
    let issuer = Issuer::new("1");
    let provider = Provider::start(Some(issuer.jwks()));
    let url = format!("http://{}/keys", provider.address);
    let variables = [
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
        ("TETHERLINE_JWT_JWKS_URL", url.as_str()),
    ];
    let server = Server::start_in(&variables, tempfile::tempdir().unwrap(), &[]);
    assert!(takes(&server, &issuer.token(&claims())).await);
    assert!(!server.file("jwt.secret").exists());
    // The one that is named is asked: here it is the provider itself.
    let proxy = format!("http://{}", provider.address);
    let options = ["--jwt-jwks-url", "http://127.0.0.1:1/keys", "--jwt-jwks-proxy", &proxy];
    let server = Server::start_with(&options);
    assert!(takes(&server, &issuer.token(&claims())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_over_tls_from_whoever_is_trusted() {
    let issuer = Issuer::new("1");
    let provider = Provider::start(Some(issuer.jwks()));
    let front = front(&provider.address).await;
    let url = ["--jwt-jwks-url", &front.url];
    let trusting = [&url[..], &["--jwt-jwks-cacert", text(&front.certificate)]].concat();
    let server = Server::start_with(&trusting);
    assert!(takes(&server, &issuer.token(&claims())).await);
    let server = Server::start_with(&url);
    assert_eq!(asked(&server, &issuer.token(&claims())).await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_stops_no_start_and_is_said_once() {
    let issuer = Issuer::new("1");
    let provider = Provider::start(None);
    let url = format!("http://me:hidden@{}/keys?key=hidden", provider.address);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let options = ["--jwt-jwks-url", &url];
    let started = Instant::now();
    let server = Server::start_logging_on(tempfile::tempdir().unwrap(), &log, &options);
    let token = issuer.token(&claims());
    for _ in 0..20 {
        assert_eq!(asked(&server, &token).await, (503, "unavailable".into()));
    }
    // A client of ours waits, and does not take it for a refusal.
    let tail = Process::start(&["tail", "--url", &server.url, "--token", &token]);
    provider.publishes(issuer.jwks());
    let deadline = Instant::now() + PATIENCE;
    while asked(&server, &token).await.0 != 426 {
        assert!(Instant::now() < deadline, "it does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.publish("ada", r#"{"n":1}"#);
    while !tail.line().contains(r#""n":1"#) {}
    let log = fs::read_to_string(log).unwrap();
    let said = log.lines().filter(|line| line.contains("could not be fetched"));
    let said: Vec<_> = said.collect();
    let most = 1 + started.elapsed().as_secs() / 10;
    assert!((1..=most).contains(&(said.len() as u64)), "{said:?}");
    assert!(said[0].contains("WARN") && said[0].contains("it answered 500"), "{said:?}");
    for secret in [&*token, token.rsplit('.').next().unwrap(), "hidden"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[test]
fn a_file_that_holds_no_keys_is_named_and_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let said = |option: &str, value: &str| {
        complaint(&["serve", "--listen", "127.0.0.1:0", "--data", text(&data), option, value])
    };
    let refused = |option: &str, path: &Path, why: &str| {
        let said = said(option, text(path));
        assert!(said.contains(option) && said.contains(text(path)), "{said}");
        assert!(said.contains(why), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    let nowhere = folder.path().join("nowhere");
    let key = Issuer::new("1");
    let private = file(&folder, "private.pem", &key.key.serialize_pem());
    let garbled = file(&folder, "garbled", "neither the one nor the other");
    let secret = json!({ "kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode("short") });
    let weak = file(&folder, "weak.json", &json!({ "keys": [secret] }).to_string());
    let pem = "--jwt-public-key-file";
    refused(pem, &nowhere, "cannot read");
    refused(pem, &private, "there is a private key in it");
    refused(pem, &garbled, "there is no public key in PEM form");
    let jwks = "--jwt-jwks-file";
    refused(jwks, &nowhere, "cannot read");
    refused(jwks, &garbled, "not a JSON object with a list `keys`");
    refused(
        jwks,
        &weak,
        "no key that it lists can be used; the first is a secret that is too short",
    );

    let claim = said("--jwt-user-claim", "exp");
    assert!(claim.contains("--jwt-user-claim: `exp` says when a token ends"), "{claim}");
    let plain = said("--jwt-jwks-url", "http://accounts.example.com/keys");
    assert!(plain.contains("--jwt-jwks-url: keys that come over http://"), "{plain}");
    let nonsense = said("--jwt-jwks-url", "accounts.example.com");
    assert!(nonsense.contains("--jwt-jwks-url: accounts.example.com is not"), "{nonsense}");
    let alone = said("--jwt-jwks-proxy", "http://127.0.0.1:3128");
    assert!(alone.contains("--jwt-jwks-url <URL>"), "{alone}");
    let leeway = said("--jwt-leeway", "301");
    assert!(leeway.contains("301 is not in 0..=300"), "{leeway}");
}
