use std::{net::TcpListener, os::unix::fs::PermissionsExt as _};

use tokio::process::Command;

use crate::{
    browser::Person,
    process::{Chat, PATIENCE, Start},
};

#[tokio::test]
async fn a_port_in_use_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tetherline-chat"));
    command.args(["--listen", &address, "--data"]).arg(folder.path());
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("is in use") && text.contains("--listen"), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let (code, text) = Start::on(&file.join("data")).fail().await;
    assert_eq!(code, 1);
    assert!(text.contains("data folder") && text.contains("--data"), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[tokio::test]
async fn a_data_folder_in_use_is_said_with_what_to_do() {
    let (folder, _chat) = Chat::fresh().await;
    let (code, text) = Start::on(folder.path()).fail().await;
    assert_eq!(code, 1);
    assert!(text.contains("in use by another running chat"), "{text}");
}

#[tokio::test]
async fn a_wrong_command_line_or_provider_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _) = Start::on(folder.path()).with(&["--nonsense"]).fail().await;
    assert_eq!(code, 2);
    let url = ["--openai-base-url", "http://localhost:11434/v1"];
    let (code, text) = Start::on(folder.path()).with(&url).fail().await;
    assert_eq!(code, 2);
    assert!(text.contains("CHAT_MODEL"), "{text}");
}

#[tokio::test]
async fn a_proxy_over_https_needs_certificates_even_for_a_model_over_http() {
    // The chat started with none to trust, and every question failed.
    let folder = tempfile::tempdir().unwrap();
    let start = Start::on(folder.path()).provider("http://127.0.0.1:1/v1");
    let mut command = start.command();
    command.env("CHAT_PROXY", "https://127.0.0.1:1");
    command.envs([("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")]);
    command.stderr(std::process::Stdio::piped());
    let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("CA certificates"), "{text}");
}

#[tokio::test]
async fn a_web_application_that_is_not_built_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("dist");
    let start = Start::on(folder.path()).with(&["--web", web.to_str().unwrap()]);
    let (code, text) = start.fail().await;
    assert_eq!(code, 1);
    assert!(text.contains("index.html") && text.contains("--web"), "{text}");
}

#[tokio::test]
async fn secrets_are_made_once_and_for_their_owner_only() {
    let (folder, chat) = Chat::fresh().await;
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let names = ["jwt.secret", "api.key", "refresh.secret"];
    let before = names.map(read);
    for name in names.into_iter().chain(["chat.db", "chat.db-wal"]) {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(chat.terminate().await, 0);
    let _chat = Start::on(folder.path()).run().await;
    assert_eq!(names.map(read), before);
}

#[tokio::test]
async fn being_told_to_stop_sends_everybody_away_to_come_back() {
    let (_folder, chat) = Chat::fresh().await;
    let mut socket = Person::sign_up(&chat, "ada").await.connect().await;
    let (code, close) = tokio::join!(chat.terminate(), socket.closed_with());
    assert_eq!((code, close), (0, 1012));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_and_a_hangup_stop_nothing() {
    // A line on a full volume was a panic, and the terminal that was closed took the chat with it.
    let folder = tempfile::tempdir().unwrap();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Start::on(folder.path()).command();
    command.stderr(full()).env("RUST_LOG", "trace");
    let chat = Start::on(folder.path()).run_as(command).await;
    chat.signal("HUP").await;
    Person::sign_up(&chat, "ada").await.connect().await;
    assert_eq!(chat.terminate().await, 0);

    let mut command = Start::on(folder.path()).with(&["--help"]).command();
    let status = command.stdout(full()).stderr(full()).status().await.unwrap();
    assert_eq!(status.code(), Some(74));
}

#[tokio::test]
async fn the_log_is_json_where_nobody_reads_it_at_a_terminal() {
    // It was text everywhere, while the delivery server's was JSON.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let start = Start::on(folder.path());
    let mut command = start.command();
    command.env_remove("CHAT_LOG_FORMAT").env("RUST_LOG", "debug");
    command.stderr(std::fs::File::create(&log).unwrap());
    assert_eq!(start.run_as(command).await.terminate().await, 0);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.lines().count() > 0);
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
}
