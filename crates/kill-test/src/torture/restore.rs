//! A folder of before comes back, while publishers go on and pages stay open: what was published since the
//! copy is lost, and everybody who had it is told; what is published from then on is not.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use tetherline::{Acknowledge, Client, Event};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{LOOK_EVERY, PATIENCE, Stage};
use crate::{
    ledger::{Kind, Ledger, lock},
    server::{Launch, Server},
};

const USER: &str = "ada";
const PAGES: usize = 2;
/// Published before the copy, between copy and restore, and after it, at least.
const MESSAGES_EACH: usize = 40;

/// What a page was told, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Note(u32),
    /// History was lost, or begins anew.
    Gap,
}

#[derive(Deserialize)]
struct Note {
    n: u32,
}

type Book = Arc<Mutex<Vec<Seen>>>;

/// How it comes back.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// `tetherline backup` while all goes on, and `tetherline restore`.
    ByCommand,
    /// The files are copied and put back while the server is stopped, and nobody says so.
    ByHand,
}

impl How {
    async fn copies(self, launch: &Launch, server: &mut Server, copy: &Path) -> Result<()> {
        match self {
            Self::ByCommand => {
                let to: [&Path; 4] = ["--data".as_ref(), &launch.data, "--to".as_ref(), copy];
                launch.run("backup", &to).await
            }
            Self::ByHand => {
                server.end(Signal::TERM).await?;
                copy_folder(&launch.data, copy)?;
                *server = launch.start_and_listen().await?;
                Ok(())
            }
        }
    }

    async fn brings_back(self, launch: &Launch, copy: &Path) -> Result<()> {
        match self {
            Self::ByCommand => {
                let (from, data) = ("--from".as_ref(), "--data".as_ref());
                let all: [&Path; 5] = [from, copy, data, &launch.data, "--replace".as_ref()];
                launch.run("restore", &all).await
            }
            Self::ByHand => {
                fs::remove_dir_all(&launch.data)?;
                copy_folder(copy, &launch.data)
            }
        }
    }
}

/// A server of its own is brought back so, under load.
pub(super) async fn happens(stage: &mut Stage<'_>, how: How) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut launch = Launch::new(stage.launch.binary(), folder.path(), &mut stage.random)?;
    launch.webhook_url.clone_from(&stage.launch.webhook_url);
    let copy = folder.path().join("copy");
    let mut server = launch.start_and_listen().await?;
    let token = launch.token(USER).await?;
    let (going_on, published) = (watch::Sender::new(true), Arc::default());
    let publishing = publish(&launch, going_on.subscribe(), Arc::clone(&published))?;
    let way = Way::to(&launch).await?;
    let pages: Vec<(Book, JoinHandle<()>)> =
        (0..PAGES).map(|page| read(&way, &token, page)).collect::<Result<_>>()?;

    until_published(&published, MESSAGES_EACH).await?;
    how.copies(&launch, &mut server, &copy).await?;
    let copied = lock(&published).len();
    until_published(&published, MESSAGES_EACH).await?;
    // Somebody has what will be lost.
    let last = last_of(&published);
    for (book, _) in &pages {
        until(|| lock(book).contains(&Seen::Note(last)), "pages do not get what is published")
            .await?;
    }
    way.is_open.send_replace(false);
    let doomed = lock(&published).len() - copied;
    server.end(Signal::TERM).await?;
    how.brings_back(&launch, &copy).await?;
    let before = lock(&published).len();
    server = launch.start_and_listen().await?;
    // Positions are used again beyond where the pages stand: nothing but history tells the difference.
    until_published(&published, doomed + MESSAGES_EACH).await?;
    way.is_open.send_replace(true);
    until_published(&published, MESSAGES_EACH).await?;
    going_on.send_replace(false);
    publishing.await?;

    let since: Vec<u32> = lock(&published)[before..].to_vec();
    let kept = everything(&launch, &token).await?;
    for (number, (book, page)) in pages.into_iter().enumerate() {
        let has_all = || {
            let seen = lock(&book);
            since.iter().all(|n| seen.contains(&Seen::Note(*n)))
        };
        // What it lacks in the end is told below.
        let _ = until(has_all, "").await;
        page.abort();
        judge(&stage.scene.ledger, number, &lock(&book), &kept, &since);
    }
    server.end(Signal::TERM).await
}

/// A network between pages and server that can be away.
struct Way {
    url: String,
    is_open: watch::Sender<bool>,
}

impl Way {
    async fn to(launch: &Launch) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (is_open, address) = (watch::Sender::new(true), launch.address());
        let opened = is_open.subscribe();
        tokio::spawn(async move {
            while let Ok((mut page, _)) = listener.accept().await {
                let (address, mut opened) = (address.clone(), opened.clone());
                tokio::spawn(async move {
                    if !*opened.borrow_and_update() {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(address).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut page, &mut server) => {}
                        _ = opened.changed() => {}
                    }
                });
            }
        });
        Ok(Self { url, is_open })
    }
}

/// What a page may have missed, and what it must not have.
fn judge(ledger: &Ledger, page: usize, seen: &[Seen], kept: &HashSet<u32>, since: &[u32]) {
    let missing = since.iter().filter(|n| !seen.contains(&Seen::Note(**n))).count();
    if missing > 0 {
        let words =
            format!("page {page} lacks {missing} of {} messages since the restore", since.len());
        ledger.problem(Kind::Lost, words);
    }
    let gone = |seen: &Seen| matches!(seen, Seen::Note(n) if !kept.contains(n));
    if let Some(last) = seen.iter().rposition(gone)
        && !seen[last..].contains(&Seen::Gap)
    {
        ledger.problem(Kind::Lost, format!("page {page} has what is gone, and was not told"));
    }
    let mut known = HashSet::new();
    for one in seen {
        match one {
            Seen::Gap => known.clear(),
            Seen::Note(n) if !known.insert(n) => {
                ledger.problem(Kind::Doubled, format!("page {page} got message {n} twice"));
            }
            Seen::Note(_) => {}
        }
    }
    let lost = since.iter().filter(|n| !kept.contains(n)).count();
    if lost > 0 {
        ledger.problem(Kind::Lost, format!("{lost} messages that were answered are not kept"));
    }
}

/// Publishes until it is told to end, each message until it is answered.
fn publish(
    launch: &Launch,
    going_on: watch::Receiver<bool>,
    published: Arc<Mutex<Vec<u32>>>,
) -> Result<JoinHandle<()>> {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let (url, key) = (format!("{}/v1/users/{USER}/messages", launch.url()), launch.api_key()?);
    Ok(tokio::spawn(async move {
        let mut n = 0;
        while *going_on.borrow() {
            let request =
                http.post(&url).bearer_auth(&key).header("idempotency-key", n.to_string());
            let answer = request.body(format!(r#"{{"type":"note","n":{n}}}"#)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                lock(&published).push(n);
                n += 1;
            }
            sleep(LOOK_EVERY / 4).await;
        }
    }))
}

/// A page that stays open through everything.
fn read(way: &Way, token: &str, page: usize) -> Result<(Book, JoinHandle<()>)> {
    let mut opened = way.is_open.subscribe();
    let mut client = Client::builder(&way.url)
        .user(USER.parse().context("a short word")?)
        .device(format!("device-{page}").parse().context("a short word")?)
        .only_token(token)
        .connect()?;
    let book = Book::default();
    let seen = book.clone();
    let reading = tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                event = client.next() => event,
                // Waits grow with every failure; a person would press "try now".
                Ok(()) = opened.changed() => {
                    client.reconnect().await;
                    continue;
                }
            };
            let Some(event) = event else { return };
            match event {
                Event::Message(message) => {
                    if let Ok(Note { n }) = serde_json::from_str(&message.text) {
                        lock(&seen).push(Seen::Note(n));
                    }
                }
                Event::Gap { .. } => lock(&seen).push(Seen::Gap),
                _ => {}
            }
        }
    });
    Ok((book, reading))
}

/// What the mailbox holds.
async fn everything(launch: &Launch, token: &str) -> Result<HashSet<u32>> {
    let mut client = Client::builder(&launch.url())
        .user(USER.parse().context("a short word")?)
        .start_after(tetherline::Seq::ZERO)
        .acknowledge(Acknowledge::Never)
        .only_token(token)
        .connect()?;
    let mut kept = HashSet::new();
    loop {
        match timeout(PATIENCE, client.next()).await.context("the mailbox cannot be read")? {
            Some(Event::Message(message)) => {
                kept.insert(serde_json::from_str::<Note>(&message.text)?.n);
            }
            Some(Event::CaughtUp { .. }) => return Ok(kept),
            Some(_) => {}
            None => return Err(anyhow::anyhow!("a client ended by itself")),
        }
    }
}

fn last_of(published: &Mutex<Vec<u32>>) -> u32 {
    lock(published).last().copied().unwrap_or_default()
}

async fn until_published(published: &Mutex<Vec<u32>>, more: usize) -> Result<()> {
    let wanted = lock(published).len() + more;
    until(|| lock(published).len() >= wanted, "publishes are not answered").await
}

async fn until(mut holds: impl FnMut() -> bool, otherwise: &'static str) -> Result<()> {
    let started = Instant::now();
    while !holds() {
        ensure!(started.elapsed() < PATIENCE, otherwise);
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
