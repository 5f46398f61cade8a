//! Streams that are written while the server is killed: who writes them, who watches them, and what they
//! have to come to. They have users of their own, so that everybody else's mailboxes stay countable.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Result, bail};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    ledger::{Kind, lock},
    reader,
    scene::{CALM, Scene},
    server::Launch,
    writer,
};

const USERS: usize = 2;
const WRITERS_PER_USER: usize = 2;
/// One goes on over every kill, one forgets what it saw at every second connection.
const READERS_PER_USER: usize = 2;
/// Of every size in UTF-8 and in UTF-16, one that joins, and what JSON escapes.
const ALPHABET: [&str; 10] =
    ["a", "e ", "ü", "漢", "👍", "e\u{301}", "👩\u{200d}🚀", "\n", "\"", "\\"];
const CHARACTERS_MAX: usize = 1_500;

/// What writers and readers of one user share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) scene: Arc<Scene>,
    pub(crate) user: String,
    pub(crate) token: String,
    /// Up to where anybody was shown each unfinished stream, in UTF-16 units.
    shown: Mutex<HashMap<String, u64>>,
    /// How many streams are being written just now.
    pub(crate) open: Arc<AtomicU64>,
    /// How many there are in the end, once it is known.
    pub(crate) total: watch::Receiver<Option<u64>>,
}

/// Writers and readers at work.
pub(crate) struct Streams {
    scene: Arc<Scene>,
    writers: JoinSet<(usize, u64)>,
    readers: JoinSet<()>,
    totals: Vec<watch::Sender<Option<u64>>>,
    open: Arc<AtomicU64>,
}

impl Desk {
    /// Somebody has been shown so much of a stream: it has to be kept.
    pub(crate) fn show(&self, name: &str, units: u64) {
        let mut shown = lock(&self.shown);
        let known = shown.entry(name.to_owned()).or_default();
        *known = units.max(*known);
    }

    pub(crate) fn shown(&self, name: &str) -> u64 {
        lock(&self.shown).get(name).copied().unwrap_or(0)
    }

    pub(crate) fn problem(&self, kind: Kind, name: &str, words: &str) {
        self.scene.ledger.problem(kind, format!("{}, stream {name}: {words}", self.user));
    }
}

impl Streams {
    pub(crate) async fn begin(
        launch: &Launch,
        scene: Arc<Scene>,
        random: &mut fastrand::Rng,
    ) -> Result<Self> {
        let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
        let (mut totals, open) = (Vec::new(), Arc::new(AtomicU64::new(0)));
        for user in 0..USERS {
            let (known, total) = watch::channel(None);
            totals.push(known);
            let name = format!("asker-{user}");
            let desk = Arc::new(Desk {
                scene: scene.clone(),
                token: launch.token(&name).await?,
                user: name,
                shown: Mutex::default(),
                open: open.clone(),
                total,
            });
            for number in 0..READERS_PER_USER {
                readers.spawn(reader::read(desk.clone(), number, random.fork()));
            }
            for number in 0..WRITERS_PER_USER {
                let writing = writer::write(desk.clone(), number, random.fork());
                writers.spawn(async move { (user, writing.await) });
            }
        }
        Ok(Self { scene, writers, readers, totals, open })
    }

    /// Whether one is being written just now.
    pub(crate) fn are_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// Nothing goes wrong any more: every stream is ended and has reached every reader.
    pub(crate) async fn end(mut self) -> Result<()> {
        let mut counts = vec![0; USERS];
        let writing = async {
            while let Some(done) = self.writers.join_next().await {
                let (user, streams) = done?;
                counts[user] += streams;
            }
            anyhow::Ok(())
        };
        match timeout(CALM, writing).await {
            Ok(written) => written?,
            Err(_) => bail!("streams were not ended within {CALM:?}"),
        }
        for (total, count) in self.totals.iter().zip(counts) {
            total.send_replace(Some(count));
        }
        let reading = async { while self.readers.join_next().await.is_some() {} };
        if timeout(CALM, reading).await.is_err() {
            let words = format!("streams did not reach every reader within {CALM:?}");
            self.scene.ledger.problem(Kind::Lost, words);
        }
        Ok(())
    }
}

/// What a stream has to come to: its name decides.
pub(crate) fn text_of(name: &str) -> String {
    // FNV-1a.
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let length = random.usize(..CHARACTERS_MAX);
    (0..length).map(|_| ALPHABET[random.usize(..ALPHABET.len())]).collect()
}

/// How many UTF-16 units a text has.
pub(crate) fn units(text: &str) -> u64 {
    text.encode_utf16().count() as u64
}

/// Where in a text so many UTF-16 units end; `None` within a surrogate pair or beyond the end.
pub(crate) fn byte_index(text: &str, units: u64) -> Option<usize> {
    let mut passed = 0;
    for (index, character) in text.char_indices() {
        if passed >= units {
            return (passed == units).then_some(index);
        }
        passed += character.len_utf16() as u64;
    }
    (passed == units).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_text_is_counted_in_utf_16_units() {
        assert_eq!(byte_index("a👍b", 3), Some(5));
        assert_eq!(byte_index("a👍b", 2), None, "within the pair");
        assert_eq!(byte_index("a👍b", 4), Some(6));
        assert_eq!(byte_index("a👍b", 5), None);
        assert_eq!(units("a👍b"), 4);
    }

    #[test]
    fn a_name_stands_for_one_text() {
        assert_eq!(text_of("asker-0-1-2"), text_of("asker-0-1-2"));
        assert_ne!(text_of("asker-0-1-2"), text_of("asker-0-1-3"));
    }
}
