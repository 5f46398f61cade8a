//! What is known of a user, for whoever looks why something did not arrive.

use tetherline_protocol::ErrorCode;
use tetherline_server::{
    Refusal,
    store::{
        Credentials as _, MessageReport, REPORTED_SENDS_MAX, REPORTED_SIGN_OUTS_MAX, Report,
        SignOut,
    },
};

use super::{
    streams::{ONE, TWO, ending, open, uuid},
    *,
};

/// For a store that has reports: they say what the other promises say, of one moment, and say it after the store was
/// closed, too.
pub async fn says_what_it_knows(bench: &mut impl Bench) {
    let store = bench.open();
    of_somebody_unknown_there_is_nothing(&store).await;
    devices_stand_where_they_have_acknowledged(&store).await;
    a_message_is_reported_for_as_long_as_it_is_kept(bench, &store).await;
    the_newest_sends_are_told_with_their_outcomes(&store).await;
    the_newest_sign_outs_are_told(bench, &store).await;
    streams_are_told_until_they_are_finished(&store).await;
    nothing_is_left_of_who_was_erased_but_sign_outs(&store).await;

    let users = ["dee", "tia", "sam", "out", "str", "eva"];
    let mut before = Vec::new();
    for name in users {
        before.push(report(&store, name, None).await);
    }
    drop(store);
    let store = bench.open();
    for (name, before) in users.into_iter().zip(before) {
        assert_eq!(report(&store, name, None).await, before, "{name}");
    }
}

async fn report(store: &impl Store, name: &str, about: Option<u64>) -> Report {
    store.report(&user(name), about.map(seq)).await.unwrap()
}

async fn of_somebody_unknown_there_is_nothing(store: &impl Store) {
    let head = store.head(&user("nob")).await.unwrap();
    let nothing = Report {
        head,
        trimmed: Seq::ZERO,
        devices: Vec::new(),
        message: None,
        sends: Vec::new(),
        sign_outs: Vec::new(),
        streams: Vec::new(),
    };
    assert_eq!(report(store, "nob", Some(1)).await, nothing);
}

async fn devices_stand_where_they_have_acknowledged(store: &impl Store) {
    let dee = user("dee");
    for _ in 0..5 {
        append(store, "dee", "x").await;
    }
    for (name, acknowledged) in [("laptop", 4), ("phone", 2), ("tablet", 99), ("idle", 0)] {
        store.locate(&dee, Some(&device(name))).await.unwrap();
        // Nobody has to wait until it is durable.
        store.acknowledge(&dee, Some(&device(name)), seq(acknowledged)).await.unwrap();
    }
    // It has no place yet.
    store.acknowledge(&dee, Some(&device("stranger")), seq(1)).await.unwrap();
    let found = report(store, "dee", None).await;
    let mut cursors: Vec<_> =
        found.devices.iter().map(|found| (found.device.as_str(), found.cursor.get())).collect();
    cursors.sort_unstable();
    // The last one came when others had handled everything.
    assert_eq!(cursors, [("idle", 5), ("laptop", 4), ("phone", 4), ("tablet", 5)]);
    assert_eq!(found.head, store.head(&dee).await.unwrap());
    assert_eq!((found.head.seq, found.trimmed), (seq(5), Seq::ZERO));
    for found in &found.devices {
        let place = store.locate(&dee, Some(&found.device)).await.unwrap();
        assert_eq!(found.cursor, place.cursor, "{}", found.device.as_str());
    }
}

async fn a_message_is_reported_for_as_long_as_it_is_kept<B: Bench>(
    bench: &mut B,
    store: &B::Store,
) {
    let mut messages = Vec::new();
    for _ in 0..6 {
        let Appended { id, created_at_ms, .. } = append(store, "tia", "x").await;
        messages.push(MessageReport { id, kind: "t".to_owned(), published_at: created_at_ms });
    }
    for (index, message) in messages.iter().enumerate() {
        let found = report(store, "tia", Some(index as u64 + 1)).await;
        assert_eq!(found.message.as_ref(), Some(message));
    }
    assert_eq!(report(store, "tia", None).await.message, None, "nobody has asked about one");
    assert_eq!(report(store, "tia", Some(7)).await.message, None, "there is none yet");
    assert_eq!(report(store, "nob", Some(1)).await.message, None, "it is another's");

    store.work_by(&limits(|limits| limits.retention_messages_max = 4));
    eventually(async || report(store, "tia", None).await.trimmed == seq(2)).await;
    assert_eq!(report(store, "tia", Some(2)).await.message, None, "too many");
    assert_eq!(report(store, "tia", Some(3)).await.message.as_ref(), Some(&messages[2]));

    bench.pass(5).await;
    store.work_by(&limits(|limits| limits.retention_age_ms = 1));
    eventually(async || report(store, "tia", None).await.trimmed == seq(6)).await;
    store.work_by(&Limits::default());
    let found = report(store, "tia", Some(6)).await;
    assert_eq!((found.message, found.head.seq), (None, seq(6)), "too old, and no head follows");
}

async fn the_newest_sends_are_told_with_their_outcomes(store: &impl Store) {
    let refusal = Err(Refusal::new(ErrorCode::Rejected, "No."));
    let sends = REPORTED_SENDS_MAX + 5;
    for number in 0..sends {
        // In another order than their names have.
        let outcome = if number % 2 == 0 { &Ok(None) } else { &refusal };
        sends::settle(store, "sam", &format!("m{}", sends - number), outcome).await;
        sends::settle(store, "sue", &format!("m{number}"), &Ok(None)).await;
    }
    let found = report(store, "sam", None).await.sends;
    let told: Vec<_> =
        found.iter().map(|send| (send.id.clone(), send.refused.as_deref())).collect();
    let newest = (0..sends).rev().take(REPORTED_SENDS_MAX);
    let expected: Vec<_> = newest
        .map(|number| {
            (
                format!("m{}", sends - number),
                (number % 2 == 1).then_some(ErrorCode::Rejected.as_str()),
            )
        })
        .collect();
    assert_eq!(told, expected, "the newest first");
    assert!(found.is_sorted_by_key(|send| std::cmp::Reverse(send.decided_at)), "{found:?}");
}

async fn the_newest_sign_outs_are_told<B: Bench>(bench: &mut B, store: &B::Store) {
    let out = user("out");
    for number in 0..REPORTED_SIGN_OUTS_MAX {
        store.sign_out(&out, SignOut::Session(number.to_string().into())).await.unwrap();
    }
    bench.pass(3).await;
    store.sign_out(&out, SignOut::Before(1_000)).await.unwrap();
    bench.pass(3).await;
    store.sign_out(&out, SignOut::Session("last".into())).await.unwrap();
    let found = report(store, "out", None).await.sign_outs;
    assert_eq!(found.len(), REPORTED_SIGN_OUTS_MAX);
    let everywhere: Vec<_> = found.iter().map(|found| found.everywhere).collect();
    assert_eq!(everywhere[..3], [false, true, false], "the newest first");
    assert!(found.is_sorted_by_key(|found| std::cmp::Reverse(found.at)), "{found:?}");
}

async fn streams_are_told_until_they_are_finished(store: &impl Store) {
    for stream in ["s2", "s1", "s3"] {
        open(store, "str", stream).await;
    }
    open(store, "stu", "s4").await;
    open(store, "str", "s1").await;
    let finished = ending(StreamStatus::Complete);
    store.finish_stream(&user("str"), &uuid("s2"), ONE, finished).await.unwrap();
    let found = report(store, "str", None).await.streams;
    let told: Vec<_> =
        found.iter().map(|found| (found.message_uuid.as_str(), found.attempt)).collect();
    assert_eq!(told, [("s3", ONE), ("s1", TWO)]);
    assert!(found.iter().all(|found| found.opened_at > 0));
}

async fn nothing_is_left_of_who_was_erased_but_sign_outs(store: &impl Store) {
    let eva = user("eva");
    append(store, "eva", "x").await;
    store.locate(&eva, Some(&device("phone"))).await.unwrap();
    sends::settle(store, "eva", "m1", &Ok(None)).await;
    open(store, "eva", "s1").await;
    store.sign_out(&eva, SignOut::Before(1_000)).await.unwrap();
    store.erase(&eva).await.unwrap();
    let found = report(store, "eva", Some(1)).await;
    // The tokens of who was erased still live.
    assert_eq!(found.sign_outs.len(), 1);
    let erased = Report {
        head: store.head(&eva).await.unwrap(),
        trimmed: seq(1),
        devices: Vec::new(),
        message: None,
        sends: Vec::new(),
        sign_outs: found.sign_outs.clone(),
        streams: Vec::new(),
    };
    assert_eq!(found, erased);
}
