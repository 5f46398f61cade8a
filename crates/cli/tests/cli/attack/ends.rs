//! How connections end that were good until then.

use std::{fs, os::unix::fs::FileExt as _};

use serde_json::json;

use super::raw::{Raw, Said, text};
use crate::support::Server;

const MESSAGES: usize = 40;
const MESSAGE_BYTES: usize = 100_000;
/// The first pages, which say what is where, are left as they are.
const SPARED_BYTES: usize = 64 * 1024;

#[tokio::test]
async fn a_fault_of_ours_says_nothing_of_itself_and_is_found_in_the_log() {
    let mut filled = Server::start();
    for n in 0..MESSAGES {
        let message = json!({ "n": n, "text": "x".repeat(MESSAGE_BYTES) });
        filled.publish("eve", &message.to_string());
    }
    filled.terminate();
    let data = tempfile::tempdir().unwrap();
    for file in fs::read_dir(filled.file("")).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), data.path().join(file.file_name())).unwrap();
    }

    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging_on(data, &log, &[]);
    let token = server.token("eve");
    let mut eve = Raw::connect(&server).await;
    let established = eve.upgrade("eve", &token).await;
    // A disk that gives back something else than was written.
    let file = fs::OpenOptions::new().write(true).open(server.file("mailbox.db")).unwrap();
    file.write_all_at(&vec![0xff; MESSAGES * MESSAGE_BYTES], SPARED_BYTES as u64).unwrap();
    eve.say(text(r#"{"type":"get_pending","after":0}"#)).await.unwrap();
    let ended = loop {
        match eve.next().await {
            Said::Frame(frame) => assert_eq!(frame["type"], "note", "{frame:.200}"),
            end => break end,
        }
    };
    assert_eq!(ended, Said::Closed(1011, "internal error".to_owned()));
    server.kill();
    // By what both sides know.
    let connection = established["connection_id"].as_str().unwrap();
    let log = fs::read_to_string(&log).unwrap();
    let line = log.lines().find(|line| line.contains("this connection cannot go on"));
    assert!(line.is_some_and(|line| line.contains(connection)), "{connection}: {log}");
}
