//! Users as identity providers name them, from the publisher to the webhook and back.

use serde_json::{Value, json};

use crate::{
    support::{Server, run, text},
    webhook::{backend, client_of},
};

const NAMES: [&str; 8] = [
    "auth0|5f7c8e",
    "someone@example.org",
    "urn:uuid:7b0e8a52-5a3c-4f43-9a55-0f6a9a3b9c11",
    "Ада 👩\u{200d}🚀",
    " a b ",
    "%2F",
    "\",\"device\":\"x",
    "a?b=c#d;e&f",
];

#[tokio::test]
async fn a_user_is_the_same_everywhere_whatever_the_name() {
    for name in NAMES {
        // Everything after a `?` was another user's address, and a `"` wrote into the webhook's JSON.
        let (url, request) = backend();
        let server = Server::start_with(&["--webhook-url", &url]);
        assert_eq!(server.publish(name, r#"{"n":1}"#)["seq"], 1, "{name}");
        assert_eq!(server.tail(name, &[]).until_caught_up(), [1], "{name}");

        let id = client_of(&server, name).send(r#"{"type":"ask"}"#).await.unwrap().id;
        let (headers, body) = request.join().unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["user"], &body["device"]), (&json!(name), &json!("laptop")));
        let key = headers
            .lines()
            .find_map(|line| line.strip_prefix("idempotency-key: "))
            .unwrap_or_else(|| panic!("{headers}"));
        assert!(key.ends_with(&format!("/{id}")) && key.is_ascii(), "{key}");

        let erased = server.erase(name, &["--yes"]);
        assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
        assert!(server.tail(name, &["--after", "0"]).until_caught_up().is_empty(), "{name}");
    }
}

#[test]
fn users_that_look_alike_are_two() {
    let server = Server::start();
    for name in ["Zo\u{eb}", "Zoe\u{308}", "zo\u{eb}", "Zo\u{eb} ", "Zo%C3%AB"] {
        assert_eq!(server.publish(name, r#"{"n":1}"#)["seq"], 1, "{name}");
    }
}

#[test]
fn what_would_mislead_a_reader_is_escaped() {
    // A name with a mark that turns the writing direction around asked to erase somebody else.
    let server = Server::start();
    let name = "ada\u{202e}evil\u{2066}";
    let erase = server.erase(name, &[]);
    let said = String::from_utf8(erase.stderr).unwrap();
    assert!(said.contains(r"ada\u{202e}evil\u{2066}") && !said.contains('\u{202e}'), "{said}");
    let said = String::from_utf8(server.erase(name, &["--yes"]).stderr).unwrap();
    assert!(said.contains(r"ada\u{202e}evil\u{2066}") && !said.contains('\u{202e}'), "{said}");
}

#[test]
fn the_longest_name_fits_and_one_more_byte_does_not() {
    let server = Server::start();
    let longest = "é".repeat(127) + "x";
    assert_eq!(server.publish(&longest, r#"{"n":1}"#)["seq"], 1);
    assert_eq!(server.tail(&longest, &[]).until_caught_up(), [1]);
    let (secret, longer) = (server.file("jwt.secret"), longest + "x");
    for name in [longer.as_str(), ".", "..", "a/b", "a\\b", "a\nb", ""] {
        let output = run(&["token", "--jwt-secret-file", text(&secret), "--user", name]);
        assert!(!output.status.success(), "{name}");
    }
}
