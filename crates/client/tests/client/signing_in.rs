use std::sync::{Arc, Mutex};

use tetherline::{Client, Event, SendError, SetupError, Status};

use crate::support::{Host, ada, event, until, until_caught_up};

#[tokio::test]
async fn after_a_refused_token_a_fresh_one_is_asked_for_once() {
    let host = Host::start();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (good, seen) = (host.token(), asked.clone());
    let provider = move |fresh| {
        seen.lock().unwrap().push(fresh);
        let token = if fresh { good.clone() } else { "worn.out.token".to_owned() };
        async move { Ok(token) }
    };
    let client = host.builder().token(provider).connect().unwrap();
    until(&client, Status::Connected).await;
    assert_eq!(*asked.lock().unwrap(), [false, true]);
}

#[tokio::test]
async fn when_the_identity_is_refused_the_client_says_so_and_ends() {
    let host = Host::start();
    let mut client = host.builder().only_token("no.good.token").connect().unwrap();
    assert!(matches!(event(&mut client).await, Some(Event::IdentityRefused)));
    assert!(client.send(r#"{"type":"order"}"#).await.is_err());
    assert!(event(&mut client).await.is_none());
}

#[tokio::test]
async fn a_send_that_nobody_will_take_any_more_is_told_so() {
    let host = Host::start();
    let client = host.builder().only_token("no.good.token").connect().unwrap();
    let refused = client.send(r#"{"type":"order"}"#).await;
    assert_eq!(refused, Err(SendError::SignedOut));
}

#[tokio::test]
async fn a_sign_out_on_the_server_ends_the_connection_for_good() {
    let host = Host::start();
    let mut client = host.builder().connect().unwrap();
    until_caught_up(&mut client).await;
    host.server.sign_out(&ada(), "sign-in");
    assert!(matches!(event(&mut client).await, Some(Event::IdentityRefused)));
}

#[tokio::test]
async fn what_is_missing_is_said_before_anything_is_tried() {
    let nobody = Client::builder("http://127.0.0.1:1").only_token("t").connect();
    assert_eq!(nobody.unwrap_err(), SetupError::NoUser);
    let nowhere = Client::builder("nowhere").user(ada()).only_token("t").connect();
    assert_eq!(nowhere.unwrap_err(), SetupError::Url("nowhere".into()));
}
