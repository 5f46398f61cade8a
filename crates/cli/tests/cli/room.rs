//! Disks without room: what would not fit is not begun, and what does not fit leaves nothing behind.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    damage::change,
    support::{Server, tetherline, text},
};

/// A command that has a file system of its own at a folder, of so many MiB. It ends without a word where none may be
/// mounted.
#[cfg(target_os = "linux")]
pub(crate) fn on_a_small_disk(folder: &Path, mebibytes: u32, command: &Command) -> Command {
    let script = format!(r#"mount -t tmpfs -o size={mebibytes}m none "$1" && shift && exec "$@""#);
    let mut small = Command::new("unshare");
    small.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", &script, "sh"]);
    small.arg(folder).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    small
}

/// A command under which no file can be larger than so many bytes. A signal that nobody handles ends a process that
/// writes too much; one that is ignored fails the write.
pub(crate) fn with_file_bytes(bytes: u64, command: &Command) -> Command {
    let script = r#"trap "" XFSZ; exec "$0" "$@""#;
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--fsize={bytes}")).args(["sh", "-c", script]);
    limited.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    limited
}

/// A data folder of a server that has ended, whose mailbox is larger than so many bytes.
fn folder(bytes: u32) -> TempDir {
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let folder = server.stop();
    let ballast =
        format!("CREATE TABLE ballast (x); INSERT INTO ballast VALUES (randomblob({bytes}))");
    change(&folder, &ballast);
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_backup_for_which_there_is_no_room_is_not_begun() {
    // It filled the disk first, and said that SQLite could not write.
    let (data, backups) = (folder(6 << 20), tempfile::tempdir().unwrap());
    let mut both = Command::new("sh");
    let script = r#""$0" "$@" --to "$TO"; echo "ended with $?"; ls -A "$TO""#;
    both.args(["-c", script]);
    let back_up = tetherline(&["backup", "--data", text(data.path())]);
    both.arg(back_up.get_program()).args(back_up.get_args());
    let mut on_a_small_disk = on_a_small_disk(backups.path(), 4, &both);
    let output = on_a_small_disk.env("TO", backups.path()).output().unwrap();
    let (told, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if told.is_empty() {
        println!("left out: no file system may be mounted here");
        return;
    }
    assert_eq!(told, "ended with 1\n", "nothing is left there: {said}");
    assert!(
        said.contains(" takes about 6.") && said.contains(" MB, and its disk has room for 4."),
        "{said}"
    );
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

#[test]
fn a_backup_whose_disk_becomes_full_leaves_nothing_behind() {
    let (data, backups) = (folder(3 << 20), tempfile::tempdir().unwrap());
    let back_up =
        tetherline(&["backup", "--data", text(data.path()), "--to", text(backups.path())]);
    let output = with_file_bytes(1 << 20, &back_up).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot copy") && said.contains("the disk's room"), "{said}");
    assert_eq!(names(backups.path()), [""; 0]);
}

#[test]
fn a_restore_whose_disk_becomes_full_leaves_what_was_there() {
    let (backup, data) = (folder(3 << 20), folder(0));
    let path = data.path().join("mailbox.db");
    let (before, left) = (fs::read(&path).unwrap(), names(data.path()));
    let from = backup.path().join("mailbox.db");
    let line = ["restore", "--from", text(&from), "--data", text(data.path()), "--replace"];
    let output = with_file_bytes(1 << 20, &tetherline(&line)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(data.path()), left);
}
