use proptest::{prelude::*, sample::Index};

use super::{RECORDED, SAID};
use crate::responder::provider::{ProviderError, Reading};

type Outcome = (String, Result<(), ProviderError>);

/// What a response says when its bytes come in these pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut reading = Reading::new();
    let mut text = String::new();
    for piece in pieces {
        let step = reading.take(piece);
        text.push_str(&step.text);
        if let Some(end) = step.end {
            return (text, end);
        }
    }
    let step = reading.finish();
    text.push_str(&step.text);
    (text, step.end.expect("after the end of the body there is nothing to wait for"))
}

#[test]
fn wherever_the_network_cuts_once_the_text_is_the_same() {
    for (name, recorded) in RECORDED {
        for body in
            [recorded.to_owned(), recorded.replace('\n', "\r\n"), recorded.replace('\n', "\r")]
        {
            for cut in 0..=body.len() {
                let (before, after) = body.as_bytes().split_at(cut);
                assert_eq!(read([before, after]), (SAID.into(), Ok(())), "{name}, cut at {cut}");
            }
        }
    }
}

#[test]
fn wherever_a_response_ends_too_early_its_text_is_a_beginning_of_the_answer() {
    for (name, recorded) in RECORDED {
        let said_it_all = recorded.find("\"stop\"").unwrap();
        for end in 0..said_it_all {
            let (text, outcome) = read([&recorded.as_bytes()[..end]]);
            assert!(SAID.starts_with(&text), "{name}, ended at {end}: {text}");
            assert!(outcome.is_err(), "{name}, ended at {end}");
        }
    }
}

/// Lines as servers send them, and as they do not.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let event = |json: &str| format!("data: {json}\n\n").into_bytes();
    prop_oneof![
        8 => "[a-zü👍 ]{0,6}".prop_map(move |text| {
            let content = serde_json::to_string(&text).unwrap();
            event(&format!(r#"{{"choices":[{{"delta":{{"content":{content}}}}}]}}"#))
        }),
        1 => Just(event(r#"{"choices":[{"delta":{"content":"\ud83d"}}]}"#)),
        1 => Just(event(r#"{"choices":[{"delta":{"content":"\udc4d"}}]}"#)),
        1 => Just(event(r#"{"choices":[{"delta":{},"finish_reason":""}]}"#)),
        1 => Just(event(r#"{"choices":[{"delta":{},"finish_reason":"eos"}]}"#)),
        1 => Just(event(r#"{"choices":[]}"#)),
        1 => Just(event(r#"{"error":{"message":"no"}}"#)),
        1 => Just(event("[DONE]")),
        1 => Just(b": ping\r\n".to_vec()),
        1 => Just(b"event: x\rretry: 5\r\n\r\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cutting_of_any_bytes_says_the_same(
        body in proptest::collection::vec(lines(), 0..12),
        cuts in proptest::collection::vec(any::<Index>(), 0..20),
    ) {
        let body = body.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]);
        prop_assert_eq!(read(pieces), read([body.as_slice()]));
        prop_assert_eq!(read(body.chunks(1)), read([body.as_slice()]));
    }
}
