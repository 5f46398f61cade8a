//! What is published arrives once, in order, whoever was away in the meantime.

use crate::support::{Server, text};
use serde_json::json;

#[test]
fn what_is_published_while_nobody_is_connected_arrives_once_and_in_order() {
    let server = Server::start();
    for n in 1..=5 {
        assert_eq!(server.publish("ada", &format!(r#"{{"n":{n}}}"#))["seq"], n);
    }
    let tail = server.tail("ada", &[]);
    assert_eq!(tail.until_caught_up(), [1, 2, 3, 4, 5]);
    server.publish("ada", r#"{"n":6}"#);
    assert_eq!(tail.note(), 6);
    tail.terminate();
    server.until_nothing_waits("ada");
}

#[test]
fn a_restart_between_publishing_and_connecting_loses_nothing() {
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    server.terminate();
    server.start_again();
    server.publish("ada", r#"{"n":2}"#);
    assert_eq!(server.tail("ada", &[]).until_caught_up(), [1, 2]);
}

#[test]
fn a_tail_lives_through_the_sudden_death_of_its_server() {
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let tail = server.tail("ada", &[]);
    assert_eq!(tail.until_caught_up(), [1]);
    server.kill();
    server.start_again();
    server.publish("ada", r#"{"n":2}"#);
    server.publish("ada", r#"{"n":3}"#);
    assert_eq!([tail.note(), tail.note()], [2, 3]);
}

#[test]
fn every_device_gets_its_own_copy_and_every_user_their_own_mail() {
    let server = Server::start();
    // A device that is not known begins after what all others have acknowledged: on a busy machine the
    // phone had done so before the laptop was there.
    for device in ["phone", "laptop"] {
        assert_eq!(server.tail("ada", &["--device", device]).until_caught_up(), [0; 0]);
    }
    server.publish("ada", r#"{"n":1}"#);
    server.publish("bob", r#"{"n":7}"#);
    let phone = server.tail("ada", &["--device", "phone"]);
    let laptop = server.tail("ada", &["--device", "laptop"]);
    assert_eq!(phone.until_caught_up(), [1]);
    assert_eq!(laptop.until_caught_up(), [1]);
    server.publish("ada", r#"{"n":2}"#);
    assert_eq!([phone.note(), laptop.note()], [2, 2]);
    assert_eq!(server.tail("bob", &[]).until_caught_up(), [7]);
}

#[test]
fn a_look_without_acknowledging_changes_nothing() {
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    for _ in 0..2 {
        let looking = server.tail("ada", &["--no-ack"]);
        assert_eq!(looking.until_caught_up(), [1]);
        looking.terminate();
    }
}

#[test]
fn a_tail_without_a_device_moves_nothing_for_nobody() {
    // It was the device `tail`, and acknowledged: a page that came later found nothing.
    let server = Server::start();
    for n in 1..=3 {
        server.publish("ada", &format!(r#"{{"n":{n}}}"#));
    }
    for _ in 0..2 {
        let look = server.look("ada", &[]);
        assert_eq!(look.until_caught_up(), [1, 2, 3]);
        look.terminate();
    }
    // It is no device that would count, and whoever comes for the first time gets everything.
    let page = server.tail("ada", &["--device", "page"]);
    assert_eq!(page.until_caught_up(), [1, 2, 3]);
    page.terminate();
    server.until_nothing_waits_for("ada", "page");
    assert_eq!(server.look("ada", &[]).until_caught_up(), [1, 2, 3]);
    assert_eq!(server.look("ada", &["--after", "2"]).until_caught_up(), [3]);
}

#[test]
fn one_may_read_again_from_any_position() {
    let server = Server::start();
    for n in 1..=4 {
        server.publish("ada", &format!(r#"{{"n":{n}}}"#));
    }
    let all = server.tail("ada", &[]);
    assert_eq!(all.until_caught_up(), [1, 2, 3, 4]);
    all.terminate();
    server.until_nothing_waits("ada");
    assert_eq!(server.tail("ada", &["--after", "2"]).until_caught_up(), [3, 4]);
    let fresh = server.tail("ada", &["--device", "fresh", "--after", "3", "--no-ack"]);
    assert_eq!(fresh.until_caught_up(), [4]);
}

#[test]
fn a_frame_is_the_message_with_its_header() {
    let server = Server::start();
    let published = server.publish("ada", r#"{"n":1,"nested":{"ü":[1,2.50]}}"#);
    let frame = server.tail("ada", &[]).frame();
    assert_eq!(frame["id"], published["id"]);
    assert_eq!(frame["seq"], 1);
    assert_eq!(frame["nested"], json!({"ü": [1, 2.50]}));
    assert!(frame["timestamp"].is_string());
}

#[test]
fn the_same_idempotency_key_publishes_once() {
    let server = Server::start();
    let key = ["--idempotency-key", "order-4711"];
    let first = server.publish_with("ada", r#"{"n":1}"#, &key);
    assert_eq!(server.publish_with("ada", r#"{"n":1}"#, &key), first);
    let other = server.try_publish("ada", r#"{"n":2}"#, &key);
    assert!(!other.status.success());
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(said.contains("409") && said.contains("--idempotency-key"), "{said}");
    assert_eq!(server.tail("ada", &[]).until_caught_up(), [1]);
}

#[cfg(unix)]
#[test]
fn secrets_are_made_on_the_first_start_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut server = Server::start();
    let read = |name| std::fs::read_to_string(server.file(name)).unwrap();
    let (secret, key) = (read("jwt.secret"), read("api.key"));
    for name in ["jwt.secret", "api.key"] {
        let mode = std::fs::metadata(server.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    server.terminate();
    server.start_again();
    assert_eq!(std::fs::read_to_string(server.file("jwt.secret")).unwrap(), secret);
    assert_eq!(std::fs::read_to_string(text(&server.file("api.key"))).unwrap(), key);
}
