use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::process::{Chat, PATIENCE};

/// Writes all of a request of 4 MiB before it reads the first line of the answer.
async fn talk(chat: &Chat, what: &str, headers: &str) -> std::io::Result<String> {
    let address = chat.url.strip_prefix("http://").unwrap();
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let length = 4 * 1024 * 1024;
    let head = format!("{what} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b'x'; length]).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line)
}

#[tokio::test]
async fn whoever_talks_on_hears_why_nothing_is_done() {
    // The connection was reset under the answer.
    let (_folder, chat) = Chat::fresh().await;
    let json = "Content-Type: application/json\r\n";
    for (what, headers, expected) in [
        ("POST /api/auth/sign-in", json, "413"),
        ("POST /api/auth/sign-in", "", "400"),
        ("POST /api/auth/sign-in", &format!("{json}Content-Encoding: gzip\r\n"), "415"),
        ("PUT /api/auth/sign-in", json, "405"),
        ("POST /api/nothing", json, "404"),
        ("POST /somewhere", json, "404"),
    ] {
        let said = timeout(PATIENCE, talk(&chat, what, headers)).await.unwrap().unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1 {expected}")), "{what}: {said}");
    }
}
