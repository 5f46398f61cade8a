//! Why did this user not get message 2?

use serde_json::Value;

use crate::support::{Server, run, text};

fn inspected(server: &Server, user: &str, more: &[&str]) -> (String, bool) {
    let key = server.file("api.key");
    let all = ["inspect", "--url", &server.url, "--api-key-file", text(&key), "--user", user];
    let output = run(&[&all[..], more].concat());
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (String::from_utf8(said).unwrap(), output.status.success())
}

#[test]
fn it_is_said_where_a_message_is_and_nothing_of_what_it_says() {
    let server = Server::start();
    server.publish("ada", r#"{"n":1,"text":"for her eyes"}"#);
    server.publish("ada", r#"{"n":2,"text":"for her eyes"}"#);
    let (said, _) = inspected(&server, "ada", &["--seq", "2"]);
    assert!(said.contains("No device of this user is known, and none is connected"), "{said}");
    assert!(said.contains("newest 2, 1 to 2 are kept"), "{said}");
    let tail = server.tail("ada", &["--device", "laptop"]);
    tail.frame();
    tail.frame();
    server.until_nothing_waits_for("ada", "laptop");
    let (said, _) = inspected(&server, "ada", &["--seq", "2"]);
    assert!(said.starts_with("`laptop` has handled it"), "{said}");
    assert!(said.contains("message 2: ") && said.contains("waits for"), "{said}");
    assert!(!said.contains("for her eyes"), "{said}");
    let (json, _) = inspected(&server, "ada", &["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["head"], &json["devices"][0]["device"]), (&2.into(), &"laptop".into()));
    assert!(json["verdicts"].is_null());
}

#[test]
fn nobody_is_unknown_and_a_server_that_is_not_there_is_named() {
    let mut server = Server::start();
    let (said, is_well) = inspected(&server, "nobody", &["--seq", "1"]);
    assert!(
        is_well && said.contains("There is no message 1 yet: the newest of this user is 0"),
        "{said}"
    );
    server.terminate();
    let (said, is_well) = inspected(&server, "nobody", &[]);
    assert!(!is_well && said.contains("cannot reach"), "{said}");
}
