//! A data folder of an older version: everything that was answered for is there.

use std::{collections::HashMap, fs, path::Path, process::Command, time::SystemTime};

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{RECORDED, application};
use crate::{
    socket::Socket,
    support::{Server, complaint, run, text},
};

/// Nothing of the fixture is old enough for this, and its times are moved forward.
const KEEP: [&str; 2] = ["--retention-days", "off"];
/// The newest step that the recorded file had behind it.
const RECORDED_VERSION: u64 = 3;

/// What the older version had answered for.
#[derive(Deserialize)]
struct Kept {
    made_at_ms: u64,
    epoch: String,
    users: HashMap<String, User>,
    finished: Value,
    open: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum User {
    Erased { erased: bool },
    Reader { messages: Vec<Published>, devices: HashMap<String, u64>, outcomes: Vec<Value> },
}

#[derive(Deserialize)]
struct Published {
    key: String,
    message: Value,
    id: String,
    seq: u64,
}

fn kept() -> Kept {
    let text = fs::read_to_string(format!("{RECORDED}/folder.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A copy, as if it had been left a minute ago.
fn folder(kept: &Kept) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["mailbox.db", "jwt.secret", "api.key"] {
        fs::copy(format!("{RECORDED}/folder/{name}"), copy.path().join(name)).unwrap();
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let forward = i128::try_from(now).unwrap() - i128::from(kept.made_at_ms) - 60_000;
    let script = "
for table in [row[0] for row in db.execute(\"SELECT name FROM sqlite_master WHERE type = 'table'\")]:
    for column in [row[1] for row in db.execute(f'PRAGMA table_info({table})')]:
        if column.endswith('_at'):
            db.execute(f'UPDATE {table} SET {column} = {column} + {sys.argv[2]}')
db.commit()
db.execute('PRAGMA wal_checkpoint(TRUNCATE)')";
    python(copy.path(), script, &forward.to_string());
    copy
}

/// Runs a few lines of Python on the file; what they print is an answer.
fn python(folder: &Path, script: &str, argument: &str) -> String {
    let script = format!("import sqlite3, sys, json\ndb = sqlite3.connect(sys.argv[1])\n{script}");
    let file = folder.join("mailbox.db");
    let output = Command::new("python3")
        .args(["-c", &script, text(&file), argument])
        .output()
        .expect("Python is needed for this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn ask(
    server: &Server,
    path: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> (StatusCode, Value) {
    let url = format!("{}/v1/users/{path}", server.url);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = match body {
        Some(body) => http.post(url).body(body.to_string()),
        None => http.get(url),
    };
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let answer = request.bearer_auth(server.api_key()).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

/// What a device gets that asks for everything: the first frame, and the messages.
async fn read_all(server: &Server, user: &str, device: &str) -> (Value, Vec<Value>) {
    let mut socket = Socket::of(server, user, device).await;
    let established = socket.frame("connection_established").await;
    socket.send(&json!({ "type": "get_pending", "after": 0 })).await;
    let mut messages = Vec::new();
    loop {
        let frame = socket.next().await.unwrap();
        if frame["type"] == "pending_check_complete" {
            return (established, messages);
        }
        messages.push(frame);
    }
}

#[tokio::test]
async fn all_that_a_version_before_answered_for_is_there() {
    let kept = kept();
    let url = application::start();
    let options = [&KEEP[..], &["--webhook-url", &url]].concat();
    let mut server = Server::start_on(folder(&kept), &options);
    for _ in 0..2 {
        for (user, known) in &kept.users {
            let User::Reader { messages, devices, outcomes } = known else { continue };
            if user.bytes().all(|byte| byte == b'.') {
                // Such a path cannot be asked for any more; that its rows stay is told below.
                continue;
            }
            let (_, all) = read_all(&server, user, "looks").await;
            for Published { key, message, id, seq } in messages {
                let place = usize::try_from(*seq).unwrap() - 1;
                assert_eq!((&all[place]["id"], &all[place]["seq"]), (&json!(id), &json!(seq)));
                for (field, value) in message.as_object().unwrap() {
                    assert_eq!(&all[place][field], value, "{user} at {seq}");
                }
                let path = format!("{user}/messages");
                let again = ask(&server, &path, Some(key), Some(message)).await;
                assert_eq!(again, (StatusCode::OK, json!({ "id": id, "seq": seq })), "{user}");
            }
            for (device, cursor) in devices {
                let (established, _) = read_all(&server, user, device).await;
                assert_eq!(established["cursor"], *cursor, "{user} on {device}");
                // A page that is open over the deploy keeps its place by it.
                assert_eq!(established["epoch"], kept.epoch.as_str(), "{user}");
            }
            // The application would say the opposite: what is answered was kept.
            let mut socket = Socket::of(&server, user, "laptop").await;
            for outcome in outcomes {
                let (id, kind) = (&outcome["ref"], outcome["type"].as_str().unwrap());
                let other = if kind == "accepted" { "too_long" } else { "question" };
                socket.send(&json!({ "type": other, "id": id })).await;
                let now = socket.frame(kind).await;
                assert_eq!((&now["ref"], &now["code"]), (id, &outcome["code"]), "{now}");
            }
        }
        let (status, open) = ask(&server, "ann/streams/open", None, None).await;
        assert_eq!((status, &open), (StatusCode::OK, &kept.open));
        let path = "ann/streams/done/1/finish";
        let again = ask(&server, path, None, Some(&json!({}))).await;
        assert_eq!(again, (StatusCode::OK, kept.finished.clone()));
        // And once more from the file as this version leaves it.
        server.terminate();
        server.start_again();
    }
    goes_on_where_it_was(&server, &kept).await;
}

async fn goes_on_where_it_was(server: &Server, kept: &Kept) {
    let text = json!({ "text": ", and the rest", "offset": kept.open["next_offset"] });
    let (status, _) = ask(server, "ann/streams/open/1/text", None, Some(&text)).await;
    assert_eq!(status, StatusCode::OK);
    let (_, end) = ask(server, "ann/streams/open/1/finish", None, Some(&json!({}))).await;
    assert_eq!(end["seq"], kept.finished["seq"].as_u64().unwrap() + 1);
    let (_, all) = read_all(server, "ann", "looks").await;
    let whole = format!("{}, and the rest", kept.open["text"].as_str().unwrap());
    assert_eq!(all.last().unwrap()["message"]["content"], whole);

    // An erased user's positions go on, and nothing of before comes back.
    assert!(matches!(kept.users["gone"], User::Erased { erased: true }));
    let note = json!({ "type": "note", "n": 2 });
    let (_, receipt) = ask(server, "gone/messages", None, Some(&note)).await;
    assert_eq!(receipt["seq"], 2);
    let (_, all) = read_all(server, "gone", "looks").await;
    assert!(!json!(all).to_string().contains("secret"), "{all:?}");
}

/// How many sends a user of the older version had more than it recorded: one more than may stand between two marks, by
/// which this version counts them.
const MORE_SENDS: usize = 257;

#[tokio::test]
async fn what_became_of_many_sends_to_a_version_before_is_known_and_counted() {
    let kept = kept();
    let folder = folder(&kept);
    // As that version wrote it, which had no marks.
    let script = "
ann = db.execute(\"SELECT id FROM users WHERE name = 'ann'\").fetchone()[0]
at = db.execute('SELECT max(created_at) FROM sends').fetchone()[0]
for n in range(int(sys.argv[2])):
    db.execute('INSERT INTO sends (user, id, created_at) VALUES (?, ?, ?)', (ann, f'old-{n}', at))
db.commit()
db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
print(db.execute('SELECT count(*) FROM sends WHERE user = ?', (ann,)).fetchone()[0])";
    let before: usize =
        python(folder.path(), script, &MORE_SENDS.to_string()).trim().parse().unwrap();
    let url = application::start();
    let options = [&KEEP[..], &["--webhook-url", &url]].concat();
    let mut server = Server::start_on(folder, &options);
    let mut socket = Socket::of(&server, "ann", "laptop").await;
    for n in [0, 1, MORE_SENDS - 1] {
        // The application would refuse it.
        socket.send(&json!({ "type": "too_long", "id": format!("old-{n}") })).await;
        assert_eq!(socket.frame("accepted").await["ref"], format!("old-{n}"));
    }
    drop(socket);
    server.terminate();
    let marks = "
marks = \"SELECT marked FROM sends WHERE marked NOT NULL AND user = (SELECT id FROM users WHERE name = 'ann')\"
print(json.dumps([row[0] for row in db.execute(marks)]))";
    let at = server.file("");
    assert!(before > 256, "{before}");
    assert_eq!(python(&at, marks, "").trim(), "[256]");
    let checked = run(&["check", "--data", text(&at)]);
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test]
async fn a_restore_knows_that_a_version_before_signed_nobody_out() {
    let kept = kept();
    let (old, server) = (folder(&kept), Server::start());
    server.publish("bob", r#"{"n":1}"#);
    let (token, key) = (server.token("ada"), server.file("api.key"));
    let api = ["--url", &server.url, "--api-key-file", text(&key)];
    assert_eq!(connects(&server, "ada", &token).await, 426);
    assert!(run(&[&["sign-out", "--user", "ada"], &api[..]].concat()).status.success());
    let new = server.stop();
    let restore = |from: &Path, data: &Path| {
        let line = ["restore", "--from", text(from), "--data", text(data), "--replace", "--json"];
        let output = run(&line);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup.db");
    assert!(run(&["backup", "--data", text(new.path()), "--to", text(&backup)]).status.success());
    // The file has no such table, which is no reason to say that nobody knows.
    assert_eq!(restore(&backup, old.path())["sign_outs_kept"], true);
    assert!(run(&["check", "--data", text(old.path())]).status.success());

    // The other way round the backup has none, and those of who is signed out come into it.
    let recorded = folder(&kept);
    assert_eq!(restore(&recorded.path().join("mailbox.db"), new.path())["sign_outs_kept"], true);
    let server = Server::start_on(new, &KEEP);
    assert_eq!(connects(&server, "ada", &token).await, 401);
    assert_eq!(connects(&server, "bob", &server.token("bob")).await, 426);
}

/// What somebody is answered who only asks whether their token counts: 426 if it does.
async fn connects(server: &Server, user: &str, token: &str) -> u16 {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.get(format!("{}/ws/user/{user}", server.url)).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_older_program_is_kept_from_what_it_does_not_know() {
    let kept = kept();
    let mut server = Server::start_on(folder(&kept), &KEEP);
    server.terminate();
    let at = server.file("");
    let tables = "
rows = lambda table: db.execute(f'SELECT count(*) FROM {table}').fetchone()[0]
schema = sorted(row[0] for row in db.execute('SELECT sql FROM sqlite_master WHERE sql NOT NULL'))
version = db.execute('PRAGMA user_version').fetchone()[0]
print(json.dumps({'version': version, 'schema': schema, 'messages': rows('messages'), 'users': rows('users')}))";
    let look =
        |folder: &Path| -> Value { serde_json::from_str(&python(folder, tables, "")).unwrap() };
    let (before, now) = (look(&Path::new(RECORDED).join("folder")), look(&at));
    assert_eq!(before["version"], RECORDED_VERSION);
    // Every program refuses a higher number: a file with another shape has to have one.
    if now["schema"] != before["schema"] {
        assert!(now["version"].as_u64() > Some(RECORDED_VERSION), "{}", now["version"]);
    }
    // Those of users whose names are no names any more too.
    assert_eq!((&now["messages"], &now["users"]), (&before["messages"], &before["users"]));

    python(&at, "db.execute('PRAGMA user_version = 1000')", "");
    let said = complaint(&["serve", "--listen", "127.0.0.1:0", "--data", text(&at)]);
    assert!(said.contains("newer") || said.contains("1000"), "{said}");
}
