use reqwest::{Client, Response, header};
use serde_json::{Value, json};

use crate::{
    browser::{PASSWORD, Person, cookie_of, post, post_with_cookie},
    process::{Chat, Start},
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
async fn signing_out_ends_no_other_persons_sign_in() {
    // A tab that still showed Ada ended Bob's sign-in, whose cookie the browser had by then.
    let (_folder, chat) = Chat::fresh().await;
    let (ada, bob) = (Person::sign_up(&chat, "ada").await, Person::sign_up(&chat, "bob").await);
    let sign_out = |uuid: &str| format!("/api/auth/sign-out?user={uuid}");
    let response = post_with_cookie(&chat.url, &sign_out(&ada.uuid), &bob.cookie).await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers().get(header::SET_COOKIE), None);
    assert_eq!(bob.get("/api/conversations").await.0, 200);
    let response = post_with_cookie(&chat.url, &sign_out(&bob.uuid), &bob.cookie).await;
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(bob.get("/api/conversations").await.0, 401);
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

/// Somebody at an address of this machine, or behind a proxy that says so.
struct Somebody {
    http: Client,
    url: String,
    forwarded_for: Option<&'static str>,
    cookie: Option<String>,
}

impl Somebody {
    fn at(address: &str, chat: &Chat) -> Self {
        let address: std::net::IpAddr = address.parse().unwrap();
        let http = Client::builder().no_proxy().local_address(address).build().unwrap();
        Self { http, url: chat.url.clone(), forwarded_for: None, cookie: None }
    }

    async fn tries(&self, email: &str, password: &str) -> Response {
        let form = json!({ "email": email, "password": password });
        let mut request = self.http.post(format!("{}/api/auth/sign-in", self.url)).json(&form);
        if let Some(address) = self.forwarded_for {
            request = request.header("x-forwarded-for", address);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        request.send().await.unwrap()
    }

    /// Guesses until it is told to wait, and says what it was told.
    async fn guesses(&self, email: &str) -> Response {
        for _ in 0..30 {
            let refused = self.tries(email, "wrong password").await;
            if refused.status() == 429 {
                return refused;
            }
        }
        panic!("guessing has no end");
    }
}

#[tokio::test]
async fn whoever_guesses_passwords_keeps_their_owner_out_of_nothing() {
    // The ration was the e-mail's: ten wrong tries by anybody, anywhere, and its owner could not sign in.
    let (_folder, chat) = Chat::fresh().await;
    Person::sign_up(&chat, "ada").await;
    let attacker = Somebody::at("127.0.0.2", &chat);
    let refused = attacker.guesses("ada@example.org").await;
    let wait: u64 = refused.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    let (_, error) = error_of(refused).await;
    let sentence = format!("Too many attempts. Wait {wait} seconds, then try again.");
    assert_eq!((wait > 1, error["message"].as_str()), (true, Some(sentence.as_str())));

    let ada = Somebody::at("127.0.0.1", &chat);
    let signed_in = ada.tries("ada@example.org", PASSWORD).await;
    assert_eq!(signed_in.status(), 200);
    // On the device that she had signed in on she is let through even in the attacker's own network.
    let device = signed_in.headers().get_all(header::SET_COOKIE).iter();
    let device = device.filter_map(|cookie| cookie.to_str().ok()).find(|cookie| {
        cookie.starts_with("tetherline_device=") && cookie.contains("; HttpOnly; SameSite=Strict")
    });
    let cookie = device.expect("the device is known now").split(';').next().unwrap().to_owned();
    let mut beside = Somebody::at("127.0.0.2", &chat);
    assert_eq!(beside.tries("ada@example.org", PASSWORD).await.status(), 429);
    beside.cookie = Some(cookie);
    assert_eq!(beside.tries("ada@example.org", PASSWORD).await.status(), 200);
    assert_eq!(beside.tries("bob@example.org", PASSWORD).await.status(), 401, "it is only hers");
    beside.guesses("ada@example.org").await;
    assert_eq!(ada.tries("ada@example.org", PASSWORD).await.status(), 200);
}

#[tokio::test]
async fn whoever_has_a_sign_in_only_gets_no_further_rations_by_renewing_it() {
    // Each refresh without the device's cookie made another device, with ten more guesses.
    let (_folder, chat) = Chat::fresh().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let device = async || {
        let response = post_with_cookie(&chat.url, "/api/auth/refresh", &ada.cookie).await;
        response.headers().get_all(header::SET_COOKIE).iter().nth(1).cloned().unwrap()
    };
    assert_eq!(device().await, device().await);
}

#[tokio::test]
async fn only_what_fails_counts_and_a_network_has_one_ration_for_all_names() {
    let (_folder, chat) = Chat::fresh().await;
    Person::sign_up(&chat, "ada").await;
    let somebody = Somebody::at("127.0.0.2", &chat);
    let mut failed = 0;
    loop {
        let name = format!("nobody-{failed}@example.org");
        if somebody.tries(&name, "wrong password").await.status() == 429 {
            break;
        }
        failed += 1;
        assert!(failed < 70, "guessing names has no end");
        if failed < 40 {
            assert_eq!(somebody.tries("ada@example.org", PASSWORD).await.status(), 200);
        }
    }
    // A few come back while this runs.
    assert!(failed >= 50, "{failed}");
    assert_eq!(
        Somebody::at("127.0.0.1", &chat).tries("a@b.org", "wrong password").await.status(),
        401
    );
}

#[tokio::test]
async fn behind_a_proxy_that_is_trusted_everybody_has_a_ration_of_their_own() {
    // All that a proxy served shared one, or could choose their own.
    let folder = tempfile::tempdir().unwrap();
    let chat = Start::on(folder.path()).with(&["--trusted-proxy", "127.0.0.2"]).run().await;
    let behind = |proxy, address| {
        let mut somebody = Somebody::at(proxy, &chat);
        somebody.forwarded_for = Some(address);
        somebody
    };
    behind("127.0.0.2", "203.0.113.1").guesses("ada@example.org").await;
    let statuses = async |somebody: Somebody| {
        somebody.tries("ada@example.org", "wrong password").await.status().as_u16()
    };
    assert_eq!(statuses(behind("127.0.0.2", "198.51.100.7, 203.0.113.1")).await, 429);
    assert_eq!(statuses(behind("127.0.0.2", "203.0.113.2")).await, 401);
    // Who is no proxy of ours is taken for itself, whatever it says.
    behind("127.0.0.3", "203.0.113.3").guesses("ada@example.org").await;
    assert_eq!(statuses(behind("127.0.0.3", "203.0.113.4")).await, 429);
    assert_eq!(statuses(behind("127.0.0.2", "203.0.113.3")).await, 401);
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
