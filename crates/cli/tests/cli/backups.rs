//! `backup` while a server runs and everybody is connected, `restore`, and files that were copied back
//! by hand.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tetherline::{Client, Event};

use crate::support::{PATIENCE, Process, Server, complaint, run, text};

/// Publishes notes to ada, one after the other, until it is told to stop.
struct Publisher {
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Publisher {
    fn start(server: &Server) -> Self {
        let answered = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (url, key) = (format!("{}/v1/users/ada/messages", server.url), server.api_key());
        let (count, told) = (answered.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let mut n = 0;
            while !told.load(Ordering::Relaxed) {
                n += 1;
                let note = json!({ "type": "note", "n": n, "text": "x".repeat(500) });
                let answer = http.post(&url).bearer_auth(&key).json(&note).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::CREATED);
                count.store(n, Ordering::Relaxed);
            }
        });
        Self { answered, stop, task }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    async fn until(&self, number: u64) {
        let reached = tokio::time::timeout(PATIENCE, async {
            while self.answered() < number {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        reached.await.expect("publishing goes on");
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.answered.load(Ordering::Relaxed)
    }
}

async fn post(server: &Server, path: &str, body: Value) {
    let url = format!("{}/v1/users/ada/streams{path}", server.url);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(url).bearer_auth(server.api_key()).json(&body);
    let status = request.send().await.unwrap().status();
    assert!(matches!(status, StatusCode::OK | StatusCode::CREATED), "{status}");
}

fn back_up(server: &Server, to: &Path) -> PathBuf {
    let output = run(&["backup", "--data", text(&server.file("")), "--to", text(to)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("secrets are not in it"), "{said}");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

fn restore(server: &Server, from: &Path) {
    let data = server.file("");
    let output = run(&["restore", "--from", text(from), "--data", text(&data), "--replace"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("are kept as"), "{said}");
}

/// A page of ada's laptop, open all the time.
struct Page(Client);

impl Page {
    fn open(server: &Server) -> Self {
        let builder = Client::builder(&server.url)
            .user("ada".parse().unwrap())
            .device("laptop".parse().unwrap())
            .follow_streams();
        Self(builder.only_token(server.token("ada")).connect().unwrap())
    }

    /// Everything up to the event that is the last one.
    async fn until(&mut self, is_last: impl Fn(&Event) -> bool) -> Seen {
        let mut seen = Seen::default();
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next());
            let event = next.await.expect("something comes").expect("it goes on");
            seen.note(&event);
            if is_last(&event) {
                return seen;
            }
        }
    }
}

/// What a page was told.
#[derive(Debug, Default)]
struct Seen {
    notes: Vec<u64>,
    /// What is shown of a stream, and how often it began.
    text: String,
    starts: usize,
    /// What became of it.
    content: Option<String>,
    /// How often it was told that its history is gone.
    gaps: usize,
}

impl Seen {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Message(message) => {
                let frame: Value = serde_json::from_str(&message.text).unwrap();
                self.notes.extend(frame["n"].as_u64());
                let content = frame["message"]["content"].as_str();
                self.content = content.map(str::to_owned).or(self.content.take());
            }
            Event::StreamStarted(_) => {
                self.starts += 1;
                self.text.clear();
            }
            Event::StreamText(piece) => self.text.push_str(&piece.text),
            Event::Gap { .. } => self.gaps += 1,
            _ => {}
        }
    }
}

fn is_caught_up(event: &Event) -> bool {
    matches!(event, Event::CaughtUp { .. })
}

fn is_note(n: u64) -> impl Fn(&Event) -> bool {
    let field = format!(r#""n":{n},"#);
    let last = format!(r#""n":{n}}}"#);
    move |event| {
        matches!(event, Event::Message(message)
            if message.text.contains(&field) || message.text.ends_with(&last))
    }
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Message(message) if message.ends.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_comes_back_and_nobody_misses_anything_without_being_told() {
    // A page that had got further than the backup took old positions for its own, and was told that it
    // had everything.
    let mut server = Server::start();
    let outside = tempfile::tempdir().unwrap();
    let mut page = Page::open(&server);
    page.until(is_caught_up).await;
    post(&server, "", json!({ "message_uuid": "a1" })).await;
    post(&server, "/a1/1/text", json!({ "text": "one " })).await;
    let publisher = Publisher::start(&server);
    publisher.until(50).await;

    let before = publisher.answered();
    let backup = back_up(&server, outside.path());
    let after = publisher.answered();
    publisher.until(after + 50).await;
    post(&server, "/a1/1/text", json!({ "text": "two" })).await;
    let last = publisher.stop().await;
    let seen = page.until(is_note(last)).await;
    assert_eq!(seen.gaps, 0, "{seen:?}");
    assert!("one two".starts_with(&seen.text), "{seen:?}");
    assert_eq!(seen.notes, (1..=last).collect::<Vec<_>>(), "everybody got on as before");

    let data = server.file("");
    let restoring = ["restore", "--from", text(&backup), "--data", text(&data), "--replace"];
    let said = complaint(&restoring);
    assert!(said.contains("in use by another server"), "{said}");
    server.terminate();
    restore(&server, &backup);
    server.start_again();

    let back = page.until(is_caught_up).await;
    assert_eq!(back.gaps, 1, "{back:?}");

    // The stream begins again, and goes on from what the backup has of it.
    let news = [last + 1, last + 2, last + 3];
    for n in news {
        server.publish("ada", &format!(r#"{{"n":{n}}}"#));
    }
    post(&server, "/a1/1/text", json!({ "offset": 4, "text": "three" })).await;
    post(&server, "/a1/1/finish", json!({})).await;
    let more = page.until(is_end).await;
    assert_eq!(more.notes, news, "once, and in order");
    assert_eq!((more.content.as_deref(), more.gaps), (Some("one three"), 0));
    assert_eq!(back.starts + more.starts, 1);
    let shown = format!("{}{}", back.text, more.text);
    assert!("one three".starts_with(&shown), "{shown:?}");

    // Somebody who starts now gets what is kept: all that was answered before the backup, nothing that
    // was asked after it, and what came since.
    let kept = server.tail("ada", &["--after", "0", "--no-ack", "--device", "other"]);
    let kept: Vec<u64> = std::iter::from_fn(|| kept.frame()["n"].as_u64()).collect();
    let (restored, since) = kept.split_at(kept.len() - news.len());
    let number = restored.len() as u64;
    assert_eq!((restored, since), (&*(1..=number).collect::<Vec<_>>(), &news[..]));
    assert!((before..=after + 1).contains(&number), "{before} <= {number} <= {after}");
    assert!(back.notes.iter().all(|n| restored.contains(n)), "{back:?}");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_connected_hears_of_files_that_were_copied_back() {
    // It got the third of three, and was told that it had all.
    hears_of_files_that_were_copied_back(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_connected_hears_of_files_that_were_copied_back_when_the_start_says_so() {
    hears_of_files_that_were_copied_back(&["--new-epoch"]).await;
}

async fn hears_of_files_that_were_copied_back(how: &[&str]) {
    let mut server = Server::start();
    let outside = tempfile::tempdir().unwrap();
    let mut page = Page::open(&server);
    page.until(is_caught_up).await;
    let publish = |n: u64| server.publish("ada", &format!(r#"{{"n":{n}}}"#));
    (1..=3).for_each(|n| drop(publish(n)));
    assert_eq!(page.until(is_note(3)).await.notes, [1, 2, 3]);
    let backup = back_up(&server, &outside.path().join("backup.db"));
    (4..=5).for_each(|n| drop(publish(n)));
    assert_eq!(page.until(is_note(5)).await.notes, [4, 5]);
    server.terminate();
    fs::copy(&backup, server.file("mailbox.db")).unwrap();

    // The page comes back when other messages stand where it stands.
    let data = server.file("");
    let serve = |listen: &str, more: &[&str]| {
        let always = ["serve", "--data", text(&data), "--listen", listen];
        let process = Process::start(&[&always, more].concat());
        (process.line().trim_start_matches("listening on ").to_owned(), process)
    };
    let (elsewhere, process) = serve("127.0.0.1:0", how);
    let key = text(&server.file("api.key")).to_owned();
    for n in 6..=8 {
        let json = format!(r#"{{"n":{n}}}"#);
        let publish = ["publish", "--url", &elsewhere, "--api-key-file", &key, "--user", "ada"];
        assert!(run(&[&publish[..], &["--type", "note", &json]].concat()).status.success());
    }
    assert!(process.terminate());
    server.start_again();
    let back = page.until(is_caught_up).await;
    assert_eq!(back.gaps, 1, "{back:?}");
    assert!(back.notes.ends_with(&[6, 7, 8]), "{back:?}");
    // It is told once, and from there on all is as before.
    server.publish("ada", r#"{"n":9}"#);
    let more = page.until(is_note(9)).await;
    assert_eq!((&more.notes[..], more.gaps), (&[9][..], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_goes_on_otherwise_after_its_file_came_back_begins_again() {
    // What was there before stayed, and what came instead was added to it.
    let mut server = Server::start();
    let outside = tempfile::tempdir().unwrap();
    let mut page = Page::open(&server);
    page.until(is_caught_up).await;
    post(&server, "", json!({ "message_uuid": "a1" })).await;
    post(&server, "/a1/1/text", json!({ "text": "one " })).await;
    let has_text = |event: &Event| matches!(event, Event::StreamText(_));
    assert_eq!(page.until(has_text).await.text, "one ");
    let backup = back_up(&server, &outside.path().join("backup.db"));
    post(&server, "/a1/1/text", json!({ "text": "two" })).await;
    assert_eq!(page.until(has_text).await.text, "two");
    server.terminate();
    fs::copy(&backup, server.file("mailbox.db")).unwrap();
    server.start_again();
    // The page stands where it stood, and no message shows it: its text does.
    let back = page.until(has_text).await;
    assert_eq!((back.starts, &*back.text), (1, "one "));
    post(&server, "/a1/1/text", json!({ "offset": 4, "text": "three" })).await;
    post(&server, "/a1/1/finish", json!({})).await;
    let end = page.until(is_end).await;
    assert_eq!((end.content.as_deref(), end.starts), (Some("one three"), 0));
}

#[test]
fn nothing_is_overwritten_and_what_is_no_mailbox_is_not_restored() {
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let (data, outside) = (server.file(""), tempfile::tempdir().unwrap());
    let (data, file) = (text(&data), |name: &str| outside.path().join(name));
    let backup = back_up(&server, &file("backup.db"));
    let said = complaint(&["backup", "--data", data, "--to", text(&backup)]);
    assert!(said.contains("is not overwritten"), "{said}");
    let said = complaint(&["backup", "--data", data, "--to", text(&server.file("mailbox.db"))]);
    assert!(said.contains("is what is to be copied"), "{said}");
    let said = complaint(&["backup", "--data", text(outside.path()), "--to", text(&file("x.db"))]);
    assert!(said.contains("there is no") && said.contains("mailbox.db"), "{said}");
    let said = complaint(&["backup", "--data", data, "--to", text(&file("none/x.db"))]);
    assert!(said.contains("cannot use") && said.contains("none/x.db"), "{said}");
    let left: BTreeSet<_> =
        fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1, "nothing is left over: {left:?}");

    server.terminate();
    let restore = |from: &str| complaint(&["restore", "--from", from, "--data", data, "--replace"]);
    let said = complaint(&["restore", "--from", text(&backup), "--data", data]);
    assert!(said.contains("--replace"), "{said}");
    assert!(restore(text(&file("nowhere.db"))).contains("there is no"));
    fs::write(file("letter.txt"), "Dear Ada, this is no database. ".repeat(300)).unwrap();
    let said = restore(text(&file("letter.txt")));
    assert!(said.contains("letter.txt") && said.contains("not a database"), "{said}");
    let mut damaged = fs::read(&backup).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8_192].fill(0xa5);
    fs::write(file("damaged.db"), damaged).unwrap();
    let said = restore(text(&file("damaged.db")));
    assert!(said.contains("damaged.db"), "{said}");
    fs::write(file("empty.db"), "").unwrap();
    assert!(restore(text(&file("empty.db"))).contains("no backup of a mailbox"));

    // After all of that it is as it was.
    let names: Vec<String> = fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.contains("restoring")), "{names:?}");
    server.start_again();
    assert_eq!(server.tail("ada", &["--after", "0"]).until_caught_up(), [1]);
}

#[test]
fn a_backup_is_restored_on_a_new_machine_and_what_was_there_is_kept() {
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let outside = tempfile::tempdir().unwrap();
    let backup = back_up(&server, &outside.path().join("backup.db"));
    let fresh = outside.path().join("fresh");
    let output = run(&["restore", "--from", text(&backup), "--data", text(&fresh)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("no jwt.secret"), "{said}");
    assert_eq!(fs::metadata(fresh.join("mailbox.db")).unwrap().permissions().mode() & 0o777, 0o600);

    server.publish("ada", r#"{"n":2}"#);
    server.kill();
    restore(&server, &backup);
    server.start_again();
    assert_eq!(server.tail("ada", &["--after", "0", "--no-ack"]).until_caught_up(), [1]);
    server.terminate();
    // The one that was replaced can be looked at, and can come back like any backup.
    let is_kept = |name: &str| name.contains(".replaced-") && !name.ends_with("-wal");
    let kept = fs::read_dir(server.file(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| is_kept(path.file_name().unwrap().to_str().unwrap()))
        .unwrap();
    restore(&server, &kept);
    server.start_again();
    assert_eq!(server.tail("ada", &["--after", "0", "--no-ack"]).until_caught_up(), [1, 2]);
}

#[tokio::test]
async fn who_was_signed_out_stays_so_when_a_backup_of_before_takes_the_place() {
    // Their tokens counted again.
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let outside = tempfile::tempdir().unwrap();
    let backup = back_up(&server, &outside.path().join("backup.db"));
    let tokens = ["ada", "bob"].map(|user| (user, server.token(user)));
    let (key, url) = (server.file("api.key"), server.url.clone());
    let signed_out =
        run(&["sign-out", "--url", &url, "--api-key-file", text(&key), "--user", "ada"]);
    assert!(signed_out.status.success(), "{signed_out:?}");
    // No connection of before is used again: its server is gone.
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let open = async || {
        let mut statuses = Vec::new();
        for (user, token) in &tokens {
            let request = http.get(format!("{url}/ws/user/{user}")).bearer_auth(token);
            statuses.push(request.send().await.unwrap().status().as_u16());
        }
        statuses
    };
    assert_eq!(open().await, [401, 426]);
    server.kill();
    restore(&server, &backup);
    server.start_again();
    assert_eq!(open().await, [401, 426]);
}

#[test]
fn a_restore_says_whether_it_knows_who_was_signed_out() {
    // Of mailboxes that could not be read it said that they were signed out, unless.
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let outside = tempfile::tempdir().unwrap();
    let backup = back_up(&server, &outside.path().join("backup.db"));
    server.kill();
    let data = server.file("");
    let restore = || {
        let line = ["restore", "--from", text(&backup), "--data", text(&data), "--replace"];
        let output = run(&line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (
            said.contains("who was signed out in the mailboxes that were replaced stays so"),
            said.contains("sign them out again"),
        )
    };
    assert_eq!(restore(), (true, false));
    fs::write(server.file("mailbox.db"), "damaged").unwrap();
    assert_eq!(restore(), (false, true));
    assert_eq!(restore(), (true, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_erased_is_in_no_backup_that_is_made_at_once() {
    // Their rows were still to be deleted, and so all that they had ever got was in the backup for ever.
    const SECRET: &str = "what only ada may know";
    let mut server = Server::start();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let users = format!("{}/v1/users", server.url);
    let key = server.api_key();
    let post = |path: &str, body: Value| {
        let request = http.post(format!("{users}/{path}")).bearer_auth(&key).json(&body);
        async move { assert!(request.send().await.unwrap().status().is_success()) }
    };
    // More than is deleted in one go.
    let long = SECRET.repeat(2_000);
    for n in 1..=300 {
        post("ada/messages", json!({ "type": "note", "n": n, "text": long })).await;
    }
    // Text of both lies in the same rows of the log.
    for user in ["ada", "bob"] {
        post(&format!("{user}/streams"), json!({ "message_uuid": "a1" })).await;
    }
    let texts = [("ada", SECRET), ("bob", "bob's "), ("ada", SECRET), ("bob", "own")];
    for (user, text) in texts {
        post(&format!("{user}/streams/a1/1/text"), json!({ "text": text })).await;
    }
    post("bob/messages", json!({ "type": "note", "n": 1 })).await;
    let erased = http.delete(format!("{users}/ada")).bearer_auth(&key).send().await.unwrap();
    assert_eq!(erased.status(), StatusCode::NO_CONTENT);
    // From here on nobody deletes anything.
    server.kill();
    let outside = tempfile::tempdir().unwrap();
    let backup = back_up(&server, &outside.path().join("backup.db"));
    let bytes = fs::read(&backup).unwrap();
    assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));

    // The others have what they had, and ada is somebody new.
    restore(&server, &backup);
    server.start_again();
    server.publish("ada", r#"{"n":301}"#);
    assert_eq!(server.tail("ada", &["--after", "0"]).until_caught_up(), [301]);
    let key = server.api_key();
    let finish = format!("{}/v1/users/bob/streams/a1/1/finish", server.url);
    let finished = http.post(finish).bearer_auth(key).json(&json!({})).send().await.unwrap();
    assert_eq!(finished.status(), StatusCode::OK);
    let tail = server.tail("bob", &["--after", "0"]);
    assert_eq!(tail.note(), 1);
    assert_eq!(tail.frame()["message"]["content"], "bob's own");
}

#[test]
fn a_backup_that_was_killed_stands_in_nobodys_way() {
    // What it had written was taken for a backup that is under way, and there was none of that name
    // ever again.
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let (data, outside) = (server.file(""), tempfile::tempdir().unwrap());
    let file = |name: &str| outside.path().join(name);
    let left_over = ["", "-lock", "-next", "-journal"].map(|kind| format!("x.db.partial{kind}"));
    for name in left_over {
        fs::write(file(&name), "the beginning of a backup").unwrap();
    }
    // Whoever lives has a claim to it.
    let claimed = fs::File::open(file("x.db.partial-lock")).unwrap();
    claimed.lock().unwrap();
    let said = complaint(&["backup", "--data", text(&data), "--to", text(&file("x.db"))]);
    assert!(said.contains("another backup is writing") && said.contains("x.db.partial"), "{said}");
    assert_eq!(fs::read(file("x.db.partial")).unwrap(), b"the beginning of a backup");
    drop(claimed);
    back_up(&server, &file("x.db"));
    let left: Vec<_> =
        fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["x.db"]);
    let fresh = file("fresh");
    let restored = run(&["restore", "--from", text(&file("x.db")), "--data", text(&fresh)]);
    assert!(restored.status.success(), "{restored:?}");
}

#[test]
fn a_backup_of_a_stopped_server_leaves_its_folder_as_it_was() {
    // It left an empty log and its index there, although the one file is all that there is to copy.
    let mut server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    server.terminate();
    let names = || -> BTreeSet<_> {
        let entries = fs::read_dir(server.file("")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let before = names();
    assert!(before.contains("mailbox.db") && !before.contains("mailbox.db-wal"), "{before:?}");
    let outside = tempfile::tempdir().unwrap();
    back_up(&server, &outside.path().join("backup.db"));
    assert_eq!(names(), before);
}

#[test]
fn a_backup_says_how_many_messages_were_changed_in_the_file() {
    // It was called checked, although a disk had changed what somebody had written.
    let mut server = Server::start();
    let text_of = |n: u64| format!("before and after {n}");
    for n in 1..=3 {
        server.publish("ada", &json!({ "n": n, "text": text_of(n) }).to_string());
    }
    server.terminate();
    let mut bytes = fs::read(server.file("mailbox.db")).unwrap();
    for n in [1, 3] {
        let text = text_of(n);
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
        bytes[at] = b'B';
    }
    fs::write(server.file("mailbox.db"), bytes).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("backup.db");
    let output = run(&["backup", "--data", text(&server.file("")), "--to", text(&file)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("2 of its messages were changed"), "{said}");
    restore(&server, &file);
    server.start_again();
    assert_eq!(server.tail("ada", &["--after", "0"]).note(), 2);
}

#[test]
fn who_names_a_folder_to_restore_hears_which_file_to_name() {
    // It was told that there is no such folder, although there is.
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let outside = tempfile::tempdir().unwrap();
    let fresh = outside.path().join("fresh");
    let restore =
        || complaint(&["restore", "--from", text(outside.path()), "--data", text(&fresh)]);
    let expected = outside.path().join("mailbox.db");
    assert!(restore().contains(&format!("there is no {}", expected.display())));
    let backup = back_up(&server, outside.path());
    let said = restore();
    assert!(said.contains("is a folder") && said.contains(text(&backup)), "{said}");
    assert!(!fresh.exists());
}

#[test]
fn a_new_epoch_of_no_mailbox_is_refused_before_anything_is_made() {
    // It made secrets first, which are in the way when those of before are copied back.
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let said = complaint(&["serve", "--data", data, "--listen", "127.0.0.1:0", "--new-epoch"]);
    assert!(said.contains("mailbox.db") && said.contains("copy it back first"), "{said}");
    let left: Vec<_> = fs::read_dir(data).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
