//! What applications and whoever is on call can see of users, over HTTP.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use serde_json::{Value, json};
use support::{API_KEY, TestServer, config, eventually};
use tetherline_server::{ApiKeyFile, ApiKeys, PAGE_MESSAGES_MAX, PRESENCE_USERS_MAX, Scope};

async fn get(server: &TestServer, path: &str) -> (u16, Value) {
    let asked = reqwest::Client::new().get(server.http(path)).bearer_auth(API_KEY);
    let answer = asked.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn presence(server: &TestServer, body: Value) -> (u16, Value) {
    let asked = reqwest::Client::new().post(server.http("/v1/presence")).bearer_auth(API_KEY);
    let answer = asked.body(body.to_string()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_mailbox_is_read_page_by_page_as_it_goes_over_the_wire() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=5).await;
    let (status, first) = get(&server, "/v1/users/ada/messages?limit=2").await;
    assert_eq!(status, 200);
    let numbers = |page: &Value| -> Vec<u64> {
        page["messages"].as_array().unwrap().iter().map(|it| it["n"].as_u64().unwrap()).collect()
    };
    assert_eq!(
        (numbers(&first), &first["next"], &first["head"]),
        (vec![1, 2], &2.into(), &5.into())
    );
    assert_eq!(first["messages"][0]["seq"], 1);
    let (_, rest) = get(&server, "/v1/users/ada/messages?after=2").await;
    assert_eq!((numbers(&rest), &rest["next"]), (vec![3, 4, 5], &5.into()));
    let (_, nothing) = get(&server, "/v1/users/ada/messages?after=5").await;
    assert_eq!((numbers(&nothing), &nothing["next"]), (vec![], &5.into()));
    // Whoever was beyond the end, or read a mailbox of which nothing is left, never came to it.
    let (_, beyond) = get(&server, "/v1/users/ada/messages?after=50").await;
    assert_eq!((&beyond["next"], &beyond["head"]), (&5.into(), &5.into()));
    server.publish_numbers("eve", 1..=3).await;
    let erased = reqwest::Client::new().delete(server.http("/v1/users/eve")).bearer_auth(API_KEY);
    assert_eq!(erased.send().await.unwrap().status(), 204);
    let (_, gone) = get(&server, "/v1/users/eve/messages").await;
    assert_eq!((numbers(&gone), &gone["next"], &gone["head"]), (vec![], &3.into(), &3.into()));
    let (_, nobody) = get(&server, "/v1/users/bob/messages").await;
    assert_eq!((numbers(&nobody), &nobody["head"]), (vec![], &0.into()));
    // It acknowledges nothing.
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"get_pending"}"#).await;
    assert_eq!(client.numbers(5).await, [1, 2, 3, 4, 5]);
    for wrong in ["after=x", "after=-1", "limit=0", "after=99999999999999999"] {
        let (status, answer) = get(&server, &format!("/v1/users/ada/messages?{wrong}")).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad_frame")), "{wrong}");
    }
    let page = |limit: usize| format!("/v1/users/ada/messages?limit={limit}");
    assert_eq!(get(&server, &page(PAGE_MESSAGES_MAX)).await.0, 200);
    assert_eq!(get(&server, &page(PAGE_MESSAGES_MAX + 1)).await.0, 400);
}

#[tokio::test]
async fn what_messages_say_is_for_keys_that_publish_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let file = ApiKeyFile::at(&path);
    let reader = file.add(&"reader".parse().unwrap(), &[Scope::Read], None).unwrap();
    let both = file.add(&"both".parse().unwrap(), &[Scope::Read, Scope::Publish], None).unwrap();
    let mut config = config();
    config.api_keys = ApiKeys::in_file(&path).unwrap();
    let server = TestServer::start(config).await;
    server.publish("ada", r#"{"type":"note","text":"secret"}"#).await;
    for (key, expected) in [(&reader, 403), (&both, 200)] {
        let asked = reqwest::Client::new().get(server.http("/v1/users/ada/messages"));
        let answer = asked.bearer_auth(&**key).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected);
        assert_eq!(answer.text().await.unwrap().contains("secret"), expected == 200);
    }
}

#[tokio::test]
async fn who_is_connected_is_told_of_one_and_of_many() {
    let server = TestServer::start(config()).await;
    let _laptop = server.connect("ada", "laptop").await;
    let _phone = server.connect("ada", "phone").await;
    assert_eq!(
        get(&server, "/v1/users/ada/presence").await.1,
        json!({ "user": "ada", "connections": 2 })
    );
    let (status, many) = presence(&server, json!({ "users": ["ada", "bob"] })).await;
    assert_eq!((status, many), (200, json!({ "connections": { "ada": 2, "bob": 0 } })));
    let users =
        |count: usize| json!({ "users": (0..count).map(|n| format!("u{n}")).collect::<Vec<_>>() });
    assert_eq!(presence(&server, users(PRESENCE_USERS_MAX)).await.0, 200);
    assert_eq!(presence(&server, users(PRESENCE_USERS_MAX + 1)).await.0, 400);
    // The longest ids that there may be, written as long as JSON lets them be, were too large together.
    let escaped = |n: usize| format!("\"{}{n:03}\"", "\\u0061".repeat(252));
    let all: Vec<_> = (0..PRESENCE_USERS_MAX).map(escaped).collect();
    let asked = reqwest::Client::new().post(server.http("/v1/presence")).bearer_auth(API_KEY);
    let answer = asked.body(format!("{{\"users\": [{}]}}", all.join(", "))).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    for wrong in [json!({}), json!({ "users": [""] }), json!({ "users": ["ada"], "more": 1 })] {
        assert_eq!(presence(&server, wrong).await.0, 400);
    }
}

#[tokio::test]
async fn an_inspection_says_where_a_message_is() {
    let server = TestServer::start(config()).await;
    let state = async |seq: u64| {
        let (_, seen) = get(&server, &format!("/v1/users/ada/inspection?seq={seq}")).await;
        let verdicts = seen["verdicts"].as_array().unwrap().clone();
        verdicts.iter().map(|it| it["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    server.publish_numbers("ada", 1..=3).await;
    assert_eq!(state(2).await, ["nobody"]);
    assert_eq!(state(4).await, ["unpublished"]);
    let mut client = server.connect("ada", "laptop").await;
    assert_eq!(state(2).await, ["waiting"], "it has not asked");
    client.send(r#"{"type":"get_pending"}"#).await;
    assert_eq!(client.numbers(3).await, [1, 2, 3]);
    eventually(async || state(2).await == ["sent"]).await;
    client.send(r#"{"type":"ack","seq":2}"#).await;
    eventually(async || state(2).await == ["handled"]).await;
    let (_, seen) = get(&server, "/v1/users/ada/inspection?seq=3").await;
    assert_eq!(
        (&seen["devices"][0]["device"], &seen["devices"][0]["cursor"]),
        (&json!("laptop"), &json!(2))
    );
    assert_eq!(
        (&seen["connections"][0]["unhandled"], &seen["connections"][0]["waits_for"]),
        (&json!(1), &json!("nothing"))
    );
    assert_eq!((&seen["message"]["seq"], &seen["message"]["type"]), (&json!(3), &json!("number")));
    assert!(
        !seen.to_string().contains(r#""n":"#),
        "what a message says is nobody's business: {seen}"
    );
    drop(client);
    eventually(async || state(3).await == ["away"]).await;
    let (_, devices) = get(&server, "/v1/users/ada/devices").await;
    assert_eq!((&devices[0]["behind"], devices.as_array().unwrap().len()), (&json!(1), 1));
    for wrong in ["0", "x", "-1"] {
        let (status, _) = get(&server, &format!("/v1/users/ada/inspection?seq={wrong}")).await;
        assert_eq!(status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn streams_and_sign_outs_of_a_user_are_listed() {
    let server = TestServer::start(config()).await;
    let http = reqwest::Client::new();
    let open = http.post(server.http("/v1/users/ada/streams")).bearer_auth(API_KEY);
    let opened = open.body(r#"{"message_uuid":"a1"}"#).send().await.unwrap();
    assert!(opened.status().is_success(), "{opened:?}");
    let (_, streams) = get(&server, "/v1/users/ada/streams").await;
    assert_eq!((&streams[0]["message_uuid"], &streams[0]["attempt"]), (&json!("a1"), &json!(1)));
    assert_eq!(get(&server, "/v1/users/ada/sessions").await.1, json!([]));
    let ended = http.delete(server.http("/v1/users/ada/sessions/s1")).bearer_auth(API_KEY);
    assert_eq!(ended.send().await.unwrap().status(), 204);
    let (_, sign_outs) = get(&server, "/v1/users/ada/sessions").await;
    assert_eq!(
        (&sign_outs[0]["everywhere"], sign_outs.as_array().unwrap().len()),
        (&json!(false), 1)
    );
}

#[tokio::test]
async fn a_key_for_some_users_sees_nothing_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let file = ApiKeyFile::at(&path);
    let prefix = Some("ad".parse().unwrap());
    let some = file.add(&"some".parse().unwrap(), &Scope::ALL, prefix.as_ref()).unwrap();
    let mut config = config();
    config.api_keys = ApiKeys::in_file(&path).unwrap();
    let server = TestServer::start(config).await;
    let http = reqwest::Client::new();
    for (user, expected) in [("ada", 200), ("bob", 403)] {
        let page = http.get(server.http(&format!("/v1/users/{user}/messages"))).bearer_auth(&*some);
        assert_eq!(page.send().await.unwrap().status(), expected);
        let many = http.post(server.http("/v1/presence")).bearer_auth(&*some);
        let many = many.body(json!({ "users": ["ada", user] }).to_string()).send().await.unwrap();
        assert_eq!(many.status(), expected);
    }
}
