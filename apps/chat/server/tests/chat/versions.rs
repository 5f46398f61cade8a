//! Conversations that branch: other versions of answers, and of questions.

use serde_json::{Value, json};

use crate::{
    provider::{Mood, Pen},
    streaming::{Story, end_of},
};

fn question(id: &str, more: &Value) -> Value {
    let mut question = json!({ "type": "message_generate", "id": id, "message": format!("{id}?"),
                               "conversation_uuid": "q1" });
    question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    question
}

/// What the provider was told, without the instructions.
async fn told(story: &mut Story) -> Vec<String> {
    let turns = story.provider.request().await["messages"].clone();
    let turns = turns.as_array().unwrap()[1..].iter();
    turns.map(|turn| turn["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn another_version_stands_beside_the_first_and_is_not_told_of_it() {
    let moods = ["one", "two", "three"].map(Mood::Answer);
    let mut story = Story::with(moods).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "q1?").await;
    let first = end_of(&mut screen, "q1").await;
    assert_eq!(told(&mut story).await, ["q1?"]);
    let again = json!({ "type": "message_regenerate", "id": "r1", "conversation_uuid": "q1",
                        "message_uuid": first["message_uuid"] });
    assert_eq!(screen.settle(&again).await["type"], "accepted");
    let second = end_of(&mut screen, "r1").await;
    assert_eq!(told(&mut story).await, ["q1?"]);
    assert_eq!(second["type"], "message_regenerate");
    assert_eq!((&second["attempt"], &second["version"]), (&json!(1), &json!(2)));
    assert_eq!((&second["parent"], &second["message"]["parent"]), (&json!("q1"), &json!("q1")));

    let history = story.ada.history("q1").await;
    let messages = [&first["message"], &second["message"]];
    assert_eq!(history["messages"].as_array().unwrap()[1..].iter().collect::<Vec<_>>(), messages);
    assert_eq!(history["newest_leaf"], second["message_uuid"]);

    // It goes on where the page says: behind the first version, although that is not the newest.
    screen.send(&question("q2", &json!({ "parent": first["message_uuid"] }))).await;
    let third = end_of(&mut screen, "q2").await;
    assert_eq!(told(&mut story).await, ["q1?", "one", "q2?"]);
    let history = story.ada.history("q1").await;
    assert_eq!(history["messages"][3]["parent"], first["message_uuid"]);
    assert_eq!(history["newest_leaf"], third["message_uuid"]);
}

#[tokio::test]
async fn a_question_that_is_edited_begins_a_branch_and_the_old_one_stays() {
    let moods = ["one", "two", "three", "four"].map(Mood::Answer);
    let mut story = Story::with(moods).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "q1?").await;
    let first = end_of(&mut screen, "q1").await;
    screen.send(&question("q2", &json!({}))).await;
    end_of(&mut screen, "q2").await;
    screen.send(&question("q3", &json!({ "edits": "q2" }))).await;
    let branched = end_of(&mut screen, "q3").await;
    screen.send(&question("q4", &json!({ "edits": "q1" }))).await;
    end_of(&mut screen, "q4").await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(told(&mut story).await);
    }
    assert_eq!(
        all,
        [vec!["q1?"], vec!["q1?", "one", "q2?"], vec!["q1?", "one", "q3?"], vec!["q4?"]]
    );
    assert_eq!(branched["message"]["content"], "three");
    let questions: Vec<Value> = story.ada.messages("q1").await;
    let questions: Vec<_> = questions.iter().filter(|message| message["role"] == "user").collect();
    let places: Vec<_> = questions.iter().map(|it| (&it["parent"], &it["version"])).collect();
    let answer = &first["message_uuid"];
    assert_eq!(
        places,
        [
            (&Value::Null, &json!(1)),
            (answer, &json!(1)),
            (answer, &json!(2)),
            (&Value::Null, &json!(2))
        ]
    );
    let refused = screen.settle(&question("q5", &json!({ "edits": answer }))).await;
    assert_eq!(refused["code"], "not_found");
}

#[tokio::test]
async fn a_question_can_be_asked_behind_an_answer_that_is_still_written() {
    let (mood, pen) = Pen::new();
    let mut story = Story::with([mood, Mood::Answer("two")]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "q1?").await;
    let created = screen.next_of("message_created").await;
    pen.write("o");
    let streaming = screen.shows("q1", "o").await.start["message_uuid"].clone();
    assert_eq!(
        created["answer"],
        json!({ "message_uuid": streaming, "ref": "q1", "parent": "q1", "version": 1 })
    );
    screen.send(&question("q2", &json!({ "parent": streaming }))).await;
    let created = screen.next_of("message_created").await;
    assert_eq!(created["message"]["parent"], streaming);
    pen.write("ne");
    pen.finish();
    end_of(&mut screen, "q2").await;
    told(&mut story).await;
    assert_eq!(told(&mut story).await, ["q1?", "one", "q2?"]);
}

#[tokio::test]
async fn two_branches_are_answered_at_the_same_time() {
    let ((slow, pen), (quick, other_pen)) = (Pen::new(), Pen::new());
    let story = Story::with([Mood::Answer("one"), slow, quick]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "q1?").await;
    let first = end_of(&mut screen, "q1").await;
    screen.send(&question("q2", &json!({}))).await;
    pen.write("slowly");
    screen.shows("q2", "slowly").await;
    let again = json!({ "type": "message_regenerate", "id": "r1", "conversation_uuid": "q1",
                        "message_uuid": first["message_uuid"] });
    screen.send(&again).await;
    other_pen.write("quickly");
    screen.shows("r1", "quickly").await;
    other_pen.finish();
    end_of(&mut screen, "r1").await;
    pen.finish();
    assert_eq!(end_of(&mut screen, "q2").await["message"]["content"], "slowly");
}

#[tokio::test]
async fn what_is_whole_is_not_tried_again() {
    let story = Story::with([]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "q1?").await;
    let answer = end_of(&mut screen, "q1").await["message_uuid"].clone();
    let refused = screen.settle(&crate::streaming::retry("r1", &answer)).await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("rejected"), &json!(false)));
}
