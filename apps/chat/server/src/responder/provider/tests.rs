//! Servers as they are documented, servers as they should not be, and a network that cuts where it
//! likes.

mod hostile;
mod server;
mod splits;

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use self::server::{Script, read_request, serve};
use super::*;

/// What well-known servers send, after their documentation; all of them say the same.
const RECORDED: [(&str, &str); 4] = [
    ("OpenAI", include_str!("tests/recorded/openai.txt")),
    ("Ollama", include_str!("tests/recorded/ollama.txt")),
    ("vLLM", include_str!("tests/recorded/vllm.txt")),
    ("llama.cpp", include_str!("tests/recorded/llama_cpp.txt")),
];
const SAID: &str = "Grüße, Ada 👍!\n";

const PATIENT: Patience = Patience {
    first: Duration::from_secs(20),
    stall: Duration::from_secs(20),
    whole: Duration::from_secs(20),
};

/// All that a provider said, and how it ended.
async fn answer(script: Script, patience: Patience) -> (String, Result<(), ProviderError>) {
    let base_url = serve(script).await;
    let provider = Provider::with_patience(Some(&base_url), None, Some("m"), patience);
    let turns = vec![Turn { role: Role::User, content: "Hello".into() }];
    let mut pieces = Box::pin(provider.unwrap().unwrap().stream(turns));
    let mut text = String::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => text.push_str(&piece),
            Err(error) => {
                assert!(pieces.next().await.is_none(), "an error is the last");
                return (text, Err(error));
            }
        }
    }
    (text, Ok(()))
}

#[tokio::test]
async fn what_well_known_servers_send_is_understood_byte_by_byte() {
    for (name, recorded) in RECORDED {
        for body in [recorded.to_owned(), recorded.replace('\n', "\r\n")] {
            let outcome = answer(Script::bytewise(&body), PATIENT).await;
            assert_eq!(outcome, (SAID.into(), Ok(())), "{name}");
        }
    }
}

#[tokio::test]
async fn a_piece_is_there_before_the_next_one_is_sent() {
    let (script, mut gate) = Script::gated([
        r#"data: {"choices":[{"delta":{"content":"one"}}]}"#,
        r#"data: {"choices":[{"delta":{"content":" two"},"finish_reason":"stop"}]}"#,
    ]);
    let base_url = serve(script).await;
    let provider = Provider::with_patience(Some(&base_url), None, Some("m"), PATIENT);
    let mut pieces = Box::pin(provider.unwrap().unwrap().stream(Vec::new()));
    gate.open();
    assert_eq!(pieces.next().await, Some(Ok("one".into())));
    gate.open();
    assert_eq!(pieces.next().await, Some(Ok(" two".into())));
    assert_eq!(pieces.next().await, None);
}

#[tokio::test]
async fn a_redirect_carries_no_conversation_elsewhere() {
    // A 307 had the whole conversation posted to whatever address it named.
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = elsewhere.local_addr().unwrap();
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", first.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = first.accept().await.unwrap();
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{place}/\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n"
        );
        read_request(&mut socket).await.unwrap();
        socket.write_all(answer.as_bytes()).await.unwrap();
    });
    let provider = Provider::with_patience(Some(&base_url), None, Some("m"), PATIENT);
    let mut pieces = Box::pin(provider.unwrap().unwrap().stream(Vec::new()));
    tokio::select! {
        piece = pieces.next() => assert_eq!(piece, Some(Err(ProviderError::NotFound))),
        _ = elsewhere.accept() => panic!("the redirect was followed"),
    }
}

#[test]
fn base_urls_are_taken_with_and_without_their_ends() {
    for (base, expected) in [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
        ("http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
        ("https://example.org/openai/v1", "https://example.org/openai/v1/chat/completions"),
    ] {
        assert_eq!(endpoint(base).unwrap().as_str(), expected);
    }
    assert!(endpoint("localhost:11434").is_err());
    assert!(endpoint("nonsense").is_err());
}

#[test]
fn a_model_is_only_assumed_where_it_is_known() {
    let configure = |base_url, api_key, model| Provider::configure(base_url, api_key, model, None);
    assert!(configure(None, None, Some("m")).unwrap().is_none());
    assert!(configure(Some(" "), Some(""), None).unwrap().is_none());
    assert!(matches!(
        configure(Some("http://localhost:11434/v1"), None, None),
        Err(InvalidProvider::NoModel)
    ));
    let local = configure(Some("http://localhost:11434/v1"), None, Some("m")).unwrap().unwrap();
    assert_eq!(format!("{local:?}"), "Provider(m at http://localhost:11434/v1/chat/completions)");
}
