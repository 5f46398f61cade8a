//! Keys that tokens are checked with, from files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, Server, complaint, run, text};

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

async fn takes(server: &Server, token: &str) -> bool {
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

fn claims() -> Value {
    json!({ "sub": "ada", "exp": 9_900_000_000_u64 })
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
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
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
    let server = Server::start_with(&options[..4]);
    let (secret, options) = (server.file("jwt.secret"), &options[..4]);
    let token =
        run(&[&["token", "--jwt-secret-file", text(&secret), "--user", "ada"][..], options]
            .concat());
    assert!(takes(&server, String::from_utf8(token.stdout).unwrap().trim()).await);
    assert!(!takes(&server, &server.token("ada")).await);
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
    refused(jwks, &weak, "none of its 1 keys can be used; the first is a secret that is too short");

    let claim = said("--jwt-user-claim", "exp");
    assert!(claim.contains("--jwt-user-claim: `exp` says when a token ends"), "{claim}");
    let leeway = said("--jwt-leeway", "301");
    assert!(leeway.contains("301 is not in 0..=300"), "{leeway}");
}
