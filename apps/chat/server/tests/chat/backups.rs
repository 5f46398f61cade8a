//! Backups of the chat, and what a start makes of two databases that are not from the same moment.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    process::{Chat, PATIENCE, Start},
    provider::{Pen, asking},
    streaming::{Story, end_of},
};

/// A chat in which a question is answered and the stream of another answer has begun, and its
/// backup.
struct BackedUp {
    story: Story,
    outside: tempfile::TempDir,
    backup: PathBuf,
    /// The pen of the stream.
    pen: Pen,
    epoch: Value,
    head: Value,
}

impl BackedUp {
    async fn new() -> Self {
        let ((first, first_pen), (second, pen)) = (Pen::new(), Pen::new());
        let story = Story::with([first, second]).await;
        let mut screen = story.ada.watch().await;
        screen.ask("q1", "One?").await;
        first_pen.write("First.");
        first_pen.finish();
        end_of(&mut screen, "q1").await;
        screen.ask("q2", "Two?").await;
        pen.write("Half");
        screen.shows("q2", "Half").await;
        let history = story.ada.history("q1").await;
        let outside = tempfile::tempdir().unwrap();
        let backup = outside.path().join("backup");
        let (code, said) = task(story.folder.path(), &["backup", "--to", text(&backup)]).await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("secrets are not in it"), "{said}");
        let (epoch, head) = (history["epoch"].clone(), history["as_of_seq"].clone());
        Self { story, outside, backup, pen, epoch, head }
    }

    /// What is answered after the backup: the rest of the second question, and a third one.
    async fn goes_on(&mut self) {
        let mut screen = self.story.ada.watch().await;
        let (third, pen) = Pen::new();
        self.story.provider.then(third);
        let before = std::mem::replace(&mut self.pen, Pen::new().1);
        before.write(" and half.");
        before.finish();
        end_of(&mut screen, "q2").await;
        screen.ask("q3", "Three?").await;
        pen.write("Third.");
        pen.finish();
        end_of(&mut screen, "q3").await;
    }

    /// All that the history has.
    async fn rows(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        for conversation in ["q1", "q2", "q3"] {
            rows.extend(self.story.ada.messages(conversation).await);
        }
        rows
    }

    /// As an operator copies a file back.
    fn copy_back(&self, name: &str) {
        fs::copy(self.backup.join(name), self.story.folder.path().join(name)).unwrap();
    }
}

/// Runs a task of the binary; its exit code, and what it says.
async fn task(data: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Start::on(data).with(arguments).command();
    let output = timeout(PATIENCE, command.stderr(Stdio::piped()).output()).await.unwrap().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn contents(messages: &[Value]) -> Vec<(&str, &str)> {
    fn text<'a>(message: &'a Value, name: &str) -> &'a str {
        message[name].as_str().unwrap()
    }
    messages.iter().map(|one| (text(one, "content"), text(one, "status"))).collect()
}

#[tokio::test]
async fn after_a_clean_stop_the_one_file_has_everything() {
    // All of it lay in the log: whoever copied the database had an empty one, and whoever copied it
    // back had the old log on top of it.
    let (folder, chat) = Chat::fresh().await;
    let (ada, _socket) = asking(&chat, "q1").await;
    assert_eq!(chat.terminate().await, 0);
    assert!(!folder.path().join("chat.db-wal").exists());
    let copied = tempfile::tempdir().unwrap();
    for name in ["chat.db", "mailbox.db", "jwt.secret"] {
        fs::copy(folder.path().join(name), copied.path().join(name)).unwrap();
    }
    let chat = Start::on(copied.path()).run().await;
    assert_eq!(ada.at(&chat).messages("q1").await[0]["uuid"], "q1");
}

#[tokio::test]
async fn a_chat_is_backed_up_while_an_answer_is_written_and_comes_back_as_it_was() {
    let mut chat = BackedUp::new().await;
    let names = ["mailbox.db", "chat.db"];
    for name in names {
        let mode = fs::metadata(chat.backup.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::read_dir(&chat.backup).unwrap().count(), names.len(), "no secrets");
    chat.goes_on().await;
    let data = chat.story.folder.path().to_owned();
    let again = ["backup", "--to", text(&chat.backup)];
    assert!(task(&data, &again).await.1.contains("is not overwritten"));
    let restore = ["restore", "--from", text(&chat.backup)];
    let (code, said) = task(&data, &[&restore[..], &["--replace"]].concat()).await;
    assert!(code == 1 && said.contains("in use by another running chat"), "{said}");
    assert_eq!(chat.story.chat.terminate_now().await, 0);
    let (code, said) = task(&data, &restore).await;
    assert!(code == 1 && said.contains("--replace"), "{said}");
    let wrong = ["restore", "--replace", "--from", text(chat.outside.path())];
    assert!(task(&data, &wrong).await.1.contains("there is no"));
    let (code, said) = task(&data, &[&restore[..], &["--replace"]].concat()).await;
    assert!(code == 0 && said.matches("is kept as").count() == 2, "{said}");
    // It said nothing of those who are signed out.
    assert!(
        said.contains("who was signed out in the mailboxes that were replaced stays so"),
        "{said}"
    );

    chat.story.start_again().await;
    let ada = &chat.story.ada;
    let history = ada.history("q2").await;
    assert_ne!(history["epoch"], chat.epoch);
    let rows = history["messages"].as_array().unwrap();
    assert_eq!(contents(rows), [("Two?", "complete"), ("Half", "interrupted")]);
    assert_eq!(ada.messages("q1").await.len(), 2);
    assert_eq!(ada.get("/api/conversations/q3/messages").await.0, 404);
    // A page that was open all the time is told that its history is gone, and reads it again.
    let mut page = ada.connect().await;
    let end = end_of(&mut page, "q2").await;
    assert_eq!(end["message"]["content"], "Half");
    page.next_of("pending_check_complete").await;
    page.send(&json!({ "type": "get_pending", "after": chat.head, "epoch": chat.epoch })).await;
    let summary = page.next_of("pending_check_complete").await;
    assert_eq!(summary["data"]["recovered"], false, "{summary}");
    page.ask("q4", "Who is there?").await;
    let end = end_of(&mut page, "q4").await;
    assert_eq!(end["message"]["status"], "complete");
}

#[tokio::test]
async fn a_chats_backup_has_nobody_who_was_erased_and_minds_no_killed_one() {
    // The rows of who was erased a moment ago were in it, and what a killed backup had left was taken for
    // one that is under way.
    const SECRET: &str = "what only ada may know";
    let (folder, chat) = Chat::fresh().await;
    let (ada, _socket) = asking(&chat, "q1").await;
    let mut screen = ada.watch().await;
    screen.ask("q2", SECRET).await;
    end_of(&mut screen, "q2").await;
    assert_eq!(chat.terminate().await, 0);
    let mailbox = rusqlite::Connection::open(folder.path().join("mailbox.db")).unwrap();
    mailbox.execute("INSERT INTO erased (user) SELECT id FROM users", []).unwrap();
    drop(mailbox);
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup");
    let left_over = outside.path().join("backup.partial");
    fs::create_dir(&left_over).unwrap();
    fs::write(left_over.join("mailbox.db.partial"), "the beginning of a backup").unwrap();
    let (code, said) = task(folder.path(), &["backup", "--to", text(&backup)]).await;
    assert_eq!(code, 0, "{said}");
    let left: Vec<_> =
        fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["backup"]);
    let has_secret = |path: PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    };
    assert!(has_secret(folder.path().join("mailbox.db")));
    assert!(!has_secret(backup.join("mailbox.db")));
}

#[tokio::test]
async fn mailboxes_that_are_older_than_the_database_get_what_they_lost() {
    // The stream that was over would have gone on until it was called interrupted, and who had been away
    // heard nothing of what came after it.
    let mut chat = BackedUp::new().await;
    chat.goes_on().await;
    let rows = chat.rows().await;
    assert_eq!(chat.story.chat.terminate_now().await, 0);
    chat.copy_back("mailbox.db");
    chat.story.start_again().await;

    let mut page = chat.story.ada.watch().await;
    let end = end_of(&mut page, "q3").await;
    assert_eq!(end["message"]["content"], "Third.");
    let mailbox = chat.story.ada.connect().await.whole_mailbox().await;
    let newest_of = |uuid: &Value| {
        let is_it = |frame: &&Value| frame["message"]["uuid"] == *uuid;
        mailbox.iter().rfind(is_it).expect("everything is told of")["message"].clone()
    };
    for row in &rows {
        let told = newest_of(&row["uuid"]);
        assert_eq!((&told["content"], &told["status"]), (&row["content"], &row["status"]));
    }
    assert_eq!(chat.rows().await, rows);
    // Once is enough.
    assert_eq!(chat.story.chat.terminate_now().await, 0);
    chat.story.start_again().await;
    assert_eq!(chat.story.ada.connect().await.whole_mailbox().await, mailbox);
}

#[tokio::test]
async fn a_database_that_is_older_than_its_mailboxes_has_the_answer_written_again() {
    // It took the text for empty, because that of an ended answer is in a message only.
    let mut chat = BackedUp::new().await;
    chat.goes_on().await;
    assert_eq!(chat.story.chat.terminate_now().await, 0);
    chat.copy_back("chat.db");
    chat.story.start_again().await;
    let mut page = chat.story.ada.connect().await;
    let end = page.next_where(|frame| frame["ref"] == "q2" && frame["attempt"] == 2).await;
    assert_eq!(end["message"]["content"], "as usual");
    let rows = chat.story.ada.messages("q2").await;
    assert_eq!(contents(&rows), [("Two?", "complete"), ("as usual", "complete")]);
}

#[tokio::test]
async fn a_start_can_say_that_both_databases_were_copied_back_by_hand() {
    let mut chat = BackedUp::new().await;
    chat.goes_on().await;
    assert_eq!(chat.story.chat.terminate_now().await, 0);
    chat.copy_back("mailbox.db");
    chat.copy_back("chat.db");
    let data = chat.story.folder.path();
    let started = Start::on(data).with(&["--new-epoch"]).run().await;
    let epoch = chat.story.ada.at(&started).history("q1").await["epoch"].clone();
    assert_ne!(epoch, chat.epoch);
    assert_eq!(started.terminate().await, 0);
    chat.story.start_again().await;
    assert_eq!(chat.story.ada.history("q1").await["epoch"], epoch, "it is said once");
}
