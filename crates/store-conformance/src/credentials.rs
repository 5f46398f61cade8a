//! Sign-ins that have ended although their tokens have not, and tickets.

use tetherline_server::{
    May,
    store::{SIGN_OUTS_PER_USER_MAX, SignOut, SignOutError, SignOuts, Ticket, TicketDigest},
};

use super::*;

const NOTHING: SignOuts = SignOuts { before_ms: None, session_ended: false };
const ENDED: SignOuts = SignOuts { before_ms: None, session_ended: true };

fn all_before(before_ms: i64) -> SignOuts {
    SignOuts { before_ms: Some(before_ms), ..NOTHING }
}

async fn end(store: &impl Store, name: &str, session: &str) -> Result<(), SignOutError> {
    store.sign_out(&user(name), SignOut::Session(session.into())).await
}

async fn found(store: &impl Store, name: &str, session: Option<&str>) -> SignOuts {
    store.sign_outs(&user(name), session).await.unwrap()
}

/// One user's, one session's, and after the user was erased, too.
pub(crate) async fn sign_outs_are_remembered(store: &impl Store) {
    assert_eq!(found(store, "ann", Some("s1")).await, NOTHING);
    end(store, "ann", "s1").await.unwrap();
    assert_eq!(found(store, "ann", Some("s1")).await, ENDED);
    assert_eq!(found(store, "ann", Some("s2")).await, NOTHING, "another session");
    assert_eq!(found(store, "ann", None).await, NOTHING, "no session");
    assert_eq!(found(store, "bob", Some("s1")).await, NOTHING, "another's session of that name");

    // Its tokens would count again, by the clock of an issuer that is early.
    store.sign_out(&user("ann"), SignOut::Before(1_000)).await.unwrap();
    let ended_before = SignOuts { session_ended: true, ..all_before(1_000) };
    assert_eq!(found(store, "ann", Some("s1")).await, ended_before, "a session stays ended");
    assert_eq!(found(store, "ann", Some("s2")).await, all_before(1_000));
    store.sign_out(&user("ann"), SignOut::Before(2_000)).await.unwrap();
    end(store, "ann", "").await.unwrap();
    assert_eq!(found(store, "ann", None).await, all_before(2_000));
    let both = SignOuts { session_ended: true, ..all_before(2_000) };
    assert_eq!(found(store, "ann", Some("")).await, both, "a session may have an empty name");
    assert_eq!(found(store, "ann", Some("s1")).await, both);
    assert_eq!(found(store, "ann", Some("s2")).await, all_before(2_000));

    // The tokens of who was erased still live.
    append(store, "ann", "x").await;
    store.erase(&user("ann")).await.unwrap();
    assert_eq!(found(store, "ann", Some("")).await, both);

    for number in 0..SIGN_OUTS_PER_USER_MAX {
        end(store, "max", &number.to_string()).await.unwrap();
    }
    end(store, "max", "0").await.unwrap();
    assert!(matches!(end(store, "max", "another").await, Err(SignOutError::TooMany)));
    assert_eq!(found(store, "max", Some("another")).await, NOTHING);
    end(store, "ann", "another").await.unwrap();
    // The way out: only as many are forgotten as it takes.
    store.sign_out(&user("max"), SignOut::Before(1_000)).await.unwrap();
    end(store, "max", "another").await.unwrap();
    let mut ended = 0;
    for number in 0..SIGN_OUTS_PER_USER_MAX {
        let found = found(store, "max", Some(&number.to_string())).await;
        ended += usize::from(found.session_ended);
    }
    assert_eq!(ended, SIGN_OUTS_PER_USER_MAX - 1);
    assert!(matches!(end(store, "max", "one more").await, Err(SignOutError::TooMany)));
}

/// After a restart: they are there for as long as a token may live, and not longer.
pub(crate) async fn sign_outs_are_forgotten_with_their_tokens(
    bench: &mut impl Bench,
    store: &impl Store,
) {
    store.keep_sign_outs_for(Duration::from_hours(1));
    store.work_by(&Limits::default());
    assert_eq!(found(store, "ann", Some("another")).await.before_ms, Some(2_000));
    assert!(found(store, "ann", Some("another")).await.session_ended);
    assert_eq!(found(store, "max", None).await, all_before(1_000));
    bench.pass(5).await;
    store.keep_sign_outs_for(Duration::from_millis(1));
    eventually(async || found(store, "ann", Some("another")).await == NOTHING).await;
    eventually(async || found(store, "max", Some("another")).await == NOTHING).await;
}

/// By its user, or by whoever has it where nobody is named.
pub(crate) async fn a_ticket_is_taken_once_and_in_time(bench: &mut impl Bench, store: &impl Store) {
    const HOUR: Duration = Duration::from_hours(1);
    let digest = |number: u8| -> TicketDigest { [number; 32] };
    let (ann, bob) = (user("ann"), user("bob"));
    let ticket = Ticket {
        user: ann.clone(),
        session: Some("s1".into()),
        made_ms: Some(5),
        expires_in: HOUR,
        may: May::NOTHING,
        key: Some([7; 32]),
    };
    for (number, kept_for) in [(1, HOUR), (2, HOUR), (3, Duration::from_millis(1))] {
        store.keep_ticket(digest(number), ticket.clone(), kept_for).await.unwrap();
    }
    bench.pass(5).await;
    assert_eq!(store.take_ticket(digest(1), Some(&bob)).await.unwrap(), None, "it is another's");
    let (once, again) = tokio::join!(
        store.take_ticket(digest(1), Some(&ann)),
        store.take_ticket(digest(1), Some(&ann))
    );
    let taken = [once.unwrap(), again.unwrap()].into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(taken.len(), 1, "both got it, or nobody");
    // What the token had left has become less.
    assert!(taken[0].expires_in < HOUR && taken[0].expires_in > HOUR / 2);
    assert_eq!(Ticket { expires_in: HOUR, ..taken[0].clone() }, ticket);
    assert!(store.take_ticket(digest(2), None).await.unwrap().is_some(), "whosever it is");
    assert_eq!(store.take_ticket(digest(3), Some(&ann)).await.unwrap(), None, "too late");
    assert_eq!(store.take_ticket(digest(4), Some(&ann)).await.unwrap(), None, "there is none");
}
