//! Publish keys that come and go while the server runs.

use std::{
    fs, os::unix::fs::PermissionsExt as _, path::Path, process::Output, thread, time::Duration,
};

use serde_json::Value;

use crate::support::{PATIENCE, Server, run, text};

/// `tetherline keys`, on this data folder.
fn keys(data: &Path, words: &[&str]) -> Output {
    run(&[&["keys"], words, &["--data", text(data)]].concat())
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8_lossy(&output.stdout);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn publish(server: &Server, key: &Path, user: &str) -> Output {
    let line = ["publish", "--url", &server.url, "--api-key-file", text(key), "--user", user];
    run(&[&line[..], &["--type", "t", "{}"]].concat())
}

/// What was said to whoever did not get it.
fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The server looks at the file twice a second.
fn eventually(met: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !met() {
        assert!(std::time::Instant::now() < deadline, "not in time");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn whoever_removes_the_last_key_gets_none_that_is_for_everything() {
    // At the next start there was an `api.key` again.
    let data = tempfile::tempdir().unwrap();
    assert!(keys(data.path(), &["add", "only", "--scope", "publish"]).status.success());
    assert!(keys(data.path(), &["remove", "only"]).status.success());
    let server = Server::start_on(data, &[]);
    assert!(!server.file("api.key").exists());
}

#[test]
fn keys_are_added_listed_and_removed_while_the_server_runs() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("backend.key");
    let scope = ["--scope", "publish,read", "--users", "ad"];
    let added =
        keys(data.path(), &[&["add", "backend"], &scope[..], &["--out", text(&file)]].concat());
    assert!(added.status.success() && added.stdout.is_empty(), "{added:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (file, kept) = (file, data.path().join("keys.json"));
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&kept).unwrap().contains(&fs::read_to_string(&file).unwrap()[4..]));

    // Nobody asked for a key that is for everything.
    let server = Server::start_on(data, &[]);
    assert!(!server.file("api.key").exists());
    let data = server.file(".");
    assert!(publish(&server, &file, "ada").status.success());
    let refused = refusal(&publish(&server, &file, "bob"));
    assert!(refused.contains("403") && refused.contains("not for this user"), "{refused}");

    let printed = keys(&data, &["add", "another", "--scope", "publish"]);
    let another = server.file("another.key");
    fs::write(&another, &printed.stdout).unwrap();
    assert!(String::from_utf8_lossy(&printed.stdout).starts_with("tlk_"), "{printed:?}");
    eventually(|| publish(&server, &another, "bob").status.success());
    let listed = lines(&keys(&data, &["list"]));
    assert_eq!((&listed[0]["name"], &listed[0]["users"]), (&"backend".into(), &"ad".into()));
    assert_eq!(listed[0]["scopes"], serde_json::json!(["publish", "read"]));
    assert_eq!((listed.len(), listed[1].get("users")), (2, None));

    assert!(keys(&data, &["remove", "backend"]).status.success());
    eventually(|| !publish(&server, &file, "ada").status.success());
    assert!(refusal(&publish(&server, &file, "ada")).contains("401"));
    assert!(publish(&server, &another, "ada").status.success());
}

#[test]
fn what_cannot_be_a_key_is_said_in_one_sentence() {
    let data = tempfile::tempdir().unwrap();
    assert!(keys(data.path(), &["add", "a", "--scope", "read"]).status.success());
    for (words, said) in [
        (&["add", "a", "--scope", "read"][..], "called a already"),
        (&["add", "a b", "--scope", "read"], "a key's name is"),
        (&["add", "b", "--scope", "all"], "a scope is"),
        (&["add", "b", "--scope", "read", "--users", "a/b"], "users' ids begin with"),
        (&["add", "b"], "--scope"),
        (&["remove", "b"], "no key called b"),
    ] {
        let said_so = keys(data.path(), words);
        assert!(!said_so.status.success(), "{words:?}");
        let stderr = String::from_utf8_lossy(&said_so.stderr).into_owned();
        assert!(stderr.contains(said), "{words:?}: {stderr}");
    }
    // A file that is there is nobody's to overwrite, and no key is made for it.
    let taken = data.path().join("taken");
    fs::write(&taken, "mine").unwrap();
    let refused = keys(data.path(), &["add", "b", "--scope", "read", "--out", text(&taken)]);
    assert!(!refused.status.success());
    assert_eq!(fs::read_to_string(&taken).unwrap(), "mine");
    assert_eq!(lines(&keys(data.path(), &["list"])).len(), 1);
}

#[test]
fn a_file_of_keys_that_is_nonsense_stops_a_start_and_no_server_and_is_said() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("a.key");
    let added = keys(data.path(), &["add", "a", "--scope", "publish", "--out", text(&file)]);
    assert!(added.status.success(), "{added:?}");
    let log = tempfile::NamedTempFile::new().unwrap();
    let server = Server::start_logging_on(data, log.path(), &[]);
    fs::write(server.file("keys.json"), "nonsense").unwrap();
    let said = || {
        fs::read_to_string(log.path()).unwrap().matches("those of before go on to count").count()
    };
    eventually(|| said() == 1);
    // Two looks later: it is the same trouble.
    thread::sleep(Duration::from_millis(1_200));
    assert_eq!(said(), 1);
    assert!(publish(&server, &file, "ada").status.success());
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("keys.json"), "nonsense").unwrap();
    let no_start = run(&["serve", "--listen", "127.0.0.1:0", "--data", text(other.path())]);
    assert!(refusal(&no_start).contains("keys.json is not what `tetherline keys` writes"));
}
