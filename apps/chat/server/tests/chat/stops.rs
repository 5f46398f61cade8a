//! Somebody does not want more of an answer.

use serde_json::{Value, json};

use crate::{
    browser::Person,
    provider::{Mood, Pen},
    streaming::{Story, end_of, retry},
};

fn stop_of(id: &str, answer: &Value) -> Value {
    json!({ "type": "message_stop", "id": id, "message_uuid": answer })
}

fn stop_for(id: &str, asked_by: &str) -> Value {
    json!({ "type": "message_stop", "id": id, "ref": asked_by })
}

#[tokio::test]
async fn an_answer_that_is_stopped_keeps_its_text_and_gets_no_more() {
    let (mood, pen) = Pen::new();
    let story = Story::with([mood]).await;
    let (mut tab, mut other_tab) = (story.ada.watch().await, story.ada.watch().await);
    tab.ask("q1", "How are you?").await;
    pen.write("Half an ans");
    let answer = tab.shows("q1", "Half an ans").await.start["message_uuid"].clone();
    assert_eq!(other_tab.settle(&stop_of("s1", &answer)).await["type"], "accepted");
    pen.is_let_go().await;
    pen.write("wer");
    for screen in [&mut tab, &mut other_tab] {
        let end = end_of(screen, "q1").await;
        assert_eq!(
            (&end["status"], &end["message"]["status"]),
            (&json!("stopped"), &json!("stopped"))
        );
        assert_eq!(end["message"]["content"], "Half an ans");
        assert_eq!(end["message"]["error"], Value::Null);
        assert_eq!(story.ada.messages("q1").await[1], end["message"]);
    }
    // Again, under the same name and under another: there is nothing left to do.
    for stop in [stop_of("s1", &answer), stop_of("s2", &answer), stop_for("s3", "q1")] {
        assert_eq!(tab.settle(&stop).await["type"], "accepted");
    }
    story.provider.then(Mood::Answer("All of it."));
    tab.send(&retry("r1", &answer)).await;
    let end = end_of(&mut tab, "r1").await;
    assert_eq!((&end["attempt"], &end["message"]["content"]), (&json!(2), &json!("All of it.")));
}

#[tokio::test]
async fn an_answer_can_be_stopped_before_its_first_word() {
    let (mood, pen) = Pen::new();
    let mut story = Story::with([mood]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "How are you?").await;
    story.provider.request().await;
    assert_eq!(screen.settle(&stop_for("s1", "q1")).await["type"], "accepted");
    pen.is_let_go().await;
    let end = end_of(&mut screen, "q1").await;
    assert_eq!((&end["status"], &end["message"]["content"]), (&json!("stopped"), &json!("")));
    assert_eq!(story.ada.messages("q1").await[1], end["message"]);
}

#[tokio::test]
async fn a_page_that_was_loaded_anew_can_stop_what_it_did_not_ask_for() {
    let (mood, pen) = Pen::new();
    let mut story = Story::with([mood]).await;
    let mut before = story.ada.watch().await;
    before.ask("q1", "How are you?").await;
    story.provider.request().await;
    drop(before);
    let history = story.ada.history("q1").await;
    let asked_by = history["pending"][0]["ref"].as_str().unwrap();
    let mut page = story.ada.watch().await;
    assert_eq!(page.settle(&stop_for("s1", asked_by)).await["type"], "accepted");
    assert_eq!(end_of(&mut page, "q1").await["status"], "stopped");
    pen.is_let_go().await;
}

#[tokio::test]
async fn a_question_that_waits_is_taken_out_before_anybody_answers_it() {
    let (mood, pen) = Pen::new();
    let mut story = Story::with([mood, Mood::Answer("Eight.")]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "What is six plus one?").await;
    story.provider.request().await;
    let mut next = json!({ "type": "message_generate", "id": "q2", "message": "Wait, what?",
                           "conversation_uuid": "q1" });
    screen.send(&next).await;
    assert_eq!(screen.settle(&stop_for("s1", "q2")).await["type"], "accepted");
    let end = end_of(&mut screen, "q2").await;
    assert_eq!((&end["status"], &end["message"]["content"]), (&json!("stopped"), &json!("")));
    assert!(story.provider.no_more_requests());

    next["id"] = "q3".into();
    screen.send(&next).await;
    pen.write("Seven.");
    pen.finish();
    assert_eq!(end_of(&mut screen, "q3").await["message"]["content"], "Eight.");
    let turns = story.provider.request().await["messages"].clone();
    assert_eq!(turns[2], json!({ "role": "assistant", "content": "Seven." }));
}

#[tokio::test]
async fn a_stop_that_was_taken_holds_although_the_power_fails() {
    let (mood, pen) = Pen::new();
    let mut story = Story::with([mood]).await;
    let mut screen = story.ada.watch().await;
    screen.ask("q1", "How are you?").await;
    pen.write("Half an ans");
    let answer = screen.shows("q1", "Half an ans").await.start["message_uuid"].clone();
    assert_eq!(screen.settle(&stop_of("s1", &answer)).await["type"], "accepted");
    story.kill_and_start_again().await;
    let end = end_of(&mut story.ada.watch().await, "q1").await;
    assert_eq!(end["status"], "stopped");
    assert_eq!(end["message"]["content"], "Half an ans");
    assert_eq!(story.ada.messages("q1").await[1], end["message"]);
    assert!(story.ada.history("q1").await["pending"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn whether_a_stop_or_the_end_comes_first_there_is_one_end_and_everybody_agrees_on_it() {
    let story = Story::with([]).await;
    let mut screen = story.ada.watch().await;
    for round in 0..20 {
        let (mood, pen) = Pen::new();
        story.provider.then(mood);
        let id = format!("q{round}");
        screen.ask(&id, "How are you?").await;
        pen.write("Fine");
        let answer = screen.shows(&id, "Fine").await.start["message_uuid"].clone();
        let stop = stop_of(&format!("s{round}"), &answer);
        if round % 2 == 0 {
            screen.send(&stop).await;
        }
        pen.write(".");
        pen.finish();
        if round % 2 == 1 {
            screen.send(&stop).await;
        }
        let end = end_of(&mut screen, &id).await;
        let shown = (end["status"].as_str().unwrap(), end["message"]["content"].as_str().unwrap());
        assert!(
            matches!(shown, ("complete", "Fine.") | ("stopped", "Fine" | "Fine.")),
            "{shown:?}"
        );
    }
    // A last one behind them all: what ended twice would stand before it.
    story.provider.then(Mood::Answer("Goodbye."));
    screen.ask("last", "Goodbye").await;
    end_of(&mut screen, "last").await;
    let mailbox = story.ada.connect().await.whole_mailbox().await;
    for round in 0..20 {
        let id = format!("q{round}");
        let ends: Vec<_> = mailbox.iter().filter(|frame| frame["ref"] == *id).collect();
        assert_eq!(ends.len(), 1);
        assert_eq!(story.ada.messages(&id).await[1], ends[0]["message"], "round {round}");
    }
}

#[tokio::test]
async fn nobody_stops_what_is_not_theirs() {
    let (mood, pen) = Pen::new();
    let story = Story::with([mood]).await;
    let mut hers = story.ada.watch().await;
    hers.ask("q1", "How are you?").await;
    pen.write("Fine");
    let answer = hers.shows("q1", "Fine").await.start["message_uuid"].clone();
    let bob = Person::sign_up(&story.chat, "bob").await;
    let mut his = bob.watch().await;
    assert_eq!(his.settle(&stop_of("s1", &answer)).await["code"], "not_found");
    assert_eq!(his.settle(&stop_for("s2", "q1")).await["type"], "accepted", "it may be his own");
    pen.write(", thanks.");
    pen.finish();
    assert_eq!(end_of(&mut hers, "q1").await["message"]["content"], "Fine, thanks.");
}
