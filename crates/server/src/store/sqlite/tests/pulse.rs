//! A store is told from one that hangs by what it does, and not by how many wait for it.

use std::{
    iter::repeat_with,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
};

use futures_util::future::{Either, join_all, select};
use tokio::time::{Duration, timeout};

use super::{
    super::{pulse::Pulse, reader::READERS_MAX, writer::COMMANDS_BYTES_MAX},
    *,
};
use crate::{STORE_ANSWER_TIMEOUT, lock::lock};

/// Of these a queue is worked off for longer than a store may be silent.
const SLOW: Duration = Duration::from_millis(25);

fn open() -> (SqliteStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (SqliteStore::open(&folder.path().join("mailbox.db")).unwrap(), folder)
}

/// Something slow until the test is over, so that the store closes soon.
fn slow(is_over: &Arc<AtomicBool>) -> impl Fn() + Send + use<> {
    let is_over = is_over.clone();
    move || {
        if !is_over.load(Ordering::Relaxed) {
            thread::sleep(SLOW);
        }
    }
}

/// Something that lasts until the sender is dropped, and where it says that it has begun.
fn hanging() -> (impl Fn() + Send, tokio::sync::mpsc::UnboundedReceiver<()>, Sender<()>) {
    let (release, released) = channel::<()>();
    let (begun, begins) = tokio::sync::mpsc::unbounded_channel();
    let released = Mutex::new(released);
    let hang = move || {
        begun.send(()).unwrap();
        let _ = lock(&released).recv();
    };
    (hang, begins, release)
}

/// As a server asks.
async fn answers(store: &SqliteStore) -> Option<Result<(), StoreError>> {
    timeout(STORE_ANSWER_TIMEOUT, store.answers()).await.ok()
}

#[tokio::test]
async fn a_store_that_reads_for_many_is_not_silent() {
    // Whoever came after so many was answered too late, and the process was killed for it.
    let (store, _folder) = open();
    let is_over = Arc::new(AtomicBool::new(false));
    let read = || {
        let slow = slow(&is_over);
        store.readers.run(move |_, _| {
            slow();
            Ok(())
        })
    };
    let many = Box::pin(join_all(repeat_with(read).take(2_000)));
    let asked = Box::pin(answers(&store));
    let Either::Right((answer, _)) = select(many, asked).await else {
        panic!("it was not answered before the others");
    };
    is_over.store(true, Ordering::Relaxed);
    assert_eq!(answer, Some(Ok(())));
}

#[tokio::test]
async fn a_store_that_is_long_about_one_commit_is_not_silent() {
    let (store, _folder) = open();
    let is_over = Arc::new(AtomicBool::new(false));
    let write = || {
        let task = Box::new(slow(&is_over));
        store.writer.ask(0, |reply| Command::Run { task, reply })
    };
    let many = Box::pin(join_all(repeat_with(write).take(400)));
    let asked = Box::pin(answers(&store));
    let Either::Right((answer, _)) = select(many, asked).await else {
        panic!("it was not answered before the others");
    };
    is_over.store(true, Ordering::Relaxed);
    assert_eq!(answer, Some(Ok(())));
}

#[tokio::test]
async fn a_store_without_room_for_more_commands_goes_on_with_those_that_it_has() {
    // `/readyz` said that nothing could be kept, while thousands of commits a second were.
    let (store, _folder) = open();
    let (hang, mut begins, release) = hanging();
    let task = Box::new(hang);
    let full = store.writer.ask(COMMANDS_BYTES_MAX, |reply| Command::Run { task, reply });
    let mut full = Box::pin(full);
    assert!(full.as_mut().now_or_never().is_none());
    begins.recv().await.unwrap();
    store.writer.ask(0, |reply| Command::SaveCursors { reply }).await.unwrap_err();
    let mut asked = store.answers();
    assert!(asked.as_mut().now_or_never().is_none());
    drop(release);
    assert_eq!(asked.await, Ok(()));
    full.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_of_which_the_writer_hangs_is_silent_although_it_reads() {
    let (store, _folder) = open();
    let (hang, mut begins, release) = hanging();
    let task = Box::new(hang);
    let mut hangs = Box::pin(store.writer.ask(0, |reply| Command::Run { task, reply }));
    assert!(hangs.as_mut().now_or_never().is_none());
    begins.recv().await.unwrap();
    assert_eq!(answers(&store).await, None);
    store.readers.answer().await.unwrap();
    tokio::time::resume();
    drop(release);
    hangs.await.unwrap();
    assert_eq!(store.answers().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_store_of_which_all_readers_hang_is_silent_although_it_writes() {
    let (store, _folder) = open();
    let mut hanging_reads = Vec::new();
    for _ in 0..READERS_MAX {
        let (hang, mut begins, release) = hanging();
        let mut reading = Box::pin(store.readers.run(move |_, _| {
            hang();
            Ok(())
        }));
        assert!(reading.as_mut().now_or_never().is_none());
        hanging_reads.push((reading, release));
        begins.recv().await.unwrap();
    }
    store.writer.answer().await.unwrap();
    assert_eq!(answers(&store).await, None);
    tokio::time::resume();
    for (reading, release) in hanging_reads {
        drop(release);
        reading.await.unwrap();
    }
    assert_eq!(store.answers().await, Ok(()));
}

#[tokio::test]
async fn a_full_queue_does_not_hide_that_nothing_can_be_kept() {
    let pulse = Pulse::default();
    let full = StoreError::new("full");
    let mut asked = Box::pin(pulse.answer(std::future::pending()));
    assert!(asked.as_mut().now_or_never().is_none());
    pulse.beat();
    pulse.ended(Err(&full));
    assert_eq!(asked.await, Err(full));
    let mut asked = Box::pin(pulse.answer(std::future::pending()));
    assert!(asked.as_mut().now_or_never().is_none());
    pulse.ended(Ok(()));
    assert_eq!(asked.await, Ok(()));
}
