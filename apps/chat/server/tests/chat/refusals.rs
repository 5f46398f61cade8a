use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{
    browser::Person,
    process::{Chat, PATIENCE, Start},
};

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

#[tokio::test]
async fn a_database_that_is_broken_is_said_once_and_not_for_each_request_and_so_is_its_recovery() {
    // Each request wrote an error, and anybody can make thousands.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let start = Start::on(folder.path());
    let mut command = start.command();
    command.stderr(std::fs::File::create(&log).unwrap());
    let started = Instant::now();
    let chat = start.run_as(command).await;
    let ada = Person::sign_up(&chat, "ada").await;
    let file = rusqlite::Connection::open(folder.path().join("chat.db")).unwrap();
    file.execute_batch("ALTER TABLE conversations RENAME TO elsewhere").unwrap();
    for _ in 0..20 {
        assert_eq!(ada.get("/api/conversations").await.0, 500);
    }
    file.execute_batch("ALTER TABLE elsewhere RENAME TO conversations").unwrap();
    let said = |what: &str| {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines().filter(|line| line.contains(what)).count()
    };
    let often = |started: Instant| usize::try_from(started.elapsed().as_secs()).unwrap() / 10 + 1;
    assert!((1..=often(started)).contains(&said("a request failed")));
    timeout(PATIENCE, async {
        while said("requests are served again") == 0 {
            assert_eq!(ada.get("/api/conversations").await.0, 200);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("its end is said, too");
    assert!(said(" ERROR ") + said(" WARN tetherline_chat") <= often(started));
}

#[tokio::test]
async fn a_request_without_a_path_is_no_fault_of_the_chat() {
    // The page's files were looked for under no name, and that was a 500.
    let (_folder, chat) = Chat::fresh().await;
    let address = chat.url.strip_prefix("http://").unwrap();
    for (what, expected) in [
        ("GET index.html", "400"),
        ("CONNECT index.html:443", "400"),
        ("GET /api/health", "200"),
        ("GET http://elsewhere.test/api/health", "200"),
        ("OPTIONS *", "404"),
    ] {
        let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        let head = format!("{what} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut line = String::new();
        timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap().unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {expected}")), "{what}: {line}");
    }
}
