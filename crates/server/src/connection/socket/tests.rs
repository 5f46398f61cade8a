//! The codec byte by byte, and a socket over a pipe.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::{future::poll_fn, time::Duration};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::{frame::Opcode, *};
use crate::repeatable::repeatable;

const MESSAGE_BYTES_MAX: usize = 70_000;
const MASK: [u8; 4] = [7, 0, 255, 130];

/// A client's frame, masked, its length in the shortest form.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..65_536 => {
            bytes.push(0xfe);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0xff);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Everything that these bytes say, and what is wrong with them.
fn decoded<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Received>, Option<CloseCode>) {
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    let mut received = Vec::new();
    for mut chunk in chunks {
        while !chunk.is_empty() {
            match decoder.take(&mut chunk) {
                Ok(it) => received.extend(it),
                Err(code) => return (received, Some(code)),
            }
        }
    }
    (received, None)
}

fn broken(bytes: &[u8]) -> Option<CloseCode> {
    let (received, code) = decoded([bytes]);
    assert_eq!(received, []);
    code
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

#[test]
fn a_message_comes_whole_however_it_is_cut_and_control_frames_come_in_between() {
    let mut bytes = masked(0x01, "Grü".as_bytes());
    bytes.extend(masked(0x89, b"are you there"));
    bytes.extend(masked(0x00, "ße 👍".as_bytes()));
    bytes.extend(masked(0x8a, b"7"));
    bytes.extend(masked(0x80, b""));
    bytes.extend(masked(0x88, &[3, 232]));
    let expected = vec![
        Received::Ping("are you there".into()),
        Received::Pong("7".into()),
        text("Grüße 👍"),
        Received::Close(Some(1000)),
    ];
    for size in 1..bytes.len() {
        assert_eq!(decoded(bytes.chunks(size)), (expected.clone(), None), "{size} at a time");
    }
}

#[test]
fn lengths_are_read_at_the_edges_of_their_forms_and_in_the_shortest_only() {
    for length in [0, 125, 126, 65_535, 65_536, MESSAGE_BYTES_MAX] {
        let payload = "x".repeat(length);
        let bytes = masked(0x81, payload.as_bytes());
        assert_eq!(decoded([&bytes[..]]), (vec![text(&payload)], None), "{length}");
    }
    // A length in a longer form than needed was taken.
    assert_eq!(broken(&[0x81, 0xfe, 0, 125, 0, 0, 0, 0]), Some(CloseCode::ProtocolError));
    let in_eight = |length: u64| [&[0x81, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    assert_eq!(broken(&in_eight(65_535)), Some(CloseCode::ProtocolError));
    assert_eq!(broken(&in_eight(1 << 63)), Some(CloseCode::ProtocolError));
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header() {
    let in_eight = |length: usize| [&[0x81, 0xff][..], &length.to_be_bytes(), &MASK].concat();
    assert_eq!(broken(&in_eight(MESSAGE_BYTES_MAX)), None);
    assert_eq!(broken(&in_eight(MESSAGE_BYTES_MAX + 1)), Some(CloseCode::TooBig));
    // Fragments add up.
    let mut bytes = masked(0x01, &vec![b'x'; MESSAGE_BYTES_MAX - 5]);
    bytes.extend(masked(0x00, b"12345"));
    assert_eq!(broken(&bytes), None);
    bytes.extend(&masked(0x80, b"6")[..6]);
    assert_eq!(broken(&bytes), Some(CloseCode::TooBig));
}

#[test]
fn what_is_no_frame_of_a_client_is_a_breach() {
    let text_frame = masked(0x81, b"{}");
    for (bytes, code) in [
        (vec![0x81, 0x02, b'{', b'}'], CloseCode::ProtocolError),
        (masked(0xc1, b""), CloseCode::ProtocolError),
        (masked(0x83, b""), CloseCode::ProtocolError),
        (masked(0x80, b""), CloseCode::ProtocolError),
        ([masked(0x01, b"{"), text_frame].concat(), CloseCode::ProtocolError),
        (masked(0x09, b""), CloseCode::ProtocolError),
        (masked(0x89, &[0; 126]), CloseCode::ProtocolError),
        (masked(0x88, &[3]), CloseCode::ProtocolError),
        (masked(0x88, &1005_u16.to_be_bytes()), CloseCode::ProtocolError),
        (masked(0x88, &[3, 232, 0xff]), CloseCode::InvalidUtf8),
        (masked(0x82, b""), CloseCode::Unsupported),
        (masked(0x81, &[0xc3, 0x28]), CloseCode::InvalidUtf8),
        // It ends within a character.
        (masked(0x81, &[0xc3]), CloseCode::InvalidUtf8),
        // Long before its end.
        (masked(0x01, &[b'x', 0xff]), CloseCode::InvalidUtf8),
    ] {
        assert_eq!(broken(&bytes), Some(code), "{bytes:x?}");
    }
}

fn socket() -> (Socket, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(1_000);
    (Socket::new(Box::new(ours), &[], MESSAGE_BYTES_MAX), theirs)
}

async fn written(socket: &mut Socket) -> Written {
    poll_fn(|context| socket.poll_write(context)).await.unwrap()
}

#[tokio::test]
async fn every_length_of_a_frame_is_written_in_its_form_without_a_copy() {
    for length in [0, 125, 126, 65_535, 65_536, 300_000] {
        let (mut socket, mut theirs) = socket();
        socket.write(vec![Outgoing::Text("x".repeat(length).into()), Outgoing::Ping("7".into())]);
        let writing =
            tokio::spawn(async move { while written(&mut socket).await != Written::All {} });
        let mut header = vec![0; 2];
        theirs.read_exact(&mut header).await.unwrap();
        assert_eq!(header[0], 0x81);
        let mut more = vec![
            0;
            match header[1] {
                126 => 2,
                127 => 8,
                _ => 0,
            }
        ];
        theirs.read_exact(&mut more).await.unwrap();
        let announced = more.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        assert_eq!(if more.is_empty() { header[1].into() } else { announced }, length);
        assert_eq!(more.len(), [0, 2, 8][usize::from(length > 125) + usize::from(length > 65_535)]);
        let mut payload = vec![0; length];
        theirs.read_exact(&mut payload).await.unwrap();
        assert!(payload.iter().all(|byte| *byte == b'x'));
        let mut ping = [0; 3];
        theirs.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [0x89, 1, b'7']);
        writing.await.unwrap();
    }
}

#[tokio::test]
async fn what_a_peer_takes_is_seen_before_it_has_taken_all() {
    let (mut socket, mut theirs) = socket();
    socket.write(vec![Outgoing::Text("x".repeat(5_000).into())]);
    assert_eq!(written(&mut socket).await, Written::Some);
    let pending = poll_fn(|context| Poll::Ready(socket.poll_write(context).is_pending())).await;
    assert!(pending, "nothing is taken any more");
    theirs.read_exact(&mut [0; 10]).await.unwrap();
    assert_eq!(written(&mut socket).await, Written::Some);
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_behind_a_frame_that_is_half_written_and_then_cuts() {
    for is_read in [true, false] {
        let (mut socket, mut theirs) = socket();
        let batch = ["first", "second"].map(|it| Outgoing::Text(it.repeat(300).into()));
        socket.write(batch.to_vec());
        assert_eq!(written(&mut socket).await, Written::Some);
        let closing = tokio::spawn(async move {
            socket.close(Goodbye::Ours(CloseCode::Restart, "bye".into())).await;
        });
        if !is_read {
            closing.await.unwrap();
        }
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).await.unwrap();
        if is_read {
            assert_eq!(&bytes[4 + 5 * 300..], [0x88, 5, 3, 244, b'b', b'y', b'e']);
        } else {
            assert_eq!(bytes.len(), 1_000, "what the pipe had taken");
        }
    }
}

#[tokio::test]
async fn after_a_breach_our_side_is_closed_before_the_peer_has_stopped() {
    // The server lingered and kept its side open, so that a peer that waited for the end waited, too.
    let (mut socket, mut theirs) = socket();
    let closing = tokio::spawn(async move {
        socket.close(Goodbye::Breach(CloseCode::ProtocolError, "".into())).await;
    });
    let mut bytes = Vec::new();
    theirs.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, [0x88, 2, 3, 234]);
    theirs.write_all(b"whatever").await.unwrap();
    drop(theirs);
    closing.await.unwrap();
}

#[tokio::test]
async fn a_close_is_answered_with_what_it_said() {
    let (mut socket, mut theirs) = socket();
    theirs.write_all(&masked(0x88, &[15, 160, b'!'])).await.unwrap();
    let read = poll_fn(|context| socket.poll_read(context)).await;
    let Read::Frame(Received::Close(code)) = read else { panic!("{read:?}") };
    socket.close(Goodbye::Answer(code)).await;
    let mut bytes = Vec::new();
    theirs.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, [0x88, 2, 15, 160]);
}

#[tokio::test]
async fn frames_that_came_together_are_handed_out_one_by_one() {
    let (ours, mut theirs) = tokio::io::duplex(1_000);
    let ahead = masked(0x81, b"1");
    let mut socket = Socket::new(Box::new(ours), &ahead, MESSAGE_BYTES_MAX);
    let mut rest = [masked(0x81, b"2"), masked(0x81, b"3")].concat();
    rest.pop();
    theirs.write_all(&rest).await.unwrap();
    drop(theirs);
    let mut said = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_secs(20), poll_fn(|it| socket.poll_read(it)))
            .await
        {
            Ok(Read::Frame(Received::Text(text))) => said.push(text),
            Ok(Read::Some) => said.push("some".into()),
            other => break assert!(matches!(other, Ok(Read::Gone)), "{other:?}"),
        }
    }
    assert_eq!(said, ["1", "2", "some"]);
}

/// A message in fragments, with pings in between.
fn message() -> impl Strategy<Value = (Vec<u8>, Vec<Received>)> {
    let part = (".{0,200}", proptest::option::weighted(0.2, ".{0,30}"));
    proptest::collection::vec(part, 1..5).prop_map(|parts| {
        let (mut bytes, mut expected, mut whole) = (Vec::new(), Vec::new(), String::new());
        for (index, (part, ping)) in parts.iter().enumerate() {
            if let Some(ping) = ping {
                bytes.extend(masked(0x89, ping.as_bytes()));
                expected.push(Received::Ping(ping.clone().into()));
            }
            let last = if index + 1 == parts.len() { 0x80 } else { 0 };
            let opcode = if index == 0 { Opcode::Text } else { Opcode::Continuation };
            bytes.extend(masked(last | opcode as u8, part.as_bytes()));
            whole.push_str(part);
        }
        expected.push(Received::Text(whole));
        (bytes, expected)
    })
}

proptest! {
    #![proptest_config(repeatable())]

    #[test]
    fn what_is_said_does_not_depend_on_how_it_is_cut(
        messages in proptest::collection::vec(message(), 0..6),
        cuts in proptest::collection::vec(1..300_usize, 1..50),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let expected: Vec<_> = messages.into_iter().flat_map(|(_, expected)| expected).collect();
        let mut rest = &bytes[..];
        let mut chunks = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (chunk, after) = rest.split_at(rest.len().min(*cut));
            chunks.push(chunk);
            rest = after;
        }
        prop_assert_eq!(decoded(chunks), (expected, None));
    }

    #[test]
    fn whatever_comes_it_is_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        decoded([&bytes[..]]);
    }
}
