//! The cases of the Autobahn test suite, by their numbers, against `tetherline-echo` and over raw TCP: all of the client's,
//! but for 9.9 and 12 and 13, which are about compression, and that is declined. `docs/security.md` says how to run the suite
//! itself.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod peer;
mod utf8;

use peer::{Echo, Peer, Said};

const CONTINUATION: u8 = 0x00;
const TEXT: u8 = 0x01;
const BINARY: u8 = 0x02;
const CLOSE: u8 = 0x08;
const PING: u8 = 0x09;
const PONG: u8 = 0x0a;
const FIN: u8 = 0x80;

const HELLO: &str = "Hello, world!";
const NOT_TEXT: &[u8] = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";

/// How what is sent is cut on its way.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Not,
    AfterEachFrame,
    Every(usize),
}

use Cut::{AfterEachFrame, Every, Not};

/// One frame of a client.
#[derive(Debug, Clone)]
struct Frame {
    first: u8,
    payload: Vec<u8>,
}

/// Of a message in several, or with what no client may send.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame { first, payload: payload.as_ref().to_vec() }
}

fn text(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | TEXT, payload)
}

fn ping(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | PING, payload)
}

fn close(code: u16, reason: &[u8]) -> Frame {
    frame(FIN | CLOSE, [&code.to_be_bytes()[..], reason].concat())
}

/// A message in two.
fn in_two() -> [Frame; 2] {
    [frame(TEXT, "fragment1"), frame(FIN | CONTINUATION, "fragment2")]
}

impl Frame {
    /// With the reserved bits that are set in this number.
    fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits << 4;
        self
    }
}

/// What comes back, with what it ends, and who ended it.
#[derive(Debug, Clone, Copy)]
enum End {
    /// We close with 1000, and get it back.
    Ours,
    /// What was sent closes, and this comes back.
    Answered(Option<u16>),
    /// The server does, with this code.
    Fails(u16),
}

use End::{Answered, Fails, Ours};

struct Suite(Echo);

impl Suite {
    fn start() -> Self {
        Self(Echo::start())
    }

    fn case(&self, number: &str, cut: Cut, frames: &[Frame], says: &[Said], end: End) {
        let mut peer = Peer::connect(&self.0, number);
        for frame in frames {
            peer.write(frame, cut);
        }
        peer.flush();
        for said in says {
            assert_eq!(peer.next(), *said, "{number}");
        }
        peer.ends(end);
    }

    /// What a client may say, and the close after it.
    fn echoes(&self, number: &str, cut: Cut, frames: &[Frame], says: &[Said]) {
        self.case(number, cut, frames, says, Ours);
    }
}

fn said(text: &str) -> Said {
    Said::Text(text.as_bytes().to_vec())
}

fn pong(payload: impl AsRef<[u8]>) -> Said {
    Said::Pong(payload.as_ref().to_vec())
}

#[test]
fn case_1_messages_of_each_length() {
    let suite = Suite::start();
    let lengths = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536];
    for (n, length) in (1..).zip(lengths) {
        let cut = if n == 8 { Every(997) } else { Not };
        let stars = vec![b'*'; length];
        suite.echoes(&format!("1.1.{n}"), cut, &[text(&stars)], &[Said::Text(stars)]);
        let bytes = vec![0xfe; length];
        let sent = frame(FIN | BINARY, &bytes);
        suite.echoes(&format!("1.2.{n}"), cut, &[sent], &[Said::Binary(bytes)]);
    }
}

#[test]
fn case_2_pings_and_pongs() {
    let suite = Suite::start();
    let longest = [0xfe; 125];
    suite.echoes("2.1", Not, &[ping("")], &[pong("")]);
    suite.echoes("2.2", Not, &[ping(HELLO)], &[pong(HELLO)]);
    suite.echoes("2.3", Not, &[ping(NOT_TEXT)], &[pong(NOT_TEXT)]);
    suite.echoes("2.4", Not, &[ping(longest)], &[pong(longest)]);
    suite.case("2.5", Not, &[ping([0xfe; 126])], &[], Fails(1002));
    suite.echoes("2.6", Every(1), &[ping(longest)], &[pong(longest)]);
    let unasked = frame(FIN | PONG, "unasked");
    suite.echoes("2.7", Not, &[frame(FIN | PONG, "")], &[]);
    suite.echoes("2.8", Not, std::slice::from_ref(&unasked), &[]);
    suite.echoes("2.9", Not, &[unasked, ping("asked")], &[pong("asked")]);
    let payloads: Vec<String> = (0..10).map(|n| format!("payload-{n}")).collect();
    let pings: Vec<Frame> = payloads.iter().map(ping).collect();
    let answers: Vec<Said> = payloads.iter().map(pong).collect();
    suite.echoes("2.10", Not, &pings, &answers);
    suite.echoes("2.11", Every(1), &pings, &answers);
}

#[test]
fn case_3_reserved_bits() {
    let suite = Suite::start();
    let then = |bits| [text(HELLO), text(HELLO).reserved(bits), ping("")];
    suite.case("3.1", Not, &[text(HELLO).reserved(1)], &[], Fails(1002));
    suite.case("3.2", Not, &then(2), &[said(HELLO)], Fails(1002));
    suite.case("3.3", AfterEachFrame, &then(3), &[said(HELLO)], Fails(1002));
    suite.case("3.4", Every(1), &then(4), &[said(HELLO)], Fails(1002));
    suite.case("3.5", Not, &[frame(FIN | BINARY, NOT_TEXT).reserved(5)], &[], Fails(1002));
    suite.case("3.6", Not, &[ping(HELLO).reserved(6)], &[], Fails(1002));
    suite.case("3.7", Not, &[frame(FIN | CLOSE, "").reserved(7)], &[], Fails(1002));
}

#[test]
fn case_4_reserved_opcodes() {
    let suite = Suite::start();
    for (group, first) in [("4.1", 3), ("4.2", 11)] {
        for n in 1..=5_u8 {
            let reserved = frame(FIN | (first + n - 1), if n % 2 == 0 { HELLO } else { "" });
            let number = format!("{group}.{n}");
            if n <= 2 {
                suite.case(&number, Not, &[reserved], &[], Fails(1002));
            } else {
                let cut = if n == 5 { Every(1) } else { Not };
                let frames = [text(HELLO), reserved, ping("")];
                suite.case(&number, cut, &frames, &[said(HELLO)], Fails(1002));
            }
        }
    }
}

#[test]
fn case_5_fragments() {
    let suite = Suite::start();
    let [begin, end] = in_two();
    let whole = "fragment1fragment2";
    suite.case("5.1", Not, &[frame(PING, "fragment1"), end.clone()], &[], Fails(1002));
    suite.case("5.2", Not, &[frame(PONG, "fragment1"), end.clone()], &[], Fails(1002));
    for (n, cut) in (3..).zip([Not, AfterEachFrame, Every(1)]) {
        suite.echoes(&format!("5.{n}"), cut, &in_two(), &[said(whole)]);
        let between = [begin.clone(), ping("between"), end.clone()];
        suite.echoes(&format!("5.{}", n + 3), cut, &between, &[pong("between"), said(whole)]);
        for (number, first) in [(n + 6, FIN | CONTINUATION), (n + 9, CONTINUATION)] {
            let of_nothing = [frame(first, "of nothing"), text(HELLO)];
            suite.case(&format!("5.{number}"), cut, &of_nothing, &[], Fails(1002));
        }
    }
    let another = [begin.clone(), end.clone(), frame(CONTINUATION, "fragment3"), text("fragment4")];
    suite.case("5.15", Not, &another, &[said(whole)], Fails(1002));
    for (number, first) in [("5.16", CONTINUATION), ("5.17", FIN | CONTINUATION)] {
        let once = [frame(first, "fragment1"), begin.clone(), end.clone()];
        suite.case(number, Not, &[once.clone(), once].concat(), &[], Fails(1002));
    }
    suite.case("5.18", Not, &[begin, text("fragment2")], &[], Fails(1002));
    for (number, cut) in [("5.19", Not), ("5.20", AfterEachFrame)] {
        let mut peer = Peer::connect(&suite.0, number);
        let parts = [(TEXT, "1"), (0, "2"), (FIN | PING, "a"), (0, "3"), (0, "4")];
        for (first, payload) in parts {
            peer.write(&frame(first, payload), cut);
        }
        peer.flush();
        // In the middle of a message.
        assert_eq!(peer.next(), pong("a"), "{number}");
        for frame in [ping("b"), frame(FIN, "5")] {
            peer.write(&frame, cut);
        }
        peer.flush();
        assert_eq!((peer.next(), peer.next()), (pong("b"), said("12345")), "{number}");
        peer.ends(Ours);
    }
}

#[test]
fn case_7_closes() {
    let suite = Suite::start();
    let normal = close(1000, b"");
    let fails = |number: &str, frames: &[Frame]| suite.case(number, Not, frames, &[], Fails(1002));
    let closes = |number: &str, frames: &[Frame], code| {
        suite.case(number, Not, frames, &[], Answered(code));
    };
    suite.echoes("7.1.1", Not, &[text(HELLO)], &[said(HELLO)]);
    closes("7.1.2", &[normal.clone(), frame(FIN | CLOSE, "")], Some(1000));
    closes("7.1.3", &[normal.clone(), ping("")], Some(1000));
    closes("7.1.4", &[normal.clone(), text(HELLO)], Some(1000));
    let [begin, end] = in_two();
    closes("7.1.5", &[begin, normal.clone(), end], Some(1000));
    let large = "BAsd7&jh23".repeat(26_215);
    let then = [text(&large), text(HELLO), normal, ping("")];
    suite.case("7.1.6", Not, &then, &[said(&large), said(HELLO)], Answered(Some(1000)));

    closes("7.3.1", &[frame(FIN | CLOSE, "")], None);
    fails("7.3.2", &[frame(FIN | CLOSE, "a")]);
    closes("7.3.3", &[close(1000, b"")], Some(1000));
    closes("7.3.4", &[close(1000, HELLO.as_bytes())], Some(1000));
    closes("7.3.5", &[close(1000, &[b'*'; 123])], Some(1000));
    fails("7.3.6", &[close(1000, &[b'*'; 124])]);
    let surrogate = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    suite.case("7.5.1", Not, &[close(1000, surrogate)], &[], Fails(1007));

    let valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    for (n, code) in (1..).zip(valid) {
        closes(&format!("7.7.{n}"), &[close(code, b"")], Some(code));
    }
    let invalid = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    for (n, code) in (1..).zip(invalid) {
        fails(&format!("7.9.{n}"), &[close(code, b"")]);
    }
    // Anything goes with the suite.
    for (number, code) in [("7.13.1", 5000), ("7.13.2", 65_535)] {
        fails(number, &[close(code, b"")]);
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Text and binary, which the suite numbers in turns.
fn both(groups: [&str; 2], n: usize, length: usize) -> [(String, u8, Vec<u8>, Said); 2] {
    let (text, bytes) = (vec![b'*'; length], vec![0xfe; length]);
    [
        (format!("{}.{n}", groups[0]), TEXT, text.clone(), Said::Text(text)),
        (format!("{}.{n}", groups[1]), BINARY, bytes.clone(), Said::Binary(bytes)),
    ]
}

#[test]
fn case_9_1_and_9_2_large_messages() {
    let suite = Suite::start();
    for (n, length) in (1..).zip([64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB]) {
        for (number, opcode, payload, said) in both(["9.1", "9.2"], n, length) {
            suite.echoes(&number, Not, &[frame(FIN | opcode, payload)], &[said]);
        }
    }
    // And one more byte.
    suite.case("9.1", Not, &[text(vec![b'*'; 16 * MIB + 1])], &[], Fails(1009));
}

#[test]
fn case_9_3_to_9_6_large_messages_in_pieces() {
    let suite = Suite::start();
    let in_fragments = |opcode: u8, payload: &[u8], size: usize| -> Vec<Frame> {
        let last = payload.chunks(size).count() - 1;
        let first =
            |n| if n == 0 { opcode } else { CONTINUATION } | if n == last { FIN } else { 0 };
        payload.chunks(size).enumerate().map(|(n, part)| frame(first(n), part)).collect()
    };
    for (n, size) in (1..).zip([64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB])
    {
        for (number, opcode, payload, said) in both(["9.3", "9.4"], n, 4 * MIB) {
            suite.echoes(&number, Not, &in_fragments(opcode, &payload, size), &[said]);
        }
    }
    for (n, size) in (1..).zip([64, 128, 256, 512, 1024, 2048]) {
        for (number, opcode, payload, said) in both(["9.5", "9.6"], n, MIB) {
            suite.echoes(&number, Every(size), &[frame(FIN | opcode, payload)], &[said]);
        }
    }
    let (_, _, payload, said) = both(["10.1", ""], 1, 65_536).into_iter().next().unwrap();
    suite.echoes("10.1.1", Not, &in_fragments(TEXT, &payload, 1300), &[said]);
}

#[test]
fn case_9_7_and_9_8_a_thousand_messages() {
    let suite = Suite::start();
    for (n, length) in (1..).zip([0, 16, 64, 256, 1024, 4096]) {
        for (number, opcode, payload, said) in both(["9.7", "9.8"], n, length) {
            let mut peer = Peer::connect(&suite.0, &number);
            let message = frame(FIN | opcode, payload);
            for _ in 0..1000 {
                peer.write(&message, Not);
                peer.flush();
                assert_eq!(peer.next(), said, "{number}");
            }
            peer.ends(Ours);
        }
    }
}
