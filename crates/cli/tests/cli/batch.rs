//! Publishing what is in a file, a line for each.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::{Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Server, run, run_with_input, tetherline, text};

fn batch(server: &Server, file: &str, more: &[&str]) -> Vec<String> {
    let key = server.file("api.key");
    let publish = ["publish", "--url", &server.url, "--api-key-file", text(&key), "--batch", file];
    [&publish[..], more].concat().into_iter().map(str::to_owned).collect()
}

fn publish(server: &Server, lines: &str, more: &[&str]) -> Output {
    let file = server.file("batch.ndjson");
    fs::write(&file, lines).unwrap();
    let arguments = batch(server, text(&file), more);
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn answers(output: &Output) -> Vec<Value> {
    let stdout = std::str::from_utf8(&output.stdout).unwrap();
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn numbered(numbers: std::ops::RangeInclusive<u64>) -> String {
    let line = |n| json!({"user": "ada", "message": {"type": "note", "n": n}}).to_string();
    numbers.map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_line_is_published_in_order_and_answered_by_its_number() {
    let server = Server::start();
    let output = publish(&server, &numbered(1..=1_200), &[]);
    assert!(output.status.success(), "{output:?}");
    let answers = answers(&output);
    assert_eq!(answers.len(), 1_200);
    for (answer, n) in answers.iter().zip(1_u64..) {
        assert_eq!(
            (&answer["line"], &answer["seq"], &answer["status"]),
            (&n.into(), &n.into(), &201.into())
        );
    }
    assert!(said(&output).contains("1200 published"), "{}", said(&output));
    let tail = server.tail("ada", &[]);
    assert_eq!(tail.until_caught_up(), (1..=1_200).collect::<Vec<u64>>());
}

#[test]
fn what_comes_together_is_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging(&log);
    let output = publish(&server, &numbered(1..=500), &[]);
    assert!(output.status.success(), "{output:?}");
    server.terminate();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("committed commands=500"), "{log}");
}

#[test]
fn the_same_file_again_doubles_nothing_if_its_lines_have_keys() {
    let server = Server::start();
    let keyed = ["--key-prefix", "import-7"];
    assert!(publish(&server, &numbered(1..=20), &keyed).status.success());
    // As after a batch that was stopped: the rest is new.
    let output = publish(&server, &numbered(1..=30), &keyed);
    assert!(output.status.success(), "{output:?}");
    assert!(said(&output).contains("10 published, 20 had been before"), "{}", said(&output));
    let answers = answers(&output);
    assert_eq!((&answers[19]["repeated"], &answers[20]["repeated"]), (&true.into(), &false.into()));
    assert_eq!(answers[29]["seq"], 30);
    // A line that says something else now is not what was published.
    let output = publish(&server, &numbered(2..=31), &keyed);
    assert!(!output.status.success());
    assert!(said(&output).contains("line 1: the server refused it with 409"), "{}", said(&output));
}

#[test]
fn a_line_that_is_refused_is_named_and_the_others_are_published() {
    let server = Server::start();
    let lines = concat!(
        r#"{"user":"ada","message":{"type":"note","n":1}}"#,
        "\n\nnonsense\n",
        r#"{"users":["bob","a/b"],"message":{"type":"note"}}"#,
        "\n",
        r#"{"user":"ada","mesage":{"type":"note"}}"#,
        "\n",
        r#"{"user":"ada","message":{"type":"note","n":2}}"#,
    );
    let output = publish(&server, lines, &[]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<_> =
        answers(&output).iter().map(|answer| answer["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 3, 4, 5, 6]);
    let said = said(&output);
    for words in [
        "line 3: the server refused it with 400: The item was refused: an item is one JSON object",
        "line 4: user \"a/b\": the server refused it with 400",
        "line 5: the server refused it with 400: The item was refused: an item has no field `mesage`",
        "3 published, 0 had been before, 3 refused",
    ] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    let tail = server.tail("ada", &[]);
    assert_eq!(tail.until_caught_up(), [1, 2]);
}

#[test]
fn a_batch_comes_from_stdin_too_and_takes_no_second_message() {
    let server = Server::start();
    let arguments = batch(&server, "-", &[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run_with_input(&arguments, &numbered(1..=3));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(answers(&output)[2]["seq"], 3);
    let both = run(&[&arguments[..], &["--user", "ada"]].concat());
    assert_eq!(both.status.code(), Some(2), "{both:?}");
    let missing =
        run(&["publish", "--url", &server.url, "--api-key-file", "x", "--batch", "nowhere"]);
    assert!(said(&missing).contains("cannot read nowhere"), "{missing:?}");
    let none =
        tetherline(&["publish", "--url", &server.url, "--api-key-file", "x"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2), "{none:?}");
}

#[test]
fn more_than_one_request_may_bring_is_split() {
    let server = Server::start();
    // Two lines that go into one request, and into more mailboxes than one request may fill.
    let users: Vec<String> = (0..900).map(|n| format!("u{n}")).collect();
    let message = json!({"type": "note", "text": "x".repeat(10_000)});
    let line = json!({"users": users, "message": message}).to_string();
    let output = publish(&server, &format!("{line}\n{line}\n"), &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("1800 published"), "{}", said(&output));
    let more: Vec<String> = (0..1_600).map(|n| format!("u{n}")).collect();
    let too_many = json!({"users": more, "message": {"type": "note"}}).to_string();
    let output = publish(&server, &too_many, &[]);
    assert!(said(&output).contains("line 1: the server refused it with 413"), "{output:?}");
}

#[test]
fn whoever_waits_for_more_than_two_seconds_hears_how_far_it_is() {
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (key, file) = (folder.path().join("key"), folder.path().join("batch.ndjson"));
    fs::write(&key, "a key that is long enough to be one").unwrap();
    fs::write(&file, numbered(1..=1)).unwrap();
    let url = format!("http://{}", slow.local_addr().unwrap());
    let publish = ["publish", "--url", &url, "--api-key-file", text(&key), "--batch", text(&file)];
    let mut child =
        tetherline(&publish).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut asked, _) = slow.accept().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    // It is answered once it has been said.
    assert!(said.next().unwrap().contains("0 published, 0 had been before, 0 refused so far"));
    let body = r#"{"status":201,"id":"m1","seq":1,"repeated":false}"#;
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
    asked.write_all(answer.as_bytes()).unwrap();
    assert!(said.last().unwrap().contains("1 published"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_server_that_goes_away_ends_it_at_a_line() {
    let mut server = Server::start();
    server.terminate();
    let output = publish(&server, &numbered(1..=3), &["--key-prefix", "k"]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("stopped at line 1; so far 0 published"), "{said}");
    assert!(said.contains("doubles nothing that has a key"), "{said}");
    assert!(said.contains("cannot reach"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}
