//! Case 6: text is UTF-8, and what is none fails at its first byte.

use crate::{
    CONTINUATION, Every, FIN, Fails, Frame, Not, Ours, Said, Suite, TEXT, frame, peer::Peer, text,
};

const VALID: &[u8] = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes();
/// Of two and three bytes each: its accent is of another block.
const GREEK: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
/// A text with half of a pair of UTF-16 in its middle.
const SURROGATE: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";

/// Every octet in a frame of its own.
fn in_octets(payload: &[u8]) -> Vec<Frame> {
    let last = payload.len() - 1;
    let first = |n| if n == 0 { TEXT } else { CONTINUATION } | if n == last { FIN } else { 0 };
    payload.iter().enumerate().map(|(n, byte)| frame(first(n), [*byte])).collect()
}

#[test]
fn case_6_1_to_6_3_whole_and_in_fragments() {
    let suite = Suite::start();
    let echoes = |number: &str, frames: &[Frame], payload: &[u8]| {
        suite.echoes(number, Not, frames, &[Said::Text(payload.to_vec())]);
    };
    echoes("6.1.1", &[text("")], b"");
    let end = frame(FIN, "");
    echoes("6.1.2", &[frame(TEXT, ""), frame(0, ""), end.clone()], b"");
    echoes("6.1.3", &[frame(TEXT, ""), frame(0, "middle"), end], b"middle");
    echoes("6.2.1", &[text(VALID)], VALID);
    echoes("6.2.2", &[frame(TEXT, &VALID[..12]), frame(FIN, &VALID[12..])], VALID);
    echoes("6.2.3", &in_octets(VALID), VALID);
    echoes("6.2.4", &in_octets(GREEK), GREEK);
    suite.case("6.3.1", Not, &[text(SURROGATE)], &[], Fails(1007));
    suite.case("6.3.2", Not, &in_octets(SURROGATE), &[], Fails(1007));
}

#[test]
fn case_6_4_what_can_become_no_text_fails_before_its_end() {
    let suite = Suite::start();
    // Beyond U+10FFFF: no good from the fourth byte on, and known at the second.
    let text = [GREEK, b"\xf4\x90\x80\x80", b"edited"].concat();
    for (number, begin, bad) in [("6.4.1", 11, 4), ("6.4.2", 12, 1)] {
        let mut peer = Peer::connect(&suite.0, number);
        peer.write(&frame(TEXT, &text[..begin]), Not);
        peer.write(&frame(CONTINUATION, &text[begin..begin + bad]), Not);
        peer.flush();
        // The rest is never sent.
        peer.ends(Fails(1007));
    }
    for (number, end) in [("6.4.3", 15), ("6.4.4", 13)] {
        let mut peer = Peer::connect(&suite.0, number);
        peer.write_begin(&frame(FIN | TEXT, &text), text.len() - end);
        peer.ends(Fails(1007));
    }
}

/// Each group of the suite, from 6.5 on: what is text, and what is not.
fn sequences() -> Vec<Vec<(bool, Vec<u8>)>> {
    let all = |is_text: bool, texts: &[&[u8]]| -> Vec<(bool, Vec<u8>)> {
        texts.iter().map(|text| (is_text, text.to_vec())).collect()
    };
    let hello = ["hello$world", "hello¢world", "hello€world", "hello𤭢world"];
    let prefixes = (1..=GREEK.len())
        .map(|end| (std::str::from_utf8(&GREEK[..end]).is_ok(), GREEK[..end].to_vec()));
    let spaced = |from: u8, to: u8| (from..to).flat_map(|byte| [byte, b' ']).collect::<Vec<u8>>();
    let lonely = [(0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7), (0xf8, 0xfb), (0xfc, 0xfd)];
    let unfinished: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    let continued: Vec<u8> = (0x80..0xbf).collect();
    let mut unexpected: Vec<(bool, Vec<u8>)> =
        [b"\x80".to_vec(), b"\xbf".to_vec()].into_iter().map(|text| (false, text)).collect();
    unexpected
        .extend((2..=6).map(|n| (false, b"\x80\xbf".iter().copied().cycle().take(n).collect())));
    unexpected.push((false, continued));
    let pairs = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"];
    let pairs = pairs.iter().flat_map(|high| {
        [b"\xed\xb0\x80", b"\xed\xbf\xbf"].map(|low| (false, [&high[..], low].concat()))
    });
    // U+FFFE and U+FFFF of each plane.
    let no_characters = (0..=0x10_u32).flat_map(|plane| {
        [0xfffe, 0xffff].map(|last| char::from_u32(plane << 16 | last).unwrap().to_string())
    });
    let specials = (0xfff9..=0xffff_u32).map(|code| char::from_u32(code).unwrap().to_string());
    let texts = |texts: &mut dyn Iterator<Item = String>| -> Vec<(bool, Vec<u8>)> {
        texts.map(|text| (true, text.into_bytes())).collect()
    };
    vec![
        [texts(&mut hello.into_iter().map(str::to_owned)), all(true, &[GREEK])].concat(),
        prefixes.collect(),
        all(true, &[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
        all(false, &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
        all(true, &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
        all(false, &[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
        [
            all(true, &[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"]),
            all(false, &[b"\xf4\x90\x80\x80"]),
        ]
        .concat(),
        unexpected,
        lonely.map(|(from, to)| (false, spaced(from, to))).to_vec(),
        all(false, &unfinished),
        vec![(false, unfinished.concat())],
        all(false, &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
        overlong(b"\xc0\xaf", 0xaf),
        all(
            false,
            &[
                b"\xc1\xbf",
                b"\xe0\x9f\xbf",
                b"\xf0\x8f\xbf\xbf",
                b"\xf8\x87\xbf\xbf\xbf",
                b"\xfc\x83\xbf\xbf\xbf\xbf",
            ],
        ),
        overlong(b"\xc0\x80", 0x80),
        all(
            false,
            &[
                b"\xed\xa0\x80",
                b"\xed\xad\xbf",
                b"\xed\xae\x80",
                b"\xed\xaf\xbf",
                b"\xed\xb0\x80",
                b"\xed\xbe\x80",
                b"\xed\xbf\xbf",
            ],
        ),
        pairs.collect(),
        texts(&mut no_characters.into_iter()),
        texts(&mut specials.into_iter()),
    ]
}

/// One character in two to six bytes, of which one would do.
fn overlong(in_two: &[u8], last: u8) -> Vec<(bool, Vec<u8>)> {
    let longer = [0xe0, 0xf0, 0xf8, 0xfc].into_iter().zip(1..);
    let longer = longer.map(|(first, zeros)| [vec![first], vec![0x80; zeros], vec![last]].concat());
    std::iter::once(in_two.to_vec()).chain(longer).map(|text| (false, text)).collect()
}

#[test]
fn case_6_5_to_6_23_what_is_text_and_what_is_not() {
    let suite = Suite::start();
    let groups = sequences();
    let counts: Vec<usize> = groups.iter().map(Vec::len).collect();
    assert_eq!(counts, [5, 11, 4, 2, 4, 3, 5, 8, 5, 10, 1, 3, 5, 5, 5, 7, 8, 34, 7]);
    for (group, sequences) in (5..).zip(groups) {
        for (n, (is_text, bytes)) in (1..).zip(sequences) {
            let number = format!("6.{group}.{n}");
            for cut in [Not, Every(1)] {
                let (says, end) = if is_text {
                    (vec![Said::Text(bytes.clone())], Ours)
                } else {
                    (Vec::new(), Fails(1007))
                };
                suite.case(&number, cut, &[text(&bytes)], &says, end);
            }
        }
    }
}
