use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tetherline::{Client, Event, SendError, SetupError, Status};

use tetherline_protocol::Seq;
use tokio::{net::TcpListener, sync::watch, time::timeout};

use crate::support::{Host, PATIENCE, ada, event, message, until, until_caught_up};

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
async fn a_token_is_renewed_before_it_runs_out_and_the_connection_stays() {
    let host = Host::start();
    let (issued, mut renewals) = watch::channel(Vec::new());
    let (short, long) = (host.issuer(Duration::from_secs(2)), host.issuer(Duration::from_mins(1)));
    let provider = move |fresh| {
        issued.send_modify(|asked| asked.push(fresh));
        let token = if fresh { long() } else { short() };
        async move { Ok(token) }
    };
    let mut client = host.builder().token(provider).connect().unwrap();
    until_caught_up(&mut client).await;
    let mut connection = client.connection();
    connection.mark_unchanged();
    // The third is asked for when the first has run out.
    let third = renewals.wait_for(|asked| asked.len() == 3);
    assert_eq!(*timeout(PATIENCE, third).await.unwrap().unwrap(), [false, true, true]);
    assert!(!connection.has_changed().unwrap());
    host.publish(1).await;
    assert_eq!(message(&mut client).await.seq, Seq::new(1));
}

#[tokio::test]
async fn a_client_that_waits_for_its_next_attempt_makes_it_when_it_is_asked_to() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let client = Client::builder(&url).user(ada()).only_token("t").connect().unwrap();
    let mut connection = client.connection();
    let second = Duration::from_secs(1);
    let long = connection.wait_for(|now| now.retry_in.is_some_and(|wait| wait > second));
    let waiting = timeout(PATIENCE, long).await.expect("a long wait").unwrap().clone();
    client.reconnect().await;
    let attempt = connection.wait_for(|now| now.status == Status::Connecting);
    timeout(waiting.retry_in.unwrap(), attempt).await.expect("an attempt at once").unwrap();
}

#[tokio::test]
async fn when_the_identity_is_refused_the_client_says_so_and_ends() {
    let host = Host::start();
    let mut client = host.builder().only_token("no.good.token").connect().unwrap();
    assert!(matches!(event(&mut client).await, Some(Event::IdentityRefused { is_final: true })));
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
async fn a_client_that_was_closed_is_signed_out_and_takes_nothing_more() {
    let host = Host::start();
    let client = host.builder().connect().unwrap();
    until(&client, Status::Connected).await;
    let (sender, connection) = (client.sender(), client.connection());
    client.close().await;
    assert_eq!(connection.borrow().status, Status::SignedOut);
    assert_eq!(sender.send(r#"{"type":"order"}"#).await, Err(SendError::Closed));
}

#[tokio::test]
async fn a_client_that_is_dropped_ends_though_somebody_could_still_send() {
    // It stayed connected for as long as there was a sender, and read for nobody.
    let host = Host::start();
    let client = host.builder().connect().unwrap();
    until(&client, Status::Connected).await;
    let (sender, mut connection) = (client.sender(), client.connection());
    drop(client);
    let ended = connection.wait_for(|now| now.status == Status::SignedOut);
    timeout(PATIENCE, ended).await.expect("an end").unwrap();
    assert_eq!(sender.send(r#"{"type":"order"}"#).await, Err(SendError::Closed));
}

#[tokio::test]
async fn a_sign_out_on_the_server_ends_the_connection_for_good() {
    let host = Host::start();
    let mut client = host.builder().connect().unwrap();
    until_caught_up(&mut client).await;
    host.server.sign_out(&ada(), Some("sign-in")).await.unwrap();
    assert!(matches!(event(&mut client).await, Some(Event::IdentityRefused { is_final: true })));
}

#[tokio::test]
async fn a_client_that_has_signed_in_anew_goes_on_after_a_sign_out_everywhere() {
    let host = Host::start();
    let (fresh, old) = (host.issuer(Duration::from_mins(1)), host.token());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let provider = move |is_fresh| {
        seen.lock().unwrap().push(is_fresh);
        let token = if is_fresh { fresh() } else { old.clone() };
        async move { Ok(token) }
    };
    let mut client = host.builder().token(provider).connect().unwrap();
    until_caught_up(&mut client).await;
    host.server.sign_out(&ada(), None).await.unwrap();
    host.publish(1).await;
    assert_eq!(message(&mut client).await.seq, Seq::new(1));
    assert_eq!(*asked.lock().unwrap(), [false, true], "a fresh one once");
}

#[tokio::test]
async fn what_is_missing_is_said_before_anything_is_tried() {
    let nobody = Client::builder("http://127.0.0.1:1").only_token("t").connect();
    assert_eq!(nobody.unwrap_err(), SetupError::NoUser);
    let nowhere = Client::builder("nowhere").user(ada()).only_token("t").connect();
    assert_eq!(nowhere.unwrap_err(), SetupError::Url("nowhere".into()));
}

#[tokio::test]
async fn tokens_that_are_refused_are_followed_by_fresh_ones_until_one_counts() {
    // A secret that was rotated on server and backend a minute apart ended every client for good.
    let host = Host::start();
    let good = host.token();
    let (count, asked) = watch::channel(0);
    let mut client = host
        .builder()
        .token(move |_| {
            count.send_modify(|count| *count += 1);
            let token = if *count.borrow() > 3 { good.clone() } else { "no.good.token".to_owned() };
            async move { Ok(token) }
        })
        .connect()
        .unwrap();
    assert!(matches!(event(&mut client).await, Some(Event::IdentityRefused { is_final: false })));
    until_caught_up(&mut client).await;
    assert!(*asked.borrow() > 3);
}
