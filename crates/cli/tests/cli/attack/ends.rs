//! How connections end that were good until then.

use std::fs;

use super::raw::{Raw, Said, text};
use crate::support::Server;

#[tokio::test]
async fn a_fault_of_ours_says_nothing_of_itself_and_is_found_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging(&log);
    server.publish("eve", r#"{"n":1}"#);
    let token = server.token("eve");
    let mut eve = Raw::connect(&server).await;
    let established = eve.upgrade("eve", &token).await;
    // The store is gone from under the server.
    let away = folder.path().join("away");
    fs::rename(server.file(""), &away).unwrap();
    eve.say(text(r#"{"type":"get_pending","after":0}"#)).await.unwrap();
    assert_eq!(eve.next().await, Said::Closed(1011, "internal error".to_owned()));
    fs::rename(&away, server.file("")).unwrap();
    server.terminate();
    // By what both sides know.
    let connection = established["connection_id"].as_str().unwrap();
    let log = fs::read_to_string(&log).unwrap();
    let line = log.lines().find(|line| line.contains("this connection cannot go on"));
    assert!(line.is_some_and(|line| line.contains(connection)), "{connection}: {log}");
}
