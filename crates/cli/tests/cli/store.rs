//! What the real process does about its file.

use std::fs;

use crate::support::{Server, complaint, text};

#[test]
fn a_server_whose_file_was_replaced_acknowledges_nothing_more_and_ends_with_a_failure() {
    // It went on answering 201 to what nobody would ever find.
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let (file, copy) = (server.file("mailbox.db"), server.file("copy.db"));
    fs::copy(&file, &copy).unwrap();
    fs::rename(&copy, &file).unwrap();
    assert!(!server.try_publish("ada", r#"{"n":2}"#, &[]).status.success());
    assert_eq!(server.ended().code(), Some(1), "so that whatever supervises it can act");
}

#[test]
fn a_stop_while_the_file_is_away_is_none_in_order() {
    // It ended with success, and whoever had moved the file never heard that it was to be put back.
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let (file, away) = (server.file("mailbox.db"), server.file("away.db"));
    fs::rename(&file, &away).unwrap();
    assert!(!server.try_publish("ada", r#"{"n":2}"#, &[]).status.success());
    server.ask_to_end();
    assert_eq!(server.ended().code(), Some(1));
    fs::rename(&away, &file).unwrap();
    server.start_again();
    assert_eq!(server.publish("ada", r#"{"n":3}"#)["seq"], 2);
    server.terminate();
}

#[test]
fn who_copies_the_one_file_after_a_clean_stop_has_everything() {
    // 2.8 MB still lay in the log: nobody waited for the thread that folds it in.
    let mut server = Server::start();
    for n in 1..=20 {
        server.publish("ada", &format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(50_000)));
    }
    server.tail("ada", &["--no-ack"]).until_caught_up();
    server.terminate();
    assert!(!server.file("mailbox.db-wal").exists());
    assert!(fs::metadata(server.file("mailbox.db")).unwrap().len() > 1_000_000);
}

#[test]
fn a_start_without_the_file_that_was_there_is_refused_in_one_sentence() {
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    server.terminate();
    let data = server.file("");
    fs::rename(server.file("mailbox.db"), server.file("elsewhere")).unwrap();
    let said = complaint(&["serve", "--listen", "127.0.0.1:0", "--data", text(&data)]);
    assert!(
        said.contains("mailbox.db is missing or empty, although there was a mailbox"),
        "{said}"
    );
    fs::rename(server.file("elsewhere"), server.file("mailbox.db")).unwrap();
    server.start_again();
    assert_eq!(server.publish("ada", r#"{"n":2}"#)["seq"], 2);
}
