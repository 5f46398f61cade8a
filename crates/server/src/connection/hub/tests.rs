use tokio::time::Instant;

use super::*;

fn delivery(seq: u64) -> Delivery {
    Delivery { seq: Seq::new(seq).unwrap(), text: format!("{{{seq}}}").into() }
}

fn hub(limits: impl FnOnce(&mut Limits)) -> Arc<Hub> {
    let mut all = Limits::default();
    limits(&mut all);
    Arc::new(Hub::new(&all))
}

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

const ROOM: Room = Room { messages: 10, bytes: 1_000 };

#[test]
fn connections_are_counted_per_user_and_per_server_at_the_edge() {
    let hub = hub(|limits| {
        limits.connections_per_user_max = 2;
        limits.connections_max = 3;
    });
    let first = hub.join(&user("ada"), None).ok().unwrap();
    let _second = hub.join(&user("ada"), None).ok().unwrap();
    assert_eq!(hub.join(&user("ada"), None).err(), Some(Refused::User));
    let _third = hub.join(&user("bob"), None).ok().unwrap();
    assert_eq!(hub.join(&user("eve"), None).err(), Some(Refused::Server));
    assert_eq!(hub.admits(&user("ada")), Err(Refused::User));
    drop(first);
    assert_eq!(hub.admits(&user("ada")), Ok(()));
}

#[test]
fn the_tail_serves_who_keeps_up_and_forgets_what_everybody_has() {
    let hub = hub(|_| {});
    let mut fast = hub.join(&user("ada"), None).ok().unwrap();
    let slow = hub.join(&user("ada"), None).ok().unwrap();
    for seq in 5..=7 {
        hub.appended(&user("ada"), Seq::new(seq).unwrap(), None, || Some(delivery(seq)));
    }
    assert_eq!(fast.news().unwrap().head.get(), 7);
    let after = |seq| Seq::new(seq).unwrap();
    assert_eq!(fast.read(after(3), ROOM), None, "4 is only in the store");
    assert_eq!(fast.read(after(4), ROOM).unwrap().len(), 3);
    assert_eq!(slow.read(after(6), ROOM).unwrap(), [delivery(7)]);
    assert_eq!(slow.read(after(4), ROOM), None, "everybody has had 7");
}

#[test]
fn a_message_told_without_its_text_leaves_no_hole_in_the_tail() {
    let hub = hub(|_| {});
    let membership = hub.join(&user("ada"), None).ok().unwrap();
    for seq in 1..=4 {
        hub.appended(&user("ada"), Seq::new(seq).unwrap(), None, || {
            (seq != 2).then(|| delivery(seq))
        });
    }
    assert_eq!(membership.read(Seq::ZERO, ROOM), None);
    assert_eq!(membership.read(Seq::new(2).unwrap(), ROOM).unwrap(), [delivery(3), delivery(4)]);
}

#[test]
fn signing_out_tells_only_that_sign_in() {
    let hub = hub(|_| {});
    let mut here = hub.join(&user("ada"), Some("s1".into())).ok().unwrap();
    let mut there = hub.join(&user("ada"), Some("s2".into())).ok().unwrap();
    hub.sign_out(&user("ada"), Some("s1"));
    assert_eq!(here.news().map(|news| news.notice), Some(Notice::SignedOut));
    assert_eq!(there.news(), None);
    hub.sign_out(&user("ada"), None);
    assert_eq!(there.news().map(|news| news.notice), Some(Notice::SignedOut));
}

#[tokio::test(start_paused = true)]
async fn one_by_one_everybody_is_told_at_a_moment_of_their_own_and_served_until_then() {
    // All were told in the same moment, and came back in the same moment.
    let hub = hub(|_| {});
    let join = |number: u32| hub.join(&user(&format!("u{number}")), None).ok().unwrap();
    let mut open: Vec<Membership> = (0..500).map(join).collect();
    let window = Duration::from_secs(30);
    let drain = tokio::spawn({
        let hub = hub.clone();
        async move { hub.drain(Drain::OneByOne, window).await }
    });
    let told = |member: &mut Membership| match member.news().map(|news| news.notice) {
        Some(Notice::Drain { retry_after_ms }) => Some(retry_after_ms),
        _ => None,
    };
    // At 100 a second they are gone after five.
    for second in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = open.len();
        open.retain_mut(|member| {
            told(member).is_none_or(|ms| {
                assert_eq!(ms, 0, "somebody else takes them in");
                false
            })
        });
        let left = before - open.len();
        assert!((98..=102).contains(&left), "{left} left in second {second}");
        if let Some(stays) = open.last_mut() {
            hub.say(&stays.user.clone(), || "{}".into());
            assert!(stays.news().is_some_and(|news| news.has_live));
        }
        assert_eq!(
            hub.admits(&user("late")),
            Err(Refused::Draining { retry_after: DRAIN_RETURN_MIN })
        );
    }
    drain.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_over_when_the_last_has_left() {
    let hub = hub(|_| {});
    let join = |number: u32| hub.join(&user(&format!("u{number}")), None).ok().unwrap();
    let members: Vec<Membership> = (0..500).map(join).collect();
    let began = Instant::now();
    let leaving = async { drop(members) };
    tokio::join!(hub.drain(Drain::OneByOne, Duration::from_secs(30)), leaving);
    hub.emptied().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
