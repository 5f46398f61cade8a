use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::{
    PATIENT, answer,
    server::{End, Script},
};
use crate::{
    limits::PROVIDER_EVENT_BYTES_MAX,
    responder::provider::{Patience, ProviderError, reading::LEFT_OUT},
};

fn events(data: &[&str]) -> String {
    data.iter().flat_map(|data| ["data: ", data, "\n\n"]).collect()
}

const HELLO: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#;

async fn said(body: &str) -> (String, Result<(), ProviderError>) {
    answer(Script::new(body, End::Proper), PATIENT).await
}

/// A stream as servers send it or should not, and what becomes of it. `crates/cli/tests/cli/streaming.rs` runs the
/// example backends through the same table.
#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    events: Vec<String>,
    body: Option<String>,
    end: Option<String>,
    text: String,
    reason: Option<String>,
    failure: Option<String>,
}

impl Case {
    fn script(&self) -> Script {
        let told = || events(&self.events.iter().map(String::as_str).collect::<Vec<_>>());
        let huge = "x".repeat(PROVIDER_EVENT_BYTES_MAX + 1);
        let body = self.body.clone().unwrap_or_else(told).replace("{HELLO}", HELLO);
        let end = if self.end.is_some() { End::Reset } else { End::Proper };
        Script::new(body.replace("{HUGE}", &huge), end)
    }
}

#[tokio::test]
async fn every_stream_of_the_table_becomes_what_stands_there() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("streams.json")).unwrap();
    for case in cases {
        let (text, end) = answer(case.script(), PATIENT).await;
        assert_eq!(text.replace(LEFT_OUT, ""), case.text, "{}", case.name);
        // What was cut is told in the same place as what failed.
        let told = end.err().map(|error| error.into_failure().code);
        assert_eq!(told, case.failure.or(case.reason), "{}", case.name);
    }
}

#[tokio::test]
async fn whatever_reason_a_server_has_to_finish_it_has_finished() {
    for reason in ["stop", "eos", "", "eos_token", "Stop. Because."] {
        let last = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{reason}"}}]}}"#);
        assert_eq!(said(&events(&[HELLO, &last])).await, ("Hello".into(), Ok(())), "{reason:?}");
    }
    let done = said(&events(&[HELLO, "[DONE]"])).await;
    assert_eq!(done, ("Hello".into(), Ok(())), "no reason, but an end");
    let done = said(&format!("data: {HELLO}\n\ndata: [DONE]")).await;
    assert_eq!(done, ("Hello".into(), Ok(())), "no empty line behind the last one");
}

#[tokio::test]
async fn a_server_that_says_early_that_it_has_finished_is_heard_to_the_end() {
    // Reading stopped at the first reason: of servers that give one early, in every piece or before
    // they tell the usage, the rest was missing.
    let piece = |text: &str, reason: &str| {
        format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}},"finish_reason":{reason}}}]}}"#)
    };
    let usage = r#"{"choices":[],"usage":{"total_tokens":3}}"#;
    for reasons in [["\"stop\"", "null", "null"], ["\"stop\""; 3], ["null", "\"stop\"", "null"]] {
        let pieces =
            [piece("One", reasons[0]), piece(" two", reasons[1]), piece(" three", reasons[2])];
        let [one, two, three] = pieces.each_ref().map(String::as_str);
        let whole = said(&events(&[one, two, usage, three, "[DONE]"])).await;
        assert_eq!(whole, ("One two three".into(), Ok(())), "{reasons:?}");
    }
    let always = [piece("One", "\"stop\""), piece(" two", "\"stop\"")];
    let [one, two] = always.each_ref().map(String::as_str);
    let whole = answer(Script::new(events(&[one, two]), End::Proper), PATIENT).await;
    assert_eq!(whole, ("One two".into(), Ok(())), "the body ends in order");
    let cut = answer(Script::new(events(&[one, two]), End::Reset), PATIENT).await;
    assert_eq!(
        cut,
        ("One two".into(), Err(ProviderError::EndedEarly)),
        "reasons mean nothing here"
    );
    let whole = answer(Script::new(events(&[one]), End::Reset), PATIENT).await;
    assert_eq!(whole, ("One".into(), Ok(())), "only the end of the body is missing");
}

#[tokio::test]
async fn a_server_that_leaves_the_body_open_behind_its_answer_is_not_waited_for() {
    let last = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let impatient = Patience { stall: Duration::from_millis(50), ..PATIENT };
    let open = answer(Script::new(events(&[HELLO, last]), End::Silence), impatient).await;
    assert_eq!(open, ("Hello".into(), Ok(())));
}

#[tokio::test]
async fn an_error_inside_of_a_good_response_is_one() {
    for (error, expected) in [
        (r#"{"error":{"message":"boom","type":"server_error"}}"#, ProviderError::GaveUp),
        (r#"{"error":"model runner has unexpectedly stopped"}"#, ProviderError::GaveUp),
        (
            r#"{"error":{"code":"rate_limit_exceeded","message":"slow down"}}"#,
            ProviderError::RateLimited,
        ),
        (r#"{"error":{"type":"insufficient_quota","code":null}}"#, ProviderError::RateLimited),
        (r#"{"error":{"code":429,"message":"slow down"}}"#, ProviderError::RateLimited),
        (
            r#"{"error":{"code":"503"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
            ProviderError::Failed(503),
        ),
        (r#"{"error":{"code":"invalid_api_key"}}"#, ProviderError::Unauthorized),
        (r#"{"error":{"code":"context_length_exceeded"}}"#, ProviderError::ContextTooLong),
        (
            r#"{"error":{"code":400,"type":"exceed_context_size_error"}}"#,
            ProviderError::ContextTooLong,
        ),
        (r#"{"object":"error","message":"too long","code":400}"#, ProviderError::Refused(400)),
    ] {
        let inside = said(&events(&[HELLO, error])).await;
        assert_eq!(inside, ("Hello".into(), Err(expected.clone())), "{error}");
        let instead = said(error).await;
        assert_eq!(instead, (String::new(), Err(expected)), "as the whole body: {error}");
    }
}

#[test]
fn a_conversation_that_is_too_long_is_not_told_to_rephrase() {
    // All that was looked at of a refusal was its status.
    let too_long =
        br#"{"error":{"code":"context_length_exceeded","type":"invalid_request_error"}}"#;
    let refused = |body: &[u8]| ProviderError::of_refusal(StatusCode::BAD_REQUEST, "m", body);
    assert_eq!(refused(too_long), ProviderError::ContextTooLong);
    assert_eq!(refused(br#"{"error":{"message":"no"}}"#), ProviderError::Refused(400));
    assert_eq!(refused(b"<html>"), ProviderError::Refused(400));
}

#[tokio::test]
async fn an_answer_in_one_piece_is_one_too() {
    let whole = r#" {"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#;
    assert_eq!(said(whole).await, ("Hello".into(), Ok(())));
    assert_eq!(said(&events(&[whole])).await, ("Hello".into(), Ok(())), "as an event");
    let pieces_then_whole = said(&events(&[HELLO, whole])).await;
    assert_eq!(pieces_then_whole, ("Hello".into(), Ok(())), "nothing is said twice");
    let cut = said(&whole[..whole.len() - 5]).await;
    assert_eq!(cut, (String::new(), Err(ProviderError::EndedEarly)));
}

#[tokio::test]
async fn nonsense_is_said_to_be_nonsense() {
    for (body, text) in [
        ("<html>not json</html>".to_owned(), ""),
        ("null".to_owned(), ""),
        (r#"{"choices":[]}"#.to_owned(), ""),
        (r#"{"message":"?"}"#.to_owned(), ""),
        (events(&[HELLO, "oops"]), "Hello"),
        (events(&[HELLO, "7"]), "Hello"),
    ] {
        assert_eq!(said(&body).await, (text.into(), Err(ProviderError::Unreadable)), "{body}");
    }
    let blank = r#"{"choices":[{"delta":{"content":" \n"},"finish_reason":"stop"}]}"#;
    assert_eq!(said(&events(&[blank])).await, (" \n".into(), Err(ProviderError::Empty)));
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_and_what_it_said_is_kept() {
    let impatient = Patience { stall: Duration::from_millis(50), ..PATIENT };
    let silent = answer(Script::new(events(&[HELLO]), End::Silence), impatient).await;
    assert_eq!(silent, ("Hello".into(), Err(ProviderError::Stalled)));
    let perhaps = r#"{"choices":[{"delta":{},"finish_reason":""}]}"#;
    let whole = answer(Script::new(events(&[HELLO, perhaps]), End::Silence), impatient).await;
    assert_eq!(whole, ("Hello".into(), Ok(())), "it had nothing left to say");

    let impatient = Patience { first: Duration::from_millis(50), ..PATIENT };
    let mute = answer(Script::new("", End::Silence), impatient).await;
    assert_eq!(mute, (String::new(), Err(ProviderError::TimedOut)));
}

#[tokio::test]
async fn signs_of_life_are_no_answer_for_ever() {
    let impatient = Patience { whole: Duration::from_millis(200), ..PATIENT };
    let alive = answer(Script::new(events(&[HELLO]), End::KeepAlives), impatient).await;
    assert_eq!(alive, ("Hello".into(), Err(ProviderError::TimedOut)));
}

#[tokio::test]
async fn the_largest_event_fits_and_a_larger_one_is_refused() {
    fn event(bytes: usize) -> String {
        let frame = r#"{"choices":[{"delta":{"content":""},"finish_reason":"stop"}]}"#;
        let text = "x".repeat(bytes - frame.len());
        frame.replace(r#""content":"""#, &format!(r#""content":"{text}""#))
    }
    let (largest, larger) = (event(PROVIDER_EVENT_BYTES_MAX), event(PROVIDER_EVENT_BYTES_MAX + 1));
    assert_eq!(said(&largest).await.1, Ok(()));
    assert_eq!(said(&larger).await, (String::new(), Err(ProviderError::Unreadable)));
    assert_eq!(said(&events(&[&largest])).await.1, Ok(()));
    // A picture in the midst of an answer failed all of it.
    let (text, end) = said(&events(&[HELLO, &larger, HELLO, "[DONE]"])).await;
    assert_eq!(end, Ok(()));
    assert!(text.starts_with("Hello") && text.ends_with("Hello") && text.contains("left out"));
    let impatient = Patience { stall: Duration::from_millis(50), ..PATIENT };
    let endless = format!("data: {}", "x".repeat(PROVIDER_EVENT_BYTES_MAX + 1));
    let endless = answer(Script::new(endless, End::Silence), impatient).await;
    assert_eq!(endless.1, Err(ProviderError::Stalled));
}
