//! What a thousand answers at once cost the server.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Client;
use tetherline_process::say;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    delays::Delays,
    reader::{Reader, Seen},
    server::Server,
    usage::Used,
    words::{Moment, now, word},
    writer::Writer,
};

const WORDS_PER_S: u32 = 50;
const SECONDS: u32 = 15;
/// Who needs longer for it than this does not keep up, and is not waited for.
const LATE_MAX: Duration = Duration::from_secs(3);
/// How many connect at a time.
const CONNECTING_MAX: usize = 50;
/// What a server that does not keep up leaves lying about, in bytes of one answer. Then it is over.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// One answer and its two ends.
struct Answer {
    /// A request that lasts as long as the model speaks. There is no HTTP library around it, so that it
    /// costs as little as can be on this side.
    request: TcpStream,
    unsent: Vec<u8>,
    said: Vec<Moment>,
    reading: JoinHandle<Result<Seen>>,
}

/// What came of it.
pub(crate) struct Cost {
    seconds: u32,
    speech: Speech,
    unsent: usize,
    seen: Vec<Seen>,
    /// The server's: for connections and open requests, and then for the answers.
    used: Option<(Used, Used)>,
}

pub(crate) async fn run(server: &Server, answers: usize, brief: bool) -> Result<Cost> {
    let (answers, seconds) = if brief { (answers.min(20), 1) } else { (answers, SECONDS) };
    let http = Client::new();
    let before = server.usage();
    let mut answers: Vec<Answer> = stream::iter(0..answers)
        .map(|number| Answer::begin(server, &http, number))
        .buffer_unordered(CONNECTING_MAX)
        .try_collect()
        .await?;
    let started = server.usage();
    let speech = speak(&mut answers, seconds * WORDS_PER_S).await?;
    let ended = server.usage();
    let unsent = answers.iter().filter(|answer| !answer.unsent.is_empty()).count();
    let count = answers.len();
    let seen = stream::iter(answers)
        .map(Answer::end)
        .buffer_unordered(count)
        .try_collect::<Vec<_>>()
        .await?;
    let used = before.zip(started).zip(ended);
    let used =
        used.map(|((before, started), ended)| (started.since(&before), ended.since(&started)));
    Ok(Cost { seconds, speech, unsent, seen, used })
}

impl Cost {
    /// For people.
    pub(crate) fn say(&self) {
        let Self { seconds, speech, unsent, seen, used } = self;
        let count = seen.len();
        say!("\n{count} answers at once, {WORDS_PER_S} words/s each, for {seconds} s");
        say!(
            "  words said                  {} of {} in {:.1} s",
            speech.behind.len(),
            count * (seconds * WORDS_PER_S) as usize,
            speech.took.as_secs_f64()
        );
        say!("  this side was behind by     {}", speech.behind);
        say!("  answers with words unsent   {unsent} when the last was said");
        shown(seen, speech.took);
        if let Some((idle, busy)) = used {
            cost(idle, busy, self.words());
        }
    }

    /// For records.
    pub(crate) fn figures(&self) -> BTreeMap<&'static str, f64> {
        let mut shown = Delays::default();
        for &(said_at, shown_at) in self.seen.iter().flat_map(|seen| &seen.words) {
            shown.add(shown_at, said_at);
        }
        let ms = |delays: &Delays, percent| delays.percentile(percent) as f64 / 1e3;
        let mut figures = BTreeMap::from([
            ("words", self.words() as f64),
            ("shown_p50_ms", ms(&shown, 50)),
            ("shown_p99_ms", ms(&shown, 99)),
            ("behind_p99_ms", ms(&self.speech.behind, 99)),
        ]);
        if let Some((_, busy)) = &self.used {
            figures.insert("cpu_per_word_us", busy.cpu_s * 1e6 / self.words() as f64);
            figures.insert("server_cpu_pct", busy.cpu_share * 100.0);
        }
        figures
    }

    fn words(&self) -> usize {
        self.seen.iter().map(|seen| seen.words.len()).sum()
    }
}

impl Answer {
    async fn begin(server: &Server, http: &Client, number: usize) -> Result<Self> {
        let user = format!("person-{number}");
        let mut reader = Reader::connect(server, &user, &server.token(&user).await?).await?;
        let (start, started) = oneshot::channel();
        let reading = tokio::spawn(async move { reader.watch(start).await });
        let writer = Writer::open(server, http, &user).await?;
        started.await.context("the answer begins")?;
        let mut request = TcpStream::connect(&server.address).await?;
        request.set_nodelay(true)?;
        let head = [
            &format!("POST {}/text?offset=0 HTTP/1.1", writer.path()?),
            "Host: localhost",
            &format!("Authorization: Bearer {}", server.api_key),
            "Content-Type: application/x-ndjson",
            "Transfer-Encoding: chunked",
            "\r\n",
        ];
        request.write_all(head.join("\r\n").as_bytes()).await?;
        Ok(Self { request, unsent: Vec::new(), said: Vec::new(), reading })
    }

    /// Says the time, if the server takes it at once; else it goes with the next word.
    fn say(&mut self) -> Result<()> {
        let moment = now();
        self.said.push(moment);
        self.unsent.extend(chunk(&format!("{{\"text\":\"{}\"}}\n", word(moment))));
        match self.request.try_write(&self.unsent) {
            Ok(written) => drop(self.unsent.drain(..written)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        ensure!(self.unsent.len() <= UNSENT_BYTES_MAX, "the server is not keeping up");
        Ok(())
    }

    async fn end(mut self) -> Result<Seen> {
        self.unsent.extend(chunk("{\"status\":\"complete\"}\n"));
        self.unsent.extend(chunk(""));
        self.request.write_all(&self.unsent).await?;
        let mut status = String::new();
        BufReader::new(self.request).read_line(&mut status).await?;
        ensure!(status.starts_with("HTTP/1.1 200 "), "the answer was not taken: {status}");
        let seen = self.reading.await??;
        let whole: String = self.said.iter().map(|&moment| word(moment)).collect();
        ensure!(seen.content == whole, "what was shown is not what was said");
        ensure!(seen.words.iter().map(|word| word.0).eq(self.said), "words were shown twice");
        Ok(seen)
    }
}

struct Speech {
    /// How late words were said.
    behind: Delays,
    took: Duration,
}

/// Has all of them speak in turn, evenly.
async fn speak(answers: &mut [Answer], rounds: u32) -> Result<Speech> {
    let interval = Duration::from_secs(1) / WORDS_PER_S;
    let count = u32::try_from(answers.len())?;
    let (started, mut behind) = (Instant::now(), Delays::default());
    for round in 0..rounds {
        if started.elapsed() > interval * round + LATE_MAX {
            break;
        }
        for (number, answer) in (0..).zip(answers.iter_mut()) {
            let due = started + interval * round + interval * number / count;
            if due > Instant::now() {
                sleep_until(due).await;
            }
            behind.add(due.elapsed().as_micros() as Moment, 0);
            answer.say()?;
        }
        // Whoever is late lets the readers read all the same.
        tokio::task::yield_now().await;
    }
    Ok(Speech { behind, took: started.elapsed() })
}

/// A chunk of a chunked request; an empty one is the last.
fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn shown(seen: &[Seen], took: Duration) {
    let frames: u64 = seen.iter().map(|seen| seen.frames).sum();
    let (mut all, mut early, mut late) = (Delays::default(), Delays::default(), Delays::default());
    for Seen { words, .. } in seen {
        for (number, &(said_at, shown_at)) in words.iter().enumerate() {
            all.add(shown_at, said_at);
            match number * 4 / words.len() {
                0 => early.add(shown_at, said_at),
                3 => late.add(shown_at, said_at),
                _ => {}
            }
        }
    }
    say!("  pieces shown                {:.0} /s", frames as f64 / took.as_secs_f64());
    say!("  from said to shown          {all}");
    say!("    in the first quarter      {early}");
    say!("    in the last quarter       {late}");
}

fn cost(idle: &Used, busy: &Used, words: usize) {
    say!(
        "  the server used             {:.0} % of a core, {:.1} µs a word",
        busy.cpu_share * 100.0,
        busy.cpu_s * 1e6 / words as f64
    );
    if let Some(flushes) = busy.flushes_per_s {
        say!("  flushes of its disk         {flushes:.0} /s");
    }
    say!(
        "  its memory                  {:.1} MiB; {:.1} for the connections and open requests, {:.1} for the answers",
        busy.resident_mib,
        idle.gained_mib,
        busy.gained_mib
    );
}
