use super::*;

#[tokio::test]
async fn what_goes_to_the_provider_is_bounded_and_ends_with_the_question() {
    let story = Story::with(&["ada"]).await;
    story.ask("ada", "q0", None).await;
    let long = "x".repeat(HISTORY_BYTES_MAX / 2);
    let mut claimed = story.claim().await.unwrap();
    for number in 1..4 {
        story.finish(claimed, &long).await;
        story.ask("ada", &format!("q{number}"), Some("q0")).await;
        claimed = story.claim().await.unwrap();
    }
    let bytes: usize = claimed.1.iter().map(|turn| turn.content.len()).sum();
    assert!(bytes <= HISTORY_BYTES_MAX, "{bytes}");
    assert_eq!(claimed.1.last().unwrap().content, "q3?");
}

#[tokio::test]
async fn an_answer_that_is_too_long_to_be_sent_back_can_still_go_on() {
    // "Go on exactly where you stopped" went to the provider, and nothing that it could go on from.
    let story = Story::with(&["ada"]).await;
    story.ask("ada", "q0", None).await;
    let claimed = story.claim().await.unwrap();
    story.finish(claimed, &format!("{} the end", "ü".repeat(HISTORY_BYTES_MAX))).await;
    story.ask("ada", "q1", Some("q0")).await;
    let (_, turns) = story.claim().await.unwrap();
    assert_eq!(turns.len(), 2);
    assert!(turns[0].content.ends_with(" the end"));
    let bytes: usize = turns.iter().map(|turn| turn.content.len()).sum();
    assert!((HISTORY_BYTES_MAX - 1..=HISTORY_BYTES_MAX).contains(&bytes), "{bytes}");
}
