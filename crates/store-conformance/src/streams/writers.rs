//! Who begins streams, writes, stops and ends them.

use super::*;

pub(super) async fn another_attempt_ends_the_one_before(store: &impl Store) {
    let (ann, a1) = (user("ann"), uuid("a1"));
    let opened = open(store, "ann", "a1").await;
    assert_eq!((opened.attempt, opened.is_stopped), (ONE, false));
    say(store, "ann", "a1", "old").await;
    assert_eq!(open(store, "ann", "a1").await.attempt, TWO);
    assert_eq!(shown(store, "ann").await, [piece("a1", 2, "")], "it starts over");
    let append = async |user: &UserId, attempt| {
        store.append_text(user, &a1, attempt, None, "x".into()).await.unwrap_err()
    };
    assert_eq!(append(&ann, ONE).await, AppendTextError::Superseded { attempt: TWO });
    assert_eq!(append(&ann, THREE).await, AppendTextError::Unknown, "nobody was told of it");
    assert_eq!(append(&user("bob"), TWO).await, AppendTextError::Unknown, "somebody else's");
    let end = async |user: &UserId, attempt| {
        store.finish_stream(user, &a1, attempt, ending(StreamStatus::Complete)).await.unwrap_err()
    };
    let superseded = end(&ann, ONE).await;
    assert!(matches!(superseded, FinishStreamError::Superseded { attempt: TWO }), "{superseded:?}");
    assert!(matches!(end(&ann, THREE).await, FinishStreamError::Unknown));
    assert!(matches!(end(&user("bob"), TWO).await, FinishStreamError::Unknown));
    assert_eq!(open(store, "bob", "a1").await.attempt, ONE, "names are each user's own");

    store.finish_stream(&ann, &a1, TWO, ending(StreamStatus::Failed)).await.unwrap();
    assert_eq!(open(store, "ann", "a1").await.attempt, THREE, "what is finished can be retried");
    assert_eq!(append(&ann, TWO).await, AppendTextError::Superseded { attempt: THREE });
    // Both at once are two.
    let (one, two) = tokio::join!(open(store, "ann", "both"), open(store, "ann", "both"));
    let mut both = [one.attempt, two.attempt];
    both.sort_unstable();
    assert_eq!(both, [ONE, TWO]);
}

pub(super) async fn text_is_placed_by_its_offset(store: &impl Store) {
    let (cat, a1) = (user("cat"), uuid("a1"));
    open(store, "cat", "a1").await;
    let append =
        async |offset, text: &str| store.append_text(&cat, &a1, ONE, offset, text.into()).await;
    assert_eq!(append(None, "ab").await, Ok(2));
    assert_eq!(append(Some(2), "👍e\u{301}").await, Ok(6));
    assert_eq!(append(Some(2), "👍e\u{301}").await, Ok(6), "a repeat");
    assert_eq!(append(Some(0), "a").await, Ok(6), "a part of what is there");
    assert_eq!(append(Some(1), "b👍e\u{301}世").await, Ok(7), "the new part of an overlap");
    assert_eq!(append(Some(7), "").await, Ok(7));
    assert_eq!(append(Some(1), "x").await, Err(AppendTextError::Conflict { next_offset: 7 }));
    assert_eq!(append(Some(6), "界!").await, Err(AppendTextError::Conflict { next_offset: 7 }));
    assert_eq!(
        append(Some(3), "e\u{301}世").await,
        Err(AppendTextError::Conflict { next_offset: 7 }),
        "within the pair"
    );
    assert_eq!(append(Some(8), "x").await, Err(AppendTextError::Gap { next_offset: 7 }));
    assert_eq!(shown(store, "cat").await, [piece("a1", 1, "ab👍e\u{301}世")]);
    let state = state(store, "cat", "a1").await.unwrap();
    assert_eq!((state.attempt, state.phase, state.next_offset), (ONE, StreamPhase::Open, 7));
    assert_eq!(&*state.text, "ab👍e\u{301}世");
}

pub(super) async fn what_is_finished_is_a_message_and_nothing_else(store: &impl Store) {
    let (eli, a1) = (user("eli"), uuid("a1"));
    append(store, "eli", "before").await;
    let json = r#"{"type":"message_regenerate","ref":"q1","parent":"p1"}"#;
    store.open_stream(&eli, &a1, opening(json)).await.unwrap();
    say(store, "eli", "a1", "Hi \"👍\"").await;
    let end = Arc::new(StreamEnding::parse(r#"{"message":{"role":"assistant"}}"#).unwrap());
    let first = store.finish_stream(&eli, &a1, ONE, end.clone()).await.unwrap();
    assert_eq!((first.status, first.seq), (StreamStatus::Complete, seq(2)));
    let page = read(store, &eli, seq(1), ROOM).await.unwrap();
    assert_eq!((page.len(), page[0].seq, first.repeated), (1, first.seq, false));
    let text: &str = page[0].text.as_ref();
    let begin = format!(r#"{{"type":"message_regenerate","id":"{}","seq":2,"#, first.id);
    assert!(text.starts_with(&begin), "{text}");
    let end_of_it = r#""ref":"q1","message_uuid":"a1","attempt":1,"status":"complete","parent":"p1","message":{"uuid":"a1","content":"Hi \"👍\"","status":"complete","attempt":1,"role":"assistant"}}"#;
    assert!(text.ends_with(end_of_it), "{text}");

    assert_eq!(read_streams(store, &eli, &[place("a1", ONE, 2)], ALL).await, StreamPage::default());
    let told = state(store, "eli", "a1").await.unwrap();
    assert_eq!(told.phase, StreamPhase::Finished(StreamStatus::Complete));
    assert_eq!((told.next_offset, &*told.text), (7, ""));
    let again = finish(store, "eli", "a1", StreamStatus::Failed).await;
    assert_eq!(again, FinishedStream { repeated: true, ..first });
    assert_eq!(store.head(&eli).await.unwrap().seq, seq(2));
    let more = store.append_text(&eli, &a1, ONE, None, "x".into()).await;
    assert_eq!(more, Err(AppendTextError::Finished { status: StreamStatus::Complete }));
    let stopped = store.stop_stream(&eli, &of("a1")).await.unwrap();
    assert_eq!(stopped, StoppedStream::Already);
    assert_eq!(store.stop_stream(&eli, &to("q1")).await.unwrap(), StoppedStream::Already);
    // Both at once are one message.
    open(store, "eli", "a2").await;
    let both = tokio::join!(
        finish(store, "eli", "a2", StreamStatus::Failed),
        finish(store, "eli", "a2", StreamStatus::Complete)
    );
    assert_eq!((both.0.seq, both.0.status, &both.0.id), (both.1.seq, both.1.status, &both.1.id));
    assert_eq!(store.head(&eli).await.unwrap().seq, seq(3));
}

pub(super) async fn what_is_stopped_takes_no_text(store: &impl Store) {
    let (fay, a1) = (user("fay"), uuid("a1"));
    let stop = async |target| store.stop_stream(&fay, &target).await.unwrap();
    assert_eq!(stop(of("a1")).await, StoppedStream::Unknown);
    open_for(store, "fay", "a1", "q1").await;
    say(store, "fay", "a1", "ab").await;
    assert_eq!(store.stop_stream(&user("gus"), &of("a1")).await.unwrap(), StoppedStream::Unknown);
    assert_eq!(stop(of("a1")).await, StoppedStream::Stopped);
    assert_eq!(stop(of("a1")).await, StoppedStream::Already);
    assert_eq!(stop(to("q1")).await, StoppedStream::Already);
    let more = store.append_text(&fay, &a1, ONE, Some(0), "a".into()).await;
    assert_eq!(more, Err(AppendTextError::Stopped { next_offset: 2 }), "not even a repeat");
    assert_eq!(state(store, "fay", "a1").await.unwrap().phase, StreamPhase::Stopped);
    assert_eq!(shown(store, "fay").await, [piece("a1", 1, "ab")], "it is shown until it is ended");
    let finished = finish(store, "fay", "a1", StreamStatus::Complete).await;
    assert_eq!(finished.status, StreamStatus::Stopped, "whatever its writer says");
    let page = read(store, &fay, Seq::ZERO, ROOM).await.unwrap();
    assert!(page[0].text.contains(r#""status":"stopped""#));

    open_for(store, "fay", "a2", "q2").await;
    assert_eq!(stop(to("q2")).await, StoppedStream::Stopped);
    assert_eq!(state(store, "fay", "a2").await.unwrap().phase, StreamPhase::Stopped);
    open_for(store, "fay", "a2", "q3").await;
    assert_eq!(say(store, "fay", "a2", "x").await, 1, "another attempt was asked for anew");
}

pub(super) async fn a_stop_waits_for_the_stream_that_answers_a_send(store: &impl Store) {
    let hal = user("hal");
    let stop = async |send: &str| store.stop_stream(&hal, &to(send)).await.unwrap();
    assert_eq!(stop("q1").await, StoppedStream::Remembered);
    assert_eq!(stop("q1").await, StoppedStream::Remembered);
    assert!(!open_for(store, "hal", "a0", "q0").await.is_stopped, "it answers another");
    assert!(!open_for(store, "ida", "a1", "q1").await.is_stopped, "somebody else's");
    assert!(open_for(store, "hal", "a1", "q1").await.is_stopped);
    assert_eq!(stop("q1").await, StoppedStream::Already);
    let more = store.append_text(&hal, &uuid("a1"), ONE, None, "x".into()).await;
    assert_eq!(more, Err(AppendTextError::Stopped { next_offset: 0 }));
    // The writer may not have heard that it opened it.
    assert!(open_for(store, "hal", "a1", "q1").await.is_stopped);

    for number in 1..=STREAM_STOPS_MAX {
        store.stop_stream(&user("jan"), &to(&format!("s{number}"))).await.unwrap();
    }
    assert!(open_for(store, "jan", "a1", "s1").await.is_stopped, "the last number that fits");
    store.stop_stream(&user("jan"), &to("one-more")).await.unwrap();
    assert!(!open_for(store, "jan", "a2", "s1").await.is_stopped, "the oldest is forgotten");
    assert!(open_for(store, "jan", "a3", "s2").await.is_stopped);
    assert!(open_for(store, "jan", "a4", "one-more").await.is_stopped);
}

pub(super) async fn what_is_too_much_is_refused(store: &impl Store) {
    let kai = user("kai");
    store
        .work_by(&limits(|limits| (limits.streams_per_user_max, limits.stream_bytes_max) = (2, 6)));
    let begin = async |name: &str| store.open_stream(&kai, &uuid(name), opening("{}")).await;
    begin("a1").await.unwrap();
    begin("a2").await.unwrap();
    assert_eq!(begin("a3").await, Err(OpenStreamError::TooMany { streams_max: 2 }));
    assert_eq!(begin("a2").await.unwrap().attempt, TWO, "a retry is not one more");
    finish(store, "kai", "a1", StreamStatus::Complete).await;
    begin("a3").await.unwrap();

    let append = async |offset, text: &str| {
        store.append_text(&kai, &uuid("a3"), ONE, offset, text.into()).await
    };
    let too_long = |next_offset| Err(AppendTextError::TooLong { bytes_max: 6, next_offset });
    assert_eq!(append(None, "1234567").await, too_long(0));
    assert_eq!(append(None, "👍12").await, Ok(4), "it is bytes that count");
    assert_eq!(append(None, "3").await, too_long(4));
    assert_eq!(append(Some(2), "12").await, Ok(4), "what is there is no longer by a repeat");
    store.work_by(&limits(|limits| limits.streams_bytes_max = 0));
    assert_eq!(append(None, "3").await, Err(AppendTextError::Crowded));
    assert_eq!(begin("a4").await, Err(OpenStreamError::Crowded));
    store.work_by(&limits(|limits| limits.publish_bytes_max = 1));
    assert_eq!(append(None, "3").await, Ok(5));
    let finished = finish(store, "kai", "a3", StreamStatus::Complete).await;
    assert!(!finished.repeated, "what took the text can be finished");
}

pub(super) async fn late_writers_are_named(store: &impl Store) {
    let lee = user("lee");
    open(store, "lee", "a1").await;
    open(store, "lee", "a2").await;
    store.stop_stream(&lee, &of("a2")).await.unwrap();
    let overdue = async |idle_ms, grace_ms| {
        store.work_by(&limits(|limits| {
            (limits.stream_idle_ms, limits.stream_stop_grace_ms) = (idle_ms, grace_ms);
        }));
        let mut all = store.overdue_streams().await.unwrap();
        all.retain(|overdue| overdue.user == lee);
        all.into_iter()
            .map(|overdue| {
                (overdue.message_uuid.as_str().to_owned(), overdue.attempt, overdue.status)
            })
            .collect::<Vec<_>>()
    };
    let hour = 3_600_000;
    assert_eq!(overdue(hour, hour).await, []);
    assert_eq!(overdue(0, hour).await, [("a1".to_owned(), ONE, StreamStatus::Interrupted)]);
    assert_eq!(overdue(hour, 0).await, [("a2".to_owned(), ONE, StreamStatus::Stopped)]);
    finish(store, "lee", "a1", StreamStatus::Interrupted).await;
    finish(store, "lee", "a2", StreamStatus::Stopped).await;
    assert_eq!(overdue(0, 0).await, []);
    store.work_by(&Limits::default());
}
