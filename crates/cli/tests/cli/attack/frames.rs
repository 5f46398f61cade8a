//! Frames that nobody may send.

use super::{
    bystander::{Bystander, Cost},
    raw::{Raw, Said, frame, header, text},
};
use crate::support::Server;

/// `message_bytes_max`.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

#[tokio::test]
async fn what_is_no_frame_of_a_client_ends_its_connection_and_no_other() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let text_is_good = text(r#"{"type":"ping"}"#);
    let mut cases: Vec<(Vec<u8>, u16)> = vec![
        // Not masked.
        ([&[0x81, 2][..], b"{}"].concat(), 1002),
        // Binary, by its header alone, and as the continuation of nothing.
        (header(0x82, 5), 1003),
        (frame(0x80, "{}"), 1002),
        ([frame(0x01, "{"), frame(0x81, "}")].concat(), 1002),
        // Control frames: in fragments, and longer than 125 bytes.
        (frame(0x09, ""), 1002),
        (frame(0x08, ""), 1002),
        (header(0x89, 126), 1002),
        (header(0x88, 126), 1002),
        // Closes.
        (frame(0x88, [3]), 1002),
        (frame(0x88, [3, 232, 0xff]), 1007),
        // Text that is none, long before its end, and in the middle of a message.
        ([header(0x81, 50_000), vec![0; 4], b"{\"a\":\"\xff".to_vec()].concat(), 1007),
        (
            [
                frame(0x01, r#"{"type":""#),
                frame(0x00, "\u{e4}"),
                frame(0x00, [0xc3]),
                frame(0x00, [0x28]),
            ]
            .concat(),
            1007,
        ),
        (frame(0x81, b"\xed\xa0\x80"), 1007),
        // A length that is longer than it has to be, or no length.
        ([0x81, 0xfe, 0, 5, 0, 0, 0, 0].to_vec(), 1002),
        ([&[0x81, 0xff][..], &u64::MAX.to_be_bytes()].concat(), 1002),
        // Too large, by the header alone; fragments add up.
        (header(0x81, MESSAGE_BYTES_MAX as u64 + 1), 1009),
        (header(0x81, i64::MAX as u64), 1009),
        (
            [frame(0x01, vec![b'x'; MESSAGE_BYTES_MAX]), frame(0x00, ""), header(0x00, 1)].concat(),
            1009,
        ),
    ];
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push((header(0x80 | opcode, 0), 1002));
    }
    for bits in 1..8 {
        cases.push((header(0x81 | bits << 4, 0), 1002));
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        cases.push((frame(0x88, code.to_be_bytes()), 1002));
    }
    let token = server.token("eve");
    let attack = async {
        for (bytes, expected) in &cases {
            let mut eve = Raw::connect(&server).await;
            eve.upgrade("eve", &token).await;
            // Up to there all is well. A header without its mask is complete for nobody but for whoever looks.
            let bytes = [&text_is_good, bytes, &[0; 4][..]].concat();
            eve.say(&bytes).await.unwrap();
            let Said::Frame(pong) = eve.next().await else { panic!("the pong comes first") };
            assert_eq!(pong["type"], "pong");
            let Said::Closed(code, reason) = eve.next().await else { panic!("{bytes:x?}") };
            assert_eq!(code, *expected, "{bytes:x?}");
            assert!(!reason.is_empty(), "it says why");
            eve.gone().await;
        }
    };
    bystander.beside(&Cost::NOTHING, attack).await;
}

#[tokio::test]
async fn what_is_no_message_is_an_error_and_the_seventeenth_closes() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let token = server.token("eve");
    let bomb = "[".repeat(MESSAGE_BYTES_MAX);
    let object = r#"{"a":"#.repeat(MESSAGE_BYTES_MAX / 5);
    let deep = format!(r#"{{"type":"t","a":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    let twice = r#"{"type":"t","a":1,"\u0061":2}"#;
    let attack = async {
        for (bad, code) in [
            (bomb.as_str(), "bad_frame"),
            (&object, "bad_frame"),
            (&deep, "bad_frame"),
            (twice, "bad_frame"),
            (r#"{"type":"t","type":"u"}"#, "bad_frame"),
            ("{}", "bad_frame"),
            (r#"{"type":7}"#, "bad_frame"),
            (r#"{"type":"t","seq":9}"#, "bad_frame"),
            (r#"{"type":"connection_established"}"#, "bad_frame"),
            (r#"{"type":"get_pending","after":-1}"#, "bad_frame"),
            (r#"{"type":"ack","seq":1e999}"#, "bad_frame"),
            ("", "bad_json"),
            ("null", "bad_json"),
            ("\u{0}", "bad_json"),
        ] {
            let mut eve = Raw::connect(&server).await;
            eve.upgrade("eve", &token).await;
            eve.say(text(bad).repeat(17)).await.unwrap();
            for _ in 0..16 {
                let said = eve.next().await;
                let Said::Frame(error) = said else { panic!("{bad:.40}: {said:?}") };
                let words = error.to_string();
                assert_eq!(
                    (&error["type"], &error["code"]),
                    (&"error".into(), &code.into()),
                    "{words}"
                );
                assert!(words.len() < 1_500, "it quotes a short piece: {words}");
            }
            assert_eq!(eve.closed().await, 1008, "{bad:.40}");
        }
    };
    bystander.beside(&Cost::NOTHING, attack).await;
}
