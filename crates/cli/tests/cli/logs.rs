//! Write-ahead logs that lie beside a mailbox and are not its own, and those that are.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::support::{Server, complaint, run, text};

/// A data folder of a server that was killed, with its log, and so many messages for ada.
fn killed(messages: u64) -> TempDir {
    let mut server = Server::start();
    (1..=messages).for_each(|n| drop(server.publish("ada", &format!(r#"{{"n":{n}}}"#))));
    server.kill();
    copied(server.folder(), &["mailbox.db", "mailbox.db-wal", "mailbox.db-lock"])
}

/// The same of one that has ended in order.
fn ended(messages: u64) -> TempDir {
    let server = Server::start();
    (1..=messages).for_each(|n| drop(server.publish("ada", &format!(r#"{{"n":{n}}}"#))));
    server.stop()
}

fn copied(folder: &Path, names: &[&str]) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    put(folder, copy.path(), names);
    copy
}

fn put(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// A start that is refused, and changes nothing.
fn is_refused(folder: &Path) {
    let files = ["mailbox.db", "mailbox.db-wal"].map(|name| folder.join(name));
    let before = files.each_ref().map(|file| fs::read(file).unwrap());
    for more in [&[][..], &["--new-epoch"]] {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--data", text(folder)];
        let said = complaint(&[&serve[..], more].concat());
        assert!(said.contains("mailbox.db-wal is not its own log"), "{said}");
        assert!(said.contains("move that file away"), "{said}");
        assert_eq!(files.each_ref().map(|file| fs::read(file).unwrap()), before);
    }
}

/// What ada has where a server starts on this folder.
fn messages(folder: TempDir) -> Vec<u64> {
    let server = Server::start_on(folder, &[]);
    let checked = run(&["check", "--data", text(server.folder())]);
    assert!(checked.status.success(), "{checked:?}");
    server.tail("ada", &["--after", "0", "--no-ack"]).until_caught_up()
}

#[test]
fn a_log_that_was_left_where_a_folder_was_copied_twice_is_not_taken_for_its_own() {
    // Once while the server ran, and again when it had ended: its file had old pages of its own then.
    let server = Server::start();
    (1..=3).for_each(|n| drop(server.publish("ada", &format!(r#"{{"n":{n}}}"#))));
    let copy = copied(server.folder(), &["mailbox.db", "mailbox.db-wal"]);
    (4..=6).for_each(|n| drop(server.publish("ada", &format!(r#"{{"n":{n}}}"#))));
    let folder = server.stop();
    put(folder.path(), copy.path(), &["mailbox.db"]);
    is_refused(copy.path());
    fs::remove_file(copy.path().join("mailbox.db-wal")).unwrap();
    assert_eq!(messages(copy), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn another_stores_log_is_not_taken_for_its_own() {
    // Its pages replaced those of the file, and nobody noticed.
    let (other, folder) = (killed(40), ended(3));
    put(other.path(), folder.path(), &["mailbox.db-wal"]);
    is_refused(folder.path());
    // Nor is it read: `check` found nothing wrong with 40 messages, and a backup had those of another store.
    let path = folder.path().join("mailbox.db");
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup.db");
    let data = text(folder.path());
    for line in [&["check", "--data", data][..], &["backup", "--data", data, "--to", text(&backup)]]
    {
        let said = complaint(line);
        assert!(said.contains("mailbox.db-wal is not its own log"), "{said}");
    }
    assert!(!backup.exists());
    // Nor does a restore put it into the file that it keeps.
    let (before, outside) = (fs::read(&path).unwrap(), ended(1));
    let backup = outside.path().join("mailbox.db");
    let restore = ["restore", "--from", text(&backup), "--data", text(folder.path()), "--replace"];
    let output = run(&[&restore[..], &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(fs::read(said["replaced"].as_str().unwrap()).unwrap(), before);
    assert_eq!(said["sign_outs_kept"], false);
    assert_eq!(messages(folder), [1]);
}

#[test]
fn a_backup_that_is_copied_over_a_mailbox_does_not_get_that_ones_log() {
    let mut server = Server::start();
    drop(server.publish("ada", r#"{"n":1}"#));
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup.db");
    let line = ["backup", "--data", text(server.folder()), "--to", text(&backup)];
    assert!(run(&line).status.success());
    (2..=40).for_each(|n| drop(server.publish("ada", &format!(r#"{{"n":{n}}}"#))));
    server.kill();
    let folder = copied(server.folder(), &["mailbox.db", "mailbox.db-wal", "mailbox.db-lock"]);
    fs::copy(&backup, folder.path().join("mailbox.db")).unwrap();
    is_refused(folder.path());
    fs::remove_file(folder.path().join("mailbox.db-wal")).unwrap();
    assert_eq!(messages(folder), [1]);
}

#[test]
fn a_store_that_was_killed_has_its_log_wherever_it_is_copied() {
    // Nobody may be kept out: what was answered is in the log alone.
    let both = ["mailbox.db", "mailbox.db-wal"];
    let killed = killed(5);
    assert!(fs::metadata(killed.path().join("mailbox.db-wal")).unwrap().len() > 0);
    assert_eq!(messages(copied(killed.path(), &both)), [1, 2, 3, 4, 5]);
    // Over a folder that another store has left in order, too.
    let folder = ended(2);
    put(killed.path(), folder.path(), &both);
    assert_eq!(messages(folder), [1, 2, 3, 4, 5]);
    assert_eq!(messages(killed), [1, 2, 3, 4, 5]);
}

#[test]
fn a_store_that_ended_in_order_and_is_killed_later_has_its_log_again() {
    let mut server = Server::start();
    for n in 1..=3 {
        drop(server.publish("ada", &format!(r#"{{"n":{n}}}"#)));
        server.terminate();
        server.start_again();
        server.kill();
        server.start_again();
    }
    assert_eq!(server.tail("ada", &["--after", "0"]).until_caught_up(), [1, 2, 3]);
    // A program that only reads leaves an empty one if it is killed.
    server.terminate();
    fs::write(server.file("mailbox.db-wal"), "").unwrap();
    server.start_again();
    assert_eq!(server.tail("ada", &["--after", "0"]).until_caught_up(), [1, 2, 3]);
}
