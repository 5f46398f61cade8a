//! What is written is read back as what it was, and whatever else is read is refused in peace.
//!
//! The seed is fixed, so that a run can be repeated; ARCHITECTURE.md says how to look further.

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, RngSeed},
};
use serde_json::{Map, Value, json, value::RawValue};
use tetherline_protocol::{
    Attempt, DeviceId, Epoch, IdempotencyKey, Limits, MessageId, Seq, StreamStatus, UserId,
    frame::{
        Accepted, AfterId, ClientFrame, ConnectionEstablished, ErrorFrame, MailboxGap, Message,
        MessageDelta, MessageLost, PendingSummary, Pong, PositionChecked, SendAnswer, ServerFrame,
        StreamEnding, StreamOpening, id_in,
    },
    limits, message_type, utf16,
};

fn config() -> Config {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    // What the environment says goes first.
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

/// A percent-encoded text, decoded once.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

const ID: &str = "[A-Za-z0-9_.~-]{1,128}";

fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![0..100_u64, 0..=Seq::MAX.get()]
        .prop_map(|number| Seq::new(number).expect("in bounds"))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// An application's own fields: any names but those of the header.
fn fields() -> impl Strategy<Value = Map<String, Value>> {
    let is_own = |name: &String| !["type", "id", "seq", "ref", "timestamp"].contains(&&**name);
    let name = any::<String>().prop_filter("the header's", is_own);
    proptest::collection::btree_map(name, value(), 0..6)
        .prop_map(|fields| fields.into_iter().collect())
}

/// Text that looks like a frame, up to a point.
fn frame_like() -> impl Strategy<Value = String> {
    let names = ["type", "id", "ref", "seq", "timestamp", "after", "epoch", "token", "data", "x"];
    let kinds = [message_type::SERVER_CONTROL.as_slice(), &message_type::CLIENT_CONTROL, &["t"]];
    let kind = select(kinds.concat()).prop_map(|kind| json!(kind).to_string());
    let name = select(names.to_vec()).prop_map(|name| json!(name).to_string());
    let field = (name, prop_oneof![kind, value().prop_map(|value| value.to_string())])
        .prop_map(|(name, value)| format!("{name}:{value}"));
    (proptest::collection::vec(field, 0..6), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(fields, cut, is_cut)| {
            let mut text = format!("{{{}}}", fields.join(","));
            if is_cut {
                let ends: Vec<usize> = text.char_indices().map(|(end, _)| end).collect();
                text.truncate(ends[cut.index(ends.len())]);
            }
            text
        },
    )
}

fn established() -> impl Strategy<Value = ConnectionEstablished> {
    (ID, ID, ID, seq(), seq(), any::<u64>(), any::<String>()).prop_map(
        |(connection, user, epoch, head, cursor, number, timestamp)| ConnectionEstablished {
            connection_id: connection.parse().expect("an id"),
            user_uuid: user.parse().expect("an id"),
            protocol: 1,
            epoch: epoch.parse().expect("an id"),
            head,
            head_id: number.is_multiple_of(2).then(|| connection.parse().expect("an id")),
            cursor,
            cursor_id: number.is_multiple_of(3).then(|| user.parse().expect("an id")),
            checks_positions: number.is_multiple_of(5),
            heartbeat_interval_ms: number,
            token_expires_in_ms: number / 2,
            limits: Limits::default(),
            timestamp: timestamp.into(),
        },
    )
}

fn control() -> impl Strategy<Value = ServerFrame> {
    let summary = (any::<u64>(), seq(), any::<bool>(), any::<u64>()).prop_map(
        |(delivered, head, recovered, streams)| {
            let summary = PendingSummary { delivered, head, recovered, streams };
            ServerFrame::PendingCheckComplete(summary)
        },
    );
    let pong = (proptest::option::of(value()), any::<String>()).prop_map(|(echo, server_time)| {
        let timestamp = echo.map(|echo| RawValue::from_string(echo.to_string()).expect("JSON"));
        // `null` is how no timestamp is written.
        let timestamp = timestamp.filter(|echo| echo.get() != "null");
        ServerFrame::Pong(Pong { timestamp, server_time: server_time.into() })
    });
    let error = (
        any::<String>(),
        any::<String>(),
        proptest::option::of(ID),
        any::<bool>(),
        proptest::option::of(any::<u64>()),
    )
        .prop_map(|(code, message, reference, retryable, retry_after_ms)| {
            ServerFrame::Error(ErrorFrame {
                code: code.into(),
                message: message.into(),
                reference: reference.map(|id| id.parse().expect("an id")),
                retryable,
                retry_after_ms,
            })
        });
    let accepted = (ID, proptest::option::of(any::<String>())).prop_map(|(id, said)| {
        let answer = said.map(|said| SendAnswer::of(&said).expect("a short text"));
        ServerFrame::Accepted(Accepted { reference: id.parse().expect("an id"), answer })
    });
    let delta = (ID, 1..=u32::MAX, any::<u64>(), any::<String>()).prop_map(
        |(uuid, attempt, offset, text)| {
            let (message_uuid, text) = (uuid.parse().expect("an id"), text.into());
            let attempt = Attempt::new(attempt).expect("not 0");
            ServerFrame::MessageDelta(MessageDelta { message_uuid, attempt, offset, text })
        },
    );
    let established = established().prop_map(|e| ServerFrame::ConnectionEstablished(Box::new(e)));
    let name = || proptest::option::of(ID.prop_map(|id| id.parse().expect("an id")));
    let gap = (seq(), seq(), name()).prop_map(|(after, next, passed_id)| {
        ServerFrame::MailboxGap(MailboxGap { after, next, passed_id })
    });
    let checked = (seq(), name(), seq(), name()).prop_map(|(after, after_id, from, from_id)| {
        ServerFrame::PositionChecked(PositionChecked { after, after_id, from, from_id })
    });
    let lost = (ID, any::<u64>(), any::<u32>()).prop_map(|(uuid, offset, hash)| {
        let (message_uuid, attempt) = (uuid.parse().expect("an id"), Attempt::FIRST);
        ServerFrame::MessageLost(MessageLost { message_uuid, attempt, offset, hash })
    });
    prop_oneof![established, summary, pong, accepted, delta, error, gap, checked, lost]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_control_frame_survives_the_way_there_and_back(frame in control()) {
        let text = frame.to_text().expect("a control frame is written");
        let read = ServerFrame::parse(&text);
        prop_assert!(read.is_ok(), "{text} is refused: {read:?}");
        let read = read.unwrap();
        prop_assert_eq!(std::mem::discriminant(&read), std::mem::discriminant(&frame));
        prop_assert_eq!(format!("{read:?}"), format!("{frame:?}"));
    }

    #[test]
    fn a_client_s_frame_is_read_as_what_was_written(
        after in proptest::option::of(seq()),
        after_id in proptest::option::of(ID),
        epoch in proptest::option::of(ID),
        position in seq(),
        token: String,
    ) {
        let mut text = json!({"type": "get_pending"});
        if let Some(after) = after {
            text["after"] = json!(after);
        }
        if let Some(after_id) = &after_id {
            text["after_id"] = json!(after_id);
        }
        if let Some(epoch) = &epoch {
            text["epoch"] = json!(epoch);
        }
        let epoch: Option<Epoch> = epoch.map(|epoch| epoch.parse().unwrap());
        let read = ClientFrame::parse(&text.to_string());
        let after_id =
            after_id.map_or(AfterId::Unsaid, |id| AfterId::Known(id.parse().unwrap()));
        prop_assert_eq!(read, Ok(ClientFrame::GetPending { after, after_id, epoch, have: None }));

        let ack = json!({"type": "ack", "seq": position}).to_string();
        prop_assert_eq!(ClientFrame::parse(&ack), Ok(ClientFrame::Ack { seq: position }));
        let renewal = json!({"type": "authenticate", "token": token}).to_string();
        let token = token.into();
        prop_assert_eq!(ClientFrame::parse(&renewal), Ok(ClientFrame::Authenticate { token }));
    }

    #[test]
    fn a_header_is_put_in_front_of_a_message_and_changes_nothing_behind_it(
        fields in fields(),
        kind in "[A-Za-z0-9_.:/-]{1,64}",
        own_id in proptest::option::of(ID),
        reference in proptest::option::of(ID),
        id in ID,
        position in proptest::option::of(seq()),
    ) {
        prop_assume!(!message_type::is_reserved(&kind));
        let mut object = fields.clone();
        object.insert("type".into(), json!(kind));
        for (name, id) in [("id", &own_id), ("ref", &reference)] {
            object.extend(id.as_ref().map(|id| (name.into(), json!(id))));
        }
        let message = Message::parse(&Value::Object(object).to_string()).unwrap();
        prop_assert_eq!(message.kind(), &kind);
        prop_assert_eq!(message.id().map(MessageId::as_str), own_id.as_deref());

        let frame = message.to_frame(&id.parse().unwrap(), position, "\"now\"");
        let Ok(ServerFrame::Application { kind: read, seq, id: name, .. }) = ServerFrame::parse(&frame)
        else { panic!("{frame}") };
        prop_assert_eq!((&*read, seq), (&*kind, position));
        prop_assert_eq!(name.as_ref().map(MessageId::as_str), Some(&*id));

        let mut whole: Map<String, Value> = serde_json::from_str(&frame).unwrap();
        prop_assert_eq!(whole.remove("ref"), reference.map(Value::from));
        for name in ["type", "id", "seq", "timestamp"] {
            whole.remove(name);
        }
        let behind: Value = serde_json::from_str(&message.to_object()).unwrap();
        prop_assert_eq!(&Value::Object(whole), &behind);
        // Floats are compared as they are read, not as they were made.
        let written: Value = serde_json::from_str(&Value::Object(fields).to_string()).unwrap();
        prop_assert_eq!(behind, written);
    }

    #[test]
    fn an_answer_becomes_a_message_with_all_that_was_said_at_both_ends(
        opened in fields(),
        ended in fields(),
        content: String,
        number in 1..=u32::MAX,
        status in select(StreamStatus::ALL.to_vec()),
    ) {
        let (uuid, attempt): (MessageId, _) = ("a1".parse().unwrap(), Attempt::new(number).unwrap());
        let opening = StreamOpening::parse(&Value::Object(opened.clone()).to_string());
        let mut ending = ended.clone();
        ending.insert("status".into(), json!(status));
        let ending = StreamEnding::parse(&Value::Object(ending).to_string());
        // Fields that are the server's are refused elsewhere, and so are too many.
        let (Ok(opening), Ok(ending)) = (opening, ending) else { return Ok(()) };
        let message = opening.message(&uuid, attempt, status, &content, &ending);
        let frame = message.to_frame(&uuid, Seq::new(1), "0");
        let read = ServerFrame::parse(&frame);
        let Ok(ServerFrame::Application { ends, .. }) = read else { panic!("{frame}: {read:?}") };
        prop_assert_eq!(ends, Some((uuid, attempt)));
        let whole: Value = serde_json::from_str(&frame).unwrap();
        prop_assert_eq!(&whole["message"]["content"], &json!(content));
        prop_assert_eq!(&whole["message"]["status"], &json!(status));
        let said: Map<String, Value> = opened.into_iter().chain(ended).collect();
        let said: Value = serde_json::from_str(&Value::Object(said).to_string()).unwrap();
        for (name, value) in said.as_object().unwrap() {
            prop_assert_eq!(&whole[name], value);
        }
    }

    #[test]
    fn units_are_counted_as_javascript_does_and_never_end_within_a_character(text: String) {
        let units: Vec<u16> = text.encode_utf16().collect();
        prop_assert_eq!(utf16::length(&text), units.len() as u64);
        for end in 0..=units.len() + 1 {
            let whole = units.get(..end).and_then(|part| String::from_utf16(part).ok());
            let index = utf16::byte_index(&text, end as u64);
            prop_assert_eq!(index.map(|index| text[..index].to_owned()), whole);
        }
    }

    #[test]
    fn an_id_is_exactly_what_its_pattern_says(text in prop_oneof![any::<String>(), ID.boxed()]) {
        let is_one = (1..=limits::ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
        prop_assert_eq!(text.parse::<DeviceId>().is_ok(), is_one);
        prop_assert_eq!(text.parse::<MessageId>().is_ok(), is_one);
        let is_key = (1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        prop_assert_eq!(text.parse::<IdempotencyKey>().is_ok(), is_key);
        let json = json!(text).to_string();
        let read: Result<MessageId, _> = serde_json::from_str(&json);
        prop_assert_eq!(read.is_ok(), is_one);
        if let Ok(message) = read {
            prop_assert_eq!(json!(message).to_string(), json);
        }
    }

    #[test]
    fn a_user_is_what_can_be_one_segment_of_a_path(text in prop_oneof![any::<String>(), ID.boxed()]) {
        let is_one = (1..=limits::USER_ID_BYTES_MAX).contains(&text.len())
            && !text.chars().any(|character| character.is_control() || "/\\".contains(character))
            && text != "." && text != "..";
        prop_assert_eq!(text.parse::<UserId>().is_ok(), is_one);
        let json = json!(text).to_string();
        let read: Result<UserId, _> = serde_json::from_str(&json);
        prop_assert_eq!(read.is_ok(), is_one);
        if let Ok(user) = read {
            prop_assert_eq!(json!(user).to_string(), json);
            let encoded = user.in_url().to_string();
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
            prop_assert!(encoded.bytes().all(is_plain));
            prop_assert_eq!(decoded(&encoded), text.into_bytes());
        }
    }

    #[test]
    fn a_position_counts_as_far_as_javascript_does(
        number in prop_oneof![any::<u64>(), Seq::MAX.get() - 2..Seq::MAX.get() + 3],
    ) {
        let fits = number <= Seq::MAX.get();
        prop_assert_eq!(Seq::new(number).is_some(), fits);
        prop_assert_eq!(serde_json::from_str::<Seq>(&number.to_string()).is_ok(), fits);
        if let Some(seq) = Seq::new(number) {
            prop_assert_eq!(seq.next().is_none(), seq == Seq::MAX);
            prop_assert_eq!(seq.next().map_or(1, |next| next.distance_from(seq)), 1);
            prop_assert_eq!(seq.previous().distance_from(seq), 0);
        }
    }

    #[test]
    fn reading_never_panics(
        text in prop_oneof![any::<String>(), frame_like(), value().prop_map(|v| v.to_string())],
    ) {
        let _ = (ServerFrame::parse(&text), id_in(&text));
        if let Ok(ClientFrame::Application(message)) = ClientFrame::parse(&text) {
            prop_assert_eq!(Message::parse(&text), Ok(message));
        }
    }
}
