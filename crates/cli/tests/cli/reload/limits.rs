//! Limits, rates, proxies and the application's addresses, changed under those who are connected.

use std::{fs, time::Instant};

use serde_json::{Value, json};
use tetherline::SendError;

use super::Reloaded;
use crate::{
    connect_hook::application,
    rates::attempt,
    socket::Socket,
    support::{PATIENCE, Server, text},
    tokens::asked,
    webhook::{backend, client, verifying},
};

/// Whether one more of ada's would be let in, or the status that says no.
async fn one_more(server: &Server) -> Result<(), u16> {
    match asked(server, &server.token("ada")).await.0 {
        426 => Ok(()),
        status => Err(status),
    }
}

/// What becomes of a send.
async fn sends(socket: &mut Socket, id: &str) -> Value {
    socket.send(&json!({ "type": "ask", "id": id })).await;
    socket.frame("error").await["code"].clone()
}

/// Old messages are deleted after the publish is answered.
fn until_kept(server: &Server, notes: &[u64]) {
    let deadline = Instant::now() + PATIENCE;
    while server.tail("ada", &["--no-ack", "--device", "looks"]).until_caught_up() != notes {
        assert!(Instant::now() < deadline, "{notes:?} are not what is kept");
    }
}

/// A connection of this user's, or the status that says no.
async fn comes(server: &Server, user: &str) -> Result<Socket, u16> {
    let protocols = ["tetherline.v1".to_owned(), format!("bearer.{}", server.token(user))];
    Socket::open(&server.url, &format!("/ws/user/{user}?device=laptop"), &protocols).await
}

#[tokio::test]
async fn how_many_may_connect_is_raised_and_lowered_under_those_who_are_there() {
    for (limit, users, refused) in [
        ("connections-per-user-max", ["ada", "ada", "ada", "ada"], 429),
        ("connections-per-address-max", ["ada", "bob", "cid", "dan"], 429),
        ("connections-max", ["ada", "bob", "cid", "dan"], 503),
    ] {
        // The whole server has at least as many as one user may have.
        let of_user = if limit == "connections-max" { "connections-per-user-max = 1" } else { "" };
        let at_most = |count: usize| format!("{of_user}\n{limit} = {count}");
        let mut it = Reloaded::start_plain(&at_most(2));
        let mut there = Vec::new();
        for user in &users[..2] {
            there.push(comes(&it.server, user).await.unwrap());
        }
        assert_eq!(comes(&it.server, users[2]).await.err(), Some(refused), "{limit}");
        it.goes_by(&at_most(3));
        there.push(comes(&it.server, users[2]).await.unwrap());
        assert_eq!(comes(&it.server, users[3]).await.err(), Some(refused), "{limit}");
        it.goes_by(&at_most(1));
        for socket in &mut there {
            socket.send(&json!({ "type": "ping" })).await;
            socket.frame("pong").await;
        }
        assert_eq!(comes(&it.server, users[3]).await.err(), Some(refused), "{limit}");
    }
}

#[tokio::test]
async fn a_rate_of_one_connection_changes_for_a_connection_that_is_open() {
    let mut it = Reloaded::start_plain("sends-per-connection = '2/h'");
    let mut socket = Socket::of(&it.server, "ada", "laptop").await;
    assert_eq!(sends(&mut socket, "a").await, "no_application");
    it.goes_by("sends-per-connection = '1/h'");
    // What was taken of the rate before is forgotten.
    assert_eq!(sends(&mut socket, "b").await, "no_application");
    assert_eq!(sends(&mut socket, "c").await, "rate_limited");
    it.goes_by("sends-per-connection = '50/s:2000'");
    // What was refused for now comes again first.
    for id in ["c", "d", "e"] {
        assert_eq!(sends(&mut socket, id).await, "no_application");
    }
}

#[tokio::test]
async fn what_is_kept_of_a_user_and_how_many_streams_there_are_changes() {
    let mut it = Reloaded::start_plain("retention-messages = 100\nstreams-per-user-max = 1");
    for n in 1..=3 {
        it.server.publish("ada", &json!({ "n": n }).to_string());
    }
    let post = async |server: &Server, path: &str, body: Value| {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let request = http.post(format!("{}/v1/users/bob/streams{path}", server.url));
        let request = request.bearer_auth(server.api_key()).body(body.to_string());
        request.send().await.unwrap().status().as_u16()
    };
    let opens =
        async |server: &Server, uuid: &str| post(server, "", json!({ "message_uuid": uuid })).await;
    assert_eq!(opens(&it.server, "first").await, 201);
    assert_eq!(opens(&it.server, "second").await, 429);
    it.goes_by("retention-messages = 1\nstreams-per-user-max = 2");
    it.server.publish("ada", r#"{"n":4}"#);
    until_kept(&it.server, &[4]);
    assert_eq!(opens(&it.server, "second").await, 201);
    assert_eq!(opens(&it.server, "third").await, 429);
    it.goes_by("retention-messages = 'off'\nstreams-per-user-max = 1");
    it.server.publish("ada", r#"{"n":5}"#);
    until_kept(&it.server, &[4, 5]);
    // Those that were begun go on.
    let added = post(&it.server, "/second/1/text?offset=0", json!({ "text": "on" })).await;
    assert_eq!(added, 200);
}

#[test]
fn a_proxy_is_believed_from_when_it_is_named_until_it_is_not_any_more() {
    let rarely = "attempts-per-address = '1/h'";
    let mut it = Reloaded::start_plain(rarely);
    assert_eq!(attempt(&it.server, "X-Forwarded-For: 203.0.113.1"), 401);
    assert_eq!(attempt(&it.server, "X-Forwarded-For: 203.0.113.2"), 429);
    it.goes_by(&format!("{rarely}\ntrusted-proxy = '127.0.0.0/8'"));
    assert_eq!(attempt(&it.server, "X-Forwarded-For: 203.0.113.3"), 401);
    assert_eq!(attempt(&it.server, "X-Forwarded-For: 203.0.113.3"), 429);
    it.goes_by(&format!("{rarely}\ntrusted-proxy = '127.0.0.0/8'\nproxy-header = 'forwarded'"));
    assert_eq!(attempt(&it.server, "Forwarded: for=203.0.113.4"), 401);
    it.goes_by(rarely);
    assert_eq!(attempt(&it.server, "X-Forwarded-For: 203.0.113.5"), 429);
}

#[tokio::test]
async fn the_webhooks_secret_is_rotated_and_what_comes_next_is_signed_with_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let [signs, verifies] = ["signs", "verifies"].map(|name| folder.path().join(name));
    let write = |path, key: &str| fs::write(path, format!("whsec_{}", key.repeat(32))).unwrap();
    write(&signs, "A");
    write(&verifies, "A");
    let (_backend, url) = verifying(&verifies);
    let signs_with = text(&signs).to_owned();
    let mut it = Reloaded::start_plain(&format!(
        "webhook-url = '{url}'\nwebhook-secret-file = '{signs_with}'"
    ));
    let client = client(&it.server);
    client.send(r#"{"type":"ask"}"#).await.unwrap();
    write(&signs, "B");
    let said = it.reload();
    assert!(said.contains("were read anew"), "{said}");
    let refused = client.send(r#"{"type":"ask"}"#).await.unwrap_err();
    let is_forged = matches!(&refused, SendError::Refused { code, .. } if &**code == "forged");
    assert!(is_forged, "it was signed with the old one: {refused:?}");
    write(&verifies, "B");
    client.send(r#"{"type":"ask"}"#).await.unwrap();
    // Half of a secret is none, and the one before holds on.
    fs::write(&signs, "whsec_").unwrap();
    let said = it.reload();
    assert!(said.contains("what was before holds on") && said.contains("whsec_"), "{said}");
    client.send(r#"{"type":"ask"}"#).await.unwrap();
}

#[tokio::test]
async fn the_webhook_and_the_connect_hook_come_move_and_go() {
    let mut it = Reloaded::start_plain("");
    let mut socket = Socket::of(&it.server, "ada", "laptop").await;
    assert_eq!(sends(&mut socket, "a").await, "no_application");
    assert_eq!(asked(&it.server, "adas-session").await.0, 401);
    let mut last = None;
    for id in ["b", "c"] {
        let ((webhook, request), (hook, questions)) = (backend(), application());
        it.goes_by(&format!("webhook-url = '{webhook}'\nconnect-hook-url = '{hook}'"));
        socket.send(&json!({ "type": "ask", "id": id })).await;
        assert_eq!(socket.frame("accepted").await["ref"], id);
        assert!(request.join().unwrap().1.contains(&format!(r#""id":"{id}""#)));
        assert_eq!(asked(&it.server, "adas-session").await.0, 426);
        assert_eq!(questions.recv_timeout(PATIENCE).unwrap()["token"], "adas-session");
        last = Some(questions);
    }
    it.goes_by("");
    assert_eq!(sends(&mut socket, "d").await, "no_application");
    assert_eq!(asked(&it.server, "adas-session").await.0, 401);
    assert_eq!(last.unwrap().try_iter().count(), 0);
}

#[tokio::test]
async fn limits_that_contradict_each_other_are_refused_and_the_old_hold_on() {
    let mut it = Reloaded::start_plain("connections-per-user-max = 1");
    let _there = Socket::of(&it.server, "ada", "laptop").await;
    for (wrong, why) in [
        ("streams-bytes-max = 10", "streams_bytes_max is 10, and has to be at least 1048576"),
        ("connections-max = 2", "connections_max is 2, and has to be at least 3"),
        ("outcomes-per-user-max = 999", "outcomes_per_user_max is 999"),
        ("webhook-connection-events = true", "--webhook-connection-events needs --webhook-url"),
        ("connect-hook-always = true", "--connect-hook-always needs --connect-hook-url"),
        ("webhook-url = 'nonsense'", "--webhook-url"),
        ("connect-hook-url = 'nonsense'", "--connect-hook-url"),
        ("trusted-proxy = 'nonsense'", "trusted-proxy"),
        // Nobody listens there.
        ("jwt-jwks-url = 'http://127.0.0.1:1/keys'", "--jwt-jwks-url"),
    ] {
        let said = it.is_told(&format!("connections-per-user-max = 3\n{wrong}"));
        assert!(said.contains("what was before holds on") && said.contains(why), "{said}");
        assert_eq!(one_more(&it.server).await, Err(429), "{wrong}");
    }
    it.goes_by("connections-per-user-max = 3");
    assert_eq!(one_more(&it.server).await, Ok(()));
}
