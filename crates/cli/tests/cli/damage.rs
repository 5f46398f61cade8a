//! Files that a disk, a copy or somebody has damaged: they are named, and neither served nor written over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    room::with_file_bytes,
    support::{Process, Server, complaint, run, tetherline, text},
};

/// A data folder of a server that has ended, with three messages for ada, whose device has handled one.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_on(folder, &[]);
    for n in 1..=3 {
        server.publish("ada", &format!(r#"{{"n":{n}}}"#));
    }
    server.stop()
}

fn mailbox(folder: &TempDir) -> PathBuf {
    folder.path().join("mailbox.db")
}

/// What `tetherline check` says of the folder, and whether all is well.
fn checked(folder: &TempDir) -> (Value, bool) {
    let output = run(&["check", "--data", text(folder.path()), "--json"]);
    let said = serde_json::from_slice(&output.stdout);
    (said.unwrap_or_else(|_| panic!("{output:?}")), output.status.success())
}

fn finding(sql: &str) -> String {
    let folder = folder();
    change(&folder, sql);
    let (said, is_well) = checked(&folder);
    assert!(!is_well, "{said}");
    let findings = said["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

pub(crate) fn change(folder: &TempDir, sql: &str) {
    let connection = Connection::open(mailbox(folder)).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
}

#[test]
fn nothing_is_wrong_with_what_a_server_writes_while_it_runs_and_when_it_has_ended() {
    let server = Server::start();
    for n in 1..=3 {
        server.publish("ada", &format!(r#"{{"n":{n}}}"#));
    }
    let data = server.folder().to_owned();
    let running = run(&["check", "--data", text(&data)]);
    assert!(running.status.success(), "{running:?}");
    let folder = server.stop();
    let (said, is_well) = checked(&folder);
    assert!(is_well, "{said}");
    assert_eq!((&said["users"], &said["messages"]), (&1.into(), &3.into()));
    assert_eq!(said["format"], said["newest_format"]);
    let backup = folder.path().join("backup.db");
    assert!(
        run(&["backup", "--data", text(folder.path()), "--to", text(&backup)]).status.success()
    );
    let output = run(&["check", "--file", text(&backup)]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("nothing is wrong: 1 users, 3 messages"), "{said}");
}

#[test]
fn each_promise_of_the_rows_that_does_not_hold_is_named() {
    for (change, named) in [
        (
            "UPDATE messages SET fields = '\"n\":4' WHERE seq = 2",
            "1 messages were changed in the file",
        ),
        (
            "DELETE FROM messages WHERE seq = 2",
            "ada has 2 messages after position 0 and up to 3, and has to have 3",
        ),
        (
            "INSERT INTO devices VALUES ((SELECT id FROM users), 'laptop', 9, 0)",
            "the device laptop of ada has handled messages up to position 9, but there are 3",
        ),
        (
            "UPDATE users SET floor = 4",
            "ada has handled messages up to position 4, but there are 3",
        ),
        // One that was lost took all that was before it.
        (
            "UPDATE users SET trimmed = 2",
            "2 messages of ada are not delivered: the mailbox is said to be trimmed up to position 2",
        ),
        (
            "UPDATE users SET trimmed = 99",
            "3 messages of ada are not delivered: the mailbox is said to be trimmed up to position 99",
        ),
        (
            "INSERT INTO sends (user, id, created_at, marked, marked_bytes) SELECT id, 'm1', 0, 257, 999 FROM users",
            "1 marks in `sends` cannot stand for as many sends as they say",
        ),
        (
            "INSERT INTO sends (user, id, created_at, marked, marked_bytes) SELECT id, 'm1', 0, 3, 2 FROM users",
            "1 marks in `sends` cannot stand for as many sends as they say",
        ),
        (
            "INSERT INTO devices VALUES (77, 'laptop', 0, 0)",
            "1 rows of `devices` are of a user that there is not",
        ),
        ("UPDATE messages SET user = 77", "3 rows of `messages` are of a user that there is not"),
        (
            "INSERT INTO publish_keys SELECT id, 'k', 99 FROM users",
            "1 idempotency keys stand for no publish",
        ),
        ("DELETE FROM meta", "there are 0 epochs"),
        ("UPDATE meta SET epoch = ''", "there are 0 epochs"),
        // What is gone from the end left no hole.
        (
            "DELETE FROM messages WHERE seq = 3",
            "ada has 2 messages after position 0 and up to 3, and has to have 3",
        ),
        (
            "DELETE FROM messages",
            "ada has 0 messages after position 0 and up to 3, and has to have 3",
        ),
    ] {
        let said = finding(change);
        assert!(said.contains(named), "{change}: {said}");
    }
    // Rows of who was erased wait to be deleted.
    let folder = folder();
    change(
        &folder,
        "INSERT INTO devices VALUES (77, 'laptop', 0, 0); INSERT INTO erased VALUES (77)",
    );
    assert!(checked(&folder).1);
}

#[tokio::test]
async fn text_of_streams_that_cannot_be_read_is_found_and_no_server_starts_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_on(folder, &[]);
    for path in ["", "/a1/1/text"] {
        let url = format!("{}/v1/users/ada/streams{path}", server.url);
        let body = if path.is_empty() { r#"{"message_uuid":"a1"}"# } else { r#"{"text":"one"}"# };
        let request = reqwest::Client::builder().no_proxy().build().unwrap().post(url);
        let answer = request.bearer_auth(server.api_key()).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
    let whole = server.stop();
    let (said, is_well) = checked(&whole);
    assert!(is_well, "{said}");
    for (sql, named) in [
        (
            "UPDATE stream_log SET pieces = substr(pieces, 1, 5)",
            "1 rows of `stream_log`, the text of streams, cannot be read",
        ),
        ("UPDATE streams SET attempt = -1", "what is said of unfinished streams cannot be read"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(mailbox(&whole), mailbox(&folder)).unwrap();
        change(&folder, sql);
        let (said, is_well) = checked(&folder);
        assert!(!is_well && said["findings"][0].as_str().unwrap().contains(named), "{sql}: {said}");
        let said = complaint(&["serve", "--listen", "127.0.0.1:0", "--data", text(folder.path())]);
        assert!(said.contains("cannot be opened") && said.contains("tetherline check"), "{said}");
    }
}

#[test]
fn a_page_that_cannot_be_read_is_found() {
    let folder = folder();
    let path = mailbox(&folder);
    let mut bytes = fs::read(&path).unwrap();
    // Behind the schema: tables and their indexes.
    let page = 4_096;
    assert!(bytes.len() > 4 * page);
    bytes[page..3 * page].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let (said, is_well) = checked(&folder);
    assert!(
        !is_well && said["findings"][0].as_str().unwrap().contains("the file is damaged"),
        "{said}"
    );
}

#[test]
fn what_is_no_mailbox_is_refused_everywhere_and_left_as_it_is() {
    let other = tempfile::tempdir().unwrap();
    let database = other.path().join("other.db");
    Connection::open(&database).unwrap().execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    let whole = fs::read(mailbox(&folder())).unwrap();
    let damaged_header = [&b"SQLite format 4\0"[..], &whole[16..]].concat();
    for (what, bytes) in [
        ("a text", b"these are not the mailboxes that you are looking for".repeat(100)),
        ("another database", fs::read(&database).unwrap()),
        ("a header that is none", damaged_header),
        ("half of a file", whole[..whole.len() / 2].to_vec()),
        ("a piece", whole[..5_000].to_vec()),
    ] {
        let folder = folder();
        let path = mailbox(&folder);
        fs::write(&path, &bytes).unwrap();
        let said = complaint(&["serve", "--listen", "127.0.0.1:0", "--data", text(folder.path())]);
        assert!(
            said.contains("is no mailbox") && said.contains("tetherline restore --replace"),
            "{what}: {said}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what} was changed");
        assert!(!run(&["check", "--data", text(folder.path())]).status.success(), "{what}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what} was changed");
        let backup = other.path().join("backup.db");
        let output = run(&["backup", "--data", text(folder.path()), "--to", text(&backup)]);
        assert!(!output.status.success(), "{what} was backed up");
        let _ = fs::remove_file(&backup);
        let new = tempfile::tempdir().unwrap();
        let said = complaint(&["restore", "--from", text(&path), "--data", text(new.path())]);
        assert!(!said.is_empty() && !mailbox(&new).exists(), "{what}: {said}");
    }
}

#[test]
fn a_file_of_no_bytes_is_no_mailbox_of_before() {
    let folder = folder();
    fs::write(mailbox(&folder), "").unwrap();
    let said = complaint(&["serve", "--listen", "127.0.0.1:0", "--data", text(folder.path())]);
    assert!(said.contains("is missing or empty, although there was a mailbox"), "{said}");
}

#[test]
fn a_file_of_a_newer_version_is_refused_by_everything() {
    let folder = folder();
    change(&folder, "PRAGMA user_version = 99");
    let data = text(folder.path());
    for task in [
        &["serve", "--listen", "127.0.0.1:0", "--data", data][..],
        &["check", "--data", data],
        &["backup", "--data", data, "--to", "/nowhere/backup.db"],
    ] {
        let said = complaint(task);
        assert!(said.contains("the file has format 99, but this program knows only"), "{said}");
    }
    let new = tempfile::tempdir().unwrap();
    let said =
        complaint(&["restore", "--from", text(&mailbox(&folder)), "--data", text(new.path())]);
    assert!(said.contains("format 99"), "{said}");
}

#[test]
fn a_folder_keeps_so_many_backups() {
    let folder = folder();
    let backups = tempfile::tempdir().unwrap();
    let old = ["mailbox-20200101T000000.000Z.db", "mailbox-20200102T000000.000Z.db", "notes.txt"];
    for name in old {
        fs::write(backups.path().join(name), "").unwrap();
    }
    let back_up = |more: &[&str]| {
        let all = ["backup", "--data", text(folder.path()), "--to", text(backups.path())];
        run(&[&all[..], more].concat())
    };
    let output = back_up(&["--keep", "2", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let made = Path::new(said["backup"].as_str().unwrap());
    assert!(made.exists() && said["deleted"].as_array().unwrap().len() == 1, "{said}");
    let left = |name: &str| backups.path().join(name).exists();
    assert_eq!((left(old[0]), left(old[1]), left(old[2])), (false, true, true));
    // One that fails deletes nothing.
    fs::write(mailbox(&folder), "no mailbox any more").unwrap();
    assert!(!back_up(&["--keep", "1"]).status.success());
    assert!(made.exists() && left(old[1]));
    for wrong in ["0", "-1", "all"] {
        assert_eq!(back_up(&["--keep", wrong]).status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn a_backup_is_never_the_mailbox_itself() {
    let folder = folder();
    let path = mailbox(&folder);
    let before = fs::read(&path).unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let hard = folder.path().join("hard.db");
    fs::hard_link(&path, &hard).unwrap();
    for to in [&path, &link, &hard] {
        let said = complaint(&["backup", "--data", text(folder.path()), "--to", text(to)]);
        assert!(said.contains("is what is to be copied"), "{said}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_backup_gets_no_name_that_the_next_start_deletes() {
    // One that was called like the mailbox's log was deleted by the next start, after it had been reported.
    let folder = folder();
    for suffix in ["-wal", "-shm", "-journal", ".restoring"] {
        let to = folder.path().join(format!("mailbox.db{suffix}"));
        let said = complaint(&["backup", "--data", text(folder.path()), "--to", text(&to)]);
        assert!(said.contains("is a name that the mailboxes themselves use"), "{said}");
        assert!(!to.exists());
    }
}

#[test]
fn a_start_that_finds_no_room_leaves_no_secret_that_is_none() {
    // It left an empty jwt.secret, and the next start, with room, refused it.
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", data];
    let full = with_file_bytes(0, &tetherline(&serve)).output().unwrap();
    assert!(!full.status.success());
    let left: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("secret")), "{left:?}");
    let server = Process::start(&serve);
    assert!(server.line().starts_with("listening on"));
}
