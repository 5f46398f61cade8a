use serde_json::{Value, json};
use tetherline_chat::limits::QUESTION_BYTES_MAX;

use crate::{browser::Person, process::Chat};

const QUESTION: &str = "0199c0de-0000-7000-8000-000000000001";

#[tokio::test]
async fn a_question_reaches_every_tab_and_its_answer_follows() {
    let (_folder, chat) = Chat::fresh().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let (mut tab, mut other_tab) = (ada.connect().await, ada.connect().await);
    let question = json!({ "type": "message_generate", "id": QUESTION,
                           "message": "Show me a table\nplease", "timestamp": "2026-11-23T12:00:00Z" });
    assert_eq!(tab.settle(&question).await["type"], "accepted");

    let created = other_tab.next_of("message_created").await;
    assert_eq!(created["conversation_uuid"], QUESTION);
    assert_eq!(created["conversation"]["title"], "Show me a table");
    assert_eq!(created["message"]["uuid"], QUESTION);
    assert_eq!(created["message"]["role"], "user");
    let answer = other_tab.next_of("message_generate").await;
    assert_eq!(answer["seq"].as_u64(), created["seq"].as_u64().map(|seq| seq + 1));
    assert_eq!(answer["message"]["role"], "assistant");
    assert_eq!(answer["message"]["status"], "complete");
    assert_eq!(answer["message"]["reply_to"], QUESTION);
    assert!(answer["message"]["content"].as_str().unwrap().contains("built-in responder"));

    let (_, list) = ada.get("/api/conversations").await;
    assert_eq!(list["conversations"], json!([answer["conversation"]]));
    assert_eq!(list["as_of_seq"], answer["seq"]);
    assert!(list["epoch"].is_string());
    let history = ada.messages(QUESTION).await;
    assert_eq!(history, [created["message"].clone(), answer["message"].clone()]);
}

#[tokio::test]
async fn a_repeated_question_is_accepted_again_and_asked_once() {
    let (_folder, chat) = Chat::fresh().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let mut socket = ada.connect().await;
    let question = json!({ "type": "message_generate", "id": QUESTION, "message": "Hello" });
    for _ in 0..3 {
        assert_eq!(socket.settle(&question).await["type"], "accepted");
    }
    let answer = ada.connect().await.next_of("message_generate").await["message"]["uuid"].clone();
    let retry = json!({ "type": "message_regenerate", "id": "r1", "conversation_uuid": QUESTION,
                        "message_uuid": answer });
    for _ in 0..3 {
        assert_eq!(socket.settle(&retry).await["type"], "accepted");
    }
    ada.connect().await.next_of("message_regenerate").await;
    // A last question behind them all: what was done twice would stand before it.
    let mut socket = ada.connect().await;
    socket.ask("last", "Goodbye").await;
    socket.next_where(|frame| frame["message"]["reply_to"] == "last").await;
    let kinds: Vec<Value> = ada
        .connect()
        .await
        .whole_mailbox()
        .await
        .iter()
        .map(|frame| frame["type"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "message_created",
            "message_generate",
            "message_regenerate",
            "message_created",
            "message_generate"
        ]
    );
    assert_eq!(ada.messages(QUESTION).await.len(), 3, "a question, and two versions of its answer");
}

#[tokio::test]
async fn nobody_sees_or_touches_somebody_elses_conversation() {
    let (_folder, chat) = Chat::fresh().await;
    let (ada, bob) = (Person::sign_up(&chat, "ada").await, Person::sign_up(&chat, "bob").await);
    let mut hers = ada.connect().await;
    hers.ask(QUESTION, "Mine").await;
    let answer = hers.next_of("message_generate").await["message"]["uuid"].clone();

    let (_, list) = bob.get("/api/conversations").await;
    assert_eq!(list["conversations"], json!([]));
    let (status, body) = bob.get(&format!("/api/conversations/{QUESTION}/messages")).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")));

    let mut his = bob.connect().await;
    let intrusion = json!({ "type": "message_generate", "id": "i1", "message": "Mine too",
                            "conversation_uuid": QUESTION });
    let retry = json!({ "type": "message_regenerate", "id": "i2", "conversation_uuid": QUESTION,
                        "message_uuid": answer });
    for frame in [intrusion, retry] {
        let refused = his.settle(&frame).await;
        assert_eq!((&refused["code"], &refused["retryable"]), (&json!("not_found"), &json!(false)));
    }
    // The same id as hers is a question of his own.
    let same_id = json!({ "type": "message_generate", "id": QUESTION, "message": "Not hers" });
    assert_eq!(his.settle(&same_id).await["type"], "accepted");
    his.next_of("message_generate").await;
    assert_eq!(bob.messages(QUESTION).await[0]["content"], "Not hers");
    assert_eq!(ada.messages(QUESTION).await[0]["content"], "Mine");
    assert_eq!(ada.messages(QUESTION).await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_a_sentence() {
    let (_folder, chat) = Chat::fresh().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let mut socket = ada.connect().await;
    let long = "x".repeat(QUESTION_BYTES_MAX + 1);
    for (frame, code) in [
        (json!({ "type": "message_generate", "id": "b1", "message": " \n " }), "rejected"),
        (json!({ "type": "message_generate", "id": "b2", "message": long }), "rejected"),
        (json!({ "type": "message_generate", "id": "b3" }), "rejected"),
        (json!({ "type": "message_generate", "id": "b4", "message": 7 }), "rejected"),
        (json!({ "type": "message_regenerate", "id": "b5" }), "rejected"),
        (json!({ "type": "message_shout", "id": "b6" }), "unknown_type"),
        (
            json!({ "type": "message_generate", "id": "b7", "message": "Hi",
                    "conversation_uuid": "nowhere" }),
            "not_found",
        ),
    ] {
        let refused = socket.settle(&frame).await;
        assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!(code)));
        assert!(refused["message"].as_str().unwrap().ends_with('.'));
    }
    let longest = "x".repeat(QUESTION_BYTES_MAX);
    let question = json!({ "type": "message_generate", "id": "b8", "message": longest });
    assert_eq!(socket.settle(&question).await["type"], "accepted");
}
