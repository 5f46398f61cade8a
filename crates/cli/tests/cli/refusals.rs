//! What publishers that are not ours see of a refusal, and what the log has of everything.

use std::{fs, process::Command};

use crate::support::Server;

/// 1.2 MB in pieces, sent by Python's standard library: with its length, and without.
const PYTHON: &str = r#"
import sys, urllib.request, urllib.error
url, key = sys.argv[1:]
for attempt in range(20):
    for body in (b"x" * 1_200_000, iter([b"x" * 12_000] * 100)):
        request = urllib.request.Request(url, body, {"Authorization": f"Bearer {key}"}, method="POST")
        try:
            print(urllib.request.urlopen(request, timeout=60).status)
        except urllib.error.HTTPError as refused:
            print(refused.code)
        except OSError as problem:
            print(problem)
"#;

/// The same by Node's fetch.
const NODE: &str = r"
const [url, key] = process.argv.slice(1);
async function* pieces() { for (let n = 0; n < 100; n++) yield new Uint8Array(12_000); }
for (let attempt = 0; attempt < 20; attempt++) {
  for (const body of [new Uint8Array(1_200_000), ReadableStream.from(pieces())]) {
    const request = { method: 'POST', duplex: 'half', body, headers: { authorization: `Bearer ${key}` } };
    await fetch(url, request).then(
      async (answer) => { await answer.text(); console.log(answer.status); },
      (problem) => console.log(problem.cause?.message ?? problem.message),
    );
  }
}
";

#[test]
fn python_and_node_see_every_refusal_of_what_is_too_large_or_has_the_wrong_key() {
    // They saw a reset in 7 of 10 tries.
    let server = Server::start();
    let url = format!("{}/v1/users/ada/messages", server.url);
    let key = fs::read_to_string(server.file("api.key")).unwrap();
    let module = ["--input-type=module", "-e"];
    for (program, options) in [("python3", &["-c"][..]), ("node", &module)] {
        let script = if program == "node" { NODE } else { PYTHON };
        for (key, expected) in [(key.trim(), "413"), ("wrong", "401")] {
            let mut command = Command::new(program);
            let output = command.args(options).args([script, &url, key]).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(said.lines().count(), 40, "{program}: {said} {stderr}");
            assert!(said.lines().all(|line| line == expected), "{program}: {said}");
        }
    }
}

#[test]
fn the_log_tells_what_happens_and_nothing_that_is_secret() {
    // At `trace` it had next to nothing.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging(&log);
    let token = server.token("ada");
    server.publish("ada", r#"{"n":1,"text":"what is said"}"#);
    let wrong = server.try_publish("ada", r#"{"type":"what is said"}"#, &[]);
    assert!(!wrong.status.success());
    let tail = server.tail("ada", &[]);
    assert_eq!(tail.until_caught_up(), [1]);
    tail.terminate();
    let ask = format!("{}/ws/user/ada?token={token}", server.url);
    assert!(Command::new("python3").args(["-c", ASK, &ask]).status().unwrap().success());
    let key = fs::read_to_string(server.file("api.key")).unwrap();
    let tickets = format!("{}/v1/tickets", server.url);
    let ticket = Command::new("python3").args(["-c", TICKET, &tickets, &token]).output().unwrap();
    let ticket = String::from_utf8(ticket.stdout).unwrap().trim().to_owned();
    assert_eq!(ticket.len(), 32, "{ticket}");
    let ask = format!("{}/ws/user/ada?ticket={ticket}", server.url);
    assert!(Command::new("python3").args(["-c", ASK, &ask]).status().unwrap().success());
    server.terminate();
    let log = fs::read_to_string(log).unwrap();
    for word in [
        "connection{peer=127.0.0.1:",
        "request{request_id=",
        " method=POST path=\"/v1/users/ada/messages\"}",
        "published user=\"ada\"",
        "committed commands=",
        "answered status=201",
        "websocket{connection=",
        "closing a connection goodbye=",
    ] {
        assert!(log.contains(word), "{word} is not in {log}");
    }
    for secret in [token.as_str(), key.trim(), &ticket, "token=", "ticket=", "what is said"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

/// Asks for a ticket.
const TICKET: &str = r#"
import json, sys, urllib.request
url, token = sys.argv[1:]
request = urllib.request.Request(url, b"", {"Authorization": f"Bearer {token}"}, method="POST")
print(json.load(urllib.request.urlopen(request, timeout=60))["ticket"])
"#;

/// Asks without an upgrade, and is refused.
const ASK: &str = r"
import sys, urllib.request, urllib.error
try:
    urllib.request.urlopen(sys.argv[1], timeout=60)
except urllib.error.HTTPError:
    pass
";
