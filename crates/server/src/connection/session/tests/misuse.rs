//! Clients that get it wrong, again and again.

use super::*;

#[test]
fn one_good_frame_makes_up_for_no_bad_one() {
    // One good frame forgave sixteen bad ones, for ever.
    let mut rig = rig(Wire::V1, 0, |_| {});
    let good = limits::GOOD_FRAMES_PER_BAD;
    let mut say = |text: &str, times: u32| {
        for _ in 0..times {
            rig.input(Input::Text(text));
            if rig.session.closed {
                return rig.close_code();
            }
            rig.written();
        }
        None
    };
    assert_eq!(say("none", limits::BAD_FRAMES_MAX), None);
    assert_eq!(say(r#"{"type":"ping"}"#, good), None);
    assert_eq!(say("none", 1), None);
    assert_eq!(say(r#"{"type":"ping"}"#, good - 1), None);
    assert_eq!(say("none", 1), Some(CloseCode::PolicyViolation));
}

#[test]
fn tokens_that_are_refused_again_and_again_end_the_connection() {
    // Forged ones were never the last.
    let mut rig = rig(Wire::V1, 0, |_| {});
    let mut offer = |verdict: Result<(), InvalidToken>| {
        rig.input(Input::Text(r#"{"type":"authenticate","token":"t"}"#));
        assert!(matches!(rig.output(), Some(Output::Verify(_))));
        let identity = Identity {
            user: "ada".parse().unwrap(),
            session: None,
            made_ms: None,
            expires_in: Duration::from_hours(1),
            may: May::EVERYTHING,
        };
        let is_refused = verdict.is_err();
        rig.input(Input::Verified(verdict.map(|()| identity)));
        if rig.session.closed {
            return rig.close_code();
        }
        if is_refused {
            rig.written();
        }
        None
    };
    for _ in 0..limits::TOKENS_REFUSED_MAX {
        assert_eq!(offer(Err(InvalidToken::Expired)), None);
        assert_eq!(offer(Err(InvalidToken::Undecided)), None);
    }
    assert_eq!(offer(Ok(())), None);
    assert_eq!(offer(Err(InvalidToken::Expired)), None);
    assert_eq!(offer(Err(InvalidToken::Expired)), Some(CloseCode::PolicyViolation));
}
