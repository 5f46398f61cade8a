//! What a store tells about its commits.

use futures_util::FutureExt as _;
use tetherline_server::store::{Event, Publish, Subscription};

use super::{streams::uuid, *};

pub(super) async fn conform(store: &impl Store) {
    heads_are_answered_in_the_order_of_the_question(store).await;
    commits_are_told_in_their_order_once(store).await;
    an_erasure_is_answered_once_it_is_carried_out(store).await;
    the_newest_subscriber_is_the_only_one(store).await;
}

async fn heads_are_answered_in_the_order_of_the_question(store: &impl Store) {
    for (name, count) in [("hal", 2), ("hew", 1)] {
        for _ in 0..count {
            append(store, name, "x").await;
        }
    }
    let heads = store.heads(&["hew", "nobody", "hal", "hew"].map(user)).await.unwrap();
    let seqs: Vec<u64> = heads.iter().map(|head| head.seq.get()).collect();
    assert_eq!(seqs, [1, 0, 2, 1]);
    assert_eq!(heads[2], store.head(&user("hal")).await.unwrap());
    assert_eq!(store.heads(&[]).await.unwrap(), []);
}

/// As text, in the order in which it is told.
async fn hear(commits: &mut Subscription, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        for event in commits.next().await.expect("the store is open") {
            heard.push(match event {
                Event::Appended { user, appended, message } => {
                    let (user, seq) = (user.as_str(), appended.seq.get());
                    let message = message.expect("there is room for it");
                    format!("{user} {seq} {} {}", appended.id, message.fields())
                }
                Event::Streamed { user } => format!("{} streams", user.as_str()),
                Event::Erased { user, .. } => format!("{} is erased", user.as_str()),
                other => format!("{other:?}"),
            });
        }
    }
    heard
}

async fn commits_are_told_in_their_order_once(store: &impl Store) {
    let ian = user("ian");
    append(store, "ian", "before anybody hears").await;
    let mut commits = store.events();
    let publish = |text: &str, name: &str| Publish {
        user: user(name),
        key: Some(key(text)),
        message: message(text),
    };
    let both = [publish("a", "ian"), publish("b", "jan"), publish("a", "ian")].to_vec();
    let appended = store.append_many(both).await;
    assert!(appended[2].as_ref().unwrap().repeated, "which is not told again");
    let stream = uuid("t1");
    let opening = Arc::new(StreamOpening::parse("{}").unwrap());
    store.open_stream(&ian, &stream, opening).await.unwrap();
    store.append_text(&ian, &stream, Attempt::FIRST, None, "text".into()).await.unwrap();
    let ending = Arc::new(StreamEnding::plain(StreamStatus::Complete));
    let finished =
        store.finish_stream(&ian, &stream, Attempt::FIRST, ending.clone()).await.unwrap();
    let again = store.finish_stream(&ian, &stream, Attempt::FIRST, ending).await.unwrap();
    assert!(again.repeated, "nor is this");

    let heard = hear(&mut commits, 5).await;
    let id = |number: usize| appended[number].as_ref().unwrap().id.clone();
    assert_eq!(heard[0], format!(r#"ian 2 {} "text":"a""#, id(0)));
    assert_eq!(heard[1], format!(r#"jan 1 {} "text":"b""#, id(1)));
    assert_eq!(heard[2..4], ["ian streams", "ian streams"]);
    assert!(heard[4].starts_with(&format!("ian 3 {} ", finished.id)), "{heard:?}");
    assert_eq!(heard.len(), 5);
}

async fn an_erasure_is_answered_once_it_is_carried_out(store: &impl Store) {
    append(store, "lea", "x").await;
    let before = store.head(&user("lea")).await.unwrap().epoch;
    let mut commits = store.events();
    let lea = user("lea");
    let mut erasing = store.erase(&lea);
    let event = loop {
        assert!((&mut erasing).now_or_never().is_none(), "nobody has carried it out");
        if let Some(event) = commits.try_next().pop() {
            break event;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let Event::Erased { user: erased, epoch, carried_out } = event else { panic!("{event:?}") };
    let after = store.head(&lea).await.unwrap().epoch;
    assert_eq!((erased, epoch.as_ref()), (lea.clone(), Some(&after)));
    assert_ne!(after, before);
    assert!((&mut erasing).now_or_never().is_none(), "it is not carried out yet");
    drop(carried_out);
    erasing.await.unwrap();
    drop(commits);
    store.erase(&lea).await.expect("nobody hears of it, and nobody waits for ever");
}

async fn the_newest_subscriber_is_the_only_one(store: &impl Store) {
    let (mut first, mut second) = (store.events(), store.events());
    append(store, "mia", "x").await;
    assert!(first.next().await.is_none());
    assert_eq!(hear(&mut second, 1).await.len(), 1);
}
