//! Tokens as applications have them: who may have signed them, and what they have to say.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{
    SECRET,
    door::Door,
    issuer::{Issuer, base64, claims, jwks, pem},
    keys, now, signed,
};
use tetherline_protocol::limits::TOKEN_LEEWAY_MS;
use tetherline_server::{
    InvalidJwks, InvalidKey, InvalidRule, JWKS_BYTES_MAX, JWKS_KEYS_MAX, KEYS_TRIED_MAX,
    RSA_BITS_MAX, RSA_BITS_MIN, SECRET_BYTES_MIN, TOKEN_LEEWAY_MAX, TokenRules, UnusableKey,
    VerifyingKey,
};

fn pem_key(issuer: &Issuer) -> VerifyingKey {
    VerifyingKey::from_pem(issuer.pem().as_bytes()).unwrap().remove(0)
}

fn document(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

#[tokio::test]
async fn each_algorithm_has_its_kind_of_key_and_several_count_at_once() {
    let issuers = Issuer::all();
    let secret = VerifyingKey::from_secret(SECRET).unwrap();
    let all = Door::with_keys(issuers.iter().map(pem_key).chain([secret])).await;
    let document = jwks(&[&issuers[0], &issuers[1], &issuers[2]]);
    let listed = Door::with_keys(VerifyingKey::from_jwks(document.as_bytes()).unwrap()).await;
    for issuer in &issuers {
        let token = issuer.token();
        assert!(all.takes(&token).await, "{}", issuer.algorithm());
        assert!(listed.takes(&token).await, "{}", issuer.algorithm());
        // Something else was signed than what it says.
        let (head, rest) = token.split_once('.').unwrap();
        let forged =
            format!("{head}.{}.{}", base64(claims().to_string()), rest.rsplit('.').next().unwrap());
        assert!(!all.takes(&forged).await, "{}", issuer.algorithm());
    }
    assert!(all.takes(&signed(&claims())).await);
    assert!(!listed.takes(&signed(&claims())).await);
    // Of the same kinds, and of nobody who is known.
    for stranger in Issuer::all() {
        assert!(!all.takes(&stranger.token()).await, "{}", stranger.algorithm());
    }
}

#[tokio::test]
async fn a_public_key_is_never_a_secret() {
    // Libraries have taken HS256 with the public key as its secret.
    for issuer in Issuer::all() {
        let door = Door::with_keys([pem_key(&issuer)]).await;
        let jwk = issuer.jwk();
        let numbers = ["n", "x"].map(|name| jwk[name].as_str().unwrap_or_default().to_owned());
        let texts = [issuer.pem().into_bytes(), issuer.der(), jwk.to_string().into_bytes()];
        for public in texts.into_iter().chain(numbers.map(String::into_bytes)) {
            let key = jsonwebtoken::EncodingKey::from_secret(&public);
            let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims(), &key);
            assert!(!door.takes(&token.unwrap()).await, "{}", issuer.algorithm());
        }
    }
}

#[tokio::test]
async fn a_token_does_not_choose_how_it_is_checked() {
    let issuers = Issuer::all();
    let door = Door::with_keys(issuers.iter().map(pem_key)).await;
    for issuer in &issuers {
        for alg in ["none", "None", "", "HS256", "RS256", "RS512", "PS256", "ES256", "EdDSA", "x"] {
            let is_own = alg == issuer.algorithm();
            let token = issuer.signed(&json!({ "alg": alg }), &claims());
            assert_eq!(door.takes(&token).await, is_own, "{} as {alg}", issuer.algorithm());
        }
        // Without a signature, and with an empty one.
        let unsigned = format!("{}.{}", base64(r#"{"alg":"none"}"#), base64(claims().to_string()));
        assert!(!door.takes(&unsigned).await);
        assert!(!door.takes(&format!("{unsigned}.")).await);
    }
    // A key that a token brings along, or points at.
    let stranger = Issuer::ed25519();
    let carried = [
        ("jwk", stranger.jwk()),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/chain.pem")),
        ("x5c", json!(["MIIB"])),
    ];
    for (name, value) in carried {
        let mut header = stranger.header();
        header[name] = value.clone();
        assert!(!door.takes(&stranger.signed(&header, &claims())).await, "{name}");
        // It takes nothing from one that is good without it.
        let mut header = issuers[2].header();
        header[name] = value;
        assert!(door.takes(&issuers[2].signed(&header, &claims())).await, "{name}");
    }
    for crit in [json!(["exp"]), json!([]), json!(null), json!("b64")] {
        let mut header = issuers[2].header();
        header["crit"] = crit.clone();
        assert!(!door.takes(&issuers[2].signed(&header, &claims())).await, "{crit}");
    }
}

#[tokio::test]
async fn a_token_names_its_key() {
    let (old, new) = (Issuer::p256().named("2025"), Issuer::p256().named("2026"));
    let listed = VerifyingKey::from_jwks(jwks(&[&old, &new]).as_bytes()).unwrap();
    let door = Door::with_keys(listed).await;
    assert!(door.takes(&old.token()).await && door.takes(&new.token()).await);
    for kid in [json!("2026"), json!("2027"), json!(""), json!("2025 "), json!(2025)] {
        let header = json!({ "alg": "ES256", "kid": kid });
        assert!(!door.takes(&old.signed(&header, &claims())).await, "{kid}");
    }
    // Whoever has one key names none.
    let header = json!({ "alg": "ES256" });
    assert!(door.takes(&new.signed(&header, &claims())).await);
    // A key without a name is for tokens that have one for it, too.
    let door = Door::with_keys([pem_key(&old)]).await;
    assert!(door.takes(&old.token()).await);
    assert!(!door.takes(&new.token()).await);
    // The same name for keys of several kinds is allowed (RFC 7517, section 4.5).
    let (p256, ed25519) = (Issuer::p256().named("1"), Issuer::ed25519().named("1"));
    let listed = VerifyingKey::from_jwks(jwks(&[&p256, &ed25519]).as_bytes()).unwrap();
    let door = Door::with_keys(listed).await;
    assert!(door.takes(&p256.token()).await && door.takes(&ed25519.token()).await);
}

#[tokio::test]
async fn a_token_is_tried_with_so_many_keys_and_no_more() {
    let issuers: Vec<_> = (0..=KEYS_TRIED_MAX).map(|_| Issuer::ed25519()).collect();
    let door = Door::with_keys(issuers.iter().map(pem_key)).await;
    assert!(door.takes(&issuers[KEYS_TRIED_MAX - 1].token()).await);
    assert!(!door.takes(&issuers[KEYS_TRIED_MAX].token()).await);
    // Those that a token names come before those without a name.
    let named = Issuer::ed25519().named("1");
    let listed = VerifyingKey::from_jwks(jwks(&[&named]).as_bytes()).unwrap();
    let door = Door::with_keys(issuers.iter().map(pem_key).chain(listed)).await;
    assert!(door.takes(&named.token()).await);
}

#[test]
fn a_pem_file_has_public_keys_and_nothing_else_counts() {
    let issuers = Issuer::all();
    let file: String = issuers.iter().map(Issuer::pem).collect();
    assert_eq!(VerifyingKey::from_pem(file.as_bytes()).unwrap().len(), 3);
    let refused = |text: &str| VerifyingKey::from_pem(text.as_bytes()).unwrap_err();
    assert_eq!(refused(""), InvalidKey::NoPem);
    assert_eq!(refused("a secret of enough random bytes"), InvalidKey::NoPem);
    assert_eq!(refused(&pem("CERTIFICATE", &issuers[0].der())), InvalidKey::NoPem);
    for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        assert_eq!(refused(&pem(kind, b"anything")), InvalidKey::Private, "{kind}");
        let both = issuers[0].pem() + &pem(kind, b"anything");
        assert_eq!(refused(&both), InvalidKey::Private, "{kind}");
    }
    let mut broken = issuers[1].der();
    // Not on the curve any more.
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&pem("PUBLIC KEY", &broken)), InvalidKey::Kind);
    assert_eq!(refused(&pem("PUBLIC KEY", b"nonsense")), InvalidKey::Kind);
    let shown = format!("{:?}", VerifyingKey::from_secret(SECRET).unwrap());
    assert!(!shown.contains("0123"), "{shown}");
}

fn modulus(bits: usize) -> Value {
    let mut n = vec![0xff; bits.div_ceil(8)];
    n[0] = 0xff >> ((8 - bits % 8) % 8);
    json!({ "kty": "RSA", "n": base64(n), "e": "AQAB" })
}

#[test]
fn an_rsa_key_has_so_many_bits() {
    let keys = |jwk: Value| VerifyingKey::from_jwks(&document(&[jwk]));
    let broken = InvalidJwks::Unusable { keys: 1, why: UnusableKey::Broken };
    for bits in [RSA_BITS_MIN, RSA_BITS_MIN + 1, RSA_BITS_MAX] {
        assert_eq!(keys(modulus(bits)).unwrap().len(), 1, "{bits}");
    }
    for bits in [8, 1024, RSA_BITS_MIN - 1, RSA_BITS_MAX + 1, 2 * RSA_BITS_MAX] {
        assert_eq!(keys(modulus(bits)).unwrap_err(), broken, "{bits}");
    }
    for e in ["", "AQ", "AA", "Ag", "____________"] {
        let mut key = modulus(RSA_BITS_MIN);
        key["e"] = e.into();
        assert_eq!(keys(key).err(), Some(broken.clone()), "{e}");
    }
}

#[test]
fn of_a_document_only_what_can_have_signed_a_token_counts() {
    let good = Issuer::ed25519().jwk();
    let with = |jwk: &Value, name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let rsa = Issuer::rsa().jwk();
    let p256 = Issuer::p256().jwk();
    let left_out = [
        (json!(7), UnusableKey::Shape),
        (json!({}), UnusableKey::Shape),
        (with(&good, "kid", json!(7)), UnusableKey::Shape),
        (with(&good, "x", json!("not base64!")), UnusableKey::Shape),
        (with(&good, "kty", json!("LMS")), UnusableKey::Kind),
        (with(&good, "crv", json!("Ed448")), UnusableKey::Kind),
        (with(&p256, "crv", json!("P-384")), UnusableKey::Kind),
        (with(&rsa, "alg", json!("PS256")), UnusableKey::Algorithm),
        (with(&rsa, "alg", json!("HS256")), UnusableKey::Algorithm),
        (with(&rsa, "use", json!("enc")), UnusableKey::Use),
        (with(&rsa, "key_ops", json!(["encrypt"])), UnusableKey::Use),
        (with(&rsa, "d", json!("AQAB")), UnusableKey::Private),
        (with(&good, "x", json!("AAAA")), UnusableKey::Broken),
        (with(&p256, "y", json!(base64([1; 32]))), UnusableKey::Broken),
        (with(&p256, "x", json!(base64([0; 33]))), UnusableKey::Broken),
        (json!({ "kty": "RSA" }), UnusableKey::Broken),
        (json!({ "kty": "oct" }), UnusableKey::Broken),
        (json!({ "kty": "oct", "k": base64([7; SECRET_BYTES_MIN - 1]) }), UnusableKey::Weak),
    ];
    for (key, why) in &left_out {
        let alone = VerifyingKey::from_jwks(&document(std::slice::from_ref(key)));
        assert_eq!(alone.unwrap_err(), InvalidJwks::Unusable { keys: 1, why: *why }, "{key}");
    }
    let mut all: Vec<_> = left_out.into_iter().map(|(key, _)| key).collect();
    all.push(good.clone());
    assert_eq!(VerifyingKey::from_jwks(&document(&all)).unwrap().len(), 1);
    let secret = json!({ "kty": "oct", "alg": "HS256", "k": base64([7; SECRET_BYTES_MIN]) });
    let verifying = with(&with(&rsa, "key_ops", json!(["verify"])), "alg", json!("RS256"));
    assert_eq!(VerifyingKey::from_jwks(&document(&[secret, verifying])).unwrap().len(), 2);
}

#[test]
fn a_document_is_bounded_in_bytes_and_keys() {
    let refused = |document: &[u8]| VerifyingKey::from_jwks(document).unwrap_err();
    let no_document: [&[u8]; 8] =
        [b"", b"{}", b"[]", b"null", b"<html>", b"{\"keys\":{}}", b"\xff", b"{\"keys\":[]} x"];
    for no_document in no_document {
        assert_eq!(refused(no_document), InvalidJwks::NoKeys);
    }
    assert_eq!(refused(&document(&[])), InvalidJwks::Empty);
    let key = Issuer::ed25519().jwk();
    let many = |count: usize| document(&vec![key.clone(); count]);
    assert_eq!(VerifyingKey::from_jwks(&many(JWKS_KEYS_MAX)).unwrap().len(), JWKS_KEYS_MAX);
    assert_eq!(refused(&many(JWKS_KEYS_MAX + 1)), InvalidJwks::TooMany(JWKS_KEYS_MAX + 1));
    let mut long = many(1);
    long.resize(JWKS_BYTES_MAX, b' ');
    assert_eq!(VerifyingKey::from_jwks(&long).unwrap().len(), 1);
    long.push(b' ');
    assert_eq!(refused(&long), InvalidJwks::TooLong);
    let deep = format!(r#"{{"keys":{}"#, "[".repeat(100_000));
    assert_eq!(refused(deep.as_bytes()), InvalidJwks::NoKeys);
}

#[tokio::test]
async fn issuer_and_one_of_several_audiences_are_demanded_once_they_are_named() {
    let issuer = Issuer::ed25519();
    let rules = TokenRules::new()
        .with_keys([pem_key(&issuer)])
        .with_issuer("https://accounts.example.com")
        .and_then(|rules| rules.with_audience("chat"))
        .and_then(|rules| rules.with_audience("mail"));
    let door = Door::open(rules.unwrap()).await;
    let token = |iss: Value, aud: Value| {
        let mut claims = claims();
        (claims["iss"], claims["aud"]) = (iss, aud);
        issuer.signed(&issuer.header(), &claims)
    };
    let ours = json!("https://accounts.example.com");
    for aud in [json!("chat"), json!("mail"), json!(["mail"]), json!(["x", "chat"])] {
        assert!(door.takes(&token(ours.clone(), aud.clone())).await, "{aud}");
    }
    for aud in [json!("Chat"), json!(""), json!([]), json!(["x"]), json!(null), json!(7)] {
        assert!(!door.takes(&token(ours.clone(), aud.clone())).await, "{aud}");
    }
    let wrong = ["https://accounts.example.com/", "", "https://accounts.example.com.evil.example"];
    for iss in wrong.map(Value::from).into_iter().chain([json!(null), json!(7)]) {
        assert!(!door.takes(&token(iss.clone(), json!("chat"))).await, "{iss}");
    }
}

#[tokio::test]
async fn the_claim_that_is_the_user_is_the_applications_choice() {
    let rules = |claim| TokenRules::from(keys()).with_user_claim(claim);
    let door = Door::open(rules("https://example.com/id").unwrap()).await;
    let token = |id: Value| {
        signed(&json!({ "sub": "bob", "exp": now() + 60.0, "https://example.com/id": id }))
    };
    assert!(door.takes(&token(json!("ada"))).await);
    assert_eq!(door.says_to("bob", &token(json!("ada"))).await.0, 403);
    // Applications number their users.
    assert_eq!(door.says_to("42", &token(json!(42))).await.0, 426);
    for no_user in
        [json!(null), json!(""), json!("a/b"), json!(4.2), json!(1e3), json!([]), json!(true)]
    {
        assert!(!door.takes(&token(no_user.clone())).await, "{no_user}");
    }
    assert!(!door.takes(&signed(&json!({ "sub": "ada", "exp": now() + 60.0 }))).await);
    // Whose token it is needs no `sub` then.
    let door = Door::open(rules("user_id").unwrap()).await;
    assert!(door.takes(&signed(&json!({ "user_id": "ada", "exp": now() + 60.0 }))).await);

    for claim in ["exp", "nbf", "iat", "iss", "aud", "jti", "sid"] {
        let error = rules(claim).unwrap_err();
        assert!(matches!(error, InvalidRule::UserClaim { .. }), "{claim}");
        assert!(error.to_string().contains(&format!("`{claim}` says")), "{error}");
    }
    for empty in [
        TokenRules::new().with_user_claim(""),
        TokenRules::new().with_issuer(""),
        TokenRules::new().with_audience(""),
    ] {
        assert!(matches!(empty, Err(InvalidRule::Empty(_))));
    }
}

#[tokio::test]
async fn clocks_may_be_as_far_apart_as_somebody_says() {
    let rules = |leeway| TokenRules::from(keys()).with_leeway(leeway);
    let ended = |ago: f64| signed(&json!({ "sub": "ada", "exp": now() - ago }));
    let begins =
        |ahead: f64| signed(&json!({ "sub": "ada", "exp": now() + 60.0, "nbf": now() + ahead }));
    let edge = TOKEN_LEEWAY_MS as f64 / 1_000.0;
    for (leeway, secs) in [(None, edge), (Some(Duration::from_mins(2)), 120.0)] {
        let rules =
            leeway.map_or_else(|| TokenRules::from(keys()), |leeway| rules(leeway).unwrap());
        let door = Door::open(rules).await;
        assert!(door.takes(&ended(secs - 5.0)).await);
        assert!(!door.takes(&ended(secs + 1.0)).await);
        assert!(door.takes(&begins(secs - 1.0)).await);
        let (status, code) = door.says(&begins(secs + 15.0)).await;
        assert_eq!((status, code.as_str()), (401, "token_not_yet_valid"));
    }
    let door = Door::open(rules(Duration::ZERO).unwrap()).await;
    assert!(!door.takes(&ended(0.5)).await);
    assert!(rules(TOKEN_LEEWAY_MAX).is_ok());
    let more = rules(TOKEN_LEEWAY_MAX + Duration::from_secs(1));
    assert!(matches!(more, Err(InvalidRule::Leeway)));
}

#[tokio::test]
async fn without_a_key_no_token_counts() {
    let door = Door::open(TokenRules::new()).await;
    assert!(!door.takes(&signed(&claims())).await);
    assert!(!door.takes(&Issuer::ed25519().token()).await);
}
