use reqwest::{Client, header};
use serde_json::{Value, json};

use crate::{
    browser::{PASSWORD, Person, cookie_of, post, post_with_cookie},
    process::Chat,
};

async fn error_of(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json::<Value>().await.unwrap()["error"].take())
}

#[tokio::test]
async fn somebody_signs_up_signs_out_and_signs_in_again() {
    let (_folder, chat) = Chat::fresh().await;
    let form = json!({ "name": " Ada ", "email": "Ada@Example.org", "password": PASSWORD });
    let response = post(&chat.url, "/api/auth/sign-up", &form).await;
    assert_eq!(response.status(), 201);
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/api/auth"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "plain http on this machine");
    let ada = Person::from(&chat.url, response).await;
    assert_eq!(ada.get("/api/conversations").await.0, 200);

    let response = post_with_cookie(&chat.url, "/api/auth/sign-out", &ada.cookie).await;
    assert_eq!(response.status(), 204);
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    let (status, body) = ada.get("/api/conversations").await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("signed_out")));
    let response = post_with_cookie(&chat.url, "/api/auth/refresh", &ada.cookie).await;
    assert_eq!(error_of(response).await.0, 401);

    let credentials = json!({ "email": " ADA@example.org", "password": PASSWORD });
    let response = post(&chat.url, "/api/auth/sign-in", &credentials).await;
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    assert_eq!(
        body["user"],
        json!({ "uuid": ada.uuid, "name": "Ada", "email": "ada@example.org" })
    );
    assert_eq!(body["expires_in_ms"], 15 * 60 * 1_000);
}

#[tokio::test]
async fn bad_forms_are_answered_with_the_field_and_what_to_do() {
    let (_folder, chat) = Chat::fresh().await;
    Person::sign_up(&chat, "ada").await;
    let form = |name: &str, email: &str, password: &str| json!({ "name": name, "email": email, "password": password });
    for (form, status, code, field) in [
        (form("Eve", "ADA@example.org", PASSWORD), 409, "email_taken", json!("email")),
        (form("", "eve@example.org", PASSWORD), 400, "invalid", json!("name")),
        (form("Eve", "eve", PASSWORD), 400, "invalid", json!("email")),
        (form("Eve", "eve@example.org", "short"), 400, "invalid", json!("password")),
        (json!({ "name": "Eve" }), 400, "invalid", Value::Null),
    ] {
        let response = post(&chat.url, "/api/auth/sign-up", &form).await;
        let (found, error) = error_of(response).await;
        assert_eq!((found, &error["code"], &error["field"]), (status, &json!(code), &field));
    }
    let large = form(&"x".repeat(20_000), "eve@example.org", PASSWORD);
    let response = post(&chat.url, "/api/auth/sign-up", &large).await;
    assert_eq!(error_of(response).await.0, 413);
    let plain = Client::new().post(format!("{}/api/auth/sign-in", chat.url)).body("{}");
    assert_eq!(error_of(plain.send().await.unwrap()).await.0, 400);
    let response = post(&chat.url, "/api/nowhere", &json!({})).await;
    assert_eq!(error_of(response).await.1["code"], "not_found");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_e_mail_look_the_same_and_are_rationed() {
    let (_folder, chat) = Chat::fresh().await;
    Person::sign_up(&chat, "ada").await;
    let attempt = async |email: &str| {
        let form = json!({ "email": email, "password": "wrong password" });
        post(&chat.url, "/api/auth/sign-in", &form).await
    };
    let known = error_of(attempt("ada@example.org").await).await;
    let unknown = error_of(attempt("eve@example.org").await).await;
    assert_eq!(known, unknown);
    assert_eq!(known.1["message"], "E-mail or password is wrong.");

    let mut last = attempt("ada@example.org").await;
    for _ in 0..20 {
        if last.status() == 429 {
            break;
        }
        last = attempt("ada@example.org").await;
    }
    assert_eq!(last.status(), 429);
    assert!(last.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(attempt("bob@example.org").await.status(), 401, "others are not affected");
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_and_two_tabs_get_the_same_next_one() {
    let (_folder, chat) = Chat::fresh().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let refresh =
        async |cookie: &str| post_with_cookie(&chat.url, "/api/auth/refresh", cookie).await;
    let (one, other) = tokio::join!(refresh(&ada.cookie), refresh(&ada.cookie));
    assert_eq!((one.status(), other.status()), (200.try_into().unwrap(), 200.try_into().unwrap()));
    assert_eq!(cookie_of(&one), cookie_of(&other));
    assert_ne!(cookie_of(&one), ada.cookie);
    let renewed = Person::from(&chat.url, one).await;
    assert_eq!(renewed.uuid, ada.uuid);
    assert_eq!(refresh(&renewed.cookie).await.status(), 200);
    let (status, error) = error_of(refresh("tetherline_refresh=nonsense").await).await;
    assert_eq!((status, &error["code"]), (401, &json!("signed_out")));
}

#[tokio::test]
async fn pages_from_elsewhere_cannot_use_the_cookie() {
    let (_folder, chat) = Chat::fresh().await;
    let ada = Person::sign_up(&chat, "ada").await;
    for path in ["/api/auth/refresh", "/api/auth/sign-out"] {
        for origin in ["https://evil.example", "null", &format!("{}.evil.example", chat.url)] {
            let request = Client::new().post(format!("{}{path}", chat.url));
            let request = request.header(header::COOKIE, &ada.cookie);
            let response = request.header(header::ORIGIN, origin).send().await.unwrap();
            assert_eq!(response.status(), 403, "{origin}");
        }
    }
    let response = post_with_cookie(&chat.url, "/api/auth/refresh", &ada.cookie).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn over_https_the_cookie_is_kept_to_https() {
    let folder = tempfile::tempdir().unwrap();
    let public = "https://chat.example.org";
    let start = crate::process::Start::on(folder.path()).with(&["--allow-origin", public]);
    let chat = start.run().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let request = Client::new().post(format!("{}/api/auth/refresh", chat.url));
    let request = request.header(header::COOKIE, &ada.cookie).header(header::ORIGIN, public);
    let response = request.send().await.unwrap();
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().ends_with("; Secure"));
}

#[tokio::test]
async fn signing_out_closes_that_sign_ins_connections_and_no_others() {
    let (_folder, chat) = Chat::fresh().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let credentials = json!({ "email": "ada@example.org", "password": PASSWORD });
    let phone = post(&chat.url, "/api/auth/sign-in", &credentials).await;
    let phone = Person::from(&chat.url, phone).await;
    let mut here = ada.connect().await;
    let mut there = phone.connect().await;
    post_with_cookie(&chat.url, "/api/auth/sign-out", &ada.cookie).await;
    assert_eq!(here.closed_with().await, 4401);
    assert_eq!(ada.refused_with().await, 401, "although the token has minutes left");
    let (status, _) = ada.get(&format!("/ws/user/{}", ada.uuid)).await;
    assert_eq!(status, 401, "and whoever cannot see that may ask");
    there.send(&json!({ "type": "ping" })).await;
    there.next_of("pong").await;
    there.send(&json!({ "type": "authenticate", "token": ada.token })).await;
    assert_eq!(there.closed_with().await, 4401, "its token renews nothing either");
}
