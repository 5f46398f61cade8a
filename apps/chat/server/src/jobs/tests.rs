mod turns;

use tetherline_protocol::StopTarget;

use super::*;
use crate::{
    database::{Database, tests::temporary},
    history::{self, Place},
    limits::*,
};

struct Story {
    _folder: tempfile::TempDir,
    database: Database,
}

type Claimed = (Job, Vec<Turn>);

impl Story {
    async fn with(users: &'static [&'static str]) -> Self {
        let (folder, database) = temporary();
        let insert = "INSERT INTO users VALUES (?1, ?1, ?1, 'hash', 0)";
        database
            .write(move |transaction| {
                for user in users {
                    transaction.execute(insert, [user])?;
                }
                Ok(())
            })
            .await
            .unwrap();
        Self { _folder: folder, database }
    }

    async fn ask(&self, user: &str, id: &str, conversation: Option<&str>) -> Taken {
        self.ask_at(user, id, conversation, Place::Newest).await
    }

    async fn ask_at(
        &self,
        user: &str,
        id: &str,
        conversation: Option<&str>,
        place: Place,
    ) -> Taken {
        let question = Question {
            user: user.into(),
            id: id.into(),
            text: format!("{id}?"),
            conversation: conversation.map(Into::into),
            place,
        };
        self.database.write(move |transaction| ask(transaction, &question, 1)).await.unwrap()
    }

    async fn again(&self, id: &str, answer: &str, is_retry: bool) -> Taken {
        let again = Again {
            user: "ada".into(),
            id: id.into(),
            conversation: "q1".into(),
            answer: answer.into(),
            is_retry,
        };
        self.database.write(move |transaction| regenerate(transaction, &again, 1)).await.unwrap()
    }

    async fn claim(&self) -> Option<Claimed> {
        self.database.write(|transaction| claim(transaction, true)).await.unwrap()
    }

    async fn finish(&self, (job, _): Claimed, answer: &str) -> String {
        self.end(job, answer, StreamStatus::Complete).await
    }

    async fn end(&self, job: Job, answer: &str, status: StreamStatus) -> String {
        let uuid = job.answer.to_string();
        let attempt = Attempt::FIRST;
        let outcome = Outcome { attempt, status, text: answer.into(), failure: None };
        self.database
            .write(move |transaction| finish(transaction, &job, &outcome, 2))
            .await
            .unwrap();
        uuid
    }

    /// A question that is answered before the story goes on; the answer's name.
    async fn answered(&self, id: &str, conversation: Option<&str>, place: Place) -> String {
        assert_eq!(self.ask_at("ada", id, conversation, place).await, Taken::New);
        let claimed = self.claim().await.unwrap();
        self.finish(claimed, &format!("to {id}")).await
    }

    async fn stop(&self, target: StopTarget) -> Vec<i64> {
        let user = "ada".parse().unwrap();
        self.database.write(move |transaction| stop(transaction, &user, &target, 3)).await.unwrap()
    }

    async fn unsent(&self) -> Vec<String> {
        let publications = self.database.read(unsent).await.unwrap();
        publications.into_iter().map(|publication| publication.key).collect()
    }

    async fn newest_leaf(&self) -> Option<String> {
        let leaf = |connection: &_| history::newest_leaf(connection, "ada", "q1");
        self.database.read(leaf).await.unwrap()
    }

    /// Every message of the conversation with its parent and version, oldest first.
    async fn tree(&self) -> Vec<(String, Option<String>, u32)> {
        let messages = |connection: &_| history::messages(connection, "ada", "q1");
        let messages = self.database.read(messages).await.unwrap();
        messages.into_iter().map(|m| (m.uuid, m.about.parent, m.about.version)).collect()
    }
}

fn said(turns: &[Turn]) -> Vec<&str> {
    turns.iter().map(|turn| turn.content.as_str()).collect()
}

#[tokio::test]
async fn a_question_its_record_and_its_publication_are_one() {
    let story = Story::with(&["ada"]).await;
    assert_eq!(story.ask("ada", "q1", None).await, Taken::New);
    assert_eq!(story.ask("ada", "q1", None).await, Taken::Repeated);
    assert_eq!(story.unsent().await, ["created:q1"]);
    let claimed = story.claim().await.unwrap();
    story.finish(claimed, "a1").await;
    assert_eq!(story.unsent().await, ["created:q1", "answered:q1"]);
    assert_eq!(story.ask("ada", "q1", None).await, Taken::Repeated);
    assert!(story.claim().await.is_none());
}

#[tokio::test]
async fn along_a_branch_one_answer_follows_the_other_and_knows_it() {
    let story = Story::with(&["ada"]).await;
    story.ask("ada", "q1", None).await;
    story.ask("ada", "q2", Some("q1")).await;
    let first = story.claim().await.unwrap();
    assert!(story.claim().await.is_none(), "the second waits for the first");
    story.finish(first, "a1").await;
    let (_, turns) = story.claim().await.unwrap();
    assert_eq!(said(&turns), ["q1?", "a1", "q2?"]);
}

/// A question whose own parent was there was answered without what stood before it: the answer to
/// the first question still streamed, the second question had been stopped, and the third only looked
/// at the second's answer.
#[tokio::test]
async fn a_question_waits_for_all_that_stands_before_it_and_not_for_its_parent_only() {
    let story = Story::with(&["ada"]).await;
    story.ask("ada", "q1", None).await;
    story.ask("ada", "q2", Some("q1")).await;
    let first = story.claim().await.unwrap();
    story.stop(StopTarget::Send("q2".parse().unwrap())).await;
    let (stopped, _) = story.claim().await.unwrap();
    story.end(stopped, "", StreamStatus::Stopped).await;
    story.ask("ada", "q3", Some("q1")).await;
    assert!(story.claim().await.is_none());
    story.finish(first, "a1").await;
    assert_eq!(said(&story.claim().await.unwrap().1), ["q1?", "a1", "q2?", "q3?"]);
}

#[tokio::test]
async fn branches_do_not_wait_for_each_other_and_know_nothing_of_each_other() {
    let story = Story::with(&["ada"]).await;
    let first = story.answered("q1", None, Place::Newest).await;
    story.ask_at("ada", "q2", Some("q1"), Place::After(first.clone())).await;
    story.ask_at("ada", "q3", Some("q1"), Place::InsteadOf("q2".into())).await;
    story.ask_at("ada", "q4", Some("q1"), Place::InsteadOf("q1".into())).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(story.claim().await.unwrap().1);
    }
    let all: Vec<Vec<&str>> = all.iter().map(|turns| said(turns)).collect();
    assert_eq!(all, [vec!["q1?", "to q1", "q2?"], vec!["q1?", "to q1", "q3?"], vec!["q4?"]]);
    let tree = story.tree().await;
    let versions: Vec<_> =
        tree.iter().map(|(uuid, _, version)| (uuid.as_str(), *version)).collect();
    assert_eq!(versions, [("q1", 1), (first.as_str(), 1), ("q2", 1), ("q3", 2), ("q4", 2)]);
    assert_eq!(tree[3].1, Some(first));
    assert_eq!(tree[4].1, None);
}

#[tokio::test]
async fn a_question_without_a_place_goes_where_something_happened_last() {
    let story = Story::with(&["ada"]).await;
    let first = story.answered("q1", None, Place::Newest).await;
    let second = story.answered("q2", Some("q1"), Place::Newest).await;
    assert_eq!(story.newest_leaf().await, Some(second.clone()));
    let branched = story.answered("q3", Some("q1"), Place::InsteadOf("q2".into())).await;
    assert_eq!(story.newest_leaf().await, Some(branched.clone()));
    assert_eq!(story.again("r1", &first, false).await, Taken::New);
    assert_eq!(story.newest_leaf().await, Some(branched), "until there is something to follow");
    let claimed = story.claim().await.unwrap();
    let version = story.finish(claimed, "another").await;
    assert_eq!(story.newest_leaf().await, Some(version));
}

#[tokio::test]
async fn a_question_may_follow_an_answer_that_is_still_to_come() {
    let story = Story::with(&["ada"]).await;
    story.ask("ada", "q1", None).await;
    let pending = |connection: &_| pending(connection, "ada", "q1");
    let coming = story.database.read(pending).await.unwrap().remove(0);
    assert_eq!((coming.r#ref.as_str(), coming.parent.as_str(), coming.version), ("q1", "q1", 1));
    assert_eq!(story.newest_leaf().await, Some(coming.message_uuid.clone()));
    for (id, place) in [
        ("q2", Place::After(coming.message_uuid.clone())),
        ("q3", Place::InsteadOf("q2".into())),
        ("q4", Place::InsteadOf("q2".into())),
    ] {
        assert_eq!(story.ask_at("ada", id, Some("q1"), place).await, Taken::New);
    }
    let tree = story.tree().await;
    assert!(tree[1..].iter().all(|(_, parent, _)| *parent == Some(coming.message_uuid.clone())));
    let claimed = story.claim().await.unwrap();
    assert!(story.claim().await.is_none(), "all of them wait for it");
    let answer = story.finish(claimed, "a1").await;
    assert_eq!(answer, coming.message_uuid);
    assert_eq!(said(&story.claim().await.unwrap().1), ["q1?", "a1", "q2?"]);
}

#[tokio::test]
async fn what_two_tabs_ask_at_once_are_two_questions() {
    // The second became another version of the first, and the page showed only one of them.
    let story = Story::with(&["ada"]).await;
    let first = story.answered("q1", None, Place::Newest).await;
    for id in ["q2", "q3"] {
        let behind = Place::After(first.clone());
        assert_eq!(story.ask_at("ada", id, Some("q1"), behind).await, Taken::New);
    }
    let tree = story.tree().await;
    let [.., (_, to_first, version), (_, to_second, other_version)] = &tree[..] else { panic!() };
    assert_eq!((to_first.as_ref(), *version), (Some(&first), 1));
    assert_eq!(*other_version, 1);
    let claimed = story.claim().await.unwrap();
    let answer = story.finish(claimed, "a2").await;
    assert_eq!(to_second.as_ref(), Some(&answer), "it follows the other's answer");
    assert_eq!(said(&story.claim().await.unwrap().1), ["q1?", "to q1", "q2?", "a2", "q3?"]);
    let late = story.ask_at("ada", "q4", Some("q1"), Place::After("q1".into())).await;
    assert_eq!(late, Taken::New);
    assert_eq!(story.tree().await.last().unwrap().2, 1, "behind all of them");
}

#[tokio::test]
async fn there_is_no_place_in_or_beside_what_is_not_there() {
    let story = Story::with(&["ada", "bob"]).await;
    let answer = story.answered("q1", None, Place::Newest).await;
    story.answered("other", None, Place::Newest).await;
    for place in [
        Place::After("nothing".into()),
        Place::After("other".into()),
        Place::InsteadOf("other".into()),
        Place::InsteadOf(answer.clone()),
    ] {
        let taken = story.ask_at("ada", "q2", Some("q1"), place.clone()).await;
        assert_eq!(taken, Taken::NotFound, "{place:?}");
    }
    let new = story.ask_at("ada", "q2", None, Place::After(answer)).await;
    assert_eq!(new, Taken::NotFound, "a new conversation begins with nothing");
    let taken = story.ask_at("bob", "q2", Some("q1"), Place::Newest).await;
    assert_eq!(taken, Taken::NotFound);
}

#[tokio::test]
async fn another_version_is_another_answer_and_a_retry_is_the_same_one() {
    let story = Story::with(&["ada"]).await;
    let first = story.answered("q1", None, Place::Newest).await;
    assert_eq!(story.again("r1", &first, false).await, Taken::New);
    assert_eq!(story.again("r2", &first, false).await, Taken::New);
    let (one, other) = (story.claim().await.unwrap().0, story.claim().await.unwrap().0);
    assert_eq!((one.version, other.version), (2, 3));
    assert_ne!(one.answer.as_str(), first);
    let failed = story.end(one, "hal", StreamStatus::Failed).await;
    story.end(other, "whole", StreamStatus::Complete).await;

    assert_eq!(story.again("r3", &first, true).await, Taken::Whole);
    assert_eq!(story.again("r4", &failed, true).await, Taken::New);
    assert_eq!(story.again("r5", &failed, true).await, Taken::Repeated, "it is on its way");
    let (job, _) = story.claim().await.unwrap();
    assert_eq!((job.answer.as_str(), job.version), (failed.as_str(), 2));
    assert_eq!(story.end(job, "half", StreamStatus::Complete).await, failed);
    let versions: Vec<u32> = story.tree().await.iter().map(|(_, _, version)| *version).collect();
    assert_eq!(versions, [1, 1, 2, 3]);
}

#[tokio::test]
async fn an_answer_that_nobody_wants_any_more_waits_for_nothing() {
    let story = Story::with(&["ada"]).await;
    story.ask("ada", "q1", None).await;
    story.ask("ada", "q2", Some("q1")).await;
    let running = story.claim().await.unwrap();
    let by_ref = StopTarget::Send("q2".parse().unwrap());
    assert_eq!(story.stop(by_ref.clone()).await.len(), 1);
    assert_eq!(story.stop(by_ref.clone()).await.len(), 1, "twice is once");
    let claimed = story.database.write(|transaction| claim(transaction, false)).await.unwrap();
    let (stopped, _) = claimed.unwrap();
    assert!(stopped.is_stopped);
    story.end(stopped, "", StreamStatus::Stopped).await;
    assert!(story.stop(by_ref).await.is_empty(), "it is over");

    let by_name = StopTarget::Message(running.0.answer.clone());
    assert_eq!(story.stop(by_name).await, [running.0.position]);
    let nothing = story.database.write(|transaction| claim(transaction, false)).await.unwrap();
    assert!(nothing.is_none(), "it is being worked on");
    let position = running.0.position;
    let begun =
        move |transaction: &rusqlite::Transaction<'_>| begun(transaction, position, Attempt::FIRST);
    assert!(story.database.write(begun).await.unwrap(), "and hears of it when it begins");
}

#[tokio::test]
async fn whoever_stops_an_answer_at_the_last_moment_is_what_its_row_says() {
    let story = Story::with(&["ada"]).await;
    let answer = story.answered("q1", None, Place::Newest).await;
    let publications = story.database.read(unsent).await.unwrap();
    let ending = publications[1].ending.as_ref().unwrap().parse().unwrap();
    assert_eq!((ending.0.as_str(), ending.1), (answer.as_str(), Attempt::FIRST));
    let ended = Some(("ada".into(), answer, StreamStatus::Stopped));
    let told = [Sent { position: publications[1].position, seq: None, ended }];
    story.database.write(move |transaction| sent(transaction, &told, 1)).await.unwrap();
    assert_eq!(story.unsent().await, ["created:q1"]);
    let messages = |connection: &_| history::messages(connection, "ada", "q1");
    let messages = story.database.read(messages).await.unwrap();
    assert_eq!(messages[1].status, StreamStatus::Stopped);
}

#[tokio::test]
async fn what_was_begun_is_left_to_be_ended_and_not_begun_again() {
    let story = Story::with(&["ada"]).await;
    story.ask("ada", "q1", None).await;
    let (job, _) = story.claim().await.unwrap();
    let position = job.position;
    let second = Attempt::FIRST.next();
    story.database.write(move |transaction| begun(transaction, position, second)).await.unwrap();
    // What is running is known to this life only.
    let forget = |transaction: &rusqlite::Transaction<'_>| {
        transaction.execute("DELETE FROM temp.running", [])
    };
    story.database.write(forget).await.unwrap();
    assert!(story.claim().await.is_none());
    let left = story.database.read(left_behind).await.unwrap();
    assert_eq!((left[0].0.position, left[0].1), (position, second));
    story.database.write(move |transaction| begin_again(transaction, position)).await.unwrap();
    assert_eq!(story.claim().await.unwrap().0.position, position);
}

#[tokio::test]
async fn one_person_cannot_take_all_the_answers() {
    let story = Story::with(&["ada", "bob"]).await;
    for number in 0..=ANSWERS_AT_ONCE_PER_USER_MAX {
        story.ask("ada", &format!("a{number}"), None).await;
    }
    story.ask("bob", "b", None).await;
    for _ in 0..ANSWERS_AT_ONCE_PER_USER_MAX {
        assert_eq!(story.claim().await.unwrap().0.user.as_str(), "ada");
    }
    assert_eq!(story.claim().await.unwrap().0.user.as_str(), "bob");
    assert!(story.claim().await.is_none());
}

#[tokio::test]
async fn a_person_who_asks_too_fast_is_asked_to_wait_and_can_go_on_after_an_answer() {
    let story = Story::with(&["ada"]).await;
    for number in 0..QUESTIONS_WAITING_PER_USER_MAX {
        assert_eq!(story.ask("ada", &format!("q{number}"), None).await, Taken::New);
    }
    assert_eq!(story.ask("ada", "more", None).await, Taken::TooMany);
    assert_eq!(story.ask("ada", "q0", None).await, Taken::Repeated, "known ones are no burden");
    let claimed = story.claim().await.unwrap();
    story.finish(claimed, "a0").await;
    assert_eq!(story.ask("ada", "more", None).await, Taken::New);
}

#[tokio::test]
async fn wishes_are_forgotten_only_when_nobody_can_repeat_them() {
    let story = Story::with(&["ada"]).await;
    story.answered("q1", None, Place::Newest).await;
    let forget = async |now_ms| {
        story.database.write(move |transaction| forget_old(transaction, now_ms)).await.unwrap()
    };
    assert_eq!(forget(2 + JOBS_KEPT_MS).await, 0);
    assert_eq!(forget(3 + JOBS_KEPT_MS).await, 1);
    assert_eq!(story.ask("ada", "q1", None).await, Taken::Repeated, "its message is there");
}
