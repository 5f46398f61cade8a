use serde_json::{Value, json};
use tetherline_protocol::CloseCode;

use crate::{
    browser::{Person, Socket},
    process::{Chat, Start},
    provider::{FakeProvider, Mood, asking},
};

#[tokio::test]
async fn a_question_that_was_accepted_is_answered_although_the_power_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mut provider = FakeProvider::start([Mood::Silence]).await;
    let chat = Start::on(folder.path()).provider(&provider.base_url).run().await;
    let (ada, _socket) = asking(&chat, "q1").await;
    provider.request().await;
    chat.kill().await;

    let chat = Start::on(folder.path()).provider(&provider.base_url).run().await;
    let mut socket = ada.at(&chat).connect().await;
    let answer = socket.next_of("message_generate").await;
    assert_eq!(answer["message"]["content"], "as usual");
    provider.request().await;

    // The client never saw `accepted`, say, and repeats itself: nothing comes of it.
    let again = json!({ "type": "message_generate", "id": "q1", "message": "Still there?" });
    assert_eq!(socket.settle(&again).await["type"], "accepted");
    let kinds: Vec<Value> = whole(&ada, &chat).await;
    assert_eq!(kinds, ["message_created", "message_generate"]);
    assert_eq!(ada.at(&chat).messages("q1").await.len(), 2);
    assert!(provider.no_more_requests());
}

#[tokio::test]
async fn what_was_committed_and_not_published_is_published_at_the_next_start_once() {
    let folder = tempfile::tempdir().unwrap();
    let chat = Start::on(folder.path()).run().await;
    let (ada, mut socket) = asking(&chat, "q1").await;
    socket.next_of("message_generate").await;
    chat.kill().await;

    // As if the power had failed between the commit and the mailbox.
    let database = rusqlite::Connection::open(folder.path().join("chat.db")).unwrap();
    let insert = "INSERT INTO publications (user_uuid, key, frame) VALUES (?1, ?2, ?3)";
    let frame = |content: &str| {
        json!({ "type": "message_created", "conversation_uuid": "q1",
                "message": { "uuid": "q2", "role": "user", "content": content } })
        .to_string()
    };
    database.execute(insert, (&ada.uuid, "created:q2", frame("late"))).unwrap();
    drop(database);

    let chat = Start::on(folder.path()).run().await;
    let mut socket = ada.at(&chat).connect().await;
    socket.next_where(|frame| frame["message"]["uuid"] == "q2").await;
    chat.kill().await;

    // As if it had failed between the mailbox and the row's removal.
    let database = rusqlite::Connection::open(folder.path().join("chat.db")).unwrap();
    database.execute("DELETE FROM publications", []).unwrap();
    database.execute(insert, (&ada.uuid, "created:q2", frame("late"))).unwrap();
    drop(database);

    let chat = Start::on(folder.path()).run().await;
    let mut socket = ada.at(&chat).connect().await;
    socket.ask("q3", "The last one").await;
    socket.next_where(|frame| frame["message"]["reply_to"] == "q3").await;
    assert_eq!(
        whole(&ada, &chat).await,
        [
            "message_created",
            "message_generate",
            "message_created",
            "message_created",
            "message_generate"
        ]
    );
}

#[tokio::test]
async fn a_sign_in_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let chat = Start::on(folder.path()).run().await;
    let (ada, _socket) = asking(&chat, "q1").await;
    assert_eq!(chat.terminate().await, 0);
    let chat = Start::on(folder.path()).run().await;
    let refreshed =
        crate::browser::post_with_cookie(&chat.url, "/api/auth/refresh", &ada.cookie).await;
    assert_eq!(refreshed.status(), 200);
    assert_eq!(ada.at(&chat).get("/api/conversations").await.0, 200);
}

async fn whole(ada: &crate::browser::Person, chat: &Chat) -> Vec<Value> {
    let frames = ada.at(chat).connect().await.whole_mailbox().await;
    frames.iter().map(|frame| frame["type"].clone()).collect()
}

#[tokio::test]
async fn whoever_is_connected_is_told_when_to_come_back() {
    let (_folder, mut chat) = Chat::fresh().await;
    let mut sockets = Vec::new();
    for name in ["ada", "bob", "eve"] {
        sockets.push(Person::sign_up(&chat, name).await.connect().await);
    }
    let goodbyes = futures_util::future::join_all(sockets.iter_mut().map(Socket::goodbye));
    let (goodbyes, code) = tokio::join!(goodbyes, chat.terminate_now());
    assert_eq!(code, 0);
    let told = |(code, reason): &(u16, String)| {
        assert_eq!(*code, 1012);
        CloseCode::retry_after_ms(reason).unwrap()
    };
    let mut told: Vec<u64> = goodbyes.iter().map(told).collect();
    told.dedup();
    assert_eq!(told.len(), 3, "{told:?}");
}
