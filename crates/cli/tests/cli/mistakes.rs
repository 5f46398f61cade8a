//! Every mistake gets one clear sentence, and an exit code that a script can see.

use std::{fs, net::TcpListener};

use crate::support::{Server, complaint, run, run_with_input, text};

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let said =
        complaint(&["serve", "--listen", &address.to_string(), "--data", text(folder.path())]);
    assert!(said.contains(&format!("port {} is in use", address.port())), "{said}");
    assert!(said.contains("--listen"), "{said}");
}

#[test]
fn an_address_or_a_path_that_is_not_here_is_named() {
    // It said `os error 99`.
    let folder = tempfile::tempdir().unwrap();
    let (data, none) = (folder.path().join("data"), folder.path().join("none/http.sock"));
    for option in ["--listen", "--admin-listen"] {
        let serve = ["serve", "--data", text(&data), "--listen", "127.0.0.1:0"];
        let serve = if option == "--listen" { &serve[..3] } else { &serve };
        // RFC 5737: nobody has it.
        let said = complaint(&[serve, &[option, "192.0.2.1:8080"]].concat());
        assert!(said.contains("192.0.2.1 is no address of this machine"), "{said}");
        assert!(said.contains(&format!("{option} 0.0.0.0:8080")), "{said}");
        let said = complaint(&[serve, &[option, &format!("unix:{}", none.display())]].concat());
        assert!(said.contains(text(&none)) && said.contains("its folder is not there"), "{said}");
        assert!(said.contains(&format!("{option} unix:/PATH")), "{said}");
    }
}

#[test]
fn a_variable_that_is_empty_is_an_option_that_was_not_given() {
    // What `docker compose` makes of `${ORIGIN:-}` was no origin, no number and no path, and nothing started.
    let names = [
        "ALLOW_ORIGIN",
        "RETENTION_DAYS",
        "WEBHOOK_URL",
        "WEBHOOK_CACERT",
        "WEBHOOK_CONNECTION_EVENTS",
        "CONNECT_HOOK_URL",
        "CONNECT_HOOK_ALWAYS",
        "ALLOW_QUERY_TOKEN",
        "JWT_SECRET_FILE",
        "JWT_PUBLIC_KEY_FILE",
        "JWT_JWKS_URL",
        "JWT_ISSUER",
        "JWT_AUDIENCE",
        "JWT_LEEWAY",
    ];
    let names = names.map(|name| format!("TETHERLINE_{name}"));
    let empty: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let server = Server::start_in(&empty, tempfile::tempdir().unwrap(), &[]);
    server.publish("ada", r#"{"n":1}"#);
}

#[test]
fn limits_that_contradict_each_other_are_named_with_what_would_come_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["serve", "--listen", "127.0.0.1:0", "--data", text(folder.path())];
    let said =
        complaint(&[&data[..], &["--stream-bytes-max=11", "--streams-bytes-max=10"]].concat());
    let expected = "the limits contradict each other: streams_bytes_max is 10, and has to be at least 11 \
                    (stream_bytes_max): no stream could become as long as one may";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_data_folder_that_cannot_be_one_is_named() {
    // A file where the folder should be: unlike missing permissions, it stops root as well.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    fs::write(&file, "in the way").unwrap();
    let said = complaint(&["serve", "--listen", "127.0.0.1:0", "--data", text(&file)]);
    assert!(said.contains("cannot use the data folder") && said.contains(text(&file)), "{said}");
    assert!(said.contains("a file is in the way") && said.contains("--data"), "{said}");
}

#[test]
fn a_secret_file_that_was_named_has_to_be_there_and_be_long_enough() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let secret = folder.path().join("secret");
    let serve = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        text(&data),
        "--jwt-secret-file",
        text(&secret),
    ];
    let said = complaint(&serve);
    assert!(said.contains(text(&secret)) && said.contains("--jwt-secret-file"), "{said}");
    fs::write(&secret, "short").unwrap();
    let said = complaint(&serve);
    assert!(said.contains("5 bytes"), "{said}");
    let said = complaint(&["token", "--jwt-secret-file", "nowhere/at/all", "--user", "ada"]);
    assert!(said.contains("nowhere/at/all"), "{said}");
}

#[test]
fn what_is_no_user_type_or_message_is_named() {
    let server = Server::start();
    let secret = server.file("jwt.secret");
    let said = complaint(&["token", "--jwt-secret-file", text(&secret), "--user", "a/b"]);
    assert!(said.contains("'/' is not allowed"), "{said}");
    let said =
        complaint(&["token", "--jwt-secret-file", text(&secret), "--user", "ada", "--ttl", "soon"]);
    assert!(said.contains("`soon` is no duration"), "{said}");
    for (json, expected) in [
        ("{", "not one JSON object"),
        ("[]", "not one JSON object"),
        (r#"{"seq":1}"#, "`seq` is reserved"),
        (r#"{"type":"other"}"#, "type is given twice"),
    ] {
        let output = server.try_publish("ada", json, &[]);
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(expected), "{json}: {said}");
    }
}

#[test]
fn a_wrong_key_and_a_message_too_large_are_refused_by_the_server() {
    let server = Server::start();
    let wrong = server.file("wrong.key");
    fs::write(&wrong, "not the key of this server").unwrap();
    let publish = ["publish", "--url", &server.url, "--api-key-file", text(&wrong)];
    let said = complaint(&[&publish[..], &["--user", "ada", "--type", "note", "{}"]].concat());
    assert!(said.contains("401") && said.contains("--api-key-file"), "{said}");
    assert_eq!(said.lines().count(), 1);
    let key = server.file("api.key");
    let publish = ["publish", "--url", &server.url, "--api-key-file", text(&key)];
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
    let output =
        run_with_input(&[&publish[..], &["--user", "ada", "--type", "note", "-"]].concat(), &large);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("413"), "{said}");
    // Nothing of all that is in the mailbox.
    assert_eq!(server.publish("ada", r#"{"n":1}"#)["seq"], 1);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("api.key");
    fs::write(&key, "a key of at least sixteen bytes").unwrap();
    let url = format!("http://{free}");
    let publish = [
        "publish",
        "--url",
        &url,
        "--api-key-file",
        text(&key),
        "--user",
        "ada",
        "--type",
        "note",
        "{}",
    ];
    let said = complaint(&publish);
    assert!(said.contains(&url) && said.contains("refused"), "{said}");
    let said = complaint(&[
        "publish",
        "--url",
        "nonsense",
        "--api-key-file",
        text(&key),
        "--user",
        "ada",
        "--type",
        "note",
        "{}",
    ]);
    assert!(said.contains("`nonsense` is not the URL of a server"), "{said}");
}

#[test]
fn a_token_that_the_server_refuses_ends_the_tail() {
    let server = Server::start();
    let other = Server::start();
    let token = other.token("ada");
    let output = run(&["tail", "--url", &server.url, "--token", &token]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("refused the token"), "{said}");
    let said = complaint(&["tail", "--url", &server.url, "--token", "nonsense"]);
    assert!(said.contains("--token is not a token"), "{said}");
    let said = complaint(&["tail", "--url", &server.url, "--token", &token, "--after", "x"]);
    assert!(said.contains("`x` is no position"), "{said}");
}

#[test]
fn asked_to_end_the_server_ends_in_order_while_somebody_is_connected() {
    let mut server = Server::start();
    let tail = server.tail("ada", &[]);
    tail.until_caught_up();
    server.terminate();
    tail.terminate();
}

#[test]
fn whoever_believes_everybody_as_a_proxy_is_told() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trusted = ["--trusted-proxy", "10.0.0.0/8,::/0"];
    let _server = Server::start_logging_on(folder, log.path(), &trusted);
    let said = fs::read_to_string(log.path()).unwrap();
    assert!(said.contains("every address is trusted as a proxy"), "{said}");
}
