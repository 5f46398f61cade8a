//! Sign-ins that have ended although their tokens have not.

use tetherline_server::store::{SIGN_OUTS_PER_USER_MAX, SignOut, SignOutError, SignOuts};

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

    // What was said of all stands for what was said of each before.
    store.sign_out(&user("ann"), SignOut::Before(1_000)).await.unwrap();
    assert_eq!(found(store, "ann", Some("s1")).await, all_before(1_000));
    store.sign_out(&user("ann"), SignOut::Before(2_000)).await.unwrap();
    end(store, "ann", "").await.unwrap();
    assert_eq!(found(store, "ann", None).await, all_before(2_000));
    let both = SignOuts { session_ended: true, ..all_before(2_000) };
    assert_eq!(found(store, "ann", Some("")).await, both, "a session may have an empty name");
    assert_eq!(found(store, "ann", Some("s1")).await, all_before(2_000));

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
    store.sign_out(&user("max"), SignOut::Before(1_000)).await.unwrap();
    end(store, "max", "another").await.unwrap();
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
