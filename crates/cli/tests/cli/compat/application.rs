//! The application behind the webhook, as it was when the stories were recorded.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use serde_json::Value;

/// How often a `busy` fails: as often as one attempt of the server's asks.
const BUSY_TIMES: u32 = 3;

/// Takes what is sent for as long as the test lives; answers its URL.
pub(crate) fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut busy = HashMap::new();
        for stream in listener.incoming().map_while(Result::ok) {
            // A server that gives a request up is the test's business, and not this one's.
            let _ = answer(stream, &mut busy);
        }
    });
    url
}

fn answer(stream: TcpStream, busy: &mut HashMap<String, u32>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
            None if line.trim().is_empty() => break,
            Some(_) | None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request: Value = serde_json::from_slice(&body)?;
    let message = &request["message"];
    let refusal = r#"{"error":{"code":"too_long","message":"The question is too long."}}"#;
    let (status, body) = match message["type"].as_str() {
        Some("too_long") => ("422 Unprocessable Content", refusal),
        Some("busy") => {
            let times = busy.entry(message["id"].to_string()).or_default();
            *times += 1;
            (if *times <= BUSY_TIMES { "503 Service Unavailable" } else { "204 No Content" }, "")
        }
        _ => ("204 No Content", ""),
    };
    let length = if status.starts_with("204") {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    };
    let head = format!("HTTP/1.1 {status}\r\n{length}Connection: close\r\n\r\n{body}");
    reader.get_mut().write_all(head.as_bytes())
}
