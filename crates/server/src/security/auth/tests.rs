use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::{
    claims::{Claims, LEEWAY, NOT_YET_VALID_WAIT_SECS_MAX},
    *,
};

impl JwtKeys {
    fn verify(&self, token: &str) -> Result<Identity, InvalidToken> {
        let rules = TokenRules::from(self.clone()).with_life_max(Duration::MAX).unwrap();
        rules.verify(token)
    }
}

fn keys() -> JwtKeys {
    JwtKeys::from_secret(b"0123456789abcdef0123456789abcdef").unwrap()
}

fn user() -> UserId {
    "ada".parse().unwrap()
}

fn signed(keys: &JwtKeys, claims: &serde_json::Value) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &keys.encoding).unwrap()
}

#[test]
fn a_token_names_its_user_and_sign_in() {
    let token = issue_token(&keys(), &user(), Some("s1"), Duration::from_mins(1));
    let identity = keys().verify(&token).unwrap();
    assert_eq!(identity.user, user());
    assert_eq!(identity.session.as_deref(), Some("s1"));
    assert!(identity.expires_in > Duration::from_secs(50));
}

fn verify(claims: &serde_json::Value) -> Result<Identity, InvalidToken> {
    keys().verify(&signed(&keys(), claims))
}

#[test]
fn what_we_did_not_sign_is_refused() {
    let now = since_epoch().as_secs();
    let claims = json!({"sub": "ada", "exp": now + 60});
    assert_eq!(verify(&json!({"sub": "ada"})), Err(InvalidToken::Malformed));
    assert_eq!(verify(&json!({"exp": now + 60})), Err(InvalidToken::Malformed));
    assert_eq!(verify(&json!({"sub": "a/b", "exp": now + 60})), Err(InvalidToken::Malformed));

    let other = JwtKeys::from_secret(b"another secret of enough bytes").unwrap();
    let forged = issue_token(&other, &user(), None, Duration::from_mins(1));
    assert_eq!(keys().verify(&forged), Err(InvalidToken::Malformed));
    // {"alg":"none","typ":"JWT"} . {"sub":"ada","exp":9999999999} . nothing
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.";
    assert_eq!(keys().verify(unsigned), Err(InvalidToken::Malformed));
    let hs384 =
        jsonwebtoken::encode(&Header::new(Algorithm::HS384), &claims, &keys().encoding).unwrap();
    assert_eq!(keys().verify(&hs384), Err(InvalidToken::Malformed));
}

#[test]
fn a_header_that_demands_to_be_understood_is_refused() {
    // What an extension restricts (a key, a payload) was taken for unrestricted.
    let claims = json!({"sub": "ada", "exp": since_epoch().as_secs() + 60});
    let with = |crit: Option<Vec<String>>| {
        let header = Header { crit, ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &keys().encoding).unwrap()
    };
    assert!(keys().verify(&with(None)).is_ok());
    for names in [vec!["b64".into()], vec!["exp".into()], vec![]] {
        assert_eq!(keys().verify(&with(Some(names))), Err(InvalidToken::Malformed));
    }
    // The library takes `null` for nothing.
    let payload = fuzzable(claims.to_string().as_bytes());
    assert!(keys().verify(&payload).is_ok());
    let payload = headed(br#"{"alg":"HS256","crit":null}"#, claims.to_string().as_bytes());
    assert_eq!(keys().verify(&payload), Err(InvalidToken::Malformed));
}

#[test]
fn times_are_any_json_numbers() {
    // Identity providers whose times have fractions were told that their tokens are forged.
    let now = since_epoch().as_secs_f64();
    let token = |times: &str| {
        let claims: serde_json::Value = serde_json::from_str(times).unwrap();
        verify(&claims)
    };
    let allowed = [
        format!(r#"{{"sub":"ada","exp":{:.3}}}"#, now + 60.5),
        r#"{"sub":"ada","exp":9.9e9,"nbf":1.5e9,"iat":1.5e9}"#.to_owned(),
        r#"{"sub":"ada","exp":99e8,"nbf":0,"iat":-1.5}"#.to_owned(),
        r#"{"sub":"ada","exp":99e8,"nbf":-1e300,"iat":null}"#.to_owned(),
        r#"{"sub":"ada","exp":18446744073709551615}"#.to_owned(),
        r#"{"sub":"ada","exp":1e308}"#.to_owned(),
    ];
    for times in allowed {
        assert!(token(&times).is_ok(), "{times}");
    }
    for times in ["0", "-1", "-1e300", "1e-300"] {
        let times = format!(r#"{{"sub":"ada","exp":{times}}}"#);
        assert_eq!(token(&times), Err(InvalidToken::Expired), "{times}");
    }
    for times in [r#""9999999999""#, "null", "[9999999999]", "true"] {
        let times = format!(r#"{{"sub":"ada","exp":{times}}}"#);
        assert_eq!(token(&times), Err(InvalidToken::Malformed), "{times}");
    }
    let far = token(r#"{"sub":"ada","exp":1e301,"nbf":1e300}"#);
    assert_eq!(far, Err(InvalidToken::NotYetValid { wait: Duration::from_secs(30) }));
    // No number that JSON's readers have: not ours, but no harm either.
    let huge = fuzzable(br#"{"sub":"ada","exp":1e400}"#);
    assert_eq!(keys().verify(&huge), Err(InvalidToken::Malformed));
}

/// A token with these very claims.
fn fuzzable(claims: &[u8]) -> String {
    headed(br#"{"alg":"HS256"}"#, claims)
}

fn headed(header: &[u8], claims: &[u8]) -> String {
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let key = &keys().encoding;
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), key, Algorithm::HS256);
    format!("{signed}.{}", signature.unwrap())
}

#[test]
fn clocks_may_be_apart_by_the_leeway_and_no_more() {
    let now = Duration::from_hours(500_000);
    let claims = |exp: f64, nbf: Option<f64>, iat: Option<f64>| {
        Claims { sub: Some("ada".into()), sid: None, exp, nbf, iat }.time_left(now, LEEWAY)
    };
    let (now, leeway) = (now.as_secs_f64(), LEEWAY.as_secs_f64());
    assert_eq!(claims(now + 60.0, None, None), Ok(Duration::from_mins(1) + LEEWAY));
    assert_eq!(claims(now - leeway + 0.5, None, None), Ok(Duration::from_millis(500)));
    assert_eq!(claims(now - leeway, None, None), Err(InvalidToken::Expired));

    let good = now + 60.0;
    assert!(claims(good, Some(now + leeway), Some(now + leeway)).is_ok());
    let late = InvalidToken::NotYetValid { wait: Duration::from_millis(250) };
    assert_eq!(claims(good, Some(now + leeway + 0.25), None), Err(late.clone()));
    assert_eq!(claims(good, None, Some(now + leeway + 0.25)), Err(late.clone()));
    assert_eq!(late.code(), ErrorCode::TokenNotYetValid);
    // One that ends before it begins was tried again for ever.
    let never = Err(InvalidToken::NeverValid);
    assert_eq!(claims(good, Some(good + 2.0 * leeway), None), never);
    assert_eq!(claims(good, None, Some(1e300)), never);
    assert!(InvalidToken::NeverValid.code() == ErrorCode::Unauthorized);
    // With both clocks as far off as they may be, this one counts for half a second.
    let wait = NOT_YET_VALID_WAIT_SECS_MAX;
    let late = InvalidToken::NotYetValid { wait: Duration::from_secs_f64(wait) };
    assert_eq!(claims(good, Some(good + 2.0 * leeway - 0.5), None), Err(late));
}

#[test]
fn an_audience_may_be_one_of_several() {
    let named = keys().with_audience("chat");
    let token = |aud: serde_json::Value| {
        signed(&keys(), &json!({"sub": "ada", "exp": since_epoch().as_secs() + 60, "aud": aud}))
    };
    assert!(named.verify(&token(json!("chat"))).is_ok());
    assert!(named.verify(&token(json!(["mail", "chat"]))).is_ok());
    assert_eq!(named.verify(&token(json!(["mail"]))), Err(InvalidToken::OtherService));
    assert!(named.verify(&token(json!([]))).is_err());
}

#[test]
fn issuer_and_audience_are_demanded_once_they_are_named() {
    let named = keys().with_issuer("us").with_audience("chat");
    let token = issue_token(&named, &user(), None, Duration::from_mins(1));
    assert!(named.verify(&token).is_ok());
    assert!(keys().verify(&token).is_ok());
    let bare = issue_token(&keys(), &user(), None, Duration::from_mins(1));
    assert!(named.verify(&bare).is_err());
    let other = keys().with_issuer("us").with_audience("mail");
    let token = issue_token(&other, &user(), None, Duration::from_mins(1));
    assert_eq!(named.verify(&token), Err(InvalidToken::OtherService));
}

#[test]
fn our_own_tokens_have_the_user_where_it_is_looked_for() {
    let named = keys().with_user_claim("id").unwrap();
    let token = issue_token(&named, &user(), None, Duration::from_mins(1));
    assert_eq!(named.verify(&token).unwrap().user, user());
    assert_eq!(keys().verify(&token).unwrap().user, user());
    let bare = issue_token(&keys(), &user(), None, Duration::from_mins(1));
    assert_eq!(named.verify(&bare), Err(InvalidToken::Malformed));
    let subject = keys().with_user_claim("sub").unwrap();
    assert!(subject.verify(&bare).is_ok());
    assert!(keys().with_user_claim("exp").is_err());
}

#[test]
fn a_short_secret_is_refused_at_its_edge() {
    assert!(JwtKeys::from_secret(&[7; SECRET_BYTES_MIN]).is_ok());
    assert!(JwtKeys::from_secret(&[7; SECRET_BYTES_MIN - 1]).is_err());
    assert!(ApiKey::new("short").is_err());
    assert!(!format!("{:?}", ApiKey::new("0123456789abcdef").unwrap()).contains("0123"));
}
