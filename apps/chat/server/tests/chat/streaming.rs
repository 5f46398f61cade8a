//! Streams, and what is left of them when something breaks.

use reqwest::Client;
use serde_json::{Value, json};

use crate::{
    browser::{Person, Socket},
    process::{Chat, Start},
    provider::{FakeProvider, Mood, Pen},
};

/// A chat whose provider writes as the story goes on.
pub(crate) struct Story {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) provider: FakeProvider,
    pub(crate) chat: Chat,
    pub(crate) ada: Person,
}

impl Story {
    pub(crate) async fn with(moods: impl IntoIterator<Item = Mood>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = FakeProvider::start(moods).await;
        let chat = Start::on(folder.path()).provider(&provider.base_url).run().await;
        let ada = Person::sign_up(&chat, "ada").await;
        Self { folder, provider, chat, ada }
    }

    /// A new life of the chat.
    pub(crate) async fn start_again(&mut self) {
        self.chat = Start::on(self.folder.path()).provider(&self.provider.base_url).run().await;
        self.ada = self.ada.at(&self.chat);
    }

    pub(crate) async fn kill_and_start_again(&mut self) {
        self.chat.kill_now().await;
        self.start_again().await;
    }
}

/// The durable end of the answer to a send.
pub(crate) async fn end_of(socket: &mut Socket, asked_by: &str) -> Value {
    socket.next_where(|frame| frame["seq"].is_u64() && frame["ref"] == asked_by).await
}

pub(crate) fn retry(id: &str, answer: &Value) -> Value {
    json!({ "type": "message_regenerate", "id": id, "conversation_uuid": "q1",
            "message_uuid": answer, "retry": true })
}

#[tokio::test]
async fn a_stream_is_shown_on_all_devices_alike_and_becomes_the_message_that_they_show() {
    let (mood, pen) = Pen::new();
    let story = Story::with([mood]).await;
    let (mut laptop, mut phone) = (story.ada.watch().await, story.ada.watch().await);
    let mut plain = story.ada.connect().await;
    laptop.ask("q1", "How are you?").await;
    pen.write("Grüße 👍");
    for screen in [&mut laptop, &mut phone] {
        let streaming = screen.shows("q1", "Grüße 👍").await;
        let uuid = &streaming.start["message_uuid"];
        assert_eq!(
            streaming.start,
            json!({ "type": "message_start", "message_uuid": uuid, "attempt": 1, "ref": "q1",
                    "conversation_uuid": "q1", "version": 1, "parent": "q1" })
        );
    }
    let history = story.ada.history("q1").await;
    let uuid = history["pending"][0]["message_uuid"].clone();
    assert_eq!(
        history["pending"],
        json!([{ "message_uuid": uuid, "ref": "q1", "parent": "q1", "version": 1 }])
    );
    assert_eq!(history["newest_leaf"], uuid);

    let mut late = story.ada.watch().await;
    late.shows("q1", "Grüße 👍").await;
    pen.write(" from me.");
    pen.finish();
    let whole = "Grüße 👍 from me.";
    let mut ends = Vec::new();
    for screen in [&mut laptop, &mut phone, &mut late, &mut plain] {
        let end = end_of(screen, "q1").await;
        assert_eq!(end["message"]["content"], whole);
        ends.push(end);
    }
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]));
    let end = &ends[0];
    assert_eq!(
        (&end["type"], &end["message_uuid"], &end["attempt"], &end["status"]),
        (&json!("message_generate"), &uuid, &json!(1), &json!("complete"))
    );
    assert_eq!(end["conversation"]["title"], "How are you?");
    let history = story.ada.history("q1").await;
    assert_eq!(history["messages"][1], end["message"], "history and live agree");
    assert_eq!((&history["pending"], &history["newest_leaf"]), (&json!([]), &uuid));
}

#[tokio::test]
async fn a_provider_that_breaks_off_leaves_what_it_said() {
    let (mood, pen) = Pen::new();
    let story = Story::with([mood]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "How are you?").await;
    pen.write("Half an ans");
    screen.shows("q1", "Half an ans").await;
    pen.event(&json!({ "error": { "message": "out of memory" } }));
    let end = end_of(&mut screen, "q1").await;
    assert_eq!((&end["status"], &end["message"]["status"]), (&json!("failed"), &json!("failed")));
    assert_eq!(end["message"]["content"], "Half an ans");
    assert_eq!(end["message"]["error"]["code"], "provider_gave_up");
    assert_eq!(story.ada.messages("q1").await[1], end["message"]);
}

#[tokio::test]
async fn when_the_power_fails_in_the_middle_the_text_stays_and_can_be_tried_again() {
    let (mood, pen) = Pen::new();
    let mut story = Story::with([mood]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "How are you?").await;
    pen.write("Half an ans");
    let seen = screen.shows("q1", "Half an ans").await;
    story.kill_and_start_again().await;
    is_interrupted_and_can_be_tried_again(&mut story, &seen.start["message_uuid"]).await;
}

#[tokio::test]
async fn however_often_the_power_fails_nothing_that_was_seen_is_lost() {
    let words: Vec<String> = (0..400).map(|number| format!("{number} 👍 ")).collect();
    let whole = words.concat();
    let mut story = Story::with([]).await;
    let mut asked_by = "q1".to_owned();
    let mut ask = json!({ "type": "message_generate", "id": "q1", "message": "Count." });
    for round in 1..=5 {
        let (mood, pen) = Pen::new();
        story.provider.then(mood);
        let mut screen = story.ada.watch().await;
        screen.send(&ask).await;
        // All at once: much of it is on its way when the power fails.
        for word in &words {
            pen.write(word);
        }
        screen
            .next_where(|frame| frame["type"] == "message_delta" && frame["attempt"] == round)
            .await;
        let seen = screen.shown(&asked_by).to_owned();
        assert!(!seen.is_empty());
        story.kill_and_start_again().await;
        let end = end_of(&mut story.ada.watch().await, &asked_by).await;
        let kept = end["message"]["content"].as_str().unwrap();
        assert_eq!((&end["status"], &end["attempt"]), (&json!("interrupted"), &json!(round)));
        assert!(kept.starts_with(&seen) && whole.starts_with(kept), "{seen:?}, then {kept:?}");
        assert_eq!(story.ada.messages("q1").await[1], end["message"]);
        asked_by = format!("r{round}");
        ask = retry(&asked_by, &end["message_uuid"]);
    }
}

#[tokio::test]
async fn when_the_chat_is_told_to_stop_in_the_middle_it_is_the_same() {
    let (mood, pen) = Pen::new();
    let mut story = Story::with([mood]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "How are you?").await;
    pen.write("Half an ans");
    let seen = screen.shows("q1", "Half an ans").await;
    assert_eq!(story.chat.terminate_now().await, 0);
    story.start_again().await;
    is_interrupted_and_can_be_tried_again(&mut story, &seen.start["message_uuid"]).await;
}

async fn is_interrupted_and_can_be_tried_again(story: &mut Story, answer: &Value) {
    let mut screen = story.ada.watch().await;
    let end = end_of(&mut screen, "q1").await;
    assert_eq!((&end["message_uuid"], &end["attempt"]), (answer, &json!(1)));
    assert_eq!(end["status"], "interrupted");
    assert_eq!(end["message"]["content"], "Half an ans");
    assert_eq!(end["message"]["error"]["code"], "interrupted");
    assert_eq!(story.ada.messages("q1").await[1], end["message"]);

    let (mood, pen) = Pen::new();
    story.provider.then(mood);
    assert_eq!(screen.settle(&retry("r1", answer)).await["type"], "accepted");
    pen.write("All of it.");
    let streaming = screen.shows("r1", "All of it.").await;
    assert_eq!(
        (&streaming.start["message_uuid"], &streaming.start["attempt"]),
        (answer, &json!(2))
    );
    pen.finish();
    let end = end_of(&mut screen, "r1").await;
    assert_eq!((&end["type"], &end["status"]), (&json!("message_regenerate"), &json!("complete")));
    assert_eq!(end["message"]["version"], 1);
    assert_eq!(story.ada.messages("q1").await[1..], [end["message"].clone()]);
}

#[tokio::test]
async fn an_answer_of_which_nothing_was_seen_is_begun_again_by_itself() {
    let (mood, _pen) = Pen::new();
    let mut story = Story::with([mood, Mood::Answer("Fine.")]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "How are you?").await;
    screen.shows("q1", "").await;
    story.kill_and_start_again().await;
    let end = end_of(&mut story.ada.watch().await, "q1").await;
    assert_eq!((&end["attempt"], &end["message"]["content"]), (&json!(2), &json!("Fine.")));
}

#[tokio::test]
async fn an_answer_whose_mailbox_was_erased_meanwhile_is_kept_and_told() {
    let (mood, pen) = Pen::new();
    let story = Story::with([mood]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "How are you?").await;
    pen.write("Half an ans");
    screen.shows("q1", "Half an ans").await;
    let key = std::fs::read_to_string(story.folder.path().join("api.key")).unwrap();
    let erasing = Client::new().delete(format!("{}/v1/users/{}", story.chat.url, story.ada.uuid));
    assert_eq!(erasing.bearer_auth(key.trim()).send().await.unwrap().status(), 204);
    pen.write("wer that nobody sees");
    let end = end_of(&mut story.ada.watch().await, "q1").await;
    assert_eq!(end["status"], "interrupted");
    assert_eq!(end["message"]["content"], "Half an ans");
    assert_eq!(story.ada.messages("q1").await[1], end["message"]);
    pen.is_let_go().await;
}

#[tokio::test]
async fn an_end_that_was_committed_and_not_told_is_told_after_the_restart_once() {
    let (mood, pen) = Pen::new();
    let mut story = Story::with([mood]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "How are you?").await;
    pen.write("Fine.");
    pen.finish();
    let end = end_of(&mut screen, "q1").await;
    story.chat.kill_now().await;

    // As if the power had failed between the mailbox and the row's removal.
    let database = rusqlite::Connection::open(story.folder.path().join("chat.db")).unwrap();
    let fields = json!({ "status": "complete", "conversation": end["conversation"],
                         "message": { "role": "assistant" } });
    database
        .execute(
            "INSERT OR REPLACE INTO publications
                 (user_uuid, key, frame, message_uuid, attempt, ending)
             VALUES (?1, 'answered:q1', ?2, ?3, 1, ?4)",
            (
                &story.ada.uuid,
                json!({ "type": "message_generate" }).to_string(),
                end["message_uuid"].as_str(),
                fields.to_string(),
            ),
        )
        .unwrap();
    drop(database);
    story.start_again().await;
    let mut screen = story.ada.watch().await;
    screen.ask("q2", "And now?").await;
    end_of(&mut screen, "q2").await;
    let mailbox = story.ada.connect().await.whole_mailbox().await;
    let about_it: Vec<_> =
        mailbox.iter().filter(|frame| frame["message_uuid"] == end["message_uuid"]).collect();
    assert_eq!(about_it, [&end]);
}
